// Passkeys in a real browser, with an authenticator that Chromium simulates. The page talks to
// Moat itself, as an app does.
import { createServer } from "node:http";
import { chromium } from "playwright-core";
import { config, done, step } from "./lib.mjs";

const html = `<!doctype html><title>passkeys</title><script>
  async function ask(operation, body) {
    const response = await fetch(${JSON.stringify(config.endpoint)}, {
      method: "POST", body: JSON.stringify(body),
      headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": "AWSCognitoIdentityProviderService." + operation },
    });
    const answer = await response.json();
    if (response.ok) return answer;
    throw new Error(answer.__type + ": " + (answer.message ?? ""));
  }
  async function register(AccessToken) {
    const { CredentialCreationOptions } = await ask("StartWebAuthnRegistration", { AccessToken });
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(CredentialCreationOptions);
    const credential = await navigator.credentials.create({ publicKey });
    await ask("CompleteWebAuthnRegistration", { AccessToken, Credential: credential.toJSON() });
    return { id: credential.id, verification: CredentialCreationOptions.authenticatorSelection.userVerification, party: CredentialCreationOptions.rp.id };
  }
  async function signIn(client, name, change) {
    const first = await ask("InitiateAuth", { ClientId: client, AuthFlow: "USER_AUTH", AuthParameters: { USERNAME: name, PREFERRED_CHALLENGE: "WEB_AUTHN" } });
    if (first.ChallengeName !== "WEB_AUTHN") return { challenge: first.ChallengeName };
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(first.ChallengeParameters.CREDENTIAL_REQUEST_OPTIONS));
    if (change === "weaker") publicKey.userVerification = "discouraged";
    if (change === "anybody") publicKey.allowCredentials = [];
    let credential = (await navigator.credentials.get({ publicKey })).toJSON();
    if (change === "replayed" && window.before) credential = window.before;
    window.before = credential;
    const out = await ask("RespondToAuthChallenge", {
      ClientId: client, ChallengeName: "WEB_AUTHN", Session: first.Session, ChallengeResponses: { USERNAME: name, CREDENTIAL: JSON.stringify(credential) },
    });
    return { access: out.AuthenticationResult.AccessToken, handle: credential.response.userHandle };
  }
</script>`;
const server = createServer((_, response) => response.setHeader("content-type", "text/html").end(html));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address();

const browser = await chromium.launch({
  executablePath: config.chromium,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await (await browser.newContext()).newPage();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const plug = async () => (await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  })).authenticatorId;
  const unplug = (authenticatorId) => devtools.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId });
  const verifies = (authenticatorId, isUserVerified) => devtools.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified });
  const ask = (operation, body) => page.evaluate(([o, b]) => ask(o, b), [operation, body]);
  const signIn = (name, change) => page.evaluate(([c, n, h]) => signIn(c, n, h), [config.publicClient, name, change]);
  const password = async (name) => (await ask("InitiateAuth", {
    ClientId: config.publicClient, AuthFlow: "USER_PASSWORD_AUTH", AuthParameters: { USERNAME: name, PASSWORD: config.password },
  })).AuthenticationResult.AccessToken;

  await page.goto(`http://localhost:${port}/`);
  const first = await plug();
  const ann = await step("password", () => password("ann"));
  await step("register", () => page.evaluate((t) => register(t), ann));
  await step("list", async () => (await ask("ListWebAuthnCredentials", { AccessToken: ann })).Credentials[0]);
  await step("register again", () => page.evaluate((t) => register(t), ann));
  await step("sign in", () => signIn("ann"));
  await step("sign in again", () => signIn("ann"));
  await step("replayed", () => signIn("ann", "replayed"));
  await verifies(first, false);
  await step("not verified", () => signIn("ann", "weaker"));
  await verifies(first, true);

  // Bob has a passkey on another authenticator, and tries to be ann with it.
  await unplug(first);
  await plug();
  const bob = await step("bob's password", () => password("bob"));
  await step("bob registers", () => page.evaluate((t) => register(t), bob));
  await step("bob signs in", () => signIn("bob"));
  await step("bob as ann", () => signIn("ann", "anybody"));

  // Another page cannot use them: the browser itself says so.
  await page.goto(`http://127.0.0.1:${port}/`);
  await step("other origin", () => signIn("bob"));
  await page.goto(`http://localhost:${port}/`);
  const [{ CredentialId }] = (await ask("ListWebAuthnCredentials", { AccessToken: bob })).Credentials;
  await step("delete", () => ask("DeleteWebAuthnCredential", { AccessToken: bob, CredentialId }));
  await step("after that", () => signIn("bob"));
} finally {
  await browser.close();
  server.close();
}
done();
