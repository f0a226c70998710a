package server

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// A client may take its time to send a body and to take its answer, but not for ever: so long it
// may say nothing, and so long it may take in all. Our own engine keeps to this by itself.
const (
	bodyPause = 30 * time.Second
	bodyTotal = 10 * time.Minute
	// unreadTime is what a body that nobody reads has to get out of the way of the next request.
	unreadTime = 2 * time.Second
	// answerTimeout bounds a request with its answer: longer than the longest invocation.
	answerTimeout = 30 * time.Minute
)

// deadliner is what of [http.ResponseController] a body needs.
type deadliner interface{ SetReadDeadline(time.Time) error }

// timedBody reads a body against the clock. It lifts the deadline when it has read all: what then
// comes of the connection is no longer of this request. It may be read by another goroutine than
// the handler's, until that one takes it back.
type timedBody struct {
	io.ReadCloser
	conn deadliner
	now  func() time.Time
	end  time.Time
	// lifts says that the deadline holds for who does not read, too, as it does in HTTP/2, where
	// it is one of the stream's: it is lifted between reads.
	lifts bool

	reads   sync.Mutex // held while it is read
	mu      sync.Mutex // of what follows
	reading bool
	done    bool
	stopped bool
}

// withDeadline bounds the time in which the body of a request has to come that net/http reads: over
// TLS, and with Config.NetHTTP. The request that it gives is another one: net/http looks at the
// body of its own to know whether a client still waits for 100 Continue.
func withDeadline(w http.ResponseWriter, r *http.Request) (*http.Request, *timedBody) {
	if r.Body == nil || r.ContentLength == 0 {
		return r, nil
	}
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(bodyPause)) != nil {
		return r, nil // a test
	}
	b := &timedBody{ReadCloser: r.Body, conn: c, now: time.Now, end: time.Now().Add(bodyTotal), lifts: r.ProtoMajor > 1}
	r = r.WithContext(r.Context())
	r.Body = b
	return r, b
}

func (b *timedBody) Read(p []byte) (int, error) {
	b.reads.Lock()
	defer b.reads.Unlock()
	if done, err := b.begin(); err != nil {
		return 0, err
	} else if done {
		return b.ReadCloser.Read(p)
	}
	n, err := b.ReadCloser.Read(p)
	b.ended(err)
	return n, err
}

// begin begins the time of one read.
func (b *timedBody) begin() (done bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.stopped:
		return false, http.ErrBodyReadAfterClose
	case b.done:
		return true, nil
	}
	b.reading = true
	return false, b.conn.SetReadDeadline(earlier(b.now().Add(bodyPause), b.end))
}

// ended ends the time of one read. After an error the deadline stands, so that net/http does not
// wait for what did not come.
func (b *timedBody) ended(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if b.done = b.done || err != nil; !b.stopped && (err == io.EOF || b.lifts) {
		_ = b.conn.SetReadDeadline(time.Time{}) // a connection that is gone has none
	}
}

// Interrupt takes the body back from who reads it; see [moat/internal/http1.Interruptible].
func (b *timedBody) Interrupt() {
	b.mu.Lock()
	b.stopped = true
	if !b.done {
		_ = b.conn.SetReadDeadline(time.Unix(1, 0))
	}
	b.mu.Unlock()
	b.reads.Lock()
	defer b.reads.Unlock()
	b.leave()
}

// leave says that the handler has had what it wants: what is left has a moment to come, so that
// neither the answer nor the next request waits for it. Who reads it still has his own time.
func (b *timedBody) leave() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done && !b.lifts && !b.reading {
		_ = b.conn.SetReadDeadline(earlier(b.now().Add(unreadTime), b.end))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}
