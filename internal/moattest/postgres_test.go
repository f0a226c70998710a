package moattest

import (
	"path/filepath"
	"testing"

	"moat/internal/server"
	"moat/internal/service/stack"
	"moat/internal/service/trail"
	"moat/internal/store/storetest"
)

// Two nodes on one PostgreSQL are one Moat: what the first deploys, the second serves, and a
// token of the one is let in by the other.
func TestNodes_ShareOneDatabase(t *testing.T) {
	t.Parallel()
	url := storetest.NewSchema(t, storetest.StartPostgres(t))
	data := t.TempDir()
	node := func() *Moat {
		return New(t, func(c *server.Config) {
			c.InMemory, c.Database, c.Data, c.BaseURL = false, url, data, "http://localhost:4566"
		})
	}
	first := node()
	res, err := first.Deploy(t.Context(), stack.DeployInput{Name: "school", Template: []byte(school)})
	if err != nil {
		t.Fatal(err)
	}
	second := node()
	out := res.Outputs
	user := map[string]any{"UserPoolId": out["Pool"], "Username": "ada@example.com", "MessageAction": "SUPPRESS"}
	if status := first.cognito(t, "AdminCreateUser", true, user, nil); status != 200 {
		t.Fatalf("AdminCreateUser: %d", status)
	}
	password := map[string]any{"UserPoolId": out["Pool"], "Username": "ada@example.com", "Password": "Analytical-Engine-1", "Permanent": true}
	if status := second.cognito(t, "AdminSetUserPassword", true, password, nil); status != 200 {
		t.Fatalf("AdminSetUserPassword on the other node: %d", status)
	}
	auth := map[string]any{"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": out["Client"], "AuthParameters": map[string]string{"USERNAME": "ada@example.com", "PASSWORD": "Analytical-Engine-1"}}
	var in signedIn
	if status := first.cognito(t, "InitiateAuth", false, auth, &in); status != 200 {
		t.Fatalf("InitiateAuth: %d %s", status, in.Message)
	}
	for name, node := range map[string]*Moat{"first": first, "second": second} {
		url := node.loopback(path(out["Url"]))
		if status, body := node.courses(t, url, in.AuthenticationResult.IdToken); status != 200 {
			t.Errorf("%s node: %d %s", name, status, body)
		}
		if status, _ := node.courses(t, url, in.AuthenticationResult.AccessToken); status != 401 {
			t.Errorf("%s node lets an access token in: %d", name, status)
		}
	}
	// Each node writes a chain of its own; both find what the other recorded.
	for name, pair := range map[string][2]*Moat{"first": {first, second}, "second": {second, first}} {
		event := map[string]string{"first": "AdminCreateUser", "second": "AdminSetUserPassword"}[name]
		if found := pair[0].lookUp(t, by("EventName", event)); len(found.Events) != 1 {
			t.Errorf("%s does not find its own %s: %+v", name, event, found)
		}
		if found := pair[1].lookUp(t, by("EventName", event)); len(found.Events) != 1 {
			t.Errorf("%s of the %s node is not found by the other: %+v", event, name, found)
		}
	}
	rep, err := trail.Verify(filepath.Join(data, "trail"), make([]byte, 32))
	if err != nil || rep.Chains != 2 || len(rep.Breaks) > 0 {
		t.Errorf("the trail of both: %+v %v", rep, err)
	}
}
