// An API as claudia deploys it: a route for the users of a pool, and answers of its own.
const ApiBuilder = require("claudia-api-builder");

const api = new ApiBuilder();
const greeting = "good morning";

api.registerAuthorizer("pool", { providerARNs: ["POOL_ARN"] });
api.setGatewayResponse("UNAUTHORIZED", {
  responseParameters: { "gatewayresponse.header.x-sign-in": "'please'" },
  responseTemplates: { "application/json": '{"no":$context.error.messageString}' },
});
api.get("/member/{id}", (request) => ({ greeting, id: request.pathParams.id, email: request.context.authorizer.claims.email, stage: request.context.stage }), { cognitoAuthorizer: "pool" });
api.get("/teapot", () => new api.ApiResponse("short and stout", { "Content-Type": "text/plain" }, 418));

module.exports = api;
