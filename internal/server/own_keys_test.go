package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/wire"
	"moat/internal/wire/cloudtrailapi"
	"moat/internal/wire/iamapi"
)

// asRoot is a context in which the root calls.
func asRoot(t *testing.T, s *Server) *wire.Call {
	t.Helper()
	root, err := s.parts.iam.Credential(t.Context(), "test", "")
	if err != nil {
		t.Fatal(err)
	}
	return &wire.Call{Account: "000000000000", Region: "us-east-1", Caller: root.Caller}
}

// askOwn sends a signed request to one of Moat's own addresses.
func askOwn(t *testing.T, s *Server, c sigv4.Credentials, method, path string, body []byte) (int, string) {
	t.Helper()
	return get(t, s, method, path, func(r *http.Request) {
		r.Header.Set("User-Agent", "tests/1")
		r.Header.Set("Referer", "https://page.example/")
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:])
		r.Header.Set("X-Amz-Content-Sha256", hash)
		if body != nil {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		req := sigv4.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.URL.Host, Header: r.Header}
		sigv4.Sign(&req, hash, c, "us-east-1", "moat", time.Now())
	})
}

// Moat's own addresses are decided with the condition keys of every call.
func TestOwn_GlobalKeys(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	ada := deployer(t, s, "ada", `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"a:b","Resource":"*"}]}`)
	ctx := wire.WithCall(t.Context(), asRoot(t, s))
	iam := iamapi.Client(s.parts.pipeline)
	if _, err := iam.TagUser(ctx, &iamapi.TagUserRequest{UserName: "ada", Tags: []iamapi.Tag{{Key: "team", Value: "red"}}}); err != nil {
		t.Fatal(err)
	}
	deployment, err := json.Marshal(Deployment{Stack: "mine", File: "t.yaml", Template: "Resources:\n  P:\n    Type: AWS::SSM::Parameter\n    Properties:\n      Type: String\n      Value: v\n"})
	if err != nil {
		t.Fatal(err)
	}
	question, err := json.Marshal(PolicyQuestion{Principal: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	past, future := now.Add(-time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339)
	for _, own := range []struct {
		name, actions, method, path string
		body                        []byte
		status                      int // of who may
	}{
		{"explain", `"cloudtrail:LookupEvents"`, http.MethodGet, explainPath + "00000000-0000-4000-8000-000000000000", nil, http.StatusNotFound},
		{"suggest", `"cloudtrail:LookupEvents"`, http.MethodGet, suggestPath + "?principal=ada&since=" + url.QueryEscape(past), nil, http.StatusOK},
		{"metrics", `"cloudwatch:GetMetricData"`, http.MethodGet, MetricsPath, nil, http.StatusOK},
		{"policy", `"iam:SimulatePrincipalPolicy"`, http.MethodPost, "/_moat/policy", question, http.StatusOK},
		{"deploy", `"cloudformation:CreateChangeSet","cloudformation:ExecuteChangeSet"`, http.MethodPost, "/_moat/deploy", deployment, http.StatusOK},
	} {
		for _, tt := range []struct{ key, operator, right, wrong string }{
			{"aws:SourceIp", "IpAddress", "127.0.0.0/8", "10.0.0.0/8"},
			{"aws:PrincipalTag/team", "StringEquals", "red", "blue"},
			{"aws:PrincipalArn", "ArnEquals", "arn:aws:iam::000000000000:user/ada", "arn:aws:iam::000000000000:user/eve"},
			{"aws:username", "StringEquals", "ada", "eve"},
			{"aws:RequestedRegion", "StringEquals", "us-east-1", "eu-west-1"},
			{"aws:ResourceAccount", "StringEquals", "000000000000", "111111111111"},
			{"aws:SecureTransport", "Bool", "false", "true"},
			{"aws:UserAgent", "StringLike", "tests/*", "browser/*"},
			{"aws:CurrentTime", "DateGreaterThan", past, future},
			{"aws:ViaAWSService", "Bool", "false", "true"},
		} {
			for value, want := range map[string]int{tt.right: own.status, tt.wrong: http.StatusForbidden} {
				doc := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[%s],"Resource":"*","Condition":{%q:{%q:%q}}}]}`, own.actions, tt.operator, tt.key, value)
				if _, err := iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyRequest{UserName: "ada", PolicyName: "p", PolicyDocument: doc}); err != nil {
					t.Fatal(err)
				}
				if status, text := askOwn(t, s, ada, own.method, own.path, own.body); status != want {
					t.Errorf("%s, %s %s %s: status %d, want %d: %s", own.name, tt.operator, tt.key, value, status, want, text)
				}
			}
		}
	}
}

// Questions about a principal are decided by the principal's tags, too; a refusal
// stands in the trail, an answer does not.
func TestAskPolicies_Tags(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	none := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"a:b","Resource":"*"}]}`
	deployer(t, s, "red", none)
	deployer(t, s, "blue", none)
	asker := deployer(t, s, "asker", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:SimulatePrincipalPolicy","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}}]}`)
	call := asRoot(t, s)
	ctx := wire.WithCall(t.Context(), call)
	iam := iamapi.Client(s.parts.pipeline)
	for _, team := range []string{"red", "blue"} {
		if _, err := iam.TagUser(ctx, &iamapi.TagUserRequest{UserName: team, Tags: []iamapi.Tag{{Key: "team", Value: team}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		q      PolicyQuestion
		status int
		text   string
	}{
		{"of the team", PolicyQuestion{Principal: "red"}, 200, `"principal":"arn:aws:iam::000000000000:user/red"`},
		{"of another team", PolicyQuestion{Principal: "blue"}, 403, "iam:SimulatePrincipalPolicy on resource: blue\""},
		{"of no team", PolicyQuestion{Principal: "asker"}, 403, "on resource: asker\""},
		{"of everybody", PolicyQuestion{Action: "iam:GetUser", Resource: "*"}, 403, "on resource: *"},
		{"of nobody", PolicyQuestion{Principal: "nobody"}, 403, "on resource: nobody\""},
	} {
		if status, text := ask(t, s, asker, c.q, ""); status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: got %d %s, want %d with %s", c.name, status, text, c.status, c.text)
		}
	}
	found, err := s.parts.trail.LookupEvents(ctx, &cloudtrailapi.LookupEventsRequest{LookupAttributes: []cloudtrailapi.LookupAttribute{{AttributeKey: "EventName", AttributeValue: "AskPolicies"}}})
	if err != nil || len(found.Events) != 4 {
		t.Fatalf("the trail has %d events, %v", len(found.Events), err)
	}
	for _, e := range found.Events {
		text := wire.Value(e.CloudTrailEvent)
		for _, want := range []string{`"eventSource":"moat.amazonaws.com"`, `"userName":"asker"`, `"errorCode":"AccessDenied"`, "iam:SimulatePrincipalPolicy"} {
			if !strings.Contains(text, want) {
				t.Errorf("the event lacks %s: %s", want, text)
			}
		}
	}
}
