// amazon-cognito-identity-js: devices that are remembered.
import { Storage, asked, signIn, visitor } from "./cij.mjs";
import { config, done, freshCode, step } from "./lib.mjs";

const { password } = config;
const browser = new Storage();
const at = (storage = browser) => visitor("dora", config, storage);
const list = async (user) => (await asked((cb) => user.listDevices(10, null, cb))).session.Devices;
const state = (device) => device.DeviceAttributes.find((a) => a.Name === "device_status")?.Value ?? device.DeviceAttributes.map((a) => a.Name).join();

// The first sign-in: the library gives the device a secret, the user is asked whether to remember it.
const here = at();
await step("first sign-in", async () => (await signIn(here, password)).asked);
await step("first code, wrong", () => asked((cb) => here.sendMFACode("000000", cb)));
const code = await freshCode("+15550102");
await step("first code", async () => ({ ...(await asked((cb) => here.sendMFACode(code, cb))), session: undefined }));
await step("devices", async () => ({ count: (await list(here)).length, same: (await list(here))[0].DeviceKey === here.deviceKey }));
await step("device", async () => state((await asked((cb) => here.getDevice(cb))).session.Device));
await step("code, not remembered", async () => (await signIn(at(), password)).asked);
await freshCode("+15550102");
await step("remember", async () => (await asked((cb) => here.setDeviceStatusRemembered(cb))).session);
await step("refresh", () => asked((cb) => here.refreshSession(here.getSignInUserSession().getRefreshToken(), (err, s) => (err ? cb.onFailure(err) : cb.onSuccess(s.isValid())))));

// A remembered device proves itself and stands for the second factor.
await step("remembered", async () => {
  const user = at();
  const { asked: what } = await signIn(user, password);
  return { what, same: user.deviceKey === here.deviceKey, device: user.getSignInUserSession().getAccessToken().payload.device_key === here.deviceKey };
});
await step("remembered, wrong password", () => signIn(at(), "Wrong-Horse-7-Battery"));
await step("another browser", async () => (await signIn(at(new Storage()), password)).asked);
await freshCode("+15550102");
await step("stolen key", async () => {
  const storage = new Storage();
  const user = visitor("dora", config, storage);
  Object.assign(user, { deviceKey: here.deviceKey, deviceGroupKey: here.deviceGroupKey, randomPassword: "a guess" });
  user.getCachedDeviceKeyAndPassword = () => {};
  return (await signIn(user, password)).asked;
});
await step("not remembered", async () => (await asked((cb) => here.setDeviceStatusNotRemembered(cb))).session);
await step("not remembered, sign-in", async () => (await signIn(at(), password)).asked);
await freshCode("+15550102");

// A device that was forgotten elsewhere: the library goes on without it.
await step("forget, unknown device", () => asked((cb) => here.forgetSpecificDevice("us-east-1_00000000-0000-0000-0000-000000000000", cb)));
const there = at(new Storage());
await signIn(there, password);
const again = await freshCode("+15550102");
await asked((cb) => there.sendMFACode(again, cb));
await step("forget", async () => (await asked((cb) => there.forgetSpecificDevice(here.deviceKey, cb))).session);
await step("forgotten", () => asked((cb) => there.getDevice.call(Object.assign(Object.create(there), { deviceKey: here.deviceKey }), cb)));
await step("forgotten, attributes", () => list(here));
await step("forgotten, sign-in", async () => {
  const user = at();
  const { asked: what } = await signIn(user, password);
  return { what, key: user.deviceKey ?? "" };
});
await step("forget own", async () => ({ said: (await asked((cb) => there.forgetDevice(cb))).session, key: there.deviceKey ?? "" }));
done();
