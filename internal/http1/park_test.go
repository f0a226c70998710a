//go:build linux

package http1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// settle lets time pass until n connections are parked, and no other is left but busy ones.
func (s *server) settle(n, busy int) {
	s.t.Helper()
	until(s.t, fmt.Sprintf("%d connections do not park", n), func() bool {
		s.pass(parkAfter)
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.lot.conns) == n && len(s.conns) == busy
	})
}

// kept is a client that reads answer by answer.
type kept struct {
	*net.TCPConn
	r *bufio.Reader
}

func (s *server) keep() kept {
	c := s.dial()
	return kept{c, bufio.NewReader(c)}
}

// greet asks once.
func (k kept) greet(t *testing.T) {
	t.Helper()
	send(t, k, get+"\r\n")
	answersOf(t, k.r, "GET", 1)
}

// ended checks that the server has closed without a word.
func (k kept) ended(t *testing.T) {
	t.Helper()
	if b, err := io.ReadAll(k.r); err != nil || len(b) != 0 {
		t.Errorf("got %q %v, want the end", b, err)
	}
}

func TestPark_Wakes(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		b, _ := io.ReadAll(r.Body)
		w.Head(200, nil, -1)
		_, _ = io.WriteString(w, r.RemoteAddr+string(b))
	}})
	c := s.keep()
	want := "200 " + c.LocalAddr().String()
	s.settle(1, 0) // before its first request
	for range 3 {
		send(t, c, get+"\r\n")
		if got := answersOf(t, c.r, "GET", 1); got[0] != want {
			t.Fatalf("got %q, want %q", got[0], want)
		}
		s.settle(1, 0)
	}
	// Pieces of three requests, of which the second has a body that comes later.
	send(t, c, get+"\r\n"+post+"Content-Length: 4\r\n\r\nbo")
	if got := answersOf(t, c.r, "GET", 1); got[0] != want {
		t.Fatalf("got %q", got[0])
	}
	for range 3 {
		s.pass(parkAfter) // it is at work
	}
	send(t, c, "dy"+get+"\r\n")
	if got := answersOf(t, c.r, "POST", 2); got[0] != want+"body" || got[1] != want {
		t.Fatalf("got %q", got)
	}
	s.settle(1, 0)
}

func TestPark_TheOtherSideCloses(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	closed, reset, half, asks := s.keep(), s.keep(), s.keep(), s.keep()
	for _, c := range []kept{closed, reset, half, asks} {
		c.greet(t)
	}
	s.settle(4, 0)
	closed.Close()
	_ = reset.SetLinger(0)
	reset.Close()
	_ = half.CloseWrite()
	half.ended(t)
	send(t, asks, get+"\r\n")
	_ = asks.CloseWrite()
	if b, err := io.ReadAll(asks.r); err != nil || statuses(string(b)) != "200" {
		t.Errorf("what was sent before the half-close: %q %v", b, err)
	}
	until(t, "they still count", func() bool { return s.Connections() == 0 })
}

func TestPark_Timeouts(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	silent, idle, later := s.keep(), s.keep(), s.keep()
	idle.greet(t)
	s.settle(3, 0)
	s.pass(25 * time.Second)
	later.greet(t) // silent has 30 s for its first request, idle 2 min for its next
	s.pass(6 * time.Second)
	silent.ended(t)
	until(t, "the silent one counts", func() bool { return s.Connections() == 2 })
	s.settle(2, 0)
	s.pass(92 * time.Second)
	idle.ended(t)
	until(t, "the idle one counts", func() bool { return s.Connections() == 1 })
	later.greet(t)
}

// The limit of a header begins with its first byte, however long it was waited for.
func TestPark_HalfAHeader(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	c := s.keep()
	c.greet(t)
	s.settle(1, 0)
	s.pass(time.Minute)
	send(t, c, "GET / HTTP/1.1\r\nHos")
	until(t, "it does not read", func() bool { return s.reading() == 1 })
	s.pass(9 * time.Second)
	if s.Connections() != 1 {
		t.Fatal("it ended too early")
	}
	s.pass(2 * time.Second)
	if b, _ := io.ReadAll(c.r); statuses(string(b)) != "408" {
		t.Errorf("got %q", b)
	}
}

func TestPark_Shutdown(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	idle, fresh := s.keep(), s.keep()
	idle.greet(t)
	s.settle(2, 0)
	// Asks at the moment of the shutdown, of which the queue has not told yet.
	asks := s.keep()
	asks.greet(t)
	s.settle(3, 0)
	s.mu.Lock()
	for _, c := range s.lot.conns {
		if c.nc.RemoteAddr().String() == asks.LocalAddr().String() {
			s.lot.queue.remove(c)
		}
		if !c.served.Load() {
			c.born = s.time.Now().UnixNano() // it is new
		}
	}
	s.mu.Unlock()
	send(t, asks, get+"\r\n")
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	idle.ended(t)
	if b, err := io.ReadAll(asks.r); err != nil || statuses(string(b)) != "200" || !strings.Contains(string(b), "Connection: close") {
		t.Errorf("what was sent: %q %v", b, err)
	}
	send(t, fresh, get+"\r\n")
	if b, err := io.ReadAll(fresh.r); err != nil || statuses(string(b)) != "200" || !strings.Contains(string(b), "Connection: close") {
		t.Errorf("the last moment: %q %v", b, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestPark_Close(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	c := s.keep()
	c.greet(t)
	s.settle(1, 0)
	s.Close()
	c.ended(t)
	if n := s.Connections(); n != 0 {
		t.Errorf("%d connections count", n)
	}
}

func TestPark_StillCounts(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello, MaxConns: 2})
	c := s.keep()
	s.keep()
	s.settle(2, 0)
	if b, _ := io.ReadAll(s.dial()); statuses(string(b)) != "503" {
		t.Errorf("the third: %q", b)
	}
	c.Close()
	until(t, "it still counts", func() bool { return s.Connections() == 1 })
	s.keep().greet(t)
}

func TestPark_TLS(t *testing.T) {
	t.Parallel()
	got := make(chan net.Conn, 1)
	s := start(t, Config{Handler: hello, TLS: func(c net.Conn) { got <- c }})
	c := s.keep()
	s.settle(1, 0)
	send(t, c, "\x16\x03\x01rest")
	h := <-got
	b := make([]byte, 7)
	if _, err := io.ReadFull(h, b); err != nil || string(b) != "\x16\x03\x01rest" {
		t.Errorf("got %q %v", b, err)
	}
	h.Close()
	until(t, "it still counts", func() bool { return s.Connections() == 0 })
}

// What the queue tells of an earlier stay is nobody's: a descriptor goes from one connection to the next.
func TestPark_LateNews(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	c := s.keep()
	c.greet(t)
	s.settle(1, 0)
	s.mu.Lock()
	var parked *conn
	for _, parked = range s.lot.conns {
	}
	fd, stay := parked.fd, parked.stay
	s.mu.Unlock()
	s.stirred(fd, stay-1, true)
	s.stirred(fd+1, stay, true)
	s.settle(1, 0)
	s.stirred(fd, stay, true) // true, but the client has not left
	s.settle(1, 0)
	s.stirred(fd, stay, false) // it was another stay
	c.greet(t)
	s.settle(1, 0)
}

// Where there is no queue, connections wait in their goroutines.
func TestPark_Impossible(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	s.mu.Lock()
	s.lot.shut = true
	s.mu.Unlock()
	c := s.keep()
	c.greet(t)
	for range 5 {
		s.pass(parkAfter)
		c.greet(t)
	}
	s.settle(0, 1)
	s.pass(3 * time.Minute)
	c.ended(t)
}

// Requests that come in the moment of parking are answered, each once.
func TestPark_InThatMoment(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		w.Head(200, nil, -1)
		_, _ = io.WriteString(w, r.Target)
	}})
	stop := make(chan struct{})
	var clients, pusher sync.WaitGroup
	pusher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.mu.Lock()
				for c := range s.conns {
					c.nudge(s.clock.now.Load() + int64(parkAfter)) // no time passes
				}
				s.mu.Unlock()
				runtime.Gosched()
			}
		}
	})
	for n := range 16 {
		c := s.keep()
		clients.Go(func() {
			for i := range 300 {
				path := fmt.Sprintf("/%d/%d", n, i)
				if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path); err != nil {
					t.Error(err)
					return
				}
				if got := answersOf(t, c.r, "GET", 1); got[0] != "200 "+path {
					t.Errorf("got %q, want %q", got[0], path)
					return
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	pusher.Wait()
	if s.mu.Lock(); s.lot.stay < 100 {
		t.Errorf("only %d stays", s.lot.stay)
	}
	s.mu.Unlock()
}

// Two thousand connections park without a goroutine, and come and go, so that descriptors are used again.
func TestPark_Thousands(t *testing.T) {
	t.Parallel()
	count := 2000
	if testing.Short() {
		count = 200
	}
	s := start(t, Config{Handler: hello})
	conns := make([]kept, count)
	for i := range conns {
		conns[i] = s.keep()
	}
	draw := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		for i, c := range conns {
			switch draw.IntN(4) {
			case 0:
				c.Close()
				conns[i] = s.keep()
			case 1:
				c.greet(t)
			}
		}
		s.settle(count, 0)
	}
	stacks := make([]byte, 64<<20)
	if n := strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "http1.(*conn).serve("); n >= count/2 {
		t.Errorf("%d goroutines serve connections that are parked", n)
	}
	var all sync.WaitGroup
	for _, c := range conns { // all at once
		all.Go(func() { c.greet(t) })
	}
	all.Wait()
	s.settle(count, 0)
	s.pass(time.Hour)
	until(t, "connections are left", func() bool { return s.Connections() == 0 })
}
