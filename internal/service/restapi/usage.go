package restapi

import (
	"context"
	"time"

	"moat/internal/store"
	"moat/internal/wire/apigatewayapi"
)

const dateLayout = "2006-01-02"

// Lease hands out up to want requests of a key's quota in a window, never more than limit in all.
// It is exact across nodes and restarts: one statement counts, durably, before it answers.
func (s *Service) Lease(ctx context.Context, planID, keyID, window string, want, limit int64) (granted int64, err error) {
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		granted, _, err = s.tables.usage.Add(tx, want, limit, planID, keyID, window)
		return err
	})
	return granted, err
}

// GetUsage returns, per key and day, what was used and what remains of the quota.
//
// A day's figure counts what the gateways have leased: up to a block more than was spent.
func (s *Service) GetUsage(ctx context.Context, in *apigatewayapi.GetUsageRequest) (*apigatewayapi.Usage, error) {
	start, err1 := time.Parse(dateLayout, in.StartDate)
	end, err2 := time.Parse(dateLayout, in.EndDate)
	if err1 != nil || err2 != nil || end.Before(start) || end.Sub(start) > 90*24*time.Hour {
		return nil, badRequest("Invalid date range specified: dates are yyyy-mm-dd, at most 90 days")
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
		if q.Period != string(apigatewayapi.QuotaPeriodTypeDAY) {
			return notBuilt("GetUsage", "the usage of a quota per %s is not kept by day", q.Period)
		}
		for _, k := range pl.Keys {
			if in.KeyId != nil && *in.KeyId != k {
				continue
			}
			for day := start; !day.After(end); day = day.AddDate(0, 0, 1) {
				used, err := s.tables.usage.Get(tx, in.UsagePlanId, k, day.Format(dateLayout))
				if err != nil {
					return err
				}
				out.Items[k] = append(out.Items[k], []int64{used, max(0, q.Limit-used)})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
