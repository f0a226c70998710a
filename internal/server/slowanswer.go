package server

import (
	"net/http"
	"time"
)

// writePiece is what of an answer a client has [bodyPause] to take.
const writePiece = 64 << 10

// timedWriter writes an answer against the clock. It is what net/http's own writer is in handlers
// of ours: [http.ResponseController] finds that one through it.
type timedWriter struct {
	http.ResponseWriter
	conn  interface{ SetWriteDeadline(time.Time) error }
	now   func() time.Time
	end   time.Time  // of the whole answer
	body  *timedBody // of the request; nil: none
	begun bool
}

func newTimedWriter(w http.ResponseWriter, body *timedBody) *timedWriter {
	return &timedWriter{ResponseWriter: w, conn: http.NewResponseController(w), now: time.Now, end: time.Now().Add(answerTimeout), body: body}
}

// Unwrap gives net/http's own.
func (t *timedWriter) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// begin is called before the head is written: where the body was not read, net/http looks for its
// end before it answers.
func (t *timedWriter) begin() {
	if !t.begun {
		t.begun = true
		t.body.leave()
	}
}

// WriteHeader gives the head.
func (t *timedWriter) WriteHeader(status int) {
	if status >= 200 {
		t.begin()
	}
	t.ResponseWriter.WriteHeader(status)
}

// Write sends content a piece at a time: the limit is for progress, not for the whole.
func (t *timedWriter) Write(p []byte) (n int, err error) {
	t.begin()
	for first := true; err == nil && (first || n < len(p)); first = false {
		_ = t.conn.SetWriteDeadline(earlier(t.now().Add(bodyPause), t.end)) // what has none is no connection
		m := 0
		m, err = t.ResponseWriter.Write(p[n:min(len(p), n+writePiece)])
		n += m
	}
	_ = t.conn.SetWriteDeadline(t.end) // HTTP/2 ends a stream by it, whether something is written or not
	return n, err
}

// Flush sends what net/http keeps.
func (t *timedWriter) Flush() {
	t.begin()
	_ = t.conn.SetWriteDeadline(earlier(t.now().Add(bodyPause), t.end))
	_ = http.NewResponseController(t.ResponseWriter).Flush()
	_ = t.conn.SetWriteDeadline(t.end)
}

// last begins the time of what net/http sends when the handler has ended.
func (t *timedWriter) last() { _ = t.conn.SetWriteDeadline(earlier(t.now().Add(bodyPause), t.end)) }
