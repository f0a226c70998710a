// amazon-cognito-identity-js: sign-in by the pool's own functions, alone and after a password.
import { AuthenticationDetails, asked, signIn, visitor } from "./cij.mjs";
import { config, done, step } from "./lib.mjs";

const custom = (name) => visitor(name, config, undefined, "CUSTOM_AUTH");
const begin = (user) => asked((cb) => user.initiateAuth(new AuthenticationDetails({ Username: user.getUsername() }), cb));
const say = (user, word) => asked((cb) => user.sendCustomChallengeAnswer(word, cb));
const who = (answer) => answer.session.getIdToken().payload["cognito:username"];

const plain = custom("cleo");
await step("asked", async () => {
  const { asked: what, args: [parameters] } = await begin(plain);
  return { what, question: parameters.question, word: parameters.word ?? "" };
});
await step("wrong word", async () => {
  const { asked: what, args: [parameters] } = await say(plain, "a guess");
  return { what, tries: parameters.tries };
});
const stale = plain.Session;
await step("right word", async () => who(await say(plain, "cleo's word")));
await step("right word, again", () => say(Object.assign(custom("cleo"), { Session: stale }), "cleo's word"));
await step("three wrong words", async () => {
  const user = custom("carl");
  await begin(user);
  await say(user, "one");
  await say(user, "two");
  return say(user, "three");
});
await step("unknown user", async () => {
  const user = custom("nobody");
  await begin(user);
  return say(user, "nobody's word");
});
await step("another's session", async () => {
  const user = custom("cleo");
  await begin(user);
  return say(Object.assign(custom("carl"), { Session: user.Session }), "carl's word");
});

const both = custom("cleo");
await step("after a password", async () => (await signIn(both, config.password)).asked);
await step("after a password, right word", async () => who(await say(both, "cleo's word")));
await step("after a wrong password", () => signIn(custom("cleo"), "Wrong-Horse-7-Battery"));
done();
