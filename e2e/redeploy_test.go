package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// readFile reads a file that must be there.
func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestRedeploy edits the example while it serves: no request is lost, and what was saved counts.
func TestRedeploy(t *testing.T) {
	t.Parallel()
	dir := copyExample(t)
	upstream, seen := newUpstream(t)
	c := startCourses(t, filepath.Join(dir, "template.yaml"), "--parameter", "ContentUrl="+upstream)
	ada := c.newUser(t, "ada@example.com")
	tok, err := c.signIn(t.Context(), c.publicClient, ada)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("upstream", func(t *testing.T) { upstreamSees(t, c, tok, seen) })
	stop := c.keepAsking(t, tok)
	t.Run("handler", func(t *testing.T) { editHandler(t, c, dir, tok) })
	t.Run("mistake", func(t *testing.T) { editMistake(t, c, dir, tok) })
	t.Run("template", func(t *testing.T) { editTemplate(t, c, dir, tok) })
	stop()
	t.Run("role by iam", func(t *testing.T) { editRole(t, c, tok) })
}

// newUpstream is an ordinary web service that remembers the last request.
func newUpstream(t *testing.T) (address string, seen *atomic.Pointer[http.Request]) {
	seen = new(atomic.Pointer[http.Request])
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r)
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("X-Lesson", "1")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "a lesson")
	}))
	t.Cleanup(s.Close)
	return s.URL, seen
}

// upstreamSees: the proxy route hands path, query and headers on, and the answer back.
func upstreamSees(t *testing.T, c *courses, tok tokens, seen *atomic.Pointer[http.Request]) {
	req := c.request(t.Context(), http.MethodGet, "/content/a/lesson%20one?page=2&page=3")
	req.Header.Set("Authorization", tok.id)
	req.Header.Set("X-Own", "kept")
	a := c.check(t, req, want{status: http.StatusTeapot, body: "a lesson", contentType: "text/plain"})
	if a.header.Get("X-Lesson") != "1" {
		t.Errorf("the upstream's header is lost: %v", a.header)
	}
	r := seen.Load()
	if r == nil {
		t.Fatal("the upstream saw no request")
	}
	if r.URL.Path != "/a/lesson one" || r.URL.RawQuery != "page=2&page=3" || r.Header.Get("X-Own") != "kept" || !strings.HasPrefix(r.Host, "127.0.0.1:") {
		t.Errorf("the upstream saw %s %s of host %s, headers %v", r.Method, r.URL, r.Host, r.Header)
	}
	before := r
	refused := c.request(t.Context(), http.MethodGet, "/content/secret")
	c.check(t, refused, unauthorized)
	if seen.Load() != before {
		t.Error("a refused request reached the upstream")
	}
}

// keepAsking sends requests of two routes without a pause, until stop is called, which
// fails the test for each that was not answered as it should be.
func (c *courses) keepAsking(t *testing.T, tok tokens) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var askers sync.WaitGroup
	var answered atomic.Int64
	for i := range 3 {
		askers.Go(func() {
			for ctx.Err() == nil {
				req := c.request(context.Background(), http.MethodGet, "/courses") // what is under way at the end is waited for
				req.Header.Set("Authorization", tok.id)
				want := http.StatusOK
				if i == 2 {
					req, want = c.request(context.Background(), http.MethodGet, "/catalog"), http.StatusForbidden
				}
				a, err := send(c.client, req)
				if err != nil || a.status != want {
					t.Errorf("while it is deployed anew: %s: %v, %d %s", req.URL.Path, err, a.status, a.body)
					return
				}
				answered.Add(1)
			}
		})
	}
	return func() {
		cancel()
		askers.Wait()
		if n := answered.Load(); n < 100 {
			t.Errorf("only %d requests were answered: that was no load", n)
		}
	}
}

// serves waits until GET /courses holds a text.
func (c *courses) serves(t *testing.T, tok tokens, text string) {
	t.Helper()
	err := until(t.Context(), 15*time.Second, func() error {
		req := c.request(t.Context(), http.MethodGet, "/courses")
		req.Header.Set("Authorization", tok.id)
		a, err := send(c.client, req)
		if err == nil && !strings.Contains(a.body, text) {
			err = fmt.Errorf("GET /courses still answers %d %s, without %q", a.status, a.body, text)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, c.reports())
	}
}

// reports are the lines about deployments.
func (s *server) reports() string {
	var out []string
	for line := range strings.SplitSeq(s.output(), "\n") {
		var e struct{ Event string }
		if json.Unmarshal([]byte(line), &e) == nil && (e.Event == "deployed" || e.Event == "failed") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func editHandler(t *testing.T, c *courses, dir string, tok tokens) {
	handler := filepath.Join(dir, "functions", "list", "index.mjs")
	was := "Moats and bridges"
	for i := range 4 {
		now := fmt.Sprintf("Edition %d", i+2)
		edit(t, handler, was, now)
		c.serves(t, tok, now)
		was = now
	}
}

// editMistake: a template with a mistake is reported and changes nothing.
func editMistake(t *testing.T, c *courses, dir string, tok tokens) {
	template := filepath.Join(dir, "template.yaml")
	edit(t, template, "    Type: AWS::Cognito::UserPoolGroup\n", "    Type: AWS::Cognito::UserPoolGrupp\n")
	err := until(t.Context(), 15*time.Second, func() error {
		if r := c.reports(); !strings.Contains(r, "UserPoolGrupp") {
			return fmt.Errorf("the mistake was not reported: %s", r)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.serves(t, tok, "Edition 5")
	edit(t, template, "    Type: AWS::Cognito::UserPoolGrupp\n", "    Type: AWS::Cognito::UserPoolGroup\n")
}

// editTemplate changes the function's role and what the API has, and puts the role back.
func editTemplate(t *testing.T, c *courses, dir string, tok tokens) {
	template := filepath.Join(dir, "template.yaml")
	handler := filepath.Join(dir, "functions", "list", "index.mjs")
	c.progress(t, tok, http.StatusOK, `"goal": 3`)
	edit(t, template, "Action: ssm:GetParameter\n", "Action: ssm:DescribeParameters\n")
	c.progress(t, tok, http.StatusInternalServerError, `"error": "AccessDeniedException"`)
	edit(t, template, "Action: ssm:DescribeParameters\n", "Action: ssm:GetParameter\n")
	edit(t, template, "      Value: \"3\"\n", "      Value: \"4\"\n")
	edit(t, handler, "Edition 5", "Edition 6")
	c.progress(t, tok, http.StatusOK, `"goal": 4`)
	c.serves(t, tok, "Edition 6")
}

// progress waits until GET /progress answers so to a signed-in user.
func (c *courses) progress(t *testing.T, tok tokens, status int, text string) {
	t.Helper()
	keys, err := c.identityCredentials(t.Context(), tok.id)
	if err != nil {
		t.Fatal(err)
	}
	err = until(t.Context(), 15*time.Second, func() error {
		req := c.request(t.Context(), http.MethodGet, "/progress")
		sign(req, keys, executeAPI())
		a, err := send(c.client, req)
		if err == nil && (a.status != status || !strings.Contains(a.body, text)) {
			err = fmt.Errorf("GET /progress answers %d %s, want %d %s", a.status, a.body, status, text)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, c.reports())
	}
}

// editRole takes the statement away by IAM's own API, and gives it back.
func editRole(t *testing.T, c *courses, tok tokens) {
	ctx, client := t.Context(), iam.NewFromConfig(c.config(rootCredentials))
	roles, err := client.ListRoles(ctx, &iam.ListRolesInput{})
	if err != nil {
		t.Fatal(err)
	}
	role := ""
	for _, r := range roles.Roles {
		if strings.Contains(*r.RoleName, "ProgressRole") {
			role = *r.RoleName
		}
	}
	policies, err := client.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &role})
	if err != nil || len(policies.PolicyNames) != 1 {
		t.Fatalf("policies of the role %q of the function Progress: %+v, %v", role, policies, err)
	}
	name := policies.PolicyNames[0]
	document, err := client.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
	if err != nil {
		t.Fatal(err)
	}
	c.progress(t, tok, http.StatusOK, `"goal": 4`)
	if _, err := client.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: &name}); err != nil {
		t.Fatal(err)
	}
	c.progress(t, tok, http.StatusInternalServerError, `"error": "AccessDeniedException"`)
	if _, err := client.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: aws.String(unescape(t, *document.PolicyDocument))}); err != nil {
		t.Fatal(err)
	}
	c.progress(t, tok, http.StatusOK, `"goal": 4`)
}

// unescape undoes the percent encoding in which IAM gives documents (RFC 3986).
func unescape(t *testing.T, document string) string {
	t.Helper()
	s, err := url.QueryUnescape(document)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
