package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// curlAnswer runs curl and splits the status code from the body.
func curlAnswer(t *testing.T, args ...string) (int, string) {
	t.Helper()
	args = append([]string{"--silent", "--show-error", "--max-time", "30", "--write-out", "\n%{http_code}"}, args...)
	res, err := command(t.Context(), "", environment(), tool(t, "curl"), args...)
	if err != nil || res.code != 0 {
		t.Fatalf("curl %s: %v: %s", strings.Join(args, " "), err, res)
	}
	i := strings.LastIndexByte(res.stdout, '\n')
	status, err := strconv.Atoi(res.stdout[i+1:])
	if err != nil {
		t.Fatalf("curl printed %q", res.stdout)
	}
	return status, res.stdout[:i]
}

// tokenRequest makes curl's arguments of the parts of a request for a token.
func (c *courses) tokenRequest(parts ...[]string) []string {
	args := []string{c.tokenEndpoint}
	for _, p := range parts {
		args = append(args, p...)
	}
	return args
}

func form(pairs ...string) []string {
	var args []string
	for _, p := range pairs {
		args = append(args, "--data-urlencode", p)
	}
	return args
}

// curl gets tokens by client credentials and uses them (RFC 6749, sections 2.3.1, 4.4 and 5.2).
func curl(t *testing.T, c *courses) {
	grant, scope := form("grant_type=client_credentials"), form("scope=courses/write")
	basic := func(client, secret string) []string { return []string{"--user", client + ":" + secret} }
	inBody := func(secret string) []string {
		return form("client_id="+c.confidentialClient, "client_secret="+secret)
	}
	for name, args := range map[string][]string{
		"secret in the body": c.tokenRequest(grant, inBody(c.secret), scope),
		"Basic":              c.tokenRequest(grant, basic(c.confidentialClient, c.secret), scope),
		"every scope":        c.tokenRequest(grant, basic(c.confidentialClient, c.secret)),
	} {
		t.Run(name, func(t *testing.T) { curlAccepted(t, c, args) })
	}
	genuine := basic(c.confidentialClient, c.secret)
	// The token endpoint documents 400 for all of these, Basic included.
	for name, row := range map[string]struct {
		args  []string
		error string
	}{
		"bad secret in the body": {c.tokenRequest(grant, inBody("wrong"), scope), "invalid_client"},
		"bad secret as Basic":    {c.tokenRequest(grant, basic(c.confidentialClient, "wrong"), scope), "invalid_client"},
		"no secret":              {c.tokenRequest(grant, form("client_id="+c.confidentialClient), scope), "invalid_client"},
		"unknown client":         {c.tokenRequest(grant, basic("0000000000000000000000000a", c.secret), scope), "invalid_client"},
		"unknown scope":          {c.tokenRequest(grant, genuine, form("scope=courses/delete")), "invalid_scope"},
		"one scope too many":     {c.tokenRequest(grant, genuine, form("scope=courses/write openid")), "invalid_scope"},
		"public client":          {c.tokenRequest(grant, form("client_id="+c.publicClient)), "unauthorized_client"},
		"unknown grant":          {c.tokenRequest(form("grant_type=password"), genuine), "unsupported_grant_type"},
		"no grant":               {c.tokenRequest(genuine, scope), "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := curlAnswer(t, row.args...)
			var out struct{ Error string }
			if err := json.Unmarshal([]byte(body), &out); err != nil || status != 400 || out.Error != row.error {
				t.Errorf("got %d %s, want 400 %s", status, body, row.error)
			}
		})
	}
	t.Run("discovery", func(t *testing.T) { curlDiscovery(t, c) })
	t.Run("read is not write", func(t *testing.T) {
		token, err := c.clientToken(t.Context(), c.tokenEndpoint, c.confidentialClient, c.secret, "courses/read")
		if err != nil {
			t.Fatal(err)
		}
		status, body := curlAnswer(t, "-H", "Authorization: "+token, "-d", `{"title":"Drawbridges"}`, c.api+"/courses")
		if status != 401 || body != `{"message":"Unauthorized"}` {
			t.Errorf("POST /courses: %d %s", status, body)
		}
	})
}

// curlAccepted gets a token and calls the route that it opens, and one that it does not.
func curlAccepted(t *testing.T, c *courses, args []string) {
	status, body := curlAnswer(t, args...)
	var out struct {
		Token     string `json:"access_token"`
		Type      string `json:"token_type"`
		ExpiresIn int    `json:"expires_in"`
		ID        string `json:"id_token"`
		Refresh   string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil || status != 200 || out.Type != "Bearer" || out.ExpiresIn != 3600 || out.ID+out.Refresh != "" {
		t.Fatalf("the token endpoint answered %d %s", status, body)
	}
	status, body = curlAnswer(t, "-H", "Authorization: "+out.Token, "-H", "Content-Type: application/json", "-d", `{"title":"Drawbridges"}`, c.api+"/courses")
	if status != 201 {
		t.Errorf("POST /courses: %d %s", status, body)
	}
	answer{body: body}.checkMembers(t, map[string]string{"title": "Drawbridges", "client": c.confidentialClient})
	if status, body = curlAnswer(t, "-H", "Authorization: "+out.Token, c.api+"/courses"); status != 401 || body != `{"message":"Unauthorized"}` {
		t.Errorf("GET /courses, which wants an ID token: %d %s", status, body)
	}
}

// curlDiscovery reads where the pool says that everything is (OpenID Connect Discovery, section 4).
func curlDiscovery(t *testing.T, c *courses) {
	status, body := curlAnswer(t, c.issuer+"/.well-known/openid-configuration")
	if status != 200 {
		t.Fatalf("the discovery document: %d %s", status, body)
	}
	answer{body: body}.checkMembers(t, map[string]string{"issuer": c.issuer, "jwks_uri": c.issuer + "/.well-known/jwks.json", "token_endpoint": c.tokenEndpoint})
	if status, body = curlAnswer(t, c.endpoint+"/"+region+"_nothing00/.well-known/openid-configuration"); status != 404 {
		t.Errorf("the discovery document of no pool: %d %s", status, body)
	}
}
