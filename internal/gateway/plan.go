package gateway

import (
	"context"
	"time"
)

// PlanSet holds every usage plan and API key of the installation. [Gateway.PublishPlans]
// takes it as a whole; the caller must not change it afterwards.
type PlanSet struct {
	Plans map[string]Plan
	// Keys are found by the keyed hash of their value, see [Gateway.HashKey].
	Keys map[string]Key
}

// Plan is a usage plan: the stages it opens and the limits that each key has there.
type Plan struct {
	ID string
	// Stages has "apiID/stage" as its keys.
	Stages   map[string]PlanStage
	Throttle *Throttle
	Quota    *Quota
	// Created is the time from which [Quota].Offset counts; zero means no offset.
	Created time.Time
}

// PlanStage is one stage of a plan. Throttles has "/path/METHOD" as its keys and is
// empty when the plan's own throttle is all there is.
type PlanStage struct {
	Throttles map[string]Throttle
}

// Quota allows Limit requests per Period (DAY, WEEK or MONTH, by UTC). Offset is the
// number of requests that count as spent in the first period of a key.
type Quota struct {
	Limit  int64
	Offset int
	Period string
}

// Key is an API key. Its value is not here: the set is indexed by the value's hash.
type Key struct {
	ID, Name string
	Enabled  bool
	Plans    []string
}

// Leaser hands out blocks of a quota, atomically and durably. It grants at most want
// and never more than limit in all for the same plan, key and window; zero means
// that the quota is spent.
type Leaser interface {
	Lease(ctx context.Context, planID, keyID, window string, want, limit int64) (granted int64, err error)
}
