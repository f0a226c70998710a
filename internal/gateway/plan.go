package gateway

import "context"

// PlanSet holds every usage plan and API key of the installation. [Gateway.PublishPlans]
// takes it as a whole; the caller must not change it afterwards.
type PlanSet struct {
	Plans map[string]Plan
	// Keys are found by the hash of their value, see [Gateway.HashKey].
	Keys map[KeyHash]Key
}

// PlanChange is what has become of some plans and keys; nil says that one is gone. A change
// may come twice, and a key before a plan that it names.
type PlanChange struct {
	Plans map[string]*Plan
	Keys  map[KeyHash]*Key
}

// Plan is a usage plan: the stages it opens and the limits that each key has there.
type Plan struct {
	ID string
	// Stages has "apiID/stage" as its keys.
	Stages   map[string]PlanStage
	Throttle *Throttle
	Quota    *Quota
	// Epoch rises when blocks that are leased already count no longer.
	Epoch int64
}

// PlanStage is one stage of a plan. Throttles has "/path/METHOD" as its keys and is
// empty when the plan's own throttle is all there is.
type PlanStage struct {
	Throttles map[string]Throttle
}

// Quota allows Limit requests per Period (DAY, WEEK or MONTH, by UTC). Offset is the day
// on which a period begins: of the week from Sunday on, of the month from the first on.
type Quota struct {
	Limit  int64
	Offset int
	Period string
}

// Key is an API key. Its value is not here: keys are found by the value's hash.
type Key struct {
	ID      string
	Enabled bool
	Plans   []string
}

// Leaser hands out blocks of a quota, atomically and durably. It grants at most what is wanted
// and never more than the limit in all for the same plan, key and window; zero means
// that the quota is spent.
type Leaser interface {
	Lease(ctx context.Context, l Lease) (granted int64, err error)
}
