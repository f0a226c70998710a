package trail

import (
	"context"
	"slices"
	"time"
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
	q := question{Attribute: byRequest, Value: id, End: s.cfg.Now().Add(time.Minute).UnixMilli()}
	found, _, _, err := s.look(ctx, q, place{}, maxFound)
	if err == nil && len(found) == 0 {
		q.Attribute = "EventId"
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

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
