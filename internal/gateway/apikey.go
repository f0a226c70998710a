package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// HashKey gives the name under which a [PlanSet] holds the API key of this value: a
// hash keyed by secret, which must be the [Config.KeySecret] of the gateway.
func HashKey(secret []byte, value string) string { return newKeyHasher(secret).hash(value) }

// keyHasher makes keyed hashes without allocating: API keys are long and random, so
// a fast hash is enough, and the key keeps the table useless to who steals it.
type keyHasher struct{ pool *sync.Pool }

type hashState struct {
	mac  hash.Hash
	in   []byte
	sum  [sha256.Size]byte
	text [2 * sha256.Size]byte
}

func newKeyHasher(secret []byte) keyHasher {
	return keyHasher{&sync.Pool{New: func() any { return &hashState{mac: hmac.New(sha256.New, secret)} }}}
}

func (h keyHasher) hash(value string) string {
	st := h.sum(value)
	defer h.pool.Put(st)
	return string(st.text[:])
}

// sum fills a state with the hash of value; the caller puts it back.
func (h keyHasher) sum(value string) *hashState {
	st := h.pool.Get().(*hashState)
	st.mac.Reset()
	st.in = append(st.in[:0], value...)
	st.mac.Write(st.in)
	st.mac.Sum(st.sum[:0])
	hex.Encode(st.text[:], st.sum[:])
	return st
}

// planIndex is a compiled [PlanSet].
type planIndex struct {
	keys map[string]*keyEntry // by hash
}

// keyEntry is an API key with the plans that it belongs to.
type keyEntry struct {
	Key
	plans []*keyPlan
}

// keyPlan is one key's account with one plan. It lives as long as the key is in the
// plan, over all republishing.
type keyPlan struct {
	plan    *plan
	state   *keyState
	grounds string
}

// keyState holds what a key has spent in a plan.
type keyState struct {
	bucket  bucket
	methods sync.Map // "api/stage/path/METHOD" -> *bucket
	quota   atomic.Pointer[block]
	leasing sync.Mutex

	plan, key string
	epoch     int64
	day       atomic.Pointer[dayCount]
}

// compilePlans builds the index of a set; what stays keeps its state.
func compilePlans(set PlanSet, old *planIndex, book *usageBook) *planIndex {
	idx := &planIndex{keys: make(map[string]*keyEntry, len(set.Keys))}
	plans := make(map[string]*plan, len(set.Plans))
	for id, p := range set.Plans {
		p.ID = id
		plans[id] = &plan{p, make(map[stageKey]*PlanStage, len(p.Stages))}
		for key, st := range p.Stages {
			if api, stage, ok := strings.Cut(key, "/"); ok {
				plans[id].stages[stageKey{api, stage}] = &st
			}
		}
	}
	for hash, k := range set.Keys {
		entry := &keyEntry{Key: k}
		for _, id := range k.Plans {
			if p := plans[id]; p != nil {
				entry.plans = append(entry.plans, &keyPlan{p, old.state(hash, k.ID, p, book), "API key " + k.ID + " of usage plan " + id})
			}
		}
		idx.keys[hash] = entry
	}
	return idx
}

// state finds the state of a key in a plan, or begins it. A remembered "spent" is
// forgotten: the set may be published because the quota was raised.
func (idx *planIndex) state(hash, keyID string, of *plan, book *usageBook) *keyState {
	if idx != nil {
		if e := idx.keys[hash]; e != nil && e.ID == keyID {
			for _, p := range e.plans {
				if p.plan.ID == of.ID {
					p.state.reopen(of.Epoch, book)
					return p.state
				}
			}
		}
	}
	return &keyState{plan: of.ID, key: keyID, epoch: of.Epoch}
}

// plan is a [Plan] with its stages by API and name.
type plan struct {
	Plan
	stages map[stageKey]*PlanStage
}

// on finds the plan of the key that opens a stage.
func (e *keyEntry) on(at stageKey) (*keyPlan, *PlanStage) {
	for _, p := range e.plans {
		if st := p.plan.stages[at]; st != nil {
			return p, st
		}
	}
	return nil, nil
}

// apiKey identifies the key of a route that asks for one, and charges its plan.
func apiKey(x *Exchange) error {
	if !x.route.def.APIKeyRequired {
		return nil
	}
	if x.snap.keyFrom == "AUTHORIZER" {
		if x.route.authorizer == nil || x.route.authorizer.function == nil {
			return refuse(InvalidAPIKey, "the key has to come from an authorizer and the route has none that gives keys")
		}
		return nil // it is charged once the authorizer has spoken
	}
	value, n := x.one("x-api-key")
	switch {
	case n == 0 || value == "":
		return refuse(InvalidAPIKey, "no API key was sent")
	case n > 1:
		return refuse(InvalidAPIKey, "more than one API key was sent")
	}
	return x.charge(value)
}

// charge finds an API key by its value and spends one request of its plan.
func (x *Exchange) charge(value string) error {
	idx := x.g.plans.Load()
	st := x.g.keys.sum(value)
	entry := idx.keys[string(st.text[:])]
	x.g.keys.pool.Put(st)
	switch {
	case entry == nil:
		return refuse(InvalidAPIKey, "the API key is not known")
	case !entry.Enabled:
		x.key = entry
		return refuse(InvalidAPIKey, "the API key "+entry.ID+" is disabled")
	}
	x.key, x.keyTxt = entry, value
	kp, stage := entry.on(x.snap.key)
	if kp == nil {
		return refuse(InvalidAPIKey, "the API key "+entry.ID+" is in no usage plan of this stage")
	}
	if err := kp.throttle(x, stage); err != nil {
		return err
	}
	if x.who == "" {
		x.who, x.grounds = entry.ID, kp.grounds
	}
	return kp.spend(x)
}

// throttle spends a token of the key's own buckets: of the method where the plan
// has a limit for it, and of the plan.
func (kp *keyPlan) throttle(x *Exchange, stage *PlanStage) error {
	if len(stage.Throttles) > 0 {
		if t, ok := stage.Throttles[x.route.limitKey]; ok && !t.open() && !kp.method(x).take(t, x.start) {
			return refuse(Throttled, "usage plan "+kp.plan.ID+": the throttle of "+x.route.name+" for key "+x.key.ID)
		}
	}
	if t := kp.plan.Throttle; t != nil && !t.open() && !kp.state.bucket.take(*t, x.start) {
		return refuse(Throttled, "usage plan "+kp.plan.ID+": the throttle for key "+x.key.ID)
	}
	return nil
}

func (kp *keyPlan) method(x *Exchange) *bucket {
	key := x.APIID + "/" + x.Stage + x.route.limitKey
	if b, ok := kp.state.methods.Load(key); ok {
		return b.(*bucket)
	}
	b, _ := kp.state.methods.LoadOrStore(key, new(bucket))
	return b.(*bucket)
}

// block is a part of a quota that this node holds: left requests, for one window.
// It never changes but for left; spent marks that the leaser had no more.
type block struct {
	window string
	end    time.Time
	left   atomic.Int64
	one    bool // it was counted when it was leased
	spent  bool
	retry  time.Time // when to ask again whether the quota is spent
}

// spentFor is how long a key's quota counts as spent before the leaser is asked again:
// another node may have given something back.
const spentFor = time.Second

// spend takes one request of the quota. The quota is exact: nothing is spent that
// was not leased, and what is leased stays here until it is spent or the window ends.
func (kp *keyPlan) spend(x *Exchange) error {
	q := kp.plan.Quota
	if q == nil {
		return nil
	}
	for {
		b := kp.state.quota.Load()
		if b != nil && x.start.Before(b.end) {
			if b.left.Add(-1) >= 0 {
				if !b.one {
					x.g.usage.count(kp.state, x.start)
				}
				return nil
			}
			if b.spent && x.start.Before(b.retry) {
				return refuse(QuotaExceeded, "usage plan "+kp.plan.ID+": the quota of key "+x.key.ID+" is spent")
			}
		}
		if err := kp.lease(x, q, b); err != nil {
			return err
		}
	}
}

// lease fetches the next block, unless somebody else just did.
func (kp *keyPlan) lease(x *Exchange, q *Quota, seen *block) error {
	kp.state.leasing.Lock()
	defer kp.state.leasing.Unlock()
	if kp.state.quota.Load() != seen {
		return nil
	}
	name, _, end := window(q.Period, q.Offset, x.start)
	next := &block{window: name, end: end, retry: x.start.Add(spentFor)}
	l := Lease{PlanID: kp.plan.ID, KeyID: x.key.ID, Window: name, Want: blockSize(q.Limit), Limit: q.Limit}
	if next.one = l.Want == 1; next.one {
		l.Day = x.start.UTC().Format(dayLayout)
	}
	if x.g.cfg.Leaser == nil {
		return refuse(Default5XX, "usage plan "+kp.plan.ID+": there is nothing to count its quota with")
	}
	granted, err := x.g.cfg.Leaser.Lease(x.Context, l)
	if err != nil {
		return refuse(Default5XX, "usage plan "+kp.plan.ID+": the quota cannot be counted: "+err.Error())
	}
	next.left.Store(granted)
	next.spent = granted <= 0
	kp.state.quota.Store(next)
	if !next.one && !next.spent {
		x.g.usage.hold(kp.state, next)
	}
	return nil
}

// reopen forgets that a quota was spent; a block with something left is kept, unless the
// plan's epoch says that it counts no longer.
func (st *keyState) reopen(epoch int64, book *usageBook) {
	b := st.quota.Load()
	changed := st.epoch != epoch
	st.epoch = epoch
	switch {
	case b == nil:
	case b.spent:
		st.quota.CompareAndSwap(b, nil)
	case changed && !b.one:
		book.mu.Lock()
		defer book.mu.Unlock()
		book.giveBack(st, b)
	}
}

// blockSize is a thousandth of the limit: what a crash can lose stays small, and a
// limit up to a thousand is counted one by one.
func blockSize(limit int64) int64 { return min(max(limit/1000, 1), 1000) }

// Window names the period of the quota that t lies in, and gives its first and last day.
func (q Quota) Window(t time.Time) (name string, first, last time.Time) {
	name, first, end := window(q.Period, q.Offset, t)
	return name, first, end.AddDate(0, 0, -1)
}

// window is the period that t lies in, by UTC, from start to before end.
func window(period string, offset int, t time.Time) (name string, start, end time.Time) {
	t = t.UTC()
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	switch period {
	case "WEEK":
		start = day.AddDate(0, 0, -(int(day.Weekday())+7-offset%7)%7)
		return start.Format(dayLayout) + "/P1W", start, start.AddDate(0, 0, 7)
	case "MONTH":
		if start = day.AddDate(0, 0, 1+offset-day.Day()); start.After(day) {
			start = start.AddDate(0, 0, -offset).AddDate(0, -1, offset)
		}
		if offset == 0 {
			return start.Format("2006-01"), start, start.AddDate(0, 1, 0)
		}
		return start.Format(dayLayout) + "/P1M", start, start.AddDate(0, 1, 0)
	}
	return day.Format(dayLayout), day, day.AddDate(0, 0, 1)
}
