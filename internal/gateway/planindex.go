package gateway

import (
	"crypto/sha256"
	"strings"
	"sync"
	"sync/atomic"
)

// KeyHash is the form in which an API key is known: a hash of its value, keyed so that a table of
// them is useless to who steals it. See [Gateway.HashKey].
type KeyHash [16]byte

// keyHasher makes keyed hashes without allocating. Values of API keys are long and random, so a fast
// hash is enough.
type keyHasher struct{ secret [sha256.Size]byte }

func newKeyHasher(secret []byte) keyHasher { return keyHasher{sha256.Sum256(secret)} }

func (h *keyHasher) value(value string) KeyHash {
	var buf [128]byte // the longest value; a longer one, which is no key, costs an allocation
	return h.digest(sha256.Sum256(append(buf[:0], value...)))
}

// digest goes on from the SHA-256 of a value. Secret and digest have fixed lengths.
func (h *keyHasher) digest(digest [sha256.Size]byte) (out KeyHash) {
	var in [2 * sha256.Size]byte
	copy(in[:], h.secret[:])
	copy(in[sha256.Size:], digest[:])
	sum := sha256.Sum256(in[:])
	copy(out[:], sum[:])
	return out
}

// planIndex finds API keys and the plans that they are in. Requests read it without a lock while
// it changes; a change costs the same whatever number of keys there are.
type planIndex struct {
	keys  atomic.Pointer[keyTable]
	mu    sync.Mutex // of those who change it
	plans map[string]*planRef
	rev   int64 // rises with each plan that is published
}

// planRef is where a plan stands while its contents change: keys point to it.
type planRef struct{ now atomic.Pointer[plan] }

// plan is a [Plan] with its stages by API and name. It never changes.
type plan struct {
	Plan
	stages map[stageKey]*PlanStage
	rev    int64
}

// keyEntry is an API key with the plans that it belongs to. It never changes but for the states
// of its plans, which begin when they are needed.
type keyEntry struct {
	hash    KeyHash
	ID      string
	Enabled bool
	plans   []keyPlan
}

// keyPlan is one key's account with one plan. Its state lives as long as the key is in the plan, over
// all changes of both.
type keyPlan struct {
	ref  *planRef
	spot atomic.Pointer[keyState]
}

// state begins the account at its first use.
func (kp *keyPlan) state(planID, keyID string) *keyState {
	if st := kp.spot.Load(); st != nil {
		return st
	}
	kp.spot.CompareAndSwap(nil, &keyState{plan: planID, key: keyID, grounds: "API key " + keyID + " of usage plan " + planID})
	return kp.spot.Load()
}

func newPlanIndex() *planIndex {
	idx := &planIndex{plans: map[string]*planRef{}}
	idx.keys.Store(newKeyTable(0))
	return idx
}

// ref finds the place of a plan, or makes one that is empty until the plan is published.
func (idx *planIndex) ref(id string) *planRef {
	r := idx.plans[id]
	if r == nil {
		r = new(planRef)
		idx.plans[id] = r
	}
	return r
}

// put publishes a plan; nil withdraws it. What requests had learnt of the old one's quota counts
// no longer, see [keyState.reopen].
func (idx *planIndex) put(id string, p *Plan) {
	if p == nil {
		if r := idx.plans[id]; r != nil {
			r.now.Store(nil)
			delete(idx.plans, id)
		}
		return
	}
	idx.rev++
	next := &plan{Plan: *p, stages: make(map[stageKey]*PlanStage, len(p.Stages)), rev: idx.rev}
	next.ID = id
	for key, st := range p.Stages {
		if api, stage, ok := strings.Cut(key, "/"); ok {
			next.stages[stageKey{api, stage}] = &st
		}
	}
	idx.ref(id).now.Store(next)
}

// entry is a key as it is to be found; accounts that it had already are kept.
func (idx *planIndex) entry(hash KeyHash, k *Key, old *keyEntry) *keyEntry {
	e := &keyEntry{hash: hash, ID: k.ID, Enabled: k.Enabled}
	if len(k.Plans) == 0 {
		return e
	}
	e.plans = make([]keyPlan, len(k.Plans))
	for i, id := range k.Plans {
		e.plans[i].ref = idx.ref(id)
		if old == nil || old.ID != k.ID {
			continue
		}
		for j := range old.plans {
			if old.plans[j].ref == e.plans[i].ref {
				e.plans[i].spot.Store(old.plans[j].state(id, k.ID)) // begun, lest a request begins it in the old entry
			}
		}
	}
	return e
}

// change takes in what has become of some plans and keys.
func (idx *planIndex) change(c PlanChange) {
	idx.mu.Lock()
	defer idx.mu.Unlock()
	for id, p := range c.Plans {
		idx.put(id, p)
	}
	t := idx.keys.Load()
	for hash, k := range c.Keys {
		if k == nil {
			t.remove(hash)
			continue
		}
		e := idx.entry(hash, k, t.find(hash))
		if t.full() {
			t = t.grown()
			idx.keys.Store(t)
		}
		t.put(e)
	}
}

// replace takes in all plans and keys; what is not among them is gone. An error of keys, which
// yields them, leaves the keys as they were.
func (idx *planIndex) replace(plans map[string]Plan, keys func(yield func(KeyHash, Key)) error) error {
	idx.mu.Lock()
	defer idx.mu.Unlock()
	for id, p := range plans {
		idx.put(id, &p)
	}
	old, next := idx.keys.Load(), newKeyTable(0)
	err := keys(func(hash KeyHash, k Key) {
		if next.full() {
			next = next.grown()
		}
		next.put(idx.entry(hash, &k, old.find(hash)))
	})
	if err != nil {
		return err
	}
	idx.keys.Store(next)
	for id := range idx.plans {
		if _, there := plans[id]; !there {
			idx.put(id, nil)
		}
	}
	return nil
}

// on finds the plan of the key that opens a stage.
func (e *keyEntry) on(at stageKey) (*keyPlan, *plan, *PlanStage) {
	for i := range e.plans {
		if p := e.plans[i].ref.now.Load(); p != nil {
			if st := p.stages[at]; st != nil {
				return &e.plans[i], p, st
			}
		}
	}
	return nil, nil, nil
}

// HashKey gives the name under which an API key of this value is published.
func (g *Gateway) HashKey(value string) KeyHash { return g.keys.value(value) }

// HashDigest is [Gateway.HashKey] for who knows the SHA-256 of the value only.
func (g *Gateway) HashDigest(digest [sha256.Size]byte) KeyHash { return g.keys.digest(digest) }

// PublishPlans replaces every usage plan and API key. Buckets and leased quota of
// plans and keys that stay are kept.
func (g *Gateway) PublishPlans(set PlanSet) {
	_ = g.LoadPlans(set.Plans, func(yield func(KeyHash, Key)) error { // which does not fail
		for hash, k := range set.Keys {
			yield(hash, k)
		}
		return nil
	})
}

// LoadPlans is [Gateway.PublishPlans] for keys that are too many to be held twice. Until keys
// returns, those before are in force; its error leaves them so, and is returned.
func (g *Gateway) LoadPlans(plans map[string]Plan, keys func(yield func(KeyHash, Key)) error) error {
	return g.plans.replace(plans, keys)
}

// ChangePlans publishes what has become of some plans and keys; the others stay as they are.
func (g *Gateway) ChangePlans(c PlanChange) { g.plans.change(c) }
