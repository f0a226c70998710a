package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// TestServe runs Moat for real: one administrator's key and nothing else, the example by
// `moat deploy`, and the same after a restart.
func TestServe(t *testing.T) {
	t.Parallel()
	upstream, seen := newUpstream(t)
	args := []string{"serve", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--isolation", "prefer"}
	s := start(t, args)
	admin := aws.Credentials{AccessKeyID: s.ready.Administrator.AccessKeyID, SecretAccessKey: s.ready.Administrator.SecretAccessKey}
	t.Run("principals", func(t *testing.T) { servePrincipals(t, s, admin) })
	t.Run("no tools of dev", func(t *testing.T) { serveTools(t, s) })

	env := environment("MOAT_ENDPOINT="+s.endpoint, "AWS_ACCESS_KEY_ID="+admin.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+admin.SecretAccessKey)
	r := moat(t, env, "deploy", "--json", exampleTemplate, "--parameter", "ContentUrl="+upstream)
	if r.code != 0 {
		t.Fatalf("moat deploy: %s", r)
	}
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	var deployed struct{ Outputs map[string]string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &deployed); err != nil {
		t.Fatalf("%v: %s", err, r)
	}
	key := serveExample(t, s, admin, deployed.Outputs)
	if seen.Load() != nil {
		t.Error("a loopback address was reached without --allow-private-targets")
	}

	s.stop(t)
	s = start(t, slices.Concat(args, []string{"--listen", strings.TrimPrefix(s.endpoint, "http://")}))
	if s.ready.Administrator.AccessKeyID != "" {
		t.Error("the second start shows the administrator's key again")
	}
	again := get(t, deployed.Outputs["ApiUrl"]+"/catalog", "X-Api-Key", key)
	s.check(t, again, want{status: 200})
	s.check(t, get(t, deployed.Outputs["ApiUrl"]+"/catalog"), forbidden)
}

// get makes a GET with pairs of header names and values.
func get(t *testing.T, address string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return req
}

func servePrincipals(t *testing.T, s *server, admin aws.Credentials) {
	who, err := sts.NewFromConfig(s.config(admin)).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(*who.Arn, "arn:aws:iam::"+account+":user/") {
		t.Errorf("the administrator is %s", *who.Arn)
	}
	_, err = sts.NewFromConfig(s.config(rootCredentials)).GetCallerIdentity(t.Context(), nil)
	failsWith(t, "test/test", err, "InvalidClientTokenId")
	limit := int32(10)
	_, err = idp.NewFromConfig(s.config(rootCredentials)).ListUserPools(t.Context(), &idp.ListUserPoolsInput{MaxResults: &limit})
	failsWith(t, "test/test", err, "UnrecognizedClientException")
	wrong := admin
	wrong.SecretAccessKey += "x"
	_, err = sts.NewFromConfig(s.config(wrong)).GetCallerIdentity(t.Context(), nil)
	failsWith(t, "wrong secret", err, "SignatureDoesNotMatch")
	r := moat(t, environment("MOAT_ENDPOINT="+s.endpoint), "deploy", "testdata/small/template.yaml")
	if r.code != 1 && r.code != 4 || strings.TrimSpace(r.stderr) == "" {
		t.Errorf("a deployment without a key: %s", r)
	}
	r = moat(t, environment("MOAT_ENDPOINT="+s.endpoint), "run", "--", "true")
	if r.code != 2 || !strings.Contains(r.stderr, "no test key") {
		t.Errorf("moat run without a key: %s", r)
	}
}

// serveTools: what is only for development is not there.
func serveTools(t *testing.T, s *server) {
	for path, method := range map[string]string{"/_moat/outbox": http.MethodGet, "/_moat/reset": http.MethodPost} {
		req, err := http.NewRequestWithContext(t.Context(), method, s.endpoint+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := send(s.client, req); err != nil || a.status != http.StatusNotFound {
			t.Errorf("%s %s: %d %s, %v", method, path, a.status, a.body, err)
		}
	}
	if _, err := s.get(t.Context(), s.endpoint+"/_moat/health"); err != nil {
		t.Error(err)
	}
}

// serveExample calls the deployed API and gives the API key.
func serveExample(t *testing.T, s *server, admin aws.Credentials, out map[string]string) (key string) {
	t.Helper()
	ctx, users := t.Context(), idp.NewFromConfig(s.config(admin))
	id, include := out["ApiKeyId"], true
	got, err := apigateway.NewFromConfig(s.config(admin)).GetApiKey(ctx, &apigateway.GetApiKeyInput{ApiKey: &id, IncludeValue: &include})
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, get(t, out["ApiUrl"]+"/catalog", "X-Api-Key", *got.Value), want{status: 200})
	s.check(t, get(t, out["ApiUrl"]+"/catalog"), forbidden)

	pool, u := out["UserPoolId"], user{email: "ada@example.com", password: "Correct-Horse-7-Battery"}
	_, err = users.AdminCreateUser(ctx, &idp.AdminCreateUserInput{UserPoolId: &pool, Username: &u.email, MessageAction: "SUPPRESS"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.AdminSetUserPassword(ctx, &idp.AdminSetUserPasswordInput{UserPoolId: &pool, Username: &u.email, Password: &u.password, Permanent: true}); err != nil {
		t.Fatal(err)
	}
	tok, err := s.signIn(ctx, out["PublicClientId"], u)
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, get(t, out["ApiUrl"]+"/courses", "Authorization", tok.id), want{status: 200})
	s.check(t, get(t, out["ApiUrl"]+"/courses", "Authorization", tok.access), unauthorized)
	// The upstream stands on loopback, which `moat serve` does not reach unless it is told to.
	s.check(t, get(t, out["ApiUrl"]+"/content/x", "Authorization", tok.id), want{status: 504, body: noNetwork, errorType: "InternalServerErrorException"})
	return *got.Value
}

// TestReset empties a Moat in development at once; test/test remains.
func TestReset(t *testing.T) {
	t.Parallel()
	c := startCourses(t, exampleTemplate, "--no-watch")
	ada := c.newUser(t, "ada@example.com")
	tok, err := c.signIn(t.Context(), c.publicClient, ada)
	if err != nil {
		t.Fatal(err)
	}
	courses := func() *http.Request { return get(t, c.api+"/courses", "Authorization", tok.id) }
	c.check(t, courses(), want{status: 200})
	reset := func(header, value string) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.endpoint+"/_moat/reset", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(header, value)
		if header == "Host" {
			req.Host = value
		}
		a, err := send(c.client, req)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for header, value := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Host": "evil.example"} {
		if a := reset(header, value); a.status != http.StatusForbidden {
			t.Errorf("reset with %s: %s: %d %s", header, value, a.status, a.body)
		}
	}
	c.check(t, courses(), want{status: 200})
	if a := reset("Origin", c.endpoint); a.status/100 != 2 {
		t.Errorf("reset: %d %s", a.status, a.body)
	}
	c.check(t, courses(), forbidden) // there is no such API any more
	if _, err := c.signIn(t.Context(), c.publicClient, ada); err == nil {
		t.Error("a user signs in after the reset")
	}
	if _, err := sts.NewFromConfig(c.config(rootCredentials)).GetCallerIdentity(t.Context(), nil); err != nil {
		t.Errorf("root after the reset: %v", err)
	}
	env := environment("MOAT_ENDPOINT=" + c.endpoint)
	if r := moat(t, env, "deploy", "testdata/small/template.yaml"); r.code != 0 {
		t.Errorf("deploy after the reset: %s", r)
	}
}

// TestShutdown ends a server while it works: what is under way is answered, new
// connections are not taken.
func TestShutdown(t *testing.T) {
	t.Parallel()
	file, err := filepath.Abs("testdata/faults/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir(), file})
	address := s.ready.Stacks[0].Outputs["ApiUrl"] + "/patient"
	answers := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, address, nil)
		if err != nil {
			answers <- err
			return
		}
		a, err := send(s.client, req)
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		answers <- err
	}()
	timer := time.NewTimer(700 * time.Millisecond) // the function has begun, and takes two seconds
	<-timer.C
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-answers; err != nil {
		t.Errorf("the request that was under way: %v", err)
	}
	<-s.done
	if s.waitErr != nil {
		t.Errorf("the server ended with %v", s.waitErr)
	}
	if _, err := s.get(t.Context(), s.endpoint+"/_moat/health"); err == nil {
		t.Error("the server still answers")
	}
	family.checkNoneLeft(t)
}
