package gateway

import (
	"math"
	"strings"
	"sync/atomic"
	"time"
)

// bucket is a token bucket without a lock, as the generic cell rate algorithm: full
// is the moment (Unix nanoseconds) at which the bucket will be full again. Buckets
// outlive the limits they are asked with, so a changed limit does not refill them.
type bucket struct{ full atomic.Int64 }

// take spends a token; false means that there is none.
func (b *bucket) take(t Throttle, now time.Time) bool {
	if t.Burst <= 0 || !(t.Rate > 0) {
		return false
	}
	gap := max(int64(math.Min(float64(time.Second)/t.Rate, math.MaxInt64/4)), 1)
	depth := gap
	if int64(t.Burst) > math.MaxInt64/4/gap {
		depth = math.MaxInt64 / 4
	} else {
		depth = gap * int64(t.Burst)
	}
	at := now.UnixNano()
	for {
		old := b.full.Load()
		next := max(old, at) + gap
		if next-at > depth {
			return false
		}
		if b.full.CompareAndSwap(old, next) {
			return true
		}
	}
}

// open reports whether a limit is none: AWS writes -1 for that.
func (t Throttle) open() bool { return t.Rate < 0 || t.Burst < 0 }

// limits are the stage's own throttles by route.
type limits struct {
	byRoute map[string]*limited // "/path/METHOD"
}

type limited struct {
	throttle Throttle
	bucket   *bucket
}

// compile gives each route its bucket: its own limit, or "*/*". A method-level key
// is "/path/METHOD"; the resource part may be escaped as patch paths are ("~1path").
func (l *limits) compile(in map[string]Throttle, routes []*route) error {
	l.byRoute = map[string]*limited{}
	byKey := map[string]Throttle{}
	for key, t := range in {
		if key != "*/*" && !strings.HasPrefix(key, "/") && !strings.HasPrefix(key, "~1") {
			return &DefinitionError{"Invalid method setting path: " + key}
		}
		byKey["/"+strings.TrimLeft(strings.ReplaceAll(key, "~1", "/"), "/")] = t
	}
	for _, rt := range routes {
		t, ok := byKey["/"+strings.TrimLeft(rt.limitKey, "/")]
		if !ok {
			t, ok = byKey["/*/*"]
		}
		if ok && !t.open() {
			l.byRoute[rt.limitKey] = &limited{t, new(bucket)}
		}
	}
	return nil
}

// adopt takes over the buckets of the snapshot before: a deployment refills nothing.
func (l *limits) adopt(old *limits) {
	for key, lim := range l.byRoute {
		if before := old.byRoute[key]; before != nil {
			lim.bucket = before.bucket
		}
	}
}

// throttle spends a token of the stage's limit for the method, then one of the account's
// (API Gateway Developer Guide, "Throttle requests to your REST APIs").
func throttle(x *Exchange) error {
	if lim := x.snap.limits.byRoute[x.route.limitKey]; lim != nil && !lim.bucket.take(lim.throttle, x.start) {
		return refuse(Throttled, "the stage's throttle for "+x.route.name)
	}
	if lim := x.snap.account; lim != nil && !lim.bucket.take(lim.throttle, x.start) {
		return refuse(Throttled, "the account's throttle in "+x.snap.def.Region)
	}
	return nil
}
