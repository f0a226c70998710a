const courses = [
  { id: "moats", title: "Moats and bridges" },
  { id: "keys", title: "Keys and locks" },
  { id: "ledgers", title: "Ledgers that survive a fire" },
];

// GET /catalog: for partners with an API key.
export const handler = async (event) => ({
  statusCode: 200,
  body: JSON.stringify({ courses, partner: event.requestContext.identity.apiKeyId }),
});
