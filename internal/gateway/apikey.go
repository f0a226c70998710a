package gateway

import (
	"sync"
	"sync/atomic"
	"time"
)

// keyState holds what a key has spent in a plan.
type keyState struct {
	bucket  bucket
	methods sync.Map // "api/stage/path/METHOD" -> *bucket
	quota   atomic.Pointer[block]
	leasing sync.Mutex

	plan, key string
	grounds   string
	day       atomic.Pointer[dayCount]
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
	entry := x.g.plans.keys.Load().find(x.g.keys.value(value))
	switch {
	case entry == nil:
		return refuse(InvalidAPIKey, "the API key is not known")
	case !entry.Enabled:
		x.key = entry
		return refuse(InvalidAPIKey, "the API key "+entry.ID+" is disabled")
	}
	x.key, x.keyTxt = entry, value
	kp, plan, stage := entry.on(x.snap.key)
	if kp == nil {
		return refuse(InvalidAPIKey, "the API key "+entry.ID+" is in no usage plan of this stage")
	}
	st := kp.state(plan.ID, entry.ID)
	if err := st.throttle(x, plan, stage); err != nil {
		return err
	}
	if x.who == "" {
		x.who, x.grounds = entry.ID, st.grounds
	}
	return st.spend(x, plan)
}

// throttle spends a token of the key's own buckets: of the method where the plan
// has a limit for it, and of the plan.
func (st *keyState) throttle(x *Exchange, p *plan, stage *PlanStage) error {
	if len(stage.Throttles) > 0 {
		if t, ok := stage.Throttles[x.route.limitKey]; ok && !t.open() && !st.method(x).take(t, x.start) {
			return refuse(Throttled, "usage plan "+p.ID+": the throttle of "+x.route.name+" for key "+st.key)
		}
	}
	if t := p.Throttle; t != nil && !t.open() && !st.bucket.take(*t, x.start) {
		return refuse(Throttled, "usage plan "+p.ID+": the throttle for key "+st.key)
	}
	return nil
}

func (st *keyState) method(x *Exchange) *bucket {
	key := x.APIID + "/" + x.Stage + x.route.limitKey
	if b, ok := st.methods.Load(key); ok {
		return b.(*bucket)
	}
	b, _ := st.methods.LoadOrStore(key, new(bucket))
	return b.(*bucket)
}

// block is a part of a quota that this node holds: left requests, for one window.
// It never changes but for left and rev; spent marks that the leaser had no more.
type block struct {
	window string
	end    time.Time
	left   atomic.Int64
	one    bool // it was counted when it was leased
	spent  bool
	retry  time.Time // when to ask again whether the quota is spent
	epoch  int64     // of the plan when it was leased
	rev    atomic.Int64
}

// spentFor is how long a key's quota counts as spent before the leaser is asked again:
// another node may have given something back.
const spentFor = time.Second

// spend takes one request of the quota. The quota is exact: nothing is spent that
// was not leased, and what is leased stays here until it is spent or the window ends.
func (st *keyState) spend(x *Exchange, p *plan) error {
	q := p.Quota
	if q == nil {
		return nil
	}
	for {
		b := st.quota.Load()
		if b != nil && b.rev.Load() != p.rev {
			st.reopen(b, p, &x.g.usage)
			continue
		}
		if b != nil && x.start.Before(b.end) {
			if b.left.Add(-1) >= 0 {
				if !b.one {
					x.g.usage.count(st, x.start)
				}
				return nil
			}
			if b.spent && x.start.Before(b.retry) {
				return refuse(QuotaExceeded, "usage plan "+p.ID+": the quota of key "+st.key+" is spent")
			}
		}
		if err := st.lease(x, p, b); err != nil {
			return err
		}
	}
}

// lease fetches the next block, unless somebody else just did.
func (st *keyState) lease(x *Exchange, p *plan, seen *block) error {
	st.leasing.Lock()
	defer st.leasing.Unlock()
	if st.quota.Load() != seen {
		return nil
	}
	q := p.Quota
	name, _, end := window(q.Period, q.Offset, x.start)
	next := &block{window: name, end: end, retry: x.start.Add(spentFor), epoch: p.Epoch}
	next.rev.Store(p.rev)
	l := Lease{PlanID: p.ID, KeyID: st.key, Window: name, Want: blockSize(q.Limit), Limit: q.Limit}
	if next.one = l.Want == 1; next.one {
		l.Day = x.start.UTC().Format(dayLayout)
	}
	if x.g.cfg.Leaser == nil {
		return refuse(Default5XX, "usage plan "+p.ID+": there is nothing to count its quota with")
	}
	granted, err := x.g.cfg.Leaser.Lease(x.Context, l)
	if err != nil {
		return refuse(Default5XX, "usage plan "+p.ID+": the quota cannot be counted: "+err.Error())
	}
	next.left.Store(granted)
	next.spent = granted <= 0
	st.quota.Store(next)
	if !next.one && !next.spent {
		x.g.usage.hold(st, next)
	}
	return nil
}

// reopen looks again at a block from before the plan changed. That the quota was spent is
// forgotten: it may have been raised. A block with something left is kept, unless the plan's
// epoch says that it counts no longer.
func (st *keyState) reopen(b *block, p *plan, book *usageBook) {
	switch {
	case b.spent:
		st.quota.CompareAndSwap(b, nil)
	case b.epoch < p.Epoch && !b.one:
		book.mu.Lock()
		defer book.mu.Unlock()
		book.giveBack(st, b)
	default:
		b.rev.Store(p.rev)
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
