package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A handler's goroutine that reads on after the handler has returned, as net/http's
// transport does after an early answer, gets nothing of later requests, whose bodies live
// in the same memory; and the answer arrives though the reader had to be woken.
func TestAttack_BodyReadAfterTheHandler(t *testing.T) {
	t.Parallel()
	type read struct {
		text string
		err  error
	}
	got := make(chan read, 2)
	again := make(chan struct{})
	s := start(t, Config{Handler: Bridge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/later" {
			b, err := io.ReadAll(r.Body)
			if err != nil || string(b) != "secret" {
				t.Errorf("the later body: %q %v", b, err)
			}
			return
		}
		begun := make(chan struct{})
		go func() {
			var b [16]byte
			n, _ := r.Body.Read(b[:])
			if string(b[:n]) != "x" {
				t.Errorf("read %q", b[:n])
			}
			close(begun)
			n, err := r.Body.Read(b[:]) // waits: nothing more comes
			got <- read{string(b[:n]), err}
			<-again
			n, err = r.Body.Read(b[:])
			got <- read{string(b[:n]), err}
		}()
		<-begun
		_, _ = io.WriteString(w, "early")
	}))})
	c := s.dial()
	send(t, c, post+"Content-Length: 10\r\n\r\nx")
	if b, err := io.ReadAll(c); err != nil || statuses(string(b)) != "200" || !strings.HasSuffix(string(b), "early") {
		t.Errorf("answered %q %v", b, err)
	}
	if r := <-got; r.text != "" || r.err == nil {
		t.Errorf("the reader that waited got %q %v", r.text, r.err)
	}
	later := s.dial()
	send(t, later, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsec")
	until(t, "it does not run", func() bool { return s.running.Load() == 1 })
	close(again)
	if r := <-got; r.text != "" || r.err == nil {
		t.Errorf("the reader that came back got %q %v", r.text, r.err)
	}
	send(t, later, "ret")
	answersOf(t, bufio.NewReader(later), "POST", 1)
}

// A writer that is kept writes nothing into the next answer of the connection.
func TestAttack_WriteAfterTheHandler(t *testing.T) {
	t.Parallel()
	var kept http.ResponseWriter
	s := start(t, Config{Handler: Bridge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kept != nil {
			if _, err := io.WriteString(kept, "evil"); err == nil {
				t.Error("written")
			}
			kept.WriteHeader(500)
			kept.(http.Flusher).Flush()
			w.Header().Set("Connection", "close")
		}
		kept = w
		_, _ = io.WriteString(w, "hello")
	}))})
	if got := s.ask(get + "\r\n" + next); statuses(got) != "200 200" || strings.Contains(got, "evil") || strings.Count(got, "hello") != 2 {
		t.Errorf("got %q", got)
	}
}

// A body is passed on to an upstream that answers at once and reads nothing: the client,
// which still sends, gets that answer, and 100 Continue never stands inside it.
func TestAttack_EarlyAnswerWhileTheBodyIsPassedOn(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	_, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
			<-hold // neither reads nor closes
		}
	})
	t.Cleanup(func() { close(hold) })
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		reply, err := p.Do(&Call{Method: r.Method, Target: "/", Host: "a", Body: r.Body, Length: r.Length, Deadline: time.Now().Add(5 * time.Second)})
		if err != nil {
			t.Error(err)
			return
		}
		b, err := io.ReadAll(reply)
		reply.Close()
		if err != nil {
			t.Error(err)
		}
		w.Head(reply.Status, nil, int64(len(b)))
		_, _ = w.Write(b)
	}})
	for _, c := range []struct {
		name, fields string
		sends        int
	}{
		{"nothing more comes", "", 10}, {"more than any buffer", "", 64 << 20}, {"it waits to be asked", "Expect: 100-continue\r\n", 0},
	} {
		conn := s.dial()
		send(t, conn, post+c.fields+fmt.Sprintf("Content-Length: %d\r\n\r\n", 65<<20))
		go func() { // until it is refused
			piece := bytes.Repeat([]byte("x"), 64<<10)
			for n := c.sends; n > 0; n -= len(piece) {
				if _, err := conn.Write(piece[:min(n, len(piece))]); err != nil {
					return
				}
			}
		}()
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		for err == nil && resp.StatusCode == 100 {
			resp, err = http.ReadResponse(r, nil)
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		b, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 413 || string(b) != "no" || err != nil {
			t.Errorf("%s: %d %q %v", c.name, resp.StatusCode, b, err)
		}
		if rest, err := r.Peek(1); err == nil || !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: behind the answer %q %v", c.name, rest, err)
		}
		conn.Close()
	}
}
