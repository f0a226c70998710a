package wire_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/cognitoidpapi"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/stsapi"
)

var start = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

const (
	account = "123456789012"
	region  = "eu-west-1"
)

// authority is a fake: two keys, and a decision by the tests.
type authority struct {
	mu    sync.Mutex
	asked []string
	deny  func(action, resource string) (policy.Decision, error)
	keys  policy.Context
}

func (a *authority) Credential(_ context.Context, id, token string) (wire.Credential, error) {
	caller := func(arn string) wire.Caller {
		return wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalUser, ARN: arn, Account: account, ID: "AIDAEXAMPLE"}}
	}
	switch {
	case id == "AKIAUSER" && token == "":
		return wire.Credential{Secret: "secret", Caller: caller("arn:aws:iam::" + account + ":user/ada")}, nil
	case id == "ASIASESSION" && token == "token":
		return wire.Credential{Secret: "session", Caller: caller("arn:aws:sts::" + account + ":assumed-role/r/s")}, nil
	case id == "ASIASESSION" && token == "old":
		return wire.Credential{}, wire.ErrExpiredToken
	case id == "ASIASESSION":
		return wire.Credential{}, wire.ErrBadToken
	case id == "AKIAEMPTY":
		return wire.Credential{Caller: caller("arn:aws:iam::" + account + ":user/empty")}, nil
	case id == "AKIABROKEN":
		return wire.Credential{}, errors.New("the database is gone")
	}
	return wire.Credential{}, wire.ErrUnknownKey
}

func (a *authority) Authorize(_ context.Context, c wire.Caller, action, resource, acct string, keys policy.Context) (policy.Decision, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, action+" "+resource+" "+acct)
	a.keys = keys
	if a.deny != nil {
		return a.deny(action, resource)
	}
	return policy.Decision{Allowed: true, Reason: "statement Everything of policy admin allows it"}, nil
}

type stsService struct{ stsapi.Unimplemented }

func (stsService) GetCallerIdentity(ctx context.Context, _ *stsapi.GetCallerIdentityRequest) (*stsapi.GetCallerIdentityResponse, error) {
	c := wire.CallFrom(ctx)
	return &stsapi.GetCallerIdentityResponse{Account: &c.Account, Arn: &c.Caller.ARN, UserId: &c.Caller.ID}, nil
}

func (stsService) AssumeRole(_ context.Context, in *stsapi.AssumeRoleRequest) (*stsapi.AssumeRoleResponse, error) {
	if in.RoleSessionName == "packed" {
		return nil, &stsapi.PackedPolicyTooLargeException{Message: "too <large>"}
	}
	return &stsapi.AssumeRoleResponse{SourceIdentity: &in.RoleSessionName}, nil
}

func (stsService) AssumeRoleWithWebIdentity(ctx context.Context, _ *stsapi.AssumeRoleWithWebIdentityRequest) (*stsapi.AssumeRoleWithWebIdentityResponse, error) {
	region := wire.CallFrom(ctx).Region
	return &stsapi.AssumeRoleWithWebIdentityResponse{Audience: &region}, nil
}

type idpService struct{ cognitoidpapi.Unimplemented }

func (idpService) InitiateAuth(ctx context.Context, in *cognitoidpapi.InitiateAuthRequest) (*cognitoidpapi.InitiateAuthResponse, error) {
	switch in.AuthParameters["USERNAME"] {
	case "panic":
		panic("secret detail")
	case "broken":
		return nil, errors.New("secret detail")
	case "unlisted":
		return nil, &cognitoidpapi.GroupExistsException{Message: "no"}
	}
	if wire.CallFrom(ctx).Caller.Kind != "" {
		return nil, errors.New("an unsigned call has a caller")
	}
	return nil, &cognitoidpapi.UserNotFoundException{Message: "User does not exist."}
}

func (idpService) ListUserPools(context.Context, *cognitoidpapi.ListUserPoolsRequest) (*cognitoidpapi.ListUserPoolsResponse, error) {
	return &cognitoidpapi.ListUserPoolsResponse{}, nil
}

type functions struct{ lambdaapi.Unimplemented }

func (functions) GetFunction(_ context.Context, in *lambdaapi.GetFunctionRequest) (*lambdaapi.GetFunctionResponse, error) {
	if in.FunctionName == "absent" {
		return nil, &lambdaapi.ResourceNotFoundException{Message: "Function not found"}
	}
	return &lambdaapi.GetFunctionResponse{Tags: map[string]string{"name": in.FunctionName}}, nil
}

func (functions) Invoke(_ context.Context, in *lambdaapi.InvocationRequest) (*lambdaapi.InvocationResponse, error) {
	return &lambdaapi.InvocationResponse{
		Payload: in.Payload, StatusCode: wire.Int32(202), FunctionError: wire.String("Unhandled\r\nX-Evil: 1"),
	}, nil
}

func (functions) TagResource(_ context.Context, in *lambdaapi.TagResourceRequest) (*lambdaapi.TagResourceOutput, error) {
	return &lambdaapi.TagResourceOutput{}, nil
}

type restAPIs struct{ apigatewayapi.Unimplemented }

func (restAPIs) GetRestApi(_ context.Context, in *apigatewayapi.GetRestApiRequest) (*apigatewayapi.RestApi, error) {
	return &apigatewayapi.RestApi{Id: &in.RestApiId, CreatedDate: &start}, nil
}

type fixture struct {
	*wire.Pipeline
	auth    *authority
	mu      sync.Mutex
	records []wire.Record
	idp     *wire.API
}

func newFixture(t *testing.T, configure ...func(*wire.Config)) *fixture {
	t.Helper()
	f := &fixture{auth: &authority{}}
	f.idp = cognitoidpapi.New(idpService{})
	cfg := wire.Config{
		Authority: f.auth, Account: account, Region: region, Now: func() time.Time { return start },
		APIs:    []*wire.API{stsapi.New(stsService{}), f.idp, lambdaapi.New(functions{}), apigatewayapi.New(restAPIs{})},
		Record:  f.record,
		MaxBody: 64 << 10,
	}
	for _, c := range configure {
		c(&cfg)
	}
	f.Pipeline = wire.New(cfg)
	return f
}

// request describes a call; sign says how it is signed.
type request struct {
	method, target, body string
	header               map[string]string
	host                 string

	key, secret, token string // AKIAUSER when empty, "-" for none
	service, region    string
	at                 time.Time
	presign            bool
	hash               string // x-amz-content-sha256
	after              func(*http.Request)
}

func (q request) build() *http.Request {
	method, target := q.method, q.target
	if method == "" {
		method = "POST"
	}
	if target == "" {
		target = "/"
	}
	r := httptest.NewRequest(method, target, strings.NewReader(q.body))
	r.Host = "localhost:4566"
	if q.host != "" {
		r.Host = q.host
	}
	for k, v := range q.header {
		r.Header.Set(k, v)
	}
	if q.hash != "" {
		r.Header.Set("X-Amz-Content-Sha256", q.hash)
	}
	if q.key != "-" {
		q.sign(r)
	}
	if q.after != nil {
		q.after(r)
	}
	return r
}

func (q request) sign(r *http.Request) {
	or := func(s, d string) string {
		if s == "" {
			return d
		}
		return s
	}
	at := q.at
	if at.IsZero() {
		at = start
	}
	sum := sha256.Sum256([]byte(q.body))
	hash := or(q.hash, hex.EncodeToString(sum[:]))
	sr := sigv4.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header}
	c := sigv4.Credentials{AccessKeyID: or(q.key, "AKIAUSER"), SecretAccessKey: or(q.secret, "secret"), SessionToken: q.token}
	if q.presign {
		r.URL.RawQuery = sigv4.Presign(&sr, c, or(q.region, region), q.service, at, time.Minute)
		return
	}
	sigv4.Sign(&sr, hash, c, or(q.region, region), q.service, at)
	r.Header = sr.Header
}

func (f *fixture) do(q request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, q.build())
	return w
}

func (f *fixture) record(r wire.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = append(f.records, r)
}

func (f *fixture) last() wire.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.records[len(f.records)-1]
}

func form(pairs ...string) string {
	v := url.Values{"Version": {"2011-06-15"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

var formType = map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}

func identity() request {
	return request{service: "sts", body: form("Action", "GetCallerIdentity"), header: formType}
}

func getFunction() request { // needs a permission
	return request{service: "lambda", method: "GET", target: "/2015-03-31/functions/f"}
}

func listPools() request {
	return request{service: "cognito-idp", body: `{"MaxResults":10}`, header: map[string]string{
		"X-Amz-Target": "AWSCognitoIdentityProviderService.ListUserPools", "Content-Type": "application/x-amz-json-1.1",
	}}
}

func initiateAuth(user string) request {
	return request{key: "-", body: `{"AuthFlow":"USER_PASSWORD_AUTH","ClientId":"abc","AuthParameters":{"USERNAME":"` + user + `"}}`,
		header: map[string]string{"X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth", "Content-Type": "application/x-amz-json-1.1"}}
}

func with(q request, change func(*request)) request {
	change(&q)
	return q
}
