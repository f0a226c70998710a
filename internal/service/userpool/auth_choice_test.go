package userpool

import (
	"slices"
	"testing"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// choicePool lets users in by password and by code.
func (h *house) choicePool() (poolID, clientID, quietID string) {
	poolID = h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes = nil
		in.AutoVerifiedAttributes = []api.VerifiedAttributeType{"email"}
		in.Policies.SignInPolicy = &api.SignInPolicyType{AllowedFirstAuthFactors: []api.AuthFactorType{"PASSWORD", "EMAIL_OTP", "SMS_OTP"}}
	})
	by := func(hide api.PreventUserExistenceErrorTypes) string {
		return *h.newClient(poolID, func(in *api.CreateUserPoolClientRequest) {
			in.ExplicitAuthFlows, in.PreventUserExistenceErrors = []api.ExplicitAuthFlowsType{"ALLOW_USER_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}, hide
		}).ClientId
	}
	return poolID, by("LEGACY"), by("ENABLED")
}

func (h *house) choose(clientID, name string, more ...string) (*api.InitiateAuthResponse, error) {
	params := map[string]string{"USERNAME": name}
	for i := 0; i < len(more); i += 2 {
		params[more[i]] = more[i+1]
	}
	return h.c.InitiateAuth(h.t.Context(), &api.InitiateAuthRequest{AuthFlow: "USER_AUTH", ClientId: clientID, AuthParameters: params})
}

func TestService_choice(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.choicePool()
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")

	first := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann"))
	if first.ChallengeName != "SELECT_CHALLENGE" || !slices.Equal(first.AvailableChallenges, []api.ChallengeNameType{"PASSWORD", "PASSWORD_SRP", "EMAIL_OTP"}) {
		t.Fatalf("got %+v", first)
	}
	_, err := h.answer(client, "SELECT_CHALLENGE", first.Session, "USERNAME", "ann", "ANSWER", "SMS_OTP")
	want(t, err, "InvalidParameterException", "")
	_, err = h.answer(client, "SELECT_CHALLENGE", first.Session, "USERNAME", "ann", "ANSWER", "WEB_AUTHN")
	want(t, err, "InvalidParameterException", "")
	_, err = h.answer(client, "SELECT_CHALLENGE", first.Session, "USERNAME", "ann", "ANSWER", "PASSWORD", "PASSWORD", "Wrong-horse-77")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	_, err = h.answer(client, "SELECT_CHALLENGE", first.Session, "USERNAME", "ann", "ANSWER", "PASSWORD", "PASSWORD", goodPass)
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")

	first = must[*api.InitiateAuthResponse](t)(h.choose(client, "ann"))
	out := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SELECT_CHALLENGE", first.Session, "USERNAME", "ann", "ANSWER", "PASSWORD", "PASSWORD", goodPass))
	h.claims(out.AuthenticationResult.IdToken)

	first = must[*api.InitiateAuthResponse](t)(h.choose(client, "ann"))
	second := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SELECT_CHALLENGE", first.Session, "USERNAME", "ann", "ANSWER", "EMAIL_OTP"))
	if second.AuthenticationResult != nil || second.ChallengeName != "EMAIL_OTP" {
		t.Fatalf("got %+v", second)
	}
	code := h.box.last(t).Code
	_, err = h.answer(client, "EMAIL_OTP", second.Session, "USERNAME", "ann", "EMAIL_OTP_CODE", wrongCode(code))
	want(t, err, "CodeMismatchException", "Invalid code or auth state for the user.")
	out = must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "EMAIL_OTP", second.Session, "USERNAME", "ann", "EMAIL_OTP_CODE", code))
	h.claims(out.AuthenticationResult.IdToken)
}

func TestService_choice_preferred(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.choicePool()
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	if out := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", goodPass)); out.AuthenticationResult == nil {
		t.Errorf("got %+v", out)
	}
	_, err := h.choose(client, "ann", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", "Wrong-horse-77")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	if out := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann", "PREFERRED_CHALLENGE", "EMAIL_OTP")); out.ChallengeName != "EMAIL_OTP" {
		t.Errorf("got %+v", out)
	}
	if out := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann", "PREFERRED_CHALLENGE", "SMS_OTP")); out.ChallengeName != "SELECT_CHALLENGE" {
		t.Errorf("what cannot be had is not replaced by a choice: %+v", out)
	}
	c := h.srp(pool, client)
	first := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann", "PREFERRED_CHALLENGE", "PASSWORD_SRP", "SRP_A", c.srp.Public()))
	if out := must[*api.RespondToAuthChallengeResponse](t)(c.finish(c.proof(first.ChallengeParameters, goodPass))); out.AuthenticationResult == nil {
		t.Errorf("got %+v", out)
	}
}

// Who has a second factor begins with the password: a code alone lets nobody past it,
// nor to setting up another one.
func TestService_choice_secondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, quiet := h.choicePool()
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	h.member(pool, "bob", "email", "bob@example.com", "email_verified", "true")
	const onlyPassword = "Only PASSWORD and WEB_AUTHN (if configured) can be enabled as an auth factor if MFA is enabled"
	token := &api.SoftwareTokenMfaConfigType{Enabled: wire.Bool(true)}
	_, err := h.c.SetUserPoolMfaConfig(t.Context(), &api.SetUserPoolMfaConfigRequest{UserPoolId: pool, MfaConfiguration: "ON", SoftwareTokenMfaConfiguration: token})
	want(t, err, "InvalidParameterException", onlyPassword)
	h.setMFA(pool, "OPTIONAL")

	begun := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann", "PREFERRED_CHALLENGE", "EMAIL_OTP"))
	code := h.box.last(t).Code
	must[*api.AdminSetUserMFAPreferenceResponse](t)(h.c.AdminSetUserMFAPreference(t.Context(), &api.AdminSetUserMFAPreferenceRequest{
		UserPoolId: pool, Username: "ann", EmailMfaSettings: &api.EmailMfaSettingsType{Enabled: wire.Bool(true)},
	}))
	_, err = h.answer(client, "EMAIL_OTP", begun.Session, "USERNAME", "ann", "EMAIL_OTP_CODE", code)
	want(t, err, "CodeMismatchException", "")
	out := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann", "PREFERRED_CHALLENGE", "EMAIL_OTP"))
	if !slices.Equal(out.AvailableChallenges, []api.ChallengeNameType{"PASSWORD", "PASSWORD_SRP"}) {
		t.Errorf("with a second factor: %+v", out)
	}
	// Where nobody must learn who exists it is offered, and no code goes out.
	sent := h.box.last(t)
	out = must[*api.InitiateAuthResponse](t)(h.choose(quiet, "ann", "PREFERRED_CHALLENGE", "EMAIL_OTP"))
	if out.ChallengeName != "EMAIL_OTP" || h.box.last(t).Code != sent.Code {
		t.Errorf("got %+v", out)
	}
	// The twins: the password and then the code, and somebody without a second factor.
	out = must[*api.InitiateAuthResponse](t)(h.choose(client, "ann", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", goodPass))
	next := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "EMAIL_OTP", out.Session, "USERNAME", "ann", "EMAIL_OTP_CODE", h.box.last(t).Code))
	h.claims(next.AuthenticationResult.IdToken)
	out = must[*api.InitiateAuthResponse](t)(h.choose(client, "bob", "PREFERRED_CHALLENGE", "EMAIL_OTP"))
	next = must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "EMAIL_OTP", out.Session, "USERNAME", "bob", "EMAIL_OTP_CODE", h.box.last(t).Code))
	h.claims(next.AuthenticationResult.IdToken)
}

// A client that must not learn who exists sees the same of everybody.
func TestService_choice_hidden(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, _, client := h.choicePool()
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	h.member(pool, "bob")
	var seen []*api.InitiateAuthResponse
	for _, name := range []string{"ann", "bob", "nobody"} {
		out := must[*api.InitiateAuthResponse](t)(h.choose(client, name))
		if out.ChallengeName != "SELECT_CHALLENGE" || len(seen) > 0 && !slices.Equal(out.AvailableChallenges, seen[0].AvailableChallenges) {
			t.Fatalf("%s: got %+v", name, out)
		}
		seen = append(seen, out)
	}
	sent := h.box.count()
	for i, name := range []string{"ann", "bob", "nobody"} {
		out := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SELECT_CHALLENGE", seen[i].Session, "USERNAME", name, "ANSWER", "EMAIL_OTP"))
		if out.ChallengeName != "EMAIL_OTP" || out.ChallengeParameters["CODE_DELIVERY_DELIVERY_MEDIUM"] != "EMAIL" || out.ChallengeParameters["CODE_DELIVERY_DESTINATION"] == "" {
			t.Fatalf("%s: got %+v", name, out)
		}
		_, err := h.answer(client, "EMAIL_OTP", out.Session, "USERNAME", name, "EMAIL_OTP_CODE", "000000")
		want(t, err, "CodeMismatchException", "Invalid code or auth state for the user.")
	}
	if h.box.count() != sent+1 {
		t.Errorf("%d messages, want the one to ann", h.box.count()-sent)
	}
	for _, name := range []string{"ann", "nobody"} {
		_, err := h.choose(client, name, "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", "Wrong-horse-77")
		want(t, err, "NotAuthorizedException", "Incorrect username or password.")
		c := h.srp(pool, client)
		first := must[*api.InitiateAuthResponse](t)(h.choose(client, name, "PREFERRED_CHALLENGE", "PASSWORD_SRP", "SRP_A", c.srp.Public()))
		_, err = c.finish(c.proof(first.ChallengeParameters, "Wrong-horse-77"))
		want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	}
}

func TestService_passwordless(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.choicePool()
	sign := &api.SignUpRequest{ClientId: client, Username: "ann", UserAttributes: []api.AttributeType{attr("email", "ann@example.com")}}
	up := must[*api.SignUpResponse](t)(h.c.SignUp(t.Context(), sign))
	if up.Session == nil || up.UserConfirmed {
		t.Fatalf("got %+v", up)
	}
	auto := func(session *string, name string) (*api.InitiateAuthResponse, error) {
		return h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{AuthFlow: "USER_AUTH", ClientId: client, Session: session, AuthParameters: map[string]string{"USERNAME": name}})
	}
	if _, err := auto(up.Session, "ann"); err == nil {
		t.Fatal("a sign-up without its code signs in")
	}
	code := h.box.last(t).Code
	confirm := func(session *string, code string) (*api.ConfirmSignUpResponse, error) {
		return h.c.ConfirmSignUp(t.Context(), &api.ConfirmSignUpRequest{ClientId: client, Username: "ann", ConfirmationCode: code, Session: session})
	}
	_, err := confirm(up.Session, wrongCode(code))
	want(t, err, "CodeMismatchException", "")
	_, err = confirm(wire.String(flip(*up.Session)), code)
	want(t, err, "NotAuthorizedException", "Invalid session for the user.")
	ok := must[*api.ConfirmSignUpResponse](t)(confirm(up.Session, code))
	if _, err := auto(ok.Session, "bob"); err == nil {
		t.Fatal("a session signs somebody else in")
	}
	out := must[*api.InitiateAuthResponse](t)(auto(ok.Session, "ann"))
	h.claims(out.AuthenticationResult.IdToken)
	_, err = auto(ok.Session, "ann")
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")

	// Without a password no password lets anybody in.
	_, err = h.choose(client, "ann", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", goodPass)
	if first, err := h.choose(client, "ann", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", goodPass); err == nil && first.AuthenticationResult != nil {
		t.Error("let in by a password that was never set")
	}
	if err != nil {
		want(t, err, "NotAuthorizedException", "")
	}
	created := must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(t.Context(), &api.AdminCreateUserRequest{UserPoolId: pool, Username: "bob", UserAttributes: []api.AttributeType{attr("email", "bob@example.com"), attr("email_verified", "true")}}))
	if created.User.UserStatus != "CONFIRMED" {
		t.Errorf("got %s", created.User.UserStatus)
	}
	first := must[*api.InitiateAuthResponse](t)(h.choose(client, "bob", "PREFERRED_CHALLENGE", "EMAIL_OTP"))
	h.advance(3 * time.Minute)
	_, err = h.answer(client, "EMAIL_OTP", first.Session, "USERNAME", "bob", "EMAIL_OTP_CODE", h.box.last(t).Code)
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session is expired.")
	strict := h.newPoolID(nil)
	_, err = h.c.SignUp(t.Context(), &api.SignUpRequest{ClientId: *h.newClient(strict, nil).ClientId, Username: "ann@example.com"})
	want(t, err, "InvalidParameterException", "Password is required for this user pool.")
}
