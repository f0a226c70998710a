package http1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// upstreams counts connections and lets a test play the other side of each.
type upstreams struct {
	l     net.Listener
	conns atomic.Int32
	// play gets the number of the connection, from 1.
	play func(n int, c *net.TCPConn, r *bufio.Reader)
}

func play(t *testing.T, f func(n int, c *net.TCPConn, r *bufio.Reader)) (*upstreams, *Client, *Pool) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &upstreams{l: l, play: f}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(u.conns.Add(1))
			wait.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				f(n, c.(*net.TCPConn), bufio.NewReader(c))
			})
		}
	})
	client := NewClient(ClientConfig{})
	t.Cleanup(func() {
		client.CloseIdle()
		l.Close()
		wait.Wait()
	})
	return u, client, client.Pool("http", l.Addr().String())
}

func readReq(r *bufio.Reader) (*http.Request, string, bool) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil, "", false
	}
	b, err := io.ReadAll(req.Body)
	return req, string(b), err == nil
}

func call(p *Pool, c *Call) (string, error) {
	if c.Method == "" {
		c.Method = "GET"
	}
	c.Target, c.Host = "/x?y", "up.example"
	if c.Deadline.IsZero() {
		c.Deadline = time.Now().Add(5 * time.Second)
	}
	r, err := p.Do(c)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return fmt.Sprint(r.Status, " ", string(b)), err
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestClient_KeepsConnections(t *testing.T) {
	t.Parallel()
	u, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		for {
			req, body, ok := readReq(r)
			if !ok {
				return
			}
			if req.Host != "up.example" || req.RequestURI != "/x?y" || req.Header.Get("X-A") != "b" || req.Header["Connection"] != nil || req.Header["Upgrade"] != nil {
				t.Errorf("got %+v", req)
			}
			if req.Method == "HEAD" {
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
				continue
			}
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body)+1, "+"+body)
		}
	})
	fields := []Field{{"X-A", "b"}, {"Connection", "upgrade"}, {"Upgrade", "h2c"}, {"Transfer-Encoding", "gzip"}, {"Content-Length", "7"}, {"Host", "evil"}}
	for i, c := range []*Call{{}, {Method: "POST", Content: []byte("abc")}, {Method: "POST", Content: bytes.Repeat([]byte("x"), 20<<10)}, {Method: "POST", Content: bytes.Repeat([]byte("x"), 200<<10)},
		{Method: "PUT", Body: strings.NewReader("hello"), Length: 5}, {Method: "PUT", Body: strings.NewReader("hello"), Length: -1}, {Method: "HEAD"}, {Method: "POST"}} {
		c.Fields = fields
		want := "200 +"
		switch {
		case c.Body != nil:
			want += "hello"
		case c.Method == "HEAD":
			want = "200 "
		default:
			want += string(c.Content)
		}
		if got, err := call(p, c); err != nil || got != want {
			t.Fatalf("call %d: %.60q %v", i, got, err)
		}
	}
	if n := u.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// After these a connection is not used again.
func TestClient_DropsConnections(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"close":             "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"1.0":               "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"more than asked":   fine + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
		"a protocol error":  "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
		"a broken body":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"a body of no body": "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nwrong",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
				for {
					if _, _, ok := readReq(r); !ok {
						return
					}
					if n == 1 {
						_, _ = io.WriteString(c, answer)
						continue
					}
					_, _ = io.WriteString(c, fine)
				}
			})
			_, _ = call(p, &Call{})
			if got, err := call(p, &Call{}); err != nil || got != "200 ok" {
				t.Errorf("got %q %v", got, err)
			}
			if n := u.conns.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// What comes while nothing was asked is not the answer to the next request.
func TestClient_UnaskedAnswer(t *testing.T) {
	t.Parallel()
	sent := make(chan struct{})
	u, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		if _, _, ok := readReq(r); !ok {
			return
		}
		_, _ = io.WriteString(c, fine)
		if n == 1 {
			<-sent
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
			sent <- struct{}{}
			_, _ = r.ReadByte()
		}
	})
	if _, err := call(p, &Call{}); err != nil {
		t.Fatal(err)
	}
	sent <- struct{}{}
	<-sent
	if got, err := call(p, &Call{}); err != nil || got != "200 ok" || u.conns.Load() != 2 {
		t.Errorf("got %q %v, %d connections", got, err, u.conns.Load())
	}
}

func TestClient_UnreadBody(t *testing.T) {
	t.Parallel()
	u, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		for {
			if _, _, ok := readReq(r); !ok {
				return
			}
			_, _ = io.WriteString(c, fine)
		}
	})
	r, err := p.Do(&Call{Method: "GET", Target: "/", Host: "a"})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	r.Close()
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("a closed reply is read")
	}
	if got, err := call(p, &Call{}); err != nil || got != "200 ok" || u.conns.Load() != 2 {
		t.Errorf("got %q %v, %d connections", got, err, u.conns.Load())
	}
}

// A kept connection dies under a request: it is sent again only when that cannot harm.
func TestClient_Again(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		call Call
		part string // of an answer before the end
		ok   bool
	}{
		{"GET", Call{}, "", true},
		{"PUT", Call{Method: "PUT", Content: []byte("x")}, "", true},
		{"POST", Call{Method: "POST", Content: []byte("x")}, "", false},
		{"PATCH", Call{Method: "PATCH", Content: []byte("x")}, "", false},
		{"a stream", Call{Method: "PUT", Body: strings.NewReader("x"), Length: 1}, "", false},
		{"touched", Call{}, "HTTP/1.1 2", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			_, _, p := play(t, func(n int, conn *net.TCPConn, r *bufio.Reader) {
				for i := 0; ; i++ {
					if _, _, ok := readReq(r); !ok {
						return
					}
					asked.Add(1)
					if n == 1 && i == 1 {
						_, _ = io.WriteString(conn, c.part)
						return
					}
					_, _ = io.WriteString(conn, fine)
				}
			})
			if _, err := call(p, &Call{}); err != nil {
				t.Fatal(err)
			}
			_, err := call(p, &c.call)
			if (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
			want := int32(2)
			if c.ok {
				want = 3
			}
			if n := asked.Load(); n != want {
				t.Errorf("the upstream was asked %d times, want %d", n, want)
			}
		})
	}
}

// A fresh connection that fails is not tried again.
func TestClient_NotAgain(t *testing.T) {
	t.Parallel()
	u, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) { _, _, _ = readReq(r) })
	if got, err := call(p, &Call{}); err == nil {
		t.Errorf("got %q", got)
	}
	if n := u.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestClient_EarlyAnswer(t *testing.T) {
	t.Parallel()
	const no = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
	u, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, no)
		if req.Header.Get("Drain") != "" {
			_, _ = io.Copy(io.Discard, r)
		}
		linger(c)
	})
	big := bytes.Repeat([]byte("x"), 8<<20)
	got, err := call(p, &Call{Method: "POST", Content: big})
	if err != nil || got != "413 no" {
		t.Errorf("got %q %v", got, err)
	}
	if _, err := call(p, &Call{}); err != nil || u.conns.Load() != 2 {
		t.Errorf("%v, %d connections", err, u.conns.Load())
	}
}

// Both sides send at once, more than any buffer holds.
func TestClient_BothWays(t *testing.T) {
	t.Parallel()
	_, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 16<<20)
		if n, err := io.Copy(c, req.Body); n != 16<<20 {
			t.Error(n, err)
		}
	})
	r, err := p.Do(&Call{Method: "POST", Target: "/", Host: "a", Content: make([]byte, 16<<20), Deadline: time.Now().Add(10 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); n != 16<<20 || err != nil {
		t.Error(n, err)
	}
}

func TestClient_SourceFails(t *testing.T) {
	t.Parallel()
	whole := make(chan bool, 2)
	_, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		_, _, ok := readReq(r)
		whole <- ok
	})
	for _, length := range []int64{-1, 10} {
		body := io.MultiReader(strings.NewReader("abc"), errReader{})
		if got, err := call(p, &Call{Method: "POST", Body: body, Length: length}); err == nil {
			t.Errorf("got %q", got)
		}
		if <-whole {
			t.Error("the upstream took the part for the whole")
		}
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("gone") }

func TestClient_Times(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	defer close(hold)
	_, client, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		if req, _, ok := readReq(r); ok && req.Method == "PUT" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
		}
		<-hold
	})
	if _, err := call(p, &Call{Deadline: time.Now().Add(30 * time.Millisecond)}); !errors.Is(err, ErrTimeout) {
		t.Errorf("the head: %v", err)
	}
	if _, err := call(p, &Call{Method: "PUT", Deadline: time.Now().Add(100 * time.Millisecond)}); !errors.Is(err, ErrTimeout) {
		t.Errorf("the body: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := call(p, &Call{Context: ctx}); !errors.Is(err, context.Canceled) {
		t.Errorf("the context: %v", err)
	}
	client.cfg.HeaderTimeout = 30 * time.Millisecond
	if _, err := call(p, &Call{}); !errors.Is(err, ErrTimeout) {
		t.Errorf("the phase: %v", err)
	}
}

func TestClient_Fields(t *testing.T) {
	t.Parallel()
	u, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {})
	for name, c := range map[string]Call{
		"a value":  {Method: "GET", Target: "/", Host: "a", Fields: []Field{{"X", "a\r\nY: b"}}},
		"a name":   {Method: "GET", Target: "/", Host: "a", Fields: []Field{{"X: a\r\nY", "b"}}},
		"a target": {Method: "GET", Target: "/ HTTP/1.1\r\nX: y", Host: "a"},
		"a blank":  {Method: "GET", Target: "/a b", Host: "a"},
		"a method": {Method: "GET /", Target: "/", Host: "a"},
		"a host":   {Method: "GET", Target: "/", Host: "a\r\nX: y"},
	} {
		if _, err := p.Do(&c); !errors.Is(err, ErrField) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_ = u
}

// A target that cannot be reached is left alone for a while, then tried once.
func TestClient_Health(t *testing.T) {
	t.Parallel()
	now := &testTime{now: noon()}
	dials, up := 0, false
	c := NewClient(ClientConfig{Now: now.Now, Dial: func(context.Context, string, string) (net.Conn, error) {
		dials++
		if up {
			return &script{in: []byte(fine)}, nil
		}
		return nil, errors.New("refused")
	}})
	p := c.Pool("http", "down.example")
	ask := func() error {
		r, err := p.Do(&Call{Method: "GET", Target: "/", Host: "a"})
		if err == nil {
			r.Close()
		}
		return err
	}
	for range 10 {
		if err := ask(); err == nil {
			t.Fatal("reached")
		}
	}
	if dials != failures || !errors.Is(ask(), ErrUnavailable) {
		t.Fatalf("%d dials", dials)
	}
	now.now = now.now.Add(firstPause)
	if err := ask(); errors.Is(err, ErrUnavailable) || dials != failures+1 || !errors.Is(ask(), ErrUnavailable) {
		t.Errorf("%d dials after the pause, %v", dials, err)
	}
	now.now, up = now.now.Add(lastPause), true
	if err := ask(); err != nil {
		t.Error(err)
	}
	if err := ask(); err != nil {
		t.Error(err)
	}
}

func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

func TestClient_Limit(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	u, client, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		for {
			if _, _, ok := readReq(r); !ok {
				return
			}
			<-hold
			_, _ = io.WriteString(c, fine)
		}
	})
	client.cfg.MaxConns = 2
	results := make(chan error, 5)
	for range 4 {
		go func() {
			_, err := call(p, &Call{})
			results <- err
		}()
	}
	until(t, "nobody waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.waiting) == 2 })
	if _, err := call(p, &Call{Deadline: time.Now().Add(20 * time.Millisecond)}); err == nil {
		t.Error("a fifth call came through")
	}
	close(hold)
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := u.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open != 2 || len(p.idle) != 2 || len(p.waiting) != 0 {
		t.Errorf("open %d, idle %d, waiting %d", p.open, len(p.idle), len(p.waiting))
	}
}

func TestClient_TLS(t *testing.T) {
	t.Parallel()
	var resumed atomic.Int32
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			resumed.Add(1)
		}
		if r.ProtoMajor != 1 {
			t.Error(r.Proto)
		}
		_, _ = io.WriteString(w, "ok")
	}))
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	addr := s.Listener.Addr().String()
	good := NewClient(ClientConfig{TLS: &tls.Config{RootCAs: roots}})
	defer good.CloseIdle()
	p := good.Pool("https", addr)
	for i := range 3 {
		if got, err := call(p, &Call{}); err != nil || got != "200 ok" {
			t.Fatal(got, err)
		}
		if i == 1 {
			p.CloseIdle()
		}
	}
	if resumed.Load() != 1 {
		t.Errorf("%d sessions were resumed", resumed.Load())
	}
	if _, err := call(NewClient(ClientConfig{}).Pool("https", addr), &Call{}); err == nil {
		t.Error("an unknown authority is trusted")
	}
	other := NewClient(ClientConfig{TLS: &tls.Config{RootCAs: roots}, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	if _, err := call(other.Pool("https", "other.test"), &Call{}); err == nil {
		t.Error("another name is trusted")
	}
}

func TestClient_Pools(t *testing.T) {
	t.Parallel()
	c := NewClient(ClientConfig{MaxTargets: 2})
	for host, want := range map[string]string{"a.example": "a.example:80", "A.example:81": "a.example:81", "[::1]": "[::1]:80", "[::1]:8080": "[::1]:8080"} {
		if p := c.Pool("http", host); p.address != want {
			t.Errorf("%s: %s", host, p.address)
		}
	}
	if p := c.Pool("https", "a.example"); p.address != "a.example:443" || p.tls.ServerName != "a.example" || p != c.Pool("https", "A.EXAMPLE") {
		t.Error("https", p.address)
	}
	if len(c.pools) != 2 {
		t.Errorf("%d pools", len(c.pools))
	}
}

func TestAllocs_Client(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools forget")
	}
	_, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		buf := make([]byte, 4096)
		for {
			m, err := c.Read(buf)
			if err != nil {
				return
			}
			if bytes.HasSuffix(buf[:m], []byte("\r\n\r\n")) {
				_, _ = c.Write([]byte(fine))
			}
		}
	})
	c := &Call{Method: "GET", Target: "/", Host: "a", Fields: []Field{{"Authorization", strings.Repeat("x", 1000)}}, Deadline: time.Now().Add(10 * time.Second)}
	buf := make([]byte, 100)
	ask := func() {
		r, err := p.Do(c)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(buf); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		if _, err := r.Read(buf); err != io.EOF {
			t.Fatal(err)
		}
		r.Close()
	}
	for range 100 {
		ask()
	}
	if n := testing.AllocsPerRun(500, ask); n > 0 {
		t.Errorf("%v allocations per call", n)
	}
}
