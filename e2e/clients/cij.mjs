// What the scripts of amazon-cognito-identity-js share.
import { createHmac } from "node:crypto";
import cognito from "amazon-cognito-identity-js";
import { config } from "./lib.mjs";

// The library asks again for six seconds when a refresh or a revocation is refused; here its waits are short.
const { setTimeout: wait } = globalThis;
globalThis.setTimeout = (f, ms, ...more) => wait(f, ms >= 100 && ms < 6000 ? ms / 50 : ms, ...more);

export const { AuthenticationDetails, CognitoRefreshToken, CognitoUser, CognitoUserAttribute, CognitoUserPool } = cognito;

// Storage of one visitor, in memory.
export class Storage {
  #items = new Map();
  setItem(k, v) { this.#items.set(k, v); }
  getItem(k) { return this.#items.get(k) ?? null; }
  removeItem(k) { this.#items.delete(k); }
  clear() { this.#items.clear(); }
}

// poolOf is a pool as a browser sees it; settings say which.
export const poolOf = (settings = config, storage = new Storage()) =>
  new CognitoUserPool({ UserPoolId: settings.pool, ClientId: settings.publicClient, endpoint: config.endpoint, Storage: storage });

// visitor is somebody with a browser of his own.
export function visitor(name, settings = config, storage = new Storage(), flow = "USER_SRP_AUTH") {
  const user = new CognitoUser({ Username: name, Pool: poolOf(settings, storage), Storage: storage });
  user.setAuthenticationFlowType(flow);
  return user;
}

const questions = ["newPasswordRequired", "mfaRequired", "totpRequired", "mfaSetup", "selectMFAType", "customChallenge", "inputVerificationCode", "associateSecretCode"];

// asked runs a method of the library that takes a set of callbacks, and gives which of them was called.
export function asked(f) {
  return new Promise((resolve, reject) => {
    const callbacks = { onSuccess: (session, confirm) => resolve({ asked: "", session, confirm: Boolean(confirm) }), onFailure: reject };
    for (const name of questions) callbacks[name] = (...args) => resolve({ asked: name, args });
    f(callbacks);
  });
}

// signIn begins a sign-in with a password.
export const signIn = (user, password, metadata) =>
  asked((cb) => user.authenticateUser(new AuthenticationDetails({ Username: user.getUsername(), Password: password, ClientMetadata: metadata }), cb));

// totp is the code of a software token, RFC 6238, some steps from now.
export function totp(secret, steps = 0) {
  const bits = [...secret].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac("sha1", key).update(counter).digest();
  return String((mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

// other is a code of the same length that is not the given one.
export const other = (code) => String((Number(code) + 1) % 10 ** code.length).padStart(code.length, "0");

export const attributes = (of) => Object.entries(of).map(([Name, Value]) => new CognitoUserAttribute({ Name, Value }));
