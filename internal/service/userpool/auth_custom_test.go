package userpool

import (
	"errors"
	"strings"
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// customPool asks for a word, at most three times, and after SRP where that begins.
func (h *house) customPool() (poolID, clientID, quietID string) {
	define := h.function("define", func(ev map[string]any) (any, error) {
		session, _ := at(ev, "request", "session").([]any)
		if len(session) == 0 {
			return object{"challengeName": "CUSTOM_CHALLENGE", "issueTokens": false, "failAuthentication": false}, nil
		}
		last := session[len(session)-1].(map[string]any)
		switch {
		case last["challengeName"] == "SRP_A":
			return object{"challengeName": "PASSWORD_VERIFIER"}, nil
		case last["challengeName"] == "CUSTOM_CHALLENGE" && last["challengeResult"] == true:
			if last["challengeMetadata"] != "WORD" {
				return nil, errors.New("metadata lost")
			}
			return object{"issueTokens": true}, nil
		case len(session) >= 3:
			return object{"failAuthentication": true}, nil
		}
		return object{"challengeName": "CUSTOM_CHALLENGE"}, nil
	})
	create := h.function("create", func(map[string]any) (any, error) {
		return object{"publicChallengeParameters": object{"hint": "four letters"}, "privateChallengeParameters": object{"word": "moat"}, "challengeMetadata": "WORD"}, nil
	})
	verify := h.function("verify", func(ev map[string]any) (any, error) {
		return object{"answerCorrect": at(ev, "request", "challengeAnswer") == at(ev, "request", "privateChallengeParameters", "word")}, nil
	})
	poolID, clientID = h.triggered(api.LambdaConfigType{DefineAuthChallenge: define, CreateAuthChallenge: create, VerifyAuthChallengeResponse: verify})
	quietID = *h.newClient(poolID, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = []api.ExplicitAuthFlowsType{"ALLOW_CUSTOM_AUTH"}
		in.PreventUserExistenceErrors = "ENABLED"
	}).ClientId
	return poolID, clientID, quietID
}

func (h *house) custom(clientID, name string, more ...string) (*api.InitiateAuthResponse, error) {
	params := map[string]string{"USERNAME": name}
	for i := 0; i < len(more); i += 2 {
		params[more[i]] = more[i+1]
	}
	return h.c.InitiateAuth(h.t.Context(), &api.InitiateAuthRequest{AuthFlow: "CUSTOM_AUTH", ClientId: clientID, AuthParameters: params})
}

func TestService_customAuth(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, quiet := h.customPool()
	h.member(pool, "ann")
	first := must[*api.InitiateAuthResponse](t)(h.custom(client, "ann"))
	if first.ChallengeName != "CUSTOM_CHALLENGE" || first.ChallengeParameters["hint"] != "four letters" || first.ChallengeParameters["word"] != "" || first.ChallengeParameters["USERNAME"] != "ann" {
		t.Fatalf("got %+v", first)
	}
	second := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "CUSTOM_CHALLENGE", first.Session, "USERNAME", "ann", "ANSWER", "wall"))
	if second.AuthenticationResult != nil || second.ChallengeName != "CUSTOM_CHALLENGE" {
		t.Fatalf("got %+v", second)
	}
	_, err := h.answer(client, "CUSTOM_CHALLENGE", first.Session, "USERNAME", "ann", "ANSWER", "moat")
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	out := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "CUSTOM_CHALLENGE", second.Session, "USERNAME", "ann", "ANSWER", "moat"))
	h.claims(out.AuthenticationResult.IdToken)

	// The functions fail it after three wrong answers.
	again := must[*api.InitiateAuthResponse](t)(h.custom(client, "ann")).Session
	for range 2 {
		again = must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "CUSTOM_CHALLENGE", again, "USERNAME", "ann", "ANSWER", "wall")).Session
	}
	_, err = h.answer(client, "CUSTOM_CHALLENGE", again, "USERNAME", "ann", "ANSWER", "wall")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")

	// Somebody unknown is asked, too, and never let in.
	_, err = h.custom(client, "nobody")
	want(t, err, "UserNotFoundException", "")
	nobody := must[*api.InitiateAuthResponse](t)(h.custom(quiet, "nobody"))
	_, err = h.answer(quiet, "CUSTOM_CHALLENGE", nobody.Session, "USERNAME", "nobody", "ANSWER", "moat")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
}

func TestService_customAuth_srp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.customPool()
	h.member(pool, "ann")
	run := func(password string) (*api.RespondToAuthChallengeResponse, error) {
		c := h.srp(pool, client)
		first := must[*api.InitiateAuthResponse](t)(h.custom(client, "ann", "SRP_A", c.srp.Public(), "CHALLENGE_NAME", "SRP_A"))
		if first.ChallengeName != "PASSWORD_VERIFIER" {
			t.Fatalf("got %+v", first)
		}
		return c.finish(c.proof(first.ChallengeParameters, password))
	}
	_, err := run("Wrong-horse-77")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	second := must[*api.RespondToAuthChallengeResponse](t)(run(goodPass))
	if second.AuthenticationResult != nil || second.ChallengeName != "CUSTOM_CHALLENGE" {
		t.Fatalf("got %+v", second)
	}
	out := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "CUSTOM_CHALLENGE", second.Session, "USERNAME", "ann", "ANSWER", "moat"))
	h.claims(out.AuthenticationResult.IdToken)
}

func TestService_customAuth_refused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.customPool()
	h.member(pool, "ann")
	bare, _ := h.triggered(api.LambdaConfigType{})
	without := *h.newClient(bare, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = []api.ExplicitAuthFlowsType{"ALLOW_CUSTOM_AUTH"}
	}).ClientId
	h.member(bare, "ann")
	_, err := h.custom(without, "ann")
	want(t, err, "InvalidUserPoolConfigurationException", "Custom auth lambda trigger is not configured for the user pool.")
	must[*api.AdminDisableUserResponse](t)(h.c.AdminDisableUser(t.Context(), &api.AdminDisableUserRequest{UserPoolId: pool, Username: "ann"}))
	_, err = h.custom(client, "ann")
	want(t, err, "NotAuthorizedException", "User is disabled.")
	must[*api.AdminEnableUserResponse](t)(h.c.AdminEnableUser(t.Context(), &api.AdminEnableUserRequest{UserPoolId: pool, Username: "ann"}))
	// Wrong answers count as failed sign-ins, in this flow and in every other.
	for range freeFailures {
		first := must[*api.InitiateAuthResponse](t)(h.custom(client, "ann"))
		must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "CUSTOM_CHALLENGE", first.Session, "USERNAME", "ann", "ANSWER", "wall"))
	}
	_, err = h.custom(client, "ann")
	want(t, err, "NotAuthorizedException", "Password attempts exceeded")
	_, err = h.signIn(client, "ann", goodPass)
	want(t, err, "NotAuthorizedException", "Password attempts exceeded")
}

// A second factor that the pool demands is demanded after a custom challenge as well.
func TestService_customAuth_thenMFA(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.customPool()
	h.member(pool, "ann", "phone_number", "+4915112345678", "phone_number_verified", "true")
	h.setMFA(pool, "ON")
	first := must[*api.InitiateAuthResponse](t)(h.custom(client, "ann"))
	second := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "CUSTOM_CHALLENGE", first.Session, "USERNAME", "ann", "ANSWER", "moat"))
	if second.AuthenticationResult != nil || second.ChallengeName != "SMS_MFA" {
		t.Fatalf("got %+v", second)
	}
	out := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SMS_MFA", second.Session, "USERNAME", "ann", "SMS_MFA_CODE", h.box.last(t).Code))
	if out.AuthenticationResult == nil || wire.Value(out.AuthenticationResult.IdToken) == "" {
		t.Errorf("got %+v", out)
	}
}

// What functions keep for themselves, and a name as long as it may be, still make a session
// that comes back; what is too long for any is told at once.
func TestService_customAuth_longSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	secret := ""
	define := h.function("define", func(ev map[string]any) (any, error) {
		session, _ := at(ev, "request", "session").([]any)
		return object{"challengeName": "CUSTOM_CHALLENGE", "issueTokens": len(session) > 0}, nil
	})
	create := h.function("create", func(map[string]any) (any, error) {
		return object{"privateChallengeParameters": object{"word": secret}}, nil
	})
	verify := h.function("verify", func(ev map[string]any) (any, error) {
		return object{"answerCorrect": at(ev, "request", "privateChallengeParameters", "word") == secret}, nil
	})
	pool, client := h.triggered(api.LambdaConfigType{DefineAuthChallenge: define, CreateAuthChallenge: create, VerifyAuthChallengeResponse: verify})
	name := strings.Repeat("\u540d", 128)
	h.member(pool, name)
	secret = strings.Repeat("a long secret", 400)
	out := must[*api.InitiateAuthResponse](t)(h.custom(client, name))
	done := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "CUSTOM_CHALLENGE", out.Session, "USERNAME", name, "ANSWER", "x"))
	h.claims(done.AuthenticationResult.IdToken)
	secret = strings.Repeat("a long secret", 1000)
	_, err := h.custom(client, name)
	want(t, err, "InvalidLambdaResponseException", "Unrecognizable lambda output")
}
