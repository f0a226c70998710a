//go:build !unix

package http1

import (
	"io"
	"syscall"
)

func (c *conn) await() error { return c.awaitAny() }

func (c *conn) glance() error { return io.EOF }

// left cannot be told here without reading.
func (c *conn) left() bool { return false }

// waiting is asked of parked connections: there are none.
func (c *conn) waiting() bool { return true }

// glance cannot look without waiting here: a connection that was closed shows it when it is used.
func (u *upstream) glance(uintptr) bool {
	u.quiet = true
	return true
}

func readAgain(uintptr, []byte) (int, error) { return 0, syscall.ENOSYS }
