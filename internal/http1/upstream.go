package http1

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	upstreamIn  = 8 << 10
	upstreamOut = 4 << 10
	// inlineBody is the largest content that is sent before the answer is looked at: a socket takes
	// it in without the other side reading.
	inlineBody = 32 << 10
	maxInterim = 8
)

// upstream is one connection to a target. One call uses it at a time.
type upstream struct {
	pool        *Pool
	nc          net.Conn
	raw         syscall.RawConn
	peek        func(uintptr) bool
	quiet       bool // what peek found
	born, since time.Time
	used        bool
	stopped     bool
	limited     bool // a deadline stands

	socket  socket
	talk    talk
	at      time.Time       // when the call under way must end, see until
	stands  time.Time       // the deadline that until has set
	watched <-chan struct{} // of the context that is watched for as long as the connection
	unwatch func() bool

	out    []byte
	stream stream
	reply  Reply
}

func newUpstream(p *Pool, nc net.Conn, now time.Time) *upstream {
	u := &upstream{pool: p, nc: nc, born: now, since: now, raw: rawOf(nc), out: make([]byte, 0, upstreamOut)}
	u.peek = u.glance
	u.socket.set(nc)
	u.stream = stream{from: u, buf: make([]byte, upstreamIn)}
	u.reply.u = u
	return u
}

// alive reports whether an idle connection is still open and has stayed silent: what came
// without being asked for would be taken for the answer to the next request.
func (u *upstream) alive() bool {
	if u.stream.buffered() > 0 {
		return false
	}
	if u.raw != nil {
		u.quiet = false
		err := u.raw.Read(u.peek)
		if u.limited && errors.Is(err, os.ErrDeadlineExceeded) { // of the last call
			u.limit(time.Time{})
			err = u.raw.Read(u.peek)
		}
		if err != nil || !u.quiet {
			return false
		}
	}
	t, ok := u.nc.(*tls.Conn)
	if !ok {
		return true
	}
	// A whole record may have been read from the socket along with the last answer's. The
	// deadline keeps this read from the socket, and leaves the connection usable.
	u.limited = true
	var one [1]byte
	n, err := 0, t.SetReadDeadline(past())
	if err == nil {
		n, err = t.Read(one[:])
	}
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

func (u *upstream) close() {
	u.nc.Close()
	if u.unwatch != nil {
		u.unwatch()
	}
}

// stop closes the connection and frees its place.
func (u *upstream) stop() {
	if !u.stopped {
		u.stopped = true
		u.close()
		u.pool.leave()
	}
}

// errStale is the end of a kept connection that was closed, or has said something, before
// anything was sent.
var errStale = errors.New("http1: the connection is not as it was left")

// do sends the call and reads the head of its answer.
func (u *upstream) do(call *Call, now time.Time) (*Reply, error) {
	if err := u.head(call); err != nil {
		return nil, err
	}
	u.since = now
	u.stream.base, u.stream.r, u.stream.w = 0, 0, 0
	u.reply.ctx = call.Context
	u.reply.pace(call)
	u.watch(call)
	inline := call.Body == nil && len(call.Content) <= inlineBody
	rest := call.Content
	if inline && len(rest) <= cap(u.out)-len(u.out) {
		u.out, rest = append(u.out, rest...), nil
	}
	if u.socket.raw != nil && call.Body == nil && len(rest) == 0 && u.pool.c.cfg.HeaderTimeout == 0 && u.pool.c.cfg.BodyPause == 0 {
		return u.converse(call, now)
	}
	if !u.stands.IsZero() {
		u.limit(call.Deadline) // the one that stands may have passed
	}
	if u.used && !u.alive() {
		u.letGo()
		return nil, errStale
	}
	u.limit(call.Deadline)
	if err := u.reply.cancelled(); err != nil { // its deadline may just have been undone
		u.letGo()
		return nil, err
	}
	if n, err := u.socket.Write(u.out); err != nil {
		return nil, u.broken(call, err, n > 0)
	}
	u.used = true
	switch {
	case call.Body == nil && len(rest) == 0:
	case inline:
		if _, err := u.socket.Write(rest); err != nil {
			return u.early(call, err)
		}
	default:
		return u.answer(call, startPump(u, call))
	}
	return u.answer(call, nil)
}

// watch sees that the end of the call's context ends the call. A context that lasts is watched
// for as long as the connection.
func (u *upstream) watch(call *Call) {
	if call.Context == nil || call.Context.Done() == nil || call.Context.Done() == u.watched {
		return
	}
	stop := context.AfterFunc(call.Context, func() { _ = u.nc.SetDeadline(past()) })
	if !call.Lasting {
		u.reply.release = stop
		return
	}
	if u.unwatch != nil {
		u.unwatch()
	}
	u.watched, u.unwatch = call.Context.Done(), stop
}

// limit sets the deadline of the whole call.
func (u *upstream) limit(deadline time.Time) {
	if u.at = (time.Time{}); deadline.IsZero() && !u.limited {
		return
	}
	u.stands = time.Time{}
	u.limited = !deadline.IsZero()
	if !u.limited {
		_ = u.nc.SetDeadline(time.Time{})
		return
	}
	_ = u.nc.SetDeadline(time.Now().Add(deadline.Sub(u.pool.c.cfg.Now())))
}

// head writes the request line and the fields.
func (u *upstream) head(call *Call) error {
	if !validName(call.Method) || call.Target == "" || !validTarget([]byte(call.Target)) || !validHost(call.Host) {
		return ErrField
	}
	b := append(append(u.out[:0], call.Method...), ' ')
	b = append(append(b, call.Target...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, call.Host...), '\r', '\n')
	for i := range call.Fields {
		f := &call.Fields[i]
		if framing(f.Name) {
			continue
		}
		if !validName(f.Name) {
			return ErrField
		}
		b = append(append(b, f.Name...), ':', ' ')
		from := len(b)
		b = append(b, f.Value...)
		if !validValue(b[from:]) {
			return ErrField
		}
		b = append(b, '\r', '\n')
	}
	length := call.Length
	if call.Body == nil {
		length = int64(len(call.Content))
	}
	switch {
	case length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case length > 0 || call.Method == "POST" || call.Method == "PUT" || call.Method == "PATCH":
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, length, 10), '\r', '\n')
	}
	u.out = append(b, '\r', '\n')
	return nil
}

// framing reports the fields that the client writes itself or that end with a connection.
func framing(name string) bool {
	switch len(name) {
	case 2:
		return Is(name, "te")
	case 4:
		return Is(name, "host")
	case 6:
		return Is(name, "expect")
	case 7:
		return Is(name, "trailer") || Is(name, "upgrade")
	case 10:
		return Is(name, "connection") || Is(name, "keep-alive")
	case 14:
		return Is(name, "content-length") || Is(name, "http2-settings")
	case 16:
		return Is(name, "proxy-connection")
	case 17:
		return Is(name, "transfer-encoding")
	}
	return false
}

// broken makes the error of a connection that failed before its answer began.
func (u *upstream) broken(call *Call, err error, sent bool) error {
	u.letGo()
	if call.Context != nil && call.Context.Err() != nil {
		return call.Context.Err()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	return &untouched{err, sent}
}

// early looks for an answer that came before the content was read: an upstream that says
// no closes its side.
func (u *upstream) early(call *Call, err error) (*Reply, error) {
	reply, err2 := u.answer(call, nil)
	if err2 != nil {
		if dead := (*untouched)(nil); errors.As(err2, &dead) {
			return nil, u.broken(call, err, true)
		}
		return nil, err2
	}
	reply.keep = false
	return reply, nil
}

// answer reads the head of the answer, past interim ones.
func (u *upstream) answer(call *Call, pump *pump) (*Reply, error) {
	s, r := &u.stream, &u.reply
	if t := u.pool.c.cfg.HeaderTimeout; t > 0 && (call.Deadline.IsZero() || call.Deadline.Sub(u.pool.c.cfg.Now()) > t) {
		_ = u.nc.SetReadDeadline(time.Now().Add(t))
		u.limited = true
		defer u.limit(call.Deadline)
		if err := r.cancelled(); err != nil {
			return nil, u.abandon(pump, err)
		}
	}
	for interim := 0; ; {
		n, bad := parseReply(s.buf[s.r:s.w], &u.pool.c.cfg.Limits, &r.head)
		switch {
		case bad != nil:
			return nil, u.abandon(pump, bad)
		case n == 0:
			if err := u.more(call, interim > 0); err != nil {
				return nil, u.abandon(pump, err)
			}
			continue
		case r.head.status == 101:
			return nil, u.abandon(pump, errSwitch)
		case r.head.status < 200:
			if interim++; interim > maxInterim {
				return nil, u.abandon(pump, errInterim)
			}
			s.r += n
			continue
		}
		s.r += n
		s.base = s.r
		u.begin(call, pump)
		return r, nil
	}
}

// abandon lets go of a call that has no answer. Where its content could not be read, that is why.
func (u *upstream) abandon(p *pump, err error) error {
	u.letGo()
	if p == nil {
		return err
	}
	err = p.reason(err) // before the content is taken from its reader, which is no reason
	u.nc.Close()
	p.end()
	return err
}

func (u *upstream) letGo() {
	if u.reply.release != nil {
		u.reply.release()
		u.reply.release = nil
	}
}

// more reads more of a head, to the end of a line at least. begun says that an interim answer came before.
func (u *upstream) more(call *Call, begun bool) error {
	s := &u.stream
	if s.r > 0 {
		s.w = copy(s.buf, s.buf[s.r:s.w])
		s.r = 0
	}
	if s.w == len(s.buf) {
		if len(s.buf) > u.pool.c.cfg.Limits.Head {
			return errHeadLarge
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	n, err := s.read(s.buf[s.w:])
	return u.come(call, n, err, begun)
}

// come takes what was read of a head on.
func (u *upstream) come(call *Call, n int, err error, begun bool) error {
	s := &u.stream
	for s.w += n; n > 0 && bytes.IndexByte(s.buf[s.w-n:s.w], '\n') < 0 && s.w >= len("HTTP/") && string(s.buf[:5]) == "HTTP/" && s.w < len(s.buf); s.w += n {
		n, err = s.read(s.buf[s.w:])
	}
	switch {
	case n > 0:
		return nil
	case s.w == 0 && !begun && err != nil && err != ErrTimeout:
		return u.broken(call, err, true)
	case call.Context != nil && call.Context.Err() != nil:
		return call.Context.Err()
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

// begin makes the reply ready for its body (RFC 9112, section 6.3).
func (u *upstream) begin(call *Call, p *pump) {
	r := &u.reply
	h := &r.head.head
	r.Status, r.Fields, r.Minor = r.head.status, r.head.fields, r.head.minor
	r.keep = h.persistent(r.head.minor)
	if r.Status == 204 && (h.length > 0 || h.coding) {
		r.keep = false // a body that must not be: it would be read as the next answer
	}
	r.pump, r.closed = p, false
	length := h.length
	switch {
	case call.Method == "HEAD" || bodyless(r.Status):
		r.Length = max(length, 0)
		if length < 0 {
			r.Length = -1
		}
		length = 0
	case h.coding:
		r.Length, length = -1, -1
	case length >= 0:
		r.Length = length
	default:
		r.Length, r.keep = -1, false
		r.body = Body{s: &u.stream, kind: bodyToEnd, limit: maxInt}
		return
	}
	if len(u.stream.buf)-u.stream.base < bodyRoom && length != 0 {
		b := make([]byte, len(u.stream.buf))
		n := copy(b, u.stream.buf[u.stream.r:u.stream.w])
		u.stream.buf, u.stream.base, u.stream.r, u.stream.w = b, 0, 0, n
	}
	r.body.begin(&u.stream, length, maxInt, h)
}

const maxInt = 1<<63 - 1

// Reply is the answer to a call. Its strings are views: they end with Close.
type Reply struct {
	Status int
	Minor  int
	Fields []Field
	// Length is that of the body as it was announced, for HEAD too; -1 when it is not known.
	Length int64

	u       *upstream
	head    replyHead
	body    Body
	keep    bool
	closed  bool
	pump    *pump
	release func() bool
	ctx     context.Context
	phase
}

// cancelled gives the error of a call whose context has ended.
func (r *Reply) cancelled() error {
	if r.ctx == nil {
		return nil
	}
	return r.ctx.Err()
}

// Read reads the body; io.EOF is its end.
func (r *Reply) Read(p []byte) (int, error) {
	if r.closed {
		return 0, errBodyDone
	}
	if t := r.u.pool.c.cfg.BodyPause; t > 0 && r.body.err == nil {
		_ = r.u.nc.SetReadDeadline(time.Now().Add(t))
		r.u.limited = true
	}
	if r.pause > 0 && r.body.err == nil && (r.u.stream.buffered() == 0 || r.body.kind == bodyChunked && r.body.left == 0) {
		if err := r.extend(); err != nil {
			return 0, r.body.fail(err)
		}
	}
	if err := r.cancelled(); err != nil && r.body.err == nil {
		return 0, r.body.fail(err)
	}
	return r.body.Read(p)
}

// Whole gives the content when it has come along with the head and has a length, else nil: then it is
// to be read. It lives until Close.
func (r *Reply) Whole() []byte {
	b, s := &r.body, &r.u.stream
	if r.closed || b.kind != bodyFixed || b.err != nil || b.left > int64(s.buffered()) {
		return nil
	}
	p := s.buf[s.r : s.r+int(b.left)]
	s.r += len(p)
	b.total, b.left, b.err = b.left, 0, io.EOF
	return p
}

// Close gives the connection back when all was read and both sides keep it, else it
// closes it. It may be called more than once.
func (r *Reply) Close() {
	if r.closed {
		return
	}
	r.closed = true
	u := r.u
	stopped := r.release == nil || r.release()
	r.release, r.ctx = nil, nil
	sent := r.pump == nil || r.pump.finished()
	if r.body.kind == bodyChunked && r.body.err == nil && r.body.left == 0 && bytes.HasSuffix(u.stream.buf[u.stream.r:u.stream.w], []byte("0\r\n\r\n")) {
		var one [1]byte
		_, _ = r.body.Read(one[:]) // the end is there already
	}
	if !stopped || !sent || !r.keep || !r.body.over() || u.stream.buffered() > 0 {
		u.stop()
		if r.pump != nil {
			r.pump.end()
		}
		return
	}
	if cap(u.out) > 4*upstreamOut {
		u.out = make([]byte, 0, upstreamOut)
	}
	if len(u.stream.buf) > upstreamIn {
		u.stream.buf = make([]byte, upstreamIn)
	}
	u.stream.base, u.stream.r, u.stream.w = 0, 0, 0
	r.pump = nil
	u.pool.put(u)
}
