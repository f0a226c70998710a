package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/iamapi"
)

// ask sends a signed question about policies.
func ask(t *testing.T, s *Server, c sigv4.Credentials, q PolicyQuestion, tamper string) (int, string) {
	t.Helper()
	body, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	return get(t, s, http.MethodPost, "/_moat/policy", func(r *http.Request) {
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:])
		r.Header.Set("X-Amz-Content-Sha256", hash)
		sent := append(body, tamper...)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(len(sent))
		req := sigv4.Request{Method: r.Method, Path: "/_moat/policy", Host: r.URL.Host, Header: r.Header}
		sigv4.Sign(&req, hash, c, "us-east-1", "moat", time.Now())
	})
}

// Questions are answered for who may simulate the principal's policies, by all who have a say.
func TestAskPolicies(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	allow := func(action, resource string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
	}
	all := deployer(t, s, "all", allow("iam:SimulatePrincipalPolicy", "*"))
	self := deployer(t, s, "self", allow("iam:SimulatePrincipalPolicy", "arn:aws:iam::000000000000:user/self"))
	none := deployer(t, s, "none", allow("execute-api:Invoke", "*"))
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1"})
	api, err := s.parts.restapi.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{
		Name: "a", Policy: wire.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/self"},"Action":"execute-api:Invoke","Resource":"execute-api:/v1/GET/*"}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	route := "arn:aws:execute-api:us-east-1:000000000000:" + *api.Id + "/v1/GET/courses"
	for _, c := range []struct {
		name   string
		who    sigv4.Credentials
		q      PolicyQuestion
		tamper string
		status int
		text   string
	}{
		{"herself", self, PolicyQuestion{Principal: "self"}, "", 200, `"may":[{"service":"iam"`},
		{"another", self, PolicyQuestion{Principal: "none"}, "", 403, "is not authorized to perform: iam:SimulatePrincipalPolicy on resource: none\""},
		{"another, by ARN", self, PolicyQuestion{Principal: "arn:aws:iam::000000000000:user/none"}, "", 403, "on resource: arn:aws:iam::000000000000:user/none\""},
		{"who may not ask is not told who exists", self, PolicyQuestion{Principal: "nobody"}, "", 403, "is not authorized to perform: iam:SimulatePrincipalPolicy on resource: nobody\""},
		{"nor by ARN", self, PolicyQuestion{Principal: "arn:aws:iam::000000000000:user/nobody"}, "", 403, "on resource: arn:aws:iam::000000000000:user/nobody\""},
		{"everybody", self, PolicyQuestion{Action: "iam:GetUser", Resource: "*"}, "", 403, "on resource: *"},
		{"everybody, by who may", all, PolicyQuestion{Action: "execute-api:Invoke", Resource: route}, "", 200, `{"principal":"arn:aws:iam::000000000000:user/self","answer":"yes","by":[{"policy":"policy of the API"`},
		{"the API's policy", all, PolicyQuestion{Principal: "self", Action: "execute-api:Invoke", Resource: strings.Replace(route, "GET", "POST", 1)}, "", 200, `"answer":"no"`},
		{"nobody of this name", all, PolicyQuestion{Principal: "nobody"}, "", 404, "there is no user or role nobody"},
		{"may nothing", none, PolicyQuestion{Principal: "none"}, "", 403, "is not authorized"},
		{"no question", all, PolicyQuestion{Action: "iam:GetUser"}, "", 400, "this is not a question"},
		{"another body than was signed", all, PolicyQuestion{Principal: "all"}, " ", 403, "hash of the body"},
		{"a wrong secret", sigv4.Credentials{AccessKeyID: all.AccessKeyID, SecretAccessKey: "x"}, PolicyQuestion{Principal: "all"}, "", 403, "signature"},
	} {
		if status, text := ask(t, s, c.who, c.q, c.tamper); status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: got %d %s, want %d with %s", c.name, status, text, c.status, c.text)
		}
	}
}

// Calls over the wire are what reports of last use tell, refused ones too.
func TestRecord_LastUse(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	ada := deployer(t, s, "ada", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}]}`)
	caller, err := s.parts.iam.Credential(t.Context(), ada.AccessKeyID, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1", Caller: caller.Caller})
	api := iamapi.Client(s.parts.pipeline)
	if _, err := api.ListUsers(ctx, &iamapi.ListUsersRequest{}); err != nil {
		t.Fatal(err)
	}
	job, err := api.GenerateServiceLastAccessedDetails(ctx, &iamapi.GenerateServiceLastAccessedDetailsRequest{Arn: caller.Caller.ARN, Granularity: "ACTION_LEVEL"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := api.GetServiceLastAccessedDetails(ctx, &iamapi.GetServiceLastAccessedDetailsRequest{JobId: *job.JobId})
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	for _, service := range out.ServicesLastAccessed {
		for _, a := range service.TrackedActionsLastAccessed {
			if a.LastAccessedTime != nil {
				used = append(used, service.ServiceNamespace+":"+*a.ActionName)
			}
		}
	}
	if len(used) == 0 || used[0] != "iam:ListUsers" {
		t.Errorf("used: %v", used)
	}
}
