// The generated client, in Node.js and in Chromium: the same calls, the same answers.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { config, done, step } from "./lib.mjs";

const may = { accessKey: config.mayKey, secretKey: config.maySecret };
const calls = {
  open: [{}, "openIdGet", [{ id: "a b", q: "1&2" }]],
  signed: [may, "signedProxyGet", [{ proxy: "x" }]],
  "signed, strange characters": [may, "signedProxyGet", [{ proxy: "a:b@c/é ü+*'()!$,=~", q: "ä / + %20 &=*'()!" }, undefined, { queryParams: { z: ["2", "1"], empty: "" } }]],
  "signed, a body": [may, "signedProxyPost", [{ proxy: "x" }, { text: "é" }]],
  refused: [{ accessKey: config.mayNotKey, secretKey: config.mayNotSecret }, "signedProxyGet", [{ proxy: "x" }]],
  "wrong secret": [{ accessKey: config.mayKey, secretKey: config.mayNotSecret }, "signedProxyGet", [{ proxy: "x" }]],
  "no credentials": [{}, "signedProxyGet", [{ proxy: "x" }]],
  keyed: [{ apiKey: config.key }, "keyedGet", []],
  "no key": [{}, "keyedGet", []],
  "wrong key": [{ apiKey: "x".repeat(40) }, "keyedGet", []],
};

// use makes one call; what the API refused is an answer as well.
const use = `async (factory, settings, name, args) => {
  try { return await factory.newClient(settings)[name](...args); }
  catch (e) { if (!e.response) throw e; return e.response; }
}`;

const { apigClientFactory } = createRequire(import.meta.url)(config.client);
const inNode = (0, eval)(use);
for (const [name, [settings, f, args]] of Object.entries(calls)) {
  await step("node: " + name, () => inNode(apigClientFactory, { invokeUrl: config.api, ...settings }, f, args));
}

const script = await readFile(config.client);
const server = createServer((request, response) => {
  if (request.url === "/apigClient.js") response.setHeader("content-type", "text/javascript").end(script);
  else response.setHeader("content-type", "text/html").end('<!doctype html><title>client</title><script src="/apigClient.js"></script>');
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const browser = await chromium.launch({
  executablePath: config.chromium,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`http://localhost:${server.address().port}/`);
  const inBrowser = (settings, f, args) => page.evaluate(([use, s, f, a]) => (0, eval)(use)(apigClientFactory, s, f, a), [use, settings, f, args]);
  for (const [name, [settings, f, args]] of Object.entries(calls)) {
    await step("browser: " + name, () => inBrowser({ invokeUrl: config.api, ...settings }, f, args));
  }
  await step("browser: own address", () => inBrowser(may, "signedProxyGet", [{ proxy: "x" }]));
} finally {
  await browser.close();
  server.close();
}
done();
