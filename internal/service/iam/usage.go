package iam

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
)

// What is kept of the use of keys and permissions, and for how long. AWS's
// tracking period for last accessed information is 400 days.
const (
	usageInterval = 10 * time.Second
	usageBatch    = 500
	maxUsage      = 20_000 // uses that wait for being written
	trackedFor    = 400 * 24 * time.Hour
)

// Use is the last time that a user or role tried an action, whatever the answer
// was. It belongs to the unique id: a new entity of an old name has used nothing.
type Use struct {
	Account, Principal string // AIDA... or AROA...
	Service, Action    string // ssm and GetParameter, as policies name them
	Region             string
	At                 time.Time
}

// KeyUse is the last time that a long-lived access key signed a call. It goes with
// its key.
type KeyUse struct {
	KeyID, Service, Region string
	At                     time.Time
}

type useKey struct{ principal, service, action string }

type lastUse struct {
	region string
	at     time.Time
}

// recorder gathers uses beside the calls and writes them in batches. What came
// within the last interval before a crash is lost; a regular end writes it.
type recorder struct {
	uses    *store.Table[Use]
	keys    *store.Table[KeyUse]
	mu      sync.Mutex
	pending map[useKey]lastUse
	signed  map[string]KeyUse
	dropped int
	flushes sync.Mutex // one at a time, so that who waited sees what was under way

	// recent are uses that were noted, by a hash of the key's id: another one in the same second says nothing new.
	recent [64]atomic.Pointer[recentUse]
	seed   maphash.Seed
}

type recentUse struct {
	keyID, id, service, action, region string
	second                             int64
}

func newRecorder() *recorder {
	expiry := func(at time.Time) time.Time { return at.Add(trackedFor) }
	return &recorder{
		uses: store.NewTable(store.Schema[Use]{
			Name: "iam_uses", Key: []string{"account", "principal", "service", "action"},
			KeyOf:   func(u *Use) []string { return []string{u.Account, u.Principal, u.Service, u.Action} },
			Expires: func(u *Use) time.Time { return expiry(u.At) },
		}),
		keys: store.NewTable(store.Schema[KeyUse]{
			Name: "iam_key_uses", Key: []string{"id"},
			KeyOf: func(k *KeyUse) []string { return []string{k.KeyID} },
		}),
		pending: map[useKey]lastUse{}, signed: map[string]KeyUse{}, seed: maphash.MakeSeed(),
	}
}

// Used notes that a caller, whom a signature proved, tried an action of a
// service: "ssm" and "GetParameter" or "ssm:GetParameter". It is called for
// refused calls, too, as AWS counts attempts. It never blocks on the store and
// takes bounded memory: what does not fit is dropped, with a line in the log.
//
// The key's last use and the principal's are kept; root has neither.
func (s *Service) Used(caller wire.Caller, service, region, action string, at time.Time) {
	if caller.Account != s.cfg.Account || caller.Kind != policy.PrincipalUser && caller.Kind != policy.PrincipalAssumedRole {
		return
	}
	r := s.used
	use := recentUse{caller.AccessKeyID, caller.ID, service, action, region, at.Unix()}
	recent := &r.recent[maphash.String(r.seed, use.keyID)%uint64(len(r.recent))]
	if known := recent.Load(); known != nil && *known == use {
		return
	}
	if _, name, ok := strings.Cut(action, ":"); ok {
		action = name
	}
	id, _, _ := strings.Cut(caller.ID, ":")
	k := useKey{id, service, action}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.pending[k]; ok || len(r.pending) < maxUsage {
		if at.After(old.at) {
			r.pending[k] = lastUse{region, at}
		}
		noted := use
		recent.Store(&noted)
	} else {
		r.dropped++
	}
	if !strings.HasPrefix(caller.AccessKeyID, "AKIA") {
		return
	}
	if old, ok := r.signed[caller.AccessKeyID]; (ok || len(r.signed) < maxUsage) && at.After(old.At) {
		r.signed[caller.AccessKeyID] = KeyUse{caller.AccessKeyID, service, region, at}
	}
}

// Run writes what [Service.Used] noted until ctx is done, and then once more.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(usageInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.flushUsage(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
			s.flushUsage(ctx)
		}
	}
}

// flushUsage writes what is pending. What could not be written waits for the
// next time.
func (s *Service) flushUsage(ctx context.Context) {
	r := s.used
	r.flushes.Lock()
	defer r.flushes.Unlock()
	r.mu.Lock()
	pending, signed, dropped := r.pending, r.signed, r.dropped
	idle := len(pending)+len(signed) == 0
	if !idle { // what is written from here on belongs to this call alone
		r.pending, r.signed = map[useKey]lastUse{}, map[string]KeyUse{}
	}
	r.dropped = 0
	r.mu.Unlock()
	if dropped > 0 {
		s.cfg.Log.Warn("last use of permissions: uses dropped, too many at once", "uses", dropped)
	}
	if idle {
		return
	}
	if err := s.writeUsage(ctx, pending, signed); err != nil {
		s.cfg.Log.Warn("last use of permissions: not written, will be tried again", "error", err)
		r.putBack(pending, signed)
	}
}

func (s *Service) writeUsage(ctx context.Context, pending map[useKey]lastUse, signed map[string]KeyUse) error {
	uses := make([]Use, 0, len(pending))
	for k, u := range pending {
		uses = append(uses, Use{s.cfg.Account, k.principal, k.service, k.action, u.region, u.at.UTC().Truncate(time.Second)})
	}
	keys := make([]KeyUse, 0, len(signed))
	for _, k := range signed {
		k.At = k.At.UTC().Truncate(time.Second)
		keys = append(keys, k)
	}
	for len(uses)+len(keys) > 0 {
		u, k := uses[:min(len(uses), usageBatch)], keys[:min(len(keys), usageBatch)]
		uses, keys = uses[len(u):], keys[len(k):]
		err := s.db.Update(ctx, func(tx *store.Tx) error { return s.used.write(tx, u, k, s.t.keys) })
		if err != nil {
			return err
		}
	}
	return nil
}

// write keeps the later of what is stored and what is new: another node may have
// seen the principal since. A key that was deleted since has used nothing.
func (r *recorder) write(tx *store.Tx, uses []Use, keys []KeyUse, known *store.Table[AccessKey]) error {
	for _, u := range uses {
		old, err := r.uses.Get(tx, u.Account, u.Principal, u.Service, u.Action)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if u.At.After(old.At) {
			if err := r.uses.Put(tx, u); err != nil {
				return err
			}
		}
	}
	for _, k := range keys {
		if _, err := known.Get(tx, k.KeyID); errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return err
		}
		old, err := r.keys.Get(tx, k.KeyID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if k.At.After(old.At) {
			if err := r.keys.Put(tx, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// putBack returns what could not be written, unless something newer came.
func (r *recorder) putBack(pending map[useKey]lastUse, signed map[string]KeyUse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, u := range pending {
		if u.at.After(r.pending[k].at) && len(r.pending) < maxUsage {
			r.pending[k] = u
		}
	}
	for id, k := range signed {
		if k.At.After(r.signed[id].At) && len(r.signed) < maxUsage {
			r.signed[id] = k
		}
	}
}

// usesOf returns what a user or role used, by its unique id, within the tracking
// period. It is exact for calls to this node and lags by at most the flush
// interval for those to others.
func (s *Service) usesOf(ctx context.Context, principals ...string) ([]Use, error) {
	s.flushUsage(ctx)
	oldest := s.cfg.Now().Add(-trackedFor)
	var out []Use
	err := s.db.View(ctx, func(tx *store.Tx) error {
		out = out[:0]
		for _, id := range principals {
			uses, err := s.used.uses.List(tx, store.Query{Prefix: []string{s.cfg.Account, id}})
			if err != nil {
				return err
			}
			for _, u := range uses {
				if u.At.After(oldest) {
					out = append(out, u)
				}
			}
		}
		return nil
	})
	return out, err
}

// keyUse returns the last use of an access key; At is zero when there was none.
func (s *Service) keyUse(ctx context.Context, keyID string) (k KeyUse, err error) {
	s.flushUsage(ctx)
	err = s.db.View(ctx, func(tx *store.Tx) error {
		k, err = s.used.keys.Get(tx, keyID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return KeyUse{KeyID: keyID}, nil
	}
	return k, err
}
