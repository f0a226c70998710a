package userpool

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/totp"
	api "moat/internal/wire/cognitoidpapi"
)

const wrongSignIn = "Incorrect username or password."

func TestService_passkeySignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.passkeyPool(nil)
	h.member(pool, "ann")
	// Who has none is not asked for one.
	if out := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann", "PREFERRED_CHALLENGE", "WEB_AUTHN")); out.ChallengeName != "SELECT_CHALLENGE" || slices.Contains(out.AvailableChallenges, "WEB_AUTHN") {
		t.Errorf("got %+v", out)
	}
	access := *h.mustSignIn(client, "ann").AccessToken
	first, second := h.register(access), h.register(access)

	options, session := h.askPasskey(client, "ann")
	var o requestOptions
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		t.Fatal(err)
	}
	if o.RPID != "example.com" || o.Timeout != 180000 || o.UserVerification != "preferred" || len(o.AllowCredentials) != 2 || !slices.Equal(o.AllowCredentials[0].Transports, []string{"internal", "hybrid"}) {
		t.Errorf("got %s", options)
	}
	answer := first.get(options)
	out := must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(client, "ann", session, answer))
	if sub := h.claims(out.AuthenticationResult.IdToken).String("sub"); sub != string(first.handle) {
		t.Errorf("signed in %s, not %s", sub, first.handle)
	}
	// Neither the session nor what was signed counts twice.
	_, err := h.answerPasskey(client, "ann", session, answer)
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	_, again := h.askPasskey(client, "ann")
	_, err = h.answerPasskey(client, "ann", again, answer)
	want(t, err, "NotAuthorizedException", wrongSignIn)

	// By a choice, with the other passkey, which does not say whose it is.
	chosen := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann"))
	if !slices.Equal(chosen.AvailableChallenges, []api.ChallengeNameType{"PASSWORD", "PASSWORD_SRP", "WEB_AUTHN"}) {
		t.Errorf("got %v", chosen.AvailableChallenges)
	}
	asked := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SELECT_CHALLENGE", chosen.Session, "USERNAME", "ann", "ANSWER", "WEB_AUTHN"))
	second.handle = nil
	out = must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(client, "ann", asked.Session, second.get(asked.ChallengeParameters["CREDENTIAL_REQUEST_OPTIONS"])))
	h.claims(out.AuthenticationResult.AccessToken)

	// In time.
	options, session = h.askPasskey(client, "ann")
	h.advance(3 * time.Minute)
	_, err = h.answerPasskey(client, "ann", session, second.get(options))
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session is expired.")
	// Removed between the question and the answer.
	options, session = h.askPasskey(client, "ann")
	must[*api.DeleteWebAuthnCredentialResponse](t)(h.c.DeleteWebAuthnCredential(t.Context(), &api.DeleteWebAuthnCredentialRequest{AccessToken: access, CredentialId: b64(second.id)}))
	_, err = h.answerPasskey(client, "ann", session, second.get(options))
	want(t, err, "NotAuthorizedException", wrongSignIn)
	// Made for a domain that the pool has no more.
	h.setWebAuthn(pool, "OFF", api.WebAuthnConfigurationType{RelyingPartyId: ptr("app.example.com")})
	if out := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann", "PREFERRED_CHALLENGE", "WEB_AUTHN")); out.ChallengeName != "SELECT_CHALLENGE" {
		t.Errorf("got %+v", out)
	}
}

// Each refusal is one change away from what is accepted.
func TestService_passkeySignIn_refused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.passkeyPool(nil)
	h.member(pool, "ann")
	h.member(pool, "bob")
	other := h.register(*h.mustSignIn(client, "bob").AccessToken)
	access := *h.mustSignIn(client, "ann").AccessToken
	sane := h.register(access)
	synced := newAuthenticator(t)
	synced.flags |= flagBackedUp
	if err := h.completePasskey(access, synced.create(h.startPasskey(access))); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(a *authenticator)
		right  bool
	}{
		"as it is":            {func(*authenticator) {}, true},
		"the domain itself":   {func(a *authenticator) { a.origin = "https://example.com" }, true},
		"without verifying":   {func(a *authenticator) { a.flags &^= flagVerified }, true},
		"backed up since":     {func(a *authenticator) { a.flags |= flagBackedUp }, true},
		"other origin":        {func(a *authenticator) { a.origin = "https://example.org" }, false},
		"without TLS":         {func(a *authenticator) { a.origin = "http://example.com" }, false},
		"in a foreign frame":  {func(a *authenticator) { a.cross = true }, false},
		"other relying party": {func(a *authenticator) { a.party = "example.org" }, false},
		"other challenge":     {func(a *authenticator) { a.challenge = b64(make([]byte, nonceSize)) }, false},
		"a registration":      {func(a *authenticator) { a.ceremony = "webauthn.create" }, false},
		"nobody there":        {func(a *authenticator) { a.flags &^= flagPresent }, false},
		"bob's key":           {func(a *authenticator) { a.key = other.key }, false},
		"bob's passkey":       {func(a *authenticator) { a.key, a.id, a.handle = other.key, other.id, other.handle }, false},
		"bob's handle":        {func(a *authenticator) { a.handle = other.handle }, false},
		"no passkey of hers":  {func(a *authenticator) { a.id = make([]byte, 16) }, false},
		"cannot be backed up": {func(a *authenticator) { a.flags &^= flagBackupEligible }, false},
		"counter stands":      {func(a *authenticator) { a.counter-- }, false},
		"counter goes back":   {func(a *authenticator) { a.counter = 0 }, false},
	}
	for name, test := range tests {
		// One right answer first, so that there is a counter.
		options, session := h.askPasskey(client, "ann")
		must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(client, "ann", session, sane.get(options)))
		a := *sane
		test.change(&a)
		options, session = h.askPasskey(client, "ann")
		out, err := h.answerPasskey(client, "ann", session, a.get(options))
		switch {
		case test.right && (err != nil || out.AuthenticationResult == nil):
			t.Errorf("%s: %v", name, err)
		case !test.right:
			t.Run(name, func(t *testing.T) { want(t, err, "NotAuthorizedException", wrongSignIn) })
		}
		if test.right {
			sane.counter = a.counter
		}
	}
	// The signature is over all of it.
	for _, part := range []string{"signature", "authenticatorData", "clientDataJSON"} {
		options, session := h.askPasskey(client, "ann")
		var answer map[string]any
		if err := json.Unmarshal([]byte(sane.get(options)), &answer); err != nil {
			t.Fatal(err)
		}
		response := answer["response"].(map[string]any)
		text := response[part].(string)
		response[part] = text[:len(text)-3] + "AAA"
		_, err := h.answerPasskey(client, "ann", session, string(sane.json(answer)))
		if part == "clientDataJSON" { // is no JSON any more
			want(t, err, "InvalidParameterException", "")
		} else {
			want(t, err, "NotAuthorizedException", wrongSignIn)
		}
	}
	options, session := h.askPasskey(client, "ann")
	for _, credential := range []string{"{}", "null", "[", `{"id":"AA","rawId":"AA","type":"password"}`, strings.Repeat("x", maxParam+1)} {
		_, err := h.answerPasskey(client, "ann", session, credential)
		want(t, err, "InvalidParameterException", "Invalid value for parameter CREDENTIAL")
	}
	_, err := h.answerPasskey(client, "bob", session, sane.get(options))
	want(t, err, "NotAuthorizedException", "Invalid session for the user.")
	options, session = h.askPasskey(client, "ann")
	h.advance(time.Second)
	must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(client, "ann", session, synced.get(options)))
}

// Wrong answers are counted like wrong passwords, and together with them.
func TestService_passkeySignIn_lockout(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.passkeyPool(nil)
	h.member(pool, "ann")
	a := h.register(*h.mustSignIn(client, "ann").AccessToken)
	for range 4 {
		_, err := h.signIn(client, "ann", "Wrong-horse-77")
		want(t, err, "NotAuthorizedException", wrongSignIn)
	}
	options, session := h.askPasskey(client, "ann")
	_, spare := h.askPasskey(client, "ann")
	wrong := *a
	wrong.origin = "https://example.org"
	_, err := h.answerPasskey(client, "ann", session, wrong.get(options))
	want(t, err, "NotAuthorizedException", wrongSignIn)
	_, err = h.answerPasskey(client, "ann", spare, a.get(options))
	want(t, err, "NotAuthorizedException", "Password attempts exceeded")
	_, err = h.choose(client, "ann", "PREFERRED_CHALLENGE", "WEB_AUTHN")
	want(t, err, "NotAuthorizedException", "Password attempts exceeded")
	h.advance(2 * time.Second)
	options, session = h.askPasskey(client, "ann")
	must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(client, "ann", session, a.get(options)))
}

// Where the pool demands verification, a passkey without it neither registers nor signs in.
func TestService_passkey_userVerification(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.passkeyPool(nil)
	h.member(pool, "ann")
	access := *h.mustSignIn(client, "ann").AccessToken
	h.register(access)
	for _, c := range []api.WebAuthnConfigurationType{{UserVerification: "required"}, {UserVerification: "preferred", FactorConfiguration: "MULTI_FACTOR_WITH_USER_VERIFICATION"}} {
		c.RelyingPartyId = ptr("example.com")
		h.setWebAuthn(pool, "OFF", c)
		a := newAuthenticator(t)
		a.flags &^= flagVerified
		options := h.startPasskey(access)
		if !strings.Contains(string(options), `"userVerification":"required"`) {
			t.Errorf("got %s", options)
		}
		want(t, h.completePasskey(access, a.create(options)), "WebAuthnCredentialNotSupportedException", "")
		a = h.register(access)
		request, session := h.askPasskey(client, "ann")
		if !strings.Contains(request, `"userVerification":"required"`) {
			t.Errorf("got %s", request)
		}
		a.flags &^= flagVerified
		_, err := h.answerPasskey(client, "ann", session, a.get(request))
		want(t, err, "NotAuthorizedException", wrongSignIn)
		a.flags |= flagVerified
		request, session = h.askPasskey(client, "ann")
		must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(client, "ann", session, a.get(request)))
	}
}

// A passkey stands for both factors only where the pool and the user say so.
func TestService_passkey_secondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.passkeyPool(nil)
	h.member(pool, "ann")
	access := *h.mustSignIn(client, "ann").AccessToken
	a := h.register(access)
	single := api.WebAuthnConfigurationType{RelyingPartyId: ptr("example.com"), UserVerification: "required", FactorConfiguration: "SINGLE_FACTOR"}
	multi := api.WebAuthnConfigurationType{RelyingPartyId: ptr("example.com"), FactorConfiguration: "MULTI_FACTOR_WITH_USER_VERIFICATION"}
	prefer := func(totp, passkey *bool) error {
		in := &api.SetUserMFAPreferenceRequest{AccessToken: access}
		if totp != nil {
			in.SoftwareTokenMfaSettings = &api.SoftwareTokenMfaSettingsType{Enabled: totp}
		}
		if passkey != nil {
			in.WebAuthnMfaSettings = &api.WebAuthnMfaSettingsType{Enabled: passkey}
		}
		_, err := h.c.SetUserMFAPreference(t.Context(), in)
		return err
	}
	signIn := func() *api.RespondToAuthChallengeResponse {
		t.Helper()
		options, session := h.askPasskey(client, "ann")
		return must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(client, "ann", session, a.get(options)))
	}
	owes := func(name api.ChallengeNameType) *api.RespondToAuthChallengeResponse {
		t.Helper()
		out := signIn()
		if out.AuthenticationResult != nil || out.ChallengeName != name {
			t.Fatalf("got %+v, want %s", out, name)
		}
		return out
	}
	h.setWebAuthn(pool, "OPTIONAL", single)
	h.claims(signIn().AuthenticationResult.IdToken)
	want(t, prefer(nil, ptr(true)), "InvalidParameterException", "")
	h.setWebAuthn(pool, "ON", multi)
	owes("MFA_SETUP")
	want(t, prefer(nil, ptr(true)), "InvalidParameterException", "WEB_AUTHN as multi-factor authentication requires at least one other MFA method.")
	secret := h.token(&access)
	if err := prefer(ptr(true), nil); err != nil {
		t.Fatal(err)
	}
	out := owes("SOFTWARE_TOKEN_MFA")
	out = must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SOFTWARE_TOKEN_MFA", out.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", h.code(secret)))
	h.claims(out.AuthenticationResult.IdToken)
	h.advance(totp.Period)
	if err := prefer(nil, ptr(true)); err != nil {
		t.Fatal(err)
	}
	h.claims(signIn().AuthenticationResult.IdToken)
	if out := h.begin(client, "ann", goodPass); out.ChallengeName != "SOFTWARE_TOKEN_MFA" {
		t.Errorf("after the password: %+v", out)
	}
	if got := must[*api.GetUserResponse](t)(h.c.GetUser(t.Context(), &api.GetUserRequest{AccessToken: access})).UserMFASettingList; !slices.Equal(got, []string{mfaTOTP, "WEB_AUTHN"}) {
		t.Errorf("got %v", got)
	}
	// The other factor cannot go alone.
	want(t, prefer(ptr(false), nil), "InvalidParameterException", "")
	h.setWebAuthn(pool, "OPTIONAL", single)
	owes("SOFTWARE_TOKEN_MFA")
	for _, mode := range []api.UserPoolMfaType{"ON", "OPTIONAL"} {
		h.setWebAuthn(pool, mode, multi)
		h.claims(signIn().AuthenticationResult.IdToken)
	}
	must[*api.AdminSetUserMFAPreferenceResponse](t)(h.c.AdminSetUserMFAPreference(t.Context(), &api.AdminSetUserMFAPreferenceRequest{
		UserPoolId: pool, Username: "ann", WebAuthnMfaSettings: &api.WebAuthnMfaSettingsType{Enabled: ptr(false)},
	}))
	owes("SOFTWARE_TOKEN_MFA")
	if err := prefer(ptr(false), nil); err != nil {
		t.Error(err)
	}
}

// A client that must not learn who exists, or who has passkeys, sees the same of everybody.
func TestService_passkeySignIn_hidden(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, open, client := h.passkeyPool(nil)
	h.member(pool, "ann")
	h.member(pool, "bob")
	a := h.register(*h.mustSignIn(open, "ann").AccessToken)
	_, err := h.choose(open, "nobody", "PREFERRED_CHALLENGE", "WEB_AUTHN")
	want(t, err, "UserNotFoundException", "User does not exist.")
	ask := func(name string) (requestOptions, string, *string) {
		t.Helper()
		out := must[*api.InitiateAuthResponse](t)(h.choose(client, name, "PREFERRED_CHALLENGE", "WEB_AUTHN"))
		if out.ChallengeName != "WEB_AUTHN" || len(out.ChallengeParameters) != 1 || !slices.Equal(out.AvailableChallenges, []api.ChallengeNameType{"PASSWORD", "PASSWORD_SRP", "WEB_AUTHN"}) {
			t.Fatalf("%s: got %+v", name, out)
		}
		text := out.ChallengeParameters["CREDENTIAL_REQUEST_OPTIONS"]
		var o requestOptions
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		return o, text, out.Session
	}
	seen := map[string]string{}
	for _, name := range []string{"ann", "bob", "nobody", "somebody"} {
		o, text, session := ask(name)
		if len(o.AllowCredentials) == 0 || o.RPID != "example.com" || o.UserVerification != "preferred" || o.Timeout != 180000 {
			t.Errorf("%s: got %s", name, text)
		}
		for _, c := range o.AllowCredentials {
			if other := seen[c.ID]; other != "" {
				t.Errorf("%s and %s have the same passkey", name, other)
			}
			seen[c.ID] = name
			if c.Type != "public-key" || len(c.Transports) == 0 {
				t.Errorf("%s: got %+v", name, c)
			}
		}
		again, _, _ := ask(name)
		if again.Challenge == o.Challenge || !slices.EqualFunc(again.AllowCredentials, o.AllowCredentials, func(a, b credentialDescriptor) bool { return a.ID == b.ID }) {
			t.Errorf("%s: got %+v after %+v", name, again, o)
		}
		forged := newAuthenticator(t)
		forged.id = must[[]byte](t)(base64.RawURLEncoding.DecodeString(o.AllowCredentials[0].ID))
		_, err := h.answerPasskey(client, name, session, forged.get(text))
		want(t, err, "NotAuthorizedException", wrongSignIn)
		_, err = h.answerPasskey(client, name, session, forged.get(text))
		want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	}
	_, text, session := ask("ann")
	must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(client, "ann", session, a.get(text)))
}

// Where a pool demands two factors, sign-ins begin with a passkey only if it is both.
func TestService_passkey_single_refused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const (
		setting = "Cannot set WebAuthn factor configuration to SINGLE_FACTOR if MFA is required and WebAuthn is an allowed first auth factor"
		policy  = "WEB_AUTHN cannot be used as an auth factor when MFA is enabled if not configured for MFA."
	)
	totp := &api.SoftwareTokenMfaConfigType{Enabled: ptr(true)}
	set := func(pool string, mode api.UserPoolMfaType, c *api.WebAuthnConfigurationType) error {
		_, err := h.c.SetUserPoolMfaConfig(t.Context(), &api.SetUserPoolMfaConfigRequest{UserPoolId: pool, MfaConfiguration: mode, SoftwareTokenMfaConfiguration: totp, WebAuthnConfiguration: c})
		return err
	}
	single, multi := api.WebAuthnConfigurationType{FactorConfiguration: "SINGLE_FACTOR"}, api.WebAuthnConfigurationType{FactorConfiguration: "MULTI_FACTOR_WITH_USER_VERIFICATION"}
	pool, _, _ := h.passkeyPool(nil)
	for _, c := range []*api.WebAuthnConfigurationType{nil, {}, {UserVerification: "required"}, &single} {
		want(t, set(pool, "ON", c), "InvalidParameterException", setting)
		if err := set(pool, "OPTIONAL", c); err != nil {
			t.Error(err)
		}
	}
	if err := set(pool, "ON", &multi); err != nil {
		t.Error(err)
	}
	want(t, set(pool, "ON", &single), "InvalidParameterException", setting)

	// The other way round: the passkey comes to a pool that demands two factors.
	policies := &api.UserPoolPolicyType{SignInPolicy: &api.SignInPolicyType{AllowedFirstAuthFactors: []api.AuthFactorType{"PASSWORD", "WEB_AUTHN"}}}
	plain := h.newPoolID(nil)
	allow := func() error {
		_, err := h.c.UpdateUserPool(t.Context(), &api.UpdateUserPoolRequest{UserPoolId: plain, MfaConfiguration: "ON", Policies: policies})
		return err
	}
	if err := set(plain, "ON", &single); err != nil {
		t.Fatal(err)
	}
	want(t, allow(), "InvalidParameterException", policy)
	if err := set(plain, "ON", &multi); err != nil {
		t.Fatal(err)
	}
	if err := allow(); err != nil {
		t.Error(err)
	}
	_, err := h.c.CreateUserPool(t.Context(), &api.CreateUserPoolRequest{
		PoolName: "x", MfaConfiguration: "ON", Policies: policies, SmsConfiguration: &api.SmsConfigurationType{SnsCallerArn: "arn:aws:iam::000000000000:role/sms"},
	})
	want(t, err, "InvalidParameterException", policy)
	_, err = h.c.SetUserPoolMfaConfig(t.Context(), &api.SetUserPoolMfaConfigRequest{UserPoolId: pool, MfaConfiguration: "OPTIONAL", WebAuthnConfiguration: &multi})
	want(t, err, "InvalidParameterException", "Invalid MFA Configuration given. SMS MFA, Email MFA, or Software Token MFA must be enabled.")
}

// A choice may bring the signature along; it must be over the nonce of that very choice.
func TestService_passkeySignIn_withChoice(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, quiet := h.passkeyPool(nil)
	h.member(pool, "ann")
	h.member(pool, "bob")
	a := h.register(*h.mustSignIn(client, "ann").AccessToken)
	b := h.register(*h.mustSignIn(client, "bob").AccessToken)
	ask := func(client, name string) (string, *string) {
		t.Helper()
		out := must[*api.InitiateAuthResponse](t)(h.choose(client, name))
		if out.ChallengeName != "SELECT_CHALLENGE" {
			t.Fatalf("got %+v", out)
		}
		return out.ChallengeParameters["CREDENTIAL_REQUEST_OPTIONS"], out.Session
	}
	give := func(client, name string, session *string, credential string) (*api.RespondToAuthChallengeResponse, error) {
		return h.answer(client, "SELECT_CHALLENGE", session, "USERNAME", name, "ANSWER", "WEB_AUTHN", "CREDENTIAL", credential)
	}
	options, session := ask(client, "ann")
	credential := a.get(options)
	out := must[*api.RespondToAuthChallengeResponse](t)(give(client, "ann", session, credential))
	if name := h.claims(out.AuthenticationResult.IdToken).String("cognito:username"); name != "ann" {
		t.Errorf("signed in %s", name)
	}
	_, err := give(client, "ann", session, credential)
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	other, again := ask(client, "ann")
	_, err = give(client, "ann", again, credential)
	want(t, err, "NotAuthorizedException", wrongSignIn)
	_, err = h.answer(client, "SELECT_CHALLENGE", again, "USERNAME", "ann", "ANSWER", "PASSWORD", "PASSWORD", goodPass)
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	// A challenge of one kind is not an answer to the other.
	_, err = h.answerPasskey(client, "ann", again, a.get(other))
	want(t, err, "NotAuthorizedException", "Invalid session for the user.")
	options, session = ask(client, "ann")
	want(t, second(give(client, "ann", session, b.get(options))), "NotAuthorizedException", wrongSignIn)
	_, session = ask(client, "ann")
	want(t, second(give(client, "ann", session, "{}")), "InvalidParameterException", "Invalid value for parameter CREDENTIAL")
	// What cannot be read has used nothing up.
	asked := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SELECT_CHALLENGE", session, "USERNAME", "ann", "ANSWER", "WEB_AUTHN"))
	if asked.ChallengeName != "WEB_AUTHN" {
		t.Errorf("got %+v", asked)
	}
	// Nobody is told from somebody.
	options, session = ask(quiet, "nobody")
	forged := newAuthenticator(t)
	want(t, second(give(quiet, "nobody", session, forged.get(options))), "NotAuthorizedException", wrongSignIn)
	// A pool without passkeys has nothing to sign.
	plain := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	h.member(plain, "ann")
	c := *h.newClient(plain, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH")
	}).ClientId
	if options, session = ask(c, "ann"); options != "" {
		t.Errorf("got %s", options)
	}
	want(t, second(give(c, "ann", session, credential)), "InvalidParameterException", "WEB_AUTHN is not one of the available challenges.")
}

// second is the error of a call.
func second[T any](_ T, err error) error { return err }

// Two pools of one domain share the relying party, and nothing else.
func TestService_passkey_otherPool(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.passkeyPool(nil)
	h.member(pool, "ann")
	otherPool, otherClient, _ := h.passkeyPool(nil)
	h.member(otherPool, "ann")
	access, elsewhere := *h.mustSignIn(client, "ann").AccessToken, *h.mustSignIn(otherClient, "ann").AccessToken
	a := h.register(access)
	own := h.register(elsewhere)

	options, session := h.askPasskey(otherClient, "ann")
	_, err := h.answerPasskey(otherClient, "ann", session, a.get(options))
	want(t, err, "NotAuthorizedException", wrongSignIn)
	// Nor by the other's id, nor with a session of the other pool.
	forged := *a
	forged.id = own.id
	options, session = h.askPasskey(otherClient, "ann")
	_, err = h.answerPasskey(otherClient, "ann", session, forged.get(options))
	want(t, err, "NotAuthorizedException", wrongSignIn)
	options, session = h.askPasskey(client, "ann")
	_, err = h.answerPasskey(otherClient, "ann", session, a.get(options))
	want(t, err, "NotAuthorizedException", "Invalid session for the user.")
	must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(client, "ann", session, a.get(options)))

	// A registration begun in one pool does not end in the other.
	want(t, h.completePasskey(elsewhere, newAuthenticator(t).create(h.startPasskey(access))), "WebAuthnChallengeNotFoundException", "")
	want(t, second(h.c.DeleteWebAuthnCredential(t.Context(), &api.DeleteWebAuthnCredentialRequest{AccessToken: elsewhere, CredentialId: b64(a.id)})), "ResourceNotFoundException", "")
	options, session = h.askPasskey(otherClient, "ann")
	must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(otherClient, "ann", session, own.get(options)))
}
