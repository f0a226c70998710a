package identitypool

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"moat/internal/issuer"
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
	oidcARN  = "arn:aws:iam::000000000000:oidc-provider/idp.example"
	samlARN  = "arn:aws:iam::000000000000:saml-provider/corp"
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

// curve is another key of the stranger, for ES256.
var curve = sync.OnceValue(func() *ecdsa.PrivateKey {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return private
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
	world *world
}

// world is what is outside: issuers that are signed for by [stranger], and the
// account's providers.
type world struct {
	issuers []string
	down    bool
	oidc    map[string]*OIDCProvider
	saml    map[string]Assertion // by its text
}

func (w *world) ForeignKeys(_ context.Context, name string, _ []string) (token.KeySet, error) {
	switch {
	case w.down:
		return nil, fmt.Errorf("%w: nobody there", issuer.ErrUnreachable)
	case slices.Contains(w.issuers, name):
		ec, err := token.NewKey("ec", &curve().PublicKey)
		if err != nil {
			return nil, err
		}
		return token.NewKeys(stranger().Key(), ec), nil
	}
	return nil, issuer.ErrUnknown
}

func (w *world) OIDCProvider(_ context.Context, arn string) (*OIDCProvider, error) {
	return w.oidc[arn], nil
}

func (w *world) VerifySAML(_ context.Context, arn, text string) (Assertion, error) {
	if a, ok := w.saml[text]; ok && arn == samlARN {
		return a, nil
	}
	return Assertion{}, wire.NewError(400, "InvalidIdentityToken", "The assertion is not signed.")
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

func (h *house) Keys(_ context.Context, name string) (token.KeySet, error) {
	if name == baseURL+"/"+userPool || name == "https://"+awsName {
		return token.NewKeys(signer().Key()), nil
	}
	return nil, issuer.ErrUnknown
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
	h.world = &world{oidc: map[string]*OIDCProvider{}, saml: map[string]Assertion{}}
	if h.s, err = New(Config{DB: db, Issuers: h, Foreign: h.world, Providers: h.world, Roles: h, Pools: h, Account: account, BaseURL: baseURL, Now: h.clock}); err != nil {
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

func parsed(t *testing.T, raw string) token.Claims {
	t.Helper()
	tok, err := token.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tok.Claims
}
