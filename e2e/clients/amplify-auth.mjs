// aws-amplify's auth: every way to sign in that it has, and the account that goes with it.
import { Amplify } from "aws-amplify";
import {
  autoSignIn, confirmSignIn, confirmSignUp, confirmResetPassword, deleteUser, fetchAuthSession, fetchDevices, fetchMFAPreference, fetchUserAttributes, forgetDevice,
  getCurrentUser, rememberDevice, resendSignUpCode, resetPassword, setUpTOTP, signIn, signOut, signUp, updateMFAPreference, updatePassword, updateUserAttributes, verifyTOTPSetup,
} from "aws-amplify/auth";
import { cognitoUserPoolsTokenProvider } from "aws-amplify/auth/cognito";
import { other, totp } from "./cij.mjs";
import { config, done, freshCode, step } from "./lib.mjs";

globalThis.navigator ??= { userAgent: "e2e" }; // a browser's, by which the library names devices
const kept = new Map(); // what a browser keeps
const storage = {
  getItem: async (k) => kept.get(k) ?? null, setItem: async (k, v) => void kept.set(k, v), removeItem: async (k) => void kept.delete(k), clear: async () => kept.clear(),
};

function pool(of, client) {
  Amplify.configure({ Auth: { Cognito: { userPoolId: of, userPoolClientId: client, userPoolEndpoint: config.endpoint } } });
  cognitoUserPoolsTokenProvider.setKeyValueStorage(storage);
}
pool(config.pool, config.publicClient);

const { password } = config;
const username = "amy@example.com";
const next = async (p) => (await p).nextStep.signInStep;
const begin = (secret, options, name = username) => signIn({ username: name, password: secret, options });
const confirm = (challengeResponse, options) => confirmSignIn({ challengeResponse, options });
const byChoice = (preferredChallenge) => ({ authFlowType: "USER_AUTH", preferredChallenge });

// Sign-up, and on into a session without another password.
await step("sign-up, weak password", () => signUp({ username, password: "password", options: { userAttributes: { email: username, name: "Amy" } } }));
await step("sign-up", async () => (await signUp({ username, password, options: { userAttributes: { email: username, name: "Amy" }, autoSignIn: { authFlowType: "USER_AUTH" } } })).nextStep.signUpStep);
const code = await freshCode(username);
await step("confirm, wrong code", () => confirmSignUp({ username, confirmationCode: other(code) }));
await step("confirm", async () => (await confirmSignUp({ username, confirmationCode: code })).nextStep.signUpStep);
await step("auto sign-in", () => next(autoSignIn()));
await step("auto sign-in, who", async () => (await getCurrentUser()).signInDetails.loginId);
await signOut();
await step("auto sign-in, again", () => autoSignIn());
const eve = "eve@example.com";
await signUp({ username: eve, password, options: { userAttributes: { email: eve, name: "Eve" } } });
await step("sign-in, not confirmed", () => next(begin(password, undefined, eve)));
await freshCode(eve);
await step("resend", async () => (await resendSignUpCode({ username: eve })).deliveryMedium);
await step("confirm elsewhere", async () => (await confirmSignUp({ username: eve, confirmationCode: await freshCode(eve) })).nextStep.signUpStep);

// By password: SRP, and each way of the choice-based flow.
await step("srp, wrong password", () => begin("Wrong-Horse-7-Battery"));
await step("srp", () => next(begin(password)));
await step("srp, twice", () => begin(password));
await step("attributes", () => fetchUserAttributes());
await step("update", async () => (await updateUserAttributes({ userAttributes: { name: "Amelia" } })).name.isUpdated);
await step("update, sub", () => updateUserAttributes({ userAttributes: { sub: "somebody else" } }));
await step("refresh", async () => {
  const before = (await fetchAuthSession()).tokens, after = (await fetchAuthSession({ forceRefresh: true })).tokens;
  return { same: before.idToken.payload.sub === after.idToken.payload.sub, fresh: before.accessToken.toString() !== after.accessToken.toString() };
});
await step("change password, wrong one", () => updatePassword({ oldPassword: "Wrong-Horse-7-Battery", newPassword: password }));
await step("remember", () => rememberDevice());
await step("devices", async () => (await fetchDevices()).length > 0);
await signOut();
await step("remembered", () => next(begin(password)));
await step("forget device", () => forgetDevice());
await step("forgotten", () => fetchDevices());
await signOut();
await begin(password);
await step("refresh, altered", async () => {
  for (const key of kept.keys()) if (key.endsWith(".refreshToken")) kept.set(key, "altered");
  return Boolean((await fetchAuthSession({ forceRefresh: true })).tokens);
});
await step("refresh, altered, signed out", () => getCurrentUser());
await step("plain", () => next(begin(password, { authFlowType: "USER_PASSWORD_AUTH" })));
await signOut();
await step("choice", async () => (await begin(undefined, { authFlowType: "USER_AUTH" })).nextStep);
await step("choice, password asked", () => next(confirm("PASSWORD")));
await step("choice, password", () => next(confirm(password)));
await signOut();
await step("choice, not one of them", async () => {
  await begin(undefined, { authFlowType: "USER_AUTH" });
  return confirm("SMS_OTP");
});
await step("preferred password", () => next(begin(password, byChoice("PASSWORD"))));
await signOut();
await step("preferred password, wrong", () => begin("Wrong-Horse-7-Battery", byChoice("PASSWORD")));
await step("preferred srp", () => next(begin(password, byChoice("PASSWORD_SRP"))));
await signOut();
await step("preferred srp, wrong", () => begin("Wrong-Horse-7-Battery", byChoice("PASSWORD_SRP")));

// Without a password: by a code that is mailed.
await step("mailed code asked", async () => (await begin(undefined, byChoice("EMAIL_OTP"))).nextStep);
const mailed = await freshCode(username);
await step("mailed code, wrong", () => confirm(other(mailed)));
await step("mailed code", () => next(confirm(mailed)));
await signOut();
await step("mailed code, unknown user", async () => {
  await begin(undefined, byChoice("EMAIL_OTP"), "nobody@example.com");
  return confirm(mailed);
});

// A software token.
await begin(password);
const { sharedSecret } = await setUpTOTP();
await step("token, wrong code", () => verifyTOTPSetup({ code: other(totp(sharedSecret)) }));
await step("token", () => verifyTOTPSetup({ code: totp(sharedSecret) }));
await step("token preferred", () => updateMFAPreference({ totp: "PREFERRED" }));
await step("preference", () => fetchMFAPreference());
await signOut();
await step("token asked", () => next(begin(password)));
await step("token code, wrong", () => confirm(other(totp(sharedSecret, 1))));
await step("token code", () => next(confirm(totp(sharedSecret, 1))));

// Recovery, sign-out, deletion.
await step("sign out everywhere", () => signOut({ global: true }));
await step("signed out", () => fetchUserAttributes());
await step("recovery", async () => (await resetPassword({ username: eve })).nextStep.resetPasswordStep);
const recovery = await freshCode(eve);
await step("recovery, wrong code", () => confirmResetPassword({ username: eve, confirmationCode: other(recovery), newPassword: "Another-Horse-8-Battery" }));
await step("recovery, done", () => confirmResetPassword({ username: eve, confirmationCode: recovery, newPassword: "Another-Horse-8-Battery" }));
await step("delete, nobody", () => deleteUser());
await step("recovered", () => next(begin("Another-Horse-8-Battery", undefined, eve)));
await step("delete", () => deleteUser());
await step("deleted", () => begin("Another-Horse-8-Battery", undefined, eve));

// A pool in which a second factor is a must, and a user with a temporary password.
pool(config.strictPool, config.strictClient);
await step("temporary", async () => (await begin(password, undefined, "tess")).nextStep);
await step("setup", async () => {
  const { nextStep } = await confirm("Another-Horse-8-Battery", { userAttributes: { name: "Tess" } });
  return { step: nextStep.signInStep, secret: nextStep.totpSetupDetails.sharedSecret };
}).then(async ({ secret }) => {
  await step("setup, wrong code", () => confirm(other(totp(secret))));
  await step("setup, done", () => next(confirm(totp(secret))));
});
await signOut();

// The pool's own functions.
pool(config.customPool, config.customClient);
await step("custom", () => next(begin(undefined, { authFlowType: "CUSTOM_WITHOUT_SRP" }, "cora")));
await step("custom, wrong word", () => next(confirm("a guess")));
await step("custom, right word", () => next(confirm("cora's word")));
await signOut();
await step("custom after srp", () => next(begin(password, { authFlowType: "CUSTOM_WITH_SRP" }, "cora")));
await step("custom after srp, right word", () => next(confirm("cora's word")));
await signOut();
await step("custom after srp, wrong password", () => begin("Wrong-Horse-7-Battery", { authFlowType: "CUSTOM_WITH_SRP" }, "cora"));
done();
