// Answers a constant.
exports.handler = async () => ({ statusCode: 200, headers: { "Content-Type": "application/json" }, body: '{"ok":true}' });
