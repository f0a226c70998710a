package function

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http/httptest"
	"strings"
	"testing"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/wire"
)

// fakeAuthority knows one key and allows what its holder may, by resource.
type fakeAuthority struct{ denied string }

func (f *fakeAuthority) Credential(context.Context, string, string) (wire.Credential, error) {
	return wire.Credential{Secret: "secret", Caller: wire.Caller{AccessKeyID: "AKIA", Principal: policy.Principal{
		Kind: policy.PrincipalUser, ARN: "arn:aws:iam::000000000000:user/u", Account: account,
	}}}, nil
}

func (f *fakeAuthority) Authorize(_ context.Context, _ wire.Caller, action, resource, _ string, _ policy.Context) (policy.Decision, error) {
	return policy.Decision{Allowed: action+" "+resource != f.denied}, nil
}

func (f *fakeAuthority) AuthorizeResource(ctx context.Context, c wire.Caller, action, resource, owner string, _ *policy.Document, keys policy.Context) (policy.Decision, error) {
	return f.Authorize(ctx, c, action, resource, owner, keys)
}

// The calls of a deployment tool, as they are on the wire.
func TestWire(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	auth := &fakeAuthority{denied: "lambda:InvokeFunction " + arnOf("f:latest")}
	pipeline := wire.New(wire.Config{Authority: auth, APIs: h.APIs(), Account: account, Region: region})
	send := func(method, path, body string, headers ...string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(method, "http://localhost:4566"+path, strings.NewReader(body))
		sum := sha256.Sum256([]byte(body))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		p, query, _ := strings.Cut(path, "?")
		req := sigv4.Request{Method: method, Path: p, RawQuery: query, Host: r.Host, Header: r.Header}
		sigv4.Sign(&req, hex.EncodeToString(sum[:]), sigv4.Credentials{AccessKeyID: "AKIA", SecretAccessKey: "secret"}, region, "lambda", h.clock())
		w := httptest.NewRecorder()
		pipeline.ServeHTTP(w, r)
		return w
	}
	code := base64.StdEncoding.EncodeToString(index(t, `exports.handler = async (e) => ({ got: e })`))
	create := `{"FunctionName":"f","Role":"` + role + `","Runtime":"nodejs14.x","Handler":"index.handler","Publish":true,"Architectures":["x86_64"],"Description":"","Code":{"ZipFile":"` + code + `"}}`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PUT", "/2015-03-31/functions/f/code", `{"ZipFile":"` + code + `"}`, 404, `{"Message":"Function not found: ` + arnOf("f") + `","Type":"User"}`},
		{"POST", "/2015-03-31/functions", create, 201, `"Version":"1"`},
		{"POST", "/2015-03-31/functions", create, 409, `"Function already exist: f"`},
		{"GET", "/2015-03-31/functions/f/configuration", ``, 200, `"LastUpdateStatus":"Successful"`},
		{"PUT", "/2015-03-31/functions/f/aliases/latest", `{"FunctionVersion":"$LATEST"}`, 404, `Alias not found`},
		{"POST", "/2015-03-31/functions/f/aliases", `{"FunctionVersion":"$LATEST","Name":"latest"}`, 201, `"AliasArn":"` + arnOf("f:latest") + `"`},
		{"GET", "/2015-03-31/functions/f/policy?Qualifier=latest", ``, 404, `The resource you requested does not exist.`},
		{"POST", "/2015-03-31/functions/f/policy?Qualifier=latest", `{"Action":"lambda:InvokeFunction","Principal":"apigateway.amazonaws.com","SourceArn":"` + apiARN + `/*/*/*","StatementId":"web"}`, 201, `"Statement":"{\"Sid\":\"web\"`},
		{"POST", "/2015-03-31/functions/f/invocations", `{"a":1}`, 200, `{"got":{"a":1}}`},
		{"POST", "/2015-03-31/functions/" + strings.ReplaceAll(arnOf("f"), ":", "%3A") + "/invocations?Qualifier=1", `2`, 200, `{"got":2}`},
		{"POST", "/2015-03-31/functions/f/invocations?Qualifier=latest", `{}`, 403, `is not authorized to perform: lambda:InvokeFunction`},
		{"POST", "/2015-03-31/functions/f/invocations", `{`, 400, `Could not parse request body into json`},
		{"GET", "/2017-03-31/tags/" + strings.ReplaceAll(arnOf("f"), ":", "%3A"), ``, 200, `{"Tags":{}}`},
		{"POST", "/2021-10-31/functions/f/url", `{"AuthType":"NONE"}`, 501, `Moat does not implement lambda CreateFunctionUrlConfig.`},
		{"DELETE", "/2015-03-31/functions/f", ``, 204, ``},
		{"GET", "/2015-03-31/functions/f", ``, 404, `Function not found`},
	} {
		w := send(c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s\nwant %d %s", c.method, c.path, w.Code, w.Body, c.status, c.want)
		}
		if w.Code == 204 && w.Body.Len() > 0 {
			t.Errorf("%s %s: %s", c.method, c.path, w.Body)
		}
	}
}
