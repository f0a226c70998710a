package http1

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// identity makes a self-signed certificate for a name, valid until end.
func identity(t *testing.T, name string, end time.Time) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: end.Add(-2 * time.Hour), NotAfter: end, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, leaf
}

// playTLS is play over TLS: the other side of each connection, counted from 1.
func playTLS(t *testing.T, c *tls.Config, f func(n int, c *tls.Conn, r *bufio.Reader)) (addr string, conns *atomic.Int32) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	conns = new(atomic.Int32)
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(conns.Add(1))
			wait.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				f(n, c.(*tls.Conn), bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wait.Wait()
	})
	return l.Addr().String(), conns
}

func answering(_ int, c *tls.Conn, r *bufio.Reader) {
	for {
		if _, _, ok := readReq(r); !ok {
			return
		}
		_, _ = io.WriteString(c, fine)
	}
}

// clientTo returns a client that reaches addr under every name.
func clientTo(t *testing.T, addr string, c *tls.Config, change func(*ClientConfig)) *Client {
	cfg := ClientConfig{TLS: c, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	if change != nil {
		change(&cfg)
	}
	client := NewClient(cfg)
	t.Cleanup(client.CloseIdle)
	return client
}

// Who answers is verified, whatever a configuration says; each refusal stands beside what is let in.
func TestTLS_Verifies(t *testing.T) {
	t.Parallel()
	good, leaf := identity(t, "up.example", time.Now().Add(time.Hour))
	late, lateLeaf := identity(t, "up.example", time.Now().Add(-time.Minute))
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	roots.AddCert(lateLeaf)
	for name, tt := range map[string]struct {
		server *tls.Config
		roots  *x509.CertPool
		host   string
		ok     bool
	}{
		"TLS 1.3":              {&tls.Config{Certificates: []tls.Certificate{good}}, roots, "up.example", true},
		"TLS 1.2":              {&tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, roots, "up.example", true},
		"HTTP/1.1 by ALPN":     {&tls.Config{Certificates: []tls.Certificate{good}, NextProtos: []string{"h2", "http/1.1"}}, roots, "up.example", true},
		"TLS 1.1":              {&tls.Config{Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, roots, "up.example", false},
		"no HTTP/1.1 by ALPN":  {&tls.Config{Certificates: []tls.Certificate{good}, NextProtos: []string{"smtp"}}, roots, "up.example", false},
		"another name":         {&tls.Config{Certificates: []tls.Certificate{good}}, roots, "other.example", false},
		"an address":           {&tls.Config{Certificates: []tls.Certificate{good}}, roots, "192.0.2.1", false},
		"an unknown authority": {&tls.Config{Certificates: []tls.Certificate{good}}, x509.NewCertPool(), "up.example", false},
		"an old certificate":   {&tls.Config{Certificates: []tls.Certificate{late}}, roots, "up.example", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := new(atomic.Int32)
			addr, _ := playTLS(t, tt.server, func(_ int, c *tls.Conn, r *bufio.Reader) {
				for {
					if _, _, ok := readReq(r); !ok {
						return
					}
					if p := c.ConnectionState().NegotiatedProtocol; p != "" && p != "http/1.1" {
						t.Errorf("the protocol is %q", p)
					}
					asked.Add(1)
					_, _ = io.WriteString(c, fine)
				}
			})
			c := clientTo(t, addr, &tls.Config{RootCAs: tt.roots, InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS10}, nil)
			got, err := call(c.Pool("https", tt.host), &Call{})
			if (err == nil && got == "200 ok") != tt.ok || (asked.Load() > 0) != tt.ok {
				t.Errorf("got %q %v, asked %d times", got, err, asked.Load())
			}
		})
	}
}

// Sessions are resumed, and never with another certificate than they were made with.
func TestTLS_Sessions(t *testing.T) {
	t.Parallel()
	own, leaf := identity(t, "up.example", time.Now().Add(time.Hour))
	shown, _ := identity(t, "ApiGateway", time.Now().Add(time.Hour))
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		type seen struct {
			who     string
			resumed bool
		}
		all := make(chan seen, 20)
		addr, _ := playTLS(t, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequestClientCert, MaxVersion: version}, func(_ int, c *tls.Conn, r *bufio.Reader) {
			for {
				if _, _, ok := readReq(r); !ok {
					return
				}
				state, who := c.ConnectionState(), "nobody"
				if len(state.PeerCertificates) > 0 {
					who = state.PeerCertificates[0].Subject.CommonName
				}
				all <- seen{who, state.DidResume}
				_, _ = io.WriteString(c, fine)
			}
		})
		with := clientTo(t, addr, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{shown}}, nil)
		without := clientTo(t, addr, &tls.Config{RootCAs: roots}, nil)
		for i, step := range []struct {
			c    *Client
			want seen
		}{{with, seen{"ApiGateway", false}}, {without, seen{"nobody", false}}, {with, seen{"ApiGateway", true}}, {without, seen{"nobody", true}}} {
			if got, err := call(step.c.Pool("https", "up.example"), &Call{}); err != nil || got != "200 ok" {
				t.Fatal(got, err)
			}
			step.c.CloseIdle()
			if got := <-all; got != step.want {
				t.Errorf("%x, call %d: %+v, want %+v", version, i, got, step.want)
			}
		}
	}
}

// Over TLS a call is sent again under the same conditions, and connections are kept and dropped alike.
func TestTLS_Again(t *testing.T) {
	t.Parallel()
	own, leaf := identity(t, "up.example", time.Now().Add(time.Hour))
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for name, tt := range map[string]struct {
		method, part string
		notify       bool // the upstream says that it closes
		ok           bool
	}{
		"GET": {"GET", "", false, true}, "GET, said": {"GET", "", true, true}, "POST": {"POST", "", false, false}, "POST, said": {"POST", "", true, false},
		"touched": {"GET", "HTTP/1.1 2", true, false}, "a protocol error": {"GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			addr, conns := playTLS(t, &tls.Config{Certificates: []tls.Certificate{own}}, func(n int, c *tls.Conn, r *bufio.Reader) {
				for i := 0; ; i++ {
					if _, _, ok := readReq(r); !ok {
						return
					}
					if asked.Add(1); n == 1 && i == 1 {
						_, _ = io.WriteString(c, tt.part)
						if !tt.notify {
							_ = c.NetConn().Close()
						}
						return
					}
					_, _ = io.WriteString(c, fine)
				}
			})
			p := clientTo(t, addr, &tls.Config{RootCAs: roots}, nil).Pool("https", "up.example")
			if _, err := call(p, &Call{}); err != nil {
				t.Fatal(err)
			}
			if got, err := call(p, &Call{Method: tt.method}); (err == nil) != tt.ok {
				t.Errorf("got %q %v", got, err)
			}
			if want := map[bool]int32{true: 3, false: 2}[tt.ok]; asked.Load() != want {
				t.Errorf("asked %d times, want %d", asked.Load(), want)
			}
			if got, err := call(p, &Call{}); err != nil || got != "200 ok" || conns.Load() != 2 {
				t.Errorf("afterwards %q %v over %d connections", got, err, conns.Load())
			}
		})
	}
}

// A handshake has its own time; that a target does not end it counts against its health.
func TestTLS_HandshakeTime(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	defer close(hold)
	u, _, plain := play(t, func(_ int, c *net.TCPConn, r *bufio.Reader) { <-hold })
	client := clientTo(t, plain.address, nil, func(c *ClientConfig) { c.TLSTimeout = 20 * time.Millisecond })
	p := client.Pool("https", "up.example")
	for i := range failures + 1 {
		_, err := call(p, &Call{})
		switch {
		case i < failures && !errors.Is(err, ErrTimeout):
			t.Errorf("call %d: %v", i, err)
		case i == failures && !errors.Is(err, ErrUnavailable):
			t.Errorf("call %d: %v", i, err)
		}
	}
	if n := u.conns.Load(); n != failures {
		t.Errorf("%d connections", n)
	}
}

// An upstream that wants a certificate and is shown none is a failure, not an answer.
func TestTLS_WantsACertificate(t *testing.T) {
	t.Parallel()
	own, leaf := identity(t, "up.example", time.Now().Add(time.Hour))
	shown, shownLeaf := identity(t, "ApiGateway", time.Now().Add(time.Hour))
	roots, clients := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(leaf)
	clients.AddCert(shownLeaf)
	shownLeaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		addr, _ := playTLS(t, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MaxVersion: version}, answering)
		if got, err := call(clientTo(t, addr, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{shown}}, nil).Pool("https", "up.example"), &Call{}); err != nil || got != "200 ok" {
			t.Errorf("%x, with: %q %v", version, got, err)
		}
		if got, err := call(clientTo(t, addr, &tls.Config{RootCAs: roots}, nil).Pool("https", "up.example"), &Call{}); err == nil {
			t.Errorf("%x, without: %q", version, got)
		}
	}
}
