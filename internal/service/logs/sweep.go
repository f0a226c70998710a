package logs

import (
	"context"
	"errors"
	"fmt"
	"math"

	"moat/internal/store"
)

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

// sweepChunks and sweepRecords bound what one transaction of a sweep reads.
const (
	sweepChunks  = 16
	sweepRecords = 500
)

// sweepStream deletes some expired events of a stream and says whether there may
// be more. It leaves the stream's newest state in st.
func (s *Service) sweepStream(ctx context.Context, st *Stream, horizon int64) (more bool, err error) {
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		current, err := s.streams.Get(tx, st.key()...)
		if errors.Is(err, store.ErrNotFound) {
			more = false
			return nil
		}
		if err != nil {
			return err
		}
		first := int64(math.MaxInt64)
		more, err = s.expireChunks(tx, &current, horizon, &first)
		if err == nil && !more && !current.Chunked {
			more, err = s.expireRecords(tx, &current, horizon, &first)
		}
		if err != nil {
			return err
		}
		if !more {
			if current.First = first; first == math.MaxInt64 {
				current.First = horizon // nothing is left for the next sweep either
			}
		}
		*st = current
		return s.streams.Put(tx, current)
	})
	return more, err
}

// expireChunks deletes what is expired of a stream's chunks; first becomes the time of the
// first event that stays, if that is earlier.
func (s *Service) expireChunks(tx *store.Tx, st *Stream, horizon int64, first *int64) (more bool, err error) {
	left := sweepChunks
	for _, class := range st.classes() {
		chunks, err := s.chunks.List(tx, store.Query{Prefix: append(st.key(), class), Limit: left})
		if err != nil {
			return false, err
		}
		asked, kept := left, false
		for i := range chunks {
			c := &chunks[i]
			if c.first() >= horizon {
				*first, kept = min(*first, c.first()), true
				break
			}
			stays, err := s.trim(tx, st, c, horizon)
			if err != nil {
				return false, err
			}
			*first, kept = min(*first, stays), kept || stays < math.MaxInt64
			left--
		}
		if left <= 0 {
			return true, nil
		}
		if !kept && len(chunks) < asked {
			st.mark(class, false)
		}
	}
	return false, nil
}

// trim deletes a chunk and puts back what is not expired of it. It returns the time of the
// first event that stays, or MaxInt64.
func (s *Service) trim(tx *store.Tx, st *Stream, c *Chunk, horizon int64) (int64, error) {
	if err := s.chunks.Delete(tx, append(st.key(), c.Class, stamp(c.first()), number(c.number()))...); err != nil {
		return 0, err
	}
	events, n, gone := c.events, 0, 0
	for n < len(events) && events[n].Time < horizon {
		gone += events[n].size()
		n++
	}
	st.Bytes -= int64(gone)
	if c.Class == loose {
		st.Loose--
		st.LooseBytes -= sizeOf(events)
	}
	if n == len(events) {
		return math.MaxInt64, nil
	}
	if c.Class == loose {
		return events[n].Time, s.insertLoose(tx, st, events[n:])
	}
	return events[n].Time, s.insert(tx, st, classOf(events[n:]), events[n:])
}

// expireRecords deletes some expired events that have a row of their own.
func (s *Service) expireRecords(tx *store.Tx, st *Stream, horizon int64, first *int64) (more bool, err error) {
	oldest, err := s.events.List(tx, store.Query{Prefix: st.key(), Limit: sweepRecords})
	if err != nil {
		return false, err
	}
	for _, r := range oldest {
		if r.Time >= horizon {
			*first = min(*first, r.Time)
			return false, nil
		}
		if err := s.events.Delete(tx, append(st.key(), stamp(r.Time), number(r.Number))...); err != nil {
			return false, err
		}
		st.Bytes -= int64(len(r.Message) + eventOverhead)
	}
	return len(oldest) == sweepRecords, nil
}

// gatherBatch is how many events of an older Moat one transaction moves.
const gatherBatch = 2000

// gatherRecords moves the events that have rows of their own into chunks, some thousands in a
// transaction: it may be interrupted at any point. They keep their numbers, and with them the
// tokens of readers and the ids of events.
func (s *Service) gatherRecords(ctx context.Context) error {
	var streams []Stream
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		streams, err = s.streams.List(tx, store.Query{Prefix: []string{s.account}})
		return err
	})
	if err != nil {
		return err
	}
	for i := range streams {
		for more := !streams[i].Chunked; more; {
			if more, err = s.gatherStream(ctx, &streams[i]); err != nil {
				return fmt.Errorf("log stream %s of %s: %w", streams[i].Name, streams[i].Group, err)
			}
		}
	}
	return nil
}

func (s *Service) gatherStream(ctx context.Context, st *Stream) (more bool, err error) {
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		more = false
		current, err := s.streams.Get(tx, st.key()...)
		if errors.Is(err, store.ErrNotFound) || err == nil && current.Chunked {
			return nil
		}
		if err != nil {
			return err
		}
		records, err := s.events.List(tx, store.Query{Prefix: st.key(), Limit: gatherBatch})
		if err != nil {
			return err
		}
		events := make([]event, len(records))
		for i := range records {
			r := &records[i]
			events[i] = r.event()
		}
		if more = len(records) == gatherBatch; more {
			for i := range events {
				if err := s.events.Delete(tx, append(st.key(), stamp(events[i].Time), number(events[i].Number))...); err != nil {
					return err
				}
			}
		} else if _, err := s.events.DeleteAll(tx, st.key()...); err != nil {
			return err
		}
		current.Chunked = !more
		if len(events) > 0 {
			if err := s.keep(tx, &current, events); err != nil {
				return err
			}
		}
		return s.streams.Put(tx, current)
	})
	return more, err
}
