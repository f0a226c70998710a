package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ports dials a server as each of its ports is reached: in plain HTTP and over TLS.
func ports(t *testing.T, s *Server) map[string]func() net.Conn {
	t.Helper()
	addr := s.listener.Addr().String()
	open := func(c net.Conn, err error) net.Conn {
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	return map[string]func() net.Conn{
		"plain": func() net.Conn { return open(net.Dial("tcp", addr)) },
		"TLS": func() net.Conn {
			return open(tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}))
		},
	}
}

// No protocol is switched and no tunnel is opened, whoever has read the request: what follows a
// wish for another protocol is not answered, but behind one for h2c.
func TestDoor_Protocols(t *testing.T) {
	t.Parallel()
	for engine, netHTTP := range map[string]bool{"own": false, "net/http": true} {
		s := newTestServer(t, func(c *Config) { c.NetHTTP = netHTTP })
		for port, dial := range ports(t, s) {
			for _, tt := range []struct {
				text, status string
				goesOn       bool
			}{
				{"GET /_moat/health HTTP/1.1\r\nHost: localhost\r\n", "200", true},
				{"GET /_moat/health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", "200", true},
				{"GET /_moat/health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "200", false},
				{"GET /_moat/health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n", "200", false},
				{"GET /api/x HTTP/1.1\r\nHost: none.execute-api.us-east-1.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", "403", false},
				{"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n", "501", false},
				{"CONNECT none.execute-api.us-east-1.localhost:80 HTTP/1.1\r\nHost: none.execute-api.us-east-1.localhost:80\r\n", "501", false},
			} {
				c := dial()
				if _, err := io.WriteString(c, tt.text+"\r\nGET /_moat/nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(c)
				got, n := string(b), 1
				if tt.goesOn {
					n = 2
				}
				if err != nil || strings.Count(got, "HTTP/1.1 ") != n || !strings.HasPrefix(got, "HTTP/1.1 "+tt.status) || strings.Contains(got, " 101 ") {
					t.Errorf("%s, %s: %q: got %q %v", engine, port, tt.text, got, err)
				}
				c.Close()
			}
		}
	}
}

// What our own engine does not take net/http does not take for it.
func TestDoor_Unfit(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	for port, dial := range ports(t, s) {
		for _, tt := range []struct{ line, fields, status string }{
			{"GET /_moat/health HTTP/1.1", "", "200"}, {"GET http://localhost/_moat/health HTTP/1.1", "", "200"}, {"OPTIONS * HTTP/1.1", "", "200"}, {"GET /_moat/health HTTP/1.1", strings.Repeat("a: b\r\n", 126), "200"},
			{"GET /_moat/health HTTP/1.2", "", "505"}, {"GET /_moat/health#x HTTP/1.1", "", "400"}, {"GET /_moat/health?\xe9 HTTP/1.1", "", "400"}, {"GET * HTTP/1.1", "", "400"}, {"GET localhost:80 HTTP/1.1", "", "400"},
			{"GET ftp://localhost/_moat/health HTTP/1.1", "", "400"}, {"GET /_moat/health?" + strings.Repeat("x", maxTarget) + " HTTP/1.1", "", "414"}, {"GET /_moat/health HTTP/1.1", strings.Repeat("a: b\r\n", 127), "431"},
		} {
			c := dial()
			_, _ = io.WriteString(c, tt.line+"\r\nHost: localhost\r\n"+tt.fields+"Connection: close\r\n\r\n")
			if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 "+tt.status+" ") {
				t.Errorf("%s: %.60s, %d fields: %.60q %v", port, tt.line, strings.Count(tt.fields, "\n"), b, err)
			}
			c.Close()
		}
	}
}

// Whoever comes when too many requests run is sent away for a moment, over TLS too.
func TestDoor_Overload(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	c := ports(t, s)["TLS"]()
	defer c.Close()
	r := bufio.NewReader(c)
	for _, step := range []struct {
		running int64
		status  int
		after   string
	}{{maxRunning - 1, 200, ""}, {maxRunning, 503, "1"}, {0, 200, ""}} {
		s.atDoor.Add(step.running)
		if _, err := io.WriteString(c, "GET /_moat/health HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != step.status || resp.Header.Get("Retry-After") != step.after {
			t.Errorf("with %d: %d %v %v", step.running, resp.StatusCode, resp.Header, err)
		}
		s.atDoor.Add(-step.running)
	}
	if n := s.atDoor.Load(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// A connection over TLS ends with the first answer behind its lifetime, in HTTP/2 too.
func TestDoor_Lifetime(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64
	s := newTestServer(t, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) } })
	var dialed atomic.Int32
	for _, h2 := range []bool{false, true} {
		dialed.Store(0)
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			dialed.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, s.listener.Addr().String())
		}}
		ask := func(want int32) {
			t.Helper()
			req, _ := http.NewRequest("GET", "https://localhost/_moat/health", nil)
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if (resp.ProtoMajor == 2) != h2 || dialed.Load() != want {
				t.Errorf("HTTP/2 %v: %s over connection %d, want %d", h2, resp.Proto, dialed.Load(), want)
			}
		}
		ask(1)
		ask(1)
		passed.Add(int64(lifetime + time.Second))
		ask(1)  // the last
		if h2 { // the word that it was comes in a frame of its own
			for end := time.Now().Add(10 * time.Second); dialed.Load() == 1 && time.Now().Before(end); {
				req, _ := http.NewRequest("GET", "https://localhost/_moat/health", nil)
				if resp, err := transport.RoundTrip(req); err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		}
		ask(2)
		transport.CloseIdleConnections()
	}
}

// A server that goes answers every request of many clients at work, on each of its ports.
func TestClose_UnderLoad(t *testing.T) {
	t.Parallel()
	for _, port := range []string{"plain", "TLS"} {
		t.Run(port, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t)
			dial := ports(t, s)[port]
			closeUnder(t, s, func(i int, begun func()) {
				c := dial()
				defer c.Close()
				r := bufio.NewReader(c)
				for n := 0; ; n++ {
					path, host := "/_moat/health", "localhost"
					if n%2 == 1 {
						path, host = "/api/x", "none.execute-api.us-east-1.localhost"
					}
					if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host); err != nil {
						t.Errorf("client %d, request %d: %v", i, n, err)
						return
					}
					resp, err := http.ReadResponse(r, nil)
					if err != nil {
						t.Errorf("client %d, request %d: %v", i, n, err)
						return
					}
					if b, err := io.ReadAll(resp.Body); err != nil || len(b) == 0 {
						t.Errorf("client %d, request %d: %q %v", i, n, b, err)
						return
					}
					if resp.Close {
						return
					}
					if n == 3 {
						begun()
					}
				}
			})
		})
	}
}

// closeUnder ends a server while clients ask, until they are told to stop.
func closeUnder(t *testing.T, s *Server, client func(i int, begun func())) {
	const clients = 40
	var wait sync.WaitGroup
	running := make(chan struct{}, clients)
	for i := range clients {
		wait.Go(func() { client(i, func() { running <- struct{}{} }) })
	}
	for range clients {
		<-running
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	wait.Wait()
}

// Over HTTP/2 a client learns by GOAWAY that it has to go: none of its requests is lost.
func TestClose_HTTP2(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	closeUnder(t, s, func(i int, begun func()) {
		dialed := 0
		var refused error
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			if dialed++; dialed > 1 {
				refused = io.EOF // the first connection is over: there is no other
				return nil, refused
			}
			return (&net.Dialer{}).DialContext(ctx, network, s.Addr())
		}}
		defer tr.CloseIdleConnections()
		for n := 0; ; n++ {
			req, _ := http.NewRequest("POST", "https://localhost/_moat/health", io.MultiReader(strings.NewReader("x"))) // nothing that could be sent again
			resp, err := tr.RoundTrip(req)
			if err != nil {
				if refused == nil {
					t.Errorf("client %d, request %d: %v", i, n, err)
				}
				return
			}
			if b, err := io.ReadAll(resp.Body); err != nil || len(b) == 0 {
				t.Errorf("client %d, request %d: %d %q %v", i, n, resp.StatusCode, b, err)
			}
			resp.Body.Close()
			if n == 3 {
				begun()
			}
		}
	})
}
