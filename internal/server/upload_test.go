package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"moat/internal/gateway"
)

const uploadAPI = "abcdefghij"
const uploadHost = uploadAPI + ".execute-api.us-east-1.localhost"

// uploading is a server with an API that hands bodies on to a backend.
func uploading(t *testing.T, backend http.HandlerFunc, change ...func(*Config)) *Server {
	t.Helper()
	up := httptest.NewServer(backend)
	t.Cleanup(up.Close)
	s := newTestServer(t, change...)
	publish(t, s, up.URL, 20*time.Second)
	return s
}

func publish(t *testing.T, s *Server, uri string, timeout time.Duration) {
	t.Helper()
	snap, err := gateway.Compile(gateway.Definition{APIID: uploadAPI, Account: s.cfg.Account, Region: s.cfg.Region, Stage: "api", Routes: []gateway.Route{
		{Path: "/{proxy+}", Method: "ANY", AuthorizationType: "NONE", Integration: gateway.Integration{Type: "HTTP_PROXY", Method: "ANY", URI: uri + "/{proxy}", Timeout: timeout}},
		{Path: "/closed", Method: "POST", AuthorizationType: "AWS_IAM", Integration: gateway.Integration{Type: "HTTP_PROXY", Method: "ANY", URI: uri}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.parts.gateway.Publish(snap)
}

// speakers are clients of each kind: plain HTTP/1.1, HTTP/1.1 over TLS, HTTP/2.
func speakers(t *testing.T, s *Server) map[string]*http.Client {
	t.Helper()
	out := map[string]*http.Client{}
	for name, h2 := range map[string]bool{"plain": false, "TLS": false, "HTTP/2": true} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2, ExpectContinueTimeout: 10 * time.Second, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Addr())
		}}
		t.Cleanup(tr.CloseIdleConnections)
		out[name] = &http.Client{Transport: tr}
	}
	return out
}

func uploadURL(kind, path string) string {
	scheme := "https://"
	if kind == "plain" {
		scheme = "http://"
	}
	return scheme + uploadHost + "/api" + path
}

// A long body is on its way to the backend before the client has ended it, over each port.
func TestUpload_Streams(t *testing.T) {
	t.Parallel()
	arrived := make(chan int, 1000)
	s := uploading(t, func(w http.ResponseWriter, r *http.Request) {
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
		fmt.Fprint(w, total, r.ContentLength)
	})
	const piece = 64 << 10
	for kind, client := range speakers(t, s) {
		for _, length := range []int64{4 * piece, -1} {
			body, in := io.Pipe()
			req, _ := http.NewRequest("POST", uploadURL(kind, "/x"), body)
			req.ContentLength = length
			go func() {
				_, _ = in.Write(make([]byte, piece))
				_, _ = in.Write(make([]byte, piece))
				for n := 0; n < piece; { // the rest comes when the first has arrived
					n = <-arrived
				}
				for range 2 {
					_, _ = in.Write(make([]byte, piece))
				}
				in.Close()
			}()
			for range 2 { // the connection goes on
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(kind, err)
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if want := fmt.Sprint(4*piece, length); resp.StatusCode != 200 || err != nil || string(b) != want && req.ContentLength != 1 {
					t.Errorf("%s, %d: %d %q %v, want %q", kind, length, resp.StatusCode, b, err, want)
				}
				req, _ = http.NewRequest("POST", uploadURL(kind, "/x"), strings.NewReader("x"))
			}
			for len(arrived) > 0 {
				<-arrived
			}
		}
	}
}

// What a slow backend does not take the client keeps: memory stays as it is.
func TestUpload_BackPressure(t *testing.T) {
	gone, stop := make(chan struct{}, 100), make(chan struct{})
	s := uploading(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 1))
		gone <- struct{}{}
		<-stop
	})
	defer close(stop)
	const many = 20
	for kind, client := range speakers(t, s) {
		before := heap()
		ctx, cancel := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		var sent atomic.Int64
		for range many {
			wait.Go(func() {
				req, _ := http.NewRequestWithContext(ctx, "POST", uploadURL(kind, "/x"), &counted{n: 9 << 20, sent: &sent})
				req.ContentLength = 9 << 20
				if resp, err := client.Do(req); err == nil {
					resp.Body.Close()
				}
			})
		}
		for range many {
			<-gone
		}
		for last := int64(-1); last != sent.Load(); { // until the client can send no more
			last = sent.Load()
			pause := make(chan struct{})
			time.AfterFunc(200*time.Millisecond, func() { close(pause) })
			<-pause
		}
		if grown := int64(heap()) - int64(before); grown > many<<20 {
			t.Errorf("%s: %d uploads take %d KiB", kind, many, grown>>10)
		}
		if n := sent.Load(); n >= many*9<<20 {
			t.Errorf("%s: all of it was taken", kind)
		}
		cancel()
		wait.Wait()
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// counted gives n bytes and counts them.
type counted struct {
	n    int64
	sent *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	if c.n == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), c.n)
	c.n -= n
	c.sent.Add(n)
	return int(n), nil
}

// How uploads end that do not end well, over each port.
func TestUpload_Ends(t *testing.T) {
	t.Parallel()
	whole, begun := make(chan error, 10), make(chan struct{}, 10)
	s := uploading(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/early"):
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, "no")
			return
		case strings.HasSuffix(r.URL.Path, "/dies"):
			_, _ = io.CopyN(io.Discard, r.Body, 100<<10)
			panic(http.ErrAbortHandler)
		case strings.HasSuffix(r.URL.Path, "/left"):
			begun <- struct{}{}
		}
		n, err := io.Copy(io.Discard, r.Body)
		whole <- err
		fmt.Fprint(w, n)
	})
	for kind, client := range speakers(t, s) {
		ask := func(ctx context.Context, path string, length int64, body io.Reader, expect bool) (int, string, error) {
			req, _ := http.NewRequestWithContext(ctx, "POST", uploadURL(kind, path), body)
			req.ContentLength = length
			if expect {
				req.Header.Set("Expect", "100-continue")
			}
			resp, err := client.Do(req)
			if err != nil {
				return 0, "", err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			return resp.StatusCode, string(b), err
		}
		endless := func() io.Reader { return &counted{n: 1 << 40, sent: new(atomic.Int64)} }
		if status, body, err := ask(t.Context(), "/x", -1, io.LimitReader(endless(), 11<<20), false); status != 413 || err != nil || body != "HTTP content length exceeded 10485760 bytes." {
			t.Errorf("%s, more than 10 MB: %d %s %v", kind, status, body, err)
		}
		if err := <-whole; err == nil {
			t.Errorf("%s, more than 10 MB: the backend took the part for the whole", kind)
		}
		if status, body, err := ask(t.Context(), "/x", 10<<20, io.LimitReader(endless(), 10<<20), true); status != 200 || err != nil || body != "10485760" || <-whole != nil {
			t.Errorf("%s, 10 MB after 100 Continue: %d %s %v", kind, status, body, err)
		}
		var sent atomic.Int64
		if status, _, err := ask(t.Context(), "/closed", 1<<20, &counted{1 << 20, &sent}, true); status != 403 || err != nil || sent.Load() > 0 {
			t.Errorf("%s, refused before 100 Continue: %d %v, %d bytes were sent", kind, status, err, sent.Load())
		}
		if status, body, err := ask(t.Context(), "/early", 5<<20, io.LimitReader(endless(), 5<<20), false); status != 409 || err != nil || body != "no" {
			t.Errorf("%s, an early answer: %d %s %v", kind, status, body, err)
		}
		if status, _, err := ask(t.Context(), "/dies", 5<<20, io.LimitReader(endless(), 5<<20), false); status != 504 || err != nil {
			t.Errorf("%s, a backend that dies: %d %v", kind, status, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if _, _, err := ask(ctx, "/left", 5<<20, &cutOff{200 << 10, func() { <-begun; cancel() }}, false); err == nil {
			t.Errorf("%s, a client that leaves gets an answer", kind)
		}
		if err := <-whole; err == nil {
			t.Errorf("%s, a client that leaves: the backend took the part for the whole", kind)
		}
		if status, body, err := ask(t.Context(), "/x", 5, strings.NewReader("hello"), false); status != 200 || body != "5" || err != nil || <-whole != nil {
			t.Errorf("%s, afterwards: %d %s %v", kind, status, body, err)
		}
	}
}

// cutOff gives n bytes, then leaves.
type cutOff struct {
	n   int
	cut func()
}

func (c *cutOff) Read(p []byte) (int, error) {
	if c.n == 0 {
		c.cut()
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(p), c.n)
	c.n -= n
	return n, nil
}

// Over TLS an early answer is the last of its connection: what was meant as the body's rest is
// never read as a request.
func TestUpload_EarlyIsTheLast(t *testing.T) {
	t.Parallel()
	s := uploading(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.CopyN(io.Discard, r.Body, 80<<10)
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusConflict)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(io.Discard, r.Body)
	})
	for port, dial := range ports(t, s) {
		for framing, behind := range map[string]string{"Content-Length: 100000\r\n\r\n": "", "Transfer-Encoding: chunked\r\n\r\n15f90\r\n": "\r\n2710\r\n"} {
			c := dial()
			fmt.Fprintf(c, "POST /api/early HTTP/1.1\r\nHost: %s\r\n%s%s%s", uploadHost, framing, strings.Repeat("x", 90000), behind)
			r := bufio.NewReader(c)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != 409 {
				t.Fatalf("%s: %v %v", port, resp, err)
			}
			_, _ = io.WriteString(c, "GET /api/hidden HTTP/1.1\r\nHost: "+uploadHost+"\r\n\r\n") // it may be closed
			rest, _ := io.ReadAll(r)
			if strings.Contains(string(rest), "HTTP/1.1") {
				t.Errorf("%s, %q: the body is answered: %q", port, framing, rest)
			}
			c.Close()
		}
	}
}

// A body that does not come ends its request over TLS as over the plain port, and is answered.
func TestUpload_SlowBody(t *testing.T) {
	t.Parallel()
	s := uploading(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	c := ports(t, s)["TLS"]()
	defer c.Close()
	// A refusal does not wait for the body.
	began := time.Now()
	fmt.Fprintf(c, "POST /api/closed HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\nabc", uploadHost)
	b, err := io.ReadAll(c)
	if !strings.HasPrefix(string(b), "HTTP/1.1 403 ") || err != nil || time.Since(began) > unreadTime+5*time.Second {
		t.Errorf("after %v: %q %v", time.Since(began), b, err)
	}
}

// Requests that are under way when the server goes get their answers, over each port, and learn
// that they are the last.
func TestClose_InFlight(t *testing.T) {
	t.Parallel()
	const each = 5
	begun, release := make(chan struct{}, 3*each), make(chan struct{})
	s := uploading(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		begun <- struct{}{}
		<-release
		fmt.Fprint(w, n, err)
	})
	const size = 100 << 10
	var wait sync.WaitGroup
	for kind, client := range speakers(t, s) {
		for range each {
			wait.Go(func() {
				resp, err := client.Post(uploadURL(kind, "/x"), "text/plain", io.LimitReader(&counted{n: size, sent: new(atomic.Int64)}, size))
				if err != nil {
					t.Error(kind, err)
					return
				}
				defer resp.Body.Close()
				if b, err := io.ReadAll(resp.Body); err != nil || string(b) != fmt.Sprint(size, nil) || resp.ProtoMajor == 1 && !resp.Close {
					t.Errorf("%s: %d %q %v, the last: %v", kind, resp.StatusCode, b, err, resp.Close)
				}
			})
		}
	}
	for range 3 * each {
		<-begun
	}
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	time.AfterFunc(2*pauseAtWork, func() { close(release) })
	wait.Wait()
	<-closed
}
