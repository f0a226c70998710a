package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// ClientConfig says how upstreams are reached. Zero limits take the default.
type ClientConfig struct {
	// Dial opens a connection to host:port. It decides which addresses may be reached.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the base of every TLS connection: authorities, a certificate of our own. The target's
	// certificate is always verified against its name, HTTP/1.1 is the only protocol, and sessions
	// are resumed, by this client alone.
	TLS *tls.Config
	Now func() time.Time

	Limits        Limits        // of answers' heads: 64 KiB, 256 fields
	DialTimeout   time.Duration // 10 s
	TLSTimeout    time.Duration // of a handshake; 10 s
	HeaderTimeout time.Duration // from the request's end to the answer's head; 0: the call's deadline
	BodyPause     time.Duration // for one read of the answer; 0: the call's deadline or timeout
	BodyTimeout   time.Duration // for the whole answer of a call with a Timeout; 10 min
	IdleTimeout   time.Duration // 55 s
	Lifetime      time.Duration // after which a connection is not used again, so that changed DNS answers are followed; 2 min
	MaxIdle       int           // per target; 256
	MaxConns      int           // per target; 1024
	MaxTargets    int           // that are remembered; 1024
}

// Client keeps connections to upstreams. It is safe for concurrent use and starts no goroutine
// of its own but while connections are idle.
type Client struct {
	cfg   ClientConfig
	real  bool // the clock is the machine's
	mu    sync.Mutex
	pools map[targetKey]*Pool
	bufs  sync.Pool // of *upstream's memory
}

type targetKey struct {
	address string
	tls     bool
}

// NewClient returns a client without connections.
func NewClient(cfg ClientConfig) *Client {
	during := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	either := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	during(&cfg.DialTimeout, 10*time.Second)
	during(&cfg.TLSTimeout, 10*time.Second)
	during(&cfg.IdleTimeout, 55*time.Second)
	during(&cfg.BodyTimeout, 10*time.Minute)
	during(&cfg.Lifetime, 2*time.Minute)
	either(&cfg.MaxIdle, 256)
	either(&cfg.MaxConns, 1024)
	either(&cfg.MaxTargets, 1024)
	either(&cfg.Limits.Head, 64<<10)
	either(&cfg.Limits.Fields, 256)
	real := cfg.Now == nil
	if real {
		cfg.Now = time.Now
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{}
	}
	cfg.TLS = cfg.TLS.Clone()
	cfg.TLS.InsecureSkipVerify = false
	cfg.TLS.NextProtos = []string{"http/1.1"}
	cfg.TLS.MinVersion = max(cfg.TLS.MinVersion, tls.VersionTLS12)
	if cfg.TLS.ClientSessionCache == nil {
		cfg.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(256)
	}
	return &Client{cfg: cfg, real: real, pools: map[targetKey]*Pool{}}
}

// Pool gives the connections of a target: scheme http or https, host with or without a port.
func (c *Client) Pool(scheme, host string) *Pool {
	secure := scheme == "https"
	port := ":80"
	if secure {
		port = ":443"
	}
	name, address := host, host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	} else {
		name = strings.Trim(host, "[]")
		address = "[" + name + "]" + port
		if !strings.Contains(name, ":") {
			address = name + port
		}
	}
	key := targetKey{strings.ToLower(address), secure}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pools[key]
	if p == nil {
		if len(c.pools) >= c.cfg.MaxTargets {
			c.drop()
		}
		p = &Pool{c: c, address: key.address}
		if secure {
			p.tls = c.cfg.TLS.Clone()
			p.tls.ServerName = name
		}
		c.pools[key] = p
	}
	return p
}

// drop forgets one target, one without connections where there is one. Those who hold it
// may use it on. mu is held.
func (c *Client) drop() {
	var any targetKey
	for key, p := range c.pools {
		any = key
		if p.unused() {
			break
		}
	}
	if p := c.pools[any]; p != nil {
		p.CloseIdle()
	}
	delete(c.pools, any)
}

// CloseIdle closes the connections that wait.
func (c *Client) CloseIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pools {
		p.CloseIdle()
	}
}

// Call is one request to an upstream.
type Call struct {
	Method, Target, Host string
	// Fields are sent as they are, but for those about the connection and its framing.
	Fields []Field
	// Content is the body when it is in memory; else Body with its Length, -1 when that is not
	// known. Content beside a Body is its beginning, and part of the Length.
	Content []byte
	Body    io.Reader
	Length  int64
	// Deadline ends the call and the reading of its answer; zero is never.
	Deadline time.Time
	// Timeout, where there is no Deadline, is what the upstream has for each phase: to take the
	// request, or each piece of a Body, then to begin its answer, then for each piece of that.
	// ClientConfig.BodyTimeout bounds the whole answer.
	Timeout time.Duration
	phased  bool
	// Context ends it earlier. One that cannot end costs nothing; nil is such a one. Lasting says
	// that it is the same for many calls: it is watched for each connection, not for each call.
	Context context.Context
	Lasting bool
}

// idempotent reports whether a method may be sent a second time (RFC 9110, section 9.2.2).
func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE":
		return true
	}
	return false
}

// untouched is the failure of a kept connection before any byte of an answer: the upstream
// may have closed it before the request came.
type untouched struct {
	err  error
	sent bool // something of the request may have arrived
}

func (u *untouched) Error() string { return u.err.Error() }
func (u *untouched) Unwrap() error { return u.err }

// Do sends a call and returns the head of its answer. The caller reads the body from the
// reply and closes it, read or not.
//
// A call is sent again, over another connection, only when a kept connection turned out to be
// dead before it gave a byte of an answer, and then only when nothing of the call was written
// or its method is idempotent and its body is in memory.
func (p *Pool) Do(call *Call) (*Reply, error) {
	now := p.c.cfg.Now()
	if call.Timeout > 0 && call.Deadline.IsZero() {
		call.Deadline, call.phased = now.Add(call.Timeout), true
	}
	for attempt := 0; ; {
		u, err := p.get(call, attempt > 0, now)
		if err != nil {
			return nil, err
		}
		reused := u.used
		reply, err := u.do(call, now)
		if err == nil {
			return reply, nil
		}
		u.stop()
		if err == errStale {
			continue
		}
		var dead *untouched
		if !errors.As(err, &dead) {
			return nil, err
		}
		again := reused && attempt == 0 && call.Body == nil && (!dead.sent || idempotent(call.Method))
		if !again {
			return nil, dead.err
		}
		attempt++
	}
}
