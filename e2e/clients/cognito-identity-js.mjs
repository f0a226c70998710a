// amazon-cognito-identity-js: sign-up, confirmation, SRP sign-in, refresh, sign-out.
import { AuthenticationDetails, CognitoRefreshToken, CognitoUser, CognitoUserAttribute, Storage, poolOf } from "./cij.mjs";
import { call, config, done, mailedCode, step } from "./lib.mjs";

const { email, password } = config;

function visitor(name = email) {
  const storage = new Storage();
  const pool = poolOf(config, storage);
  return { pool, user: new CognitoUser({ Username: name, Pool: pool, Storage: storage }) };
}

function signIn(user, secret, name = email) {
  return new Promise((resolve, reject) => {
    user.authenticateUser(new AuthenticationDetails({ Username: name, Password: secret }), {
      onSuccess: resolve, onFailure: reject,
      newPasswordRequired: () => reject(new Error("a new password is wanted")),
      mfaRequired: () => reject(new Error("a second factor is wanted")),
    });
  });
}

const claims = (session) => ({
  sub: session.getIdToken().payload.sub, email: session.getIdToken().payload.email, use: session.getIdToken().payload.token_use,
  verified: session.getIdToken().payload.email_verified, access: session.getAccessToken().payload.token_use, issuer: session.getIdToken().payload.iss,
});

const attributes = [new CognitoUserAttribute({ Name: "email", Value: email }), new CognitoUserAttribute({ Name: "name", Value: "Grace" })];
const signUp = (secret) => call((cb) => visitor().pool.signUp(email, secret, attributes, null, cb));

await step("sign-up, weak password", () => signUp("short"));
await step("sign-up", async () => ({ confirmed: (await signUp(password)).userConfirmed }));
await step("sign-up again", () => signUp(password));
await step("sign-in, not confirmed", () => signIn(visitor().user, password));
await step("confirm, wrong code", async () => {
  const code = await mailedCode(email);
  const wrong = (Number(code) + 1).toString().padStart(6, "0").slice(-6);
  return call((cb) => visitor().user.confirmRegistration(wrong, false, cb));
});
await step("confirm", async () => call((cb) => mailedCode(email).then((code) => visitor().user.confirmRegistration(code, false, cb), cb)));
await step("sign-in, wrong password", () => signIn(visitor().user, "Wrong-Horse-7-Battery"));
await step("sign-in, unknown user", () => signIn(visitor("nobody@example.com").user, password, "nobody@example.com"));

const first = visitor();
let session;
await step("sign-in", async () => claims((session = await signIn(first.user, password))));
// Numbers of odd length or with a set top bit come up by chance: a few more sign-ins meet them.
await step("sign-in, eight times", async () => {
  for (let i = 0; i < 8; i++) await signIn(visitor().user, password);
  return 8;
});
await step("attributes", async () => Object.fromEntries((await call((cb) => first.user.getUserAttributes(cb))).map((a) => [a.getName(), a.getValue()])));
await step("refresh", async () => {
  const old = session.getIdToken().payload;
  const fresh = await call((cb) => first.user.refreshSession(session.getRefreshToken(), cb));
  return { same: fresh.getIdToken().payload.sub === old.sub, claims: claims(fresh) };
});
await step("refresh, altered", () => {
  const token = session.getRefreshToken().getToken();
  return call((cb) => visitor().user.refreshSession(new CognitoRefreshToken({ RefreshToken: token.slice(0, -2) }), cb));
});

const second = visitor();
const other = await step("sign-in elsewhere", async () => claims(await signIn(second.user, password)));
const otherSession = other && (await call((cb) => second.user.getSession(cb)));
const refreshToken = session?.getRefreshToken();
await step("sign-out", () => call((cb) => first.user.signOut(cb)));
await step("refresh after sign-out", () => call((cb) => visitor().user.refreshSession(refreshToken, cb)));
await step("refresh elsewhere", async () => claims(await call((cb) => visitor().user.refreshSession(otherSession.getRefreshToken(), cb))));
await step("global sign-out", () => new Promise((resolve, reject) => second.user.globalSignOut({ onSuccess: resolve, onFailure: reject })));
await step("refresh after global sign-out", () => call((cb) => visitor().user.refreshSession(otherSession.getRefreshToken(), cb)));
await step("user after global sign-out", async () => {
  const third = visitor();
  third.user.setSignInUserSession(otherSession);
  return call((cb) => third.user.getUserAttributes(cb));
});
done();
