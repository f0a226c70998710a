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
	"moat/internal/service/userpool"
	"moat/internal/service/userpool/userfile"
	"moat/internal/wire"
	"moat/internal/wire/cognitoidpapi"
)

// askUsers sends a signed request about users.
func askUsers(t *testing.T, s *Server, c sigv4.Credentials, path string, in any, tamper string) (int, string) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return get(t, s, http.MethodPost, path, func(r *http.Request) {
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:])
		r.Header.Set("X-Amz-Content-Sha256", hash)
		sent := append(body, tamper...)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(sent)), int64(len(sent))
		req := sigv4.Request{Method: r.Method, Path: path, Host: r.URL.Host, Header: r.Header}
		sigv4.Sign(&req, hash, c, "us-east-1", "moat", time.Now())
	})
}

// Users are given out and taken in for who may, on the pool that he may; what he does besides
// needs what it needs elsewhere.
func TestUsers(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	pool := func(tag string) string {
		t.Helper()
		ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1"})
		out, err := s.parts.userpool.CreateUserPool(ctx, &cognitoidpapi.CreateUserPoolRequest{PoolName: "school", UserPoolTags: map[string]string{"stage": tag}})
		if err != nil {
			t.Fatal(err)
		}
		return *out.UserPool.Id
	}
	one, two := pool("test"), pool("live")
	arn := func(id string) string { return "arn:aws:cognito-idp:us-east-1:000000000000:userpool/" + id }
	policy := func(statement string) string { return `{"Version":"2012-10-17","Statement":[` + statement + `]}` }
	mover := deployer(t, s, "mover", policy(`{"Effect":"Allow","Action":["moat:ExportUsers","moat:ImportUsers"],"Resource":"`+arn(one)+`"}`))
	tagged := deployer(t, s, "tagged", policy(`{"Effect":"Allow","Action":"moat:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/stage":"test"}}}`))
	reader := deployer(t, s, "reader", policy(`{"Effect":"Allow","Action":"moat:ExportUsers","Resource":"*"}`))
	cognito := deployer(t, s, "cognito", policy(`{"Effect":"Allow","Action":"cognito-idp:*","Resource":"*"}`))
	maker := deployer(t, s, "maker", policy(`{"Effect":"Allow","Action":["moat:*","cognito-idp:CreateUserPool"],"Resource":"*"}`))

	export := func(id string) any { return userpool.ExportRequest{Pool: id} }
	batch := func(id string, change func(*userpool.ImportRequest)) any {
		in := &userpool.ImportRequest{Pool: id, Foreign: true, Users: []*userfile.User{{Username: "ann"}}}
		if change != nil {
			change(in)
		}
		return in
	}
	role := "arn:aws:iam::000000000000:role/admin"
	withRole := func(in *userpool.ImportRequest) { in.Groups = []*userfile.Group{{Name: "admins", Role: &role}} }
	create := func(in *userpool.ImportRequest) {
		in.Create = &userfile.Pool{ID: in.Pool, Record: json.RawMessage(`{"ID":"` + in.Pool + `","Name":"old","Schema":[{"Name":"sub"}]}`)}
	}
	const gone = "us-east-1_Gone00000"
	for _, c := range []struct {
		name   string
		who    sigv4.Credentials
		path   string
		in     any
		tamper string
		status int
		text   string
	}{
		{"export", mover, exportUsersPath, export(one), "", 200, `"users":0`},
		{"import", mover, importUsersPath, batch(one, nil), "", 200, `"outcome":"created"`},
		{"another pool's export", mover, exportUsersPath, export(two), "", 403, "is not authorized to perform: moat:ExportUsers on resource: " + arn(two)},
		{"another pool's import", mover, importUsersPath, batch(two, nil), "", 403, "is not authorized to perform: moat:ImportUsers on resource: " + arn(two)},
		{"by tag", tagged, exportUsersPath, export(one), "", 200, `"users":1`},
		{"by another tag", tagged, exportUsersPath, export(two), "", 403, "moat:ExportUsers"},
		{"who may export may not import", reader, importUsersPath, batch(one, nil), "", 403, "moat:ImportUsers"},
		{"Cognito's actions", cognito, exportUsersPath, export(one), "", 403, "moat:ExportUsers"},
		{"no pool", reader, exportUsersPath, export(gone), "", 400, "User pool " + gone + " does not exist."},
		{"a group with a role", mover, importUsersPath, batch(one, withRole), "", 403, "is not authorized to perform: iam:PassRole on resource: " + role},
		{"making a pool", maker, importUsersPath, batch(gone, create), "", 200, `"outcome":"created"`},
		{"making a pool, not allowed", tagged, importUsersPath, batch("us-east-1_Gone00001", create), "", 403, "moat:ImportUsers"},
		{"making a pool of another region", maker, importUsersPath, batch("eu-west-1_Gone00000", create), "", 400, "A pool keeps its id only in its region, eu-west-1."},
		{"a pool whose attribute has no name", maker, importUsersPath, batch("us-east-1_Gone00002", func(in *userpool.ImportRequest) {
			in.Create = &userfile.Pool{ID: in.Pool, Record: json.RawMessage(`{"ID":"us-east-1_Gone00002","Schema":[{"Name":"sub"},{}]}`)}
		}), "", 400, "The pool in the file cannot be read."},
		{"another pool's record", maker, importUsersPath, batch("us-east-1_Gone00003", func(in *userpool.ImportRequest) {
			in.Create = &userfile.Pool{ID: in.Pool, Record: json.RawMessage(`{"ID":"` + one + `","Schema":[{"Name":"sub"}]}`)}
		}), "", 400, "The pool in the file cannot be read."},
		{"a pool that is none", maker, importUsersPath, batch("us-east-1_../x", create), "", 400, ""},
		{"an unknown member", maker, importUsersPath, map[string]any{"pool": one, "admins": []string{"eve"}}, "", 400, "admins"},
		{"another body than was signed", mover, exportUsersPath, export(one), " ", 403, "hash of the body"},
		{"a wrong secret", sigv4.Credentials{AccessKeyID: mover.AccessKeyID, SecretAccessKey: "x"}, exportUsersPath, export(one), "", 403, "signature"},
	} {
		if status, text := askUsers(t, s, c.who, c.path, c.in, c.tamper); status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: got %d %s, want %d with %s", c.name, status, text, c.status, c.text)
		}
	}
	for _, path := range []string{exportUsersPath, importUsersPath} {
		if status, _ := get(t, s, http.MethodPost, path, nil); status != http.StatusForbidden {
			t.Errorf("%s unsigned: %d", path, status)
		}
		if status, _ := get(t, s, http.MethodGet, path, nil); status != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", path, status)
		}
	}
}
