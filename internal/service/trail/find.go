package trail

import (
	"cmp"
	"context"
	"slices"
	"time"

	"moat/internal/wire"
)

// maxFound bounds the events of one request: those that services made on its behalf count.
const maxFound = 100

// Find returns the events of a request by its id, or one event by its own id: first what was asked
// for from outside, then what services did for it, in their order. It finds nothing older than
// 90 days.
func (s *Service) Find(ctx context.Context, id string) ([]Event, error) {
	if err := s.Flush(ctx); err != nil {
		return nil, err
	}
	found, err := s.ofRequest(ctx, id)
	if err == nil && len(found) == 0 {
		q := question{Attribute: "EventId", Value: id, End: s.cfg.Now().Add(time.Minute).UnixMilli()}
		found, _, _, err = s.look(ctx, q, place{}, 1)
	}
	if err != nil {
		return nil, err
	}
	var out []Event
	for _, l := range slices.Backward(found) {
		out = append(out, l.Event)
	}
	slices.SortStableFunc(out, func(a, b Event) int {
		return boolInt(a.UserIdentity.InvokedBy != "") - boolInt(b.UserIdentity.InvokedBy != "")
	})
	return out, nil
}

// ofRequest finds the events of a request, the newest first: those of its first second by the time
// in its id, all others by the index.
func (s *Service) ofRequest(ctx context.Context, id string) ([]located, error) {
	now := s.cfg.Now()
	q := question{Attribute: byRequest, Value: id, End: now.Add(time.Minute).UnixMilli()}
	found, _, _, err := s.look(ctx, q, place{}, maxFound)
	began, ok := wire.RequestTime(id)
	if err != nil || !ok || began.After(now.Add(time.Minute)) || now.Sub(began) > lookupWindow {
		return found, err
	}
	known := map[string]bool{}
	for i := range found { // in a chunk that the index has for another event
		known[found[i].EventID] = true
	}
	q.Walk, q.Start, q.End = true, began.UnixMilli(), began.Add(quickly).UnixMilli()
	for from, more := (place{}), true; more && len(found) < maxFound; {
		var quick []located
		if quick, from, more, err = s.look(ctx, q, from, maxFound-len(found)); err != nil {
			return nil, err
		}
		found = append(found, slices.DeleteFunc(quick, func(l located) bool { return known[l.EventID] })...)
	}
	if len(known) > 0 {
		slices.SortStableFunc(found, func(a, b located) int { return cmp.Compare(b.at, a.at) })
	}
	return found, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
