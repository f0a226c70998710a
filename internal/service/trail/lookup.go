package trail

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cloudtrailapi"
)

const (
	pageEvents = 50 // as CloudTrail's
	// Bounds of one look-up: it then gives what it has, and a token to go on.
	pageChunks = 4
	maxChunks  = 200
)

// question is what somebody looks for.
type question struct {
	Attribute, Value string
	Region           string // empty for all
	Start, End       int64  // milliseconds, both included
	Walk             bool   // look at all that is in that time: the index does not have it
}

func (q *question) matches(e *Event, at int64) bool {
	if at < q.Start || at > q.End || q.Region != "" && e.AWSRegion != q.Region {
		return false
	}
	switch q.Attribute {
	case "":
		return true
	case "EventId":
		return e.EventID == q.Value
	case byRequest:
		return e.RequestID == q.Value
	}
	return slices.Contains(e.attributes(nil), attribute{q.Attribute, q.Value})
}

// located is an event with its text.
type located struct {
	Event
	text json.RawMessage
	at   int64
}

// place is where a look-up goes on: behind the first Skip events of the chunk Key, or at it.
type place struct {
	Key  []string `json:",omitempty"`
	Skip int      `json:",omitempty"`
}

// look returns up to most events, the newest first, and where to go on; more is false at the end.
// Events of nodes that wrote at the same time can be out of order by the length of a chunk.
func (s *Service) look(ctx context.Context, q question, from place, most int) (events []located, next place, more bool, err error) {
	seen, skip := 0, from.Skip
	for after := from.Key; ; {
		page, err := s.page(ctx, &q, after, from.Key != nil && seen == 0 && skip > 0)
		if err != nil {
			return nil, place{}, false, err
		}
		for i := range page {
			c := &page[i]
			if c.From < q.Start-chunkSpan.Milliseconds() {
				return events, place{}, false, nil
			}
			var found []located
			if c.To >= q.Start {
				found, err = c.matching(&q)
			}
			if err != nil {
				return nil, place{}, false, err
			}
			found = found[min(skip, len(found)):]
			if room := most - len(events); len(found) > room {
				return append(events, found[:room]...), place{Key: c.key(), Skip: skip + room}, true, nil
			}
			events, skip = append(events, found...), 0
			after = c.key()
			if seen++; seen == maxChunks || len(events) == most {
				return events, place{Key: after}, true, nil
			}
		}
		if len(page) < pageChunks {
			return events, place{}, false, nil
		}
	}
}

// page reads the next chunks; at says that the chunk of the key itself is read again.
func (s *Service) page(ctx context.Context, q *question, key []string, at bool) (page []chunk, err error) {
	query := store.Query{Reverse: true, Limit: pageChunks, After: []string{stamp(q.End + 1), "", ""}}
	if q.Attribute == "EventId" { // the id carries the time
		t, ok := timeOfID(q.Value)
		if !ok {
			return nil, nil
		}
		q.Start, q.End = max(q.Start, t.UnixMilli()), min(q.End, t.UnixMilli())
		query.After = []string{stamp(q.End + 1), "", ""}
	} else if q.Attribute != "" && !q.Walk {
		query.Index, query.Values = "find", []string{found(q.Attribute, q.Value)}
	}
	err = s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		if key == nil {
			page, err = s.chunks.List(tx, query)
			return err
		}
		query.After = key
		page = nil
		if at {
			c, err := s.chunks.Get(tx, key...)
			switch {
			case err == nil:
				page = append(page, c)
				query.Limit--
			case !errors.Is(err, store.ErrNotFound): // its time may be over
				return err
			}
		}
		rest, err := s.chunks.List(tx, query)
		page = append(page, rest...)
		return err
	})
	return page, err
}

// matching are the events of a chunk that answer a question, the newest first.
func (c *chunk) matching(q *question) ([]located, error) {
	var out []located
	for _, text := range slices.Backward(c.Events) {
		if q.Walk && !bytes.Contains(text, []byte(q.Value)) {
			continue
		}
		l := located{text: text}
		if err := json.Unmarshal(text, &l.Event); err != nil {
			return nil, fmt.Errorf("trail: an event in the store: %w", err)
		}
		l.at = l.Event.time().UnixMilli()
		if q.matches(&l.Event, l.at) {
			out = append(out, l)
		}
	}
	slices.SortStableFunc(out, func(a, b located) int { return cmp.Compare(b.at, a.at) })
	return out, nil
}

// LookupEvents finds events of the last 90 days in the call's region.
func (s *Service) LookupEvents(ctx context.Context, in *api.LookupEventsRequest) (*api.LookupEventsResponse, error) {
	c := wire.CallFrom(ctx)
	if in.EventCategory != "" {
		return nil, wire.NotImplementedBecause(c.Service, c.Operation, "there are no insight events")
	}
	q, err := s.questionOf(c, in)
	if err != nil {
		return nil, err
	}
	most := pageEvents
	if in.MaxResults != nil {
		most = int(*in.MaxResults)
	}
	asked := fmt.Sprint(s.cfg.Account, c.Caller.Account, q.Region, q.Attribute, "=", q.Value, wire.Value(in.StartTime).Unix(), wire.Value(in.EndTime).Unix())
	from, err := s.openToken(in.NextToken, asked)
	if err != nil {
		return nil, err
	}
	if err := s.Flush(ctx); err != nil {
		return nil, err
	}
	found, next, more, err := s.look(ctx, q, from, most)
	if err != nil {
		return nil, err
	}
	out := &api.LookupEventsResponse{Events: []api.Event{}}
	for i := range found {
		out.Events = append(out.Events, found[i].wire())
	}
	if more {
		out.NextToken, err = s.sealToken(asked, next)
	}
	return out, err
}

func (s *Service) questionOf(c *wire.Call, in *api.LookupEventsRequest) (question, error) {
	now := s.cfg.Now()
	q := question{Region: c.Region, Start: now.Add(-lookupWindow).UnixMilli(), End: now.Add(time.Minute).UnixMilli()}
	if in.StartTime != nil && in.EndTime != nil && in.StartTime.After(*in.EndTime) {
		return q, &api.InvalidTimeRangeException{Message: "The start time must be before the end time."}
	}
	if in.StartTime != nil {
		q.Start = max(q.Start, in.StartTime.UnixMilli())
	}
	if in.EndTime != nil {
		q.End = min(q.End, in.EndTime.UnixMilli()+999) // a second has many milliseconds
	}
	switch len(in.LookupAttributes) {
	case 0:
	case 1:
		q.Attribute, q.Value = string(in.LookupAttributes[0].AttributeKey), in.LookupAttributes[0].AttributeValue
	default:
		return q, &api.InvalidLookupAttributesException{Message: "You can specify only one lookup attribute."}
	}
	return q, nil
}

// wire is an event as LookupEvents gives it.
func (l *located) wire() api.Event {
	at, _ := time.Parse(time.RFC3339, l.EventTime)
	e := api.Event{
		CloudTrailEvent: wire.String(string(l.text)), EventId: &l.EventID, EventName: &l.EventName, EventSource: &l.EventSource, EventTime: &at,
		ReadOnly: wire.String(strconv.FormatBool(l.ReadOnly)), Resources: []api.Resource{},
	}
	if u := l.UserIdentity.Username(); u != "" {
		e.Username = &u
	}
	if k := l.UserIdentity.AccessKeyID; k != "" {
		e.AccessKeyId = &k
	}
	for _, r := range l.Resources {
		names := r.names()
		e.Resources = append(e.Resources, api.Resource{ResourceName: wire.String(names[len(names)-1]), ResourceType: wire.String(r.Type)})
	}
	return e
}
