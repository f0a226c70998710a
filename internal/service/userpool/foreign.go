package userpool

import (
	"context"
	"encoding/binary"
	"math"
	"runtime"
	"sync"
	"time"

	"moat/internal/pure/srp"
	"moat/internal/service/userpool/pwhash"
	"moat/internal/store"
)

// Origin is the identity towards which a verifier was made, where that is not the user's own:
// the verifier came in from a pool with another id, or under another spelling of the name.
type Origin struct{ Pool, User string }

// identity is what the user's verifier was made for.
func (u *User) identity() srp.Identity { return identityOf(u, u.Origin) }

func identityOf(u *User, o *Origin) srp.Identity {
	if o != nil {
		return srp.Identity{Pool: o.Pool, User: o.User}
	}
	return identity(u.Pool, u.Name)
}

// hasPassword says whether some password is the user's, be it by the hash of another system.
func (u *User) hasPassword() bool { return u.Verifier != nil || u.Hash != nil }

// foreignRows finds the users whose password is still the hash of another system.
func foreignRows(u *User) [][]string {
	if u.Hash == nil {
		return nil
	}
	return [][]string{{u.Pool}}
}

// slowHashes bounds how many hashes of other systems are checked at once. Each may cost a second
// of a processor and much memory: more of them would starve every other request.
type slowHashes struct {
	running chan struct{}
	present chan struct{} // running or waiting

	mu     sync.Mutex
	shares map[string]hashShare // by pool
}

func newSlowHashes() *slowHashes {
	n := max(1, runtime.GOMAXPROCS(0)/2)
	return &slowHashes{running: make(chan struct{}, n), present: make(chan struct{}, 8*n), shares: map[string]hashShare{}}
}

// matches checks a password when its turn comes. Who would wait too long is refused at once:
// a queue that grows answers nobody in time.
func (q *slowHashes) matches(ctx context.Context, h *pwhash.Hash, password string) (bool, error) {
	select {
	case q.present <- struct{}{}:
	default:
		return false, refuse(tooManyRequests, "Too many requests")
	}
	defer func() { <-q.present }()
	select {
	case q.running <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-q.running }()
	return h.Matches(password), nil
}

// matchesForeign checks a password against the hash that a user came with. For somebody imaginary
// it does that work too, for as large a share of all names as the pool has such users.
func (s *Service) matchesForeign(ctx context.Context, u *User, password string) (bool, error) {
	share, err := s.hashShare(ctx, u.Pool) // by everybody: that it is counted anew must not show in the time of some
	if err != nil {
		return false, err
	}
	var h *pwhash.Hash
	switch {
	case u.Hash != nil:
		h, err = s.foreignHash(u)
	case u.Sub == "":
		h = s.decoyHash(share, u)
	}
	if err != nil || h == nil {
		return false, err
	}
	return s.slow.matches(ctx, h, password)
}

func (s *Service) foreignHash(u *User) (*pwhash.Hash, error) {
	text, err := s.db.Unseal(sealForeign, u.Hash)
	if err != nil {
		return nil, err
	}
	return pwhash.Parse(string(text))
}

// hashShare is how many of a pool's users have the hash of another system, and one of them.
type hashShare struct {
	at    time.Time
	share float64
	hash  *pwhash.Hash // nil: there are none
}

// hashShareLife is how long a count stands: users come and convert one by one.
const hashShareLife = time.Minute

// decoyHash is what to check for somebody who does not exist. A slow answer says "this account
// has not signed in since the import". Names that are nobody's give it as often as users do, each
// name always alike, and turn quick, one after the other, as the users sign in: so the time
// tells nothing about who exists.
func (s *Service) decoyHash(of hashShare, u *User) *pwhash.Hash {
	place := binary.BigEndian.Uint64(s.secrets.mac("decoy hash", u.Pool, u.Key))
	if float64(place)/math.MaxUint64 >= of.share {
		return nil
	}
	return of.hash
}

// hashShare counts a pool's users and those with such a hash, once in a while: one request counts
// anew, the others go on with what was counted before.
func (s *Service) hashShare(ctx context.Context, poolID string) (hashShare, error) {
	now := s.time()
	s.slow.mu.Lock()
	found, known := s.slow.shares[poolID]
	stale := !known || now.Sub(found.at) >= hashShareLife
	if known && stale {
		s.slow.shares[poolID] = hashShare{at: now, share: found.share, hash: found.hash}
	}
	s.slow.mu.Unlock()
	if !stale {
		return found, nil
	}
	found = hashShare{at: now}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		mine := store.Query{Index: "foreign", Values: []string{poolID}, Limit: 1}
		first, err := s.tables.users.List(tx, mine)
		if err != nil || len(first) == 0 {
			return err
		}
		h, err := s.foreignHash(&first[0])
		if err != nil {
			return err
		}
		foreign, err := s.tables.users.Count(tx, mine)
		if err != nil {
			return err
		}
		all, err := s.tables.users.Count(tx, store.Query{Prefix: []string{poolID}})
		found.hash, found.share = pwhash.Specimen(h), float64(foreign)/float64(max(all, 1))
		return err
	})
	if err != nil {
		return found, err
	}
	s.slow.mu.Lock()
	defer s.slow.mu.Unlock()
	if len(s.slow.shares) > 4096 {
		clear(s.slow.shares)
	}
	s.slow.shares[poolID] = found
	return found, nil
}

// renewal is what a right password, shown in full, is good for beyond the sign-in: of a hash of
// another system, or a verifier of another pool, it makes the user's own verifier, by which SRP
// works from then on. It is not a new password: the policy and the history are not asked.
// nil: there is nothing to renew.
func (s *Service) renewal(u *User, password string, right bool) (func(*store.Tx, *User) (verdict, err error), error) {
	if !right || u.Hash == nil && u.Origin == nil {
		return nil, nil
	}
	pw, err := s.newPassword(u.Pool, u.Name, password)
	if err != nil {
		return nil, err
	}
	return func(tx *store.Tx, now *User) (verdict, err error) {
		if now.Hash == nil && now.Origin == nil { // somebody was quicker, with the same password
			return nil, nil
		}
		now.Salt, now.Verifier, now.Hash, now.Origin = pw.salt, pw.verifier, nil, nil
		return nil, s.tables.users.Put(tx, *now)
	}, nil
}
