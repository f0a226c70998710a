package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/gateway"
)

func newTestServer(t *testing.T, change ...func(*Config)) *Server {
	t.Helper()
	cfg := Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), InMemory: true, MasterKey: make([]byte, 32), Region: "us-east-1", Account: "000000000000",
		Dev: true, Isolation: "prefer", FunctionNetwork: "none",
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestClassify(t *testing.T) {
	t.Parallel()
	s := &Server{parts: &parts{gateway: gateway.New(gateway.Config{})}, suffixes: []string{"moat.example.com", "localhost", "amazonaws.com", "amazoncognito.com"}}
	for _, c := range []struct {
		name, host, target, amz string
		want                    destination
	}{
		{"an AWS call", "localhost:4566", "/", "", destination{kind: toAWS}},
		{"the control plane is no deployed API", "localhost:4566", "/restapis/abc/stages/v1", "", destination{kind: toAWS}},
		{"an API by path", "127.0.0.1:4566", "/restapis/abc/v1/_user_request_/courses/1", "", destination{kind: toAPI, api: "abc", stage: "v1", path: "/courses/1"}},
		{"the root of an API by path", "localhost", "/restapis/abc/v1/_user_request_", "", destination{kind: toAPI, api: "abc", stage: "v1", path: "/"}},
		{"an escaped path stays escaped", "localhost", "/restapis/abc/v1/_user_request_/a%2Fb", "", destination{kind: toAPI, api: "abc", stage: "v1", path: "/a%2Fb"}},
		{"a longer word is no marker", "localhost", "/restapis/abc/v1/_user_request_x/a", "", destination{kind: toAWS}},
		{"an API by host", "abc.execute-api.us-east-1.localhost:4566", "/v1/courses", "", destination{kind: toAPI, api: "abc", stage: "v1", path: "/courses"}},
		{"an API by AWS's host", "abc.execute-api.us-east-1.amazonaws.com", "/v1", "", destination{kind: toAPI, api: "abc", stage: "v1", path: "/"}},
		{"Moat's own is not to be had by an API's host", "abc.execute-api.localhost", "/_moat/reset", "", destination{kind: toAPI, api: "abc", stage: "_moat", path: "/reset"}},
		{"another domain's host is nobody's", "abc.execute-api.us-east-1.localhost.evil.com", "/v1", "", destination{kind: toAWS}},
		{"a pool's keys", "localhost:4566", "/us-east-1_abc/.well-known/jwks.json", "", destination{kind: toPool, api: "us-east-1_abc", path: "/.well-known/jwks.json"}},
		{"a pool's keys by AWS's host", "cognito-idp.us-east-1.amazonaws.com", "/us-east-1_abc/.well-known/jwks.json", "", destination{kind: toPool, api: "us-east-1_abc", path: "/.well-known/jwks.json"}},
		{"a domain by path", "localhost", "/_auth/school/oauth2/token", "", destination{kind: toDomain, api: "school", path: "/oauth2/token"}},
		{"a domain by host", "school.auth.us-east-1.amazoncognito.com", "/oauth2/token", "", destination{kind: toDomain, api: "school", path: "/oauth2/token"}},
		{"an AWS call to a domain's host", "school.auth.us-east-1.amazoncognito.com", "/", "AWSCognitoIdentityProviderService.InitiateAuth", destination{kind: toAWS, region: "us-east-1"}},
		{"Moat's own", "localhost", "/_moat/health", "", destination{kind: toMoat, path: "/_moat/health"}},
		{"an AWS service's host", "sts.amazonaws.com", "/", "", destination{kind: toAWS}},
	} {
		r := httptest.NewRequest(http.MethodGet, c.target, nil)
		r.Host = c.host
		if c.amz != "" {
			r.Header.Set("X-Amz-Target", c.amz)
		}
		if got := s.classify(r); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func get(t *testing.T, s *Server, method, path string, change func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, strings.Replace(s.BaseURL(), "localhost", "127.0.0.1", 1)+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestDevTools_RefuseForeigners(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	for _, c := range []struct {
		name   string
		method string
		path   string
		change func(*http.Request)
		want   int
	}{
		{"reset", http.MethodPost, "/_moat/reset", nil, 204},
		{"reset by GET", http.MethodGet, "/_moat/reset", nil, 405},
		{"reset by a page", http.MethodPost, "/_moat/reset", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"reset across sites", http.MethodPost, "/_moat/reset", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"reset by a rebound name", http.MethodPost, "/_moat/reset", func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"outbox", http.MethodGet, "/_moat/outbox", nil, 200},
		{"outbox by a page", http.MethodGet, "/_moat/outbox", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		{"nothing", http.MethodGet, "/_moat/nothing", nil, 404},
		{"code without a ticket", http.MethodGet, "/_moat/code/AAAA", nil, 403},
		{"deploy without a signature", http.MethodPost, "/_moat/deploy", nil, 403},
	} {
		if status, body := get(t, s, c.method, c.path, c.change); status != c.want {
			t.Errorf("%s: got %d %s, want %d", c.name, status, body, c.want)
		}
	}
}

func TestServe_HasNoDevTools(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, func(c *Config) { c.Dev = false; c.Isolation = "require" })
	for _, path := range []string{"/_moat/reset", "/_moat/outbox"} {
		if status, _ := get(t, s, http.MethodPost, path, nil); status != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, status)
		}
	}
	if status, _ := get(t, s, http.MethodGet, "/_moat/health", nil); status != http.StatusOK {
		t.Errorf("health: got %d", status)
	}
	key, secret, created, err := s.Administrator(t.Context())
	if err != nil || !created || key == "" || secret == "" {
		t.Fatalf("got %q, %v, %v; want an administrator at the first start", key, created, err)
	}
	if _, _, created, err := s.Administrator(t.Context()); err != nil || created {
		t.Errorf("got created %v, %v; want the key made once", created, err)
	}
}

func TestTLS_OnTheSamePort(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	pool := x509.NewCertPool()
	_, pem := get(t, s, http.MethodGet, "/_moat/ca.pem", nil)
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		t.Fatal("the authority's certificate is not PEM")
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(s.BaseURL(), "http://"), ":")
	dial := func(name string) error {
		c, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", port), &tls.Config{RootCAs: pool, ServerName: name})
		if err != nil {
			return err
		}
		return c.Close()
	}
	for _, name := range []string{"localhost", "sts.amazonaws.com", "abc.execute-api.us-east-1.localhost", "x.auth.us-east-1.amazoncognito.com"} {
		if err := dial(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"example.com", "amazonaws.com.evil.example", "google.com"} {
		if err := dial(name); err == nil {
			t.Errorf("a certificate was given for %s", name)
		}
	}
}

// The certificate itself says what it may vouch for, whatever its key would sign.
func TestAuthority_NameConstraints(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	a := s.parts.authority
	foreign, err := a.issue("bank.example")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	if _, err := foreign.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "bank.example"}); err == nil {
		t.Error("a certificate for a foreign name verifies")
	}
}

func TestNew_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = New(t.Context(), Config{Listen: l.Addr().String(), Data: t.TempDir(), InMemory: true, MasterKey: make([]byte, 32), Account: "000000000000"})
	if err == nil || !strings.Contains(err.Error(), "is in use by another program") {
		t.Errorf("got %v", err)
	}
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "moat.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), Config{Listen: "127.0.0.1:0", Data: data, Account: "000000000000"})
	if err == nil || !strings.Contains(err.Error(), "its master key") || !missing(filepath.Join(data, "master.key")) {
		t.Errorf("got %v; want no new key for old data", err)
	}
	_, err = New(t.Context(), Config{Listen: "127.0.0.1:0", Data: t.TempDir(), MasterKeyFile: "/nonexistent/key", Account: "000000000000"})
	if err == nil || !strings.Contains(err.Error(), "master key") {
		t.Errorf("got %v", err)
	}
}
