package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
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
