// Amplify v6: a guest's and a signed-in user's credentials call an AWS_IAM route.
import { Amplify } from "aws-amplify";
import { get } from "aws-amplify/api";
import { fetchAuthSession, signIn, signOut } from "aws-amplify/auth";
import { config, done, step } from "./lib.mjs";

Amplify.configure({
  Auth: {
    Cognito: {
      userPoolId: config.pool, userPoolClientId: config.publicClient, userPoolEndpoint: config.endpoint,
      identityPoolId: config.identityPool, identityPoolEndpoint: config.endpoint, allowGuestAccess: true,
    },
  },
  API: { REST: { courses: { endpoint: config.api, region: config.region, service: "execute-api" } } },
});

const progress = async () => {
  try {
    const { statusCode, body } = await get({ apiName: "courses", path: "/progress", options: { retryStrategy: { strategy: "no-retry" } } }).response;
    return { status: statusCode, body: await body.json() };
  } catch (e) {
    if (!e.response) throw e;
    return { status: e.response.statusCode, type: e.response.headers["x-amzn-errortype"] };
  }
};
const session = async () => {
  const { credentials, identityId, tokens } = await fetchAuthSession();
  return { identityId, temporary: Boolean(credentials.sessionToken), signedIn: Boolean(tokens) };
};

const guest = await step("guest", session);
await step("guest's progress", progress);
await step("sign-in, wrong password", () => signIn({ username: config.email, password: "Wrong-Horse-7-Battery" }));
await step("sign-in", async () => (await signIn({ username: config.email, password: config.password })).nextStep.signInStep);
const member = await step("member", session);
await step("same identity", () => ({ same: guest.identityId === member.identityId }));
await step("member's progress", progress);
await step("sign-out", () => signOut());
await step("guest again", async () => ({ ...(await session()), other: (await session()).identityId !== member.identityId }));
await step("guest's progress again", progress);
done();
