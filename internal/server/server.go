// Package server puts Moat together: it opens the store, makes every service, joins
// what one needs of another, listens, tells requests apart, and shuts down.
//
// It is the only package that knows two services. It holds no rule of its own about who
// may do what: those are the services', the gateway's and the wire pipeline's.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"moat/internal/http1"
	"moat/internal/service/iam"
	"moat/internal/store"
)

// Times of a connection. A slow client costs a goroutine for so long and no longer.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	drainTimeout  = 25 * time.Second
	trailTimeout  = 10 * time.Second
	maxHeader     = 64 << 10
	maxStreams    = 128       // of a connection of HTTP/2
	maxUnread     = 256 << 10 // of a stream, which we hold until somebody reads it
)

// Server is a running Moat.
type Server struct {
	cfg      Config
	db       *store.DB
	parts    *parts
	suffixes []string // domains below which hosts are classified
	listener *dualListener
	http     *http.Server       // TLS, HTTP/2; with Config.NetHTTP everything
	plain    *http1.Server      // nil with Config.NetHTTP
	bridge   http1.Handler      // of the plain port to ServeHTTP
	base     [2]context.Context // of requests to deployed APIs: with the root key, without
	ends     []*vpcEndpoint
	cancel   context.CancelFunc
	asked    atomic.Int64 // requests so far
	atDoor   atomic.Int64 // requests that net/http has in handlers
	shares   shares       // of them
	secure   atomic.Int64 // connections that net/http has
	leaving  atomic.Bool  // each answer of net/http's is the last of its connection
	since    time.Time    // of which time on
	running  sync.WaitGroup
	failed   chan error
	closing  sync.Once
}

// New opens the data, listens and makes every service; what is deployed is served as soon
// as it returns. [Server.Run] then waits for the end. An error is one sentence for a person.
func New(ctx context.Context, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	l, err := listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	cfg.address(l.Addr())
	s := &Server{cfg: cfg, since: cfg.Now(), failed: make(chan error, 16)}
	if s.ends, err = listenPrivately(cfg.VPCEndpoints); err != nil {
		l.Close()
		return nil, err
	}
	if err := s.open(ctx, l); err != nil {
		l.Close()
		s.closeEndpoints()
		s.Close()
		return nil, err
	}
	return s, nil
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program; stop it, or choose another address with --listen", address)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return l, nil
}

// address fills in the public address, which depends on the port that was taken.
func (c *Config) address(a net.Addr) {
	port := strconv.Itoa(a.(*net.TCPAddr).Port)
	if c.Domain == "" {
		c.Domain = "localhost:" + port
	}
	if c.BaseURL == "" {
		c.BaseURL = "http://localhost:" + port
	}
}

func (s *Server) open(ctx context.Context, l net.Listener) error {
	if !s.cfg.InMemory {
		if err := os.MkdirAll(s.cfg.Data, 0o700); err != nil {
			return fmt.Errorf("the data folder cannot be made: %w", err)
		}
	}
	key, err := s.cfg.masterKey()
	if err != nil {
		return err
	}
	storeCfg := store.Config{MasterKey: key, Now: s.cfg.Now, Rand: s.cfg.Rand, Log: s.cfg.Log}
	switch {
	case s.cfg.Database != "":
		storeCfg.URL = s.cfg.Database
	case s.cfg.InMemory:
		storeCfg.Path = ":memory:"
	default:
		storeCfg.Path = s.cfg.databaseFile()
	}
	if s.db, err = store.Open(ctx, storeCfg); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "store: ")) // a sentence for a person
	}
	if s.parts, err = join(ctx, s.db, &s.cfg, l.Addr()); err != nil {
		return err
	}
	s.suffixes = []string{hostOnly(s.cfg.Domain), "localhost", "amazonaws.com", "amazoncognito.com"}
	s.serve(l)
	return nil
}

// serve starts the background work and the listener.
func (s *Server) serve(l net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for name, run := range s.parts.background(s.cfg.Log) {
		s.start(ctx, name, run)
	}
	s.start(ctx, "store", s.db.Run)
	s.listener = newDualListener(l, s.tlsConfig())
	s.http = &http.Server{
		Handler: door{s}, ConnContext: s.born, ConnState: s.counted, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, WriteTimeout: answerTimeout, MaxHeaderBytes: maxHeader,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: maxUnread, MaxReceiveBufferPerConnection: 4 * maxUnread, WriteByteTimeout: bodyPause},
		BaseContext: arrivedAt, TLSConfig: s.tlsConfig(), ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	if !s.cfg.NetHTTP {
		s.plain = s.newPlain()
	}
	accept := s.accept(l)
	s.base = [2]context.Context{ctx, iam.WithoutRoot(ctx)}
	s.start(ctx, "rest", s.rest)
	s.start(ctx, "listener", func(context.Context) error { return accept() })
	s.start(ctx, "http", func(context.Context) error { return s.serveHTTP(s.listener) })
	for _, e := range s.ends {
		s.serveEndpoint(ctx, e)
	}
}

func (s *Server) serveHTTP(l net.Listener) error {
	if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// start runs background work; its failure ends the server.
func (s *Server) start(ctx context.Context, name string, run func(context.Context) error) {
	s.running.Go(func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			select {
			case s.failed <- fmt.Errorf("%s: %w", name, err):
			default:
			}
		}
	})
}

// Run serves until ctx is done or a part fails, then drains: requests under way get
// their answers, nothing answered is lost.
func (s *Server) Run(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	s.Close()
	return err
}

// Close drains and stops. It may be called more than once.
func (s *Server) Close() {
	s.closing.Do(func() {
		if s.http != nil {
			ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
			defer cancel()
			s.drain(ctx)
		}
		if s.cancel != nil {
			s.cancel()
		}
		if s.parts != nil {
			s.parts.close()
		}
		s.running.Wait()
		if s.parts != nil { // what ended just now belongs into the trail, too
			ctx, cancel := context.WithTimeout(context.Background(), trailTimeout)
			defer cancel()
			if err := s.parts.trail.Close(ctx); err != nil {
				s.cfg.Log.Error("the trail did not close cleanly", "error", err)
			}
		}
		if s.db != nil {
			if err := s.db.Close(); err != nil {
				s.cfg.Log.Error("the store did not close cleanly", "error", err)
			}
		}
	})
}

// BaseURL is the public address.
func (s *Server) BaseURL() string { return s.cfg.BaseURL }

// Addr is the address that the server listens on, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Administrator creates the administrator's access key at the first start.
func (s *Server) Administrator(ctx context.Context) (accessKeyID, secret string, created bool, err error) {
	return s.parts.iam.CreateAdministrator(ctx)
}

// ServeHTTP sends a request to who serves it. See [Server.classify].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = s.received(w, r)
	if e, ok := r.Context().Value(arrivedKey{}).(*vpcEndpoint); ok {
		e.serve(w, r)
		return
	}
	switch d := s.classify(r); d.kind {
	case toAPI:
		s.parts.gateway.ServeAPI(w, r, d.api, d.stage, d.path)
	case toCustom:
		s.parts.gateway.ServeDomain(w, r, d.custom, hostOnly(r.Host))
	case toPool:
		s.parts.userpool.ServePool(w, r, d.api, d.path)
	case toDomain:
		s.parts.userpool.ServeDomain(w, r, d.api, d.path)
	case toMoat:
		s.own(w, r, d.path)
	default:
		s.parts.pipeline.ServeHTTP(w, r)
	}
}

// received is what every request that net/http's types carry goes through first.
func (s *Server) received(w http.ResponseWriter, r *http.Request) *http.Request {
	s.asked.Add(1)
	if len(r.TransferEncoding) > 0 {
		// net/http hides whether the request gave a length, too, by which another reader of
		// the connection would have split it otherwise (RFC 9112, section 6.1): it ends here.
		w.Header().Set("Connection", "close")
	}
	if s.cfg.Dev && s.stranger(r) {
		r = r.WithContext(iam.WithoutRoot(r.Context()))
	}
	return r
}
