// A client of one deployed API, for browsers and Node.js. It needs nothing but fetch and
// WebCrypto, which both have.
(function (root, factory) {
  "use strict";
  var made = factory(root);
  if (typeof module === "object" && module.exports) module.exports = { apigClientFactory: made };
  root.apigClientFactory = made;
})(typeof globalThis !== "undefined" ? globalThis : this, function (root) {
  "use strict";

  var api = /*facts*/;
  var routes = [/*routes*/];

  var encoder = new TextEncoder();

  // The characters that RFC 3986 reserves nothing for; encodeURIComponent leaves five more.
  function escape(text) {
    return encodeURIComponent(text).replace(/[!'()*]/g, function (c) { return "%" + c.charCodeAt(0).toString(16).toUpperCase(); });
  }

  function present(value) { return value !== undefined && value !== null && value !== ""; }

  // A URL loses "." and ".." wherever they stand alone in a path, also when they are escaped:
  // as a parameter they would lead to another route.
  function segment(name, value) {
    if (/^(\.|%2e){1,2}$/i.test(value)) throw new Error("The parameter " + name + " cannot be " + value);
    return escape(value);
  }

  function expand(route, params) {
    return route.path.replace(/\{([^{}+]+)(\+?)\}/g, function (_, name, greedy) {
      var value = String(params[name]);
      return greedy ? value.split("/").map(function (part) { return segment(name, part); }).join("/") : segment(name, value);
    }).split("/").map(function (part) { return part.replace(/[^A-Za-z0-9\-._~%]/g, escape); }).join("/");
  }

  function subtle() {
    var crypto = root.crypto;
    if (!(crypto && crypto.subtle) && typeof require === "function") crypto = require("crypto").webcrypto;
    if (!(crypto && crypto.subtle)) throw new Error("Requests can be signed only where WebCrypto is: on pages from https or from localhost");
    return crypto.subtle;
  }

  function hex(buffer) {
    return Array.from(new Uint8Array(buffer), function (b) { return b.toString(16).padStart(2, "0"); }).join("");
  }

  async function digest(bytes) { return hex(await subtle().digest("SHA-256", bytes)); }

  async function hmac(key, text) {
    var imported = await subtle().importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return new Uint8Array(await subtle().sign("HMAC", imported, encoder.encode(text)));
  }

  // AWS Signature Version 4 for the service execute-api.
  async function sign(config, request, now) {
    var stamp = now.toISOString().replace(/[-:]|\.\d{3}/g, "");
    var scope = [stamp.slice(0, 8), config.region, "execute-api", "aws4_request"];
    var signed = { host: request.url.host, "x-amz-date": stamp };
    if (present(config.sessionToken)) signed["x-amz-security-token"] = config.sessionToken;
    var names = Object.keys(signed).sort();
    var canonical = [
      request.verb,
      request.url.pathname.split("/").map(escape).join("/"),
      request.pairs.map(function (p) { return escape(p[0]) + "=" + escape(p[1]); }).sort().join("&"),
      names.map(function (n) { return n + ":" + signed[n] + "\n"; }).join(""),
      names.join(";"),
      await digest(request.bytes),
    ].join("\n");
    var text = ["AWS4-HMAC-SHA256", stamp, scope.join("/"), await digest(encoder.encode(canonical))].join("\n");
    var key = encoder.encode("AWS4" + config.secretKey);
    for (var part of scope) key = await hmac(key, part);
    request.headers["x-amz-date"] = stamp;
    if (signed["x-amz-security-token"]) request.headers["x-amz-security-token"] = config.sessionToken;
    request.headers.authorization = "AWS4-HMAC-SHA256 Credential=" + config.accessKey + "/" + scope.join("/") +
      ", SignedHeaders=" + names.join(";") + ", Signature=" + hex(await hmac(key, text));
  }

  async function bytesOf(body) {
    if (!present(body) || (Object.getPrototypeOf(body) === Object.prototype && Object.keys(body).length === 0)) return new Uint8Array(0);
    if (typeof body === "string") return encoder.encode(body);
    if (body instanceof ArrayBuffer) return new Uint8Array(body);
    if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
    if (typeof Blob !== "undefined" && body instanceof Blob) return new Uint8Array(await body.arrayBuffer());
    return encoder.encode(JSON.stringify(body));
  }

  function setHeader(headers, name, value) { headers[name.toLowerCase()] = String(value); }

  async function build(config, route, params, body, more) {
    var missing = route.required.filter(function (name) { return !present(params[name]); });
    if (missing.length) throw new Error("Missing required parameters: " + missing.join(", "));
    var request = { verb: route.verb, headers: {}, pairs: [], bytes: await bytesOf(body) };
    request.url = new URL(config.invokeUrl.replace(/\/+$/, "") + expand(route, params));
    var add = function (name, value) {
      [].concat(value).forEach(function (v) { if (v !== undefined && v !== null) request.pairs.push([name, String(v)]); });
    };
    route.query.forEach(function (name) { if (present(params[name])) add(name, params[name]); });
    Object.keys(more.queryParams || {}).forEach(function (name) { add(name, more.queryParams[name]); });
    request.url.search = request.pairs.map(function (p) { return escape(p[0]) + "=" + escape(p[1]); }).join("&");
    setHeader(request.headers, "accept", config.defaultAcceptType);
    if (request.bytes.length) setHeader(request.headers, "content-type", config.defaultContentType);
    route.headers.forEach(function (name) { if (present(params[name])) setHeader(request.headers, name, params[name]); });
    if (present(config.apiKey)) setHeader(request.headers, "x-api-key", config.apiKey);
    Object.keys(more.headers || {}).forEach(function (name) { setHeader(request.headers, name, more.headers[name]); });
    return request;
  }

  async function answer(response, more) {
    var headers = {};
    response.headers.forEach(function (value, name) { headers[name] = value; });
    var result = { status: response.status, statusText: response.statusText, headers: headers, data: undefined };
    if (more.responseType === "arraybuffer") {
      result.data = await response.arrayBuffer();
      return result;
    }
    result.data = await response.text();
    if (/[/+]json\b/i.test(headers["content-type"] || "")) {
      try { result.data = JSON.parse(result.data); } catch (e) { /* it says JSON and is none: the text stays */ }
    }
    return result;
  }

  function failure(message, result) {
    var error = new Error(message);
    if (result) Object.assign(error, { status: result.status, statusText: result.statusText, headers: result.headers, data: result.data, response: result });
    return error;
  }

  // A request that was refused for its rate has done nothing and may be sent again; one that
  // may have done something only where doing it twice is doing it once (RFC 9110, 9.2.2).
  var idempotent = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"];
  function again(route, status) {
    return status === 429 || ([undefined, 502, 503, 504].includes(status) && idempotent.includes(route.verb));
  }

  function pause(attempt) {
    return new Promise(function (done) { setTimeout(done, Math.random() * Math.min(5000, 100 * Math.pow(2, attempt))); });
  }

  async function call(config, route, params, body, more) {
    params = params || {};
    more = more || {};
    for (var attempt = 0; ; attempt++) {
      var request = await build(config, route, params, body, more);
      if (route.signed && present(config.accessKey) && present(config.secretKey)) await sign(config, request, new Date(Date.now() + config.systemClockOffset));
      var result, problem;
      try {
        var response = await config.fetch(request.url.href, {
          method: request.verb, headers: request.headers, signal: more.signal,
          body: request.bytes.length && request.verb !== "GET" && request.verb !== "HEAD" ? request.bytes : undefined,
        });
        result = await answer(response, more);
        problem = undefined;
      } catch (e) {
        result = undefined;
        problem = e;
      }
      if (result && result.status >= 200 && result.status < 300) return result;
      var aborted = more.signal && more.signal.aborted;
      if (aborted || attempt >= config.retries || !again(route, result && result.status)) {
        if (problem) throw problem;
        throw failure("Request failed with status code " + result.status, result);
      }
      await pause(attempt);
    }
  }

  return {
    newClient: function (given) {
      var config = Object.assign({
        accessKey: "", secretKey: "", sessionToken: "", region: "", apiKey: undefined, defaultContentType: "application/json", defaultAcceptType: "application/json",
        systemClockOffset: 0, retries: 3, invokeUrl: "",
      }, given);
      config.region = config.region || api.region;
      config.invokeUrl = config.invokeUrl || api.endpoint;
      config.fetch = config.fetch || root.fetch.bind(root);
      var client = {};
      routes.forEach(function (route) {
        client[route.name] = function (params, body, additionalParams) { return call(config, route, params, body, additionalParams); };
      });
      return client;
    },
  };
});
