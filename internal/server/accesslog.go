package server

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"moat/internal/gateway"
	"moat/internal/service/logs"
	"moat/internal/wire"
)

const (
	accessInterval = 200 * time.Millisecond
	accessShards   = 8
	// accessRoom is what a shard holds at most, in bytes of text.
	accessRoom = 2 << 20
	// accessWake is what a shard holds before the log is written ahead of its time.
	accessWake = 256 << 10
	// accessGo is what is written in one transaction.
	accessGo = 128 << 10
	// accessKept is what of an empty shard's room is kept for later.
	accessKept = 512 << 10
	// accessUnsaved is what is held of lines that could not be written.
	accessUnsaved = 16 << 20
)

// accessLog keeps the record of each request to a deployed API in the log group
// /moat/api/{api}/{stage}, where `aws logs` reads it, and what the API's own access and
// execution logs say in theirs. The record of a request that found no stage has no group; the
// trail has it.
//
// A request never waits for a log. Its lines are written into one of some buffers, whichever
// nobody else writes to, and every 200 ms, or when a buffer is a quarter of a megabyte, all of
// them go into the store, some hundreds in a transaction. So this is what may be missing:
//
//   - after a crash, what had not been written: the lines of the last 200 ms, and those of the
//     write under way;
//   - while lines come faster than they can be written, those that a full buffer (2 MiB, eight of
//     them) has no room for;
//   - while the store fails, the oldest lines beyond 16 MiB of them.
//
// How many were lost in the latter two, the program's log says.
type accessLog struct {
	keep   func(ctx context.Context, region, group, stream string, events []logs.Event) error
	log    *slog.Logger
	shards [accessShards]accessShard
	wake   chan struct{}
	form   *logs.Form // of records

	// Of run alone: lines that are to be written, and room for them.
	unsaved map[accessPlace][]accessText
	spare   []accessBuffer
	lists   [][]accessText
	events  []logs.Event
}

// accessPlace is a log stream: the one of a day (days since 1970, UTC) in a stage's group, or in
// a group that has a name of its own.
type accessPlace struct {
	region, api, stage, group string
	day                       int64
}

// accessText is a line on its way into the store.
type accessText struct {
	at   int64 // milliseconds
	seq  int   // tells lines of one time apart
	text string
}

// accessShard is one of the buffers.
type accessShard struct {
	mu sync.Mutex
	accessBuffer
	dropped int
	stamp   clfStamp
	_       [64]byte // two shards share no cache line
}

// accessBuffer holds lines, one after the other.
type accessBuffer struct {
	text   []byte
	lines  []accessLine
	places []accessPlace
}

// accessLine is a line in a buffer: where its text ends, and which of the places is its.
type accessLine struct {
	at    int64
	end   int32
	place int32
}

func newAccessLog(log *slog.Logger, keep func(context.Context, string, string, string, []logs.Event) error) *accessLog {
	return &accessLog{keep: keep, log: log, wake: make(chan struct{}, 1), form: accessForm(), unsaved: map[accessPlace][]accessText{}}
}

// record writes the line of one exchange.
func (a *accessLog) record(r *wire.Record) {
	if r.Region == "" {
		return
	}
	s := a.free()
	s.add(accessPlace{region: r.Region, api: r.API, stage: r.Stage}, r.Time, func(b []byte) []byte { return appendAccessRecord(b, r, &s.stamp) })
	a.done(s)
}

// line writes a line of an API's own log. Those of one request, which are of one time, stay in
// their order.
func (a *accessLog) line(l gateway.LogLine) {
	s := &a.shards[uint64(l.Time.UnixNano())*0x9e3779b97f4a7c15>>61]
	s.mu.Lock()
	s.add(accessPlace{region: l.Region, group: l.Group}, l.Time, func(b []byte) []byte { return append(b, l.Text...) })
	a.done(s)
}

// free locks a shard that nobody writes to, if there is one.
func (a *accessLog) free() *accessShard {
	first := rand.Uint32()
	for i := range uint32(accessShards) {
		if s := &a.shards[(first+i)%accessShards]; s.mu.TryLock() {
			return s
		}
	}
	s := &a.shards[first%accessShards]
	s.mu.Lock()
	return s
}

// done unlocks a shard and wakes the writer when there is much to write.
func (a *accessLog) done(s *accessShard) {
	much := len(s.text) > accessWake
	s.mu.Unlock()
	if much {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// add writes a line whose text write appends. The strings of the place may be views of somebody
// else's buffer.
func (s *accessShard) add(p accessPlace, t time.Time, write func([]byte) []byte) {
	if len(s.text) > accessRoom {
		s.dropped++
		return
	}
	ms := t.UnixMilli()
	p.day = ms / 86_400_000
	place := len(s.places) - 1 // of the line before, most likely
	for place >= 0 && s.places[place] != p {
		place--
	}
	if place < 0 {
		place = len(s.places)
		p.region, p.api, p.stage, p.group = strings.Clone(p.region), strings.Clone(p.api), strings.Clone(p.stage), strings.Clone(p.group)
		s.places = append(s.places, p)
	}
	s.text = write(s.text)
	s.lines = append(s.lines, accessLine{at: ms, end: int32(len(s.text)), place: int32(place)})
}

// run writes lines until ctx is done, then what is left.
func (a *accessLog) run(ctx context.Context) error {
	tick := time.NewTicker(accessInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			a.flush(context.WithoutCancel(ctx))
			return nil
		case <-a.wake:
		case <-tick.C:
		}
		a.flush(ctx)
	}
}

// flush writes what the shards hold now. Nobody who has a line waits for more than the exchange of
// a buffer for an empty one.
func (a *accessLog) flush(ctx context.Context) {
	dropped := 0
	for i := range a.shards {
		s := &a.shards[i]
		var empty accessBuffer
		if n := len(a.spare); n > 0 {
			empty, a.spare = a.spare[n-1], a.spare[:n-1]
		}
		s.mu.Lock()
		full := s.accessBuffer
		s.accessBuffer = empty
		dropped += s.dropped
		s.dropped = 0
		s.mu.Unlock()
		a.sort(&full)
		if cap(full.text) > accessKept {
			full = accessBuffer{}
		}
		a.spare = append(a.spare, accessBuffer{full.text[:0], full.lines[:0], full.places[:0]})
	}
	if dropped > 0 {
		a.log.Warn("access log: lines dropped, they came faster than they could be written", "lines", dropped)
	}
	a.save(ctx)
}

// sort moves a buffer's lines to their places.
func (a *accessLog) sort(b *accessBuffer) {
	if len(b.lines) == 0 {
		return
	}
	text, begin := string(b.text), int32(0)
	lists := make([][]accessText, len(b.places))
	for i, p := range b.places {
		if lists[i] = a.unsaved[p]; lists[i] == nil && len(a.lists) > 0 {
			lists[i], a.lists = a.lists[len(a.lists)-1], a.lists[:len(a.lists)-1]
		}
	}
	for _, l := range b.lines {
		list := lists[l.place]
		lists[l.place] = append(list, accessText{l.at, len(list), text[begin:l.end]})
		begin = l.end
	}
	for i, p := range b.places {
		a.unsaved[p] = lists[i]
	}
}

// save writes all lines, stream by stream. Those that cannot be written are kept for the next time.
func (a *accessLog) save(ctx context.Context) {
	left := 0
	for p, list := range a.unsaved {
		slices.SortFunc(list, func(x, y accessText) int {
			if x.at != y.at {
				return int(x.at - y.at)
			}
			return x.seq - y.seq
		})
		whole := list
		group, stream, form := p.group, time.Unix(p.day*86_400, 0).UTC().Format("2006/01/02"), (*logs.Form)(nil)
		if group == "" {
			group, form = "/moat/api/"+p.api+"/"+p.stage, a.form
		}
		for len(list) > 0 {
			n, size := 0, 0
			for n < len(list) && size < accessGo {
				size += len(list[n].text)
				n++
			}
			a.events = a.events[:0]
			for _, l := range list[:n] {
				a.events = append(a.events, logs.Event{Time: time.UnixMilli(l.at), Message: l.text, Form: form})
			}
			err := a.keep(ctx, p.region, group, stream, a.events)
			clear(a.events)
			if err != nil {
				a.log.Error("access log: lines could not be written", "group", group, "lines", len(list), "error", err)
				break
			}
			list = list[n:]
		}
		if len(list) == 0 {
			delete(a.unsaved, p)
			if clear(whole); len(a.lists) < accessShards && cap(whole) <= accessRoom/256 {
				a.lists = append(a.lists, whole[:0])
			}
			continue
		}
		left += a.hold(p, list, accessUnsaved-left)
	}
}

// hold keeps the newest lines for the next time, up to a size, and returns theirs.
func (a *accessLog) hold(p accessPlace, list []accessText, room int) int {
	n, size := len(list), 0
	for n > 0 && size+len(list[n-1].text) <= room {
		n--
		size += len(list[n].text)
	}
	if n > 0 {
		a.log.Error("access log: lines lost", "api", p.api, "stage", p.stage, "group", p.group, "lines", n)
	}
	held := slices.Clone(list[n:])
	for i := range held {
		held[i].seq = i
	}
	if a.unsaved[p] = held; len(held) == 0 {
		delete(a.unsaved, p)
	}
	return size
}
