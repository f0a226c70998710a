package logs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

// Event is one line of a log.
type Event struct {
	Time    time.Time
	Message string
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
	list := make([]api.InputLogEvent, len(events))
	for i, e := range events {
		list[i] = api.InputLogEvent{Timestamp: e.Time.UnixMilli(), Message: e.Message}
	}
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

// write stores events and what the stream knows of them.
func (s *Service) write(tx *store.Tx, st Stream, events []api.InputLogEvent) error {
	now := s.now().UnixMilli()
	for _, e := range events {
		r := Record{
			Account: st.Account, Region: st.Region, Group: st.Group, Stream: st.Name,
			Time: e.Timestamp, Number: st.Next, Ingested: now, Message: e.Message,
		}
		if err := s.events.Insert(tx, r); err != nil {
			return err
		}
		if st.Next == 0 || e.Timestamp < st.First {
			st.First = e.Timestamp
		}
		st.Last = max(st.Last, e.Timestamp)
		st.Next++
		st.Bytes += int64(len(e.Message) + eventOverhead)
	}
	st.Ingested = now
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
		return s.write(tx, st, accepted)
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

// Sweep deletes the events whose retention is over and counts what the groups
// hold; Run calls it now and then.
func (s *Service) Sweep(ctx context.Context) error {
	var groups []Group
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		groups, err = s.groups.List(tx, store.Query{Prefix: []string{s.account}})
		return err
	})
	if err != nil {
		return err
	}
	for i := range groups {
		if err := s.sweepGroup(ctx, &groups[i]); err != nil {
			return fmt.Errorf("log group %s: %w", groups[i].Name, err)
		}
	}
	return nil
}

func (s *Service) sweepGroup(ctx context.Context, g *Group) error {
	key := []string{g.Account, g.Region, g.Name}
	var streams []Stream
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		streams, err = s.streams.List(tx, store.Query{Prefix: key})
		return err
	})
	if err != nil {
		return err
	}
	horizon, total := g.horizon(s.now()), int64(0)
	for i := range streams {
		st := &streams[i]
		for more := st.Next > 0 && st.First < horizon; more; {
			if more, err = s.sweepStream(ctx, st, horizon); err != nil {
				return err
			}
		}
		total += st.Bytes
	}
	if total == g.StoredBytes {
		return nil
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		now, err := s.groups.Get(tx, key...)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		now.StoredBytes = total
		return s.groups.Put(tx, now)
	})
}

// sweepStream deletes some expired events of a stream and says whether there may
// be more. It leaves the stream's newest state in st.
func (s *Service) sweepStream(ctx context.Context, st *Stream, horizon int64) (more bool, err error) {
	const batch = 500
	key := []string{st.Account, st.Region, st.Group, st.Name}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		current, err := s.streams.Get(tx, key...)
		if errors.Is(err, store.ErrNotFound) {
			more = false
			return nil
		}
		if err != nil {
			return err
		}
		oldest, err := s.events.List(tx, store.Query{Prefix: key, Limit: batch})
		if err != nil {
			return err
		}
		more = len(oldest) == batch
		if len(oldest) == 0 {
			current.First = horizon // nothing is left for the next sweep either
		}
		for _, r := range oldest {
			if r.Time >= horizon {
				current.First, more = r.Time, false
				break
			}
			if err := s.events.Delete(tx, append(key[:len(key):len(key)], stamp(r.Time), number(r.Number))...); err != nil {
				return err
			}
			current.First = r.Time
			current.Bytes -= int64(len(r.Message) + eventOverhead)
		}
		*st = current
		return s.streams.Put(tx, current)
	})
	return more, err
}
