package http1

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// script is a connection whose other side sends a text in pieces and keeps what it gets.
type script struct {
	in     []byte
	piece  int // bytes per read; 0: all
	out    bytes.Buffer
	closed bool
	stall  bool // time out instead of ending
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.in) == 0 {
		if s.stall {
			return 0, os.ErrDeadlineExceeded
		}
		return 0, io.EOF
	}
	if s.piece > 0 && len(p) > s.piece {
		p = p[:s.piece]
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { s.closed = true; return nil }
func (s *script) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "local"} }
func (s *script) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "remote"} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// message is what a handler saw of a request.
type message struct {
	method, target, host string
	fields               []Field
	body                 string
	err                  error
}

// reads lets a server read a text and gives what its handler saw and what was answered.
func reads(text string, piece int) (seen []message, answers string) {
	s := NewServer(Config{Handler: func(w *Response, r *Request) {
		body, err := io.ReadAll(r.Body)
		r.Own()
		seen = append(seen, message{r.Method, r.Target, r.Host, append([]Field(nil), r.Fields...), string(body), err})
		if err != nil {
			w.close = true
			w.fail(400, "the body")
			return
		}
		w.Head(200, nil, 0)
	}})
	sc := &script{in: []byte(text), piece: piece}
	s.ServeConn(sc)
	return seen, sc.out.String()
}

// statuses lists those of the answers.
func statuses(answers string) string {
	var out []string
	for i, rest := range strings.Split(answers, "HTTP/1.1 ") {
		if i > 0 {
			out = append(out, rest[:3])
		}
	}
	return strings.Join(out, " ")
}

// server is one on a loopback port.
type server struct {
	*Server
	t    testing.TB
	addr string
	time *testTime
}

type testTime struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testTime) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// pass moves the clock and lets the server look at it.
func (s *server) pass(d time.Duration) {
	s.time.mu.Lock()
	s.time.now = s.time.now.Add(d)
	now := s.time.now
	s.time.mu.Unlock()
	s.sweep(now)
}

func start(t testing.TB, cfg Config) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	clock := &testTime{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	if cfg.Now == nil {
		cfg.Now = clock.Now
	}
	s := &server{NewServer(cfg), t, l.Addr().String(), clock}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); err != ErrServerClosed && err != nil && !strings.Contains(err.Error(), "closed") {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return s
}

func (s *server) dial() *net.TCPConn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute)) // what takes longer hangs
	return c.(*net.TCPConn)
}

// ask sends a text and gives everything that comes until the server closes.
func (s *server) ask(text string) string {
	s.t.Helper()
	c := s.dial()
	if _, err := io.WriteString(c, text); err != nil {
		s.t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		s.t.Errorf("%v after %q", err, b)
	}
	return string(b)
}

func hello(w *Response, r *Request) {
	w.Head(200, []Field{{"Content-Type", "text/plain"}}, 5)
	_, _ = io.WriteString(w, "hello")
}

// replies lets a client read the text of an answer.
func replies(text string, piece int) (status int, body string, err error) {
	c := NewClient(ClientConfig{Dial: func(context.Context, string, string) (net.Conn, error) {
		return &script{in: []byte(text), piece: piece}, nil
	}})
	r, err := c.Pool("http", "a").Do(&Call{Method: "GET", Target: "/", Host: "a"})
	if err != nil {
		return 0, "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return r.Status, string(b), err
}

func dialScript(text []byte) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		return &script{in: append([]byte(nil), text...)}, nil
	}
}
