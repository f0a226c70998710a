// amazon-cognito-identity-js: temporary passwords and second factors.
import { asked, other, signIn, totp, visitor } from "./cij.mjs";
import { call, config, done, freshCode, step } from "./lib.mjs";

const { password } = config;
const next = "Another-Horse-8-Battery";
const on = { Enabled: true, PreferredMfa: false }, first = { Enabled: true, PreferredMfa: true }, off = { Enabled: false, PreferredMfa: false };
const who = (answer) => answer.session.getIdToken().payload["cognito:username"];

// A temporary password is replaced, and the name that is missing is given.
const fresh = visitor("fresh");
await step("new password wanted", async () => {
  const { asked: what, args: [given, required] } = await signIn(fresh, password);
  return { what, email: given.email, required: required.join() };
});
await step("new password, weak", () => asked((cb) => fresh.completeNewPasswordChallenge("password", { name: "Fresh" }, cb)));
await signIn(fresh, password);
await step("new password, no name", () => asked((cb) => fresh.completeNewPasswordChallenge(next, {}, cb)));
await signIn(fresh, password);
await step("new password", async () => who(await asked((cb) => fresh.completeNewPasswordChallenge(next, { name: "Fresh" }, cb))));
await step("temporary password again", () => signIn(visitor("fresh"), password));
await step("profile", async () => Object.fromEntries((await call((cb) => fresh.getUserAttributes(cb))).map((a) => [a.getName(), a.getValue()])));

// Text messages.
const sms = visitor("sms");
await signIn(sms, password);
await step("text messages", () => call((cb) => sms.enableMFA(cb)));
await step("text messages, options", async () => (await call((cb) => sms.getMFAOptions(cb)))[0]);
await step("text code wanted", async () => {
  const { asked: what, args: [, parameters] } = await signIn(sms, password);
  return { what, medium: parameters.CODE_DELIVERY_DELIVERY_MEDIUM, to: parameters.CODE_DELIVERY_DESTINATION };
});
const texted = await freshCode("+15550100");
await step("text code, wrong", () => asked((cb) => sms.sendMFACode(other(texted), cb)));
await step("text code", async () => who(await asked((cb) => sms.sendMFACode(texted, cb))));
await step("text code, again", () => asked((cb) => sms.sendMFACode(texted, cb)));
await step("text messages, off", () => call((cb) => sms.setUserMfaPreference(off, null, cb)));
await step("text messages, none", async () => (await signIn(visitor("sms"), password)).asked);

// Software tokens.
const token = visitor("token");
await signIn(token, password);
await step("token preferred, none", () => call((cb) => token.setUserMfaPreference(null, first, cb)));
await step("token verified, none", () => asked((cb) => token.verifySoftwareToken("123456", "phone", cb)));
const { args: [secret] } = await asked((cb) => token.associateSoftwareToken(cb));
await step("token verified, wrong code", () => asked((cb) => token.verifySoftwareToken(other(totp(secret)), "phone", cb)));
await step("token verified", async () => (await asked((cb) => token.verifySoftwareToken(totp(secret), "phone", cb))).session.Status);
await step("token preferred", () => call((cb) => token.setUserMfaPreference(null, first, cb)));
await step("token wanted", async () => {
  const { asked: what, args: [, parameters] } = await signIn(token, password);
  return { what, name: parameters.FRIENDLY_DEVICE_NAME };
});
await step("token code, wrong", () => asked((cb) => token.sendMFACode(other(totp(secret, 1)), cb, "SOFTWARE_TOKEN_MFA")));
const later = totp(secret, 1);
await step("token code", async () => who(await asked((cb) => token.sendMFACode(later, cb, "SOFTWARE_TOKEN_MFA"))));
const thief = visitor("token");
await signIn(thief, password);
await step("token code, again", () => asked((cb) => thief.sendMFACode(later, cb, "SOFTWARE_TOKEN_MFA")));

// Both: the user says which.
await step("both", () => call((cb) => token.setUserMfaPreference(on, on, cb)));
const both = visitor("token");
await step("both wanted", async () => {
  const { asked: what, args: [, parameters] } = await signIn(both, password);
  return { what, choices: JSON.parse(parameters.MFAS_CAN_CHOOSE).join() };
});
await step("both, e-mail", () => asked((cb) => both.sendMFASelectionAnswer("EMAIL_OTP", cb)));
await signIn(both, password);
await step("both, text message", async () => (await asked((cb) => both.sendMFASelectionAnswer("SMS_MFA", cb))).asked);
const chosen = await freshCode("+15550101");
await step("both, code of another user", () => asked((cb) => both.sendMFACode(texted, cb)));
await step("both, code", async () => who(await asked((cb) => both.sendMFACode(chosen, cb))));

// Where a second factor is a must, it is set up in the middle of the first sign-in.
const must = { pool: config.strictPool, publicClient: config.strictClient };
const strict = visitor("strict", must);
await step("setup wanted", async () => {
  const { asked: what, args: [, parameters] } = await signIn(strict, password);
  return { what, can: JSON.parse(parameters.MFAS_CAN_SETUP).join() };
});
const { args: [seed] } = await asked((cb) => strict.associateSoftwareToken(cb));
await step("setup, wrong code", () => asked((cb) => strict.verifySoftwareToken(other(totp(seed)), "phone", cb)));
await step("setup", async () => who(await asked((cb) => strict.verifySoftwareToken(totp(seed), "phone", cb))));
await step("after setup", async () => (await signIn(visitor("strict", must), password)).asked);
done();
