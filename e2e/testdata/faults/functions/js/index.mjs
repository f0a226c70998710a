export const good = async () => ({ statusCode: 200, body: "{}" });
export const throws = async () => { throw new RangeError("out of moats"); };
export const exits = async () => process.exit(3);
export const slow = () => new Promise((resolve) => setTimeout(() => resolve({ statusCode: 200, body: "{}" }), 3000));
export const text = async () => "just text";
export const extra = async () => ({ statusCode: 200, body: "{}", nonsense: true });
export const badStatus = async () => ({ statusCode: "fine", body: "{}" });
export const patient = () => new Promise((resolve) => setTimeout(() => resolve({ statusCode: 200, body: "{}" }), 2000));
