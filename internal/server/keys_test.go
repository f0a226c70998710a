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

// Keys are rotated by who may on that pool, and by nobody else.
func TestRotateKeys(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1"})
	made, err := s.parts.userpool.CreateUserPool(ctx, &cognitoidpapi.CreateUserPoolRequest{PoolName: "school"})
	if err != nil {
		t.Fatal(err)
	}
	pool := *made.UserPool.Id
	allow := func(resource string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"moat:RotateKeys","Resource":"` + resource + `"}]}`
	}
	may := deployer(t, s, "rotator", allow(*made.UserPool.Arn))
	other := deployer(t, s, "other", allow(*made.UserPool.Arn+"x"))
	rotate := func(c sigv4.Credentials, body string) (int, string) {
		return get(t, s, http.MethodPost, rotateKeysPath, func(r *http.Request) {
			sum := sha256.Sum256([]byte(body))
			hash := hex.EncodeToString(sum[:])
			r.Header.Set("X-Amz-Content-Sha256", hash)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
			req := sigv4.Request{Method: r.Method, Path: rotateKeysPath, Host: r.URL.Host, Header: r.Header}
			sigv4.Sign(&req, hash, c, "us-east-1", "moat", time.Now())
		})
	}
	ask := `{"pool":"` + pool + `"}`
	if status, body := rotate(other, ask); status != http.StatusForbidden || !strings.Contains(body, "moat:RotateKeys") {
		t.Errorf("another pool's: %d %s", status, body)
	}
	if status, _ := get(t, s, http.MethodPost, rotateKeysPath, nil); status != http.StatusForbidden {
		t.Errorf("unsigned: %d", status)
	}
	if status, _ := rotate(may, `{"pool":"*"}`); status != http.StatusBadRequest {
		t.Errorf("no pool: %d", status)
	}
	status, body := rotate(may, ask)
	if status != http.StatusOK || !strings.Contains(body, `"signs"`) {
		t.Errorf("rotated: %d %s", status, body)
	}
}
