package server

import (
	"io"
	"net/http"
	"time"
)

// A client may take its time to send a body, but not for ever: so long it may say nothing,
// and so long it may take in all. Our own engine keeps to this by itself.
const (
	bodyPause = 30 * time.Second
	bodyTotal = 10 * time.Minute
	// answerTimeout bounds a request with its answer: longer than the longest invocation.
	answerTimeout = 30 * time.Minute
)

// deadliner is what of [http.ResponseController] a body needs.
type deadliner interface{ SetReadDeadline(time.Time) error }

// timedBody reads a body against the clock. It lifts the deadline when it has read all:
// what then comes of the connection is no longer of this request.
type timedBody struct {
	io.ReadCloser
	conn deadliner
	now  func() time.Time
	end  time.Time
	done bool
}

// withDeadline bounds the time in which the body of a request has to come that net/http reads: over
// TLS, and with Config.NetHTTP.
func withDeadline(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.ContentLength == 0 {
		return
	}
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(bodyPause)) != nil {
		return // our own engine's bridge has its own clock; or a test
	}
	r.Body = &timedBody{ReadCloser: r.Body, conn: c, now: time.Now, end: time.Now().Add(bodyTotal)}
}

func (b *timedBody) Read(p []byte) (int, error) {
	if b.done {
		return b.ReadCloser.Read(p)
	}
	next := b.now().Add(bodyPause)
	if next.After(b.end) {
		next = b.end
	}
	if err := b.conn.SetReadDeadline(next); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.done = true
		_ = b.conn.SetReadDeadline(time.Time{}) // a connection that is gone has none
	}
	return n, err
}
