package http1

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// States of a connection, for a shutdown: one that waits is woken, one at work is not.
const (
	stateIdle int32 = iota
	stateBusy
	stateWoken
	stateNudged // told to park
)

// conn is one client's connection.
type conn struct {
	srv    *Server
	nc     net.Conn
	addr   netip.Addr
	remote string
	born   int64
	watch  watch
	state  atomic.Int32
	served atomic.Bool // a request was answered
	taken  atomic.Bool // the body was taken back from its reader: nothing more is read
	late   atomic.Bool // something took too long: the answer is the last
	handed bool        // to TLS
	bound  bool        // keeps its goroutine
	counts bool        // for its address's limit
	direct bool        // raw may be read and written by itself
	looked bool        // for the end of the client's side along with its first request, see tryRead
	ended  bool        // by the answer of a turn
	parts  bool        // its last answer was given: what the client still sends is read away
	fd     int32       // while it is parked
	stay   uint32      // the last time it was parked

	gone atomic.Pointer[func()] // called when the client leaves while its request runs

	raw syscall.RawConn // nil: not a socket
	try func(uintptr) bool
	w   *work // nil while the connection waits
	err error // of the first read
}

// work is what a connection needs while there is a request. It is pooled, so that a
// connection that waits holds next to nothing.
type work struct {
	in     []byte
	large  *[]byte // in is of the pool of large ones, and this is small
	extra  []byte  // for a body behind a head that leaves no room
	out    []byte
	fields []Field
	head   int // length of the head of a request that is whole
	socket socket
	stream stream
	req    Request
	resp   Response
	body   Body
}

// smallest room behind a head in which a body's framing is read
const bodyRoom = 1 << 10

// serve serves requests until the connection ends or parks.
func (c *conn) serve() {
	if c.raw == nil {
		c.prime()
	}
	next := c.wait()
	for next == comes && c.exchange() {
		c.served.Store(true)
		next = c.wait()
	}
	if next == parks {
		return // it is somebody else's
	}
	defer c.srv.forget(c)
	if c.w != nil {
		c.release()
	}
	if c.parts {
		c.goodbye()
	}
	if !c.handed {
		c.nc.Close()
	}
}

// prime finds out what the connection is.
func (c *conn) prime() {
	if c.raw = rawSocket(c.nc); c.raw != nil {
		c.direct = true
	} else if sc, ok := c.nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
}

// What comes of waiting for a request.
const (
	ends = iota
	comes
	parks
)

// wait waits for the first byte of a request.
func (c *conn) wait() int {
	if c.w != nil && c.w.stream.buffered() > 0 {
		return comes // pipelined
	}
	if c.w != nil {
		c.release()
	}
	if !c.watch.set(c.srv.clock.now.Load() + c.patience()) {
		return ends
	}
	c.state.CompareAndSwap(stateBusy, stateIdle)
	err := c.await()
	if c.state.Load() != stateBusy && !c.state.CompareAndSwap(stateIdle, stateBusy) {
		var next int
		if next, err = c.woken(err); next != comes {
			return next
		}
	}
	if err != nil || c.w == nil || c.ended {
		return ends
	}
	if !c.served.Load() && c.w.in[0] == 0x16 { // a TLS record that opens a handshake (RFC 8446, section 5.1)
		c.hand()
		return ends
	}
	return comes
}

// woken goes on when a shutdown has woken the connection or the sweep has told it to park.
func (c *conn) woken(err error) (int, error) {
	s := c.srv
	park := c.state.Load() == stateNudged && c.w == nil && errors.Is(err, os.ErrDeadlineExceeded)
	s.mu.Lock()
	_ = c.nc.SetDeadline(time.Time{})
	parked := park && c.park()
	c.bound = c.bound || park && !parked
	s.mu.Unlock()
	if parked {
		return parks, nil
	}
	c.state.Store(stateBusy)
	if park { // it must not: it goes on waiting, or its time is over
		return c.wait(), nil
	}
	if c.w == nil {
		err = c.glance() // a shutdown's deadline stands: look once more
	}
	return comes, err
}

// hurry wakes a connection that waits while the server drains. One that has not asked
// anything yet has a moment to do it. The server's mu is held.
func (c *conn) hurry() {
	if c.state.Load() != stateIdle || c.fresh(c.srv.cfg.Now().UnixNano()) || c.served.Load() && !c.silent() {
		return
	}
	if c.state.CompareAndSwap(stateIdle, stateWoken) {
		_ = c.nc.SetReadDeadline(past())
	}
}

// silence is since when a connection has been silent while the server drains, and its limit then.
type silence struct {
	limit int64
	from  time.Time
}

// silent reports whether a connection has asked nothing for a while since the server drains. A
// client at work asks again sooner, and learns from its next answer that it is the last: to close
// while its request is on the way would lose that. The server's mu is held.
func (c *conn) silent() bool {
	at, now := c.watch.at.Load(), time.Now()
	since, ok := c.srv.silences[c]
	if !ok || since.limit != at {
		since = silence{at, now}
		c.srv.silences[c] = since
	}
	return now.Sub(since.from) >= pauseAtWork
}

// ending reports whether the answer under way is the connection's last.
func (c *conn) ending() bool {
	return c.late.Load() || c.srv.draining.Load() || c.srv.clock.now.Load()-c.born > int64(c.srv.cfg.Lifetime)
}

func (c *conn) acquire() *work {
	w := c.srv.pool.Get().(*work)
	if w.socket.nc, w.socket.raw = c.nc, nil; c.direct {
		w.socket.raw = c.raw
	}
	w.stream = stream{from: &w.socket, buf: w.in, c: c}
	return w
}

func (c *conn) release() {
	w := c.w
	c.w = nil
	w.socket.nc, w.socket.raw, w.socket.turn = nil, nil, false
	clear(w.fields)
	w.reset(c.srv)
	w.req, w.resp, w.body, w.stream = Request{}, Response{}, Body{}, stream{}
	c.srv.pool.Put(w)
}

// reset gives a large buffer back.
func (w *work) reset(s *Server) {
	if w.large != nil {
		small := *w.large
		*w.large = w.in
		s.large.Put(w.large)
		s.heads.Add(-1)
		w.in, w.large = small, nil
	}
	if cap(w.out) > 4*outSize {
		w.out = make([]byte, 0, outSize)
	}
	if cap(w.fields) > 256 {
		w.fields = make([]Field, 0, 24)
	}
	w.out, w.fields = w.out[:0], w.fields[:0]
}

// grow moves what is buffered to a large buffer.
func (c *conn) grow() *Error {
	w := c.w
	if w.large != nil || len(w.in) > c.srv.cfg.Limits.Head {
		return errHeadLarge
	}
	if c.srv.heads.Add(1) > maxLarge {
		c.srv.heads.Add(-1)
		return errHeadBusy
	}
	large := c.srv.large.Get().(*[]byte)
	b := *large
	n := copy(b, w.stream.buf[w.stream.r:w.stream.w])
	*large = w.in
	w.large, w.in = large, b
	w.stream.buf, w.stream.base, w.stream.r, w.stream.w = b, 0, 0, n
	return nil
}

// readHead reads the head of the next request.
func (c *conn) readHead() (*Error, error) {
	w := c.w
	s := &w.stream
	s.base = 0
	w.req = Request{Fields: w.fields[:0], RemoteAddr: c.remote, Remote: c.addr, Body: &w.body}
	if !c.watch.set(c.srv.clock.now.Load() + int64(c.srv.cfg.HeadTimeout)) {
		return nil, ErrTimeout
	}
	for {
		n, bad := parseRequest(s.buf[s.r:s.w], &c.srv.cfg.Limits, &w.req)
		w.fields = w.req.Fields
		if bad != nil {
			return bad, nil
		}
		if n > 0 {
			s.r += n
			s.base = s.r
			return nil, nil
		}
		for more := false; !more; {
			if s.r > 0 {
				s.w = copy(s.buf, s.buf[s.r:s.w])
				s.r = 0
			}
			if s.w == len(s.buf) {
				if bad := c.grow(); bad != nil {
					return bad, nil
				}
			}
			// Not s.fill: the limit is for the whole head, not for a read.
			m, err := w.socket.Read(s.buf[s.w:])
			for _, b := range s.buf[s.w : s.w+m] {
				more = more || b == '\n'
			}
			s.w += m
			if err != nil && m == 0 {
				return nil, readError(err)
			}
			// A head is read again for each line that comes, and for a first line that gets long.
			more = more || s.w <= 2*maxMethod || s.w >= c.srv.cfg.Limits.Head || s.w >= c.srv.cfg.Limits.URI && bytes.IndexByte(s.buf[:s.w], '\n') < 0
		}
	}
}

// exchange serves one request and reports whether the connection goes on.
func (c *conn) exchange() bool {
	bad, err := c.readHead()
	c.watch.done()
	return c.reply(bad, err)
}

// reply serves a request whose head was read, or refuses it, and reports whether the connection goes on.
func (c *conn) reply(bad *Error, err error) bool {
	w := c.w
	w.resp = Response{c: c, out: w.out[:0], length: -1}
	switch {
	case err == ErrTimeout:
		c.refuse(&Error{408, "the header did not come in time"})
		return false
	case err != nil:
		return false
	case bad != nil:
		c.refuse(bad)
		return false
	case w.req.Length > c.srv.cfg.MaxBody:
		c.refuse(ErrBodyTooLarge)
		return false
	}
	c.prepare()
	keep := w.req.head.persistent(w.req.Minor)
	w.resp.close, w.resp.old, w.resp.head, w.resp.asks = !keep, w.req.Minor == 0, w.req.Method == "HEAD", w.req.expect
	c.run()
	return c.after(w.resp.finish())
}

// prepare makes the body ready to be read.
func (c *conn) prepare() {
	w := c.w
	s := &w.stream
	if w.req.Length != 0 && len(s.buf)-s.base < bodyRoom {
		if w.extra == nil {
			w.extra = make([]byte, inSize)
		}
		n := copy(w.extra, s.buf[s.r:s.w])
		s.buf, s.base, s.r, s.w = w.extra, 0, 0, n
	}
	w.body.begin(s, w.req.Length, c.srv.cfg.MaxBody, &w.req.head)
	c.watch.end.Store(0)
	if w.req.Length != 0 {
		c.watch.end.Store(c.srv.clock.now.Load() + int64(c.srv.cfg.BodyTimeout))
		if w.req.expect {
			w.body.ask = &w.resp
		}
	}
}

// run calls the handler. What panics after the answer has begun breaks it off.
func (c *conn) run() {
	w := c.w
	if c.srv.running.Add(1) > int64(c.srv.cfg.MaxRunning) {
		c.srv.running.Add(-1)
		w.resp.fail(503, "the server is busy")
		return
	}
	defer func() {
		c.srv.running.Add(-1)
		if c.gone.Load() != nil {
			c.gone.Store(nil)
		}
		if p := recover(); p != nil {
			if !isAbort(p) {
				c.srv.cfg.Log.Error("http1: a handler panicked", "panic", p, "stack", string(debug.Stack()))
			}
			if w.resp.begun || isAbort(p) {
				w.resp.Abort()
			}
			w.resp.close = true
		}
	}()
	if w.req.Target == "*" { // OPTIONS for the server as a whole (RFC 9110, section 9.3.7)
		w.resp.Head(200, nil, 0)
		return
	}
	c.srv.cfg.Handler(&w.resp, &w.req)
}

// after sends the rest of the answer, gets the unread body out of the way, and reports
// whether the connection goes on.
func (c *conn) after(whole bool) bool {
	w := c.w
	w.resp.Flush()
	if !whole || w.resp.err != nil {
		c.reset()
		return false
	}
	bodyOver := w.body.over()
	if !bodyOver && !w.resp.close {
		c.watch.end.Store(c.srv.clock.now.Load() + int64(unreadTime))
		bodyOver = w.body.discard(unreadBound, w.resp.out[:outSize])
	}
	c.watch.end.Store(0)
	if w.resp.close || !bodyOver {
		c.parts = true
		return false
	}
	w.out = w.resp.out[:0]
	return c.shift()
}

// shift brings what was read of the next request to where a head may begin.
func (c *conn) shift() bool {
	w := c.w
	s := &w.stream
	if n := s.buffered(); n > 0 && (&s.buf[0] != &w.in[0] || s.r > len(w.in)/2) {
		s.w = copy(w.in, s.buf[s.r:s.w])
		s.r = 0
	}
	s.buf, s.base = w.in, 0
	if s.buffered() == 0 {
		s.r, s.w = 0, 0
	}
	return true
}

// refuse answers a request that could not be read, and ends the connection.
func (c *conn) refuse(e *Error) {
	w := c.w
	c.revive()
	c.srv.cfg.Log.Debug("http1: refused", "remote", c.remote, "status", e.Status, "reason", e.Reason)
	w.resp.close = true
	w.resp.fail(e.Status, e.Reason)
	w.resp.Flush()
	c.parts = true
}

// revive leaves a connection that is over its limit a moment for its answer. Whoever reads the
// body calls it, in a goroutine of a handler too: it must not touch the answer.
func (c *conn) revive() {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	c.watch.at.Store(0)
	c.watch.end.Store(0)
	c.late.Store(true)
	_ = c.nc.SetDeadline(time.Now().Add(unreadTime))
}

// plain gives the fields of the engine's own answers.
func (c *conn) plain(status int) []Field {
	f := []Field{{"Content-Type", "text/plain; charset=utf-8"}}
	if status == 503 {
		f = append(f, Field{"Retry-After", "1"})
	}
	return f
}

// goodbye closes so that the client can read the answer: closing with unread input would
// reset the connection and take the answer along (RFC 9112, section 9.6).
func (c *conn) goodbye() {
	if c.raw == nil {
		return
	}
	_ = c.nc.SetDeadline(time.Now().Add(lingerTime))
	linger(c.nc)
}

// reset ends a connection whose answer broke off.
func (c *conn) reset() {
	w := &c.w.resp
	if t, ok := c.nc.(*net.TCPConn); ok && w.begun && !w.chunked && w.length < 0 && !w.head {
		_ = t.SetLinger(0) // whoever reads to the end must see that this was none
	}
}

// linger says that nothing more comes and reads what does, a bounded amount of it.
func linger(nc net.Conn) {
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		if _, err := io.CopyN(io.Discard, nc, unreadBound); err == nil {
			time.Sleep(lingerTime) // who sends on and on has as long to read the answer before the reset
		}
	}
	nc.Close()
}

// hand gives a connection that speaks TLS to whom it belongs.
func (c *conn) hand() {
	if c.srv.cfg.TLS == nil {
		return
	}
	first := append([]byte(nil), c.w.stream.buf[c.w.stream.r:c.w.stream.w]...)
	c.srv.mu.Lock()
	c.handed = true
	delete(c.srv.conns, c)
	_ = c.nc.SetDeadline(time.Time{})
	c.srv.mu.Unlock()
	c.release()
	c.srv.cfg.TLS(&handedConn{Conn: c.nc, srv: c.srv, key: c.key(), first: first})
}

// handedConn gives back what was read ahead, and ends the connection's count when it is closed.
type handedConn struct {
	net.Conn
	srv   *Server
	key   netip.Addr
	first []byte
	once  sync.Once
}

func (h *handedConn) Read(p []byte) (int, error) {
	if len(h.first) > 0 && len(p) > 0 {
		n := copy(p, h.first)
		if h.first = h.first[n:]; len(h.first) == 0 {
			h.first = nil
		}
		return n, nil
	}
	return h.Conn.Read(p)
}

func (h *handedConn) Close() error {
	h.once.Do(func() {
		h.srv.mu.Lock()
		h.srv.uncount(h.key)
		h.srv.mu.Unlock()
	})
	return h.Conn.Close()
}

// awaitAny waits on what is no socket: it keeps its buffer.
func (c *conn) awaitAny() error {
	w := c.acquire()
	n, err := c.nc.Read(w.in)
	if n == 0 {
		c.w = w
		c.release()
		if err == nil {
			err = io.ErrNoProgress
		}
		return err
	}
	w.stream.w = n
	c.w = w
	return nil
}

func temporary(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}
