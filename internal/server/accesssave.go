package server

import (
	"cmp"
	"context"
	"slices"
	"time"

	"moat/internal/service/logs"
)

// accessFresh is a buffer whose lines are being written.
type accessFresh struct {
	accessBuffer
	all string // its text
}

// accessRef is a row of one of the buffers.
type accessRef struct {
	at          int64
	buffer, row int32
}

func (a *accessLog) row(r accessRef) (*accessRow, string) {
	f := &a.fresh[r.buffer]
	return &f.rows[r.row], f.all
}

// sort moves a buffer's lines to their places.
func (a *accessLog) sort(b accessBuffer) {
	if len(b.rows)+len(b.lines) == 0 {
		return
	}
	f := accessFresh{b, string(b.text)}
	for _, l := range b.lines {
		p := b.places[l.place]
		list := a.unsaved[p]
		a.unsaved[p] = append(list, accessText{l.at, len(list), l.text.of(f.all)})
	}
	lists := make([][]accessRef, len(b.places))
	for i, p := range b.places {
		lists[i] = a.rows[p]
	}
	for i := range b.rows {
		w := &b.rows[i]
		lists[w.place] = append(lists[w.place], accessRef{w.at, int32(len(a.fresh)), int32(i)})
	}
	for i, p := range b.places {
		if len(lists[i]) > 0 {
			a.rows[p] = lists[i]
		}
	}
	a.fresh = append(a.fresh, f)
}

// stream names a place's log stream.
func (p *accessPlace) stream() (group, stream string) {
	if group = p.group; group == "" {
		group = "/moat/api/" + p.api + "/" + p.stage
	}
	return group, time.Unix(p.day*86_400, 0).UTC().Format("2006/01/02")
}

// put writes events that belong together.
func (a *accessLog) put(ctx context.Context, p *accessPlace, left int) error {
	group, stream := p.stream()
	if a.node != "" {
		stream += "/" + a.node
	}
	err := a.keep(ctx, p.region, group, stream, a.events)
	clear(a.events)
	if a.events = a.events[:0]; err != nil {
		a.log.Error("access log: lines could not be written", "group", group, "lines", left, "error", err)
	}
	return err
}

// save writes all lines that are texts, stream by stream. Those that cannot be written are kept for
// the next time.
func (a *accessLog) save(ctx context.Context) {
	a.held = 0
	for p, list := range a.unsaved {
		slices.SortFunc(list, func(x, y accessText) int { return cmp.Or(cmp.Compare(x.at, y.at), x.seq-y.seq) })
		form := a.form
		if p.group != "" {
			form = nil
		}
		for len(list) > 0 {
			n, size := 0, 0
			for n < len(list) && n < accessRows && size < accessGo {
				size += len(list[n].text)
				a.events = append(a.events, logs.Event{Time: time.UnixMilli(list[n].at), Message: list[n].text, Form: form})
				n++
			}
			if a.put(ctx, &p, len(list)) != nil {
				break
			}
			list = list[n:]
		}
		a.hold(p, list)
	}
}

// hold keeps the newest lines for the next time, as far as there is room.
func (a *accessLog) hold(p accessPlace, list []accessText) {
	n := len(list)
	for n > 0 && a.held+len(list[n-1].text) <= accessUnsaved {
		n--
		a.held += len(list[n].text)
	}
	if n > 0 {
		a.lost(&p, n)
	}
	held := slices.Clone(list[n:])
	for i := range held {
		held[i].seq = i
	}
	if a.unsaved[p] = held; len(held) == 0 {
		delete(a.unsaved, p)
	}
}

func (a *accessLog) lost(p *accessPlace, lines int) {
	a.log.Error("access log: lines lost", "api", p.api, "stage", p.stage, "group", p.group, "lines", lines)
}

// saveRows writes all records, stream by stream. Those that cannot be written become texts.
func (a *accessLog) saveRows(ctx context.Context) {
	for p, list := range a.rows {
		if len(list) == 0 { // for as long as the last time
			delete(a.rows, p)
			continue
		}
		slices.SortFunc(list, func(x, y accessRef) int {
			return cmp.Or(cmp.Compare(x.at, y.at), int(x.buffer-y.buffer), int(x.row-y.row))
		})
		rest := list
		for len(rest) > 0 && a.unsaved[p] == nil {
			n := a.batch(rest)
			if a.put(ctx, &p, len(rest)) != nil {
				break
			}
			rest = rest[n:]
		}
		if len(rest) > 0 {
			a.holdRows(p, rest)
		}
		if a.rows[p] = list[:0]; cap(list) > accessKept/16 {
			delete(a.rows, p)
		}
	}
}

// holdRows keeps records for the next time behind the lines that are held already, the newest of
// them as far as there is room.
func (a *accessLog) holdRows(p accessPlace, list []accessRef) {
	before, n := a.unsaved[p], len(list)
	for i := range before {
		a.held -= len(before[i].text)
	}
	var texts []accessText
	for size := a.held; n > 0; n-- {
		w, text := a.row(list[n-1])
		a.text = w.append(a.text[:0], text, accessAll, &a.stamp)
		if size += len(a.text); size > accessUnsaved {
			break
		}
		texts = append(texts, accessText{at: w.at, text: string(a.text)})
	}
	if n > 0 {
		a.lost(&p, n+len(before))
		before = nil
	}
	slices.Reverse(texts)
	a.hold(p, append(before, texts...))
}

// batch makes events of the first of some records, as many as one transaction is to hold, and
// returns how many. What all of them have in common stands in their form.
func (a *accessLog) batch(list []accessRef) int {
	n := min(len(list), accessRows)
	for {
		open := a.open(list[:n])
		if a.write(list[:n], open) || n == 1 {
			return n
		}
		n = (n + 1) / 2
	}
}

// open tells which values are not the same in all of some records.
func (a *accessLog) open(list []accessRef) uint {
	first, text := a.row(list[0])
	open := uint(accessVaries)
	for _, r := range list[1:] {
		w, own := a.row(r)
		open |= w.differs(own, accessAll&^open, first, text, r.buffer == list[0].buffer)
	}
	return open
}

// write makes events of records; false: they are too long for one transaction.
func (a *accessLog) write(list []accessRef, open uint) bool {
	a.text, a.ends = a.text[:0], a.ends[:0]
	for _, r := range list {
		w, text := a.row(r)
		a.text = w.append(a.text, text, open, &a.stamp)
		a.ends = append(a.ends, len(a.text))
		if len(a.text) > accessGo && len(list) > 1 {
			return false
		}
	}
	first, text := a.row(list[0])
	values := make([]string, accessValues)
	for i := range values {
		if open>>i&1 == 0 {
			one := first.append(nil, text, 1<<i, &a.stamp)
			values[i] = string(one[1 : len(one)-1])
		}
	}
	form, all, from := a.form.Fix(values), string(a.text), 0
	a.events = slices.Grow(a.events, len(list))
	for i, r := range list {
		a.events = append(a.events, logs.Event{Time: time.UnixMilli(r.at), Message: all[from:a.ends[i]], Form: form})
		from = a.ends[i]
	}
	return true
}
