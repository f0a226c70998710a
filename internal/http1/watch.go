package http1

import (
	"net/http"
	"sync/atomic"
	"time"
)

// tick is how exactly times of connections are kept.
const tick = 250 * time.Millisecond

// clock is a time that is read without asking the machine, with the text of the Date field.
type clock struct {
	now  atomic.Int64 // Unix nanoseconds, a tick old at most
	date atomic.Pointer[string]
}

func (c *clock) set(t time.Time) {
	old := c.now.Swap(t.UnixNano())
	if c.date.Load() == nil || old/1e9 != t.Unix() {
		text := t.UTC().Format(http.TimeFormat)
		c.date.Store(&text)
	}
}

// expired marks a watch whose connection is to end.
const expired = -1

// watch is the time limit of a connection. Setting it costs an atomic store; the server's
// sweep looks at it every tick and, once it is over, breaks off whatever the connection waits for.
type watch struct {
	at  atomic.Int64 // 0: no limit
	end atomic.Int64 // when the content must be there; 0: no limit
}

// set begins a limit; false says that the last one was over.
func (w *watch) set(at int64) bool {
	for {
		old := w.at.Load()
		if old == expired {
			return false
		}
		if old == at || w.at.CompareAndSwap(old, at) {
			return true
		}
	}
}

// reading begins the limit of one read or write of content.
func (w *watch) reading(s *Server) bool {
	at := s.clock.now.Load() + int64(s.cfg.BodyPause)
	if end := w.end.Load(); end != 0 && at > end {
		at = end
	}
	return w.set(at)
}

func (w *watch) done() { w.set(0) }

// over reports whether the limit has passed, and marks it once.
func (w *watch) over(now int64) bool {
	at := w.at.Load()
	return at > 0 && now >= at && w.at.CompareAndSwap(at, expired)
}
