package logs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"moat/internal/pure/jsonstring"
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
	events                         []event
}

// chunkDocument is a chunk as it is stored. `SELECT value FROM log_chunks, json_each(doc,
// '$.Messages')` lists its messages.
type chunkDocument struct {
	Account, Region, Group, Stream string
	Class                          string
	First                          int64
	// Runs are the events' numbers and when they came: first number, how many from there on,
	// and their time of ingestion.
	Runs [][3]int64
	// Times are milliseconds after First, one for each of Messages.
	Times []int64
	// Form holds the pieces of the form that some of the messages may have.
	Form     []string
	Messages messageList
}

const (
	loose = "loose"
	// chunkBytes and chunkEvents are what a chunk holds at most, but for an event that is larger;
	// of messages that have a form, their values count.
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
	form                   *Form // when set, Message holds values
}

// text is the whole message.
func (e *event) text() string {
	if e.form == nil {
		return e.Message
	}
	return e.form.message(e.Message)
}

// size is what AWS counts for an event.
func (e *event) size() int {
	if e.form != nil {
		return len(e.Message) + e.form.more + eventOverhead
	}
	return len(e.Message) + eventOverhead
}

// held is what a chunk counts for an event: without the form that it shares with others.
func (e *event) held(form *Form) int {
	if e.form != nil && !e.form.same(form) {
		return e.size()
	}
	return len(e.Message) + eventOverhead
}

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

// first and last are the times of the first and the last event, number is the first one's.
func (c *Chunk) first() int64  { return c.events[0].Time }
func (c *Chunk) last() int64   { return c.events[len(c.events)-1].Time }
func (c *Chunk) number() int64 { return c.events[0].Number }

// AppendDocument implements [store.Document].
func (c *Chunk) AppendDocument(b []byte) ([]byte, error) {
	size, form := 0, (*Form)(nil)
	for i := range c.events {
		e := &c.events[i]
		size += len(e.Message) + len(e.Message)/8 + 8
		if form == nil {
			form = e.form
		}
	}
	head, err := json.Marshal(struct{ Account, Region, Group, Stream, Class string }{c.Account, c.Region, c.Group, c.Stream, c.Class})
	if err != nil {
		return nil, err
	}
	b = append(slices.Grow(b, size+len(head)+1024), head[:len(head)-1]...)
	first := c.first()
	b = strconv.AppendInt(append(b, `,"First":`...), first, 10)
	b = c.appendRuns(append(b, `,"Runs":`...))
	b = append(b, `,"Times":`...)
	for i := range c.events {
		b = strconv.AppendInt(append(b, comma(i)), c.events[i].Time-first, 10)
	}
	if form != nil {
		b = append(b, `],"Form":`...)
		for i, p := range form.pieces {
			b = jsonstring.AppendHTML(append(b, comma(i)), p)
		}
	}
	b = append(b, `],"Messages":`...)
	for i := range c.events {
		b = append(b, comma(i))
		if e := &c.events[i]; e.form != nil && e.form.same(form) {
			b = append(b, e.Message...)
		} else {
			b = jsonstring.AppendHTML(b, e.text())
		}
	}
	return append(b, "]}"...), nil
}

// comma is what stands before an element of an array.
func comma(i int) byte {
	if i == 0 {
		return '['
	}
	return ','
}

func (c *Chunk) appendRuns(b []byte) []byte {
	for i := 0; i < len(c.events); {
		n, e := 1, &c.events[i]
		for i+n < len(c.events) && c.events[i+n].Number == e.Number+int64(n) && c.events[i+n].Ingested == e.Ingested {
			n++
		}
		b = strconv.AppendInt(append(b, comma(i), '['), e.Number, 10)
		b = strconv.AppendInt(append(b, ','), int64(n), 10)
		b = append(strconv.AppendInt(append(b, ','), e.Ingested, 10), ']')
		i += n
	}
	return append(b, ']')
}

// cutMessages takes the messages out of a document, as AppendDocument writes it, and returns the
// rest, which is small: encoding/json would look at each byte of the messages three times. The mark
// cannot stand inside a string, where quotes are escaped.
func (d *chunkDocument) cutMessages(doc []byte) (rest []byte) {
	const mark, end = `,"Messages":[`, "]}"
	i := bytes.Index(doc, []byte(mark))
	if i < 0 || !bytes.HasSuffix(doc[i+len(mark):], []byte(end)) {
		return doc // somebody else wrote it
	}
	d.Messages = messageList(doc[i+len(mark) : len(doc)-len(end)])
	return append(doc[:i:i], '}')
}

// ReadDocument implements [store.Document].
func (c *Chunk) ReadDocument(doc []byte) error {
	var d chunkDocument
	if err := json.Unmarshal(d.cutMessages(doc), &d); err != nil {
		return err
	}
	*c = Chunk{Account: d.Account, Region: d.Region, Group: d.Group, Stream: d.Stream, Class: d.Class, events: make([]event, 0, len(d.Times))}
	form := NewForm(d.Form...)
	for _, run := range d.Runs {
		for n := range run[1] {
			i := len(c.events)
			message, formed, ok := d.Messages.next()
			if !ok || i == len(d.Times) || formed && len(d.Form) == 0 {
				return errDamaged
			}
			e := event{Time: d.First + d.Times[i], Number: run[0] + n, Ingested: run[2], Message: message}
			if formed {
				e.form = form
			}
			c.events = append(c.events, e)
		}
	}
	if len(c.events) == 0 || len(c.events) != len(d.Times) {
		return errDamaged
	}
	return nil
}

// insert writes a chunk of events, which are in order and not none.
func (s *Service) insert(tx *store.Tx, st *Stream, class string, events []event) error {
	c := Chunk{Account: st.Account, Region: st.Region, Group: st.Group, Stream: st.Name, Class: class, events: events}
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
	for i := range rest { // so that they can be joined with others
		rest[i].whole()
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
		n, size, held, form := 0, 0, 0, (*Form)(nil)
		for n < len(events) && n < chunkEvents {
			e := &events[n]
			if form == nil {
				form = e.form
			}
			if held += e.held(form); n > 0 && held > chunkBytes {
				break
			}
			size += e.size()
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
	chunks, err := s.chunks.List(tx, store.Query{Prefix: key})
	if err != nil {
		return nil, err
	}
	if _, err := s.chunks.DeleteAll(tx, key...); err != nil {
		return nil, err
	}
	st.Loose, st.LooseBytes = 0, 0
	var all []event
	for i := range chunks {
		all = append(all, chunks[i].events...)
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
