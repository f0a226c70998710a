// aws4: GET /progress signed as the browser applications in the field do it.
import http from "node:http";
import aws4 from "aws4";
import { config, done, step, temporaryCredentials } from "./lib.mjs";

const url = new URL(`${config.api}/progress`);

function send(credentials, change = () => {}, more = {}) {
  const options = { ...more, host: url.host, path: url.pathname, service: "execute-api", region: config.region, method: "GET", headers: {} };
  aws4.sign(options, credentials);
  change(options);
  return new Promise((resolve, reject) => {
    http.get({ hostname: url.hostname, port: url.port, path: options.path, headers: options.headers }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (part) => (body += part));
      response.on("end", () => resolve({ status: response.statusCode, type: response.headers["x-amzn-errortype"] ?? null, body: JSON.parse(body) }));
    }).on("error", reject);
  });
}

const member = await temporaryCredentials(config.idToken);
const guest = await temporaryCredentials();
await step("signed in", () => send(member));
await step("guest", () => send(guest));
await step("altered path", () => send(member, (o) => (o.path += "?as=admin")));
await step("without the session token", () => send({ ...member, sessionToken: undefined }));
// The same, presigned: the signature and the session token in the query.
const query = { signQuery: true };
await step("presigned", () => send(member, () => {}, query));
await step("presigned guest", () => send(guest, () => {}, query));
await step("presigned, altered", () => send(member, (o) => (o.path += "&as=admin"), query));
await step("presigned, another token", () => send({ ...member, sessionToken: guest.sessionToken }, () => {}, query));
await step("presigned, a second signature", () => send(member, (o) => (o.headers.Authorization = "Bearer x"), query));
done();
