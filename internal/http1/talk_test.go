package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// holding answers each call but those of a path that holds.
func holding(t *testing.T) (*upstreams, *Pool, chan struct{}) {
	t.Helper()
	asked, hold := make(chan struct{}, 8), make(chan struct{})
	u, _, p := play(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
		for {
			req, _, ok := readReq(r)
			if !ok {
				return
			}
			if req.Method == "PUT" {
				asked <- struct{}{}
				<-hold
				return
			}
			_, _ = io.WriteString(c, fine)
		}
	})
	t.Cleanup(func() { close(hold) })
	return u, p, asked
}

// idleOne is the connection that waits, with what deadline stands on it.
func idleOne(t *testing.T, p *Pool) *upstream {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) != 1 {
		t.Fatalf("%d idle connections", len(p.idle))
	}
	return p.idle[0]
}

// A deadline that an earlier call has left standing ends no later call, with a deadline or without,
// in one piece or not; each call's own ends it all the same.
func TestClient_EarlierDeadlines(t *testing.T) {
	t.Parallel()
	u, p, _ := holding(t)
	for _, c := range []*Call{{}, {}, {Method: "POST", Content: make([]byte, 20<<10)}, {}, {Method: "POST", Content: make([]byte, 20<<10)}, {Deadline: time.Unix(1<<40, 0)}, {}} {
		if _, err := call(p, c); err != nil {
			t.Fatal(err)
		}
		if n := u.conns.Load(); n != 1 {
			t.Fatalf("%d connections", n)
		}
		up := idleOne(t, p)
		up.stands = past()
		_ = up.nc.SetDeadline(past())
	}
	if r, err := p.Do(&Call{Method: "GET", Target: "/", Host: "a"}); err != nil {
		t.Error("no deadline:", err)
	} else {
		_, _ = io.Copy(io.Discard, r)
		r.Close()
	}
	for range 2 { // over the kept connection, then over a fresh one
		began := time.Now()
		if _, err := call(p, &Call{Method: "PUT", Deadline: began.Add(30 * time.Millisecond)}); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
		if d := time.Since(began); d < 30*time.Millisecond || d > 3*time.Second {
			t.Errorf("it took %v", d)
		}
	}
}

// The end of a context that many calls share ends each of them, and no call of another.
func TestClient_LastingContext(t *testing.T) {
	t.Parallel()
	u, p, asked := holding(t)
	ctx, cancel := context.WithCancel(context.Background())
	for range 3 {
		if _, err := call(p, &Call{Context: ctx, Lasting: true}); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		<-asked
		cancel()
	}()
	if _, err := call(p, &Call{Method: "PUT", Context: ctx, Lasting: true, Deadline: time.Now().Add(time.Minute)}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := call(p, &Call{Context: ctx, Lasting: true}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	before := u.conns.Load()
	ctx, cancel = context.WithCancel(context.Background())
	if _, err := call(p, &Call{Context: ctx, Lasting: true}); err != nil {
		t.Fatal(err)
	}
	cancel() // while the connection waits
	for up := idleOne(t, p); ; runtime.Gosched() {
		if _, err := up.nc.Read(make([]byte, 1)); err != nil {
			break
		}
	}
	for _, c := range []*Call{{}, {Context: context.Background()}, {Method: "POST", Content: make([]byte, 20<<10)}} {
		if _, err := call(p, c); err != nil {
			t.Error(err)
		}
	}
	if n := u.conns.Load(); n != before+1 {
		t.Errorf("%d connections more", n-before)
	}
}

// What an upstream has done to idle connections costs no call, whatever its method: none is sent over them.
func TestClient_StaleConnections(t *testing.T) {
	t.Parallel()
	u, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		for {
			if _, _, ok := readReq(r); !ok {
				return
			}
			_, _ = io.WriteString(c, fine)
		}
	})
	var open []*Reply
	for range 3 {
		r, err := p.Do(&Call{Method: "GET", Target: "/", Host: "a"})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r)
		open = append(open, r)
	}
	for _, r := range open {
		r.Close()
	}
	for _, up := range p.idle { // as after a close by the other side
		_ = up.nc.(*net.TCPConn).CloseRead()
	}
	if _, err := call(p, &Call{Method: "POST", Content: []byte("x")}); err != nil {
		t.Error(err)
	}
	if n := u.conns.Load(); n != 4 {
		t.Errorf("%d connections", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open != 1 || len(p.idle) != 1 {
		t.Errorf("%d open, %d idle", p.open, len(p.idle))
	}
}

// A call that is larger than what the socket takes in at once arrives whole.
func TestClient_FullSocket(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	_, _, p := play(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
		for {
			n := 0
			for line := []byte(nil); len(line) != 2; n += len(line) {
				var err error
				if line, err = r.ReadSlice('\n'); err == bufio.ErrBufferFull {
					err = nil
				} else if err != nil {
					return
				}
			}
			if n > size {
				_, _ = io.WriteString(c, fine)
			}
		}
	})
	for range 3 {
		got, err := call(p, &Call{Method: "POST", Fields: []Field{{"X", string(bytes.Repeat([]byte("x"), size))}}})
		if err != nil || got != "200 ok" {
			t.Fatal(got, err)
		}
	}
}
