package gateway

import (
	"sync"
	"sync/atomic"
	"time"
)

// Lease asks for a block of a quota: Want requests of what is left of Limit in Window.
type Lease struct {
	PlanID, KeyID, Window string
	Want, Limit           int64
	// Day is set when what is granted is spent at once, on that day ("2006-01-02"); else
	// [Gateway.TakeUsage] tells later what was spent.
	Day string
}

// Usage is what a key has spent of a plan's quota on a day since it was last told.
type Usage struct {
	PlanID, KeyID, Day string
	Requests           int64
}

// Unspent is what is given back of a leased block.
type Unspent struct {
	PlanID, KeyID, Window string
	Requests              int64
}

const dayLayout = "2006-01-02"

// usageBook collects what has been spent out of blocks, and the blocks that are open.
type usageBook struct {
	mu       sync.Mutex
	spent    []spending
	open     []holding
	returned []Unspent
}

// spending is a day of a key on which something was spent that was not told yet.
type spending struct {
	state *keyState
	day   *dayCount
}

// holding is a block that a key holds; seen is what it had left when it was last looked at.
type holding struct {
	state *keyState
	block *block
	seen  int64
}

// dayCount counts the requests of a day.
type dayCount struct {
	day int64 // since 1970
	n   atomic.Int64
}

// count notes a request that was spent out of a block. It locks once per key, day and telling.
func (u *usageBook) count(st *keyState, at time.Time) {
	day := at.Unix() / 86400
	for {
		d := st.day.Load()
		if d == nil || d.day != day {
			st.day.CompareAndSwap(d, &dayCount{day: day})
			continue
		}
		if d.n.Add(1) == 1 {
			u.mu.Lock()
			u.spent = append(u.spent, spending{st, d})
			u.mu.Unlock()
		}
		return
	}
}

func (u *usageBook) hold(st *keyState, b *block) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open = append(u.open, holding{st, b, -1})
}

// giveBack takes a block away from its key and notes what it had left.
func (u *usageBook) giveBack(st *keyState, b *block) {
	if !st.quota.CompareAndSwap(b, nil) {
		return
	}
	if left := b.left.Swap(0); left > 0 {
		u.returned = append(u.returned, Unspent{st.plan, st.key, b.window, left})
	}
}

// TakeUsage tells what was spent since it was last called. What a caller cannot write
// down it has to keep.
func (g *Gateway) TakeUsage() []Usage {
	u := &g.usage
	u.mu.Lock()
	spent := u.spent
	u.spent = nil
	u.mu.Unlock()
	out := make([]Usage, 0, len(spent))
	for _, s := range spent {
		if n := s.day.n.Swap(0); n > 0 {
			out = append(out, Usage{s.state.plan, s.state.key, time.Unix(s.day.day*86400, 0).UTC().Format(dayLayout), n})
		}
	}
	return out
}

// TakeUnspent takes blocks back, so that other nodes may spend them: those out of which
// nothing was spent since the last call, or all.
func (g *Gateway) TakeUnspent(all bool) []Unspent {
	u := &g.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	kept := u.open[:0]
	for _, h := range u.open {
		left := h.block.left.Load()
		switch {
		case h.state.quota.Load() != h.block || left <= 0:
		case all || left == h.seen:
			u.giveBack(h.state, h.block)
		default:
			h.seen = left
			kept = append(kept, h)
		}
	}
	clear(u.open[len(kept):])
	u.open = kept
	out := u.returned
	u.returned = nil
	return out
}
