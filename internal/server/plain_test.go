package server

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"moat/internal/gateway"
	"moat/internal/http1"
)

// What the short way says of a request's API is what classify says.
func TestAPIOf_AgreesWithClassify(t *testing.T) {
	t.Parallel()
	s := &Server{suffixes: []string{"moat.example", "localhost", "amazonaws.com", "amazoncognito.com"}, parts: &parts{gateway: gateway.New(gateway.Config{Now: time.Now, Rand: rand.Reader})}}
	short := 0
	for _, host := range []string{"abc.execute-api.us-east-1.localhost:4566", "abc.execute-api.us-east-1.localhost", "abc.execute-api.localhost", "abc.execute-api.us-east-1.moat.example", "abc.execute-api.us-east-1.amazonaws.com.",
		"ABC.execute-api.us-east-1.localhost", "abc.EXECUTE-API.us-east-1.localhost", "abc.execute-api.evil.example", "abc.execute-api.us-east-1.notlocalhost", "execute-api.localhost", "abc.execute-api", "a.b.execute-api.localhost", "localhost", "localhost:4566",
		"127.0.0.1:4566", "[::1]:4566", "evil.example", "cognito-idp.us-east-1.localhost", "x.auth.us-east-1.localhost", "sts.amazonaws.com", "us-east-1.localhost", "abc.execute-api.us-east-1.localhost:99:99", ".execute-api.localhost"} {
		for _, path := range []string{"/", "/api", "/api/", "/api/x/y", "//api/x", "/api//x", "/restapis/abc/api/_user_request_", "/restapis/abc/api/_user_request_/x/%2e%2e", "/restapis/abc/api/_user_request_x", "/restapis/abc/api", "/restapis/", "/_moat/health", "/_auth/x/y", "/us-east-1_Pool/.well-known/jwks.json"} {
			r := httptest.NewRequest("GET", "http://x"+path, nil)
			r.Host = host
			api, stage, rest, ok := s.apiOf(&http1.Request{Host: host, Path: path})
			if !ok {
				continue
			}
			short++
			if d := s.classify(r); d.kind != toAPI || d.api != api || d.stage != stage || d.path != rest {
				t.Errorf("%s%s: %s %s %s, classify: %+v", host, path, api, stage, rest, d)
			}
		}
	}
	if short < 50 {
		t.Errorf("only %d requests took the short way", short)
	}
}

func TestUsualPath_IsWhatNetURLWrites(t *testing.T) {
	t.Parallel()
	for i := range 256 {
		for _, path := range []string{"/a" + string([]byte{byte(i)}) + "b", "/%" + string([]byte{byte(i)}) + "1", "/%4" + string([]byte{byte(i)})} {
			if !usualPath(path) {
				continue
			}
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")))
			if err != nil || r.URL.EscapedPath() != path {
				t.Errorf("%q: net/url writes %v %v", path, r, err)
			}
		}
	}
	for _, path := range []string{"/a/b;c=d", "/a%2Fb", "/~x", "/a%20b"} {
		if !usualPath(path) {
			t.Errorf("%q goes the long way", path)
		}
	}
}

func TestStrangerAt_AgreesWithStranger(t *testing.T) {
	t.Parallel()
	s := &Server{suffixes: []string{"moat.example", "localhost"}}
	for _, host := range []string{"localhost:4566", "127.0.0.1", "[::1]:80", "evil.example", "evillocalhost", "api.localhost", "API.Localhost.", "10.0.0.1"} {
		for _, remote := range []string{"127.0.0.1:999", functionAddress + ":999", "192.0.2.1:5"} {
			for _, fields := range [][]http1.Field{nil, {{Name: "Origin", Value: "http://" + host}}, {{Name: "Origin", Value: "https://" + host}}, {{Name: "origin", Value: "null"}}, {{Name: "Origin", Value: "http://" + host}, {Name: "Origin", Value: "http://" + host}},
				{{Name: "Sec-Fetch-Site", Value: "cross-site"}}, {{Name: "sec-fetch-site", Value: "same-site"}}, {{Name: "Sec-Fetch-Site", Value: "same-origin"}}, {{Name: "Sec-Fetch-Site", Value: "none"}}} {
				r := httptest.NewRequest("GET", "http://x/", nil)
				r.Host, r.RemoteAddr = host, remote
				for _, f := range fields {
					r.Header.Add(f.Name, f.Value)
				}
				if got, want := s.strangerAt(&http1.Request{Host: host, RemoteAddr: remote, Fields: fields}), s.stranger(r); got != want {
					t.Errorf("%s from %s with %v: %v, want %v", host, remote, fields, got, want)
				}
			}
		}
	}
}

// Both engines answer the same, over plain HTTP and TLS on one port; on one connection
// come requests to APIs and to everything else in turn.
func TestEngines(t *testing.T) {
	t.Parallel()
	for name, netHTTP := range map[string]bool{"http1": false, "net/http": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t, func(c *Config) { c.NetHTTP = netHTTP })
			if (s.plain == nil) != netHTTP {
				t.Fatal("the wrong engine")
			}
			addr := s.listener.Addr().String()
			secure, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			if err != nil {
				t.Fatal(err)
			}
			plain, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []net.Conn{plain, secure} {
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				r := bufio.NewReader(c)
				for range 3 {
					for _, step := range []struct{ text, want string }{
						{"GET /_moat/health HTTP/1.1\r\nHost: localhost\r\n\r\n", `200 "status":"ok"`},
						{"GET /api/x HTTP/1.1\r\nHost: none.execute-api.us-east-1.localhost\r\n\r\n", `403 {"message":"Forbidden"}`},
						{"POST /restapis/none/api/_user_request_/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi", `403 {"message":"Forbidden"}`},
						{"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi", "404 No AWS API"},
						{"GET /a|b HTTP/1.1\r\nHost: none.execute-api.us-east-1.localhost\r\n\r\n", `403 {"message":"Forbidden"}`},
					} {
						if _, err := io.WriteString(c, step.text); err != nil {
							t.Fatal(err)
						}
						resp, err := http.ReadResponse(r, nil)
						if err != nil {
							t.Fatal(err)
						}
						b, _ := io.ReadAll(resp.Body)
						status, body, _ := strings.Cut(step.want, " ")
						if !strings.HasPrefix(resp.Status, status) || !strings.Contains(string(b), body) || resp.Close {
							t.Errorf("%q: %s %s", step.text, resp.Status, b)
						}
					}
				}
				c.Close()
			}
		})
	}
}

// Whoever has asked is answered, when the server goes.
func TestClose_AnswersWhatWasAsked(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	c, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET /_moat/health HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(c); err != nil || !strings.Contains(string(b), `"status":"ok"`) {
		t.Errorf("got %q %v", b, err)
	}
}
