package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"moat/internal/outbound"
)

// Bounds of health: after so many failures in a row to connect, the target is left alone
// for a while that doubles.
const (
	failures   = 3
	firstPause = 500 * time.Millisecond
	lastPause  = 15 * time.Second
)

// Pool is the connections to one target. It is safe for concurrent use.
type Pool struct {
	c       *Client
	address string
	tls     *tls.Config // nil: plain

	mu      sync.Mutex
	idle    []*upstream // the last one was used last
	open    int         // idle ones too
	waiting []chan *upstream
	timer   *time.Timer

	failed int
	until  time.Time // no new connection before, but one trial
	pause  time.Duration
}

func (p *Pool) unused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open == 0
}

// get takes an idle connection, else opens one; at the limit it waits. Whether an idle one is
// still good shows when it is used.
func (p *Pool) get(call *Call, fresh bool, now time.Time) (*upstream, error) {
	if !fresh {
		if u := p.take(now); u != nil {
			return u, nil
		}
	}
	return p.dial(call, now)
}

// take removes the idle connection that was used last. Old ones are closed on the way.
func (p *Pool) take(now time.Time) *upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := len(p.idle); n > 0; n = len(p.idle) {
		u := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		if now.Sub(u.since) < p.c.cfg.IdleTimeout && now.Sub(u.born) < p.c.cfg.Lifetime {
			return u
		}
		p.open--
		u.close()
	}
	return nil
}

func (p *Pool) dial(call *Call, now time.Time) (*upstream, error) {
	base := call.Context
	if base == nil {
		base = context.Background()
	}
	limit := now.Add(p.c.cfg.DialTimeout)
	if !call.Deadline.IsZero() && call.Deadline.Before(limit) {
		limit = call.Deadline
	}
	// Not against the deadline itself: a test's clock may stand elsewhere.
	ctx, cancel := context.WithTimeout(base, limit.Sub(now))
	defer cancel()
	u, err := p.reserve(ctx, now)
	if u != nil || err != nil {
		return u, err
	}
	nc, err := p.connect(ctx)
	if err != nil {
		// That an address may not be reached is our own rule, which each call is told of.
		if !errors.Is(err, outbound.ErrForbidden) && base.Err() == nil && (ctx.Err() == nil || !limit.Equal(call.Deadline)) { // who waits only a moment learns nothing about the target
			p.settle(false)
		}
		p.leave()
		if ctx.Err() != nil && base.Err() == nil {
			err = ErrTimeout
		}
		return nil, err
	}
	p.settle(true)
	return newUpstream(p, nc, now), nil
}

// reserve takes a place for a new connection. Where there is none it waits for one that
// is given back, which it returns instead.
func (p *Pool) reserve(ctx context.Context, now time.Time) (*upstream, error) {
	p.mu.Lock()
	if p.failed >= failures && now.Before(p.until) {
		p.mu.Unlock()
		return nil, ErrUnavailable
	}
	if p.failed >= failures { // one trial; the others wait for what it finds
		p.until = now.Add(p.pause)
	}
	if p.open < p.c.cfg.MaxConns {
		p.open++
		p.mu.Unlock()
		return nil, nil
	}
	if len(p.waiting) >= p.c.cfg.MaxConns {
		p.mu.Unlock()
		return nil, ErrBusy
	}
	ch := make(chan *upstream, 1)
	p.waiting = append(p.waiting, ch)
	p.mu.Unlock()
	select {
	case u := <-ch:
		return u, nil
	case <-ctx.Done():
		p.giveUp(ch)
		return nil, ErrBusy
	}
}

// giveUp ends the wait for a place; one that came in the same moment is passed on.
func (p *Pool) giveUp(ch chan *upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.waiting {
		if p.waiting[i] == ch {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			return
		}
	}
	if u := <-ch; u != nil {
		u.close()
	}
	p.pass(nil)
}

// pass gives a place, with a connection or without, to who waits longest; else the
// place is free. mu is held.
func (p *Pool) pass(u *upstream) bool {
	if len(p.waiting) > 0 {
		p.waiting[0] <- u
		p.waiting = p.waiting[1:]
		return true
	}
	if u == nil {
		p.open--
	}
	return false
}

func (p *Pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass(nil)
}

// settle notes whether a connection could be opened.
func (p *Pool) settle(ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok {
		p.failed, p.pause = 0, 0
		return
	}
	if p.failed++; p.failed >= failures {
		p.pause = min(max(2*p.pause, firstPause), lastPause)
		p.until = p.c.cfg.Now().Add(p.pause)
	}
}

// connect opens a connection and, for TLS, verifies who answers.
func (p *Pool) connect(ctx context.Context) (net.Conn, error) {
	nc, err := p.c.cfg.Dial(ctx, "tcp", p.address)
	if err != nil || p.tls == nil {
		return nc, err
	}
	t := tls.Client(nc, p.tls)
	ctx, cancel := context.WithTimeout(ctx, p.c.cfg.TLSTimeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		nc.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			err = ErrTimeout
		}
		return nil, err
	}
	return t, nil
}

// put gives back a connection that may be used again. The time since it waits is that of its last
// call's beginning: after a long one, it is kept less long.
func (p *Pool) put(u *upstream) {
	p.mu.Lock()
	if u.since.Sub(u.born) >= p.c.cfg.Lifetime || len(p.idle) >= p.c.cfg.MaxIdle {
		p.pass(nil)
		p.mu.Unlock()
		u.close()
		return
	}
	if !p.pass(u) {
		p.idle = append(p.idle, u)
		if p.timer == nil {
			p.timer = time.AfterFunc(p.c.cfg.IdleTimeout, p.sweep)
		}
	}
	p.mu.Unlock()
}

// sweep closes what has been idle for too long, and comes again while there is something.
func (p *Pool) sweep() {
	now := p.c.cfg.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	keep := p.idle[:0]
	for _, u := range p.idle {
		if now.Sub(u.since) < p.c.cfg.IdleTimeout {
			keep = append(keep, u)
			continue
		}
		p.open--
		u.close()
	}
	clear(p.idle[len(keep):])
	if p.idle = keep; len(keep) > 0 {
		p.timer.Reset(p.c.cfg.IdleTimeout / 2)
	} else {
		p.timer = nil
	}
}

// CloseIdle closes the connections that wait.
func (p *Pool) CloseIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.idle {
		p.open--
		u.close()
	}
	p.idle = nil
}

// rawOf gives the socket below a connection, nil where there is none.
func rawOf(nc net.Conn) syscall.RawConn {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
