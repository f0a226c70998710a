package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The same requests over this transport and net/http's have the same answers.
func TestTransport_AnswersLikeNetHTTP(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header()["X-Two"] = []string{"a", "b"}
		w.Header().Set("Date", "Fri, 20 Nov 2026 12:00:00 GMT")
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(204)
		case "/chunks":
			_, _ = io.WriteString(w, "one")
			w.(http.Flusher).Flush()
		case "/close":
			w.Header().Set("Connection", "close")
		}
		if r.URL.Path != "/none" {
			_, _ = io.WriteString(w, r.Method+r.RequestURI+r.Host+r.Header.Get("X-A")+string(b))
		}
	}))
	defer s.Close()
	std := &http.Transport{DisableCompression: true}
	defer std.CloseIdleConnections()
	client := NewClient(ClientConfig{})
	defer client.CloseIdle()
	mine := &Transport{client}
	for _, c := range []struct{ method, path, body string }{{"GET", "/?a=b", ""}, {"GET", "/?a=%zz|{}", ""}, {"HEAD", "/", ""}, {"POST", "/x%2Fy", "body"}, {"PUT", "/", strings.Repeat("x", 2<<20)}, {"GET", "/none", ""}, {"GET", "/chunks", ""}, {"GET", "/close", ""}, {"GET", "/", ""}} {
		read := func(rt http.RoundTripper) (*http.Response, string) {
			req, err := http.NewRequest(c.method, s.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-A", "1")
			resp, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			resp.Body.Close()
			return resp, string(b)
		}
		want, wantBody := read(std)
		got, gotBody := read(mine)
		if got.StatusCode != want.StatusCode || gotBody != wantBody || got.ContentLength != want.ContentLength || len(got.Header) != len(want.Header) || strings.Join(got.Header["X-Two"], " ") != "a b" {
			t.Errorf("%s %s: %d %d %v %.50q, net/http: %d %d %v %.50q", c.method, c.path, got.StatusCode, got.ContentLength, got.Header, gotBody, want.StatusCode, want.ContentLength, want.Header, wantBody)
		}
	}
}

func TestTransport_Fails(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	defer close(hold)
	_, client, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) { <-hold })
	rt := &Transport{client}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+p.address+"/", nil)
	if _, err := rt.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the deadline: %v", err)
	}
	for _, url := range []string{"ftp://a.example/", "http://a,b.example/", "http://a%20b/", "https://b\xc3\xbccher.example/"} {
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			continue // net/url refuses it
		}
		if _, err := rt.RoundTrip(req); !errors.Is(err, ErrField) {
			t.Errorf("%s: %v", url, err)
		}
	}
	req, _ = http.NewRequest("POST", "http://"+p.address+"/", io.MultiReader(errReader{}))
	req.ContentLength = 3
	var source *SourceError
	if _, err := rt.RoundTrip(req); !errors.As(err, &source) {
		t.Errorf("the body: %v", err)
	}
}

// A query is sent as it came, but for what no target may hold.
func TestEscaped(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"/a?b=%zz|{}\"<>^`\\": "/a?b=%zz|{}\"<>^`\\", "/\xc3\xa4?\xff": "/%C3%A4?%FF", "/a?b c\td#e\x7f\x00": "/a?b%20c%09d%23e%7F%00"} {
		if got := escaped(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
