//go:build linux

package http1

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// Who closes its side along with a request is answered, and closed: at once when it is the first since the
// connection began, else when it would park.
func TestTurn_EndComesAlong(t *testing.T) {
	t.Parallel()
	entered, answer := make(chan struct{}), make(chan struct{})
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		if r.Target == "/held" {
			entered <- struct{}{}
			<-answer
		}
		hello(w, r)
	}})
	for before := range 4 {
		c := s.keep()
		for range before {
			c.greet(t)
		}
		// The two requests are there before the connection is read again, and so is the end.
		send(t, c, strings.Replace(get, "GET / ", "GET /held ", 1)+"\r\n")
		<-entered
		send(t, c, get+"\r\n")
		_ = c.CloseWrite()
		answer <- struct{}{}
		if got := answersOf(t, c.r, "GET", 2); len(got) != 2 {
			t.Fatalf("got %q", got)
		}
		until(t, "it is not closed", func() bool { s.pass(parkAfter); return s.Connections() == 0 })
		c.ended(t)
	}
}

// A buffer that was filled to its last byte is no sign that nothing has come behind it.
func TestTurn_FullBuffer(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		w.Head(200, nil, int64(len(r.Target)))
		_, _ = io.WriteString(w, r.Target)
	}})
	c := s.keep()
	c.greet(t)
	c.greet(t)
	for _, size := range []int{inSize - 1, inSize, inSize + 1, 2 * inSize, 2*inSize + 1} {
		var text strings.Builder
		n := 0
		for ; text.Len() < size-200; n++ {
			fmt.Fprintf(&text, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", n)
		}
		last := fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\nX: ", n)
		text.WriteString(last + strings.Repeat("x", size-text.Len()-len(last)-4) + "\r\n\r\n")
		if text.Len() != size {
			t.Fatal(text.Len())
		}
		for range 2 { // the second comes while the first is served, or behind it
			send(t, c, text.String())
		}
		got := answersOf(t, c.r, "GET", 2*(n+1))
		for i := range got {
			if want := fmt.Sprintf("200 /%d", i%(n+1)); got[i] != want {
				t.Fatalf("%d bytes: answer %d is %q, want %q", size, i, got[i], want)
			}
		}
	}
}

// Within a turn nothing can be read: what is not there yet is read behind it.
func TestTurn_RestComesLater(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		b, err := io.ReadAll(r.Body)
		w.Head(200, nil, -1)
		_, _ = fmt.Fprint(w, len(b), err)
	}})
	whole := post + "Content-Length: 4\r\n\r\nbody"
	chunked := post + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
	c := s.keep()
	for _, text := range []string{whole, chunked, post + "Content-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000), get + "\r\n"} {
		for _, cut := range []int{1, len(text) / 2, len(text) - 1, len(text)} {
			send(t, c, whole+text[:cut])
			first := answersOf(t, c.r, "POST", 1)
			send(t, c, text[cut:]+whole)
			if got := append(first, answersOf(t, c.r, "POST", 2)...); got[0] != "200 4 <nil>" || got[2] != got[0] || !strings.HasSuffix(got[1], " <nil>") {
				t.Fatalf("%.60q cut at %d: got %q", text, cut, got)
			}
		}
	}
}

// Close does not wait for handlers, and their clients learn of it at once.
func TestTurn_Close(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		entered <- struct{}{}
		<-leave
		hello(w, r)
	}})
	c := s.keep()
	send(t, c, get+"\r\n")
	<-entered
	s.Close()
	c.ended(t)
	if n := s.Connections(); n != 1 {
		t.Errorf("%d connections count while one is at work", n)
	}
	close(leave)
	until(t, "it still counts", func() bool { return s.Connections() == 0 })
}

// A refusal in a turn closes so that the client can read it.
func TestTurn_Refusal(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n", get + "\r\n" + get + "Connection: close\r\n\r\n" + get + "\r\n"} {
		c := s.keep()
		c.greet(t)
		send(t, c, text+strings.Repeat("x", 64<<10))
		_ = c.CloseWrite()
		b, err := io.ReadAll(c.r)
		if got := statuses(string(b)); err != nil || got != "200 400" && got != "200 200" {
			t.Errorf("got %q %v", got, err)
		}
	}
	until(t, "they still count", func() bool { return s.Connections() == 0 })
}
