package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/wire"
	"moat/internal/wire/cognitoidpapi"
)

// The schema of a pool is changed by who may update that very pool and list its users.
func TestChangeSchema(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1"})
	made, err := s.parts.userpool.CreateUserPool(ctx, &cognitoidpapi.CreateUserPoolRequest{PoolName: "school", UserPoolTags: map[string]string{"moat:allow-schema-changes": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	allow := func(actions, resource string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"` + resource + `"}]}`
	}
	const both = `"cognito-idp:UpdateUserPool","cognito-idp:ListUsers"`
	may := deployer(t, s, "may", allow(both, *made.UserPool.Arn))
	ask := `{"pool":"` + *made.UserPool.Id + `","required":{"name":true}}`
	change := func(c sigv4.Credentials, sent, signed string) (int, string) {
		return get(t, s, http.MethodPost, ChangeSchemaPath, func(r *http.Request) {
			sum := sha256.Sum256([]byte(signed))
			hash := hex.EncodeToString(sum[:])
			r.Header.Set("X-Amz-Content-Sha256", hash)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte(sent))), int64(len(sent))
			req := sigv4.Request{Method: r.Method, Path: ChangeSchemaPath, Host: r.URL.Host, Header: r.Header}
			sigv4.Sign(&req, hash, c, "us-east-1", "moat", time.Now())
		})
	}
	for name, c := range map[string]sigv4.Credentials{
		"another pool's":  deployer(t, s, "other", allow(both, *made.UserPool.Arn+"x")),
		"who only lists":  deployer(t, s, "lists", allow(`"cognito-idp:ListUsers"`, *made.UserPool.Arn)),
		"who only writes": deployer(t, s, "writes", allow(`"cognito-idp:UpdateUserPool"`, *made.UserPool.Arn)),
	} {
		if status, body := change(c, ask, ask); status != http.StatusForbidden || !strings.Contains(body, "cognito-idp:") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, _ := get(t, s, http.MethodPost, ChangeSchemaPath, nil); status != http.StatusForbidden {
		t.Errorf("unsigned: %d", status)
	}
	if status, _ := change(may, strings.Replace(ask, "true", "null", 1), ask); status != http.StatusForbidden {
		t.Errorf("another body than was signed: %d", status)
	}
	for _, body := range []string{`{"pool":"*"}`, `{"pool":"` + *made.UserPool.Id + `","anything":1}`} {
		if status, _ := change(may, body, body); status != http.StatusBadRequest {
			t.Errorf("%s: %d", body, status)
		}
	}
	status, body := change(may, ask, ask)
	if status != http.StatusOK || !strings.Contains(body, `"changed":true`) {
		t.Errorf("changed: %d %s", status, body)
	}
}

// What became of messages is seen from outside, and how many there are in dev only.
func TestHealth_messages(t *testing.T) {
	t.Parallel()
	for dev, want := range map[bool]string{true: `"messages":{"delivered":0,"undelivered":0}`, false: `"messages":{"undelivered":0}`} {
		s := newTestServer(t)
		s.cfg.Dev = dev
		if _, body := get(t, s, http.MethodGet, "/_moat/health", nil); !strings.Contains(body, want) {
			t.Errorf("dev %v: %s", dev, body)
		}
	}
}
