package logs

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

const (
	maxEvents    = 10_000
	maxPageBytes = 1 << 20
	// before and behind are numbers that no event has: of a place before and behind all events
	// of a time. What is behind all times is behind, too.
	before = -1
	behind = math.MaxInt64
)

// text is a place as it stands in tokens.
func (p place) text() []string {
	t, n := stamp(p.time), number(p.number)
	if p.time == behind {
		t = "~"
	}
	switch p.number {
	case before:
		n = ""
	case behind:
		n = "~"
	}
	return []string{t, n}
}

func parsePlace(time, number string) (p place, err error) {
	if p.time = behind; time != "~" {
		if p.time, err = strconv.ParseInt(time, 10, 64); err != nil {
			return p, err
		}
	}
	switch number {
	case "":
		p.number = before
	case "~":
		p.number = behind
	default:
		p.number, err = strconv.ParseInt(number, 10, 64)
	}
	return p, err
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

func (p *pager) take(size int) bool {
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
	var page []event
	var from place
	err = s.db.View(ctx, func(tx *store.Tx) error {
		g, err := s.group(tx, c, name)
		if err != nil {
			return err
		}
		st, err := s.stream(tx, &g, in.LogStreamName)
		if err != nil {
			return err
		}
		w := windowOf(in.StartTime, in.EndTime, g.horizon(s.now()))
		from = w.from(token, back)
		page, err = s.page(tx, &st, w, from, back, limitOf(in.Limit, maxEvents))
		if in.NextToken == nil && len(page) == 0 { // whatever comes later comes behind the start
			from = place{w.start, before}
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
		edge := place{w.end, before}
		if token.time != before && token.compare(edge) < 0 {
			return token
		}
		return edge
	}
	edge := place{w.start, before}
	if token.compare(edge) > 0 {
		return token
	}
	return edge
}

// page reads events within the window, oldest first.
func (s *Service) page(tx *store.Tx, st *Stream, w window, from place, back bool, limit int) ([]event, error) {
	found := selection{from: from, window: w, back: back, limit: limit, bytes: maxPageBytes}
	if err := s.read(tx, st, &found); err != nil {
		return nil, err
	}
	p, n := pager{limit: limit, bytes: maxPageBytes}, 0
	for n < len(found.events) && p.take(found.events[n].size()) {
		n++
	}
	page := found.events[:n]
	if back {
		slices.Reverse(page)
	}
	return page, nil
}

func (s *Service) answer(given *string, question string, page []event, from place, back bool) (*api.GetLogEventsResponse, error) {
	out := &api.GetLogEventsResponse{Events: make([]api.OutputLogEvent, len(page))}
	for i := range page {
		r := &page[i]
		r.Message, r.form = r.text(), nil
		out.Events[i] = api.OutputLogEvent{IngestionTime: &r.Ingested, Message: &r.Message, Timestamp: &r.Time}
	}
	forward, backward := place{from.time, before}, place{from.time, behind}
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
	t, err := s.sealToken(question, p.text())
	if err != nil {
		return nil, err
	}
	return wire.String(direction + *t), nil
}

func (s *Service) openDirection(token *string, question string) (p place, back bool, err error) {
	if token == nil {
		return place{before, before}, false, nil
	}
	rest, back := strings.CutPrefix(*token, "b/")
	if !back {
		var forward bool
		if rest, forward = strings.CutPrefix(*token, "f/"); !forward {
			return p, false, invalid("The specified nextToken is invalid.")
		}
	}
	after, err := s.openToken(&rest, question)
	if err == nil && len(after) != 2 {
		err = invalid("The specified nextToken is invalid.")
	}
	if err == nil {
		p, err = parsePlace(after[0], after[1])
	}
	return p, back, err
}
