package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

// Event is one line of a log.
type Event struct {
	Time    time.Time
	Message string
	// Form is what the message has in common with others; nil when Message is all of it. With a
	// form, Message holds the values: a valid array in JSON, without blanks between them.
	Form *Form
}

// Text is the whole message.
func (e *Event) Text() string {
	if e.Form == nil {
		return e.Message
	}
	return e.Form.message(e.Message)
}

const (
	eventOverhead = 26      // bytes that AWS counts for an event besides its message
	maxBatchBytes = 1 << 20 // of one PutLogEvents
	maxSpan       = 24 * time.Hour
	maxAhead      = 2 * time.Hour
	maxAge        = 14 * 24 * time.Hour
)

// Append adds events, in the order of their times, to a stream; it creates the
// group and the stream when they are missing. It is how other parts of this
// server write logs: it asks for no permission and refuses no time.
func (s *Service) Append(ctx context.Context, region, group, stream string, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	room, _ := s.lists.Get().(*[]event)
	if room == nil {
		room = new([]event)
	}
	list := (*room)[:0]
	for i := range events {
		list = append(list, event{Time: events[i].Time.UnixMilli(), Message: events[i].Message, form: events[i].Form})
	}
	defer func() {
		clear(list)
		if cap(list) <= 8192 {
			*room = list
		}
		s.lists.Put(room)
	}()
	byTime(list)
	return s.db.Update(ctx, func(tx *store.Tx) error {
		g, err := s.groups.Get(tx, s.account, region, group)
		if errors.Is(err, store.ErrNotFound) {
			g = Group{Account: s.account, Region: region, Name: group, Class: string(api.LogGroupClassSTANDARD), Created: s.now().UnixMilli()}
			err = s.groups.Insert(tx, g)
		}
		if err != nil {
			return err
		}
		st, err := s.streams.Get(tx, s.account, region, group, stream)
		if errors.Is(err, store.ErrNotFound) {
			st, err = s.newStream(&g, stream), nil
		}
		if err != nil {
			return err
		}
		return s.write(tx, st, list)
	})
}

// byTime sorts events that have no number yet: those of one time stay as they came.
func byTime(events []event) {
	if slices.IsSortedFunc(events, func(a, b event) int { return cmp.Compare(a.Time, b.Time) }) {
		return
	}
	for i := range events {
		events[i].Number = int64(i)
	}
	slices.SortFunc(events, func(a, b event) int { return a.place().compare(b.place()) })
}

// write stores events, which are in the order of time, and what the stream knows of them.
func (s *Service) write(tx *store.Tx, st Stream, events []event) error {
	now := s.now().UnixMilli()
	for i := range events {
		e := &events[i]
		e.Number, e.Ingested = st.Next+int64(i), now
		st.Bytes += int64(e.size())
	}
	if first := events[0].Time; st.Next == 0 || first < st.First {
		st.First = first
	}
	st.Last = max(st.Last, events[len(events)-1].Time)
	st.Next += int64(len(events))
	st.Ingested = now
	if err := s.keep(tx, &st, events); err != nil {
		return err
	}
	return s.streams.Put(tx, st)
}

// PutLogEvents adds events to a stream. Events that are too old, too new or
// beyond the retention are left out, and the answer says which.
func (s *Service) PutLogEvents(ctx context.Context, in *api.PutLogEventsRequest) (*api.PutLogEventsResponse, error) {
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	out := &api.PutLogEventsResponse{}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		g, err := s.group(tx, wire.CallFrom(ctx), in.LogGroupName)
		if err != nil {
			return err
		}
		st, err := s.stream(tx, &g, in.LogStreamName)
		if err != nil {
			return err
		}
		accepted, rejected := s.accept(&g, in.LogEvents)
		// Clients of old send the token back; AWS no longer asks for it.
		out = &api.PutLogEventsResponse{RejectedLogEventsInfo: rejected, NextSequenceToken: wire.String(fmt.Sprintf("49%054d", st.Next+int64(len(accepted))))}
		if len(accepted) == 0 {
			return nil
		}
		list := make([]event, len(accepted))
		for i, e := range accepted {
			list[i] = event{Time: e.Timestamp, Message: e.Message}
		}
		return s.write(tx, st, list)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkBatch applies the rules for a whole request.
func checkBatch(events []api.InputLogEvent) error {
	size := 0
	for i, e := range events {
		size += len(e.Message) + eventOverhead
		if i > 0 && e.Timestamp < events[i-1].Timestamp {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	switch {
	case len(events) == 0:
		return invalid("1 validation error detected: Value '[]' at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1")
	case size > maxBatchBytes:
		return invalid("Upload too large: %d bytes exceeds limit of %d", size, maxBatchBytes)
	case events[len(events)-1].Timestamp-events[0].Timestamp > maxSpan.Milliseconds():
		return invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
	}
	return nil
}

// accept returns the events whose time is fit. The list is in order: too old and
// expired ones lead, too new ones trail.
func (s *Service) accept(g *Group, events []api.InputLogEvent) ([]api.InputLogEvent, *api.RejectedLogEventsInfo) {
	now := s.now()
	var info api.RejectedLogEventsInfo
	from, to := 0, len(events)
	rejected := false
	for from < to && events[from].Timestamp < now.Add(-maxAge).UnixMilli() {
		from++
		info.TooOldLogEventEndIndex, rejected = wire.Int32(int32(from)), true
	}
	for from < to && events[from].Timestamp < g.horizon(now) {
		from++
		info.ExpiredLogEventEndIndex, rejected = wire.Int32(int32(from)), true
	}
	for to > from && events[to-1].Timestamp > now.Add(maxAhead).UnixMilli() {
		to--
		info.TooNewLogEventStartIndex, rejected = wire.Int32(int32(to)), true
	}
	if !rejected {
		return events, nil
	}
	return events[from:to], &info
}
