package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// shell runs the binary's own commands against a server, as one user.
type shell struct {
	env []string
}

// ok runs a command that must succeed and gives what it printed.
func (s shell) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := moat(t, s.env, args...)
	if r.code != 0 {
		t.Errorf("moat %s: %s", strings.Join(args, " "), r)
	}
	return r.stdout
}

// refused runs a command that the server must refuse.
func (s shell) refused(t *testing.T, words string, args ...string) {
	t.Helper()
	r := moat(t, s.env, args...)
	if r.code != 4 || !strings.Contains(r.stdout+r.stderr, words) {
		t.Errorf("moat %s: want exit code 4 and %s, got %s", strings.Join(args, " "), words, r)
	}
}

// moatCommands runs the binary's own commands against the example.
func moatCommands(t *testing.T, c *courses) {
	u := c.newUser(t, "command@example.com")
	sh := shell{environment("MOAT_ENDPOINT="+c.endpoint, "MOAT_PASSWORD="+u.password)}
	t.Run("token", func(t *testing.T) {
		for _, args := range [][]string{{"--user", u.email}, {"--user", u.email, "--use", "access"}, {"--user", u.email, "--flow", "password"}, {"--scope", "courses/write"}} {
			if got := sh.ok(t, append([]string{"token"}, args...)...); strings.Count(got, ".") != 2 || strings.Count(got, "\n") != 1 {
				t.Errorf("moat token %s printed %q", strings.Join(args, " "), got)
			}
		}
		sh.refused(t, "Incorrect username or password.", "token", "--user", u.email, "--password", "Wrong-Horse-7-Battery")
	})
	t.Run("call", func(t *testing.T) { moatCall(t, c, sh, u) })
	t.Run("deploy and delete", func(t *testing.T) {
		const template = "testdata/small/template.yaml"
		sh.ok(t, "deploy", template)
		sh.ok(t, "deploy", template)
		if got := sh.ok(t, "run", "--", "aws", "ssm", "get-parameter", "--name", "/small/goal", "--query", "Parameter.Value", "--output", "text"); strings.TrimSpace(got) != "3" {
			t.Errorf("the deployed parameter is %q", got)
		}
		sh.ok(t, "delete", "small")
		sh.refused(t, "Stack with id small does not exist", "delete", "small")
	})
	t.Run("run", func(t *testing.T) { moatRun(t, c, sh) })
}

func moatCall(t *testing.T, c *courses, sh shell, u user) {
	sh.ok(t, "call", "/catalog", "--api-key", c.key)
	sh.refused(t, `{"message":"Forbidden"}`, "call", "/catalog")
	sh.ok(t, "call", "/courses", "--user", u.email)
	sh.refused(t, `{"message":"Unauthorized"}`, "call", "/courses")
	sh.ok(t, "call", "/courses", "-d", `{"title":"Drawbridges"}`, "--scope", "courses/write")
	sh.refused(t, `{"message":"Unauthorized"}`, "call", "/courses", "-d", `{"title":"Drawbridges"}`, "--scope", "courses/read")
	sh.ok(t, "call", "/progress", "--signed", "--user", u.email)
	sh.refused(t, "is not authorized to perform: execute-api:Invoke", "call", "/progress", "--guest")
	var out struct {
		Status int
		Body   string
	}
	if err := json.Unmarshal([]byte(sh.ok(t, "call", "/catalog", "--api-key", c.key, "--json")), &out); err != nil || out.Status != 200 {
		t.Errorf("moat call --json: %+v, %v", out, err)
	}
}

// moatRun: exit codes are handed on, and AWS's own host names lead here, over TLS, for a
// client that has no endpoint setting.
func moatRun(t *testing.T, c *courses, sh shell) {
	if r := moat(t, sh.env, "run", "--", "sh", "-c", "exit 7"); r.code != 7 {
		t.Errorf("the exit code of the program that was run was not handed on: %s", r)
	}
	if r := moat(t, sh.env, "run", "--", "nothing-of-this-name"); r.code != 127 {
		t.Errorf("a program that is not there: %s", r)
	}
	curl := []string{"run", "--", "curl", "--silent", "--show-error", "--write-out", " %{http_code}"}
	catalog := "https://" + c.apiID + ".execute-api." + region + ".amazonaws.com/" + c.stage + "/catalog"
	if got := sh.ok(t, append(curl, "-H", "x-api-key: "+c.key, catalog)...); !strings.HasSuffix(got, " 200") {
		t.Errorf("GET %s: %s", catalog, got)
	}
	if got := sh.ok(t, append(curl, catalog)...); got != `{"message":"Forbidden"} 403` {
		t.Errorf("GET %s without a key: %s", catalog, got)
	}
	_, domain, _ := strings.Cut(c.tokenEndpoint, "/_auth/")
	domain, _, _ = strings.Cut(domain, "/")
	token := "https://" + domain + ".auth." + region + ".amazoncognito.com/oauth2/token"
	if got := sh.ok(t, append(curl, "--user", c.confidentialClient+":"+c.secret, "-d", "grant_type=client_credentials", token)...); !strings.HasSuffix(got, " 200") {
		t.Errorf("POST %s: %s", token, got)
	}
	if got := sh.ok(t, append(curl, "--user", c.confidentialClient+":wrong", "-d", "grant_type=client_credentials", token)...); got != `{"error":"invalid_client"} 400` {
		t.Errorf("POST %s with a wrong secret: %s", token, got)
	}
}
