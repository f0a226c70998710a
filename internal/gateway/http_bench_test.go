package gateway

import (
	"bufio"
	"context"
	"net"
	"testing"

	"moat/internal/http1"
	"moat/internal/wire"
)

// canned is a backend that answers every request without a body alike.
func canned(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nServer: canned\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 11\r\nX-Own: 1\r\n\r\n{\"ok\":true}")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) == 2 {
						if _, err := c.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// proxied gives a function that sends one request through an HTTP_PROXY integration.
func proxied(t testing.TB) func() {
	k := newKit(t)
	k.cfg.Record = func(wire.Record) {}
	k.publish(withHTTP(canned(t), nil))
	fields := []http1.Field{{Name: "User-Agent", Value: "bench"}, {Name: "Accept", Value: "*/*"}, {Name: "X-Own", Value: "1"}, {Name: "Connection", Value: "keep-alive"}, {Name: "Accept-Encoding", Value: "identity"}}
	ctx, cancel := context.WithCancel(context.Background()) // as a server's is
	t.Cleanup(cancel)
	request := &http1.Request{Method: "GET", Path: "/api/files/a/b", RawQuery: "x=1&y=2", Host: apiID + ".execute-api.localhost:4566", RemoteAddr: "203.0.113.7:5555", Fields: fields}
	s := http1.NewServer(http1.Config{Handler: func(w *http1.Response, r *http1.Request) {
		k.ServeHTTP1(ctx, w, request, apiID, "api", "/files/a/b")
	}})
	mine, theirs := net.Pipe()
	t.Cleanup(func() { mine.Close() })
	go s.ServeConn(theirs)
	buf := make([]byte, 64<<10)
	in := []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	return func() {
		if _, err := mine.Write(in); err != nil {
			t.Fatal(err)
		}
		for n := 0; ; {
			m, err := mine.Read(buf[n:])
			if err != nil {
				t.Fatal(err)
			}
			if n += m; n > 11 && string(buf[n-11:n]) == `{"ok":true}` {
				if string(buf[:12]) != "HTTP/1.1 200" {
					t.Fatalf("%s", buf[:n])
				}
				return
			}
		}
	}
}

func BenchmarkHTTP(b *testing.B) {
	send := proxied(b)
	send()
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}
