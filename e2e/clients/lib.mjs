// What the scripts share: the configuration they are given, and a report of named results that
// the Go test reads. A step that fails is reported with the client's own error, never thrown.
export const config = JSON.parse(process.env.E2E_CONFIG);

const report = {};

// step runs f and keeps what it gave, or the class, name and message of its error.
export async function step(name, f) {
  try {
    report[name] = { ok: true, value: (await f()) ?? null };
  } catch (e) {
    report[name] = {
      ok: false, name: e.code ?? e.name, class: e.constructor.name, message: e.message,
      status: e.$metadata?.httpStatusCode ?? e.statusCode ?? null, client: e instanceof Error,
    };
  }
  return report[name].value;
}

export function done() {
  process.stdout.write(JSON.stringify(report));
}

// call makes a method that takes a callback object or function into a promise.
export function call(f) {
  return new Promise((resolve, reject) => f((err, value) => (err ? reject(err) : resolve(value))));
}

// mailedCode waits for the newest code that was mailed to an address.
export async function mailedCode(to) {
  const address = `${config.endpoint}/_moat/outbox?to=${encodeURIComponent(to)}`;
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    const mails = await (await fetch(address)).json();
    if (mails.length > 0 && mails.at(-1).code) return mails.at(-1).code;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no code was mailed to ${to}`);
}

// temporaryCredentials exchanges an ID token for credentials by plain requests; none: a guest's.
export async function temporaryCredentials(idToken) {
  const logins = idToken ? { [config.loginName]: idToken } : undefined;
  const ask = async (operation, body) => {
    const response = await fetch(config.endpoint, {
      method: "POST",
      headers: { "content-type": "application/x-amz-json-1.1", "x-amz-target": `AWSCognitoIdentityService.${operation}` },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${operation}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  const { IdentityId } = await ask("GetId", { IdentityPoolId: config.identityPool, Logins: logins });
  const { Credentials } = await ask("GetCredentialsForIdentity", { IdentityId, Logins: logins });
  return { accessKeyId: Credentials.AccessKeyId, secretAccessKey: Credentials.SecretKey, sessionToken: Credentials.SessionToken };
}
