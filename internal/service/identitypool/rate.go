package identitypool

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// How many guests are made. Anybody may become one, each call makes another, and
// none is ever deleted by itself: without a bound a stranger could fill the disk.
// Behind one address may be a school, hence the burst.
const (
	guestsPerSecond, guestsBurst         = 5, 500   // of one address
	poolGuestsPerSecond, poolGuestsBurst = 25, 2500 // of one pool
	maxGuestBuckets                      = 10_000
)

// rates are token buckets by name: of each the moment at which it will be full
// again. It is safe for concurrent use and takes bounded memory.
type rates struct {
	mu   sync.Mutex
	full map[string]time.Time
}

// take spends a token of a bucket of this rate and depth; false when there is none.
// With mu held.
func (r *rates) take(name string, perSecond, burst int, now time.Time) bool {
	gap := time.Second / time.Duration(perSecond)
	next := r.full[name]
	if next.Before(now) {
		next = now
	}
	if next = next.Add(gap); next.Sub(now) > gap*time.Duration(burst) {
		return false
	}
	r.full[name] = next
	return true
}

// makeRoom forgets the buckets that are full. When none is, as when somebody has
// more addresses than we remember, those of addresses are forgotten: the pools'
// own bounds hold.
func (r *rates) makeRoom(now time.Time) {
	if len(r.full) < maxGuestBuckets {
		return
	}
	for name, full := range r.full {
		if !full.After(now) {
			delete(r.full, name)
		}
	}
	if len(r.full) < maxGuestBuckets {
		return
	}
	for name := range r.full {
		if name[0] == 'a' {
			delete(r.full, name)
		}
	}
}

// admitGuest decides whether a pool makes another guest for this caller.
func (s *Service) admitGuest(ctx context.Context, pool string) error {
	now := s.cfg.Now()
	r := &s.guests
	r.mu.Lock()
	defer r.mu.Unlock()
	r.makeRoom(now)
	from := network(wire.CallFrom(ctx).SourceIP)
	if from != "" && !r.take("address "+from, guestsPerSecond, guestsBurst, now) || !r.take("pool "+pool, poolGuestsPerSecond, poolGuestsBurst, now) {
		return &api.TooManyRequestsException{Message: "Rate exceeded"}
	}
	return nil
}

// network is what one caller has of addresses: of IPv6 a /64. It is "" for addresses
// that are not of the Internet: a proxy may stand there, and all the world behind it.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return ""
	}
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
