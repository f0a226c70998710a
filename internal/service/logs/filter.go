package logs

import (
	"container/heap"
	"context"
	"fmt"
	"hash/fnv"
	"slices"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

// maxScanned bounds how many events one FilterLogEvents looks at; a page that ends
// there carries a token even when nothing matched.
const maxScanned = 100_000

// FilterLogEvents returns the events of several streams that match a pattern, in
// the order of time.
func (s *Service) FilterLogEvents(ctx context.Context, in *api.FilterLogEventsRequest) (*api.FilterLogEventsResponse, error) {
	c := wire.CallFrom(ctx)
	name, err := s.groupOf(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != nil {
		return nil, invalid("LogStream names and LogStream name prefix are mutually exclusive parameters.")
	}
	match, err := compilePattern(wire.Value(in.FilterPattern))
	if err != nil {
		return nil, err
	}
	question, err := s.question(c, "FilterLogEvents", name, in.LogStreamNames, in.LogStreamNamePrefix, in.FilterPattern, in.StartTime, in.EndTime)
	if err != nil {
		return nil, err
	}
	after, err := s.openToken(in.NextToken, question)
	if err == nil && in.NextToken != nil && len(after) != 3 {
		err = invalid("The specified nextToken is invalid.")
	}
	if err != nil {
		return nil, err
	}
	out := &api.FilterLogEventsResponse{Events: []api.FilteredLogEvent{}, SearchedLogStreams: []api.SearchedLogStream{}}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		g, err := s.group(tx, c, name)
		if err != nil {
			return err
		}
		w := windowOf(in.StartTime, in.EndTime, g.horizon(s.now()))
		m := &merge{s: s, tx: tx, window: w}
		if err := m.open(&g, in, after); err != nil {
			return err
		}
		last, err := filterPage(m, match, limitOf(in.Limit, maxEvents), out)
		if err == nil && last != nil {
			out.NextToken, err = s.sealToken(question, []string{stamp(last.Time), last.stream, number(last.Number)})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// filterPage fills a page; it returns the last event looked at when there may be
// more.
func filterPage(m *merge, match func(string) bool, limit int, out *api.FilterLogEventsResponse) (last *streamEvent, err error) {
	p := pager{limit: limit, bytes: maxPageBytes}
	for scanned := 0; ; scanned++ {
		r, err := m.next()
		if err != nil || r == nil {
			return nil, err
		}
		if scanned == maxScanned {
			return last, nil
		}
		if text := r.text(); match(text) {
			if !p.take(r.size()) {
				return last, nil
			}
			out.Events = append(out.Events, api.FilteredLogEvent{
				EventId: wire.String(r.id()), IngestionTime: &r.Ingested, LogStreamName: &r.stream, Message: &text, Timestamp: &r.Time,
			})
		}
		last = r
	}
}

// streamEvent is an event and the stream that it is of.
type streamEvent struct {
	event
	stream string
}

// id is a number of 56 digits, as AWS's are, that no other event of the group has.
func (r *streamEvent) id() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.stream)) // a hash does not fail
	return fmt.Sprintf("3%015d%020d%020d", max(0, r.Time), h.Sum64(), r.Number)
}

// merge reads several streams as one, in the order of time, stream and number. A
// stream is not read before its first event may be next.
type merge struct {
	s      *Service
	tx     *store.Tx
	window window
	heads  cursors
	ahead  int // how many events are read of a stream at once
}

// cursor is one stream: where its next event is at the earliest, and what was read
// of it ahead.
type cursor struct {
	stream *Stream
	at     place
	ahead  []event
	done   bool // nothing further than ahead
}

// How many events are read ahead: aheadOfAll of all streams together, but of each at least
// aheadLeast, at most aheadMost, and not more than aheadBytes.
const (
	aheadOfAll = 20_000
	aheadLeast = 100
	aheadMost  = 4000
	aheadBytes = 256 << 10
)

func (m *merge) open(g *Group, in *api.FilterLogEventsRequest, after []string) error {
	streams, err := m.streams(g, in)
	if err != nil {
		return err
	}
	for i := range streams {
		st := &streams[i]
		if st.Next == 0 || st.Last < m.window.start || st.First >= m.window.end {
			continue
		}
		c := &cursor{stream: st, at: place{max(m.window.start, st.First), before}}
		if after != nil {
			from, err := resume(st.Name, after)
			if err != nil {
				return invalid("The specified nextToken is invalid.")
			}
			if from.compare(c.at) > 0 {
				c.at = from
			}
		}
		m.heads = append(m.heads, c)
	}
	m.ahead = max(aheadLeast, min(aheadOfAll/max(1, len(m.heads)), aheadMost))
	heap.Init(&m.heads)
	return nil
}

// resume is where a stream goes on behind an event (time, stream, number) of the
// merged order.
func resume(stream string, after []string) (place, error) {
	switch {
	case stream == after[1]:
		return parsePlace(after[0], after[2])
	case stream < after[1]:
		return parsePlace(after[0], "~")
	}
	return parsePlace(after[0], "")
}

func (m *merge) streams(g *Group, in *api.FilterLogEventsRequest) ([]Stream, error) {
	if len(in.LogStreamNames) == 0 {
		return m.s.streams.List(m.tx, store.Query{Prefix: []string{g.Account, g.Region, g.Name}, Begins: wire.Value(in.LogStreamNamePrefix)})
	}
	var streams []Stream
	for _, name := range slices.Compact(slices.Sorted(slices.Values(in.LogStreamNames))) {
		st, err := m.s.stream(m.tx, g, name)
		if err != nil {
			return nil, err
		}
		streams = append(streams, st)
	}
	return streams, nil
}

// next returns the next event of all, or nil.
func (m *merge) next() (*streamEvent, error) {
	for len(m.heads) > 0 {
		c := m.heads[0]
		if len(c.ahead) == 0 {
			if c.done {
				heap.Pop(&m.heads)
				continue
			}
			if err := m.read(c); err != nil {
				return nil, err
			}
			heap.Fix(&m.heads, 0)
			continue
		}
		r := c.ahead[0]
		if c.ahead = c.ahead[1:]; len(c.ahead) > 0 {
			c.at = c.ahead[0].place()
		} else {
			c.at = r.place()
		}
		heap.Fix(&m.heads, 0)
		if r.Time >= m.window.end {
			return nil, nil
		}
		return &streamEvent{r, c.stream.Name}, nil
	}
	return nil, nil
}

func (m *merge) read(c *cursor) error {
	found := selection{from: c.at, window: m.window, limit: m.ahead, bytes: aheadBytes}
	if err := m.s.read(m.tx, c.stream, &found); err != nil {
		return err
	}
	c.ahead, c.done = found.events, !found.full
	if len(c.ahead) > 0 {
		c.at = c.ahead[0].place()
	}
	return nil
}

// cursors is a heap of streams by their next event.
type cursors []*cursor

func (h cursors) Len() int { return len(h) }
func (h cursors) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.at.time != b.at.time {
		return a.at.time < b.at.time
	}
	// What was not read yet may hold an event of this very time: read it first.
	if (len(a.ahead) == 0) != (len(b.ahead) == 0) {
		return len(a.ahead) == 0
	}
	if a.stream.Name != b.stream.Name {
		return a.stream.Name < b.stream.Name
	}
	return a.at.number < b.at.number
}
func (h cursors) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *cursors) Push(x any)   { *h = append(*h, x.(*cursor)) }
func (h *cursors) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
