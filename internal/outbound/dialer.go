package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How long answers of the machine's resolver are believed. It does not tell the times that
// the records themselves have.
const (
	nameLife   = 30 * time.Second
	absentLife = 5 * time.Second // that there is no such name
	failedLife = time.Second     // that nobody could say
	staleLife  = 5 * time.Minute // that an old answer serves while nobody can say
	lookupTime = 5 * time.Second

	maxNames     = 1024
	maxAddresses = 16
	// headStart is what an address gets before the next one is tried beside it (RFC 8305, section 5).
	headStart = 300 * time.Millisecond
)

// Dialer opens connections to addresses that may be reached. It keeps the addresses of a
// name for half a minute, tries one after the other, and decides on each when it connects,
// so an answer that is kept opens nothing that is closed. It is safe for concurrent use.
type Dialer struct {
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	now    func() time.Time
	turn   atomic.Uint32

	mu    sync.Mutex
	names map[string]*name
}

// name is what is known of one.
type name struct {
	addrs  []netip.Addr
	err    error
	until  time.Time     // when it is asked for again
	asked  time.Time     // when addrs were told
	asking chan struct{} // closed when the answer that is waited for is there
	bad    map[netip.Addr]bool
}

// NewDialer returns a dialer that reaches what [NewTransport]'s reaches.
func NewDialer(private bool) *Dialer {
	return &Dialer{dial: newDialer(private).DialContext, lookup: net.DefaultResolver.LookupNetIP, now: time.Now, names: map[string]*name{}}
}

// DialContext connects to host:port.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return d.dial(ctx, network, address)
	}
	addrs, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	return d.dialAny(ctx, network, host, port, addrs)
}

// resolve gives the addresses of a name, from memory or from the machine's resolver. Callers
// that ask for the same name wait for one answer; whoever gives up does not end it for the others.
func (d *Dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	d.mu.Lock()
	n := d.names[host]
	if n == nil {
		if len(d.names) >= maxNames {
			d.forget()
		}
		n = &name{}
		d.names[host] = n
	}
	if n.asking == nil && d.now().Before(n.until) {
		defer d.mu.Unlock()
		return n.order(d.turn.Add(1)), n.err
	}
	if n.asking == nil {
		n.asking = make(chan struct{})
		go d.ask(host, n)
	}
	answered := n.asking
	d.mu.Unlock()
	select {
	case <-answered:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return n.order(d.turn.Add(1)), n.err
}

// forget drops a name that nobody waits for. mu is held.
func (d *Dialer) forget() {
	for host, n := range d.names {
		if n.asking == nil {
			delete(d.names, host)
			return
		}
	}
}

// ask asks the resolver.
func (d *Dialer) ask(host string, n *name) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	addrs, err := d.lookup(ctx, "ip", host)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	var failure *net.DNSError
	switch absent := errors.As(err, &failure) && failure.IsNotFound; {
	case err == nil && len(addrs) > 0:
		*n = name{addrs: distinct(addrs), until: now.Add(nameLife), asked: now, asking: n.asking}
	case absent || err == nil:
		if err == nil {
			err = &net.DNSError{Err: "the name has no address", Name: host, IsNotFound: true}
		}
		*n = name{err: err, until: now.Add(absentLife), asking: n.asking}
	case len(n.addrs) > 0 && now.Sub(n.asked) < staleLife: // better than none (RFC 8767)
		n.err, n.until = nil, now.Add(failedLife)
	default:
		*n = name{err: err, until: now.Add(failedLife), asking: n.asking}
	}
	close(n.asking)
	n.asking = nil
}

func distinct(addrs []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, 0, len(addrs))
	for _, a := range addrs {
		if a = a.Unmap(); !slices.Contains(out, a) && len(out) < maxAddresses {
			out = append(out, a)
		}
	}
	return out
}

// order gives the addresses in the order in which to try them: from another one each time, and
// those last that did not answer. mu is held.
func (n *name) order(turn uint32) []netip.Addr {
	if len(n.addrs) < 2 {
		return n.addrs
	}
	first := int(turn % uint32(len(n.addrs)))
	out := append(slices.Clone(n.addrs[first:]), n.addrs[:first]...)
	slices.SortStableFunc(out, func(a, b netip.Addr) int {
		switch {
		case n.bad[a] == n.bad[b]:
			return 0
		case n.bad[a]:
			return 1
		}
		return -1
	})
	return out
}

// attempt is how one address ended.
type attempt struct {
	conn net.Conn
	addr netip.Addr
	err  error
}

// dialAny takes the first connection that comes about. The next address is tried when one has
// failed or had its head start.
func (d *Dialer) dialAny(ctx context.Context, network, host, port string, addrs []netip.Addr) (net.Conn, error) {
	at := func(a netip.Addr) string { return net.JoinHostPort(a.String(), port) }
	if len(addrs) == 1 {
		c, err := d.dial(ctx, network, at(addrs[0]))
		if err != nil && ctx.Err() == nil {
			d.failed(host, addrs)
		}
		return c, err
	}
	parent := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan attempt, len(addrs))
	started, ended := 0, 0
	begin := func() {
		if started < len(addrs) {
			a := addrs[started]
			started++
			go func() {
				c, err := d.dial(ctx, network, at(a))
				results <- attempt{c, a, err}
			}()
		}
	}
	begin()
	next := time.NewTicker(headStart)
	defer next.Stop()
	var errs []error
	for {
		select {
		case <-next.C:
			begin()
		case r := <-results:
			if ended++; r.err == nil {
				d.failed(host, addrs[:slices.Index(addrs, r.addr)])
				go discard(results, started-ended)
				return r.conn, nil
			}
			if errs = append(errs, r.err); ended == len(addrs) || ended == started && parent.Err() != nil {
				if parent.Err() == nil {
					d.failed(host, addrs)
				}
				return nil, errors.Join(errs...)
			}
			if parent.Err() == nil {
				begin()
				next.Reset(headStart)
			}
		}
	}
}

// discard closes what came too late.
func discard(results <-chan attempt, n int) {
	for range n {
		if r := <-results; r.conn != nil {
			r.conn.Close()
		}
	}
}

// failed notes addresses that did not answer, or not in time. When none of a name's does, the
// name is asked for again soon.
func (d *Dialer) failed(host string, addrs []netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.names[host]
	if n == nil || len(addrs) == 0 {
		return
	}
	if len(addrs) == len(n.addrs) {
		n.bad = nil
		if soon := d.now().Add(failedLife); soon.Before(n.until) {
			n.until = soon
		}
		return
	}
	if n.bad == nil {
		n.bad = map[netip.Addr]bool{}
	}
	for _, a := range addrs {
		n.bad[a] = true
	}
}

// Fixed returns a dialer whose connections all go to targets (host:port), whatever address is
// asked for: in turn, and to the next where one does not answer. The operator chose the targets,
// so their addresses may be private; those where machines keep their metadata are refused all the same.
func Fixed(targets []string) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := NewDialer(true)
	var turn atomic.Uint32
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		if len(targets) == 0 {
			return nil, ErrForbidden
		}
		first, errs := int(turn.Add(1)-1)%len(targets), []error(nil)
		for i := range targets {
			attempt, cancel := context.WithTimeout(ctx, fixedTime)
			c, err := d.DialContext(attempt, network, targets[(first+i)%len(targets)])
			cancel()
			if err == nil {
				return c, nil
			}
			if errs = append(errs, err); ctx.Err() != nil {
				break
			}
		}
		return nil, errors.Join(errs...)
	}
}

// fixedTime is what one of several targets has to answer in.
const fixedTime = 5 * time.Second
