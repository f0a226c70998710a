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
	c.err = nil
	if c.try == nil {
		c.try = c.tryRead
	}
	if err := c.raw.Read(c.try); err != nil {
		return err
	}
	return c.err
}

// tryRead reads what is there; false waits for more.
func (c *conn) tryRead(fd uintptr) bool {
	w := c.acquire()
	n, err := readAgain(fd, w.in)
	if n > 0 {
		w.stream.w = n
		c.w = w
		return true
	}
	c.srv.pool.Put(w)
	if err == syscall.EAGAIN {
		return false
	}
	if c.err = err; err == nil {
		c.err = io.EOF
	}
	return true
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
