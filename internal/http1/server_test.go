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
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answersOf reads n answers off a connection.
func answersOf(t *testing.T, r *bufio.Reader, method string, n int) (out []string) {
	t.Helper()
	for range n {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint(resp.StatusCode, " ", string(b)))
	}
	return out
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func TestServer_Pipelining(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		b, _ := io.ReadAll(r.Body)
		w.Head(200, nil, -1)
		_, _ = io.WriteString(w, r.Target+string(b))
	}})
	c := s.dial()
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", i)
	}
	go func() { _, _ = io.WriteString(c, text.String()) }()
	for i, got := range answersOf(t, bufio.NewReader(c), "POST", 200) {
		if want := fmt.Sprintf("200 /%dbody", i); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestServer_BodylessAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		status := 200
		_, _ = fmt.Sscanf(r.Path, "/%d", &status)
		w.Head(103, []Field{{"Link", "</x>"}}, 0)
		w.Head(101, nil, 0) // never sent
		w.Head(status, nil, 5)
		_, _ = io.WriteString(w, "hello")
	}})
	got := s.ask("HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\nGET /204 HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\n\r\nGET /200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if strings.Count(got, "hello") != 1 || statuses(got) != "103 200 103 204 103 304 103 200" || !strings.HasSuffix(got, "hello") {
		t.Errorf("got %q", got)
	}
	for part := range strings.SplitSeq(got, "\r\n\r\n") {
		if (strings.Contains(part, " 204 ") || strings.Contains(part, " 304 ")) && strings.Contains(part, "Content-Length") {
			t.Errorf("a length of nothing: %q", part)
		}
	}
}

func TestServer_OldClients(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		length := int64(-1)
		if r.Path == "/known" {
			length = 5
		}
		w.Head(200, nil, length)
		_, _ = io.WriteString(w, "hello")
	}})
	got := s.ask("GET /known HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /never HTTP/1.0\r\n\r\n")
	if statuses(got) != "200 200" || strings.Contains(got, "chunked") || !strings.Contains(got, "Connection: keep-alive\r\n") || !strings.HasSuffix(got, "Connection: close\r\n\r\nhello") {
		t.Errorf("got %q", got)
	}
	if got := s.ask("GET /known HTTP/1.0\r\n\r\n" + next); statuses(got) != "200" {
		t.Errorf("without keep-alive: %q", got)
	}
}

func TestServer_Expect(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		if r.Path == "/no" {
			w.Head(403, nil, 0)
			return
		}
		b, err := io.ReadAll(r.Body)
		w.Head(200, nil, -1)
		_, _ = fmt.Fprint(w, string(b), err)
	}})
	c := s.dial()
	r := bufio.NewReader(c)
	send(t, c, post+"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if line, _ := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", line)
	}
	_, _ = r.ReadString('\n')
	send(t, c, "hello")
	if got := answersOf(t, r, "POST", 1); got[0] != "200 hello<nil>" {
		t.Errorf("got %q", got)
	}
	// Whoever is refused is not asked for the body, and whatever comes is no request.
	got := s.ask("POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n" + next)
	if statuses(got) != "403" || !strings.Contains(got, "Connection: close") {
		t.Errorf("got %q", got)
	}
	// A body in the first packet needs no word.
	if got := s.ask("POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nok"); statuses(got) != "200" {
		t.Errorf("1.0: got %q", got)
	}
}

func TestServer_UnreadBody(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	small := post + "Content-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000)
	chunks := post + "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + strings.Repeat("x", 1000) + "\r\n0\r\n\r\n"
	if got := s.ask(small + chunks + get + "Connection: close\r\n\r\n"); statuses(got) != "200 200 200" {
		t.Errorf("small: %q", got)
	}
	// A client that is not told would send its next request into a connection that closes.
	if got := s.ask(post + "Content-Length: 100000000\r\n\r\n" + strings.Repeat("x", 400<<10)); statuses(got) != "200" || !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("large: %q", got)
	}
	if got := s.ask(small + get + "Connection: close\r\n\r\n"); statuses(got) != "200 200" || strings.Count(got, "Connection: close\r\n") != 1 {
		t.Errorf("small, kept: %q", got)
	}
}

func TestServer_LargeHeadThenBody(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Head(200, nil, -1)
		_, _ = fmt.Fprint(w, len(r.Get("x")), " ", len(b), " ", r.Target)
	}})
	var text, want strings.Builder
	for i, size := range []int{10, inSize - 60, inSize - 40, inSize, 3 * inSize, 60 << 10, 5} {
		fmt.Fprintf(&text, "POST /%d HTTP/1.1\r\nHost: a\r\nX: %s\r\nTransfer-Encoding: chunked\r\n\r\n", i, strings.Repeat("y", size))
		for range 20 {
			fmt.Fprintf(&text, "400\r\n%s\r\n", strings.Repeat("z", 1024))
		}
		text.WriteString("0\r\n\r\n")
		fmt.Fprintf(&want, "200 %d %d /%d;", size, 20<<10, i)
	}
	c := s.dial()
	go func() { _, _ = io.WriteString(c, text.String()) }()
	if got := strings.Join(answersOf(t, bufio.NewReader(c), "POST", 7), ";") + ";"; got != want.String() {
		t.Errorf("got  %s\nwant %s", got, want.String())
	}
}

func TestServer_Streams(t *testing.T) {
	t.Parallel()
	go1 := make(chan struct{})
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		w.Head(200, nil, -1)
		_, _ = io.WriteString(w, "one")
		w.Flush()
		<-go1
		_, _ = w.Write(bytes.Repeat([]byte("x"), 100<<10))
	}})
	c := s.dial()
	send(t, c, get+"\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 3)
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "one" {
		t.Fatal(string(b), err)
	}
	close(go1)
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 100<<10 {
		t.Error(len(rest), err)
	}
}

func TestServer_SplitAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		w.Head(200, []Field{{"X", "a\r\nSet-Cookie: b"}, {"Y\r\nZ", "c"}, {"Content-Length", "99"}, {"Transfer-Encoding", "gzip"}, {"Trailer", "x"}}, 2)
		_, _ = io.WriteString(w, "ok")
		if _, err := io.WriteString(w, "more"); err == nil {
			t.Error("more than the length was taken")
		}
	}})
	got := s.ask(get + "Connection: close\r\n\r\n")
	if strings.Contains(got, "\r\nSet-Cookie") || strings.Contains(got, "Z: c") || strings.Contains(got, "gzip") || strings.Contains(got, "99") || strings.Contains(got, "more") {
		t.Errorf("got %q", got)
	}
}

func TestServer_BrokenAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		switch r.Path {
		case "/panic":
			panic("oh")
		case "/late":
			w.Head(200, nil, -1)
			_, _ = io.WriteString(w, "some")
			w.Flush()
			panic("oh")
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/short":
			w.Head(200, nil, 50)
			_, _ = io.WriteString(w, "some")
		}
	}})
	for path, want := range map[string]string{"/panic": "500", "/nothing": "500", "/late": "200", "/short": "200", "/abort": ""} {
		c := s.dial()
		send(t, c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"+next)
		b, _ := io.ReadAll(c)
		if statuses(string(b)) != want || strings.HasSuffix(string(b), "0\r\n\r\n") {
			t.Errorf("%s: %q", path, b)
		}
	}
}

func TestServer_HalfClose(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello})
	c := s.dial()
	send(t, c, get+"\r\n")
	_ = c.CloseWrite()
	if b, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(b), "hello") {
		t.Errorf("got %q %v", b, err)
	}
}

// until waits for something that other goroutines bring about.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); {
		if time.Now().After(end) {
			t.Fatal(what)
		}
		c := make(chan struct{})
		time.AfterFunc(time.Millisecond, func() { close(c) })
		<-c
	}
}

// busy counts the connections that do not wait.
func (s *server) busy() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.state.Load() == stateBusy {
			n++
		}
	}
	return n
}

// reading counts the connections whose time for a head has begun.
func (s *server) reading() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.state.Load() == stateBusy && c.watch.at.Load() == s.clock.now.Load()+int64(s.cfg.HeadTimeout) {
			n++
		}
	}
	return n
}

func TestServer_SlowClients(t *testing.T) {
	t.Parallel()
	var bodies atomic.Int32
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		if r.Length != 0 {
			bodies.Add(1)
		}
		_, err := io.ReadAll(r.Body)
		if errors.Is(err, ErrTimeout) {
			w.Head(408, nil, 0)
			return
		}
		w.Head(200, nil, 0)
	}})
	silent, headless, slow, idle := s.dial(), s.dial(), s.dial(), s.dial()
	send(t, headless, "GET / HTTP/1.1\r\nHos")
	send(t, slow, post+"Content-Length: 10\r\n\r\nabc")
	send(t, idle, get+"\r\n")
	idler := bufio.NewReader(idle)
	answersOf(t, idler, "GET", 1)
	until(t, "the requests did not begin", func() bool { return s.busy() == 2 && s.reading() == 1 && bodies.Load() == 1 })
	s.pass(9 * time.Second)
	if n := s.Connections(); n != 4 {
		t.Fatalf("%d connections are left too early", n)
	}
	s.pass(2 * time.Second)
	if b, _ := io.ReadAll(headless); statuses(string(b)) != "408" {
		t.Errorf("half a head: %q", b)
	}
	s.pass(20 * time.Second)
	if b, _ := io.ReadAll(slow); statuses(string(b)) != "408" {
		t.Errorf("half a body: %q", b)
	}
	if b, _ := io.ReadAll(silent); len(b) != 0 {
		t.Errorf("silence: %q", b)
	}
	send(t, idle, get+"\r\n")
	answersOf(t, idler, "GET", 1)
	until(t, "the connection is not idle", func() bool { return s.busy() == 0 })
	s.pass(3 * time.Minute)
	if b, err := io.ReadAll(idler); len(b) != 0 || err != nil {
		t.Errorf("idle: %q %v", b, err)
	}
	until(t, "connections are left", func() bool { return s.Connections() == 0 })
}

// A client that reads nothing is not waited for.
func TestServer_SlowReader(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		w.Head(200, nil, -1)
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				failed <- err
				return
			}
		}
	}})
	c := s.dial()
	_ = c.SetReadBuffer(1024)
	send(t, c, get+"\r\n")
	for {
		select {
		case err := <-failed:
			if !errors.Is(err, ErrTimeout) {
				t.Error(err)
			}
			return
		case <-time.After(time.Millisecond):
			s.pass(time.Second)
		}
	}
}

func TestServer_Lifetime(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Handler: hello, IdleTimeout: 100 * time.Hour})
	c := s.dial()
	r := bufio.NewReader(c)
	send(t, c, get+"\r\n")
	answersOf(t, r, "GET", 1)
	until(t, "the connection is not idle", func() bool { return s.busy() == 0 })
	s.pass(2 * time.Hour)
	send(t, c, get+"\r\n")
	if b, err := io.ReadAll(r); err != nil || !strings.Contains(string(b), "Connection: close") {
		t.Errorf("got %q %v", b, err)
	}
}

func TestServer_Overload(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := start(t, Config{MaxConns: 3, MaxRunning: 1, Handler: func(w *Response, r *Request) {
		if r.Path == "/hold" {
			<-hold
		}
		hello(w, r)
	}})
	first, second, third := s.dial(), s.dial(), s.dial()
	send(t, first, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
	until(t, "it does not run", func() bool { return s.running.Load() == 1 })
	r := bufio.NewReader(second)
	send(t, second, get+"\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Close {
		t.Fatal(resp, err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	until(t, "three are not there", func() bool { return s.Connections() == 3 })
	fourth := s.dial()
	if b, _ := io.ReadAll(fourth); statuses(string(b)) != "503" || !strings.Contains(string(b), "Retry-After: 1\r\n") {
		t.Errorf("the fourth: %q", b)
	}
	close(hold)
	answersOf(t, bufio.NewReader(first), "GET", 1)
	until(t, "it runs on", func() bool { return s.running.Load() == 0 })
	send(t, second, get+"\r\n")
	answersOf(t, r, "GET", 1)
	third.Close()
	until(t, "it is not forgotten", func() bool { return s.Connections() == 2 })
	send(t, s.dial(), get+"\r\n")
}

// from is a connection that says another address.
type from struct {
	net.Conn
	addr netip.Addr
}

func (f from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.AddrPortFrom(f.addr, 1)) }

func TestServer_PerAddress(t *testing.T) {
	t.Parallel()
	s := NewServer(Config{MaxPerAddress: 2, Handler: hello})
	defer s.Close()
	refused := func(addr string) bool {
		mine, theirs := net.Pipe()
		t.Cleanup(func() { mine.Close() })
		got := make(chan bool, 1)
		go func() {
			b := make([]byte, 12)
			_ = mine.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			_, err := io.ReadFull(mine, b)
			got <- err == nil && string(b) == "HTTP/1.1 503"
		}()
		s.accept(from{theirs, netip.MustParseAddr(addr)})
		return <-got
	}
	for _, c := range []struct {
		addr string
		want bool
	}{{"192.0.2.1", false}, {"192.0.2.1", false}, {"192.0.2.1", true}, {"192.0.2.2", false}, {"2001:db8::1", false}, {"2001:db8::2", false}, {"2001:db8::3", true}, {"2001:db8:0:1::3", false},
		{"127.0.0.1", false}, {"127.0.0.1", false}, {"127.0.0.1", false}} {
		if got := refused(c.addr); got != c.want {
			t.Errorf("%s: refused %v, want %v", c.addr, got, c.want)
		}
	}
}

// A shutdown answers what runs and what was sent, and closes what waits.
func TestServer_Shutdown(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		if r.Path == "/hold" {
			<-hold
			if b, err := io.ReadAll(r.Body); err != nil || string(b) != "hello" {
				t.Errorf("the body: %q %v", b, err)
			}
		}
		hello(w, r)
	}})
	running, idle, fresh := s.dial(), s.dial(), s.dial()
	send(t, running, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
	send(t, idle, get+"\r\n")
	r := bufio.NewReader(idle)
	answersOf(t, r, "GET", 1)
	until(t, "it does not run", func() bool { return s.running.Load() == 1 && s.Connections() == 3 })
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	if b, err := io.ReadAll(r); err != nil || len(b) != 0 {
		t.Errorf("idle: %q %v", b, err)
	}
	send(t, fresh, get+"\r\n") // connected before, asks in the last moment
	if b, err := io.ReadAll(fresh); err != nil || statuses(string(b)) != "200" || !strings.Contains(string(b), "Connection: close") {
		t.Errorf("fresh: %q %v", b, err)
	}
	send(t, running, "hello")
	close(hold)
	if b, err := io.ReadAll(running); err != nil || statuses(string(b)) != "200" || !strings.Contains(string(b), "Connection: close") {
		t.Errorf("running: %q %v", b, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.addr); err == nil {
		t.Error("still listening")
	}
}

func TestServer_ShutdownGivesUp(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := start(t, Config{Handler: func(*Response, *Request) { <-hold }})
	defer close(hold)
	send(t, s.dial(), get+"\r\n")
	until(t, "it does not run", func() bool { return s.running.Load() == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); err != context.Canceled {
		t.Error(err)
	}
}

func TestServer_HandsTLSOver(t *testing.T) {
	t.Parallel()
	got := make(chan net.Conn, 1)
	s := start(t, Config{Handler: hello, TLS: func(c net.Conn) { got <- c }})
	c := s.dial()
	send(t, c, "\x16\x03\x01rest")
	h := <-got
	b := make([]byte, 7)
	if _, err := io.ReadFull(h, b); err != nil || string(b) != "\x16\x03\x01rest" {
		t.Errorf("got %q %v", b, err)
	}
	if s.Connections() != 1 {
		t.Error("it does not count any more")
	}
	h.Close()
	h.Close()
	if s.Connections() != 0 {
		t.Error("it still counts")
	}
}

func TestServer_Gone(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	s := start(t, Config{Now: time.Now, Handler: Bridge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	}))})
	c := s.dial()
	send(t, c, get+"\r\n")
	until(t, "it does not run", func() bool { return s.running.Load() == 1 })
	c.Close()
	<-ended
}

// Nothing is allocated between two requests of a connection, nor for one.
func TestAllocs_Server(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools forget")
	}
	s := start(t, Config{Handler: func(w *Response, r *Request) {
		if r.Get("authorization") == "" {
			t.Error("no token")
		}
		hello(w, r)
	}})
	c := s.dial()
	text := []byte(get + "Authorization: Bearer " + strings.Repeat("x", 1000) + "\r\nAccept: */*\r\nUser-Agent: test\r\n\r\n")
	buf := make([]byte, 4096)
	ask := func() {
		if _, err := c.Write(text); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(buf); err != nil || !bytes.HasSuffix(buf[:n], []byte("hello")) {
			t.Fatal(err)
		}
	}
	for range 100 {
		ask()
	}
	if n := testing.AllocsPerRun(500, ask); n > 0 {
		t.Errorf("%v allocations per request", n)
	}
}
