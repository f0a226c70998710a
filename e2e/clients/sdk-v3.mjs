// AWS SDK for JavaScript v3: typed errors, identity-pool credentials, its own SigV4.
import { Sha256 } from "@aws-crypto/sha256-js";
import { CognitoIdentityClient, GetCredentialsForIdentityCommand, GetIdCommand, NotAuthorizedException as IdentityNotAuthorized, ResourceNotFoundException } from "@aws-sdk/client-cognito-identity";
import { CognitoIdentityProviderClient, GetUserCommand, InitiateAuthCommand, NotAuthorizedException, SignUpCommand, UsernameExistsException } from "@aws-sdk/client-cognito-identity-provider";
import { fromCognitoIdentityPool } from "@aws-sdk/credential-providers";
import { HttpRequest } from "@smithy/protocol-http";
import { SignatureV4 } from "@smithy/signature-v4";
import { config, done, step } from "./lib.mjs";

const options = { endpoint: config.endpoint, region: config.region, maxAttempts: 1, credentials: { accessKeyId: "unused", secretAccessKey: "unused" } };
const identity = new CognitoIdentityClient(options);
const users = new CognitoIdentityProviderClient(options);

// expectError runs f, which must fail with an error of a class that the SDK exports.
const expectError = (name, type, f) => step(name, async () => {
  try {
    await f();
  } catch (e) {
    if (e instanceof type) return { class: type.name, name: e.name, status: e.$metadata.httpStatusCode, message: e.message, requestId: Boolean(e.$metadata.requestId) };
    throw e;
  }
  throw new Error("it was let in");
});

const password = (value) => new InitiateAuthCommand({ ClientId: config.publicClient, AuthFlow: "USER_PASSWORD_AUTH", AuthParameters: { USERNAME: config.email, PASSWORD: value } });
const signedIn = await step("sign-in", async () => (await users.send(password(config.password))).AuthenticationResult);
await expectError("sign-in, wrong password", NotAuthorizedException, () => users.send(password("Wrong-Horse-7-Battery")));
await expectError("sign-up again", UsernameExistsException, () => users.send(new SignUpCommand({
  ClientId: config.publicClient, Username: config.email, Password: config.password, UserAttributes: [{ Name: "email", Value: config.email }, { Name: "name", Value: "Ada" }],
})));
await step("user", async () => (await users.send(new GetUserCommand({ AccessToken: signedIn.AccessToken }))).UserAttributes.find((a) => a.Name === "email").Value);
await expectError("user, altered token", NotAuthorizedException, () => users.send(new GetUserCommand({ AccessToken: signedIn.AccessToken.slice(0, -4) })));

async function credentials(idToken) {
  const Logins = idToken && { [config.loginName]: idToken };
  const { IdentityId } = await identity.send(new GetIdCommand({ IdentityPoolId: config.identityPool, Logins }));
  const { Credentials } = await identity.send(new GetCredentialsForIdentityCommand({ IdentityId, Logins }));
  return { accessKeyId: Credentials.AccessKeyId, secretAccessKey: Credentials.SecretKey, sessionToken: Credentials.SessionToken };
}

async function progress(keys, change = () => {}) {
  const url = new URL(`${config.api}/progress`);
  const signer = new SignatureV4({ credentials: keys, region: config.region, service: "execute-api", sha256: Sha256 });
  const request = new HttpRequest({ method: "GET", protocol: url.protocol, hostname: url.hostname, port: Number(url.port), path: url.pathname, headers: { host: url.host } });
  const signed = await signer.sign(request);
  change(signed.headers);
  delete signed.headers.host; // fetch sets it
  const response = await fetch(url, { headers: signed.headers });
  return { status: response.status, type: response.headers.get("x-amzn-errortype"), body: await response.json() };
}

const member = await step("credentials", () => credentials(signedIn.IdToken));
const guest = await step("guest's credentials", () => credentials());
await step("progress", () => progress(member));
await step("progress, guest", () => progress(guest));
const provider = (logins) => fromCognitoIdentityPool({ clientConfig: { endpoint: config.endpoint, region: config.region }, identityPoolId: config.identityPool, logins });
await step("provider", async () => progress(await provider({ [config.loginName]: signedIn.IdToken })()));
await step("provider, guest", async () => progress(await provider()()));
await expectError("provider, access token", IdentityNotAuthorized, () => provider({ [config.loginName]: signedIn.AccessToken })());
await step("progress, altered", () => progress(member, (h) => (h["x-amz-date"] = h["x-amz-date"].replace(/\d\dZ$/, "00Z").replace("T00", "T01"))));
await expectError("credentials, garbage token", IdentityNotAuthorized, () => credentials("garbage"));
await expectError("credentials, unknown pool", ResourceNotFoundException, () => identity.send(new GetIdCommand({ IdentityPoolId: `${config.region}:00000000-0000-0000-0000-000000000000` })));
done();
