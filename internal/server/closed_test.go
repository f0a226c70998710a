package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
)

// Without its database Moat lets nobody in: not by what it remembers, not by what it
// cannot look up.
func TestDatabaseGone_RefusesEverything(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	const all = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	known, fresh := deployer(t, s, "known", all), deployer(t, s, "fresh", all)
	target := func(c sigv4.Credentials, service, operation, body string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			r.Header.Set("X-Amz-Target", operation)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
			if c.AccessKeyID == "" {
				return
			}
			sum := sha256.Sum256([]byte(body))
			req := sigv4.Request{Method: r.Method, Path: "/", Host: r.URL.Host, Header: r.Header}
			sigv4.Sign(&req, hex.EncodeToString(sum[:]), c, "us-east-1", service, time.Now())
		}
	}
	const parameters = "AmazonSSM.DescribeParameters"
	if status, body := get(t, s, http.MethodPost, "/", target(known, "ssm", parameters, "{}")); status != http.StatusOK {
		t.Fatalf("before: got %d %s", status, body)
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	root := sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
	form := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	for name, c := range map[string]struct {
		method, path string
		change       func(*http.Request)
	}{
		"a key that was used before": {http.MethodPost, "/", target(known, "ssm", parameters, "{}")},
		"a key that was not":         {http.MethodPost, "/", target(fresh, "ssm", parameters, "{}")},
		"the root key":               {http.MethodPost, "/", target(root, "ssm", parameters, "{}")},
		"a sign-in": {http.MethodPost, "/", target(sigv4.Credentials{}, "", "AWSCognitoIdentityProviderService.InitiateAuth",
			`{"ClientId":"aaaaaaaaaaaaaaaaaaaaaaaaaa","AuthFlow":"USER_PASSWORD_AUTH","AuthParameters":{"USERNAME":"a","PASSWORD":"b"}}`)},
		"guest credentials": {http.MethodPost, "/", target(sigv4.Credentials{}, "", "AWSCognitoIdentityService.GetId",
			`{"IdentityPoolId":"us-east-1:00000000-0000-0000-0000-000000000000"}`)},
		"a deployed API": {http.MethodGet, "/restapis/abcdefghij/v1/_user_request_/", nil},
		"a pool's keys":  {http.MethodGet, "/us-east-1_abcdefghi/.well-known/jwks.json", nil},
		"a token":        {http.MethodPost, "/_auth/school/oauth2/token", form},
		"the outbox":     {http.MethodGet, "/_moat/outbox", nil},
		"a reset":        {http.MethodPost, "/_moat/reset", nil},
	} {
		if status, body := get(t, s, c.method, c.path, c.change); status < 400 {
			t.Errorf("%s: got %d %s", name, status, body)
		}
	}
}
