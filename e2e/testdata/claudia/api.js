// An API as claudia deploys it: a route for everyone, one for the signed, one for key holders.
const ApiBuilder = require("claudia-api-builder");

const api = new ApiBuilder();
const greeting = "good morning";

api.get("/open", (request) => ({ greeting, name: request.queryString.name }));
api.get("/signed", (request) => ({ greeting, caller: request.context.userArn }), { authorizationType: "AWS_IAM" });
api.get("/keyed", () => ({ greeting }), { apiKeyRequired: true });

module.exports = api;
