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
			out.NextToken, err = s.sealToken(question, []string{stamp(last.Time), last.Stream, number(last.Number)})
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
func filterPage(m *merge, match func(string) bool, limit int, out *api.FilterLogEventsResponse) (last *Record, err error) {
	p := pager{limit: limit, bytes: maxPageBytes}
	for scanned := 0; ; scanned++ {
		r, err := m.next()
		if err != nil || r == nil {
			return nil, err
		}
		if scanned == maxScanned {
			return last, nil
		}
		if match(r.Message) {
			if !p.take(r.Message) {
				return last, nil
			}
			out.Events = append(out.Events, api.FilteredLogEvent{
				EventId: wire.String(r.id()), IngestionTime: &r.Ingested, LogStreamName: &r.Stream, Message: &r.Message, Timestamp: &r.Time,
			})
		}
		last = r
	}
}

// id is a number of 56 digits, as AWS's are, that no other event of the group has.
func (r *Record) id() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.Stream)) // a hash does not fail
	return fmt.Sprintf("3%015d%020d%020d", max(0, r.Time), h.Sum64(), r.Number)
}

// merge reads several streams as one, in the order of time, stream and number. A
// stream is not read before its first event may be next.
type merge struct {
	s      *Service
	tx     *store.Tx
	window window
	heads  cursors
}

// cursor is one stream: where its next event is at the earliest, and what was read
// of it ahead.
type cursor struct {
	stream []string // key
	at     place
	ahead  []Record
	done   bool // nothing further than ahead
}

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
		c := &cursor{stream: []string{st.Account, st.Region, st.Group, st.Name}, at: place{stamp(max(m.window.start, st.First)), ""}}
		if after != nil {
			if from := resume(st.Name, after); from.compare(c.at) > 0 {
				c.at = from
			}
		}
		m.heads = append(m.heads, c)
	}
	heap.Init(&m.heads)
	return nil
}

// resume is where a stream goes on behind an event (time, stream, number) of the
// merged order.
func resume(stream string, after []string) place {
	switch {
	case stream == after[1]:
		return place{after[0], after[2]}
	case stream < after[1]:
		return place{after[0], behind}
	}
	return place{after[0], ""}
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
func (m *merge) next() (*Record, error) {
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
		return &r, nil
	}
	return nil, nil
}

func (m *merge) read(c *cursor) (err error) {
	const chunk = 100
	c.ahead, err = m.s.events.List(m.tx, store.Query{Prefix: c.stream, After: append(slices.Clone(c.stream), c.at[:]...), Limit: chunk})
	c.done = len(c.ahead) < chunk
	if len(c.ahead) > 0 {
		c.at = c.ahead[0].place()
	}
	return err
}

// cursors is a heap of streams by their next event.
type cursors []*cursor

func (h cursors) Len() int { return len(h) }
func (h cursors) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.at[0] != b.at[0] {
		return a.at[0] < b.at[0]
	}
	// What was not read yet may hold an event of this very time: read it first.
	if (len(a.ahead) == 0) != (len(b.ahead) == 0) {
		return len(a.ahead) == 0
	}
	if n := slices.Compare(a.stream, b.stream); n != 0 {
		return n < 0
	}
	return a.at[1] < b.at[1]
}
func (h cursors) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *cursors) Push(x any)   { *h = append(*h, x.(*cursor)) }
func (h *cursors) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
