package gateway

import (
	"bufio"
	"bytes"
	"context"
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

	"moat/internal/http1"
)

// fronted serves a kit's API on a port of the engine that is under test.
func fronted(t *testing.T, k *kit) string {
	t.Helper()
	if !onHTTP1 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(r.Context())
			r.Body = &cutBody{ReadCloser: r.Body, conn: http.NewResponseController(w)}
			k.ServeAPI(w, r, apiID, "api", r.URL.EscapedPath())
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := http1.NewServer(http1.Config{Handler: func(w *http1.Response, r *http1.Request) {
		r.Own()
		k.ServeHTTP1(context.Background(), w, r, apiID, "api", r.Path)
	}})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Close)
	return l.Addr().String()
}

// cutBody is net/http's body as the server gives it to the gateway, without its clock.
type cutBody struct {
	io.ReadCloser
	conn *http.ResponseController
	mu   sync.Mutex
	cut  atomic.Bool
}

func (c *cutBody) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	return c.ReadCloser.Read(p)
}

func (c *cutBody) Interrupt() {
	c.cut.Store(true)
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
}

// bridged serves a kit's API over the bridge of the engine, as custom domain names are.
func bridged(t *testing.T, k *kit) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := http1.NewServer(http1.Config{Handler: http1.Bridge(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.ServeAPI(w, r, apiID, "api", r.URL.EscapedPath())
	}))})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Close)
	return l.Addr().String()
}

// fronts are the ways to a kit's API that the run is about.
func fronts(t *testing.T, k *kit) []string {
	if onHTTP1 {
		return []string{fronted(t, k), bridged(t, k)}
	}
	return []string{fronted(t, k)}
}

type uploadTest struct {
	*testing.T
	c net.Conn
	r *bufio.Reader
}

func sendTo(t *testing.T, addr, head string) *uploadTest {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	u := &uploadTest{t, c, bufio.NewReader(c)}
	u.send("POST /files/x HTTP/1.1\r\nHost: a\r\n" + head + "\r\n")
	return u
}

func (u *uploadTest) send(text string) {
	u.Helper()
	if _, err := io.WriteString(u.c, text); err != nil {
		u.Fatal(err)
	}
}

func (u *uploadTest) answer() (int, string) {
	u.Helper()
	resp, err := http.ReadResponse(u.r, &http.Request{Method: "POST"})
	if err != nil {
		u.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		u.Error(err)
	}
	return resp.StatusCode, string(b)
}

// A long body is passed on as it comes: nobody holds it, and a slow client takes nothing of the
// time that the integration has.
func TestUpload_Streams(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	arrived := make(chan int, 100)
	uri, _ := streamed(t, func(w http.ResponseWriter, r *http.Request) {
		total, buf := 0, make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			if total += n; n > 0 {
				arrived <- total
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
		fmt.Fprintf(w, "%d %d", total, r.ContentLength)
	})
	quick := Route{Path: "/files/{proxy+}", Method: "ANY", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", Method: "ANY", URI: uri, Timeout: 500 * time.Millisecond}}
	d := courses(uri)
	d.Routes = append(d.Routes, quick)
	k.publish(d)
	for _, addr := range fronts(t, k) {
		uploads(t, k, addr, arrived)
	}
}

func uploads(t *testing.T, k *kit, addr string, arrived <-chan int) {
	const size = 4 * smallBody
	piece := strings.Repeat("x", smallBody)
	for name, chunked := range map[string]bool{"a length": false, "chunks": true} {
		head, before, behind, end := fmt.Sprintf("Content-Length: %d\r\n", size), "", "", ""
		if chunked {
			head, before, behind, end = "Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n", smallBody), "\r\n", "0\r\n\r\n"
		}
		u := sendTo(t, addr, head)
		u.send(before + piece + behind)
		for n := 0; n < smallBody; {
			n = <-arrived // before the rest is sent
		}
		wait := make(chan struct{})
		time.AfterFunc(700*time.Millisecond, func() { close(wait) })
		<-wait
		k.room.mu.Lock()
		if n := k.room.taken; n != 0 {
			t.Errorf("%s: %d bytes are held", name, n)
		}
		k.room.mu.Unlock()
		for range 3 {
			u.send(before + piece + behind)
		}
		u.send(end)
		length := size
		if chunked {
			length = -1
		}
		if status, body := u.answer(); status != 200 || body != fmt.Sprint(size, " ", length) {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if r := k.last(); r.BytesIn != size {
			t.Errorf("%s: %d bytes in the record", name, r.BytesIn)
		}
		for len(arrived) > 0 {
			<-arrived
		}
		u.send("GET /open HTTP/1.1\r\nHost: a\r\n\r\n") // and the connection goes on
		if status, _ := u.answer(); status != 200 {
			t.Errorf("%s: then %d", name, status)
		}
	}
}

// streamed is upstream without a hand that reads the body first.
func streamed(t *testing.T, f http.HandlerFunc) (string, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL, s
}

func TestUpload_Ends(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	whole := make(chan bool, 1)
	uri, _ := streamed(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/early") {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, "no")
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		whole <- err == nil
		fmt.Fprint(w, n)
	})
	k.publish(withHTTP(uri, nil))
	for _, addr := range fronts(t, k) {
		uploadEnds(t, addr, whole)
	}
}

func uploadEnds(t *testing.T, addr string, whole <-chan bool) {
	many := strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20)), 11)

	u := sendTo(t, addr, "Transfer-Encoding: chunked\r\n")
	go func() { _, _ = io.WriteString(u.c, many) }()
	if status, body := u.answer(); status != 413 || body != "HTTP content length exceeded 10485760 bytes." {
		t.Errorf("more than 10 MB: %d %s", status, body)
	}
	if <-whole {
		t.Error("more than 10 MB: the upstream took the part for the whole")
	}

	u = sendTo(t, addr, "Content-Length: 1000000\r\n")
	u.send(strings.Repeat("x", 2*smallBody))
	u.c.Close()
	if <-whole {
		t.Error("a client that left: the upstream took the part for the whole")
	}

	u = sendTo(t, addr, "Transfer-Encoding: chunked\r\n")
	u.send(many[:len(many)/11] + "zz\r\n")
	if status, _ := u.answer(); status != 400 {
		t.Errorf("a broken chunk: %d", status)
	}
	if <-whole {
		t.Error("a broken chunk: the upstream took the part for the whole")
	}

	// An upstream that answers before it has read is passed on, and the connection ends.
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	early := &uploadTest{t, c, bufio.NewReader(c)}
	early.send("POST /files/early HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + strings.Repeat("x", 2*smallBody))
	if status, body := early.answer(); status != 409 || body != "no" {
		t.Errorf("early: %d %s", status, body)
	}
	early.send("GET /open HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, _ := io.ReadAll(early.r); bytes.Contains(b, []byte("HTTP/1.1")) {
		t.Errorf("what was meant as the body is answered: %q", b)
	}
}

// Uploads do not take all the connections that a target may have.
func TestUpload_LeavesConnections(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	uri, _ := upstream(t, nil)
	k.publish(withHTTP(uri, nil))
	addr := fronted(t, k)
	send := func() {
		u := sendTo(t, addr, fmt.Sprintf("Content-Length: %d\r\n", 2*smallBody))
		u.send(strings.Repeat("x", 2*smallBody))
		if status, _ := u.answer(); status != 200 {
			t.Errorf("got %d", status)
		}
	}
	send()
	var w *way
	for _, rt := range (*k.stages.Load())[stageKey{apiID, "api"}].routes {
		if p, ok := rt.serve.(*httpProxy); ok && p.way.Load() != nil {
			w = p.way.Load()
		}
	}
	if n := w.uploads.Load(); n != 0 {
		t.Fatalf("%d uploads are left", n)
	}
	w.uploads.Store(maxUploads)
	set := func(n int64) {
		k.room.mu.Lock()
		defer k.room.mu.Unlock()
		k.room.taken = n
	}
	set(maxRoomed - 2*smallBody)
	send() // held in memory now
	set(maxRoomed)
	u := sendTo(t, addr, fmt.Sprintf("Content-Length: %d\r\n", 2*smallBody))
	u.send(strings.Repeat("x", 2*smallBody))
	if status, body := u.answer(); status != 503 {
		t.Errorf("without room: %d %s", status, body)
	}
	if n := w.uploads.Load(); n != maxUploads {
		t.Errorf("%d uploads", n)
	}
}

// A streamed answer may take longer than the integration's timeout, as long as it comes.
func TestAnswer_IsNotCutByTheTimeout(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	uri, _ := streamed(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range 6 {
			fmt.Fprint(w, i)
			w.(http.Flusher).Flush()
			wait := make(chan struct{})
			time.AfterFunc(100*time.Millisecond, func() { close(wait) })
			<-wait
		}
		if strings.Contains(r.URL.RawQuery, "stall") {
			<-r.Context().Done()
		}
	})
	d := courses(uri)
	d.Routes = append(d.Routes, Route{Path: "/files/{proxy+}", Method: "ANY", AuthorizationType: "NONE", Integration: Integration{Type: "HTTP_PROXY", Method: "ANY", URI: uri, Timeout: 400 * time.Millisecond}})
	k.publish(d)
	addr := fronted(t, k)
	resp, err := http.Get("http://" + addr + "/files/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "012345" {
		t.Errorf("got %q %v", b, err)
	}
	resp, err = http.Get("http://" + addr + "/files/x?stall")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil || string(b) != "012345" {
		t.Errorf("one that stalls: got %q %v", b, err)
	}
}
