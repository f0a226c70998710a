//go:build unix

package http1

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// await waits until there is something to read and reads it into pooled memory: while the
// connection waits, it holds none.
func (c *conn) await() error {
	if c.raw == nil {
		return c.awaitAny()
	}
	c.err, c.looked = nil, false
	if c.try == nil {
		c.try = c.tryRead
	}
	if err := c.raw.Read(c.try); err != nil {
		return err
	}
	return c.err
}

// tryRead is a turn at the socket: it reads what is there, and false waits for more. A request that
// is there to its end is served within the turn. The poller notes from there on what comes, so when
// the answer is given, nothing needs to be read to find that nothing has come.
func (c *conn) tryRead(fd uintptr) bool {
	for {
		w := c.acquire()
		n, err := readAgain(fd, w.in)
		if n <= 0 {
			c.srv.pool.Put(w)
			if err == syscall.EAGAIN {
				return false
			}
			if c.err = err; err == nil {
				c.err = io.EOF
			}
			return true
		}
		w.stream.w = n
		c.w = w
		full := n == len(w.in)
		if !c.serveTurn(fd) {
			if c.w != nil {
				c.w.socket.turn = false
			}
			return true
		}
		// What came along with what was read is not told of: more than the buffer held, or the end of
		// the client's side. Who ends along with a request that is not the first since it began or
		// parked is closed when it would park.
		if c.looked && !full {
			return false
		}
		c.looked = true
	}
}

// serveTurn serves the requests that were read, as long as they are whole: in a turn nothing more can be
// read from the socket. It reports whether the connection waits again; else its goroutine goes on with it.
func (c *conn) serveTurn(fd uintptr) bool {
	if !c.direct || c.bound || !c.whole() || !c.state.CompareAndSwap(stateIdle, stateBusy) {
		return false
	}
	c.w.socket.turn, c.w.socket.fd = true, fd
	for {
		if !c.watch.set(0) {
			return false
		}
		s := &c.w.stream
		s.r += c.w.head
		s.base = s.r
		if !c.reply(nil, nil) {
			c.ended = true
			return false
		}
		if !c.served.Load() {
			c.served.Store(true)
		}
		if s.buffered() == 0 {
			break
		}
		if !c.whole() {
			return false
		}
	}
	c.release()
	if !c.watch.set(c.srv.clock.now.Load() + c.patience()) {
		c.ended = true
		return false
	}
	c.state.CompareAndSwap(stateBusy, stateIdle)
	return true
}

// whole reports whether what is buffered begins with a request that is whole and that nothing is said against.
func (c *conn) whole() bool {
	w := c.w
	s := &w.stream
	w.req = Request{Fields: w.fields[:0], RemoteAddr: c.remote, Remote: c.addr, Body: &w.body}
	n, bad := parseRequest(s.buf[s.r:s.w], &c.srv.cfg.Limits, &w.req)
	w.fields, w.head = w.req.Fields, n
	return bad == nil && n > 0 && !w.req.expect && w.req.Length >= 0 && w.req.Length <= int64(s.buffered()-n)
}

// glance reads what is there and does not wait.
func (c *conn) glance() error {
	if c.raw == nil {
		return io.EOF
	}
	c.err = nil
	if err := c.raw.Read(func(fd uintptr) bool {
		if !c.tryRead(fd) {
			c.err = syscall.EAGAIN
		}
		return true
	}); err != nil {
		return err
	}
	return c.err
}

// left reports whether the client has closed its side of the connection or all of it.
func (c *conn) left() bool {
	if c.raw == nil {
		return false
	}
	n, err := c.peek()
	return n == 0 && (err == nil || errors.Is(err, net.ErrClosed) || err == syscall.ECONNRESET || err == syscall.EPIPE)
}

// waiting reports whether the client has sent something that was not read yet.
func (c *conn) waiting() bool {
	n, _ := c.peek()
	return n > 0
}

// peek looks at the next byte.
func (c *conn) peek() (n int, err error) {
	failed := c.raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	if failed != nil {
		return 0, failed
	}
	return max(n, 0), err
}

// glance notes whether nothing has come and the other side has not closed.
func (u *upstream) glance(fd uintptr) bool {
	var one [1]byte
	_, err := readAgain(fd, one[:])
	u.quiet = err == syscall.EAGAIN
	return true
}
