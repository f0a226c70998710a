package sandbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// counter is a handler that tells how often its environment was used.
const counter = `let n = 0; exports.handler = async () => ++n`

func TestHost_limits(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := node(t, `exports.handler = (e, c, cb) => setTimeout(() => cb(null, 1), e)`, func(s *Spec) { s.Limit = 2 })
	results := make(chan error, 4)
	for range 4 {
		go func() {
			_, err := h.Invoke(context.Background(), s, invocation(`1500`))
			results <- err
		}()
	}
	throttled := 0
	for range 4 {
		if err := <-results; errors.Is(err, ErrThrottled) {
			throttled++
		} else if err != nil {
			t.Error(err)
		}
	}
	if throttled != 2 {
		t.Errorf("%d of 4 were throttled, want 2", throttled)
	}
	want(t, invoke(t, h, s, `1`), `1`)
	s.Limit = 0
	if _, err := h.Invoke(context.Background(), s, invocation(`1`)); !errors.Is(err, ErrThrottled) {
		t.Errorf("a limit of 0: %v", err)
	}
	if _, err := h.Invoke(context.Background(), node(t, counter), Invocation{RequestID: "r", Payload: make([]byte, MaxPayload+1)}); !errors.Is(err, ErrPayloadTooLarge) {
		t.Errorf("a large payload: %v", err)
	}
}

// Warm environments are shared, and concurrent invocations never share one.
func TestHost_concurrent(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := node(t, `let busy = false; exports.handler = async (e) => { if (busy) throw new Error('shared'); busy = true; await new Promise(r => setTimeout(r, 5)); busy = false; return e; }`)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 25 {
				payload := fmt.Sprint(i*100 + j)
				res, err := h.Invoke(context.Background(), s, invocation(payload))
				if err != nil || string(res.Payload) != payload {
					t.Errorf("%s: %s %v", payload, res.Payload, err)
				}
			}
		})
	}
	wg.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.pools[s.Key].all); n < 1 || n > 4 {
		t.Errorf("%d environments", n)
	}
	if len(h.running) != 0 {
		t.Errorf("%v still run", h.running)
	}
}

func TestHost_Reap(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := newHost(t, func(c *Config) { c.Now = func() time.Time { return now }; c.IdleTimeout = time.Minute })
	s := node(t, counter)
	want(t, invoke(t, h, s, `{}`), `1`)
	now = now.Add(59 * time.Second)
	h.Reap()
	want(t, invoke(t, h, s, `{}`), `2`)
	now = now.Add(time.Minute)
	h.Reap()
	want(t, invoke(t, h, s, `{}`), `1`)
}

func TestHost_expires(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := newHost(t, func(c *Config) { c.Now = func() time.Time { return now } })
	s := node(t, counter, func(s *Spec) {
		start := s.Start
		s.Start = func(ctx context.Context, id string) (Start, error) {
			st, err := start(ctx, id)
			st.Expires = now.Add(time.Hour)
			return st, err
		}
	})
	want(t, invoke(t, h, s, `{}`), `1`)
	now = now.Add(59 * time.Minute)
	want(t, invoke(t, h, s, `{}`), `2`)
	now = now.Add(time.Minute)
	want(t, invoke(t, h, s, `{}`), `1`)
}

func TestHost_Discard(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := node(t, counter)
	want(t, invoke(t, h, s, `{}`), `1`)
	want(t, invoke(t, h, s, `{}`), `2`)
	h.Discard(s.Key)
	want(t, invoke(t, h, s, `{}`), `1`)
}

// The environment that was idle longest makes room for one that is needed.
func TestHost_MaxEnvironments(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := newHost(t, func(c *Config) {
		c.MaxEnvironments = 2
		c.Now = func() time.Time { now = now.Add(time.Second); return now }
	})
	a, b, c := node(t, counter), node(t, counter), node(t, counter)
	want(t, invoke(t, h, a, `{}`), `1`)
	want(t, invoke(t, h, b, `{}`), `1`)
	want(t, invoke(t, h, c, `{}`), `1`)
	want(t, invoke(t, h, b, `{}`), `2`)
	want(t, invoke(t, h, a, `{}`), `1`)
}

// A function that goes on after its answer is passed over; what it was to do is done
// by another environment.
func TestHost_busyAfterAnswer(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := node(t, `let n = 0; exports.handler = (e, c) => { c.done(null, ++n); const t = Date.now(); while (Date.now() - t < 700); }`)
	want(t, invoke(t, h, s, `{}`), `1`)
	want(t, invoke(t, h, s, `{}`), `1`)
}

func TestHost_startFails(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	failed := errors.New("no credentials")
	s := node(t, counter, func(s *Spec) {
		s.Start = func(context.Context, string) (Start, error) { return Start{}, failed }
	})
	if _, err := h.Invoke(t.Context(), s, invocation(`{}`)); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if h.total != 0 || len(h.running) != 0 {
		t.Errorf("%d environments, %v running", h.total, h.running)
	}
}
