package http1

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
)

// stream reads a connection through a buffer. What lies before base is looked at by others
// and never moved.
type stream struct {
	from io.Reader
	buf  []byte
	base int
	r, w int
	c    *conn // whose limits hold; nil: the connection has deadlines of its own
}

func (s *stream) buffered() int { return s.w - s.r }

// read reads from the connection, for as long as the watch allows.
func (s *stream) read(p []byte) (int, error) {
	if s.c == nil {
		n, err := s.from.Read(p)
		return n, readError(err)
	}
	if !s.c.watch.reading(s.c.srv) {
		if !s.c.taken.Load() {
			s.c.revive()
		}
		return 0, ErrTimeout
	}
	n, err := s.from.Read(p)
	s.c.watch.done()
	if err = readError(err); err == ErrTimeout && !s.c.taken.Load() {
		s.c.revive()
	}
	return n, err
}

func readError(err error) error {
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	return err
}

// fill reads more behind what is buffered. It makes room by moving what has not been read
// to base; false says that there is none.
func (s *stream) fill() (ok bool, err error) {
	if s.r == s.w {
		s.r, s.w = s.base, s.base
	}
	if s.w == len(s.buf) {
		if s.r == s.base {
			return false, nil
		}
		s.w = s.base + copy(s.buf[s.base:], s.buf[s.r:s.w])
		s.r = s.base
	}
	n, err := s.read(s.buf[s.w:])
	s.w += n
	if n > 0 {
		return true, nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return true, err
}

// line reads up to CR LF, which is not part of the line; tooLong is the answer to more
// than limit bytes, bad to a bare LF. The line lives until the next read.
func (s *stream) line(limit int, tooLong, bad *Error) ([]byte, error) {
	for from := 0; ; {
		if i := bytes.IndexByte(s.buf[s.r+from:s.w], '\n'); i >= 0 {
			i += from
			if i == 0 || s.buf[s.r+i-1] != '\r' {
				return nil, bad
			}
			line := s.buf[s.r : s.r+i-1]
			s.r += i + 1
			if len(line) > limit {
				return nil, tooLong
			}
			return line, nil
		}
		if from = s.buffered(); from > limit+1 {
			return nil, tooLong
		}
		ok, err := s.fill()
		switch {
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case !ok:
			return nil, tooLong
		}
	}
}

// Bounds of a chunked body (RFC 9112, section 7.1).
const (
	maxChunkLine  = 256 // size and extension
	maxChunkWaste = 16 << 10
	maxTrailer    = 4 << 10
	maxTrailers   = 8 << 10
	maxSizeDigits = 15
)

type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyFixed
	bodyChunked
	bodyToEnd // of the connection
)

// Body reads the content of a message. It is not safe for concurrent use.
type Body struct {
	s       *stream
	kind    bodyKind
	inChunk bool  // a chunk was begun and its CR LF not yet read
	left    int64 // of the content or the chunk
	total   int64
	limit   int64 // of total
	waste   int64
	err     error // sticky; io.EOF after the end
	ask     *Response
	pump    *pump // reads it beside the handler
	shared  bool  // others may read it beside the handler
	declare string
	trailer []Field
}

// Read reads content. It returns [ErrBodyTooLarge], [ErrTimeout], an [Error] for broken
// framing or io.ErrUnexpectedEOF when the connection ended early.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	b.invite()
	if b.kind == bodyChunked && b.left == 0 {
		if err := b.nextChunk(); err != nil {
			return 0, b.fail(err)
		}
	}
	if b.kind != bodyToEnd && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.content(p)
	b.left -= int64(n)
	b.total += int64(n)
	switch {
	case b.kind == bodyToEnd:
		b.left = 0
		if b.total > b.limit {
			err = ErrBodyTooLarge
		}
	case n > 0:
		err = nil
		if b.left == 0 && b.kind == bodyFixed {
			b.err = io.EOF
		}
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, b.fail(err)
	}
	return n, nil
}

func (b *Body) content(p []byte) (int, error) {
	s := b.s
	if s.r < s.w {
		n := copy(p, s.buf[s.r:s.w])
		s.r += n
		return n, nil
	}
	if b.kind == bodyChunked && len(p) < len(s.buf)-s.base { // the next line comes along
		if _, err := s.fill(); err != nil {
			return 0, err
		}
		n := copy(p, s.buf[s.r:s.w])
		s.r += n
		return n, nil
	}
	return s.read(p)
}

func (b *Body) fail(err error) error {
	if b.err == nil {
		b.err = err
	}
	return err
}

// over reports whether the content was read to its end, without an error.
func (b *Body) over() bool { return b.kind == bodyNone || b.err == io.EOF }

// nextChunk reads the end of the last chunk and the line of the next; io.EOF after the last.
func (b *Body) nextChunk() error {
	if b.inChunk {
		end, err := b.s.line(0, errChunkEnd, errChunkEnd)
		if err != nil {
			return err
		}
		if len(end) != 0 {
			return errChunkEnd
		}
		b.inChunk = false
	}
	line, err := b.s.line(maxChunkLine, errChunkExt, errChunkSize)
	if err != nil {
		return err
	}
	size, bad := chunkSize(line)
	if bad != nil {
		return bad
	}
	if size == 0 {
		return b.trailers()
	}
	// A sender of many small chunks makes us work for nothing.
	b.waste = max(b.waste+int64(len(line))+4-16-2*size, 0)
	if b.waste > maxChunkWaste {
		return errChunkWaste
	}
	if size > b.limit-b.total {
		return ErrBodyTooLarge
	}
	b.left, b.inChunk = size, true
	return nil
}

// chunkSize reads the line before a chunk. No blank may stand around the size.
func chunkSize(line []byte) (int64, *Error) {
	n := int64(0)
	for i, c := range line {
		d := int64(0)
		switch lower := c | 0x20; {
		case isDigit(c):
			d = int64(c - '0')
		case lower-'a' < 6:
			d = int64(lower-'a') + 10
		case c == ';' && i > 0:
			if i+1 == len(line) || !validValue(line[i:]) {
				return 0, errChunkExt
			}
			return n, nil
		default:
			return 0, errChunkSize
		}
		if i == maxSizeDigits {
			return 0, errChunkSize
		}
		n = n<<4 | d
	}
	if len(line) == 0 {
		return 0, errChunkSize
	}
	return n, nil
}

// trailers reads the fields behind the last chunk, keeps those that were declared, and
// returns io.EOF.
func (b *Body) trailers() error {
	for room := maxTrailers; ; {
		line, err := b.s.line(maxTrailer, errTrailer, errTrailer)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return io.EOF
		}
		if room -= len(line) + 2; room < 0 {
			return errTrailer
		}
		name, value, bad := splitField(line)
		if bad != nil {
			return errTrailer
		}
		if b.declared(view(name)) {
			b.trailer = append(b.trailer, Field{string(name), string(value)})
		}
	}
}

// declared reports whether a trailer was announced and is one that may come so late:
// nothing that frames, routes, authenticates or describes the content (RFC 9110, section 6.5.1).
func (b *Body) declared(name string) bool {
	for _, no := range [...]string{"host", "content-length", "transfer-encoding", "trailer", "te", "connection", "expect", "authorization",
		"proxy-authorization", "cookie", "set-cookie", "content-type", "content-encoding", "content-range", "cache-control", "x-api-key", "range", "max-forwards", "upgrade", "keep-alive"} {
		if Is(name, no) {
			return false
		}
	}
	for item := range strings.SplitSeq(b.declare, ",") {
		if strings.EqualFold(strings.Trim(item, " \t"), name) {
			return true
		}
	}
	return false
}

// Limit lowers how much content may come before [ErrBodyTooLarge].
func (b *Body) Limit(n int64) { b.limit = min(b.limit, n) }

// Count gives how much content was read.
func (b *Body) Count() int64 { return b.total }

// Over reports whether the content was read to its end.
func (b *Body) Over() bool { return b.over() }

// Trailer gives the declared trailers, once the body was read to its end.
func (b *Body) Trailer() []Field { return b.trailer }

// begin makes the body of a message whose head was read.
func (b *Body) begin(s *stream, length, limit int64, h *head) {
	*b = Body{s: s, limit: limit, declare: h.trailer, trailer: b.trailer[:0]}
	switch {
	case length < 0:
		b.kind = bodyChunked
	case length > 0:
		b.kind, b.left = bodyFixed, length
	default:
		b.err = io.EOF
	}
}

// holdsUp reports whether what is left of the body, as the answer begins, ends the connection: more than is read
// away behind an answer, or what an upstream that has answered already does not wait for.
func (b *Body) holdsUp() bool {
	if b.pump != nil { // who reads it now
		return !b.pump.finished()
	}
	return !b.shared && b.kind == bodyFixed && b.err == nil && b.left > unreadBound
}

// invite asks for a body that waits for 100 Continue.
func (b *Body) invite() {
	if b.ask != nil {
		b.ask.proceed()
		b.ask = nil
	}
}

// interrupt wakes who reads the body in another goroutine. The connection ends with the
// answer, which can be written after [Body.resume].
func (b *Body) interrupt() {
	if c := b.s.c; c != nil {
		c.taken.Store(true)
		c.late.Store(true)
		c.watch.at.Store(expired)
		_ = c.nc.SetReadDeadline(past())
	}
}

// resume follows interrupt when nobody reads any more.
func (b *Body) resume() {
	if c := b.s.c; c != nil {
		c.watch.end.Store(0)
		c.watch.at.Store(0)
	}
}

// discard reads at most n bytes of what is left and reports whether that was all. A body
// that was never asked for is not waited for.
func (b *Body) discard(n int64, buf []byte) bool {
	if b.ask != nil {
		return false
	}
	for n > 0 && b.err == nil {
		m, _ := b.Read(buf[:min(int64(len(buf)), n)])
		n -= int64(m)
	}
	return b.over()
}
