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
  process.stdout.write(JSON.stringify(report), () => process.exit()); // whatever timers a client has left
}

// call makes a method that takes a callback object or function into a promise.
export function call(f) {
  return new Promise((resolve, reject) => f((err, value) => (err ? reject(err) : resolve(value))));
}

const read = new Map(); // how many messages to an address freshCode has seen

// freshCode waits for a code that was sent to an address since it was last asked.
export async function freshCode(to) {
  const code = await mailedCode(to, read.get(to) ?? 0);
  read.set(to, (await messages(to)).length);
  return code;
}

const messages = async (to) => (await fetch(`${config.endpoint}/_moat/outbox?to=${encodeURIComponent(to)}`)).json();

// mailedCode waits for the newest code that was sent to an address, after the first few messages.
export async function mailedCode(to, after = 0) {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    const mails = await messages(to);
    if (mails.length > after && mails.at(-1).code) return mails.at(-1).code;
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
