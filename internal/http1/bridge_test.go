package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestBridge(t *testing.T) {
	t.Parallel()
	var kept *http.Request
	s := start(t, Config{MaxBody: 1 << 20, Handler: Bridge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			kept = r
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("X-Trailer", r.Trailer.Get("X-Sum"))
			_, _ = fmt.Fprintf(w, "%s %s %s %d %v %s %q", r.Method, r.RequestURI, r.Host, r.ContentLength, r.Header["X-A"], r.URL.RawQuery, b)
		case "/large":
			_, err := io.ReadAll(r.Body)
			if large := (*http.MaxBytesError)(nil); !errors.As(err, &large) {
				t.Errorf("got %v", err)
			}
			w.WriteHeader(413)
		case "/stream":
			w.Header().Set("Content-Type", "text/x")
			_, _ = io.WriteString(w, "one")
			w.(http.Flusher).Flush()
			w.Header().Set("X-Late", "yes")
			_, _ = io.WriteString(w, strings.Repeat("x", 10000))
		case "/none":
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "x"); err != http.ErrBodyNotAllowed {
				t.Error(err)
			}
		case "/html":
			_, _ = io.WriteString(w, "<html>")
		case "/close":
			w.Header().Set("Connection", "close")
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "ok")
		}
	}))})
	c := s.dial()
	r := bufio.NewReader(c)
	ask := func(text, method string) *http.Response {
		t.Helper()
		send(t, c, text)
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	body := func(resp *http.Response) string {
		t.Helper()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	resp := ask("POST /echo?q HTTP/1.1\r\nHost: h:1\r\nx-a: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nhi", "POST")
	if got := body(resp); got != `POST /echo?q h:1 2 [1 2] q "hi"` || resp.ContentLength != int64(len(got)) || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("got %q %v", got, resp)
	}
	first := kept
	resp = ask("PUT /echo HTTP/1.1\r\nHost: h\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nho\r\n0\r\nX-Sum: 7\r\nX-Other: 8\r\nAuthorization: no\r\n\r\n", "PUT")
	if got := body(resp); got != `PUT /echo h -1 []  "ho"` || resp.Header.Get("X-Trailer") != "7" {
		t.Errorf("got %q %v", got, resp)
	}
	if first.RequestURI != "/echo?q" || first.Host != "h:1" || first.Header.Get("X-A") != "1" {
		t.Errorf("a request that was kept changed: %+v", first)
	}
	if resp = ask("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n", "GET"); len(body(resp)) != 10003 || resp.TransferEncoding == nil || resp.Header.Get("X-Late") != "" {
		t.Errorf("got %v", resp)
	}
	if resp = ask("GET /none HTTP/1.1\r\nHost: h\r\n\r\n", "GET"); resp.StatusCode != 204 || body(resp) != "" {
		t.Errorf("got %v", resp)
	}
	if resp = ask("HEAD /html HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD"); resp.ContentLength != 6 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Errorf("got %v", resp)
	}
	if resp = ask("GET /html HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET"); body(resp) != "<html>" {
		t.Errorf("got %v", resp)
	}
	if resp = ask("GET /close HTTP/1.1\r\nHost: h\r\n\r\n", "GET"); body(resp) != "ok" || !resp.Close {
		t.Errorf("got %v", resp)
	}
	if b, err := io.ReadAll(r); len(b) != 0 || err != nil {
		t.Errorf("got %q %v", b, err)
	}
	if got := s.ask("POST /large HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n"); statuses(got) != "413" {
		t.Errorf("got %q", got)
	}
	if got := s.ask("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n" + next); statuses(got) != "400" {
		t.Errorf("got %q", got)
	}
}

// What the handler said with the status counts, and a type that it took away is not guessed.
func TestBridge_header(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: Bridge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Many"] = []string{"1", "2"}
		switch r.URL.Path {
		case "/untyped":
			h["Content-Type"] = nil
		case "/coded":
			h.Set("Content-Encoding", "x")
		case "/early":
			w.WriteHeader(103)
			h.Set("Content-Length", "3")
		}
		w.WriteHeader(200)
		h.Set("Content-Type", "text/late")
		h.Set("Content-Length", "9")
		h.Del("X-Many")
		_, _ = io.WriteString(w, "abc")
	}))})
	for target, want := range map[string]string{"/": "text/plain; charset=utf-8", "/untyped": "", "/coded": "", "/early": "text/plain; charset=utf-8"} {
		c := s.dial()
		send(t, c, "GET "+target+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		if err == nil && resp.StatusCode == 103 {
			resp, err = http.ReadResponse(r, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil || string(b) != "abc" || resp.ContentLength != 3 || resp.Header.Get("Content-Type") != want || len(resp.Header["X-Many"]) != 2 {
			t.Errorf("%s: got %q %v %v", target, b, resp.Header, err)
		}
	}
}

// A request is read as net/http reads it.
func TestRequest_toHTTP(t *testing.T) {
	for _, text := range []string{
		"POST / HTTP/1.1\r\nHost: a:1\r\nx-amz-target: T.Op\r\nContent-Type: application/x-amz-json-1.1\r\nX-A: 1\r\nx-a: 2\r\nX-a: 3\r\nX-B: 4\r\nContent-Length: 0\r\n\r\n",
		"GET /?q HTTP/1.0\r\nHost: a\r\n\r\n",
		"GET /a%2Fb?x=%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: a\r\nCookie: b\r\n\r\n",
		"OPTIONS http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		r := &Request{}
		lim := Limits{Head: 1 << 16, URI: 1 << 14, Fields: 128}
		if n, bad := parseRequest([]byte(text), &lim, r); n != len(text) || bad != nil {
			t.Fatalf("%q: %d %v", text, n, bad)
		}
		type key struct{}
		ctx := context.WithValue(context.Background(), key{}, text)
		got, err := r.toHTTP(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		for name := range got.Header {
			if v := got.Header[name]; len(v) != cap(v) && len(v) == 1 {
				t.Errorf("%q: who appends to %s writes into another", text, name)
			}
		}
		if got.Context() != ctx || got.Method != want.Method || *got.URL != *want.URL || got.Proto != want.Proto || got.ProtoMajor != want.ProtoMajor || got.ProtoMinor != want.ProtoMinor ||
			got.Host != want.Host || got.RequestURI != want.RequestURI || got.Close != want.Close || got.ContentLength != want.ContentLength || !reflect.DeepEqual(got.Header, want.Header) {
			t.Errorf("%q:\ngot  %+v\nwant %+v", text, got, want)
		}
		if n := testing.AllocsPerRun(50, func() { _, _ = r.toHTTP(ctx) }); n > 10 {
			t.Errorf("%q: %v allocations", text, n)
		}
	}
}
