package gateway

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
	"moat/internal/wire"
)

const (
	account = "000000000000"
	region  = "us-east-1"
	apiID   = "abcdefghij"
	poolARN = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_Pool"
	issuerA = "http://localhost:4566/us-east-1_Pool"
	issuerB = "http://localhost:4566/us-east-1_Other"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// authority knows access keys and their policies.
type authority struct {
	creds  map[string]wire.Credential
	tokens map[string]string
	old    map[string]bool
	docs   map[string][]*policy.Document // by access key
	err    error
}

func (a *authority) Credential(_ context.Context, id, sessionToken string) (wire.Credential, error) {
	c, ok := a.creds[id]
	switch {
	case a.err != nil:
		return wire.Credential{}, a.err
	case !ok:
		return wire.Credential{}, wire.ErrUnknownKey
	case a.tokens[id] != sessionToken:
		return wire.Credential{}, wire.ErrBadToken
	case a.old[id]:
		return wire.Credential{}, wire.ErrExpiredToken
	}
	return c, nil
}

func (a *authority) Authorize(ctx context.Context, c wire.Caller, action, resource, owner string, keys policy.Context) (policy.Decision, error) {
	return a.AuthorizeResource(ctx, c, action, resource, owner, nil, keys)
}

func (a *authority) AuthorizeResource(_ context.Context, c wire.Caller, action, resource, owner string, doc *policy.Document, keys policy.Context) (policy.Decision, error) {
	return policy.Evaluate(&policy.Request{Principal: c.Principal, Action: action, Resource: resource, Account: owner, Context: keys},
		&policy.Policies{Identity: a.docs[c.AccessKeyID], Resource: doc}), nil
}

// issuers are the token issuers of a test; taking one away is deleting it.
type issuers struct {
	mu  sync.Mutex
	set map[string]token.Keys
}

func (i *issuers) Keys(_ context.Context, issuer string) (token.KeySet, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if k, ok := i.set[issuer]; ok {
		return k, nil
	}
	return nil, io.ErrUnexpectedEOF
}

type pools map[string]string

func (p pools) Issuer(arn string) (string, bool) { s, ok := p[arn]; return s, ok }

// invoker is a function; by default it answers with the event it got.
type invoker struct {
	mu    sync.Mutex
	calls []Invocation
	f     func(Invocation) (Result, error)
}

func (i *invoker) Invoke(ctx context.Context, inv Invocation) (Result, error) {
	i.mu.Lock()
	i.calls = append(i.calls, inv)
	f := i.f
	i.mu.Unlock()
	if f != nil {
		return f(inv)
	}
	return echo(inv)
}

func echo(inv Invocation) (Result, error) {
	out, err := json.Marshal(map[string]any{"statusCode": 200, "body": string(inv.Payload)})
	return Result{Payload: out}, err
}

// counter is a Leaser in memory.
type counter struct {
	mu    sync.Mutex
	spent map[string]int64
	calls int
	err   error
}

func (c *counter) Lease(_ context.Context, l Lease) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	if c.err != nil {
		return 0, c.err
	}
	if c.spent == nil {
		c.spent = map[string]int64{}
	}
	at := l.PlanID + "/" + l.KeyID + "/" + l.Window
	n := max(min(l.Want, l.Limit-c.spent[at]), 0)
	c.spent[at] += n
	return n, nil
}

// kit is a gateway with everything around it faked.
type kit struct {
	*Gateway
	t       testing.TB
	clock   *clock
	auth    *authority
	issuers *issuers
	invoker *invoker
	counter *counter
	keyA    *token.SigningKey
	keyB    *token.SigningKey
	records []wire.Record
}

var keys = sync.OnceValues(func() (*rsa.PrivateKey, *rsa.PrivateKey) {
	a, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	b, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return a, b
})

func newKit(t testing.TB) *kit {
	t.Helper()
	a, b := keys()
	k := &kit{t: t, clock: &clock{now: noon}, invoker: &invoker{}, counter: &counter{}}
	k.keyA, _ = token.NewSigningKey("a", a)
	k.keyB, _ = token.NewSigningKey("b", b)
	k.issuers = &issuers{set: map[string]token.Keys{issuerA: token.NewKeys(k.keyA.Key()), issuerB: token.NewKeys(k.keyB.Key())}}
	k.auth = newAuthority(t)
	var mu sync.Mutex
	k.Gateway = New(Config{Authority: k.auth, Issuers: k.issuers, Pools: pools{poolARN: issuerA}, Invoker: k.invoker, Leaser: k.counter,
		AllowPrivate: true, Domain: "localhost:4566", Now: k.clock.Now, Record: func(r wire.Record) {
			mu.Lock()
			if r.ErrorCode == "" { // a refusal's may be kept as it is
				r = r.Clone()
			}
			k.records = append(k.records, r)
			mu.Unlock()
		}})
	return k
}

func newAuthority(t testing.TB) *authority {
	role := func(name, session string) wire.Caller {
		return wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalAssumedRole, Account: account, ID: "AROA" + name + ":" + session,
			ARN: "arn:aws:sts::" + account + ":assumed-role/" + name + "/" + session, RoleARN: "arn:aws:iam::" + account + ":role/" + name,
			Context: policy.Context{"cognito-identity.amazonaws.com:sub": {"us-east-1:id"}, "cognito-identity.amazonaws.com:aud": {"us-east-1:pool"},
				"cognito-identity.amazonaws.com:amr": {"authenticated", "cognito-idp.us-east-1.amazonaws.com/us-east-1_Pool", "cognito-idp.us-east-1.amazonaws.com/us-east-1_Pool:CognitoSignIn:sub-1"}}}}
	}
	member, guest, barred := role("Member", "CognitoIdentityCredentials"), role("Guest", "CognitoIdentityCredentials"), role("Barred", "s")
	member.AccessKeyID, guest.AccessKeyID, barred.AccessKeyID = "ASIAMEMBER", "ASIAGUEST", "ASIABARRED"
	allow := document(t, `{"Version":"2012-10-17","Statement":[{"Sid":"Invoke","Effect":"Allow","Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:us-east-1:000000000000:abcdefghij/api/GET/*"}]}`)
	deny := document(t, `{"Version":"2012-10-17","Statement":[{"Sid":"No","Effect":"Deny","Action":"execute-api:*","Resource":"*"}]}`)
	return &authority{
		creds:  map[string]wire.Credential{"ASIAMEMBER": {Secret: "member-secret", Caller: member}, "ASIAGUEST": {Secret: "guest-secret", Caller: guest}, "ASIABARRED": {Secret: "barred-secret", Caller: barred}},
		tokens: map[string]string{"ASIAMEMBER": "member-session", "ASIAGUEST": "guest-session", "ASIABARRED": "barred-session"},
		old:    map[string]bool{},
		docs:   map[string][]*policy.Document{"ASIAMEMBER": {allow}, "ASIABARRED": {allow, deny}},
	}
}

func document(t testing.TB, text string) *policy.Document {
	t.Helper()
	d, err := policy.Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (k *kit) publish(d Definition) *Snapshot {
	k.t.Helper()
	s, err := Compile(d)
	if err != nil {
		k.t.Fatal(err)
	}
	k.Publish(s)
	return s
}

// lambda is the URI of a function integration.
func lambda(name string) string {
	return "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:" + name + "/invocations"
}

func proxy(name string) Integration {
	return Integration{Type: "AWS_PROXY", Method: "POST", URI: lambda(name)}
}

// courses is the API of the truth table.
func courses(upstream string) Definition {
	return Definition{
		APIID: apiID, Name: "courses", Account: account, Region: region, Stage: "api", DeploymentID: "dep123",
		Variables:   map[string]string{"color": "blue"},
		Authorizers: map[string]Authorizer{"auth01": {ID: "auth01", Name: "Pool", Type: "COGNITO_USER_POOLS", ProviderARNs: []string{poolARN}}},
		Routes: []Route{
			{Path: "/catalog", Method: "GET", ResourceID: "r1", AuthorizationType: "NONE", APIKeyRequired: true, Integration: proxy("catalog")},
			{Path: "/courses", Method: "GET", ResourceID: "r2", AuthorizationType: "COGNITO_USER_POOLS", AuthorizerID: "auth01", Integration: proxy("courses")},
			{Path: "/courses", Method: "POST", ResourceID: "r2", AuthorizationType: "COGNITO_USER_POOLS", AuthorizerID: "auth01", Scopes: []string{"courses/write"}, Integration: proxy("create")},
			{Path: "/progress", Method: "GET", ResourceID: "r3", AuthorizationType: "AWS_IAM", Integration: proxy("progress")},
			{Path: "/progress", Method: "POST", ResourceID: "r3", AuthorizationType: "AWS_IAM", Integration: proxy("progress")},
			{Path: "/content/{proxy+}", Method: "GET", ResourceID: "r4", AuthorizationType: "COGNITO_USER_POOLS", AuthorizerID: "auth01",
				Integration: Integration{Type: "HTTP_PROXY", Method: "GET", URI: upstream + "/base/{proxy}", RequestParameters: map[string]string{"integration.request.path.proxy": "method.request.path.proxy"}}},
			{Path: "/open", Method: "ANY", ResourceID: "r5", AuthorizationType: "NONE", Integration: proxy("open")},
		},
	}
}

func (k *kit) token(key *token.SigningKey, issuer, use string, more map[string]any) string {
	k.t.Helper()
	c := map[string]any{"iss": issuer, "sub": "sub-1", "token_use": use, "exp": noon.Add(time.Hour).Unix(), "iat": noon.Unix(), "auth_time": noon.Unix(),
		"cognito:username": "ann", "cognito:groups": []string{"User", "Admin"}, "email_verified": true}
	if use == "id" {
		c["aud"] = "client-1"
	} else {
		c["client_id"], c["scope"] = "client-1", "openid courses/read"
	}
	for name, v := range more {
		if v == nil {
			delete(c, name)
			continue
		}
		c[name] = v
	}
	claims, err := json.Marshal(c)
	if err != nil {
		k.t.Fatal(err)
	}
	raw, err := token.Sign(key, claims)
	if err != nil {
		k.t.Fatal(err)
	}
	return raw
}

func (k *kit) id(more map[string]any) string { return k.token(k.keyA, issuerA, "id", more) }
func (k *kit) access(scope string) string {
	return k.token(k.keyA, issuerA, "access", map[string]any{"scope": scope})
}

// get makes a request for ServeAPI; headers come in pairs.
func request(method, path string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "http://"+apiID+".execute-api.us-east-1.localhost:4566/api"+path, nil)
	r.RemoteAddr = "203.0.113.7:5555"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func (k *kit) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/api")
	r.RequestURI = r.URL.RequestURI()
	answerOn(k.Gateway, w, r, apiID, "api", path)
	return w
}

func (k *kit) last() wire.Record { return k.records[len(k.records)-1] }

// signed signs a request with temporary credentials.
func signed(r *http.Request, key, session, reg string, at time.Time) *http.Request {
	secret := map[string]string{"ASIAMEMBER": "member-secret", "ASIAGUEST": "guest-secret", "ASIABARRED": "barred-secret"}[key]
	if secret == "" {
		secret = "unknown"
	}
	s := sigv4.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header}
	sigv4.Sign(&s, sigv4.EmptyPayload, sigv4.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: session}, reg, "execute-api", at)
	r.Header = s.Header
	return r
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
