package restapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire"
)

// planChange is one line of the list of what has become of plans and keys. A node reads on from
// where it was; the lines are numbered without gaps, so that it sees when it was away too long.
type planChange struct {
	Revision            string // the number, in digits that sort
	Account, Region, ID string
	Hash                string // of a key; empty: it is a plan
	At                  time.Time
}

// changesKept is how long a line is kept. A node that looks later reads everything anew.
const changesKept = time.Hour

const allPlans = "all" // one count for the whole installation

func newPlanChanges() *store.Table[planChange] {
	return store.NewTable(store.Schema[planChange]{
		Name: "restapi_plan_change", Key: []string{"revision"}, Topic: planTopic,
		KeyOf:   func(c *planChange) []string { return []string{c.Revision} },
		Expires: func(c *planChange) time.Time { return c.At.Add(changesKept) },
	})
}

func revision(n int64) string { return fmt.Sprintf("%019d", n) }

// noteChange adds a line to the list. Whoever changes plans or keys at the same time waits here: the
// order of the numbers is that of the changes.
func (s *Service) noteChange(tx *store.Tx, c planChange) error {
	_, n, err := s.tables.planRevisions.Add(tx, 1, anyTotal, allPlans)
	if err != nil {
		return err
	}
	c.Revision, c.At = revision(n), s.cfg.Now()
	return s.tables.planChanges.Put(tx, c)
}

func (k *key) change() planChange {
	return planChange{Account: k.Account, Region: k.Region, ID: k.ID, Hash: k.Hash}
}

func (s *Service) insertKey(tx *store.Tx, k key) error {
	if err := s.tables.keys.Insert(tx, k); err != nil {
		return err
	}
	return s.noteChange(tx, k.change())
}

func (s *Service) putKey(tx *store.Tx, k key) error {
	if err := s.tables.keys.Put(tx, k); err != nil {
		return err
	}
	return s.noteChange(tx, k.change())
}

func (s *Service) deleteKey(tx *store.Tx, k key) error {
	if err := s.tables.keys.Delete(tx, k.Account, k.Region, k.ID); err != nil {
		return err
	}
	if _, _, err := s.tables.keyCount.Add(tx, -1, anyTotal, k.Account, k.Region); err != nil {
		return err
	}
	return s.noteChange(tx, k.change())
}

func (s *Service) putPlan(tx *store.Tx, p plan) error {
	if err := s.tables.plans.Put(tx, p); err != nil {
		return err
	}
	return s.noteChange(tx, planChange{Account: p.Account, Region: p.Region, ID: p.ID})
}

// deletePlan leaves the keys that were in the plan alone: a plan that is gone opens nothing, and no
// other one will ever have its id.
func (s *Service) deletePlan(tx *store.Tx, p plan) error {
	if err := s.tables.plans.Delete(tx, p.Account, p.Region, p.ID); err != nil {
		return err
	}
	return s.noteChange(tx, planChange{Account: p.Account, Region: p.Region, ID: p.ID})
}

// planPublisher is how far the gateway knows plans and keys.
type planPublisher struct {
	stale  atomic.Bool // something has changed since it was published
	mu     sync.Mutex
	loaded bool
	seen   int64 // the number of the last change that was published
}

// publishPlans hands the gateway what has changed of plans and keys; at first, all of them. What was
// committed before the call is published when it returns.
func (s *Service) publishPlans(ctx context.Context) error {
	p := &s.plans
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.stale.Swap(false) {
		return nil
	}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		last, err := s.tables.planRevisions.Get(tx, allPlans)
		if err != nil {
			return err
		}
		changes, known, err := s.changesSince(tx, last)
		switch {
		case err != nil:
			return err
		case known:
			s.cfg.Publisher.ChangePlans(changes)
		default:
			if err := s.loadPlans(tx); err != nil {
				return err
			}
		}
		p.loaded, p.seen = true, last
		return nil
	})
	if err != nil {
		p.stale.Store(true)
	}
	return err
}

// maxChanges is how many changes are published one by one. More come only from a node that was away.
const maxChanges = 20000

// changesSince collects what has changed up to the last number; known is false when the list does not
// reach back so far.
func (s *Service) changesSince(tx *store.Tx, last int64) (out gateway.PlanChange, known bool, err error) {
	out = gateway.PlanChange{Plans: map[string]*gateway.Plan{}, Keys: map[gateway.KeyHash]*gateway.Key{}}
	seen := s.plans.seen
	if !s.plans.loaded || last-seen > maxChanges || last < seen {
		return out, false, nil
	}
	lines, err := s.tables.planChanges.List(tx, store.Query{After: []string{revision(seen)}})
	if err != nil {
		return out, false, err
	}
	if int64(len(lines)) != last-seen {
		return out, false, nil
	}
	for _, c := range lines {
		if err := s.readChange(tx, c, &out); err != nil {
			return out, false, err
		}
	}
	return out, true, nil
}

// readChange reads what has become of one plan or key.
func (s *Service) readChange(tx *store.Tx, c planChange, out *gateway.PlanChange) error {
	if c.Hash == "" {
		p, err := s.tables.plans.Get(tx, c.Account, c.Region, c.ID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			out.Plans[c.ID] = nil
		case err != nil:
			return err
		default:
			out.Plans[c.ID] = wire.Ptr(gatewayPlan(p))
		}
		return nil
	}
	hash, err := s.keyHash(c.Hash)
	if err != nil {
		return err
	}
	k, err := s.tables.keys.Get(tx, c.Account, c.Region, c.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		out.Keys[hash] = nil
	case err != nil:
		return err
	default:
		out.Keys[hash] = &gateway.Key{ID: k.ID, Enabled: wire.Value(k.Key.Enabled), Plans: k.Plans}
	}
	return nil
}

// keyHash is how the gateway knows the key whose value has a hash in the table.
func (s *Service) keyHash(text string) (gateway.KeyHash, error) {
	var digest [sha256.Size]byte
	if n, err := hex.Decode(digest[:], []byte(text)); err != nil || n != len(digest) {
		return gateway.KeyHash{}, errors.New("restapi: the stored hash of an API key is none")
	}
	return s.cfg.Publisher.HashDigest(digest), nil
}

// served is what the gateway needs to know of a key besides its hash: its id, whether it is enabled, and
// its plans. The index of the values carries it, so that a start reads no more than that.
func (k *key) served() string {
	state := disabled
	if wire.Value(k.Key.Enabled) {
		state = enabled
	}
	return strings.Join(append([]string{k.ID, state}, k.Plans...), " ")
}

const enabled, disabled = "enabled", "disabled"

var errServed = errors.New("restapi: what the index says of an API key is not to be understood")

// servedReader reads what [key.served] wrote. Keys of the same plans share the list of them.
type servedReader struct {
	text  string
	plans []string
}

func (r *servedReader) read(text string) (k gateway.Key, err error) {
	id, rest, ok := strings.Cut(text, " ")
	state, plans, _ := strings.Cut(rest, " ")
	if !ok || id == "" || state != enabled && state != disabled {
		return k, errServed
	}
	if plans != r.text {
		r.text = strings.Clone(plans)
		r.plans = strings.Fields(r.text)
	}
	k = gateway.Key{ID: strings.Clone(id), Enabled: state == enabled}
	if plans != "" {
		k.Plans = r.plans
	}
	return k, nil
}

// loadPlans hands the gateway every plan and key.
func (s *Service) loadPlans(tx *store.Tx) error {
	all, err := s.tables.plans.List(tx, store.Query{})
	if err != nil {
		return err
	}
	plans := make(map[string]gateway.Plan, len(all))
	for _, p := range all {
		plans[p.ID] = gatewayPlan(p)
	}
	var served servedReader
	return s.cfg.Publisher.LoadPlans(plans, func(yield func(gateway.KeyHash, gateway.Key)) error {
		return s.tables.keys.Scan(tx, "value", func(values []string, carries string) error {
			hash, err := s.keyHash(values[0])
			if err != nil {
				return err
			}
			k, err := served.read(carries)
			if err == nil {
				yield(hash, k)
			}
			return err
		})
	})
}

// moveKeys writes into keys which plans they are in, where plans still say which keys they have.
func (s *Service) moveKeys(ctx context.Context) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		if err := s.countKeys(tx); err != nil {
			return err
		}
		all, err := s.tables.plans.List(tx, store.Query{})
		if err != nil {
			return err
		}
		for _, p := range all {
			if len(p.Keys) == 0 {
				continue
			}
			for _, id := range p.Keys {
				k, err := s.tables.keys.Get(tx, p.Account, p.Region, id)
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				if !slices.Contains(k.Plans, p.ID) {
					k.Plans = append(k.Plans, p.ID)
				}
				if err := s.putKey(tx, k); err != nil {
					return err
				}
			}
			p.Keys = nil
			if err := s.putPlan(tx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// roomForKey counts one key more, or refuses it where the account's quota is reached. What is counted is
// not looked up: it costs the same among a million.
func (s *Service) roomForKey(tx *store.Tx, p place) error {
	granted, _, err := s.tables.keyCount.Add(tx, 1, int64(s.quota("api-keys")), p.account, p.region)
	if err == nil && granted == 0 {
		return exceeded("API Keys", "")
	}
	return err
}

// counted marks that the keys of this database have been counted; no account has such a name.
const counted = "counted"

// loadBatch is how many keys are held at once while all are counted.
const loadBatch = 1000

// countKeys counts the keys of a database that was written when nobody counted them.
func (s *Service) countKeys(tx *store.Tx) error {
	if done, err := s.tables.keyCount.Get(tx, counted); err != nil || done > 0 {
		return err
	}
	n, q := map[place]int64{}, store.Query{Limit: loadBatch}
	for {
		keys, err := s.tables.keys.List(tx, q)
		if err != nil {
			return err
		}
		for _, k := range keys {
			n[place{k.Account, k.Region}]++
			q.After = []string{k.Account, k.Region, k.ID}
		}
		if len(keys) < loadBatch {
			break
		}
	}
	for p, total := range n {
		if err := s.tables.keyCount.Set(tx, total, p.account, p.region); err != nil {
			return err
		}
	}
	return s.tables.keyCount.Set(tx, 1, counted)
}

// plansOf are the plans that a key is in, or all.
func (s *Service) plansOf(tx *store.Tx, p place, keyID *string) ([]plan, error) {
	if keyID == nil {
		return s.tables.plans.List(tx, store.Query{Prefix: p.key()})
	}
	k, err := s.tables.keys.Get(tx, p.key(*keyID)...)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []plan
	for _, id := range slices.Sorted(slices.Values(k.Plans)) {
		pl, err := s.tables.plans.Get(tx, p.key(id)...)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, pl)
	}
	return out, nil
}

// inPlan selects the keys of a plan.
func inPlan(p place, planID string) store.Query {
	return store.Query{Index: "plan", Values: p.key(planID)}
}

// pageOfKeys gives one page of a list of keys, and reads no more of them than it must: all of an
// account's only where a filter leaves out nearly all.
func pageOfKeys[T any](tx *store.Tx, keys *store.Table[key], p place, q store.Query, l listing, position *string, limit *int32, show func(key) (T, bool, error)) ([]T, *string, error) {
	n := defaultPage
	if limit != nil && *limit > 0 {
		n = min(int(*limit), maxPage)
	}
	if position != nil && *position != "" {
		last, ok := l.last(*position)
		if !ok {
			return nil, nil, badRequest("Invalid position parameter")
		}
		q.After = p.key(last)
	}
	items, lastShown := []T{}, ""
	for q.Limit = n + 1; ; q.Limit = maxPage {
		batch, err := keys.List(tx, q)
		if err != nil {
			return nil, nil, err
		}
		for _, k := range batch {
			item, wanted, err := show(k)
			if err != nil {
				return nil, nil, err
			}
			if !wanted {
				continue
			}
			if len(items) == n {
				return items, l.position(lastShown), nil
			}
			items, lastShown = append(items, item), k.ID
		}
		if len(batch) < q.Limit {
			return items, nil, nil
		}
		q.After = p.key(batch[len(batch)-1].ID)
	}
}
