package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
)

// courses is the example, deployed by `moat dev`.
type courses struct {
	*server
	stack                                                        string
	api, apiID, stage                                            string // ApiUrl and its parts
	pool, issuer, publicClient, confidentialClient, identityPool string
	keyID, key                                                   string
	tokenEndpoint                                                string
	secret                                                       string // of the confidential client
	memberSub, signedInRole, memberIdentity                      string // set by the truth table
}

// exampleTemplate is where the example stands in the repository.
const exampleTemplate = "../examples/courses/template.yaml"

// startCourses runs `moat dev` on a template and reads what it printed.
func startCourses(t *testing.T, template string, args ...string) *courses {
	t.Helper()
	return openCourses(t, start(t, append([]string{"dev", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir(), template}, args...)))
}

// openCourses looks up what tests need of a running example.
func openCourses(t *testing.T, s *server) *courses {
	t.Helper()
	if len(s.ready.Stacks) != 1 {
		t.Fatalf("got %d stacks in the ready line, want one: %+v\n%s", len(s.ready.Stacks), s.ready, s.errors())
	}
	out := s.ready.Stacks[0].Outputs
	for _, name := range []string{"ApiUrl", "UserPoolId", "PublicClientId", "ConfidentialClientId", "IdentityPoolId", "ApiKeyId", "AuthDomain"} {
		if out[name] == "" {
			t.Fatalf("the stack has no output %s: %v", name, out)
		}
	}
	c := &courses{
		server: s, stack: s.ready.Stacks[0].Name, api: strings.TrimRight(out["ApiUrl"], "/"), pool: out["UserPoolId"], issuer: s.endpoint + "/" + out["UserPoolId"],
		publicClient: out["PublicClientId"], confidentialClient: out["ConfidentialClientId"], identityPool: out["IdentityPoolId"], keyID: out["ApiKeyId"],
	}
	u, err := url.Parse(c.api)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(u.Path, "/") // /restapis/{api}/{stage}/_user_request_
	if len(parts) != 5 || parts[1] != "restapis" || parts[4] != "_user_request_" {
		t.Fatalf("the output ApiUrl is %s, which is not /restapis/{api}/{stage}/_user_request_", c.api)
	}
	c.apiID, c.stage = parts[2], parts[3]
	if err := c.lookUp(t.Context(), out["AuthDomain"]); err != nil {
		t.Fatal(err)
	}
	return c
}

// lookUp asks for the API key's value and the confidential client's secret, as an operator.
func (c *courses) lookUp(ctx context.Context, domain string) error {
	include := true
	key, err := apigateway.NewFromConfig(c.config(rootCredentials)).GetApiKey(ctx, &apigateway.GetApiKeyInput{ApiKey: &c.keyID, IncludeValue: &include})
	if err != nil {
		return err
	}
	client, err := idp.NewFromConfig(c.config(rootCredentials)).DescribeUserPoolClient(ctx, &idp.DescribeUserPoolClientInput{UserPoolId: &c.pool, ClientId: &c.confidentialClient})
	if err != nil {
		return err
	}
	if key.Value == nil || client.UserPoolClient.ClientSecret == nil {
		return fmt.Errorf("no value of the API key, or no secret of the confidential client")
	}
	c.key, c.secret = *key.Value, *client.UserPoolClient.ClientSecret
	if !strings.Contains(domain, "://") {
		domain = c.endpoint + "/_auth/" + domain
	}
	c.tokenEndpoint = domain + "/oauth2/token"
	return nil
}

// request makes a request of a route of the example's API.
func (c *courses) request(ctx context.Context, method, path string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, method, c.api+path, nil)
	if err != nil {
		panic(err) // the paths are literals
	}
	return req
}

// post makes a POST of a JSON body.
func (c *courses) post(ctx context.Context, path, body string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.api+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}

// copyExample copies the example's folder, so that a test can edit it.
func copyExample(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "courses")
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(exampleTemplate))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit replaces one text in a file, which must hold it.
func edit(t *testing.T, file, old, new string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		t.Fatalf("%s holds no %q", file, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), old, new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tool finds a program that the tests need; scripts/install puts it there.
func tool(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed; `make deps-test` installs it", strings.Join(names, " or "))
	return ""
}

// TestCourses runs the example once and has every client and the whole truth table at it.
func TestCourses(t *testing.T) {
	t.Parallel()
	c := startCourses(t, exampleTemplate)
	t.Run("clients and table", func(t *testing.T) {
		t.Run("truth", func(t *testing.T) { t.Parallel(); truth(t, c) })
		t.Run("keys", func(t *testing.T) { t.Parallel(); truthOfKeys(t, c) })
		t.Run("aws", func(t *testing.T) { t.Parallel(); awsCommandLine(t, c) })
		t.Run("cloudformation", func(t *testing.T) { t.Parallel(); awsCloudFormation(t, c) })
		t.Run("javascript", func(t *testing.T) { t.Parallel(); javascript(t, c) })
		t.Run("go", func(t *testing.T) { t.Parallel(); goSDK(t, c) })
		t.Run("identity", func(t *testing.T) { t.Parallel(); identityPools(t, c) })
		t.Run("user pools", func(t *testing.T) { t.Parallel(); userPools(t, c) })
		t.Run("curl", func(t *testing.T) { t.Parallel(); curl(t, c) })
		t.Run("signed", func(t *testing.T) { t.Parallel(); signedRequests(t, c) })
		t.Run("moat", func(t *testing.T) { t.Parallel(); moatCommands(t, c) })
	})
	t.Run("health", func(t *testing.T) {
		if errs := c.errors(); strings.Contains(errs, "panic") || strings.Contains(errs, "level=ERROR") || strings.Contains(errs, `"level":"ERROR"`) {
			t.Errorf("the server logged errors:\n%s", errs)
		}
	})
}
