package sigv4

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What operators see of a refused signature holds no secret of the sender.
func TestVerify_mismatchRedactsSecrets(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	r := Request{Method: "GET", Path: "/", Host: "localhost", Header: http.Header{"X-Api-Key": {"a-key-of-a-partner"}}}
	Sign(&r, EmptyPayload, Credentials{AccessKeyID: "AKIAEXAMPLEEXAMPLE", SecretAccessKey: "s", SessionToken: "a-session-token"}, "us-east-1", "execute-api", now)
	a, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := a.Verify(r, EmptyPayload, "another secret", now); !errors.As(err, &e) || e.CanonicalRequest == "" {
		t.Fatalf("got %v, want a mismatch with its canonical request", err)
	}
	for _, secret := range []string{"a-session-token", "a-key-of-a-partner"} {
		if strings.Contains(e.CanonicalRequest, secret) {
			t.Errorf("the canonical request shows %s:\n%s", secret, e.CanonicalRequest)
		}
	}
	if !strings.Contains(e.CanonicalRequest, "x-amz-security-token:[redacted]") {
		t.Errorf("got %s", e.CanonicalRequest)
	}
	if got := redactSecrets("GET\n/\nX-Amz-Date=1&X-Amz-Security-Token=a-session-token&z=1\nhost:x"); got != "GET\n/\nX-Amz-Date=1&X-Amz-Security-Token=[redacted]&z=1\nhost:x" {
		t.Errorf("presigned: got %s", got)
	}
}
