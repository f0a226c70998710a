package server

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
)

// signedAsRoot changes a request to sts:GetCallerIdentity by the root key of `moat dev`.
func signedAsRoot(change func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) {
		body := "Action=GetCallerIdentity&Version=2011-06-15"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body, r.ContentLength = http.NoBody, 0
		r.URL.RawQuery = body
		if change != nil {
			change(r)
		}
		host := r.Host
		if host == "" {
			host = r.URL.Host
		}
		req := sigv4.Request{Method: r.Method, Path: "/", RawQuery: r.URL.RawQuery, Host: host, Header: r.Header}
		sigv4.Sign(&req, sigv4.EmptyPayload, sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, "us-east-1", "sts", time.Now())
	}
}

// The root key of `moat dev` is known to all: a page that a person happens to look at
// must not be root, and neither must a function.
func TestRootKey_CountsForThisMachinesUserOnly(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"this machine", nil, 200},
		{"localhost", host("localhost:4566"), 200},
		{"an AWS name, as behind moat run", host("sts.us-east-1.amazonaws.com"), 200},
		{"a name below localhost", host("sts.us-east-1.localhost:4566"), 200},
		{"a page of another site", header("Origin", "https://evil.example"), 403},
		{"a sandboxed page", header("Origin", "null"), 403},
		{"a page, without Origin", header("Sec-Fetch-Site", "cross-site"), 403},
		{"a rebound name", host("evil.example:4566"), 403},
		{"a name that ends like ours", host("evillocalhost"), 403},
	} {
		if status, body := get(t, s, http.MethodPost, "/", signedAsRoot(c.change)); status != c.want {
			t.Errorf("%s: got %d %s, want %d", c.name, status, body, c.want)
		}
	}
}

func TestStranger_Function(t *testing.T) {
	t.Parallel()
	s := &Server{suffixes: []string{"localhost"}}
	r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
	r.RemoteAddr = "127.0.0.1:999"
	if s.stranger(r) || foreign(r) != "" {
		t.Error("this machine's user is a stranger")
	}
	r.RemoteAddr = functionAddress + ":999"
	if !s.stranger(r) || foreign(r) == "" {
		t.Error("a function is this machine's user")
	}
	r.RemoteAddr = "127.0.0.1:999"
	r.Header.Set("X-Amzn-Apigateway-Api-Id", "abc")
	if foreign(r) == "" {
		t.Error("an integration of an API reaches the tools of dev")
	}
}

// What a function's connection is joined with comes from an address of its own.
func TestSplice_SaysItIsAFunction(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	function, door := net.Pipe()
	go splice(door, l.Addr().String())
	defer function.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := c.RemoteAddr().String(); !strings.HasPrefix(from, functionAddress+":") {
		t.Errorf("it comes from %s", from)
	}
}
