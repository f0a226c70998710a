package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// moatCommands runs the binary's own commands against the example.
func moatCommands(t *testing.T, c *courses) {
	u := c.newUser(t, "command@example.com")
	env := environment("MOAT_ENDPOINT="+c.endpoint, "MOAT_PASSWORD="+u.password)
	ok := func(t *testing.T, args ...string) string {
		t.Helper()
		r := moat(t, env, args...)
		if r.code != 0 {
			t.Errorf("moat %s: %s", strings.Join(args, " "), r)
		}
		return r.stdout
	}
	refused := func(t *testing.T, body string, args ...string) {
		t.Helper()
		r := moat(t, env, args...)
		if r.code != 4 || !strings.Contains(r.stdout+r.stderr, body) {
			t.Errorf("moat %s: want exit code 4 and %s, got %s", strings.Join(args, " "), body, r)
		}
	}
	t.Run("token", func(t *testing.T) {
		for _, args := range [][]string{{"--user", u.email}, {"--user", u.email, "--use", "access"}, {"--user", u.email, "--flow", "password"}, {"--scope", "courses/write"}} {
			if got := ok(t, append([]string{"token"}, args...)...); strings.Count(got, ".") != 2 || strings.Count(got, "\n") != 1 {
				t.Errorf("moat token %s printed %q", strings.Join(args, " "), got)
			}
		}
		refused(t, "Incorrect username or password.", "token", "--user", u.email, "--password", "Wrong-Horse-7-Battery")
	})
	t.Run("call", func(t *testing.T) {
		ok(t, "call", "/catalog", "--api-key", c.key)
		refused(t, `{"message":"Forbidden"}`, "call", "/catalog")
		ok(t, "call", "/courses", "--user", u.email)
		refused(t, `{"message":"Unauthorized"}`, "call", "/courses")
		ok(t, "call", "/courses", "-d", `{"title":"Drawbridges"}`, "--scope", "courses/write")
		refused(t, `{"message":"Unauthorized"}`, "call", "/courses", "-d", `{"title":"Drawbridges"}`, "--scope", "courses/read")
		ok(t, "call", "/progress", "--signed", "--user", u.email)
		refused(t, "is not authorized to perform: execute-api:Invoke", "call", "/progress", "--guest")
		var out struct {
			Status int
			Body   string
		}
		if err := json.Unmarshal([]byte(ok(t, "call", "/catalog", "--api-key", c.key, "--json")), &out); err != nil || out.Status != 200 {
			t.Errorf("moat call --json: %+v, %v", out, err)
		}
	})
	t.Run("deploy and delete", func(t *testing.T) {
		const template = "testdata/small/template.yaml"
		ok(t, "deploy", template)
		ok(t, "deploy", template)
		if got := ok(t, "run", "--", "aws", "ssm", "get-parameter", "--name", "/small/goal", "--query", "Parameter.Value", "--output", "text"); strings.TrimSpace(got) != "3" {
			t.Errorf("the deployed parameter is %q", got)
		}
		ok(t, "delete", "small")
		refused(t, "Stack with id small does not exist", "delete", "small")
	})
	t.Run("run", func(t *testing.T) {
		if r := moat(t, env, "run", "--", "sh", "-c", "exit 7"); r.code != 7 {
			t.Errorf("the exit code of the program that was run was not handed on: %s", r)
		}
		if r := moat(t, env, "run", "--", "nothing-of-this-name"); r.code != 127 {
			t.Errorf("a program that is not there: %s", r)
		}
		// AWS's own host names, over TLS, by a client that has no endpoint setting.
		curl := []string{"run", "--", "curl", "--silent", "--show-error", "--write-out", " %{http_code}"}
		catalog := "https://" + c.apiID + ".execute-api." + region + ".amazonaws.com/" + c.stage + "/catalog"
		if got := ok(t, append(curl, "-H", "x-api-key: "+c.key, catalog)...); !strings.HasSuffix(got, " 200") {
			t.Errorf("GET %s: %s", catalog, got)
		}
		if got := ok(t, append(curl, catalog)...); got != `{"message":"Forbidden"} 403` {
			t.Errorf("GET %s without a key: %s", catalog, got)
		}
		domain := c.tokenEndpoint[strings.Index(c.tokenEndpoint, "/_auth/")+len("/_auth/"):]
		domain, _, _ = strings.Cut(domain, "/")
		token := "https://" + domain + ".auth." + region + ".amazoncognito.com/oauth2/token"
		if got := ok(t, append(curl, "--user", c.confidentialClient+":"+c.secret, "-d", "grant_type=client_credentials", token)...); !strings.HasSuffix(got, " 200") {
			t.Errorf("POST %s: %s", token, got)
		}
		if got := ok(t, append(curl, "--user", c.confidentialClient+":wrong", "-d", "grant_type=client_credentials", token)...); got != `{"error":"invalid_client"} 400` {
			t.Errorf("POST %s with a wrong secret: %s", token, got)
		}
	})
}
