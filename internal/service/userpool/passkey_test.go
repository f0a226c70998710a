package userpool

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	api "moat/internal/wire/cognitoidpapi"
)

func TestService_passkeyRegistration(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.passkeyPool(nil)
	h.member(pool, "ann")
	access := *h.mustSignIn(client, "ann").AccessToken

	var o creationOptions
	if err := json.Unmarshal(h.startPasskey(access), &o); err != nil {
		t.Fatal(err)
	}
	if o.RP.ID != "example.com" || o.User.Name != "ann" || o.Timeout != 60000 || len(o.ExcludeCredentials) != 0 ||
		o.AuthenticatorSelection != (authenticatorSelection{true, "required", "preferred"}) || o.PubKeyCredParams[0].Algorithm != -7 || o.PubKeyCredParams[1].Algorithm != -257 {
		t.Errorf("got %+v", o)
	}
	if got := h.factors(access); !slices.Equal(got, []api.AuthFactorType{"PASSWORD"}) {
		t.Errorf("factors before: %v", got)
	}
	a := h.register(access)
	options := h.startPasskey(access)
	if err := json.Unmarshal(options, &o); err != nil || len(o.ExcludeCredentials) != 1 || o.ExcludeCredentials[0].ID != b64(a.id) {
		t.Errorf("got %s", options)
	}
	if got := h.factors(access); !slices.Equal(got, []api.AuthFactorType{"PASSWORD", "WEB_AUTHN"}) {
		t.Errorf("factors after: %v", got)
	}
	list := h.passkeys(access)
	if len(list) != 1 || list[0].CredentialId != b64(a.id) || list[0].RelyingPartyId != "example.com" || list[0].FriendlyCredentialName != "Passkey" ||
		deref(list[0].AuthenticatorAttachment) != "platform" || !slices.Equal(list[0].AuthenticatorTransports, []string{"internal", "hybrid"}) || !list[0].CreatedAt.Equal(h.time()) {
		t.Errorf("got %+v", list)
	}
	// The same credential once more, also by another user of the pool.
	want(t, h.completePasskey(access, a.create(options)), "InvalidParameterException", "The credential is registered already.")
	h.member(pool, "bob")
	other := *h.mustSignIn(client, "bob").AccessToken
	want(t, h.completePasskey(other, a.create(h.startPasskey(other))), "InvalidParameterException", "The credential is registered already.")

	// Only one's own can be removed.
	_, err := h.c.DeleteWebAuthnCredential(t.Context(), &api.DeleteWebAuthnCredentialRequest{AccessToken: other, CredentialId: b64(a.id)})
	want(t, err, "ResourceNotFoundException", "")
	must[*api.DeleteWebAuthnCredentialResponse](t)(h.c.DeleteWebAuthnCredential(t.Context(), &api.DeleteWebAuthnCredentialRequest{AccessToken: access, CredentialId: b64(a.id)}))
	if list := h.passkeys(access); len(list) != 0 {
		t.Errorf("got %+v", list)
	}
}

func (h *house) factors(access string) []api.AuthFactorType {
	h.t.Helper()
	return must[*api.GetUserAuthFactorsResponse](h.t)(h.c.GetUserAuthFactors(h.t.Context(), &api.GetUserAuthFactorsRequest{AccessToken: access})).ConfiguredUserAuthFactors
}

func (h *house) passkeys(access string) []api.WebAuthnCredentialDescription {
	h.t.Helper()
	return must[*api.ListWebAuthnCredentialsResponse](h.t)(h.c.ListWebAuthnCredentials(h.t.Context(), &api.ListWebAuthnCredentialsRequest{AccessToken: access})).Credentials
}

// Each refusal is one change away from what is accepted.
func TestService_passkeyRegistration_refused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.passkeyPool(nil)
	h.member(pool, "ann")
	h.member(pool, "bob")
	access, bob := *h.mustSignIn(client, "ann").AccessToken, *h.mustSignIn(client, "bob").AccessToken
	notOurs := b64(make([]byte, 32))
	var foreign creationOptions
	if err := json.Unmarshal(h.startPasskey(bob), &foreign); err != nil {
		t.Fatal(err)
	}
	const unsupported = "WebAuthnCredentialNotSupportedException"
	tests := map[string]struct {
		change func(a *authenticator)
		code   string // "" where it is accepted
	}{
		"as it is":            {func(*authenticator) {}, ""},
		"the domain itself":   {func(a *authenticator) { a.origin = "https://example.com:8443" }, ""},
		"without verifying":   {func(a *authenticator) { a.flags = flagPresent }, ""},
		"attested by itself":  {func(a *authenticator) { a.format = "packed" }, ""},
		"other origin":        {func(a *authenticator) { a.origin = "https://example.org" }, "WebAuthnOriginNotAllowedException"},
		"ends like it":        {func(a *authenticator) { a.origin = "https://notexample.com" }, "WebAuthnOriginNotAllowedException"},
		"without TLS":         {func(a *authenticator) { a.origin = "http://app.example.com" }, "WebAuthnOriginNotAllowedException"},
		"hidden host":         {func(a *authenticator) { a.origin = "https://app.example.com@evil.org" }, "WebAuthnOriginNotAllowedException"},
		"a page, no origin":   {func(a *authenticator) { a.origin = "https://example.com/" }, "WebAuthnOriginNotAllowedException"},
		"an app":              {func(a *authenticator) { a.origin = "android:apk-key-hash:AAAA" }, "WebAuthnOriginNotAllowedException"},
		"in a foreign frame":  {func(a *authenticator) { a.cross = true }, "WebAuthnOriginNotAllowedException"},
		"other relying party": {func(a *authenticator) { a.party = "example.org" }, "WebAuthnRelyingPartyMismatchException"},
		"below it":            {func(a *authenticator) { a.party = "app.example.com" }, "WebAuthnRelyingPartyMismatchException"},
		"made-up challenge":   {func(a *authenticator) { a.challenge = notOurs }, "WebAuthnChallengeNotFoundException"},
		"bob's challenge":     {func(a *authenticator) { a.challenge = foreign.Challenge }, "WebAuthnChallengeNotFoundException"},
		"a sign-in":           {func(a *authenticator) { a.ceremony = "webauthn.get" }, "InvalidParameterException"},
		"nobody there":        {func(a *authenticator) { a.flags = flagVerified }, unsupported},
		"impossible backup":   {func(a *authenticator) { a.flags = flagPresent | flagBackedUp }, unsupported},
		"other algorithm":     {func(a *authenticator) { a.alg = -8 }, unsupported},
		"other attestation":   {func(a *authenticator) { a.format = "mine" }, unsupported},
		"no id":               {func(a *authenticator) { a.id = nil }, "InvalidParameterException"},
	}
	for name, test := range tests {
		a := newAuthenticator(t)
		test.change(a)
		err := h.completePasskey(access, a.create(h.startPasskey(access)))
		if test.code == "" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if test.code != "" {
			t.Run(name, func(t *testing.T) { want(t, err, test.code, "") })
		}
	}
	want(t, h.completePasskey(access, json.RawMessage(`{"id":1}`)), "InvalidParameterException", "The credential cannot be read.")
	want(t, h.completePasskey(access, json.RawMessage(`null`)), "InvalidParameterException", "")
	a := newAuthenticator(t)
	altered := strings.Replace(string(a.create(h.startPasskey(access))), `"rawId":"`, `"rawId":"AA`, 1)
	want(t, h.completePasskey(access, json.RawMessage(altered)), "InvalidParameterException", "")
	if list := h.passkeys(access); len(list) != 4 {
		t.Errorf("%d passkeys, want those that were accepted", len(list))
	}
}

// A challenge is for one registration, by the client that asked for it, in time.
func TestService_passkeyRegistration_challenge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, otherClient := h.passkeyPool(nil)
	h.member(pool, "ann")
	access, elsewhere := *h.mustSignIn(client, "ann").AccessToken, *h.mustSignIn(otherClient, "ann").AccessToken

	options := h.startPasskey(access)
	want(t, h.completePasskey(elsewhere, newAuthenticator(t).create(options)), "WebAuthnClientMismatchException", "")
	if err := h.completePasskey(access, newAuthenticator(t).create(options)); err != nil {
		t.Fatal(err)
	}
	want(t, h.completePasskey(access, newAuthenticator(t).create(options)), "WebAuthnChallengeNotFoundException", "")
	options = h.startPasskey(access)
	h.advance(3 * time.Minute)
	want(t, h.completePasskey(access, newAuthenticator(t).create(options)), "WebAuthnChallengeNotFoundException", "")
	// The domain was another one when it was asked for.
	options = h.startPasskey(access)
	h.setWebAuthn(pool, "OFF", api.WebAuthnConfigurationType{RelyingPartyId: ptr("app.example.com")})
	a := newAuthenticator(t)
	a.party = "app.example.com"
	want(t, h.completePasskey(access, a.create(options)), "WebAuthnRelyingPartyMismatchException", "")
	_, err := h.c.StartWebAuthnRegistration(t.Context(), &api.StartWebAuthnRegistrationRequest{AccessToken: "e30.e30.e30"})
	want(t, err, "NotAuthorizedException", "Invalid Access Token")
}

func TestService_passkeyRegistration_limit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.passkeyPool(nil)
	h.member(pool, "ann")
	access := *h.mustSignIn(client, "ann").AccessToken
	for range maxPasskeys - 1 {
		h.register(access)
	}
	last, late := h.startPasskey(access), h.startPasskey(access)
	if err := h.completePasskey(access, newAuthenticator(t).create(last)); err != nil {
		t.Fatal(err)
	}
	want(t, h.completePasskey(access, newAuthenticator(t).create(late)), "LimitExceededException", "")
	_, err := h.c.StartWebAuthnRegistration(t.Context(), &api.StartWebAuthnRegistrationRequest{AccessToken: access})
	want(t, err, "LimitExceededException", "")

	// Page by page.
	seen := map[string]bool{}
	var next *string
	for {
		out := must[*api.ListWebAuthnCredentialsResponse](t)(h.c.ListWebAuthnCredentials(t.Context(), &api.ListWebAuthnCredentialsRequest{AccessToken: access, MaxResults: ptr(int32(7)), NextToken: next}))
		for _, c := range out.Credentials {
			seen[c.CredentialId] = true
		}
		if next = out.NextToken; next == nil {
			break
		}
	}
	if len(seen) != maxPasskeys {
		t.Errorf("%d passkeys, want %d", len(seen), maxPasskeys)
	}
	_, err = h.c.ListWebAuthnCredentials(t.Context(), &api.ListWebAuthnCredentialsRequest{AccessToken: access, NextToken: ptr("AAAA")})
	want(t, err, "InvalidParameterException", "")
	// Who is removed loses them, and who comes after him by the same name does not get them.
	if _, err := h.c.AdminDeleteUser(t.Context(), &api.AdminDeleteUserRequest{UserPoolId: pool, Username: "ann"}); err != nil {
		t.Fatal(err)
	}
	h.member(pool, "ann")
	if list := h.passkeys(*h.mustSignIn(client, "ann").AccessToken); len(list) != 0 {
		t.Errorf("got %+v", list)
	}
}

func TestService_passkeys_settings(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	// A pool that does not have them.
	plain := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	h.member(plain, "ann")
	access := *h.mustSignIn(*h.newClient(plain, nil).ClientId, "ann").AccessToken
	_, err := h.c.StartWebAuthnRegistration(t.Context(), &api.StartWebAuthnRegistrationRequest{AccessToken: access})
	want(t, err, "WebAuthnNotEnabledException", "")
	want(t, h.completePasskey(access, json.RawMessage(`{}`)), "WebAuthnNotEnabledException", "")

	// A pool that does, and has no domain yet.
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes = nil
		in.Policies.SignInPolicy = &api.SignInPolicyType{AllowedFirstAuthFactors: []api.AuthFactorType{"PASSWORD", "WEB_AUTHN"}}
	})
	h.member(pool, "ann")
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows, in.PreventUserExistenceErrors = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH"), "ENABLED"
	}).ClientId
	access = *h.mustSignIn(client, "ann").AccessToken
	_, err = h.c.StartWebAuthnRegistration(t.Context(), &api.StartWebAuthnRegistrationRequest{AccessToken: access})
	want(t, err, "WebAuthnConfigurationMissingException", "")
	if out := must[*api.InitiateAuthResponse](t)(h.choose(client, "ann")); slices.Contains(out.AvailableChallenges, "WEB_AUTHN") {
		t.Errorf("got %+v", out)
	}
	must[*api.CreateUserPoolDomainResponse](t)(h.c.CreateUserPoolDomain(t.Context(), &api.CreateUserPoolDomainRequest{UserPoolId: pool, Domain: "school"}))
	var o creationOptions
	if err := json.Unmarshal(h.startPasskey(access), &o); err != nil || o.RP.ID != "school.auth.eu-central-1.localhost" {
		t.Errorf("got %+v", o.RP)
	}
	a := newAuthenticator(t)
	a.origin = "http://school.auth.eu-central-1.localhost:4566"
	if err := h.completePasskey(access, a.create(h.startPasskey(access))); err != nil {
		t.Error(err)
	}

	set := func(c api.WebAuthnConfigurationType) error {
		_, err := h.c.SetUserPoolMfaConfig(t.Context(), &api.SetUserPoolMfaConfigRequest{UserPoolId: pool, MfaConfiguration: "OFF", WebAuthnConfiguration: &c})
		return err
	}
	for _, party := range []string{"https://example.com", "example.com:443", "com", "127.0.0.1", "::1", "Example.com", "example.com.", "a..b", "-a.example.com"} {
		want(t, set(api.WebAuthnConfigurationType{RelyingPartyId: &party}), "InvalidParameterException", "")
	}
	for _, party := range []string{"localhost", "example.com", "xn--bcher-kva.example"} {
		if err := set(api.WebAuthnConfigurationType{RelyingPartyId: &party}); err != nil {
			t.Errorf("%s: %v", party, err)
		}
	}
	if err := set(api.WebAuthnConfigurationType{RelyingPartyId: ptr("example.com"), UserVerification: "required", FactorConfiguration: "SINGLE_FACTOR"}); err != nil {
		t.Fatal(err)
	}
	// It stays when the pool is updated and when the factors are set without it.
	must[*api.UpdateUserPoolResponse](t)(h.c.UpdateUserPool(t.Context(), &api.UpdateUserPoolRequest{UserPoolId: pool}))
	must[*api.SetUserPoolMfaConfigResponse](t)(h.c.SetUserPoolMfaConfig(t.Context(), &api.SetUserPoolMfaConfigRequest{
		UserPoolId: pool, MfaConfiguration: "OPTIONAL", SoftwareTokenMfaConfiguration: &api.SoftwareTokenMfaConfigType{Enabled: ptr(true)},
	}))
	got := must[*api.GetUserPoolMfaConfigResponse](t)(h.c.GetUserPoolMfaConfig(t.Context(), &api.GetUserPoolMfaConfigRequest{UserPoolId: pool})).WebAuthnConfiguration
	if got == nil || deref(got.RelyingPartyId) != "example.com" || got.UserVerification != "required" || got.FactorConfiguration != "SINGLE_FACTOR" {
		t.Errorf("got %+v", got)
	}
	_, err = h.c.CreateUserPool(t.Context(), &api.CreateUserPoolRequest{PoolName: "x", Policies: &api.UserPoolPolicyType{SignInPolicy: &api.SignInPolicyType{AllowedFirstAuthFactors: []api.AuthFactorType{"WEB_AUTHN"}}}})
	want(t, err, "InvalidParameterException", "")
	// Passkeys do not make a pool one without passwords.
	_, err = h.c.SignUp(t.Context(), &api.SignUpRequest{ClientId: client, Username: "new"})
	want(t, err, "InvalidParameterException", "Password is required for this user pool.")
}

// RSA keys are taken as well, as Windows makes them.
func TestService_passkey_RS256(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.passkeyPool(nil)
	h.member(pool, "ann")
	access := *h.mustSignIn(client, "ann").AccessToken
	a := newAuthenticator(t)
	a.key = signingKeys()[0]
	if err := h.completePasskey(access, a.create(h.startPasskey(access))); err != nil {
		t.Fatal(err)
	}
	options, session := h.askPasskey(client, "ann")
	out := must[*api.RespondToAuthChallengeResponse](t)(h.answerPasskey(client, "ann", session, a.get(options)))
	h.claims(out.AuthenticationResult.IdToken)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a.key = other
	options, session = h.askPasskey(client, "ann")
	_, err = h.answerPasskey(client, "ann", session, a.get(options))
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
}

// The key with which nobody's answers are checked is on the curve: otherwise the check
// would end early.
func TestDecoyKey(t *testing.T) {
	t.Parallel()
	key, err := webauthncose.ParsePublicKey(decoyKey())
	if err != nil {
		t.Fatal(err)
	}
	if k := key.(webauthncose.EC2PublicKeyData); !slices.Equal(k.XCoord, elliptic.P256().Params().Gx.FillBytes(make([]byte, 32))) {
		t.Errorf("got %+v", k)
	}
}

func TestFollows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		last, next uint32
		want       bool
	}{{0, 0, true}, {0, 1, true}, {7, 8, true}, {7, 700, true}, {7, 7, false}, {7, 6, false}, {7, 0, false}} {
		if got := follows(test.last, test.next); got != test.want {
			t.Errorf("%d after %d: %v", test.next, test.last, got)
		}
	}
}

func TestAllowsOrigin(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		party, origin string
		want          bool
	}{
		{"localhost", "http://localhost:5173", true},
		{"localhost", "http://app.localhost", true},
		{"localhost", "https://localhost", true},
		{"localhost", "http://127.0.0.1:5173", false},
		{"example.com", "https://EXAMPLE.com.evil.org", false},
		{"example.com", "https://example.com.", false},
		{"example.com", "https://example.com?x", false},
		{"example.com", "https://example.com#x", false},
		{"example.com", "ftp://example.com", false},
		{"example.com", "null", false},
		{"example.com", "", false},
		{"", "https://example.com", false},
		{"app.example.com", "https://example.com", false},
	} {
		if got := allowsOrigin(test.party, &protocol.CollectedClientData{Origin: test.origin}); got != test.want {
			t.Errorf("%s for %q: %v", test.origin, test.party, got)
		}
	}
	if allowsOrigin("example.com", &protocol.CollectedClientData{Origin: "https://example.com", TopOrigin: "https://example.org"}) {
		t.Error("allowed in a foreign frame")
	}
}

func TestPasskeyName(t *testing.T) {
	t.Parallel()
	for want, aaguid := range map[string][]byte{
		"Google Password Manager": {0xea, 0x9b, 0x8d, 0x66, 0x4d, 0x01, 0x1d, 0x21, 0x3c, 0xe4, 0xb6, 0xb4, 0x8c, 0xb5, 0x75, 0xd4},
		"Roaming passkey":         make([]byte, 16),
	} {
		if got := passkeyName(aaguid, "cross-platform"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
