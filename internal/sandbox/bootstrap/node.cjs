// The runtime of Node.js functions: it loads the handler and carries invocations between
// it and the Lambda Runtime API, over one kept-alive connection without Node's own HTTP
// client, which costs several times as much as the rest.
'use strict';
const net = require('net');
const path = require('path');
const fs = require('fs');
const util = require('util');
const { pathToFileURL } = require('url');

const [, HOST, PORT, BASE] = /^(.*?):(\d+)(\/.*)?$/.exec(process.env.AWS_LAMBDA_RUNTIME_API);
const PREFIX = (BASE || '') + '/2018-06-01/runtime/';
const TASK_ROOT = process.env.LAMBDA_TASK_ROOT;
const env = process.env;
const stringify = JSON.stringify;

// --- the connection: requests go out in order, answers come back in order ---

let socket;
const awaiting = []; // one callback per request that has no answer yet
let chunks = [];
let buffered = 0;
let need = 0; // how many bytes make the next step worth while

function connect(then) {
  socket = net.connect({ host: HOST, port: Number(PORT), noDelay: true }, then);
  socket.on('data', received);
  // Without its Runtime API a runtime has nothing left to do.
  socket.on('close', () => process.exit(1));
  socket.on('error', () => process.exit(1));
}

function received(chunk) {
  chunks.push(chunk);
  buffered += chunk.length;
  while (buffered >= need && buffered > 0) {
    if (chunks.length > 1) chunks = [Buffer.concat(chunks, buffered)];
    const buf = chunks[0];
    const end = buf.indexOf('\r\n\r\n');
    if (end < 0) { need = buffered + 1; return; }
    const head = buf.latin1Slice(0, end).split('\r\n');
    const headers = {};
    for (let i = 1; i < head.length; i++) {
      const colon = head[i].indexOf(':');
      headers[head[i].slice(0, colon).toLowerCase()] = head[i].slice(colon + 1).trim();
    }
    const total = end + 4 + Number(headers['content-length'] || 0);
    if (buffered < total) { need = total; return; }
    const body = buf.subarray(end + 4, total);
    chunks = buffered > total ? [buf.subarray(total)] : [];
    buffered -= total;
    need = 0;
    awaiting.shift()(Number(head[0].slice(9, 12)), headers, body);
  }
}

function request(method, target, headers, body, answered) {
  let head = `${method} ${PREFIX}${target} HTTP/1.1\r\nHost: ${HOST}:${PORT}\r\n${headers}`;
  if (body !== undefined) head += `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  awaiting.push(answered);
  socket.write(body !== undefined ? head + '\r\n' + body : head + '\r\n');
}

const ignore = () => {};

// --- errors, as Lambda describes them ---

function describe(error) {
  if (error instanceof Error || util.types.isNativeError(error)) {
    return {
      errorType: String(error.name || 'Error').replace(/\x7f/g, '%7F'),
      errorMessage: String(error.message).replace(/\x7f/g, '%7F'),
      trace: String(error.stack || '').replace(/\x7f/g, '%7F').split('\n'),
    };
  }
  let text;
  try { text = error === undefined ? 'undefined' : error === null ? 'null' : error.toString(); } catch { text = 'Unknown error'; }
  return { errorType: typeof error, errorMessage: text, trace: [] };
}

// loggable adds what an error carries besides its name and message.
function loggable(error) {
  try {
    if (error instanceof Error) {
      const d = describe(error);
      return '\t' + stringify(Object.assign({ errorType: d.errorType, errorMessage: d.errorMessage }, error, { stack: d.trace }));
    }
    return '\t' + stringify(describe(error));
  } catch {
    return '\t' + stringify(describe(error));
  }
}

class RuntimeFailure extends Error {
  constructor(name, message, cause) {
    super(message);
    this.name = 'Runtime.' + name;
    if (cause && cause.stack) this.stack = this.name + ': ' + message + '\n' + String(cause.stack).split('\n').slice(1).join('\n');
  }
}

// --- the log: time, request and level before each message, as one line ---

let currentID;

function patchConsole() {
  const out = (level) => (...args) => {
    const text = util.format(...args).replace(/\n/g, '\r');
    process.stdout.write(`${new Date().toISOString()}\t${currentID}\t${level}\t${text}\n`);
  };
  console.log = out('INFO');
  console.info = out('INFO');
  console.warn = out('WARN');
  console.error = out('ERROR');
  console.debug = out('DEBUG');
  console.trace = out('TRACE');
  console.fatal = out('FATAL');
}

// --- the handler ---

async function load() {
  const name = env._HANDLER || '';
  if (name.includes('..')) throw new RuntimeFailure('MalformedHandlerName', `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  const base = path.basename(name);
  const match = /^([^.]*)\.(.*)$/.exec(base);
  if (!match) throw new RuntimeFailure('MalformedHandlerName', 'Bad handler');
  const root = path.resolve(TASK_ROOT, name.slice(0, name.length - base.length));
  let found;
  try {
    found = await loadModule(root, match[1]);
  } catch (e) {
    if (e instanceof SyntaxError) throw new RuntimeFailure('UserCodeSyntaxError', e.toString(), e);
    if (e && (e.code === 'MODULE_NOT_FOUND' || e.code === 'ERR_MODULE_NOT_FOUND')) throw new RuntimeFailure('ImportModuleError', e.toString(), e);
    throw e;
  }
  let handler = found;
  for (const key of match[2].split('.')) handler = handler && handler[key];
  if (handler === undefined || handler === null) throw new RuntimeFailure('HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new RuntimeFailure('HandlerNotFound', `${name} is not a function`);
  return handler;
}

async function loadModule(root, name) {
  const file = path.join(root, name);
  for (const ext of ['', '.js', '.mjs', '.cjs']) {
    const full = file + ext;
    if (!isFile(full)) continue;
    if (ext === '.mjs' || (ext !== '.cjs' && isModule(full))) return await import(pathToFileURL(full).href);
    return require(full);
  }
  // A folder with an index, or a package of a layer.
  return require(require.resolve(fs.existsSync(file) ? file : './' + name, { paths: [root] }));
}

function isFile(name) {
  try { return fs.statSync(name).isFile(); } catch { return false; }
}

// isModule says whether the nearest package.json makes .js files ES modules.
function isModule(file) {
  for (let dir = path.dirname(file); ; dir = path.dirname(dir)) {
    const manifest = path.join(dir, 'package.json');
    if (isFile(manifest)) {
      try { return JSON.parse(fs.readFileSync(manifest, 'utf8')).type === 'module'; } catch { return false; }
    }
    if (dir === TASK_ROOT || dir === path.dirname(dir)) return false;
  }
}

// --- invocations ---

let handler;
let invocation; // the one under way

function next() {
  request('GET', 'invocation/next', '', undefined, begin);
}

function begin(status, headers, body) {
  if (status !== 200) process.exit(1);
  const id = headers['lambda-runtime-aws-request-id'];
  currentID = id;
  const trace = headers['lambda-runtime-trace-id'];
  if (trace) env._X_AMZN_TRACE_ID = trace; else delete env._X_AMZN_TRACE_ID;
  const inv = { id, waits: true, finished: false, later: undefined };
  invocation = inv;
  // From here on only what the function does keeps the event loop alive.
  socket.unref();
  let event;
  try {
    event = JSON.parse(body.utf8Slice());
  } catch (e) {
    finish(inv, e);
    return;
  }
  const answer = (err, data) => finish(inv, err, data);
  const callback = (err, data) => {
    if (inv.finished || inv.later) return;
    if (inv.waits && (err === undefined || err === null)) inv.later = () => answer(err, data);
    else answer(err, data);
  };
  try {
    const result = handler(event, makeContext(inv, headers, answer), callback);
    if (result !== null && typeof result === 'object' && typeof result.then === 'function') {
      result.then((data) => finish(inv, null, data, true), (err) => finish(inv, err === undefined || err === null ? new Error(String(err)) : err, undefined, true));
    }
  } catch (e) {
    answer(e === undefined || e === null ? new Error(String(e)) : e);
  }
}

function makeContext(inv, headers, answer) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const parsed = (name) => (headers[name] ? JSON.parse(headers[name]) : undefined);
  return {
    get callbackWaitsForEmptyEventLoop() { return inv.waits; },
    set callbackWaitsForEmptyEventLoop(value) { inv.waits = Boolean(value); },
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parsed('lambda-runtime-client-context'),
    identity: parsed('lambda-runtime-cognito-identity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: inv.id,
    getRemainingTimeInMillis: () => deadline - Date.now(),
    succeed: (data) => answer(null, data),
    fail: (err) => answer(err === undefined || err === null ? 'handled' : err),
    done: answer,
  };
}

// finish answers an invocation once; whatever completes it later is ignored. settled says
// that the handler has returned: it cannot be in the middle of something then.
function finish(inv, err, data, settled) {
  if (inv.finished) return;
  inv.finished = true;
  invocation = undefined;
  socket.ref();
  let target = 'invocation/' + inv.id + '/response';
  let headers = '';
  let body;
  if (err === undefined || err === null) {
    try {
      body = stringify(data === undefined ? null : data);
      if (body === undefined) throw new Error();
    } catch {
      err = new Error('Unable to stringify response body');
    }
  }
  if (err !== undefined && err !== null) {
    const d = describe(err);
    process.stdout.write(`${new Date().toISOString()}\t${inv.id}\tERROR\tInvoke Error ${loggable(err).replace(/\n/g, '\r')}\n`);
    target = 'invocation/' + inv.id + '/error';
    headers = `Lambda-Runtime-Function-Error-Type: ${d.errorType.replace(/[^\x20-\x7e]/g, '')}\r\n`;
    body = stringify(d);
  }
  if (settled) { // the answer and the question for more leave in one piece
    socket.cork();
    request('POST', target, headers, body, ignore);
    next();
    socket.uncork();
    return;
  }
  request('POST', target, headers, body, ignore);
  setImmediate(next);
}

// The event loop is empty: what waited for that is answered now, and a handler that
// will never answer has answered null.
process.on('beforeExit', () => {
  const inv = invocation;
  if (inv) setImmediate(inv.later || (() => finish(inv, null, null)));
});

// die reports an error that nothing caught, and ends the process.
function die(kind, error) {
  process.stdout.write(`${new Date().toISOString()}\t${currentID}\tERROR\t${kind} ${loggable(error).replace(/\n/g, '\r')}\n`);
  const body = stringify(describe(error));
  const inv = invocation;
  if (!socket || socket.destroyed) process.exit(128);
  if (inv) inv.finished = true;
  invocation = undefined;
  socket.ref();
  const target = handler === undefined ? 'init/error' : inv ? 'invocation/' + inv.id + '/error' : undefined;
  if (!target) process.exit(129);
  request('POST', target, `Lambda-Runtime-Function-Error-Type: ${describe(error).errorType.replace(/[^\x20-\x7e]/g, '')}\r\n`, body, () => process.exit(129));
}

process.on('uncaughtException', (e) => die('Uncaught Exception', e));
process.on('unhandledRejection', (reason) => {
  const e = new RuntimeFailure('UnhandledPromiseRejection', String(reason));
  e.reason = reason;
  if (reason && reason.stack) e.stack = e.name + ': ' + String(reason) + '\n' + String(reason.stack).split('\n').slice(1).join('\n');
  die('Unhandled Promise Rejection', e);
});

patchConsole();
connect(async () => {
  try {
    handler = await load();
  } catch (e) {
    die('Uncaught Exception', e);
    return;
  }
  next();
});
