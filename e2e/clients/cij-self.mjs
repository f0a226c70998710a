// amazon-cognito-identity-js: what people do for themselves, each with what is refused.
import { AuthenticationDetails, CognitoRefreshToken, attributes, asked, other, poolOf, signIn, visitor } from "./cij.mjs";
import { call, config, done, freshCode, step } from "./lib.mjs";

const { password } = config;
const email = "ann@example.com", moved = "ann.moved@example.com";
const signUp = (name, secret, more) => call((cb) => poolOf().signUp(name, secret, attributes({ email, name: "Ann", ...more }), null, cb));

// Sign-up, confirmation, recovery.
await step("sign-up, no name", () => call((cb) => poolOf().signUp("ann", password, attributes({ email }), null, cb)));
await step("sign-up, weak password", () => signUp("ann", "password"));
await step("sign-up, unknown attribute", () => signUp("ann", password, { "custom:shoe": "42" }));
await step("sign-up", async () => ({ confirmed: (await signUp("ann", password, { "custom:team": "red" })).userConfirmed }));
await step("sign-up again", () => signUp("ann", password));
await step("sign-in, not confirmed", () => signIn(visitor("ann"), password));
const first = await freshCode(email);
await step("resend", async () => (await call((cb) => visitor("ann").resendConfirmationCode(cb))).CodeDeliveryDetails);
await step("confirm, wrong code", async () => call((cb) => visitor("ann").confirmRegistration(other(first), false, cb)));
const second = await freshCode(email);
await step("confirm, unknown user", () => call((cb) => visitor("nobody").confirmRegistration(second, false, cb)));
await step("confirm", () => call((cb) => visitor("ann").confirmRegistration(second, false, cb)));
await step("sign-up, address taken", async () => ({ confirmed: (await signUp("bob", password)).userConfirmed }));
const bobs = await freshCode(email);
await step("confirm, address taken", () => call((cb) => visitor("bob").confirmRegistration(bobs, false, cb)));
await step("forgot", async () => (await asked((cb) => visitor("ann").forgotPassword(cb))).asked);
await step("forgot, unknown user", async () => (await asked((cb) => visitor("nobody").forgotPassword(cb))).asked);
const recovery = await freshCode(email);
const next = "Another-Horse-8-Battery";
await step("reset, wrong code", () => asked((cb) => visitor("ann").confirmPassword(other(recovery), next, cb)));
await step("reset, weak password", () => asked((cb) => visitor("ann").confirmPassword(recovery, "password", cb)));
await step("reset", async () => (await asked((cb) => visitor("ann").confirmPassword(recovery, next, cb))).session);
await step("reset, code again", () => asked((cb) => visitor("ann").confirmPassword(recovery, next, cb)));
await step("sign-in, old password", () => signIn(visitor("ann"), password));

// With the plain password, by name and by address.
await step("plain", async () => (await signIn(visitor("ann", config, undefined, "USER_PASSWORD_AUTH"), next)).asked);
await step("plain, wrong password", () => signIn(visitor("ann", config, undefined, "USER_PASSWORD_AUTH"), password));
await step("by address", async () => (await signIn(visitor(email), next)).session.getAccessToken().payload.username);

// What is the user's own.
const ann = visitor("ann");
const { session } = await signIn(ann, next);
const own = async () => Object.fromEntries((await call((cb) => ann.getUserAttributes(cb))).map((a) => [a.getName().replace(":", "_"), a.getValue()]));
await step("attributes", own);
await step("user data", async () => (await call((cb) => ann.getUserData(cb, { bypassCache: true }))).Username);
await step("update", () => call((cb) => ann.updateAttributes(attributes({ name: "Annie", "custom:team": "blue" }), cb)));
await step("update, unknown attribute", () => call((cb) => ann.updateAttributes(attributes({ "custom:shoe": "42" }), cb)));
await step("update, sub", () => call((cb) => ann.updateAttributes(attributes({ sub: "somebody else" }), cb)));
await step("updated", own);
await step("delete attribute", () => call((cb) => ann.deleteAttributes(["custom:team"], cb)));
await step("delete attribute, required", () => call((cb) => ann.deleteAttributes(["name"], cb)));
await step("deleted", async () => ({ team: (await own()).custom_team ?? "" }));
await step("move", () => call((cb) => ann.updateAttributes(attributes({ email: moved }), cb)));
await step("moved", own);
await freshCode(moved);
await step("verification code", async () => (await asked((cb) => ann.getAttributeVerificationCode("email", cb))).asked);
await step("verification code, name", () => asked((cb) => ann.getAttributeVerificationCode("name", cb)));
const proof = await freshCode(moved);
await step("verify, wrong code", () => asked((cb) => ann.verifyAttribute("email", other(proof), cb)));
await step("verify", async () => (await asked((cb) => ann.verifyAttribute("email", proof, cb))).session);
await step("verify, code again", () => asked((cb) => ann.verifyAttribute("email", proof, cb)));
await step("verified", own);
await step("text messages, no number", () => call((cb) => ann.enableMFA(cb)));
await step("text messages, off", () => call((cb) => ann.disableMFA(cb)));
await step("change password, wrong one", () => call((cb) => ann.changePassword(password, "Third-Horse-9-Battery", cb)));
await step("change password, weak one", () => call((cb) => ann.changePassword(next, "password", cb)));
await step("change password", () => call((cb) => ann.changePassword(next, "Third-Horse-9-Battery", cb)));
await step("custom, no functions", () => asked((cb) => visitor("ann", config, undefined, "CUSTOM_AUTH").initiateAuth(new AuthenticationDetails({ Username: "ann" }), cb)));

// Sessions.
const refresh = (token) => call((cb) => visitor("ann").refreshSession(token, cb));
await step("refresh", async () => (await refresh(session.getRefreshToken())).getIdToken().payload.email);
await step("refresh, garbage", () => refresh(new CognitoRefreshToken({ RefreshToken: "garbage" })));
await step("revoke, access token", () => call((cb) => ann.revokeToken({ token: session.getAccessToken().getJwtToken(), callback: cb })));
await step("revoke, garbage", () => call((cb) => ann.revokeToken({ token: "garbage", callback: cb })));
await step("revoke", () => call((cb) => ann.revokeToken({ token: session.getRefreshToken().getToken(), callback: cb })));
await step("refresh, revoked", () => refresh(session.getRefreshToken()));
await step("attributes, revoked", own);
const here = visitor("ann"), there = visitor("ann");
await signIn(here, "Third-Horse-9-Battery");
await signIn(there, "Third-Horse-9-Battery");
await step("sign out everywhere", async () => (await asked((cb) => here.globalSignOut(cb))).session);
await step("attributes, signed out", () => call((cb) => there.getUserAttributes(cb)));
await step("delete, signed out", () => call((cb) => there.deleteUser(cb)));
const last = visitor("ann");
await signIn(last, "Third-Horse-9-Battery");
await step("delete", () => call((cb) => last.deleteUser(cb)));
await step("sign-in, deleted", () => signIn(visitor("ann"), "Third-Horse-9-Battery"));
done();
