// Every trigger of a user pool, and the function behind a guarded route.

// The challenges of a custom sign-in: a word that is asked for, three times at most. One that
// begins with a password asks for the password first.
function define({ session }) {
  const last = session.at(-1);
  if (last?.challengeName === "SRP_A") return { challengeName: "PASSWORD_VERIFIER", issueTokens: false, failAuthentication: false };
  if (last?.challengeName === "CUSTOM_CHALLENGE" && last.challengeResult) return { issueTokens: true, failAuthentication: false };
  if (session.filter((s) => s.challengeName === "CUSTOM_CHALLENGE").length >= 3) return { issueTokens: false, failAuthentication: true };
  return { challengeName: "CUSTOM_CHALLENGE", issueTokens: false, failAuthentication: false };
}

const triggers = {
  PreSignUp_SignUp(event) {
    if (event.userName === "banned") throw new Error("Not that name");
    if (event.userName === "garbled") event.response = "garbled";
    else event.response.autoConfirmUser = event.userName === "quick";
  },
  DefineAuthChallenge_Authentication(event) {
    Object.assign(event.response, define(event.request));
  },
  CreateAuthChallenge_Authentication(event) {
    event.response.publicChallengeParameters = { question: `The word of ${event.userName}?`, tries: String(event.request.session.length) };
    event.response.privateChallengeParameters = { word: `${event.userName}'s word` };
    event.response.challengeMetadata = "WORD";
  },
  VerifyAuthChallengeResponse_Authentication(event) {
    event.response.answerCorrect = event.request.challengeAnswer === event.request.privateChallengeParameters.word;
  },
};

exports.handler = async (event) => {
  if (event.triggerSource.startsWith("TokenGeneration_")) {
    event.response.claimsAndScopeOverrideDetails = {
      idTokenGeneration: { claimsToAddOrOverride: { plan: "gold" }, claimsToSuppress: ["name"] },
      accessTokenGeneration: { claimsToAddOrOverride: { plan: "gold" }, scopesToAdd: ["courses/read"] },
    };
  } else triggers[event.triggerSource]?.(event);
  return event;
};

exports.claims = async (event) => ({ statusCode: 200, body: JSON.stringify(event.requestContext.authorizer.claims) });
