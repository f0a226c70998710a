package identitypool

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

const (
	account  = "000000000000"
	baseURL  = "http://localhost:4566"
	userPool = "us-east-1_AbCdEf123"
	awsName  = "cognito-idp.us-east-1.amazonaws.com/" + userPool
	ourName  = "localhost:4566/" + userPool
	clientID = "client1"
	authRole = "arn:aws:iam::000000000000:role/auth"
	anonRole = "arn:aws:iam::000000000000:role/unauth"
	mapped   = "arn:aws:iam::000000000000:role/mapped"
)

var signer = sync.OnceValue(func() *token.SigningKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	k, err := token.NewSigningKey("k1", private)
	if err != nil {
		panic(err)
	}
	return k
})

var stranger = sync.OnceValue(func() *token.SigningKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	k, err := token.NewSigningKey("k1", private)
	if err != nil {
		panic(err)
	}
	return k
})

// house is a Service behind the AWS pipeline. It plays the user pools, the roles
// and the authority itself.
type house struct {
	t     *testing.T
	s     *Service
	p     *wire.Pipeline
	api   api.Service
	root  context.Context
	anon  context.Context
	mu    sync.Mutex
	now   time.Time
	trust map[string]string // trust policies by role
	last  call
	pass  bool
	live  bool // what the user pool says of tokens
}

// call is what the Service asked of the roles.
type call struct {
	role     string
	keys     policy.Context
	tags     map[string]string
	policies []string
}

type untrusted struct{}

func (untrusted) Error() string    { return "not trusted" }
func (untrusted) NotTrusted() bool { return true }

func (h *house) WebIdentityCredentials(_ context.Context, role, session, provider string, keys policy.Context, tags map[string]string, policies []string, d time.Duration) (sigv4.Credentials, time.Time, error) {
	trust, ok := h.trust[role]
	if !ok || session != "CognitoIdentityCredentials" || d != time.Hour {
		return sigv4.Credentials{}, time.Time{}, untrusted{}
	}
	doc, err := policy.Parse("trust", []byte(trust))
	if err != nil {
		return sigv4.Credentials{}, time.Time{}, err
	}
	decision := policy.EvaluateTrust(&policy.Request{Principal: policy.Principal{Kind: policy.PrincipalFederated, Federated: provider},
		Action: "sts:AssumeRoleWithWebIdentity", Resource: role, Account: account, Context: keys}, &policy.Policies{Resource: doc})
	if !decision.Allowed {
		return sigv4.Credentials{}, time.Time{}, untrusted{}
	}
	h.last = call{role, keys, tags, policies}
	return sigv4.Credentials{AccessKeyID: "ASIA1", SecretAccessKey: "s", SessionToken: "t"}, h.clock().Add(d), nil
}

func (h *house) PassRole(_ context.Context, _ wire.Caller, _, service string) error {
	if h.pass && service == "cognito-identity.amazonaws.com" {
		return nil
	}
	return wire.NewError(403, "AccessDeniedException", "no")
}

func (h *house) Keys(_ context.Context, issuer string) (token.KeySet, error) {
	if issuer == baseURL+"/"+userPool || issuer == "https://"+awsName {
		return token.NewKeys(signer().Key()), nil
	}
	return nil, errors.New("unknown issuer")
}

func (h *house) TokenActive(_ context.Context, pool string, t *token.Token) (bool, error) {
	return h.live && pool == userPool && t.Claims.String("sub") != "", nil
}

func (h *house) Credential(context.Context, string, string) (wire.Credential, error) {
	return wire.Credential{}, wire.ErrUnknownKey
}

func (h *house) Authorize(_ context.Context, c wire.Caller, _, _, _ string, _ policy.Context) (policy.Decision, error) {
	return policy.Decision{Allowed: c.Kind == policy.PrincipalRoot}, nil
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), trust: map[string]string{}, pass: true, live: true}
	db, err := store.Open(t.Context(), store.Config{Path: ":memory:", Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if h.s, err = New(Config{DB: db, Issuers: h, Roles: h, Pools: h, Account: account, BaseURL: baseURL, Now: h.clock}); err != nil {
		t.Fatal(err)
	}
	h.p = wire.New(wire.Config{Authority: h, APIs: h.s.APIs(), Account: account, Region: "us-east-1", Now: h.clock, Strict: true})
	h.api = api.Client(h.p)
	h.root = wire.WithCall(t.Context(), &wire.Call{Account: account, Region: "us-east-1", Caller: wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalRoot, Account: account}}})
	h.anon = wire.WithCall(t.Context(), &wire.Call{Account: account, Region: "us-east-1"})
	return h
}

// pool makes an identity pool with the two usual roles.
func (h *house) pool(change func(*api.CreateIdentityPoolInput)) string {
	h.t.Helper()
	in := &api.CreateIdentityPoolInput{IdentityPoolName: "people", AllowUnauthenticatedIdentities: true, AllowClassicFlow: wire.Bool(true),
		CognitoIdentityProviders: []api.CognitoIdentityProvider{{ProviderName: wire.String(awsName), ClientId: wire.String(clientID), ServerSideTokenCheck: wire.Bool(false)}}}
	if change != nil {
		change(in)
	}
	p, err := h.api.CreateIdentityPool(h.root, in)
	if err != nil {
		h.t.Fatal(err)
	}
	h.trust[authRole], h.trust[anonRole] = trust(p.IdentityPoolId, "authenticated"), trust(p.IdentityPoolId, "unauthenticated")
	h.trust[mapped] = h.trust[authRole]
	if _, err := h.api.SetIdentityPoolRoles(h.root, &api.SetIdentityPoolRolesInput{IdentityPoolId: p.IdentityPoolId, Roles: map[string]string{"authenticated": authRole, "unauthenticated": anonRole}}); err != nil {
		h.t.Fatal(err)
	}
	return p.IdentityPoolId
}

func trust(pool, amr string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"cognito-identity.amazonaws.com"},"Action":"sts:AssumeRoleWithWebIdentity",
		"Condition":{"StringEquals":{"cognito-identity.amazonaws.com:aud":"` + pool + `"},"ForAnyValue:StringLike":{"cognito-identity.amazonaws.com:amr":"` + amr + `"}}}]}`
}

// idToken makes an ID token of the user pool, altered.
func (h *house) idToken(sub string, alter map[string]any) string {
	h.t.Helper()
	return h.signed(signer(), sub, alter)
}

func (h *house) signed(key *token.SigningKey, sub string, alter map[string]any) string {
	h.t.Helper()
	now := h.clock().Unix()
	claims := map[string]any{"iss": baseURL + "/" + userPool, "aud": clientID, "sub": sub, "token_use": "id", "iat": now, "exp": now + 3600}
	maps.Copy(claims, alter)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	body, _ := json.Marshal(claims)
	raw, err := token.Sign(key, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return raw
}

func (h *house) id(pool string, logins map[string]string) string {
	h.t.Helper()
	out, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: logins})
	if err != nil {
		h.t.Fatal(err)
	}
	return *out.IdentityId
}

func (h *house) credentials(id string, logins map[string]string) error {
	_, err := h.api.GetCredentialsForIdentity(h.anon, &api.GetCredentialsForIdentityInput{IdentityId: id, Logins: logins})
	return err
}

func want(t *testing.T, what string, err error, code, message string) {
	t.Helper()
	var e wire.Exception
	switch {
	case code == "" && err == nil:
	case !errors.As(err, &e):
		t.Errorf("%s: got %v, want %q", what, err, code)
	case e.ErrorCode() != code || message != "" && e.ErrorMessage() != message:
		t.Errorf("%s:\n got %s: %s\nwant %s: %s", what, e.ErrorCode(), e.ErrorMessage(), code, message)
	}
}

func TestGetId(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	tok := h.idToken("alice", nil)
	first := h.id(pool, map[string]string{awsName: tok})
	if !strings.HasPrefix(first, "us-east-1:") {
		t.Errorf("id %s", first)
	}
	if again := h.id(pool, map[string]string{ourName: tok}); again != first {
		t.Errorf("the issuer's name gave %s, AWS's gave %s", again, first)
	}
	if other := h.id(pool, map[string]string{awsName: h.idToken("bob", nil)}); other == first {
		t.Error("two users share an identity")
	}
	if a, b := h.id(pool, nil), h.id(pool, nil); a == b || a == first {
		t.Error("guests share an identity")
	}
	second := h.pool(nil)
	if other := h.id(second, map[string]string{awsName: tok}); other == first {
		t.Error("two pools share an identity")
	}
	_, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: "us-east-1:00000000-0000-0000-0000-000000000000"})
	want(t, "unknown pool", err, "ResourceNotFoundException", "IdentityPool 'us-east-1:00000000-0000-0000-0000-000000000000' not found.")
	closed := h.pool(func(in *api.CreateIdentityPoolInput) { in.AllowUnauthenticatedIdentities = false })
	_, err = h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: closed})
	want(t, "no guests", err, "NotAuthorizedException", "Unauthenticated access is not supported for this identity pool.")
}

func TestLogin_refuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	const unsupported = "Token is not from a supported provider of this identity pool."
	const notID = "Invalid login token. Not a valid OpenId Connect identity token."
	for _, tt := range []struct{ name, provider, token, message string }{
		{"right", awsName, h.idToken("a", nil), ""},
		{"issuer of an imported pool", awsName, h.idToken("a", map[string]any{"iss": "https://" + awsName}), ""},
		{"another provider", "accounts.google.com", h.idToken("a", nil), unsupported},
		{"another pool", "cognito-idp.us-east-1.amazonaws.com/us-east-1_other", h.idToken("a", nil), unsupported},
		{"audience of another client", awsName, h.idToken("a", map[string]any{"aud": "client2"}), unsupported},
		{"no audience", awsName, h.idToken("a", map[string]any{"aud": nil}), unsupported},
		{"two audiences", awsName, h.idToken("a", map[string]any{"aud": []string{clientID, "x"}}), unsupported},
		{"access token", awsName, h.idToken("a", map[string]any{"token_use": "access"}), notID},
		{"no use", awsName, h.idToken("a", map[string]any{"token_use": nil}), notID},
		{"no subject", awsName, h.idToken("", nil), notID},
		{"not a token", awsName, "nonsense", notID},
		{"issuer of another pool", awsName, h.idToken("a", map[string]any{"iss": baseURL + "/us-east-1_other"}), "Invalid login token. Issuer doesn't match providerName"},
		{"no issuer", awsName, h.idToken("a", map[string]any{"iss": nil}), "Invalid login token. Issuer doesn't match providerName"},
		{"foreign signature", awsName, h.signed(stranger(), "a", nil), "Invalid login token. Token signature invalid."},
		{"expired", awsName, h.idToken("a", map[string]any{"exp": h.clock().Unix()}), "Invalid login token. Token expired: 1772600767 >= 1772600767"},
		{"without expiry", awsName, h.idToken("a", map[string]any{"exp": nil}), ""},
	} {
		_, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: map[string]string{tt.provider: tt.token}})
		switch {
		case tt.message == "" && tt.name != "without expiry":
			want(t, tt.name, err, "", "")
		case err == nil:
			t.Errorf("%s: accepted", tt.name)
		default:
			want(t, tt.name, err, "NotAuthorizedException", tt.message)
		}
	}
	// Both names at once must mean one user.
	_, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: map[string]string{awsName: h.idToken("a", nil), ourName: h.idToken("b", nil)}})
	want(t, "two users", err, "NotAuthorizedException", "")
}

func TestServerSideTokenCheck(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(func(in *api.CreateIdentityPoolInput) {
		in.CognitoIdentityProviders[0].ServerSideTokenCheck = wire.Bool(true)
	})
	login := map[string]string{awsName: h.idToken("a", nil)}
	id := h.id(pool, login)
	h.live = false
	want(t, "signed out", h.credentials(id, login), "NotAuthorizedException", "")
	h.live, h.s.cfg.Pools = true, nil
	want(t, "nobody to ask", h.credentials(id, login), "NotAuthorizedException", "")
	h.s.cfg.Pools = h
	want(t, "active", h.credentials(id, login), "", "")
}

func TestGetCredentials(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	login := map[string]string{awsName: h.idToken("alice", nil)}
	id, guest := h.id(pool, login), h.id(pool, nil)

	want(t, "signed in", h.credentials(id, login), "", "")
	if h.last.role != authRole || h.last.policies != nil || h.last.keys.Get("cognito-identity.amazonaws.com:sub")[0] != id ||
		!slices.Equal(h.last.keys.Get("cognito-identity.amazonaws.com:amr"), []string{"authenticated", awsName, awsName + ":CognitoSignIn:alice"}) {
		t.Errorf("signed in: %+v", h.last)
	}
	want(t, "guest", h.credentials(guest, nil), "", "")
	if h.last.role != anonRole || len(h.last.policies) != 2 || !slices.Equal(h.last.keys.Get("cognito-identity.amazonaws.com:amr"), []string{"unauthenticated"}) {
		t.Errorf("guest: %+v", h.last)
	}
	want(t, "identity without its login", h.credentials(id, nil), "NotAuthorizedException", "Access to Identity '"+id+"' is forbidden.")
	want(t, "another's identity", h.credentials(id, map[string]string{awsName: h.idToken("eve", nil)}), "NotAuthorizedException",
		"Logins don't match. Please include at least one valid login for this identity or identity pool.")
	want(t, "expired", func() error { h.advance(2 * time.Hour); return h.credentials(id, login) }(), "NotAuthorizedException", "")
	want(t, "unknown", h.credentials("us-east-1:00000000-0000-0000-0000-000000000000", nil), "ResourceNotFoundException", "Identity 'us-east-1:00000000-0000-0000-0000-000000000000' not found.")

	// A guest who signs in keeps the identity, and it is then no guest's any more.
	signin := map[string]string{ourName: h.idToken("carol", nil)}
	want(t, "guest signs in", h.credentials(guest, signin), "", "")
	want(t, "as a guest again", h.credentials(guest, nil), "NotAuthorizedException", "")
	if again := h.id(pool, signin); again != guest {
		t.Errorf("carol has %s, had %s", again, guest)
	}
	want(t, "guest takes alice's login", h.credentials(h.id(pool, nil), map[string]string{awsName: h.idToken("alice", nil)}), "ResourceConflictException", "")

	// A pool that no longer lets guests in.
	late := h.id(pool, nil)
	if _, err := h.api.UpdateIdentityPool(h.root, &api.IdentityPool{IdentityPoolId: pool, IdentityPoolName: "people"}); err != nil {
		t.Fatal(err)
	}
	want(t, "guest of a closed pool", h.credentials(late, nil), "NotAuthorizedException", "Unauthenticated access is not supported for this identity pool.")
	want(t, "provider taken away", h.credentials(guest, signin), "NotAuthorizedException", "Token is not from a supported provider of this identity pool.")
}

func TestGetCredentials_trust(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	login := map[string]string{awsName: h.idToken("alice", nil)}
	id := h.id(pool, login)
	const message = "Invalid identity pool configuration. Check assigned IAM roles for this pool."
	for name, doc := range map[string]string{
		"another pool":        trust("us-east-1:other", "authenticated"),
		"guests only":         trust(pool, "unauthenticated"),
		"another principal":   strings.Replace(trust(pool, "authenticated"), "cognito-identity", "accounts", 1),
		"another identity":    strings.Replace(trust(pool, "authenticated"), `"StringEquals":{`, `"StringEquals":{"cognito-identity.amazonaws.com:sub":"x",`, 1),
		"another user's name": trust(pool, awsName+":CognitoSignIn:bob"),
	} {
		h.trust[authRole] = doc
		want(t, name, h.credentials(id, login), "InvalidIdentityPoolConfigurationException", message)
	}
	h.trust[authRole] = trust(pool, awsName+":CognitoSignIn:alice")
	want(t, "this user", h.credentials(id, login), "", "")
	if _, err := h.api.SetIdentityPoolRoles(h.root, &api.SetIdentityPoolRolesInput{IdentityPoolId: pool, Roles: map[string]string{"unauthenticated": anonRole}}); err != nil {
		t.Fatal(err)
	}
	want(t, "no role", h.credentials(id, login), "InvalidIdentityPoolConfigurationException", message)
}

func TestRoleMapping(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	other := "arn:aws:iam::000000000000:role/other"
	h.trust[other] = h.trust[authRole]
	rules := func(match, value string) api.RoleMapping {
		return api.RoleMapping{Type: "Rules", AmbiguousRoleResolution: "Deny", RulesConfiguration: &api.RulesConfigurationType{
			Rules: []api.MappingRule{{Claim: "custom:dept", MatchType: api.MappingRuleMatchType(match), Value: value, RoleARN: mapped}}}}
	}
	tokens := func(ambiguous string) api.RoleMapping {
		return api.RoleMapping{Type: "Token", AmbiguousRoleResolution: api.AmbiguousRoleResolutionType(ambiguous)}
	}
	for _, tt := range []struct {
		name    string
		mapping api.RoleMapping
		claims  map[string]any
		custom  string
		role    string // "" is refused
	}{
		{"preferred role", tokens("Deny"), map[string]any{"cognito:preferred_role": mapped, "cognito:roles": []string{mapped, other}}, "", mapped},
		{"only role", tokens("Deny"), map[string]any{"cognito:roles": []string{mapped}}, "", mapped},
		{"ambiguous, deny", tokens("Deny"), map[string]any{"cognito:roles": []string{mapped, other}}, "", ""},
		{"ambiguous, default", tokens("AuthenticatedRole"), map[string]any{"cognito:roles": []string{mapped, other}}, "", authRole},
		{"no role, deny", tokens("Deny"), nil, "", ""},
		{"no role, default", tokens("AuthenticatedRole"), nil, "", authRole},
		{"custom of its roles", tokens("Deny"), map[string]any{"cognito:roles": []string{mapped, other}}, other, other},
		{"custom of another", tokens("AuthenticatedRole"), map[string]any{"cognito:roles": []string{mapped}}, other, ""},
		{"equals", rules("Equals", "eng"), map[string]any{"custom:dept": "eng"}, "", mapped},
		{"equals not", rules("Equals", "eng"), map[string]any{"custom:dept": "engine"}, "", ""},
		{"contains", rules("Contains", "gin"), map[string]any{"custom:dept": "engine"}, "", mapped},
		{"starts with", rules("StartsWith", "eng"), map[string]any{"custom:dept": "engine"}, "", mapped},
		{"starts not with", rules("StartsWith", "gin"), map[string]any{"custom:dept": "engine"}, "", ""},
		{"not equal", rules("NotEqual", "eng"), map[string]any{"custom:dept": "ops"}, "", mapped},
		{"not equal, absent", rules("NotEqual", "eng"), nil, "", ""},
	} {
		_, err := h.api.SetIdentityPoolRoles(h.root, &api.SetIdentityPoolRolesInput{IdentityPoolId: pool, Roles: map[string]string{"authenticated": authRole},
			RoleMappings: map[string]api.RoleMapping{ourName + ":" + clientID: tt.mapping}})
		if err != nil {
			t.Fatal(err)
		}
		login := map[string]string{awsName: h.idToken("alice", tt.claims)}
		in := &api.GetCredentialsForIdentityInput{IdentityId: h.id(pool, login), Logins: login}
		if tt.custom != "" {
			in.CustomRoleArn = &tt.custom
		}
		h.last = call{}
		_, err = h.api.GetCredentialsForIdentity(h.anon, in)
		if h.last.role != tt.role || (err == nil) != (tt.role != "") {
			t.Errorf("%s: %q, %v; want %q", tt.name, h.last.role, err, tt.role)
		}
	}
	out, err := h.api.GetIdentityPoolRoles(h.root, &api.GetIdentityPoolRolesInput{IdentityPoolId: pool})
	if err != nil || out.RoleMappings[awsName+":"+clientID].Type != "Rules" {
		t.Errorf("%+v, %v", out, err)
	}
	h.pass = false
	_, err = h.api.SetIdentityPoolRoles(h.root, &api.SetIdentityPoolRolesInput{IdentityPoolId: pool, Roles: map[string]string{"authenticated": authRole}})
	want(t, "may not pass", err, "AccessDeniedException", "")
}

func TestGuestPolicies(t *testing.T) {
	t.Parallel()
	var docs []*policy.Document
	for _, d := range guestPolicies() {
		p, err := policy.Parse("guest", []byte(d))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, p)
	}
	all, _ := policy.Parse("role", []byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`))
	for action, want := range map[string]bool{
		"execute-api:Invoke": true, "lambda:InvokeFunction": true, "rum:PutRumEvents": true, "kms:Decrypt": true, "kms:CreateKey": false,
		"iam:CreateUser": false, "sts:AssumeRole": false, "ssm:GetParameter": false, "cloudformation:CreateStack": false, "apigateway:POST": false,
	} {
		d := policy.Evaluate(&policy.Request{Principal: policy.Principal{Kind: policy.PrincipalAssumedRole, Account: account}, Action: action, Resource: "*"},
			&policy.Policies{Identity: []*policy.Document{all}, Session: docs})
		if d.Allowed != want {
			t.Errorf("%s: %v", action, d.Allowed)
		}
	}
}

func TestOpenIDToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	if _, ok := h.s.Resolve("https://elsewhere.example"); ok {
		t.Error("answers for another issuer")
	}
	login := map[string]string{awsName: h.idToken("alice", nil)}
	id := h.id(pool, login)
	out, err := h.api.GetOpenIdToken(h.anon, &api.GetOpenIdTokenInput{IdentityId: id, Logins: login})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := token.Parse(*out.Token)
	if err != nil {
		t.Fatal(err)
	}
	keys, ok := h.s.Resolve(tok.Issuer())
	if !ok || tok.VerifyWith(keys) != nil || tok.Issuer() != "https://cognito-identity.amazonaws.com" {
		t.Errorf("the token does not verify: %v", tok.Claims)
	}
	if tok.Claims.String("aud") != pool || tok.Claims.String("sub") != id || tok.Claims.Strings("amr")[0] != "authenticated" {
		t.Errorf("claims %v", tok.Claims)
	}
	if tok.CheckTime(h.clock().Add(openIDLife-time.Second)) != nil || tok.CheckTime(h.clock().Add(openIDLife)) == nil {
		t.Error("it lives for another time than ten minutes")
	}
	enhanced := h.pool(func(in *api.CreateIdentityPoolInput) { in.AllowClassicFlow = nil })
	_, err = h.api.GetOpenIdToken(h.anon, &api.GetOpenIdTokenInput{IdentityId: h.id(enhanced, nil)})
	want(t, "enhanced only", err, "InvalidParameterException", "Basic (classic) flow is not enabled, please use enhanced flow.")
	// Another process on the same database signs with the same key.
	again, err := New(h.s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if keys, ok := again.Resolve(Issuer); !ok || tok.VerifyWith(keys) != nil {
		t.Error("the key did not survive")
	}
}

func TestUnlinkIdentity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	login := map[string]string{awsName: h.idToken("alice", nil)}
	id := h.id(pool, login)
	_, err := h.api.UnlinkIdentity(h.anon, &api.UnlinkIdentityInput{IdentityId: id, Logins: map[string]string{awsName: h.idToken("eve", nil)}, LoginsToRemove: []string{awsName}})
	want(t, "another's login", err, "NotAuthorizedException", "")
	_, err = h.api.UnlinkIdentity(h.anon, &api.UnlinkIdentityInput{IdentityId: id, Logins: login, LoginsToRemove: []string{ourName}})
	want(t, "own login", err, "", "")
	d, err := h.api.DescribeIdentity(h.root, &api.DescribeIdentityInput{IdentityId: id})
	if err != nil || len(d.Logins) != 0 {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestAdministration(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	var ids []string
	for range 5 {
		ids = append(ids, h.id(pool, nil))
	}
	slices.Sort(ids)
	var seen []string
	in := &api.ListIdentitiesInput{IdentityPoolId: pool, MaxResults: 2}
	for {
		out, err := h.api.ListIdentities(h.root, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range out.Identities {
			seen = append(seen, *i.IdentityId)
		}
		if out.NextToken == nil {
			break
		}
		in.NextToken = out.NextToken
	}
	if !slices.Equal(seen, ids) {
		t.Errorf("listed %v, want %v", seen, ids)
	}
	other := h.pool(nil)
	_, err := h.api.ListIdentities(h.root, &api.ListIdentitiesInput{IdentityPoolId: other, MaxResults: 2, NextToken: in.NextToken})
	want(t, "another pool's page", err, "InvalidParameterException", "")
	del, err := h.api.DeleteIdentities(h.root, &api.DeleteIdentitiesInput{IdentityIdsToDelete: []string{ids[0], "us-east-1:00000000-0000-0000-0000-000000000000"}})
	if err != nil || len(del.UnprocessedIdentityIds) != 1 {
		t.Errorf("%+v, %v", del, err)
	}
	arn := h.s.poolARN(pool)
	if _, err := h.api.TagResource(h.root, &api.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.api.UntagResource(h.root, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := h.api.ListTagsForResource(h.root, &api.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || !maps.Equal(tags.Tags, map[string]string{"b": "2"}) {
		t.Errorf("%+v, %v", tags, err)
	}
	pools, err := h.api.ListIdentityPools(h.root, &api.ListIdentityPoolsInput{MaxResults: 1})
	if err != nil || len(pools.IdentityPools) != 1 || pools.NextToken == nil {
		t.Errorf("%+v, %v", pools, err)
	}
	if _, err := h.api.DeleteIdentityPool(h.root, &api.DeleteIdentityPoolInput{IdentityPoolId: pool}); err != nil {
		t.Fatal(err)
	}
	want(t, "identity of a deleted pool", h.credentials(ids[1], nil), "ResourceNotFoundException", "")
	_, err = h.api.CreateIdentityPool(h.root, &api.CreateIdentityPoolInput{IdentityPoolName: "x", DeveloperProviderName: wire.String("dev")})
	want(t, "developer provider", err, "NotImplemented", "")
	_, err = h.api.CreateIdentityPool(h.root, &api.CreateIdentityPoolInput{IdentityPoolName: "x", CognitoIdentityProviders: []api.CognitoIdentityProvider{{ProviderName: wire.String(awsName)}}})
	want(t, "provider without audience", err, "InvalidParameterException", "")
	// Administration needs a caller who may; the flows need none.
	_, err = h.api.DescribeIdentityPool(h.anon, &api.DescribeIdentityPoolInput{IdentityPoolId: other})
	want(t, "anonymous", err, "AccessDeniedException", "")
}

func TestPrincipalTags(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	login := map[string]string{awsName: h.idToken("alice", map[string]any{"custom:dept": "eng"})}
	id := h.id(pool, login)
	for _, tt := range []struct {
		in   *api.SetPrincipalTagAttributeMapInput
		want map[string]string
	}{
		{&api.SetPrincipalTagAttributeMapInput{UseDefaults: wire.Bool(true)}, map[string]string{"client": clientID, "username": "alice"}},
		{&api.SetPrincipalTagAttributeMapInput{PrincipalTags: map[string]string{"department": "custom:dept", "none": "custom:none"}}, map[string]string{"department": "eng"}},
	} {
		tt.in.IdentityPoolId, tt.in.IdentityProviderName = pool, ourName
		if _, err := h.api.SetPrincipalTagAttributeMap(h.root, tt.in); err != nil {
			t.Fatal(err)
		}
		want(t, "credentials", h.credentials(id, login), "", "")
		if !maps.Equal(h.last.tags, tt.want) {
			t.Errorf("%v, want %v", h.last.tags, tt.want)
		}
	}
}

// What the React application sends, byte for byte.
func TestHTTP(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	req := httptest.NewRequest("POST", "https://cognito-identity.us-east-1.amazonaws.com/", strings.NewReader(`{"IdentityPoolId":"`+pool+`","Logins":{"`+awsName+`":"`+h.idToken("alice", nil)+`"}}`))
	req.Header.Set("X-Amz-Target", "AWSCognitoIdentityService.GetId")
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	w := httptest.NewRecorder()
	h.p.ServeHTTP(w, req)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `{"IdentityId":"us-east-1:`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
