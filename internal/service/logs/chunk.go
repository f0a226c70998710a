package logs

import (
	"cmp"
	"errors"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"moat/internal/store"
)

// Chunk is a row of the store that holds events of one stream, in the order of time and
// number. Chunks of a stream may overlap in time; no event is in two of them.
//
// Readers find chunks by their class. Class n holds chunks whose events are less than 4^n ms
// apart, so that the chunks of a class that may hold a certain time begin within 4^n ms before
// it, however wide those of other classes are. Small chunks are loose: they are few, always
// read together, and joined when they become many.
type Chunk struct {
	Account, Region, Group, Stream string
	Class                          string
	First                          int64
	// Runs are the events' numbers and when they came: first number, how many from there on,
	// and their time of ingestion.
	Runs [][3]int64
	// Times are milliseconds after First, one for each of Messages.
	Times    []int64
	Messages []string
}

const (
	loose = "loose"
	// chunkBytes and chunkEvents are what a chunk holds at most, but for an event that is larger.
	chunkBytes  = 64 << 10
	chunkEvents = 4096
	// looseBelow is the size of a chunk that is too small to be left alone.
	looseBelow = 16 << 10
	// maxLoose and maxLooseBytes bound the loose chunks of a stream.
	maxLoose      = 64
	maxLooseBytes = 128 << 10
)

// event is an event of a stream. Numbers tell events of the same time apart, in the order in
// which they came.
type event struct {
	Time, Number, Ingested int64
	Message                string
}

// size is what AWS counts for an event.
func (e *event) size() int { return len(e.Message) + eventOverhead }

func (e *event) place() place { return place{e.Time, e.Number} }

func sizeOf(events []event) (n int) {
	for i := range events {
		n += events[i].size()
	}
	return n
}

// maxClass is the class of every span that no other class takes.
const maxClass = 31

// classOf names the class of a chunk of these events.
func classOf(events []event) string {
	span := uint64(events[len(events)-1].Time - events[0].Time)
	return className(min((bits.Len64(span)+1)/2, maxClass))
}

func className(n int) string { return padded(int64(n), 2) }

// spanOf is how far apart events of a chunk of the class are at most.
func spanOf(class string) int64 {
	n, err := strconv.Atoi(class)
	if err != nil || n >= maxClass {
		return math.MaxInt64
	}
	return 1<<(2*n) - 1
}

// classes names the classes of which the stream may have chunks, loose ones first.
func (s *Stream) classes() []string {
	var out []string
	if s.Loose > 0 {
		out = append(out, loose)
	}
	for rest := s.Classes; rest != 0; rest &= rest - 1 {
		out = append(out, className(bits.TrailingZeros32(rest)))
	}
	return out
}

// mark notes whether the stream has chunks of a class.
func (s *Stream) mark(class string, present bool) {
	n, err := strconv.Atoi(class)
	if err != nil {
		return // of loose chunks there is a count
	}
	if s.Classes &^= 1 << n; present {
		s.Classes |= 1 << n
	}
}

var errDamaged = errors.New("logs: a chunk of events is damaged")

// last is the time of the last event.
func (c *Chunk) last() int64 { return c.First + c.Times[len(c.Times)-1] }

// number is that of the first event.
func (c *Chunk) number() int64 { return c.Runs[0][0] }

// list reads chunks.
func (t *tables) list(tx *store.Tx, q store.Query) ([]Chunk, error) {
	chunks, err := t.chunks.List(tx, q)
	for i := range chunks {
		if c := &chunks[i]; len(c.Runs) == 0 || len(c.Times) == 0 || len(c.Times) != len(c.Messages) {
			return nil, errDamaged
		}
	}
	return chunks, err
}

// events appends the chunk's events to a list.
func (c *Chunk) events(to []event) ([]event, error) {
	i := 0
	to = slices.Grow(to, len(c.Messages))
	for _, run := range c.Runs {
		for n := range run[1] {
			if i == len(c.Times) {
				return nil, errDamaged
			}
			to = append(to, event{c.First + c.Times[i], run[0] + n, run[2], c.Messages[i]})
			i++
		}
	}
	if i != len(c.Times) {
		return nil, errDamaged
	}
	return to, nil
}

// insert writes a chunk of events, which are in order and not none.
func (s *Service) insert(tx *store.Tx, st *Stream, class string, events []event) error {
	c := Chunk{
		Account: st.Account, Region: st.Region, Group: st.Group, Stream: st.Name, Class: class, First: events[0].Time,
		Times: make([]int64, len(events)), Messages: make([]string, len(events)),
	}
	for i := range events {
		e := &events[i]
		c.Times[i], c.Messages[i] = e.Time-c.First, e.Message
		if n := len(c.Runs); n > 0 && c.Runs[n-1][0]+c.Runs[n-1][1] == e.Number && c.Runs[n-1][2] == e.Ingested {
			c.Runs[n-1][1]++
			continue
		}
		c.Runs = append(c.Runs, [3]int64{e.Number, 1, e.Ingested})
	}
	st.mark(class, true)
	return s.chunks.Insert(tx, c)
}

func (s *Service) insertLoose(tx *store.Tx, st *Stream, events []event) error {
	st.Loose++
	st.LooseBytes += sizeOf(events)
	return s.insert(tx, st, loose, events)
}

// keep writes events, which are in order, into chunks. When the loose chunks become many, it
// joins them: an event is written about twice, however small the appends are.
func (s *Service) keep(tx *store.Tx, st *Stream, events []event) error {
	rest, err := s.insertFull(tx, st, events)
	if err != nil || len(rest) == 0 {
		return err
	}
	if st.Loose+1 >= maxLoose || st.LooseBytes+sizeOf(rest) >= maxLooseBytes {
		if rest, err = s.takeLoose(tx, st, rest); err != nil {
			return err
		}
		if rest, err = s.insertFull(tx, st, rest); err != nil || len(rest) == 0 {
			return err
		}
	}
	return s.insertLoose(tx, st, rest)
}

// insertFull writes all that fills chunks and returns the rest.
func (s *Service) insertFull(tx *store.Tx, st *Stream, events []event) ([]event, error) {
	for len(events) > 0 {
		n, size := 0, 0
		for n < len(events) && n < chunkEvents && (n == 0 || size+events[n].size() <= chunkBytes) {
			size += events[n].size()
			n++
		}
		if n == len(events) && size < looseBelow {
			return events, nil
		}
		if err := s.insert(tx, st, classOf(events[:n]), events[:n]); err != nil {
			return nil, err
		}
		events = events[n:]
	}
	return nil, nil
}

// takeLoose removes a stream's loose chunks and returns their events together with others, in order.
func (s *Service) takeLoose(tx *store.Tx, st *Stream, with []event) ([]event, error) {
	key := append(st.key(), loose)
	chunks, err := s.list(tx, store.Query{Prefix: key})
	if err != nil {
		return nil, err
	}
	if _, err := s.chunks.DeleteAll(tx, key...); err != nil {
		return nil, err
	}
	st.Loose, st.LooseBytes = 0, 0
	var all []event
	for i := range chunks {
		if all, err = chunks[i].events(all); err != nil {
			return nil, err
		}
	}
	all = append(all, with...)
	slices.SortFunc(all, func(a, b event) int { return a.place().compare(b.place()) })
	return all, nil
}

// deleteEvents deletes all events whose key begins so.
func (s *Service) deleteEvents(tx *store.Tx, key ...string) error {
	if _, err := s.chunks.DeleteAll(tx, key...); err != nil {
		return err
	}
	_, err := s.events.DeleteAll(tx, key...)
	return err
}

// place is a point between the events of a stream: behind an event, or before and behind all
// of a time.
type place struct{ time, number int64 }

func (p place) compare(q place) int {
	if c := cmp.Compare(p.time, q.time); c != 0 {
		return c
	}
	return cmp.Compare(p.number, q.number)
}
