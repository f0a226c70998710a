package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// resolver answers lookups of a test.
type resolver struct {
	asked atomic.Int32
	addrs []string
	err   error
}

func (r *resolver) lookup(context.Context, string, string) ([]netip.Addr, error) {
	r.asked.Add(1)
	var out []netip.Addr
	for _, a := range r.addrs {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, r.err
}

func dialerOf(private bool, r *resolver, now *time.Time) *Dialer {
	d := NewDialer(private)
	d.lookup, d.now = r.lookup, func() time.Time { return *now }
	return d
}

func absent() error { return &net.DNSError{Err: "no such host", IsNotFound: true} }

func TestDialer_Keeps(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	r := &resolver{addrs: []string{"192.0.2.1", "::ffff:192.0.2.1"}}
	d := dialerOf(true, r, &now)
	ask := func(after time.Duration, asked int32, want string) {
		t.Helper()
		now = now.Add(after)
		addrs, err := d.resolve(t.Context(), "a.example")
		got := ""
		for _, a := range addrs {
			got += a.String()
		}
		if err != nil {
			got = "error"
		}
		if got != want || r.asked.Load() != asked {
			t.Errorf("got %s %v, want %s; asked %d times, want %d", got, err, want, r.asked.Load(), asked)
		}
	}
	ask(0, 1, "192.0.2.1")
	r.addrs = []string{"192.0.2.2"}
	ask(nameLife-1, 1, "192.0.2.1")
	ask(1, 2, "192.0.2.2")
	r.addrs, r.err = nil, errors.New("the resolver is gone")
	ask(nameLife, 3, "192.0.2.2") // the old answer serves on
	ask(failedLife-1, 3, "192.0.2.2")
	ask(staleLife, 4, "error")
	ask(failedLife-1, 4, "error")
	r.addrs, r.err = []string{"192.0.2.3"}, nil
	ask(1, 5, "192.0.2.3")
	r.addrs, r.err = nil, absent()
	ask(nameLife, 6, "error") // a name that is gone is gone
	ask(absentLife-1, 6, "error")
	r.addrs, r.err = nil, nil
	ask(1, 7, "error")
}

// Many ask at once for one name: one lookup answers, and outlives who does not wait for it.
func TestDialer_AsksOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := NewDialer(true)
		d.now = time.Now
		var asked atomic.Int32
		release := make(chan struct{})
		d.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
			asked.Add(1)
			<-release
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
		}
		impatient, cancel := context.WithCancel(t.Context())
		results := make(chan error, 10)
		for i := range 10 {
			ctx := t.Context()
			if i == 0 {
				ctx = impatient
			}
			go func() { _, err := d.resolve(ctx, "a.example"); results <- err }()
		}
		synctest.Wait()
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		close(release)
		for range 9 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("%d lookups", n)
		}
	})
}

func TestDialer_Bounds(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := &resolver{addrs: slices.Repeat([]string{"192.0.2.1"}, 3)}
	for i := range 40 {
		r.addrs = append(r.addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String())
	}
	d := dialerOf(true, r, &now)
	for i := range maxNames + 50 {
		if addrs, err := d.resolve(t.Context(), string(rune('a'+i))+".example"); err != nil || len(addrs) != maxAddresses {
			t.Fatal(len(addrs), err)
		}
	}
	if len(d.names) != maxNames {
		t.Errorf("%d names", len(d.names))
	}
}

// listening gives the port of a listener at 127.0.0.1 alone.
func listening(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// Of several addresses the next is tried; which may be reached is decided on each.
func TestDialer_TriesInTurn(t *testing.T) {
	t.Parallel()
	port := listening(t)
	now := time.Now()
	for _, tt := range []struct {
		addrs     []string
		private   bool
		ok        bool
		forbidden bool
	}{
		{[]string{"127.0.0.1"}, true, true, false},
		{[]string{"127.0.0.1"}, false, false, true},
		{[]string{"127.0.0.2", "127.0.0.1", "127.0.0.3"}, true, true, false},
		{[]string{"169.254.169.254", "127.0.0.1"}, true, true, false},
		{[]string{"169.254.169.254", "127.0.0.2"}, true, false, true},
		{[]string{"169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"}, true, false, true},
		{[]string{"127.0.0.1", "10.0.0.1"}, false, false, true},
	} {
		r := &resolver{addrs: tt.addrs}
		d := dialerOf(tt.private, r, &now)
		for range 4 {
			c, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("a.example", port))
			if (err == nil) != tt.ok || errors.Is(err, ErrForbidden) != tt.forbidden {
				t.Errorf("%v, private %v: %v", tt.addrs, tt.private, err)
			}
			if err == nil {
				c.Close()
			}
		}
		if tt.ok {
			d.mu.Lock()
			if order := d.names["a.example"].order(1); order[0].String() != "127.0.0.1" {
				t.Errorf("%v: the next time it begins with %v", tt.addrs, order)
			}
			d.mu.Unlock()
		}
	}
	// What was kept for one who may is no way in for one who may not.
	for _, address := range []string{"127.0.0.1:" + port, "[::ffff:127.0.0.1]:" + port, "[64:ff9b::7f00:1]:" + port} {
		if c, err := NewDialer(false).DialContext(t.Context(), "tcp", address); !errors.Is(err, ErrForbidden) {
			t.Error(c, err)
		}
	}
}

// A name none of whose addresses answers is asked for again soon.
func TestDialer_AsksAgainWhenNothingAnswers(t *testing.T) {
	t.Parallel()
	port := listening(t)
	now := time.Now()
	r := &resolver{addrs: []string{"127.0.0.2", "127.0.0.3"}}
	d := dialerOf(true, r, &now)
	dial := func() error {
		c, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort("moved.example", port))
		if err == nil {
			c.Close()
		}
		return err
	}
	if dial() == nil {
		t.Error("reached")
	}
	r.addrs = []string{"127.0.0.1"}
	if dial() == nil || r.asked.Load() != 1 {
		t.Errorf("%d lookups", r.asked.Load())
	}
	now = now.Add(failedLife)
	if err := dial(); err != nil || r.asked.Load() != 2 {
		t.Errorf("%v, %d lookups", err, r.asked.Load())
	}
}

// An address that says nothing costs its head start, not the whole time.
func TestDialer_Silence(t *testing.T) {
	t.Parallel()
	port := listening(t)
	now := time.Now()
	r := &resolver{addrs: []string{"127.0.0.2", "127.0.0.1"}}
	d := dialerOf(true, r, &now)
	d.turn.Store(1) // the second turn begins with 127.0.0.2
	dial := d.dial
	d.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(address); host == "127.0.0.2" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return dial(ctx, network, address)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort("a.example", port))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}
