// A handler that calls AWS as every handler does: with the SDK as it comes, no
// endpoint, no region and no credentials in the code.
import { CognitoIdentityProviderClient, DescribeUserPoolCommand } from "@aws-sdk/client-cognito-identity-provider";

const own = new CognitoIdentityProviderClient();
const other = new CognitoIdentityProviderClient({ credentials: { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: "another", sessionToken: process.env.AWS_SESSION_TOKEN } });

export async function handler({ pool, forged }) {
  try {
    const out = await (forged ? other : own).send(new DescribeUserPoolCommand({ UserPoolId: pool }));
    return { name: out.UserPool.Name };
  } catch (e) {
    return { error: e.name, message: e.message, status: e.$metadata?.httpStatusCode };
  }
}
