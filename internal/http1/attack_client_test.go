package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hostile is what an upstream does with the second request of a connection.
type hostile struct {
	name, first, second string
	method              string
	again               bool // may be asked once more
}

func hostiles() []hostile {
	const ok = "HTTP/1.1 200 OK\r\n"
	out := []hostile{
		{"closes without a byte", fine, "", "GET", true},
		{"closes without a byte, POST", fine, "", "POST", false},
		{"closes without a byte, PATCH", fine, "", "PATCH", false},
	}
	for name, text := range map[string]string{
		"an interim answer, then nothing":  "HTTP/1.1 100 Continue\r\n\r\n",
		"early hints, then nothing":        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
		"one byte":                         "H",
		"half a status line":               "HTTP/1.1 2",
		"half a head":                      ok + "Content-Le",
		"a head without its end":           ok + "Content-Length: 2\r\n",
		"no HTTP":                          "220 mail ESMTP\r\n",
		"a bare LF":                        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"both frames":                      ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":                      ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
		"switching":                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
		"interim without end":              strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 50),
		"a short body":                     ok + "Content-Length: 9\r\n\r\nok",
		"no last chunk":                    ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		"a broken chunk":                   ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
		"a chunk larger than announced":    ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n",
		"a trailer that is none":           ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n",
		"a folded field":                   ok + "A: b\r\n c\r\nContent-Length: 2\r\n\r\nok",
		"a status of 099":                  "HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
		"an interim answer with a length":  "HTTP/1.1 103 Hints\r\nContent-Length: 99\r\n\r\nHTTP/1.1",
		"a head that never ends":           ok + strings.Repeat("A: b\r\n", 400),
		"a value with a NUL":               ok + "A: \x00\r\nContent-Length: 2\r\n\r\nok",
		"a length with a blank before it":  ok + "Content-Length : 2\r\n\r\nok",
		"a coding that is not understood":  ok + "Transfer-Encoding: gzip\r\n\r\nok",
		"chunked twice":                    ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a length of more than 63 bits":    ok + "Content-Length: 9223372036854775808\r\n\r\nok",
		"chunked in HTTP/1.0":              "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"an answer of HTTP/2":              "HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
		"a head that begins with CR LF":    "\r\n" + fine,
		"a negative chunk":                 ok + "Transfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
		"an interim answer that is broken": "HTTP/1.1 100 Continue\n\n" + fine,
	} {
		for _, method := range []string{"GET", "POST"} {
			out = append(out, hostile{name + ", " + method, fine, text, method, false})
		}
	}
	return out
}

// A call of which an upstream has shown any byte of an answer is not sent again, nor one
// that is not idempotent; and the connection is not used again.
func TestAttack_Upstreams(t *testing.T) {
	t.Parallel()
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			u, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
				for i := 0; ; i++ {
					if _, _, ok := readReq(r); !ok {
						return
					}
					switch {
					case n == 1 && i == 0:
						_, _ = io.WriteString(c, h.first)
					case n == 1:
						asked.Add(1)
						_, _ = io.WriteString(c, h.second)
						linger(c)
						return
					default:
						asked.Add(1)
						_, _ = io.WriteString(c, fine)
					}
				}
			})
			if got, err := call(p, &Call{}); err != nil || got != "200 ok" {
				t.Fatal(got, err)
			}
			got, err := call(p, &Call{Method: h.method})
			if h.again != (err == nil && got == "200 ok" && asked.Load() == 2) {
				t.Errorf("got %q %v, asked %d times", got, err, asked.Load())
			}
			if !h.again && (err == nil || asked.Load() != 1) {
				t.Errorf("got %q %v, asked %d times", got, err, asked.Load())
			}
			if got, err := call(p, &Call{}); err != nil || got != "200 ok" || u.conns.Load() != 2 {
				t.Errorf("afterwards %q %v over %d connections", got, err, u.conns.Load())
			}
		})
	}
}

// Bytes behind an answer are never the next one's, however they are announced.
func TestAttack_BytesBehindAnAnswer(t *testing.T) {
	t.Parallel()
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, text := range map[string]string{
		"behind a length": fine, "behind chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"behind 204": "HTTP/1.1 204 No Content\r\n\r\n", "the body of 204": "HTTP/1.1 204 No Content\r\nContent-Length: 42\r\n\r\n", "the chunks of 204": "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
		"the body of 304": "HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n",
	} {
		for _, at := range []string{"with it", "a moment later"} {
			if at == "a moment later" && !strings.Contains(name, "of 204") {
				continue // for the others it is the look before the next call that tells (TestClient_UnaskedAnswer)
			}
			u, _, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
				for i := 0; ; i++ {
					if _, _, ok := readReq(r); !ok {
						return
					}
					switch {
					case n == 1 && i == 0 && at == "with it":
						_, _ = io.WriteString(c, text+evil)
					case n == 1 && i == 0:
						_, _ = io.WriteString(c, text)
					case n == 1:
						_, _ = io.WriteString(c, evil)
					default:
						_, _ = io.WriteString(c, fine)
					}
				}
			})
			if _, err := call(p, &Call{}); err != nil {
				t.Fatal(name, err)
			}
			if got, err := call(p, &Call{}); err != nil || got != "200 ok" || u.conns.Load() != 2 {
				t.Errorf("%s, %s: %q %v over %d connections", name, at, got, err, u.conns.Load())
			}
		}
	}
}

// Over TLS, too: a second answer in a record of its own waits where the socket does not show it.
func TestAttack_BytesBehindAnAnswerOverTLS(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.StartTLS() // for its certificate
	defer web.Close()
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var conns atomic.Int32
		roots := x509.NewCertPool()
		roots.AddCert(web.Certificate())
		client := NewClient(ClientConfig{TLS: &tls.Config{RootCAs: roots}, Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			n := conns.Add(1)
			both := &gathered{Conn: theirs}
			go func() {
				defer theirs.Close()
				c := tls.Server(both, &tls.Config{Certificates: web.TLS.Certificates, MinVersion: version, MaxVersion: version})
				r := bufio.NewReader(c)
				for {
					if _, _, ok := readReq(r); !ok {
						return
					}
					both.hold = true
					_, _ = io.WriteString(c, fine)
					if n == 1 {
						_, _ = io.WriteString(c, evil)
					}
					if both.release() != nil {
						return
					}
				}
			}()
			return ours, nil
		}})
		p := client.Pool("https", "example.com")
		for i := range 3 {
			if got, err := call(p, &Call{}); err != nil || got != "200 ok" {
				t.Errorf("%x, call %d: %q %v", version, i, got, err)
			}
		}
		if n := conns.Load(); n != 2 {
			t.Errorf("%x: %d connections", version, n)
		}
		client.CloseIdle()
	}
}

// gathered sends what is written while it holds in one piece.
type gathered struct {
	net.Conn
	hold bool
	kept []byte
}

func (g *gathered) Write(p []byte) (int, error) {
	if !g.hold {
		return g.Conn.Write(p)
	}
	g.kept = append(g.kept, p...)
	return len(p), nil
}

func (g *gathered) release() error {
	g.hold = false
	_, err := g.Conn.Write(g.kept)
	g.kept = nil
	return err
}

// The end of a context is never undone by a limit that is set behind it.
func TestAttack_Cancelled(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 8)
	hold := make(chan struct{})
	_, client, p := play(t, func(n int, c *net.TCPConn, r *bufio.Reader) {
		for i := 0; ; i++ {
			if _, _, ok := readReq(r); !ok {
				return
			}
			switch i {
			case 0:
				_, _ = io.WriteString(c, fine)
			default:
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
				asked <- struct{}{}
				<-hold
				return
			}
		}
	})
	client.cfg.BodyPause, client.cfg.HeaderTimeout = time.Hour, time.Hour
	t.Cleanup(func() { close(hold) })
	if _, err := call(p, &Call{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, err := p.Do(&Call{Method: "GET", Target: "/", Host: "a", Context: ctx})
	if err != nil {
		t.Fatal(err)
	}
	<-asked
	var b [2]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := r.Read(b[:]); n != 0 || !errors.Is(err, context.Canceled) {
		t.Error(n, err)
	}
	r.Close()
	if _, err := call(p, &Call{}); err != nil {
		t.Fatal(err)
	}
	for range 20 { // over a kept connection, whose upstream would never answer
		if _, err := p.Do(&Call{Method: "POST", Target: "/", Host: "a", Context: ctx}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// Close does not wait for an upstream that stalls inside the end of its chunks.
func TestAttack_StallsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{"\r\n", "\r\n0", "\r\n0\r\n", "\r\n0\r\nX: y\r\n", "\r\n5", "\r\n5\r\n"} {
		client := NewClient(ClientConfig{Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				_, _ = http.ReadRequest(bufio.NewReader(theirs))
				_, _ = fmt.Fprint(theirs, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok"+rest)
			}()
			return ours, nil
		}})
		r, err := client.Pool("http", "a").Do(&Call{Method: "GET", Target: "/", Host: "a"})
		if err != nil {
			t.Fatal(err)
		}
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil || string(b[:]) != "ok" {
			t.Error(err)
		}
		r.Close() // hangs for good where it waits
	}
}
