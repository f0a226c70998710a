package restapi

import (
	"context"
	"errors"
	"slices"
	"time"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire/apigatewayapi"
)

const (
	dateLayout = "2006-01-02"
	// usageInterval is how long what was spent out of leased blocks may be untold.
	usageInterval = time.Second
	// idleIntervals is after how many of them a block out of which nothing was spent goes back.
	idleIntervals = 10
	// usageKept is how long days are counted back; GetUsage shows 90 of them at a time.
	usageKept = 400 * 24 * time.Hour
)

// Lease hands out up to l.Want requests of a key's quota in a window, never more than the limit
// and its extension in all. It is exact across nodes and restarts: one statement counts, durably,
// before it answers.
func (s *Service) Lease(ctx context.Context, l gateway.Lease) (granted int64, err error) {
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		extra, err := s.tables.extensions.Get(tx, l.PlanID, l.KeyID, l.Window)
		if err != nil {
			return err
		}
		if granted, _, err = s.tables.usage.Add(tx, l.Want, l.Limit+extra, l.PlanID, l.KeyID, l.Window); err != nil || granted == 0 || l.Day == "" {
			return err
		}
		return s.spent(tx, gateway.Usage{PlanID: l.PlanID, KeyID: l.KeyID, Day: l.Day, Requests: granted})
	})
	return granted, err
}

const anyTotal = 1 << 62

// spent adds to what a key used on a day.
func (s *Service) spent(tx *store.Tx, u gateway.Usage) error {
	_, _, err := s.tables.days.Add(tx, u.Requests, anyTotal, u.PlanID, u.KeyID, u.Day)
	return err
}

// flushUsage writes down what this node's gateway has spent, and gives back what it holds idle,
// or all that it holds. What cannot be written is kept for the next time.
func (s *Service) flushUsage(ctx context.Context, idle, all bool) error {
	s.counting.Lock()
	defer s.counting.Unlock()
	s.untold = append(s.untold, s.cfg.Publisher.TakeUsage()...)
	if idle || all {
		s.unspent = append(s.unspent, s.cfg.Publisher.TakeUnspent(all)...)
	}
	for len(s.untold)+len(s.unspent) > 0 {
		n, m := min(len(s.untold), usageBatch), min(len(s.unspent), usageBatch)
		err := s.db.Update(ctx, func(tx *store.Tx) error {
			for _, u := range s.untold[:n] {
				if err := s.spent(tx, u); err != nil {
					return err
				}
			}
			for _, u := range s.unspent[:m] {
				if _, _, err := s.tables.usage.Add(tx, -u.Requests, anyTotal, u.PlanID, u.KeyID, u.Window); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.untold, s.unspent = s.untold[n:], s.unspent[m:]
	}
	s.untold, s.unspent = nil, nil
	return nil
}

// usageBatch bounds one transaction of flushUsage.
const usageBatch = 1000

// keepUsage tells what is spent, again and again, until ctx is done; then all that is left.
func (s *Service) keepUsage(ctx context.Context) {
	tick := time.NewTicker(usageInterval)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%3600 == 0 {
			s.sweepUsage(ctx)
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			s.complain(s.flushUsage(last, true, true))
			return
		case <-tick.C:
			if err := s.flushUsage(ctx, n%idleIntervals == 0, false); ctx.Err() == nil {
				s.complain(err)
			}
		}
	}
}

func (s *Service) complain(err error) {
	if err != nil {
		s.cfg.Log.Error("restapi: the usage of plans could not be written; it is kept for the next time", "error", err)
	}
}

// sweepUsage forgets what nobody can ask for any more.
func (s *Service) sweepUsage(ctx context.Context) {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		before := s.cfg.Now().Add(-usageKept)
		for _, c := range []*store.Counter{s.tables.usage, s.tables.days, s.tables.extensions} {
			if err := c.Sweep(tx, before); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.Error("restapi: old usage could not be swept", "error", err)
	}
}

// GetUsage returns, per key and day, what was used and what then remained of the quota's period.
func (s *Service) GetUsage(ctx context.Context, in *apigatewayapi.GetUsageRequest) (*apigatewayapi.Usage, error) {
	start, err1 := time.Parse(dateLayout, in.StartDate)
	end, err2 := time.Parse(dateLayout, in.EndDate)
	if err1 != nil || err2 != nil || end.Before(start) || end.Sub(start) > 90*24*time.Hour {
		return nil, badRequest("Invalid date range specified: dates are yyyy-mm-dd, at most 90 days")
	}
	if err := s.flushUsage(ctx, false, false); err != nil {
		return nil, err
	}
	out := &apigatewayapi.Usage{UsagePlanId: &in.UsagePlanId, StartDate: &in.StartDate, EndDate: &in.EndDate, Items: map[string][][]int64{}}
	p := s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		pl, err := s.plan(tx, p, in.UsagePlanId)
		if err != nil {
			return err
		}
		q := gatewayPlan(pl).Quota
		if q == nil {
			return nil
		}
		var keys []string
		if in.KeyId == nil {
			id := func(k key) (string, bool, error) { return k.ID, true, nil }
			keys, out.Position, err = pageOfKeys(tx, s.tables.keys, p, inPlan(p, in.UsagePlanId), s.listing(ctx, in.UsagePlanId, ""), in.Position, in.Limit, id)
		} else if k, kerr := s.tables.keys.Get(tx, p.key(*in.KeyId)...); kerr == nil && slices.Contains(k.Plans, in.UsagePlanId) {
			keys = []string{k.ID}
		} else if kerr != nil && !errors.Is(kerr, store.ErrNotFound) {
			err = kerr
		}
		if err != nil {
			return err
		}
		for _, k := range keys {
			if out.Items[k], err = s.usageOf(tx, in.UsagePlanId, k, q, start, end); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// usageOf gives {used, remaining} for each day of a key.
func (s *Service) usageOf(tx *store.Tx, plan, key string, q *gateway.Quota, start, end time.Time) ([][]int64, error) {
	var out [][]int64
	_, first, _ := q.Window(start)
	window, total, limit := "", int64(0), int64(0)
	for day := first; !day.After(end); day = day.AddDate(0, 0, 1) {
		if name, _, _ := q.Window(day); name != window {
			extra, err := s.tables.extensions.Get(tx, plan, key, name)
			if err != nil {
				return nil, err
			}
			window, total, limit = name, 0, q.Limit+extra
		}
		used, err := s.tables.days.Get(tx, plan, key, day.Format(dateLayout))
		if err != nil {
			return nil, err
		}
		total += used
		if !day.Before(start) {
			out = append(out, []int64{used, max(0, limit-total)})
		}
	}
	return out, nil
}

// UpdateUsage gives a key another rest of its quota for the period that runs.
func (s *Service) UpdateUsage(ctx context.Context, in *apigatewayapi.UpdateUsageRequest) (*apigatewayapi.Usage, error) {
	rest := struct {
		Remaining *int64 `aws:"remaining"`
	}{}
	if err := usageRules().apply(&rest, in.PatchOperations); err != nil {
		return nil, err
	}
	if rest.Remaining == nil || *rest.Remaining < 0 || *rest.Remaining > maxQuota {
		return nil, badRequest("Invalid value for '/remaining'. Must be a number from 0 to %d", int64(maxQuota))
	}
	if err := s.flushUsage(ctx, true, true); err != nil {
		return nil, err
	}
	now := s.cfg.Now().UTC()
	today := now.Format(dateLayout)
	p := s.place(ctx)
	out := &apigatewayapi.Usage{UsagePlanId: &in.UsagePlanId, StartDate: &today, EndDate: &today}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		pl, _, err := s.keyOfPlan(tx, p, in.UsagePlanId, in.KeyId)
		if err != nil {
			return err
		}
		q := gatewayPlan(pl).Quota
		if q == nil {
			return badRequest("Usage Plan has no quota")
		}
		window, first, _ := q.Window(now)
		var used int64
		for day := first; !day.After(now); day = day.AddDate(0, 0, 1) {
			n, err := s.tables.days.Get(tx, in.UsagePlanId, in.KeyId, day.Format(dateLayout))
			if err != nil {
				return err
			}
			used += n
		}
		if err := s.tables.extensions.Set(tx, used+*rest.Remaining-q.Limit, in.UsagePlanId, in.KeyId, window); err != nil {
			return err
		}
		pl.Epoch++ // blocks that nodes hold count no longer
		if err := s.putPlan(tx, pl); err != nil {
			return err
		}
		days, err := s.usageOf(tx, in.UsagePlanId, in.KeyId, q, now.Truncate(24*time.Hour), now)
		out.Items = map[string][][]int64{in.KeyId: days}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, s.publishPlans(ctx)
}

const maxQuota = 1<<31 - 1
