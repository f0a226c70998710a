package http1

import (
	"bufio"
	"context"
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

// upgrades are requests that ask for another protocol. Behind all but those for h2c alone, which
// common clients send in passing, nothing is read (research on WebSocket and h2c smuggling: a
// proxy in front may believe that a tunnel was opened, whatever was answered).
func upgrades() []vector {
	const h2c = "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
	const ws = "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	return []vector{
		{"h2c", get + h2c + "Upgrade: h2c\r\n\r\n", "200 200"},
		{"H2C", get + h2c + "upgrade: H2C\r\n\r\n", "200 200"},
		{"h2c with a body", post + h2c + "Upgrade: h2c\r\nContent-Length: 5\r\n\r\nhello", "200 200"},
		{"h2c without Connection", get + "Upgrade: h2c\r\n\r\n", "200 200"},
		{"h2c in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n" + h2c + "Upgrade: h2c\r\n\r\n", "200"},
		{"websocket", get + ws + "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n\r\n", "200"},
		{"websocket of a wrong version", get + ws + "Sec-WebSocket-Version: 1337\r\nUpgrade: websocket\r\n\r\n", "200"},
		{"websocket without Connection", get + "Upgrade: websocket\r\n\r\n", "200"},
		{"websocket with a body", post + ws + "Upgrade: websocket\r\nContent-Length: 5\r\n\r\nhello", "200"},
		{"one of two", get + h2c + "Upgrade: h2c, websocket\r\n\r\n", "200"},
		{"one after the other", get + h2c + "Upgrade: h2c\r\nUpgrade: websocket\r\n\r\n", "200"},
		{"the other way round", get + h2c + "Upgrade: websocket\r\nUpgrade: h2c\r\n\r\n", "200"},
		{"TLS", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n", "200"},
		{"nothing", get + "Connection: Upgrade\r\nUpgrade: \r\n\r\n", "200"},
		{"quoted", get + "Connection: Upgrade\r\nUpgrade: \"h2c\"\r\n\r\n", "200"},
	}
}

// No protocol is switched, no handler sees the wish, and what follows it is no request.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	for _, v := range upgrades() {
		for _, piece := range []int{0, 1, 1000} {
			seen, answers := reads(v.text+next, piece)
			if got := statuses(answers); got != v.want {
				t.Errorf("%s, in pieces of %d: %s, want %s", v.name, piece, got, v.want)
			}
			for _, m := range seen {
				if Get(m.fields, "upgrade")+Get(m.fields, "http2-settings") != "" || m.err != nil {
					t.Errorf("%s: the handler sees %+v", v.name, m)
				}
			}
			if one := v.want == "200"; one != strings.Contains(answers, "Connection: close\r\n") {
				t.Errorf("%s: %q", v.name, answers)
			}
		}
	}
}

// A shutdown loses no request of clients at work: each that was sent is answered, and each
// client learns from an answer that it was the last.
func TestServer_ShutdownUnderLoad(t *testing.T) {
	t.Parallel()
	const clients = 64
	s := start(t, Config{Now: time.Now, Handler: func(w *Response, r *Request) {
		b, _ := io.ReadAll(r.Body)
		w.Head(200, nil, -1)
		_, _ = w.Write(b)
	}})
	var sent, answered, told atomic.Int64
	var wait sync.WaitGroup
	running := make(chan struct{}, clients)
	for i := range clients {
		wait.Go(func() {
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			r := bufio.NewReader(c)
			for n := 0; ; n++ {
				body := fmt.Sprint(i, ".", n)
				sent.Add(1)
				if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
					t.Errorf("request %s: %v", body, err)
					return
				}
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Errorf("request %s has no answer: %v", body, err)
					return
				}
				b, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != 200 || string(b) != body {
					t.Errorf("request %s: %d %q %v", body, resp.StatusCode, b, err)
					return
				}
				answered.Add(1)
				if resp.Close {
					told.Add(1)
					return
				}
				if n == 3 {
					running <- struct{}{}
				}
				if i%4 == 0 {
					pass(time.Duration(i) * time.Millisecond) // not all ask at once
				}
			}
		})
	}
	for range clients {
		<-running
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	wait.Wait()
	if sent.Load() != answered.Load() || told.Load() != clients {
		t.Errorf("%d sent, %d answered, %d of %d clients were told", sent.Load(), answered.Load(), told.Load(), clients)
	}
}
