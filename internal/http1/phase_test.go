package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func pass(d time.Duration) {
	c := make(chan struct{})
	time.AfterFunc(d, func() { close(c) })
	<-c
}

// slowly gives its pieces one after the other, with a pause before each.
type slowly struct {
	pieces []string
	pause  time.Duration
}

func (s *slowly) Read(p []byte) (int, error) {
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	pass(s.pause)
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; s.pieces[0] == "" {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

// A Timeout is for each phase: to take a piece, to begin the answer, for each piece of it.
func TestPhases(t *testing.T) {
	t.Parallel()
	// A pause is far below it, so that a busy machine is no timeout, and all pauses of a phase together above it.
	const timeout = 450 * time.Millisecond
	hold := make(chan struct{})
	defer close(hold)
	_, client, p := play(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if req.URL.Path == "/deaf" {
				<-hold
				return
			}
			b, err := io.ReadAll(req.Body)
			switch {
			case err != nil || req.URL.Path == "/mute":
				<-hold
				return
			case req.URL.Path == "/stall":
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
				<-hold
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			for i := range 8 {
				pass(timeout / 6)
				_, _ = fmt.Fprintf(c, "%x\r\n%d\r\n", 1, (len(b)+i)%10)
			}
			_, _ = io.WriteString(c, "0\r\n\r\n")
		}
	})
	do := func(c *Call) (string, error) {
		c.Host, c.Timeout = "a", timeout
		if c.Method == "" {
			c.Method = "POST"
		}
		r, err := p.Do(c)
		if err != nil {
			return "", err
		}
		defer r.Close()
		b, err := io.ReadAll(r)
		return string(b), err
	}
	for range 2 {
		for name, c := range map[string]*Call{
			"the answer takes longer":  {Target: "/"},
			"the content takes longer": {Target: "/", Body: &slowly{[]string{"a", "b", "c", "d", "e", "f", "g", "hij"}, timeout / 6}, Length: 10},
			"one pause is longer":      {Target: "/", Body: &slowly{[]string{"abcdefghij"}, 2 * timeout}, Length: 10},
			"a beginning in memory":    {Target: "/", Content: []byte("abcde"), Body: &slowly{[]string{"fghij"}, 2 * timeout}, Length: 10},
			"a beginning, in chunks":   {Target: "/", Content: []byte("abcde"), Body: &slowly{[]string{"fghij"}, 2 * timeout}, Length: -1},
		} {
			if got, err := do(c); err != nil || got != "01234567" {
				t.Errorf("%s: %q %v", name, got, err)
			}
		}
	}
	big := bytes.Repeat([]byte("x"), 32<<20)
	for name, c := range map[string]*Call{
		"no answer": {Target: "/mute"}, "no answer to a stream": {Target: "/mute", Body: strings.NewReader("abc"), Length: 3}, "an answer that stalls": {Target: "/stall"},
		"content that nobody takes": {Target: "/deaf", Content: big}, "a stream that nobody takes": {Target: "/deaf", Body: bytes.NewReader(big), Length: -1},
	} {
		began := time.Now()
		if got, err := do(c); !errors.Is(err, ErrTimeout) || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %q %v after %v", name, got, err, time.Since(began))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(30*time.Millisecond, cancel)
	if _, err := do(&Call{Target: "/", Context: ctx, Body: &slowly{[]string{"ab", "cd"}, timeout}, Length: 4}); err == nil {
		t.Error("a cancelled call goes on")
	}
	client.cfg.BodyTimeout = 10 * time.Millisecond
	if got, err := do(&Call{Target: "/"}); !errors.Is(err, ErrTimeout) {
		t.Errorf("the whole answer: %q %v", got, err)
	}
}

// A connection is used again when the time of the call before it is over.
func TestPhases_IdleConnection(t *testing.T) {
	t.Parallel()
	u, _, p := play(t, func(_ int, c *net.TCPConn, r *bufio.Reader) {
		for {
			if _, _, ok := readReq(r); !ok {
				return
			}
			_, _ = io.WriteString(c, fine)
		}
	})
	for range 3 {
		r, err := p.Do(&Call{Method: "GET", Target: "/", Host: "a", Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		r.Close()
		pass(1100 * time.Millisecond)
	}
	if n := u.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
