package server

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"moat/internal/gateway"
	"moat/internal/service/logs"
	"moat/internal/wire"
)

const (
	accessInterval = 200 * time.Millisecond
	accessShards   = 8
	// accessRoom is what a shard holds at most, in bytes.
	accessRoom = 4 << 20
	// accessWake is what a shard holds before the log is written ahead of its time.
	accessWake = 1 << 20
	// accessGo is what is written in one transaction, and accessRows how many lines.
	accessGo, accessRows = 256 << 10, 4096
	// accessKept is what of an empty shard's room is kept for later.
	accessKept = 2 << 20
	// accessUnsaved is what is held of lines that could not be written.
	accessUnsaved = 16 << 20
)

// accessLog keeps the record of each request to a deployed API in the log group
// /moat/api/{api}/{stage}, where `aws logs` reads it, and what the API's own access and
// execution logs say in theirs. The record of a request that found no stage has no group; the
// trail has it.
//
// A request never waits for a log. Its record is put into one of some buffers, whichever
// nobody else writes to, and every 200 ms, or when a buffer is a megabyte, all of
// them go into the store, some thousands in a transaction. So this is what may be missing:
//
//   - after a crash, what had not been written: the lines of the last 200 ms, and those of the
//     write under way;
//   - while lines come faster than they can be written, those that a full buffer (4 MiB, eight of
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
	node   string     // whose streams they are; empty: there are no others
	hints  sync.Pool  // of *uint32: which shard to try first
	hinted atomic.Uint32

	// Of run alone: lines that are to be written, and room for them.
	unsaved map[accessPlace][]accessText
	held    int // bytes of those that could not be
	spare   []accessBuffer
	fresh   []accessFresh
	rows    map[accessPlace][]accessRef
	events  []logs.Event
	text    []byte
	ends    []int
	stamp   clfStamp
}

// accessPlace is a log stream: the one of a day (days since 1970, UTC) in a stage's group, or in
// a group that has a name of its own. Nodes that share a database have one each: all of them write
// all the time, and would undo each other's transactions.
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
	before  [accessTexts]accessCell // of the record before
	_       [64]byte                // two shards share no cache line
}

// accessBuffer holds records and lines, whose texts stand one after the other.
type accessBuffer struct {
	text   []byte
	rows   []accessRow
	lines  []accessLine
	places []accessPlace
}

func (b *accessBuffer) size() int {
	return len(b.text) + len(b.rows)*int(unsafe.Sizeof(accessRow{})) + len(b.lines)*int(unsafe.Sizeof(accessLine{}))
}

// accessLine is a line in a buffer: where its text is, and which of the places is its.
type accessLine struct {
	at    int64
	place int32
	text  accessCell
}

func newAccessLog(log *slog.Logger, keep func(context.Context, string, string, string, []logs.Event) error) *accessLog {
	a := &accessLog{keep: keep, log: log, wake: make(chan struct{}, 1), form: accessForm(), unsaved: map[accessPlace][]accessText{}, rows: map[accessPlace][]accessRef{}}
	a.hints.New = func() any {
		hint := a.hinted.Add(1)
		return &hint
	}
	return a
}

// record notes one exchange.
func (a *accessLog) record(r *wire.Record) {
	if r.Region == "" {
		return
	}
	s := a.free()
	if ms := r.Time.UnixMilli(); s.room() {
		place := s.place(accessPlace{region: r.Region, api: r.API, stage: r.Stage, day: day(ms)})
		s.rows = append(s.rows, accessRow{place: place})
		s.text = s.rows[len(s.rows)-1].fill(s.text, &s.before, r)
	}
	a.done(s)
}

// line writes a line of an API's own log. Those of one request, which are of one time, stay in
// their order.
func (a *accessLog) line(l gateway.LogLine) {
	s := &a.shards[uint64(l.Time.UnixNano())*0x9e3779b97f4a7c15>>61]
	s.mu.Lock()
	if ms := l.Time.UnixMilli(); s.room() {
		place := s.place(accessPlace{region: l.Region, group: l.Group, day: day(ms)})
		s.lines = append(s.lines, accessLine{ms, place, accessCell{uint32(len(s.text)), uint32(len(l.Text))}})
		s.text = append(s.text, l.Text...)
	}
	a.done(s)
}

func day(ms int64) int64 { return ms / 86_400_000 }

// free locks a shard that nobody writes to, if there is one: mostly the one that this processor
// wrote to before.
func (a *accessLog) free() *accessShard {
	hint, _ := a.hints.Get().(*uint32)
	first := *hint
	a.hints.Put(hint)
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
	much := s.size() > accessWake
	s.mu.Unlock()
	if much {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// room reports whether there is room for a line, and counts it where there is none.
func (s *accessShard) room() bool {
	if s.size() <= accessRoom {
		return true
	}
	s.dropped++
	return false
}

// place finds a place among those of the shard. Its strings may be views of somebody else's buffer.
func (s *accessShard) place(p accessPlace) int32 {
	place := len(s.places) - 1 // of the line before, most likely
	for place >= 0 && s.places[place] != p {
		place--
	}
	if place < 0 {
		place = len(s.places)
		p.region, p.api, p.stage, p.group = strings.Clone(p.region), strings.Clone(p.api), strings.Clone(p.stage), strings.Clone(p.group)
		s.places = append(s.places, p)
	}
	return int32(place)
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
		s.mu.Lock()
		if s.size() == 0 && s.dropped == 0 {
			s.mu.Unlock()
			continue
		}
		full := s.accessBuffer
		s.accessBuffer = accessBuffer{}
		if n := len(a.spare); n > 0 {
			s.accessBuffer, a.spare = a.spare[n-1], a.spare[:n-1]
		}
		s.before = [accessTexts]accessCell{}
		dropped += s.dropped
		s.dropped = 0
		s.mu.Unlock()
		a.sort(full)
	}
	if dropped > 0 {
		a.log.Warn("access log: lines dropped, they came faster than they could be written", "lines", dropped)
	}
	a.save(ctx)
	a.saveRows(ctx)
	for i := range a.fresh {
		if b := &a.fresh[i].accessBuffer; cap(b.text)+cap(b.rows)*int(unsafe.Sizeof(accessRow{})) <= accessKept {
			a.spare = append(a.spare, accessBuffer{b.text[:0], b.rows[:0], b.lines[:0], b.places[:0]})
		}
	}
	clear(a.fresh)
	a.fresh = a.fresh[:0]
}
