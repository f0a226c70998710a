package logs

import (
	"math"
	"slices"

	"moat/internal/store"
)

// selection collects the first events of a stream behind a place, or the last before it when
// back is set: as many as the limits say, and those within the window only.
type selection struct {
	from         place
	window       window
	back         bool
	limit, bytes int

	// events are in order of the direction once [Service.read] has returned.
	events []event
	// full: there may be more than the limits let in. edge is the time of the last one then.
	full bool
	edge int64

	size int
}

// add takes what belongs to the selection out of events, which are in order.
func (f *selection) add(events []event) {
	n := len(f.events)
	for i := range events {
		e := &events[i]
		c := e.place().compare(f.from)
		if e.Time < f.window.start || e.Time >= f.window.end || f.back && c >= 0 || !f.back && c <= 0 {
			continue
		}
		f.events = append(f.events, *e)
		f.size += e.size()
	}
	if f.back {
		slices.Reverse(f.events[n:])
	}
	if len(f.events) > f.limit || f.size > f.bytes || f.full {
		f.trim()
	}
}

// trim leaves the first events, until a limit is reached: at least one, and so many that a page
// of the same limits takes no more.
func (f *selection) trim() {
	f.sort()
	n := 0
	f.size = 0
	for n < len(f.events) && n < f.limit && f.size <= f.bytes {
		f.size += f.events[n].size()
		n++
	}
	f.full = f.full || n < len(f.events)
	f.events = f.events[:n]
	if n > 0 {
		f.edge = f.events[n-1].Time
	}
}

func (f *selection) sort() {
	order := func(a, b event) int { return a.place().compare(b.place()) }
	if f.back {
		order = func(a, b event) int { return b.place().compare(a.place()) }
	}
	if !slices.IsSortedFunc(f.events, order) {
		slices.SortFunc(f.events, order)
	}
}

// wants says whether events between two times may belong to the selection.
func (f *selection) wants(first, last int64) bool {
	switch {
	case first >= f.window.end || last < f.window.start:
		return false
	case f.back:
		return first <= f.from.time && (!f.full || last >= f.edge)
	}
	return last >= f.from.time && (!f.full || first <= f.edge)
}

// read fills a selection from a stream.
func (s *Service) read(tx *store.Tx, st *Stream, f *selection) error {
	for _, class := range st.classes() {
		if err := s.readClass(tx, st, class, f); err != nil {
			return err
		}
	}
	if !st.Chunked {
		if err := s.readRecords(tx, st, f); err != nil {
			return err
		}
	}
	f.sort()
	return nil
}

// readClass adds the chunks of a class that may hold events of the selection. They come in the
// order of their first times; how far before it a chunk may reach back, its class says.
func (s *Service) readClass(tx *store.Tx, st *Stream, class string, f *selection) error {
	const most = 4 // chunks at once
	span := spanOf(class)
	q := store.Query{Prefix: append(st.key(), class), Limit: 1, Reverse: f.back}
	switch {
	case class == loose:
		q.Limit = maxLoose + 1
	case !f.back:
		q.After = append(slices.Clone(q.Prefix), stamp(max(f.from.time, f.window.start)-span), "")
	case f.from.time < math.MaxInt64:
		q.After = append(slices.Clone(q.Prefix), stamp(f.from.time+1), "")
	}
	for {
		chunks, err := s.chunks.List(tx, q)
		if err != nil {
			return err
		}
		for i := range chunks {
			c := &chunks[i]
			first, last := c.first(), c.last()
			// Further chunks begin beyond this one, and end at most a span behind their beginning.
			if beyond := first + min(span, math.MaxInt64-first); f.back && !f.wants(math.MinInt64, beyond) || !f.back && !f.wants(first, math.MaxInt64) {
				return nil
			}
			if f.wants(first, last) {
				f.add(c.events)
			}
		}
		if len(chunks) < q.Limit {
			return nil
		}
		end := &chunks[len(chunks)-1]
		q.Limit = min(2*q.Limit, most)
		q.After = append(slices.Clone(q.Prefix), stamp(end.first()), number(end.number()))
	}
}

// readRecords adds events that have a row of their own.
func (s *Service) readRecords(tx *store.Tx, st *Stream, f *selection) error {
	const step = 500
	from := f.from
	for {
		q := store.Query{Prefix: st.key(), Limit: step, Reverse: f.back, After: append(st.key(), from.text()...)}
		records, err := s.events.List(tx, q)
		if err != nil {
			return err
		}
		events := make([]event, len(records))
		for i := range records {
			r := &records[i]
			events[i] = r.event()
		}
		if f.back {
			slices.Reverse(events)
		}
		f.add(events)
		if len(records) < step {
			return nil
		}
		last := &records[step-1]
		if from = (place{last.Time, last.Number}); f.back && !f.wants(math.MinInt64, last.Time) || !f.back && !f.wants(last.Time, math.MaxInt64) {
			return nil
		}
	}
}
