package iam

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/issuer"
	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

const account = "000000000000"

// house is an IAM service behind the AWS pipeline, with a clock to turn.
type house struct {
	t       *testing.T
	s       *Service
	db      *store.DB
	p       *wire.Pipeline
	iam     iamapi.Service
	sts     stsapi.Service
	issuers fakeIssuers
	mu      sync.Mutex
	now     time.Time
}

type fakeIssuers map[string]token.KeySet

func (f fakeIssuers) Keys(_ context.Context, name string) (token.KeySet, error) {
	if k, ok := f[name]; ok {
		return k, nil
	}
	return nil, issuer.ErrUnknown
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), issuers: fakeIssuers{}}
	db, err := store.Open(t.Context(), store.Config{Path: ":memory:", Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	h.db = db
	if h.s, err = New(Config{DB: db, Account: account, Issuers: h.issuers, Now: h.clock}); err != nil {
		t.Fatal(err)
	}
	if err := h.s.EnsureRoot(t.Context(), "test", "test"); err != nil {
		t.Fatal(err)
	}
	h.p = wire.New(wire.Config{Authority: h.s, APIs: h.s.APIs(), Account: account, Region: "us-east-1", Now: h.clock, Strict: true})
	h.iam, h.sts = iamapi.Client(h.p), stsapi.Client(h.p)
	return h
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

// as returns a context in which an access key calls.
func (h *house) as(key sigv4.Credentials) context.Context {
	h.t.Helper()
	c, err := h.s.Credential(h.t.Context(), key.AccessKeyID, key.SessionToken)
	if err != nil {
		h.t.Fatalf("credential of %s: %v", key.AccessKeyID, err)
	}
	return wire.WithCall(h.t.Context(), &wire.Call{Account: account, Region: "us-east-1", Caller: c.Caller})
}

func (h *house) root() context.Context {
	return h.as(sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"})
}

// user makes a user with an inline policy and a key.
func (h *house) user(name, statements string) sigv4.Credentials {
	h.t.Helper()
	ctx := h.root()
	must(h.t)(h.iam.CreateUser(ctx, &iamapi.CreateUserRequest{UserName: name}))
	if statements != "" {
		must(h.t)(h.iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyRequest{UserName: name, PolicyName: "p", PolicyDocument: doc(statements)}))
	}
	k := must(h.t)(h.iam.CreateAccessKey(ctx, &iamapi.CreateAccessKeyRequest{UserName: &name})).(*iamapi.CreateAccessKeyResponse).AccessKey
	return sigv4.Credentials{AccessKeyID: k.AccessKeyId, SecretAccessKey: k.SecretAccessKey}
}

func (h *house) role(name, trust, statements string) string {
	h.t.Helper()
	ctx := h.root()
	r := must(h.t)(h.iam.CreateRole(ctx, &iamapi.CreateRoleRequest{RoleName: name, AssumeRolePolicyDocument: doc(trust)})).(*iamapi.CreateRoleResponse).Role
	if statements != "" {
		must(h.t)(h.iam.PutRolePolicy(ctx, &iamapi.PutRolePolicyRequest{RoleName: name, PolicyName: "p", PolicyDocument: doc(statements)}))
	}
	return r.Arn
}

func doc(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

func must(t *testing.T) func(any, error) any {
	return func(v any, err error) any {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
		return v
	}
}

// may asks the authority.
func (h *house) may(key sigv4.Credentials, action, resource string) bool {
	h.t.Helper()
	c, err := h.s.Credential(h.t.Context(), key.AccessKeyID, key.SessionToken)
	if err != nil {
		return false
	}
	d, err := h.s.Authorize(h.t.Context(), c.Caller, action, resource, account, policy.Context{})
	if err != nil {
		h.t.Fatal(err)
	}
	return d.Allowed
}

// want checks an error's code and the sentence, or that there is none.
func want(t *testing.T, what string, err error, code, message string) {
	t.Helper()
	var e wire.Exception
	switch {
	case code == "" && err == nil:
	case !errors.As(err, &e):
		t.Errorf("%s: got %v, want %s", what, err, code)
	case e.ErrorCode() != code || message != "" && e.ErrorMessage() != message:
		t.Errorf("%s:\n got %s: %s\nwant %s: %s", what, e.ErrorCode(), e.ErrorMessage(), code, message)
	}
}

const (
	allowAll  = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	allowRead = `{"Effect":"Allow","Action":"ssm:Get*","Resource":"*"}`
)

func TestCredential_refuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("alice", allowAll)
	session := must(t)(h.sts.GetSessionToken(h.as(key), &stsapi.GetSessionTokenRequest{})).(*stsapi.GetSessionTokenResponse).Credentials
	other := newHouse(t)
	foreign := must(t)(other.sts.GetSessionToken(other.as(other.user("alice", "")), &stsapi.GetSessionTokenRequest{})).(*stsapi.GetSessionTokenResponse).Credentials
	tok := session.SessionToken
	for _, tt := range []struct {
		name, id, token string
		want            error
	}{
		{"key", key.AccessKeyID, "", nil},
		{"root", "test", "", nil},
		{"session", session.AccessKeyId, tok, nil},
		{"unknown", "AKIAUNKNOWNUNKNOWN12", "", wire.ErrUnknownKey},
		{"empty", "", "", wire.ErrUnknownKey},
		{"key with a token", key.AccessKeyID, tok, wire.ErrBadToken},
		{"root with a token", "test", tok, wire.ErrBadToken},
		{"session without its token", session.AccessKeyId, "", wire.ErrBadToken},
		{"session of another installation", foreign.AccessKeyId, foreign.SessionToken, wire.ErrBadToken},
		{"token of another key", foreign.AccessKeyId, tok, wire.ErrBadToken},
		{"truncated", session.AccessKeyId, tok[:len(tok)-4], wire.ErrBadToken},
		{"extended", session.AccessKeyId, tok + "AAAA", wire.ErrBadToken},
		{"line break inside", session.AccessKeyId, tok[:8] + "\n" + tok[8:], wire.ErrBadToken},
		{"other letter case", session.AccessKeyId, strings.ToLower(tok), wire.ErrBadToken},
	} {
		if _, err := h.s.Credential(t.Context(), tt.id, tt.token); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	body := strings.TrimRight(tok, "=")
	for i := range body { // one bit, at every place
		flipped := alphabet[strings.IndexByte(alphabet, body[i])^1]
		altered := tok[:i] + string(flipped) + tok[i+1:]
		if _, err := h.s.Credential(t.Context(), session.AccessKeyId, altered); !errors.Is(err, wire.ErrBadToken) {
			t.Fatalf("altered at %d: %v", i, err)
		}
	}
	h.advance(12*time.Hour - time.Second)
	if _, err := h.s.Credential(t.Context(), session.AccessKeyId, tok); err != nil {
		t.Errorf("before its end: %v", err)
	}
	h.advance(time.Second)
	if _, err := h.s.Credential(t.Context(), session.AccessKeyId, tok); !errors.Is(err, wire.ErrExpiredToken) {
		t.Errorf("at its end: %v", err)
	}
}

func TestCredential_followsChanges(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("bob", allowRead)
	session := must(t)(h.sts.GetSessionToken(h.as(key), &stsapi.GetSessionTokenRequest{})).(*stsapi.GetSessionTokenResponse).Credentials
	temp := sigv4.Credentials{AccessKeyID: session.AccessKeyId, SessionToken: session.SessionToken}
	check := func(when string, want bool) {
		t.Helper()
		for name, k := range map[string]sigv4.Credentials{"key": key, "session": temp} {
			if got := h.may(k, "ssm:GetParameter", "*"); got != want {
				t.Errorf("%s: %s may=%v, want %v", when, name, got, want)
			}
		}
	}
	check("at first", true)
	must(t)(h.iam.UpdateAccessKey(h.root(), &iamapi.UpdateAccessKeyRequest{UserName: wire.String("bob"), AccessKeyId: key.AccessKeyID, Status: "Inactive"}))
	check("key inactive", false)
	must(t)(h.iam.UpdateAccessKey(h.root(), &iamapi.UpdateAccessKeyRequest{UserName: wire.String("bob"), AccessKeyId: key.AccessKeyID, Status: "Active"}))
	check("key active", true)
	must(t)(h.iam.DeleteUserPolicy(h.root(), &iamapi.DeleteUserPolicyRequest{UserName: "bob", PolicyName: "p"}))
	check("no policy", false)
	must(t)(h.iam.CreateGroup(h.root(), &iamapi.CreateGroupRequest{GroupName: "readers"}))
	must(t)(h.iam.AttachGroupPolicy(h.root(), &iamapi.AttachGroupPolicyRequest{GroupName: "readers", PolicyArn: managedPrefix + "AmazonSSMReadOnlyAccess"}))
	must(t)(h.iam.AddUserToGroup(h.root(), &iamapi.AddUserToGroupRequest{GroupName: "readers", UserName: "bob"}))
	check("in a group", true)
	b := must(t)(h.iam.CreatePolicy(h.root(), &iamapi.CreatePolicyRequest{PolicyName: "boundary", PolicyDocument: doc(`{"Effect":"Allow","Action":"s3:*","Resource":"*"}`)})).(*iamapi.CreatePolicyResponse).Policy
	must(t)(h.iam.PutUserPermissionsBoundary(h.root(), &iamapi.PutUserPermissionsBoundaryRequest{UserName: "bob", PermissionsBoundary: *b.Arn}))
	check("outside its boundary", false)
	must(t)(h.iam.CreatePolicyVersion(h.root(), &iamapi.CreatePolicyVersionRequest{PolicyArn: *b.Arn, PolicyDocument: doc(allowAll), SetAsDefault: wire.Bool(true)}))
	check("a wider boundary", true)
	must(t)(h.iam.RemoveUserFromGroup(h.root(), &iamapi.RemoveUserFromGroupRequest{GroupName: "readers", UserName: "bob"}))
	check("out of the group", false)

	// A new user of the old name is another user.
	must(t)(h.iam.DeleteAccessKey(h.root(), &iamapi.DeleteAccessKeyRequest{UserName: wire.String("bob"), AccessKeyId: key.AccessKeyID}))
	must(t)(h.iam.DeleteUser(h.root(), &iamapi.DeleteUserRequest{UserName: "bob"}))
	h.user("bob", allowAll)
	check("another bob", false)
}

func TestGetSessionToken_scope(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("carol", allowAll)
	for name, k := range map[string]sigv4.Credentials{"user": key, "root": {AccessKeyID: "test"}} {
		c := must(t)(h.sts.GetSessionToken(h.as(k), &stsapi.GetSessionTokenRequest{})).(*stsapi.GetSessionTokenResponse).Credentials
		temp := sigv4.Credentials{AccessKeyID: c.AccessKeyId, SessionToken: c.SessionToken}
		if !h.may(temp, "ssm:GetParameter", "*") || h.may(temp, "iam:CreateUser", "*") {
			t.Errorf("%s: wrong scope", name)
		}
		_, err := h.sts.GetSessionToken(h.as(temp), &stsapi.GetSessionTokenRequest{})
		want(t, name, err, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
}

func TestRoot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	root := sigv4.Credentials{AccessKeyID: "test"}
	if !h.may(root, "ssm:GetParameter", "*") {
		t.Error("root refused")
	}
	// The key is not in the database: another process on the folder does not know it.
	again, err := New(Config{DB: h.db, Account: account, Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Credential(t.Context(), "test", ""); !errors.Is(err, wire.ErrUnknownKey) {
		t.Errorf("a root key survived: %v", err)
	}
	g := Guardrail{"guardrail", doc(allowAll + `,{"Effect":"Deny","Action":"s3:*","Resource":"*"}`)}
	guarded, err := New(Config{DB: h.db, Account: account, Now: h.clock, Guardrails: []Guardrail{g}})
	if err != nil {
		t.Fatal(err)
	}
	for action, want := range map[string]bool{"s3:GetObject": false, "ssm:GetParameter": true} {
		d, err := guarded.Authorize(t.Context(), guarded.rootCaller("x"), action, "*", account, nil)
		if err != nil || d.Allowed != want {
			t.Errorf("%s: %+v, %v", action, d, err)
		}
	}
}

func TestCreateAdministrator(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id, secret, created, err := h.s.CreateAdministrator(t.Context())
	if err != nil || !created || len(id) != 20 || len(secret) != 40 {
		t.Fatalf("%q %v %v", id, created, err)
	}
	c, err := h.s.Credential(t.Context(), id, "")
	if err != nil || c.Secret != secret {
		t.Fatalf("%+v, %v", c.Caller, err)
	}
	if !h.may(sigv4.Credentials{AccessKeyID: id}, "iam:CreateUser", "*") {
		t.Error("the administrator may not")
	}
	if _, _, created, err := h.s.CreateAdministrator(t.Context()); err != nil || created {
		t.Errorf("a second time: %v, %v", created, err)
	}
	var k AccessKey
	_ = h.db.View(t.Context(), func(tx *store.Tx) (err error) {
		k, err = h.s.t.keys.Get(tx, id)
		return err
	})
	if len(k.Secret) == 0 || strings.Contains(string(k.Secret), secret) {
		t.Error("the secret is not sealed")
	}
}

func TestAuthorize_unknownPrincipals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, p := range map[string]policy.Principal{
		"nobody":       {},
		"service":      {Kind: policy.PrincipalService, Service: "lambda.amazonaws.com"},
		"other root":   {Kind: policy.PrincipalRoot, Account: "111111111111", ARN: "arn:aws:iam::111111111111:root"},
		"unknown user": {Kind: policy.PrincipalUser, Account: account, ARN: "arn:aws:iam::000000000000:user/x", ID: "AIDA1"},
		"no ARN":       {Kind: policy.PrincipalUser, Account: account},
		"unknown role": {Kind: policy.PrincipalAssumedRole, Account: account, RoleARN: "arn:aws:iam::000000000000:role/x", ID: "AROA1:s"},
		"unknown kind": {Kind: "Admin", Account: account},
	} {
		d, err := h.s.Authorize(t.Context(), wire.Caller{Principal: p}, "ssm:GetParameter", "*", account, nil)
		if err != nil || d.Allowed {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestAuthorizeResource(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	none, all := h.user("none", ""), h.user("all", allowAll)
	rp := func(statements string) *policy.Document {
		d, err := policy.Parse("function policy", []byte(doc(statements)))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	user := rp(`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/none"},"Action":"lambda:InvokeFunction","Resource":"*"}`)
	denies := rp(`{"Effect":"Deny","Principal":"*","Action":"lambda:InvokeFunction","Resource":"*"}`)
	gateway := rp(`{"Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"*","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:execute-api:us-east-1:000000000000:api1/*/*/*"}}}`)
	caller := func(k sigv4.Credentials) wire.Caller {
		c, err := h.s.Credential(t.Context(), k.AccessKeyID, "")
		if err != nil {
			t.Fatal(err)
		}
		return c.Caller
	}
	service := wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalService, Service: "apigateway.amazonaws.com"}}
	from := func(arn string) policy.Context { return policy.Context{"aws:sourcearn": {arn}} }
	for _, tt := range []struct {
		name   string
		caller wire.Caller
		rp     *policy.Document
		keys   policy.Context
		want   bool
	}{
		{"nothing", caller(none), nil, nil, false},
		{"identity", caller(all), nil, nil, true},
		{"resource", caller(none), user, nil, true},
		{"resource denies", caller(all), denies, nil, false},
		{"service without policy", service, nil, nil, false},
		{"service from its API", service, gateway, from("arn:aws:execute-api:us-east-1:000000000000:api1/dev/GET/a"), true},
		{"service from another API", service, gateway, from("arn:aws:execute-api:us-east-1:000000000000:api2/dev/GET/a"), false},
		{"service from nowhere", service, gateway, nil, false},
	} {
		d, err := h.s.AuthorizeResource(t.Context(), tt.caller, "lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:f", account, tt.rp, tt.keys)
		if err != nil || d.Allowed != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, d, err)
		}
	}
}

func TestPassRole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	role := h.role("exec", `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}`, "")
	ok := h.user("ok", fmt.Sprintf(`{"Effect":"Allow","Action":"iam:PassRole","Resource":%q,"Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}`, role))
	caller := func(k sigv4.Credentials) wire.Caller {
		c, _ := h.s.Credential(t.Context(), k.AccessKeyID, "")
		return c.Caller
	}
	want(t, "right", h.s.PassRole(t.Context(), caller(ok), role, "lambda.amazonaws.com"), "", "")
	want(t, "other service", h.s.PassRole(t.Context(), caller(ok), role, "ec2.amazonaws.com"), "AccessDeniedException",
		"User: arn:aws:iam::000000000000:user/ok is not authorized to perform: iam:PassRole on resource: "+role+" because no identity-based policy allows the iam:PassRole action")
	want(t, "other role", h.s.PassRole(t.Context(), caller(ok), role+"x", "lambda.amazonaws.com"), "AccessDeniedException", "")
	for service, want := range map[string]bool{"lambda.amazonaws.com": true, "ec2.amazonaws.com": false} {
		if got, err := h.s.RoleTrusts(t.Context(), role, service, ""); err != nil || got != want {
			t.Errorf("%s: %v, %v", service, got, err)
		}
	}
	if got, _ := h.s.RoleTrusts(t.Context(), role+"x", "lambda.amazonaws.com", ""); got {
		t.Error("an unknown role trusts")
	}
}

// The whole way over HTTP: signed requests of a user and of a session.
func TestHTTP(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.user("dave", `{"Effect":"Allow","Action":["iam:GetUser"],"Resource":"arn:aws:iam::*:user/${aws:username}"}`)
	call := func(c sigv4.Credentials, service, form string) (int, string) {
		req := httptest.NewRequest("POST", "http://localhost:4566/", strings.NewReader(form))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		hash := sigv4.HashOf([]byte(form))
		r := sigv4.Request{Method: "POST", Path: "/", Host: req.Host, Header: req.Header}
		sigv4.Sign(&r, hash, c, "us-east-1", service, h.clock())
		w := httptest.NewRecorder()
		h.p.ServeHTTP(w, req)
		return w.Code, w.Body.String()
	}
	for _, tt := range []struct {
		name          string
		c             sigv4.Credentials
		service, form string
		status        int
		text          string
	}{
		{"root", sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, "sts", "Action=GetCallerIdentity&Version=2011-06-15", 200, "<Arn>arn:aws:iam::000000000000:root</Arn>"},
		{"user", key, "sts", "Action=GetCallerIdentity&Version=2011-06-15", 200, "<Arn>arn:aws:iam::000000000000:user/dave</Arn>"},
		{"wrong secret", sigv4.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: "x"}, "sts", "Action=GetCallerIdentity&Version=2011-06-15", 403, "SignatureDoesNotMatch"},
		{"own user", key, "iam", "Action=GetUser&Version=2010-05-08", 200, "<UserName>dave</UserName>"},
		{"other user", key, "iam", "Action=GetUser&UserName=eve&Version=2010-05-08", 403,
			"User: arn:aws:iam::000000000000:user/dave is not authorized to perform: iam:GetUser on resource: arn:aws:iam::000000000000:user/eve because no identity-based policy allows the iam:GetUser action"},
	} {
		if status, body := call(tt.c, tt.service, tt.form); status != tt.status || !strings.Contains(body, tt.text) {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
}

// Without its database the service goes on deciding what it knows, and refuses
// with an error what it does not: it never lets through.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	known, unknown := h.user("known", allowAll), h.user("unknown", allowAll)
	if !h.may(known, "ssm:GetParameter", "*") {
		t.Fatal("refused")
	}
	caller, err := h.s.Credential(t.Context(), unknown.AccessKeyID, "")
	if err != nil {
		t.Fatal(err)
	}
	h.s.forget()
	h.may(known, "ssm:GetParameter", "*")
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	if !h.may(known, "ssm:GetParameter", "*") {
		t.Error("what was known is forgotten")
	}
	if c, err := h.s.Credential(t.Context(), unknown.AccessKeyID, ""); err == nil || errors.Is(err, wire.ErrUnknownKey) || c.Secret != "" {
		t.Errorf("%+v, %v", c, err)
	}
	if d, err := h.s.Authorize(t.Context(), caller.Caller, "ssm:GetParameter", "*", account, nil); err == nil || d.Allowed {
		t.Errorf("%+v, %v", d, err)
	}
}
