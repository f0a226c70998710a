package logs

import (
	"context"
	"math"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

const (
	maxEvents    = 10_000
	maxPageBytes = 1 << 20
	readChunk    = 500
	// behind sorts behind every number, and "" before.
	behind = "~"
)

// place is a point between the events of a stream: time and number as text.
type place [2]string

func (r *Record) place() place { return place{stamp(r.Time), number(r.Number)} }

func (p place) compare(q place) int { return slices.Compare(p[:], q[:]) }

// walk visits a stream's events behind a place, or before it when reverse is set,
// until visit says stop.
func (s *Service) walk(tx *store.Tx, stream []string, from place, reverse bool, visit func(*Record) bool) error {
	for {
		records, err := s.events.List(tx, store.Query{
			Prefix: stream, After: append(slices.Clone(stream), from[:]...), Limit: readChunk, Reverse: reverse,
		})
		if err != nil {
			return err
		}
		for i := range records {
			if !visit(&records[i]) {
				return nil
			}
		}
		if len(records) < readChunk {
			return nil
		}
		from = records[readChunk-1].place()
	}
}

// window is the range of times a request reads, start included, end not.
type window struct{ start, end int64 }

func windowOf(start, end *int64, horizon int64) window {
	w := window{start: max(0, wire.Value(start), horizon), end: math.MaxInt64}
	if end != nil {
		w.end = *end
	}
	return w
}

// pager collects a page of bounded length and size.
type pager struct{ limit, bytes int }

func (p *pager) take(message string) bool {
	size := len(message) + eventOverhead
	if p.limit == 0 || size > p.bytes && p.bytes < maxPageBytes {
		return false
	}
	p.limit--
	p.bytes -= size
	return true
}

// GetLogEvents returns a page of one stream's events in the order of time: the
// newest unless StartFromHead or a token says otherwise. At either end of the
// stream the token of that direction is the one that was given.
func (s *Service) GetLogEvents(ctx context.Context, in *api.GetLogEventsRequest) (*api.GetLogEventsResponse, error) {
	c := wire.CallFrom(ctx)
	name, err := s.groupOf(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	question, err := s.question(c, "GetLogEvents", name, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	token, back, err := s.openDirection(in.NextToken, question)
	if err != nil {
		return nil, err
	}
	if in.NextToken == nil {
		back = !wire.Value(in.StartFromHead)
	}
	var page []Record
	var from place
	err = s.db.View(ctx, func(tx *store.Tx) error {
		g, err := s.group(tx, c, name)
		if err != nil {
			return err
		}
		if _, err := s.stream(tx, &g, in.LogStreamName); err != nil {
			return err
		}
		w := windowOf(in.StartTime, in.EndTime, g.horizon(s.now()))
		from = w.from(token, back)
		page, err = s.page(tx, []string{g.Account, g.Region, g.Name, in.LogStreamName}, w, from, back, limitOf(in.Limit, maxEvents))
		if in.NextToken == nil && len(page) == 0 { // whatever comes later comes behind the start
			from = place{stamp(w.start), ""}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.answer(in.NextToken, question, page, from, back)
}

// from is where reading begins: at the token, or at the window's edge.
func (w window) from(token place, back bool) place {
	if back {
		edge := place{stamp(w.end), ""}
		if w.end == math.MaxInt64 {
			edge = place{behind, ""}
		}
		if token != (place{}) && token.compare(edge) < 0 {
			return token
		}
		return edge
	}
	edge := place{stamp(w.start), ""}
	if token.compare(edge) > 0 {
		return token
	}
	return edge
}

// page reads events within the window, oldest first.
func (s *Service) page(tx *store.Tx, stream []string, w window, from place, back bool, limit int) ([]Record, error) {
	var page []Record
	p := pager{limit: limit, bytes: maxPageBytes}
	err := s.walk(tx, stream, from, back, func(r *Record) bool {
		if r.Time < w.start || r.Time >= w.end || !p.take(r.Message) {
			return false
		}
		page = append(page, *r)
		return true
	})
	if back {
		slices.Reverse(page)
	}
	return page, err
}

func (s *Service) answer(given *string, question string, page []Record, from place, back bool) (*api.GetLogEventsResponse, error) {
	out := &api.GetLogEventsResponse{Events: make([]api.OutputLogEvent, len(page))}
	for i := range page {
		r := &page[i]
		out.Events[i] = api.OutputLogEvent{IngestionTime: &r.Ingested, Message: &r.Message, Timestamp: &r.Time}
	}
	forward, backward := place{from[0], ""}, place{from[0], behind}
	if len(page) > 0 {
		forward, backward = page[len(page)-1].place(), page[0].place()
	} else if !back {
		forward = from
	} else {
		backward = from
	}
	f, err := s.sealDirection("f/", question, forward)
	if err != nil {
		return nil, err
	}
	b, err := s.sealDirection("b/", question, backward)
	if err != nil {
		return nil, err
	}
	if given != nil && len(page) == 0 {
		if back {
			b = given
		} else {
			f = given
		}
	}
	out.NextForwardToken, out.NextBackwardToken = f, b
	return out, nil
}

func (s *Service) sealDirection(direction, question string, p place) (*string, error) {
	t, err := s.sealToken(question, p[:])
	if err != nil {
		return nil, err
	}
	return wire.String(direction + *t), nil
}

func (s *Service) openDirection(token *string, question string) (p place, back bool, err error) {
	if token == nil {
		return p, false, nil
	}
	rest, back := strings.CutPrefix(*token, "b/")
	if !back {
		var forward bool
		if rest, forward = strings.CutPrefix(*token, "f/"); !forward {
			return p, false, invalid("The specified nextToken is invalid.")
		}
	}
	after, err := s.openToken(&rest, question)
	if err == nil && len(after) != len(p) {
		err = invalid("The specified nextToken is invalid.")
	}
	if err != nil {
		return p, false, err
	}
	return place(after), back, nil
}
