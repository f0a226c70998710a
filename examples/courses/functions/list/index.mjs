// GET /courses: the courses of the signed-in user. The gateway has verified the token; its claims
// come with the event.
export const handler = async (event) => {
  const claims = event.requestContext.authorizer.claims;
  return {
    statusCode: 200,
    body: JSON.stringify({
      courses: [{ id: "moats", title: "Moats and bridges" }],
      reader: { sub: claims.sub, email: claims.email, groups: claims["cognito:groups"] ?? null },
      stage: event.requestContext.stage,
      requestId: event.requestContext.requestId,
    }),
  };
};
