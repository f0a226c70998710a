package http1

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

func isAbort(p any) bool { return p == http.ErrAbortHandler }

// sniffed is how much of an answer is kept back to know its type and, when it is all, its length.
const sniffed = 2 << 10

// Bridge makes a handler of one that is written for net/http. Hijacking and deadlines of its
// own are not offered. The request's context ends with the handler, or when the client leaves.
func Bridge(h http.Handler) Handler {
	return func(w *Response, r *Request) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		req, err := r.toHTTP(ctx)
		if err != nil {
			w.close = true
			w.fail(400, "the target is no URI")
			return
		}
		w.OnGone(cancel)
		b := &bridgeWriter{w: w, header: http.Header{}, head: r.Method == http.MethodHead}
		defer b.ended.Store(true)
		body, _ := req.Body.(*bridgeBody)
		if body == nil {
			h.ServeHTTP(b, req)
		} else {
			b.turn = &body.turn
			func() {
				defer body.end()
				h.ServeHTTP(b, req)
			}()
		}
		b.finish(r)
	}
}

// toHTTP copies a request for net/http's handlers, which may keep its strings.
func (r *Request) toHTTP(ctx context.Context) (*http.Request, error) {
	r.Own()
	u := &url.URL{Path: "/"} // of most calls of AWS's APIs
	if r.Target != "/" {
		var err error
		if u, err = url.ParseRequestURI(r.Target); err != nil {
			return nil, err
		}
	}
	h, values := make(http.Header, len(r.Fields)), make([]string, len(r.Fields))
	for i, f := range r.Fields {
		name := http.CanonicalHeaderKey(f.Name)
		if before := h[name]; before != nil {
			h[name] = append(before, f.Value)
			continue
		}
		values[i] = f.Value
		h[name] = values[i : i+1 : i+1]
	}
	req := new(http.Request).WithContext(ctx) // first: it makes a copy
	req.Method, req.URL, req.Header, req.Body = r.Method, u, h, http.NoBody
	req.Proto, req.ProtoMajor, req.ProtoMinor, req.Close = "HTTP/1.1", 1, r.Minor, !r.head.persistent(r.Minor)
	if r.Minor == 0 {
		req.Proto = "HTTP/1.0"
	}
	req.ContentLength, req.Host, req.RemoteAddr, req.RequestURI = r.Length, r.Host, r.RemoteAddr, r.Target
	if r.Length != 0 {
		body := &bridgeBody{b: r.Body, req: req}
		req.Body, r.Body.shared = body, true
	}
	if r.Length < 0 {
		req.TransferEncoding = []string{"chunked"}
		for name := range strings.SplitSeq(r.head.trailer, ",") {
			if name = strings.Trim(name, " \t"); validName(name) {
				if req.Trailer == nil {
					req.Trailer = http.Header{}
				}
				req.Trailer[http.CanonicalHeaderKey(name)] = nil
			}
		}
	}
	return req, nil
}

// bridgeBody is a request's body for a handler that may keep it longer than it should.
type bridgeBody struct {
	b      *Body
	req    *http.Request
	closed atomic.Bool
	reads  sync.Mutex // held while it is read
	turn   sync.Mutex // held to begin the answer or to ask for the body
}

func (b *bridgeBody) Read(p []byte) (int, error) {
	b.reads.Lock()
	defer b.reads.Unlock()
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	b.turn.Lock()
	b.b.invite()
	b.turn.Unlock()
	n, err := b.b.Read(p)
	if err == io.EOF && b.req.Trailer != nil {
		for _, f := range b.b.Trailer() {
			b.req.Trailer.Add(f.Name, f.Value)
		}
	}
	if e, ok := err.(*Error); ok && e == ErrBodyTooLarge {
		err = &http.MaxBytesError{Limit: b.b.limit}
	}
	return n, err
}

func (b *bridgeBody) Close() error {
	b.closed.Store(true)
	return nil
}

// end takes the body back. Whoever reads it still, as net/http's transport does after an early
// answer, is woken and waited for: the next request's body has the same memory.
func (b *bridgeBody) end() {
	b.closed.Store(true)
	if !b.reads.TryLock() {
		b.b.interrupt()
		b.reads.Lock()
		b.b.resume()
	}
	b.reads.Unlock()
}

// Interrupt takes the body back before the handler has ended; see [Interruptible].
func (b *bridgeBody) Interrupt() { b.end() }

// bridgeWriter is a ResponseWriter over a [Response].
type bridgeWriter struct {
	w      *Response
	header http.Header
	fields []Field // the header as it was with the status
	typed  bool    // it says the type, or that it is nobody's to guess
	length int64   // it says; -1: nothing
	status int
	head   bool
	kept   []byte // of the body, before the head is sent
	sent   bool
	ended  atomic.Bool // the handler has returned; the answer is another request's
	turn   *sync.Mutex // of the body; nil without one
}

// begin gives the head, not while another goroutine asks for the body.
func (b *bridgeWriter) begin(status int, fields []Field, length int64) {
	if b.turn != nil {
		b.turn.Lock()
		defer b.turn.Unlock()
	}
	b.w.Head(status, fields, length)
}

func (b *bridgeWriter) Header() http.Header { return b.header }

func (b *bridgeWriter) WriteHeader(status int) {
	if b.status != 0 || b.ended.Load() {
		return
	}
	if status < 100 || status > 999 {
		panic("http1: invalid status " + strconv.Itoa(status))
	}
	if status < 200 {
		b.begin(status, fieldsOf(b.header), 0)
		return
	}
	b.status = status
	b.fields, b.length = fieldsOf(b.header), -1 // what the handler changes from now on does not count
	_, typed := b.header["Content-Type"]
	b.typed = typed || b.header.Get("Content-Encoding") != ""
	if text := b.header.Get("Content-Length"); text != "" {
		if n, ok := digits([]byte(text)); ok {
			b.length = n
		}
	}
}

func (b *bridgeWriter) Write(p []byte) (int, error) {
	if b.ended.Load() {
		return 0, http.ErrHandlerTimeout
	}
	if b.status == 0 {
		b.WriteHeader(http.StatusOK)
	}
	if bodyless(b.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if !b.sent && len(b.kept)+len(p) <= sniffed {
		b.kept = append(b.kept, p...)
		return len(p), nil
	}
	if err := b.send(p, -1); err != nil {
		return 0, err
	}
	return b.w.Write(p)
}

// send begins the answer. next is what comes behind what is kept; length is that of the
// whole body where it is known.
func (b *bridgeWriter) send(next []byte, length int64) error {
	if b.sent {
		return nil
	}
	b.sent = true
	if b.length >= 0 {
		length = b.length
	}
	if !b.typed && !bodyless(b.status) && len(b.kept)+len(next) > 0 {
		b.fields = append(b.fields, Field{"Content-Type", http.DetectContentType(append(b.kept[:len(b.kept):len(b.kept)], next[:min(len(next), sniffed)]...))})
	}
	b.begin(b.status, b.fields, length)
	_, err := b.w.Write(b.kept)
	return err
}

func fieldsOf(h http.Header) []Field {
	out := make([]Field, 0, len(h)+1)
	for name, values := range h {
		for _, v := range values {
			out = append(out, Field{name, v})
		}
	}
	return out
}

// Flush sends what there is, the head at least.
func (b *bridgeWriter) Flush() {
	if b.ended.Load() {
		return
	}
	if b.status == 0 {
		b.WriteHeader(http.StatusOK)
	}
	if b.send(nil, -1) == nil {
		b.w.Flush()
	}
}

func (b *bridgeWriter) finish(r *Request) {
	if b.status == 0 {
		b.WriteHeader(http.StatusOK)
	}
	length := int64(len(b.kept))
	if b.head && length == 0 {
		length = -1 // not known; zero would be a claim
	}
	_ = b.send(nil, length)
}
