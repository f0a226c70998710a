package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"moat/internal/http1"
)

// maxUploads is how many bodies may be on their way to one target at once. Whoever sends
// slowly holds a connection to it meanwhile, and must not hold them all.
const maxUploads = 256

// passed is a body that is passed on as it comes, read in another goroutine than the exchange's:
// that of our own engine, or an [upload].
type passed interface {
	io.Reader
	Limit(n int64)
	Count() int64
	Over() bool
}

// upload is a body that net/http reads. Its end is passed on only when it is known to be one: of
// what is longer or shorter than was announced, or than is allowed, nobody gets the whole.
type upload struct {
	http1.Interruptible
	length int64 // -1: not known
	limit  int64
	total  atomic.Int64
	over   atomic.Bool
}

// errOtherLength says that a body was not as long as its Content-Length.
var errOtherLength = errors.New("gateway: the body has another length than was announced")

// Limit lowers how much may come before [http1.ErrBodyTooLarge].
func (u *upload) Limit(n int64) { u.limit = min(u.limit, n) }

// Count gives how much was read, Over whether that was all.
func (u *upload) Count() int64 { return u.total.Load() }
func (u *upload) Over() bool   { return u.over.Load() }

// Read reads content.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.Interruptible.Read(p)
	total := u.total.Add(int64(n))
	switch {
	case total > u.limit:
		return 0, http1.ErrBodyTooLarge
	case u.length >= 0 && total > u.length:
		return 0, errOtherLength
	case u.length >= 0 && total == u.length && err == nil:
		if err = u.end(); err != io.EOF {
			return 0, err
		}
	case err == io.EOF && u.length >= 0 && total < u.length:
		return 0, errOtherLength
	}
	if err == io.EOF {
		u.over.Store(true)
	}
	return n, err
}

// end waits for the end of a body of which everything has come that was announced. HTTP/2 may say
// it later (RFC 9113, section 8.1.1).
func (u *upload) end() error {
	var one [1]byte
	for range 16 {
		switch n, err := u.Interruptible.Read(one[:]); {
		case n > 0:
			return errOtherLength
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// passable gives the body as one that may be passed on as it comes, nil where it is none.
func (x *Exchange) passable() passed {
	switch b := x.Body.(type) {
	case *http1.Body:
		return b
	case http1.Interruptible:
		if _, ok := x.Out.(*netWriter); ok {
			return &upload{Interruptible: b, length: x.Length, limit: maxBody}
		}
	}
	return nil
}

// outgoing gives the body for an integration that takes it as it comes. What is long and has not
// been asked for by a step is not held: rest is what follows body then.
func (x *Exchange) outgoing(w *way) (body []byte, rest io.Reader, err error) {
	var b passed
	handling := x.route.def.Integration.ContentHandling
	if !x.bodyRead && (x.Length < 0 || x.Length > smallBody) && handling == "" && !x.route.settings.DataTrace {
		b = x.passable()
	}
	if b == nil {
		if body, err = x.payload(); err == nil {
			body, err = x.convertRequest(handling, x.get("Content-Type"), body)
		}
		return body, nil, err
	}
	if w.uploads.Add(1) > maxUploads {
		w.uploads.Add(-1)
		body, err = x.payload()
		return body, nil, err
	}
	x.direct.uploading, x.direct.upload = w, b
	b.Limit(maxBody)
	if x.Length < 0 { // it may be short
		body = make([]byte, smallBody)
		n, err := io.ReadFull(b, body)
		switch body = body[:n]; {
		case err == io.EOF, err == io.ErrUnexpectedEOF && b.Over():
			x.bodyRead, x.body = true, body
			return body, nil, nil
		case err != nil:
			return nil, nil, unread(err)
		}
	}
	x.bodyRead = true
	if out, ok := x.Out.(*netWriter); ok {
		out.passes(b)
	}
	return body, b, nil
}

// uploaded ends the count of a body on its way.
func (x *Exchange) uploaded() {
	if w := x.direct.uploading; w != nil {
		w.uploads.Add(-1)
		if x.Length < 0 {
			x.Length = x.direct.upload.Count() // for the record
		}
		x.direct.uploading, x.direct.upload = nil, nil
	}
}

// passes says that a body is read while the answer is written. net/http would wait for its rest
// before it sends the head, and take what the integration was to get.
func (n *netWriter) passes(b passed) {
	n.upload = b
	_ = http.NewResponseController(n.w).EnableFullDuplex() // a bridge always is
}

// closing reports whether the rest of a body may stand between the answer and the next request of
// the connection: the answer is the last then, as nobody could tell one from the other.
func (n *netWriter) closing() bool {
	return n.upload != nil && !n.upload.Over() && strings.HasPrefix(n.proto, "HTTP/1.")
}
