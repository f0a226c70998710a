package server

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

// firstByteTimeout bounds how long a connection may stay silent before it has said
// whether it speaks TLS.
const firstByteTimeout = 30 * time.Second

// tlsHandshake is the first byte of a TLS record that opens a handshake (RFC 8446, section 5.1).
const tlsHandshake = 0x16

// dualListener gives net/http the connections that speak TLS. The first byte a client sends
// tells: the engine of the plain port looks at it and hands over what is not its own. Without
// that engine the listener sorts by itself, and gives net/http both.
// A silent client holds one goroutine and delays nobody.
type dualListener struct {
	net.Listener
	config *tls.Config
	at     *vpcEndpoint // nil: the main port
	shared bool         // the engine of the plain port accepts, and ends the port
	conns  chan net.Conn
	done   chan struct{}
	once   sync.Once
}

func newDualListener(l net.Listener, config *tls.Config) *dualListener {
	return &dualListener{Listener: l, config: config, conns: make(chan net.Conn), done: make(chan struct{})}
}

// run accepts until the listener is closed.
func (l *dualListener) run() error {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				continue
			}
			l.Close()
			return err
		}
		go l.sort(c)
	}
}

// sort reads the first byte of c and hands the connection on.
func (l *dualListener) sort(c net.Conn) {
	first := make([]byte, 1)
	if err := c.SetReadDeadline(time.Now().Add(firstByteTimeout)); err != nil {
		c.Close()
		return
	}
	if _, err := c.Read(first); err != nil {
		c.Close()
		return
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		c.Close()
		return
	}
	var out net.Conn = &prefixConn{Conn: c, prefix: first}
	if first[0] == tlsHandshake {
		out = tls.Server(out, l.config)
	}
	l.give(out)
}

// secure takes a connection that begins with a TLS handshake.
func (l *dualListener) secure(c net.Conn) { l.give(tls.Server(c, l.config)) }

func (l *dualListener) give(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		c.Close()
	}
}

func (l *dualListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends what Accept gives, and the port, when nobody else serves it.
func (l *dualListener) Close() error {
	l.once.Do(func() { close(l.done) })
	if l.shared {
		return nil
	}
	return l.Listener.Close()
}

// prefixConn gives back the byte that was read ahead, then reads on.
type prefixConn struct {
	net.Conn
	prefix []byte
}

func (c *prefixConn) Read(p []byte) (int, error) {
	if len(c.prefix) > 0 && len(p) > 0 {
		n := copy(p, c.prefix)
		c.prefix = c.prefix[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
