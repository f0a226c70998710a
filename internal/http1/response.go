package http1

import (
	"io"
	"net/http"
	"strconv"
	"unsafe"
)

// Response writes the answer to one request. It is not safe for concurrent use and ends
// with the handler.
type Response struct {
	c     *conn
	out   []byte // not yet sent
	begun bool
	head  bool // the request was HEAD, or the status has no body
	close bool
	old   bool // the client speaks HTTP/1.0
	asks  bool // the client waits for 100 Continue

	status  int
	chunked bool
	length  int64 // announced; -1: none
	written int64
	err     error
}

func statusText(status int) string { return http.StatusText(status) }

// Head begins the answer. length is that of the body, -1 when it is not known. Fields of
// the connection's framing are left out, "Connection: close" is obeyed. An interim status
// (1xx) may be sent before; 101 is not.
func (w *Response) Head(status int, fields []Field, length int64) {
	if w.begun {
		return
	}
	if status < 200 {
		if status >= 100 && status != 101 && !w.old {
			w.out = appendStatus(w.out, status)
			for i := range fields {
				w.field(&fields[i])
			}
			w.out = append(w.out, '\r', '\n')
			w.Flush()
		}
		return
	}
	w.begun, w.status, w.length = true, status, length
	w.out = appendStatus(w.out, status)
	dated := false
	for i := range fields {
		dated = w.field(&fields[i]) || dated
	}
	if !dated {
		w.out = append(append(append(w.out, "Date: "...), *w.c.srv.clock.date.Load()...), '\r', '\n')
	}
	if w.asks || w.c.w.body.holdsUp() { // in the former case the body was never asked for: whether it comes is not known
		w.close = true
	}
	switch {
	case bodyless(status):
		w.head = true
	case length >= 0:
		w.out = append(w.out, "Content-Length: "...)
		w.out = append(strconv.AppendInt(w.out, length, 10), '\r', '\n')
	case w.old:
		w.close = true
	case !w.head:
		w.chunked = true
		w.out = append(w.out, "Transfer-Encoding: chunked\r\n"...)
	}
	w.close = w.close || w.c.ending()
	switch {
	case w.close:
		w.out = append(w.out, "Connection: close\r\n"...)
	case w.old:
		w.out = append(w.out, "Connection: keep-alive\r\n"...)
	}
	w.out = append(w.out, '\r', '\n')
}

// field writes one field unless it is the connection's; a name or value that would begin
// another line is cleaned. It reports whether it was Date.
func (w *Response) field(f *Field) (date bool) {
	switch len(f.Name) {
	case 4:
		date = Is(f.Name, "date")
	case 7, 10, 14, 16, 17:
		switch {
		case Is(f.Name, "connection"):
			var h head
			w.close = w.close || h.connection([]byte(f.Value)) != nil || h.close
			return false
		case Is(f.Name, "content-length"), Is(f.Name, "transfer-encoding"), Is(f.Name, "trailer"), Is(f.Name, "upgrade"),
			Is(f.Name, "keep-alive"), Is(f.Name, "proxy-connection"):
			return false
		}
	}
	if !validName(f.Name) {
		return false
	}
	w.out = append(append(w.out, f.Name...), ':', ' ')
	w.out = appendValue(w.out, f.Value)
	w.out = append(w.out, '\r', '\n')
	return date
}

func validName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isToken(s[i]) {
			return false
		}
	}
	return s != ""
}

// appendValue writes a value; controls become blanks.
func appendValue(b []byte, s string) []byte {
	from := len(b)
	b = append(b, s...)
	if !validValue(b[from:]) {
		for i := from; i < len(b); i++ {
			if c := b[i]; c < ' ' || c == 0x7f {
				b[i] = ' '
			}
		}
	}
	return b
}

// Begun reports whether the head was given.
func (w *Response) Begun() bool { return w.begun }

// Write sends content. What fits is kept until the handler returns, the buffer is full or
// Flush is called; more than the announced length is refused.
func (w *Response) Write(p []byte) (int, error) {
	if !w.begun {
		w.Head(200, nil, -1)
	}
	if w.err != nil || len(p) == 0 {
		return 0, w.err
	}
	if w.head {
		return len(p), nil
	}
	if w.length >= 0 && w.written+int64(len(p)) > w.length {
		return 0, errLength2
	}
	w.written += int64(len(p))
	if w.chunked {
		w.out = append(strconv.AppendInt(w.out, int64(len(p)), 16), '\r', '\n')
	}
	if len(w.out)+len(p)+2 <= cap(w.out) {
		w.out = append(w.out, p...)
	} else if w.send(p) != nil {
		return 0, w.err
	}
	if w.chunked {
		w.out = append(w.out, '\r', '\n')
	}
	return len(p), w.err
}

// WriteString is Write.
func (w *Response) WriteString(s string) (int, error) {
	return w.Write(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// send writes what is kept and then p.
func (w *Response) send(p []byte) error {
	w.Flush()
	if w.err == nil {
		w.put(p)
	}
	return w.err
}

// Flush sends what is kept.
func (w *Response) Flush() {
	if len(w.out) > 0 && w.err == nil {
		w.put(w.out)
	}
	w.out = w.out[:0]
}

func (w *Response) put(p []byte) {
	c := w.c
	if !c.watch.reading(c.srv) {
		w.err = ErrTimeout
		return
	}
	for len(p) > 0 {
		// A piece at a time: the limit is for progress, not for the whole.
		n, err := c.w.socket.Write(p[:min(len(p), writePiece)])
		if p = p[n:]; err != nil {
			w.err = readError(err)
			break
		}
		if len(p) > 0 && !c.watch.reading(c.srv) {
			w.err = ErrTimeout
			break
		}
	}
	c.watch.done()
}

const writePiece = 64 << 10

// Abort ends the connection without an end of the answer, so that the client cannot take
// the part for the whole.
func (w *Response) Abort() {
	if w.err == nil {
		w.err = io.ErrClosedPipe
	}
	w.close = true
}

// OnGone calls f when the client closes its side of the connection while the handler runs,
// within a moment. The answer is still written: whoever only says that no more requests come
// reads it. f must not block.
func (w *Response) OnGone(f func()) { w.c.gone.Store(&f) }

// proceed sends 100 Continue before the body is first read (RFC 9110, section 10.1.1).
func (w *Response) proceed() {
	if !w.asks {
		return
	}
	w.asks = false
	if !w.begun {
		w.out = append(w.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
		w.Flush()
	}
}

// finish ends the answer and reports whether it is whole.
func (w *Response) finish() bool {
	if !w.begun {
		w.close = true
		w.fail(500, "no answer was given")
	}
	switch {
	case w.err != nil:
		return false
	case w.head:
	case w.length >= 0 && w.written < w.length:
		w.Flush() // what there is; the connection ends before the rest
		return false
	case w.chunked:
		w.out = append(w.out, "0\r\n\r\n"...)
	}
	return w.err == nil
}

// fail answers with a status and one sentence.
func (w *Response) fail(status int, text string) {
	w.Head(status, w.c.plain(status), int64(len(text)+1))
	_, _ = io.WriteString(w, text)
	_, _ = io.WriteString(w, "\n")
}
