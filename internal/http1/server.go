package http1

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Handler answers one request. It may read the body until it returns and must not keep
// the request's strings; see [Request.Own].
type Handler func(*Response, *Request)

// Config says what a server does and how much it bears. Zero limits take the default.
type Config struct {
	Handler Handler
	// TLS takes over a connection that begins with a TLS handshake; nil refuses it.
	TLS func(net.Conn)
	Log *slog.Logger
	Now func() time.Time

	Limits Limits // 64 KiB, 16 KiB, 128 fields
	// MaxBody bounds a body. Handlers may want less. 1 GiB.
	MaxBody int64

	FirstTimeout  time.Duration // for the first byte of a connection; 30 s
	HeadTimeout   time.Duration // from a request's first byte to the end of its head; 10 s
	BodyPause     time.Duration // for one read of a body, and for one write of an answer; 30 s
	BodyTimeout   time.Duration // for a whole body; 10 min
	IdleTimeout   time.Duration // between requests; 2 min
	Lifetime      time.Duration // of a connection, after which it ends with an answer; 1 h
	MaxConns      int           // 16384
	MaxPerAddress int           // of one address, but loopback; an IPv6 /64 counts as one; 1024
	MaxRunning    int           // requests in handlers at once; 4096
}

// Bounds that no configuration changes.
const (
	inSize      = 8 << 10 // of the buffer that a head is read into first
	outSize     = 4 << 10
	unreadBound = 256 << 10 // of a body that the handler left, to keep the connection
	unreadTime  = 2 * time.Second
	lingerTime  = 500 * time.Millisecond
	maxLinger   = 256 // connections that linger at once after an overload
	// maxLarge bounds the large buffers, of Limits.Head each, that clients can make us hold by
	// sending most of a header and no end. It is more than one address may have connections.
	maxLarge = 2048
	lastCall = time.Second
	// pauseAtWork is what a client at work needs at most between an answer and its next request.
	// It is more than a tick, so that the limits of two pauses differ.
	pauseAtWork = tick + tick/2
)

// Server speaks HTTP/1.1 on accepted connections: a goroutine and a buffer only while there
// is a request, or has just been. Make it with [NewServer].
type Server struct {
	cfg      Config
	clock    clock
	pool     sync.Pool // of *work
	large    sync.Pool // of *[]byte, for heads that need more than inSize
	running  atomic.Int64
	draining atomic.Bool
	linger   atomic.Int32
	heads    atomic.Int32 // large buffers that are in use

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	lot       lot
	total     int // connections, those that are parked and those handed to TLS too
	addresses map[netip.Addr]int
	silences  map[*conn]silence // while the server drains
	serving   int               // calls of Serve
	watchers  int               // of them and of their last connections
}

// NewServer returns a server that serves what is given to [Server.Serve].
func NewServer(cfg Config) *Server {
	defaults(&cfg)
	s := &Server{cfg: cfg, listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{}, addresses: map[netip.Addr]int{}}
	s.clock.set(cfg.Now())
	s.pool.New = func() any {
		return &work{in: make([]byte, inSize), out: make([]byte, 0, outSize), fields: make([]Field, 0, 24)}
	}
	s.large.New = func() any { b := make([]byte, cfg.Limits.Head+inSize); return &b }
	return s
}

func defaults(c *Config) {
	either := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	during := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	either(&c.Limits.Head, 64<<10)
	either(&c.Limits.URI, 16<<10)
	either(&c.Limits.Fields, 128)
	either(&c.MaxConns, 16384)
	either(&c.MaxPerAddress, 1024)
	either(&c.MaxRunning, 4096)
	during(&c.FirstTimeout, 30*time.Second)
	during(&c.HeadTimeout, 10*time.Second)
	during(&c.BodyPause, 30*time.Second)
	during(&c.BodyTimeout, 10*time.Minute)
	during(&c.IdleTimeout, 2*time.Minute)
	during(&c.Lifetime, time.Hour)
	if c.MaxBody == 0 {
		c.MaxBody = 1 << 30
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// Serve accepts connections until the listener fails or the server is shut down, then
// returns [ErrServerClosed].
func (s *Server) Serve(l net.Listener) error { return s.Take(l)() }

// Take makes the server responsible for a listener: from now on a shutdown answers whoever
// has connected to it. The function that it returns, which must be called, is Serve's work.
func (s *Server) Take(l net.Listener) (serve func() error) {
	s.mu.Lock()
	s.listeners[l] = struct{}{}
	s.serving++
	s.mu.Unlock()
	return func() error { return s.serve(l) }
}

func (s *Server) serve(l net.Listener) error {
	defer func() {
		s.mu.Lock()
		s.serving--
		s.mu.Unlock()
	}()
	done := make(chan struct{})
	defer close(done)
	s.watching(1)
	go s.watch(done)
	for pause := time.Duration(0); ; {
		if s.draining.Load() {
			s.lastCalls(l)
		}
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			s.accept(nc)
			continue
		}
		var ne net.Error
		switch {
		case s.draining.Load():
			return ErrServerClosed
		case errors.As(err, &ne) && ne.Timeout() || temporary(err):
			// Out of files, for example: those that are open get on with it meanwhile.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			time.Sleep(pause)
		default:
			return err
		}
	}
}

// watch keeps the clock and ends what has taken too long, until done is closed and no
// connection is left.
func (s *Server) watch(done <-chan struct{}) {
	defer s.watching(-1)
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-done:
			done = nil
		case <-t.C:
		}
		if s.sweep(s.cfg.Now()) == 0 && done == nil {
			return
		}
	}
}

// sweep sets the clock to now, breaks off what is over its limit and lets who waits for long
// park. It returns the number of connections.
func (s *Server) sweep(now time.Time) int {
	s.clock.set(now)
	at := now.UnixNano()
	s.mu.Lock()
	for c := range s.conns {
		if c.watch.over(at) {
			_ = c.nc.SetDeadline(past())
		}
		if f := c.gone.Load(); f != nil && c.left() {
			(*f)()
		}
		c.nudge(at)
	}
	over := s.overdue(at)
	left := len(s.conns) + len(s.lot.conns)
	s.mu.Unlock()
	for _, c := range over {
		s.dismiss(c)
	}
	return left
}

// past is a deadline that wakes whoever waits.
func past() time.Time { return time.Unix(1, 0) }

// accept counts a connection and serves it, or sheds it.
func (s *Server) accept(nc net.Conn) {
	c := s.newConn(nc)
	c.counts = true
	key := c.key()
	s.mu.Lock()
	full := s.total >= s.cfg.MaxConns || key.IsValid() && s.addresses[key] >= s.cfg.MaxPerAddress
	if !full {
		s.total++
		s.conns[c] = struct{}{}
		if key.IsValid() {
			s.addresses[key]++
		}
	}
	s.mu.Unlock()
	if full {
		s.shed(nc)
		return
	}
	go c.serve()
}

// ServeConn serves one connection that the caller has accepted, until it ends. It counts
// for no limit but the times.
func (s *Server) ServeConn(nc net.Conn) {
	c := s.newConn(nc)
	c.bound = true
	s.mu.Lock()
	s.total++
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	c.serve()
}

func (s *Server) newConn(nc net.Conn) *conn {
	addr := remoteAddr(nc)
	return &conn{srv: s, nc: nc, addr: addr, remote: nc.RemoteAddr().String(), born: s.clock.now.Load()}
}

// forget ends the count of a connection.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if !c.handed {
		s.uncount(c.key())
	}
}

// key is what the connection counts under; not valid where it does not.
func (c *conn) key() netip.Addr {
	if !c.counts {
		return netip.Addr{}
	}
	return addressKey(c.addr)
}

// uncount is called with mu held.
func (s *Server) uncount(key netip.Addr) {
	s.total--
	if key.IsValid() {
		if s.addresses[key]--; s.addresses[key] <= 0 {
			delete(s.addresses, key)
		}
	}
}

const overload = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// shed answers a connection that is too many without a goroutine; a bounded number of
// them wait a moment, so that the answer is not lost in a reset.
func (s *Server) shed(nc net.Conn) {
	_ = nc.SetDeadline(time.Now().Add(lingerTime))
	_, _ = nc.Write([]byte(overload))
	if s.linger.Add(1) > maxLinger {
		s.linger.Add(-1)
		nc.Close()
		return
	}
	go func() {
		defer s.linger.Add(-1)
		linger(nc)
	}()
}

// remoteAddr is the client's address; not valid where there is none (a pipe).
func remoteAddr(nc net.Conn) netip.Addr {
	if t, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// addressKey is what connections are counted under: not valid for loopback, where a proxy
// of this machine brings everybody's.
func addressKey(a netip.Addr) netip.Addr {
	switch {
	case a.IsLoopback():
		return netip.Addr{}
	case a.Is6():
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}

// Shutdown stops accepting, lets running requests end with their answers, and closes
// connections that wait. What a client had sent before is still answered, and who asks again at
// once is told by the answer that it is the last. It returns when
// no connection is left, or ctx's error; then [Server.Close] ends the rest.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	s.mu.Lock()
	if s.silences == nil {
		s.silences = map[*conn]silence{}
	}
	for l := range s.listeners {
		s.lastCalls(l)
	}
	s.mu.Unlock()
	t := time.NewTicker(tick / 25)
	defer t.Stop()
	for {
		s.clearLot()
		s.mu.Lock()
		left := len(s.conns) + len(s.lot.conns) + s.serving
		for c := range s.conns {
			c.hurry()
		}
		if left == 0 {
			s.closeListeners()
		}
		s.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// lastCalls lets a listener give what already waits to be accepted, and then end.
func (s *Server) lastCalls(l net.Listener) {
	if d, ok := l.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(time.Now().Add(tick / 10))
	} else {
		l.Close()
	}
}

// closeListeners is called with mu held.
func (s *Server) closeListeners() {
	for l := range s.listeners {
		l.Close()
	}
	clear(s.listeners)
}

// Close breaks every connection off.
func (s *Server) Close() {
	s.draining.Store(true)
	s.mu.Lock()
	s.closeListeners()
	s.lot.shut = true
	var parked []*conn
	for _, c := range s.lot.conns {
		parked = append(parked, c)
	}
	for c := range s.conns {
		c.breakOff()
	}
	for _, c := range parked {
		s.unpark(c)
	}
	s.mu.Unlock()
	for _, c := range parked {
		s.dismiss(c)
	}
}

// breakOff closes a connection that somebody else serves. The other side learns of it at once; closing
// a socket waits for who is in a turn at it.
func (c *conn) breakOff() {
	if half, ok := c.nc.(interface {
		CloseRead() error
		CloseWrite() error
	}); ok {
		_, _ = half.CloseWrite(), half.CloseRead()
	}
	go c.nc.Close()
}

// Connections gives the number of connections, those that were handed to TLS too.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}
