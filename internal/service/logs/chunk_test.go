package logs

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

// model is a stream beside a list of what it should hold.
type model struct {
	t    *testing.T
	s    *Service
	ctx  context.Context
	r    *rand.Rand
	now  time.Time
	want []event // Number is the order of arrival
	next int
	// forms are what messages are of; nil for none.
	forms []*Form
}

const modelAccount, modelRegion = "111111111111", "eu-west-1"

func newModel(t *testing.T, cfg store.Config, seed uint64) *model {
	t.Helper()
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	forms := []*Form{nil, nil, NewForm("<", ",", "[", `"`, ">"), NewForm(`{"n":`, `,"s":`, `,"o":`, `,"e":`, "}")}
	m := &model{t: t, forms: forms[:1+seed%4], r: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if m.s, err = New(Config{DB: db, Account: modelAccount, Now: func() time.Time { return m.now }}); err != nil {
		t.Fatal(err)
	}
	m.ctx = wire.WithCall(context.Background(), &wire.Call{Account: modelAccount, Region: modelRegion})
	return m
}

func inMemory(*testing.T) store.Config { return store.Config{Path: ":memory:"} }

// batch makes events: most near now, some late, some of one time.
func (m *model) batch() []Event {
	n, size := 1+m.r.IntN(5), 1+m.r.IntN(200)
	if m.r.IntN(8) == 0 {
		n, size = 1+m.r.IntN(400), 1+m.r.IntN(600)
	}
	spread := []int{1, 50, 5000, 3_600_000}[m.r.IntN(4)]
	events := make([]Event, n)
	for i := range events {
		at := m.now.Add(-time.Duration(m.r.IntN(spread)) * time.Millisecond)
		m.next++
		events[i] = Event{Time: at, Message: fmt.Sprint(m.next, strings.Repeat("x", m.r.IntN(size)))}
		if form := m.forms[m.r.IntN(len(m.forms))]; form != nil {
			n, text := fmt.Sprint(m.next), fmt.Sprintf("%q", "a,b]}\""+strings.Repeat("y", m.r.IntN(size)))
			const o, e = `{"a":["]",1]}`, `"\u00e9"`
			events[i].Form, events[i].Message = form, "["+n+","+text+","+o+","+e+"]"
			switch m.r.IntN(8) {
			case 0:
				events[i].Form, events[i].Message = form.Fix([]string{"", "", o, e}), "["+n+","+text+"]"
			case 1:
				events[i].Form, events[i].Message = form.Fix([]string{n, "", o, ""}), "["+text+","+e+"]"
			case 2:
				events[i].Form, events[i].Message = form.Fix([]string{n, text, o, e}), "[]"
			}
		}
	}
	return events
}

func (m *model) note(events []Event) {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	for _, e := range events {
		w := event{Message: e.Message, form: e.Form}
		m.want = append(m.want, event{Time: e.Time.UnixMilli(), Number: int64(len(m.want)), Message: w.text()})
	}
}

func (m *model) append() {
	m.t.Helper()
	m.now = m.now.Add(time.Duration(m.r.IntN(2000)) * time.Millisecond)
	events := m.batch()
	if err := m.s.Append(m.ctx, modelRegion, "g", "s", events); err != nil {
		m.t.Fatal(err)
	}
	m.note(events)
}

func (m *model) expected(start, end int64) []event {
	var want []event
	for _, e := range m.want {
		if e.Time >= start && e.Time < end {
			want = append(want, e)
		}
	}
	slices.SortFunc(want, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Number, b.Number))
	})
	return want
}

// check reads everything within a window, forward, backward and filtered, by pages of any size.
func (m *model) check(start, end int64) {
	m.t.Helper()
	want := m.expected(start, end)
	same := func(how string, n int, at func(int) (int64, string)) {
		m.t.Helper()
		if n != len(want) {
			m.t.Fatalf("%s: %d events, want %d", how, n, len(want))
		}
		for i := range n {
			if t, text := at(i); t != want[i].Time || text != want[i].Message {
				m.t.Fatalf("%s: event %d is %d %.40s, want %d %.40s", how, i, t, text, want[i].Time, want[i].Message)
			}
		}
	}
	for _, head := range []bool{true, false} {
		var got []api.OutputLogEvent
		req := &api.GetLogEventsRequest{LogGroupName: wire.String("g"), LogStreamName: "s", StartFromHead: &head, StartTime: &start, EndTime: &end}
		for {
			req.Limit = wire.Int32(1 + int32(len(want)/30) + m.r.Int32N(int32(len(want)/3+2)))
			out, err := m.s.GetLogEvents(m.ctx, req)
			if err != nil {
				m.t.Fatal(err)
			}
			if len(out.Events) == 0 {
				break
			}
			if head {
				got, req.NextToken = append(got, out.Events...), out.NextForwardToken
			} else {
				got, req.NextToken = append(out.Events, got...), out.NextBackwardToken
			}
		}
		same(fmt.Sprint("from head ", head), len(got), func(i int) (int64, string) { return *got[i].Timestamp, *got[i].Message })
	}
	var got []api.FilteredLogEvent
	ids := map[string]bool{}
	req := &api.FilterLogEventsRequest{LogGroupName: wire.String("g"), StartTime: &start, EndTime: &end}
	for {
		req.Limit = wire.Int32(1 + int32(len(want)/30) + m.r.Int32N(int32(len(want)/3+2)))
		out, err := m.s.FilterLogEvents(m.ctx, req)
		if err != nil {
			m.t.Fatal(err)
		}
		for _, e := range out.Events {
			ids[*e.EventId] = true
		}
		got = append(got, out.Events...)
		if req.NextToken = out.NextToken; out.NextToken == nil {
			break
		}
	}
	same("filtered", len(got), func(i int) (int64, string) { return *got[i].Timestamp, *got[i].Message })
	if len(ids) != len(got) {
		m.t.Fatalf("%d ids for %d events", len(ids), len(got))
	}
}

func (m *model) stream() (st Stream) {
	m.t.Helper()
	err := m.s.db.View(m.ctx, func(tx *store.Tx) (err error) {
		st, err = m.s.streams.Get(tx, modelAccount, modelRegion, "g", "s")
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return st
}

func (m *model) chunkRows() (all []Chunk) {
	m.t.Helper()
	err := m.s.db.View(m.ctx, func(tx *store.Tx) (err error) {
		all, err = m.s.chunks.List(tx, store.Query{})
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return all
}

// consistent checks what the stream says of its chunks.
func (m *model) consistent() {
	m.t.Helper()
	st, bytes, size, looseRows, looseBytes := m.stream(), 0, 0, 0, 0
	for _, e := range m.want {
		size += e.size()
	}
	for _, c := range m.chunkRows() {
		n, held := sizeOf(c.events), 0
		for i := range c.events {
			held += len(c.events[i].Message) + eventOverhead
		}
		if bytes += n; c.Class == loose {
			looseRows, looseBytes = looseRows+1, looseBytes+n
		} else if !slices.Contains(st.classes(), c.Class) || spanOf(c.Class) < c.last()-c.first() || held > chunkBytes && len(c.events) > 1 {
			m.t.Fatalf("a chunk of class %s, %d bytes, over %d ms; the stream has %v", c.Class, n, c.last()-c.first(), st.classes())
		}
	}
	if looseRows != st.Loose || looseBytes != st.LooseBytes || looseRows > maxLoose || looseBytes > maxLooseBytes {
		m.t.Fatalf("%d loose chunks of %d bytes; the stream says %d and %d", looseRows, looseBytes, st.Loose, st.LooseBytes)
	}
	if st.Chunked && (bytes != size || st.Bytes != int64(size)) {
		m.t.Fatalf("%d bytes in chunks, %d in the stream, want %d", bytes, st.Bytes, size)
	}
	if rows := len(m.chunkRows()); rows > maxLoose+1+2*size/looseBelow {
		m.t.Fatalf("%d chunks hold %d bytes", rows, size)
	}
}

func (m *model) window() (int64, int64) {
	if m.r.IntN(3) == 0 {
		return 0, math.MaxInt64
	}
	start := m.now.Add(-time.Duration(m.r.IntN(7200)) * time.Second)
	return start.UnixMilli(), start.Add(time.Duration(m.r.IntN(7200)) * time.Second).UnixMilli()
}

// TestChunks_model: whatever is appended, in whatever order of times, readers find it in the order
// of time and arrival, by pages of any size, and expired events are gone.
func TestChunks_model(t *testing.T) {
	t.Parallel()
	testChunksModel(t, inMemory)
}

func testChunksModel(t *testing.T, fresh func(*testing.T) store.Config) {
	for seed := range uint64(4) {
		m := newModel(t, fresh(t), seed)
		for range 2 {
			for range 60 {
				m.append()
			}
			m.consistent()
			m.check(0, math.MaxInt64)
			for range 2 {
				m.check(m.window())
			}
		}
		m.sweep(t)
	}
}

// sweep has a part of the events expire.
func (m *model) sweep(t *testing.T) {
	t.Helper()
	if _, err := m.s.PutRetentionPolicy(m.ctx, &api.PutRetentionPolicyRequest{LogGroupName: "g", RetentionInDays: 1}); err != nil {
		t.Fatal(err)
	}
	m.now = m.now.AddDate(0, 0, 1).Add(-30 * time.Second)
	for range 3 {
		m.now = m.now.Add(10 * time.Second)
		horizon := m.now.AddDate(0, 0, -1).UnixMilli()
		m.want = slices.DeleteFunc(m.want, func(e event) bool { return e.Time < horizon })
		m.check(0, math.MaxInt64)
		if err := m.s.Sweep(m.ctx); err != nil {
			t.Fatal(err)
		}
		m.consistent()
		m.check(0, math.MaxInt64)
		st := m.stream()
		if want := m.expected(0, math.MaxInt64); len(want) > 0 && st.First != want[0].Time {
			t.Fatalf("the first event is of %d, want %d", st.First, want[0].Time)
		}
	}
	m.now = m.now.AddDate(0, 0, 3)
	m.want = nil
	if err := m.s.Sweep(m.ctx); err != nil {
		t.Fatal(err)
	}
	m.consistent()
	if rows, st := m.chunkRows(), m.stream(); len(rows) > 0 || len(st.classes()) > 0 {
		t.Fatalf("%d chunks are left, and classes %v", len(rows), st.classes())
	}
}

// TestChunks_follow: a reader that follows a stream sees each event once, and one that goes back
// from where it began sees what was there.
func TestChunks_follow(t *testing.T) {
	t.Parallel()
	testChunksFollow(t, inMemory)
}

func testChunksFollow(t *testing.T, fresh func(*testing.T) store.Config) {
	m := newModel(t, fresh(t), 9)
	m.append()
	head := true
	req := &api.GetLogEventsRequest{LogGroupName: wire.String("g"), LogStreamName: "s", StartFromHead: &head}
	seen := map[string]int{}
	for range 300 {
		out, err := m.s.GetLogEvents(m.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.Events {
			seen[*e.Message]++
		}
		req.NextToken = out.NextForwardToken
		m.now = m.now.Add(time.Second)
		events := []Event{{Time: m.now, Message: fmt.Sprint("a", m.next)}, {Time: m.now, Message: fmt.Sprint("b", m.next)}}
		m.next++
		if err := m.s.Append(m.ctx, modelRegion, "g", "s", events); err != nil {
			t.Fatal(err)
		}
		m.note(events)
	}
	for _, e := range m.want[:len(m.want)-2] {
		if seen[e.Message] != 1 {
			t.Fatalf("%s was seen %d times", e.Message, seen[e.Message])
		}
	}
	m.consistent()
	if rows := len(m.chunkRows()); rows > maxLoose {
		t.Errorf("300 appends made %d chunks", rows)
	}
}

// TestChunks_older: events that an older Moat wrote, one in a row, are read where they are, in
// their order among new ones; moving them into chunks changes no answer and no token.
func TestChunks_older(t *testing.T) {
	t.Parallel()
	testChunksOlder(t, inMemory)
}

func testChunksOlder(t *testing.T, fresh func(*testing.T) store.Config) {
	for _, n := range []int{1, gatherBatch, gatherBatch + 305} {
		m := newModel(t, fresh(t), uint64(n))
		var old []Event
		for len(old) < n {
			old = append(old, m.batch()...)
		}
		old = old[:n]
		m.older(old)
		for range 3 {
			m.append()
		}
		m.check(0, math.MaxInt64)
		m.check(m.window())
		token := m.token()
		ctx, cancel := context.WithCancel(m.ctx)
		cancel()
		if err := m.s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if err := m.s.gatherRecords(m.ctx); err != nil {
			t.Fatal(err)
		}
		if !m.stream().Chunked {
			t.Fatal("the stream was not moved")
		}
		m.consistent()
		m.check(0, math.MaxInt64)
		if a, b := m.after(token), m.token(); len(a) > 0 && m.after(b) == nil {
			t.Errorf("a token from before: %d events", len(a))
		}
		err := m.s.db.View(m.ctx, func(tx *store.Tx) error {
			rows, err := m.s.events.Count(tx, store.Query{})
			if rows != 0 {
				t.Errorf("%d rows of the older kind are left", rows)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		m.sweep(t)
	}
}

// older writes events as an older Moat did.
func (m *model) older(events []Event) {
	m.t.Helper()
	m.note(events)
	err := m.s.db.Update(m.ctx, func(tx *store.Tx) error {
		g := Group{Account: modelAccount, Region: modelRegion, Name: "g"}
		if err := m.s.groups.Insert(tx, g); err != nil {
			return err
		}
		st := m.s.newStream(&g, "s")
		st.Chunked = false
		st.First = math.MaxInt64
		for _, e := range m.want {
			r := Record{Account: modelAccount, Region: modelRegion, Group: "g", Stream: "s", Time: e.Time, Number: e.Number, Message: e.Message}
			if err := m.s.events.Insert(tx, r); err != nil {
				return err
			}
			st.First, st.Last = min(st.First, e.Time), max(st.Last, e.Time)
			st.Bytes += int64(e.size())
			st.Next++
		}
		return m.s.streams.Put(tx, st)
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) token() *string {
	m.t.Helper()
	head := true
	out, err := m.s.GetLogEvents(m.ctx, &api.GetLogEventsRequest{LogGroupName: wire.String("g"), LogStreamName: "s", StartFromHead: &head, Limit: wire.Int32(1)})
	if err != nil {
		m.t.Fatal(err)
	}
	return out.NextForwardToken
}

func (m *model) after(token *string) []api.OutputLogEvent {
	m.t.Helper()
	out, err := m.s.GetLogEvents(m.ctx, &api.GetLogEventsRequest{LogGroupName: wire.String("g"), LogStreamName: "s", NextToken: token})
	if err != nil {
		m.t.Fatal(err)
	}
	return out.Events
}

// Damaged chunks are an error, not a crash.
func TestChunk_damaged(t *testing.T) {
	t.Parallel()
	var c Chunk
	good := `{"First":5,"Runs":[[0,1,9],[4,1,9]],"Times":[0,3],"Form":["<",">"],"Messages":["a\n\u00fc",["b"]]}`
	if err := c.ReadDocument([]byte(good)); err != nil || len(c.events) != 2 || c.events[0].text() != "a\nü" || c.events[1].text() != `<"b">` || c.events[1].Number != 4 || c.last() != 8 {
		t.Fatalf("%+v, %v", c, err)
	}
	if err := c.ReadDocument([]byte(strings.ReplaceAll(good, ":[", ": [ ") + "\n")); err != nil || c.events[1].text() != `<"b">` || c.events[0].text() != "a\nü" {
		t.Fatalf("written by somebody else: %+v, %v", c, err)
	}
	for _, doc := range []string{
		`{"Runs":[[0,1,9]],"Times":[0],"Messages":["a\"]}`, `{"Runs":[[0,1,9]],"Times":[0],"Messages":["\u12"]}`, `{"Runs":[[0,1,9]],"Times":[0],"Messages":["]}`, `{"Runs":[[0,1,9]],"Times":[0],"Messages":[]}`,
		``, `{}`, `null`, `{"Messages":null}`, `{"Messages":3}`, `{"Messages":["a"]}`, `{"Runs":[[0,1,9]],"Messages":["a"]}`, `{"Runs":[[0,1,9]],"Times":[0]}`,
		`{"Runs":[[0,1,9]],"Times":[0],"Messages":[7]}`, `{"Runs":[[0,1,9]],"Times":[0],"Messages":[["b"]]}`, `{"Runs":[[0,2,9]],"Times":[0],"Messages":["a"]}`,
		`{"Runs":[[0,1,9]],"Times":[0,1],"Messages":["a","b"]}`, `{"Runs":[[0,9223372036854775807,9]],"Times":[0,1],"Messages":["a","b"]}`, `{"Runs":[[0,-1,9]],"Times":[],"Messages":[]}`,
	} {
		if err := c.ReadDocument([]byte(doc)); err == nil {
			t.Errorf("%s was read: %+v", doc, c)
		}
	}
	for _, span := range []int64{0, 1, 3, 4, 15, 16, 63, 64, 86_400_000, math.MaxInt64} {
		class := classOf([]event{{Time: 0}, {Time: span}})
		if spanOf(class) < span || class != "00" && class != className(maxClass) && spanOf(class)/4 > span {
			t.Errorf("a span of %d is of class %s, up to %d", span, class, spanOf(class))
		}
	}
}

// FuzzChunk: what is written is read again, as encoding/json reads it, too.
func FuzzChunk(f *testing.F) {
	f.Add("a", "b\"\\\n\x00\u2028<&>", "x", int64(1), int64(7))
	f.Add("", "\xff\xc3", "[\",]}", int64(-1), int64(0))
	f.Fuzz(func(t *testing.T, a, b, piece string, gap, number int64) {
		form := NewForm(piece, a, b)
		values, err := json.Marshal([]any{a, map[string]any{b: []string{a, b}}})
		if err != nil {
			t.Fatal(err)
		}
		c := Chunk{Account: a, Group: b, Class: loose, events: []event{
			{Time: 1, Number: number, Ingested: 3, Message: a}, {Time: 2, Number: number + 1, Ingested: 3, Message: string(values), form: form},
			{Time: 2, Number: number + 3, Ingested: 3, Message: b}, {Time: 2 + gap&0xffff, Number: number + 4, Ingested: gap, Message: `[1,"2"]`, form: NewForm(b, a, "")},
		}}
		doc, err := c.AppendDocument(nil)
		if err != nil || !json.Valid(doc) {
			t.Fatalf("%s: %v", doc, err)
		}
		var d struct{ Messages []any }
		if err := json.Unmarshal(doc, &d); err != nil {
			t.Fatal(err)
		}
		var read Chunk
		if err := read.ReadDocument(doc); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		for i, e := range c.events {
			got := read.events[i]
			want := strings.ToValidUTF8(e.text(), "\ufffd")
			if got.Time != e.Time || got.Number != e.Number || got.Ingested != e.Ingested || len(read.events) != len(c.events) {
				t.Fatalf("%s: %+v, want %+v", doc, got, e)
			}
			text := got.text()
			if utf8.ValidString(e.text()) && text != want || got.size() != len(text)+eventOverhead {
				t.Fatalf("%s: %q (%d), want %q", doc, text, got.size(), want)
			}
			if s, plain := d.Messages[i].(string); plain && s != text {
				t.Fatalf("%s: encoding/json reads %q, not %q", doc, s, text)
			}
		}
	})
}
