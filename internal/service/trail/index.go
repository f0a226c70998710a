package trail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"moat/internal/pure/jsonstring"
	"moat/internal/store"
	"moat/internal/wire"
)

// Bounds of a chunk. Its span bounds how far apart in time its events are, so that a look for a
// time needs to look no further back than that.
const (
	chunkEvents  = 250
	chunkBytes   = 512 << 10
	chunkSpan    = 10 * time.Second
	lookupWindow = 90 * 24 * time.Hour // as CloudTrail's event history
	// maxWaiting bounds the events that wait for the store; more are read from the files again.
	maxWaiting = 20000
)

// chunk holds the events of a moment, as they stand in a chain. One row for many events keeps
// the store's part of the trail cheap; Find says what is in it.
type chunk struct {
	From, To int64 // milliseconds, of the events' times
	Chain    string
	Seq      uint64   // of the first event's line
	Find     []string // attribute=value of its events
	Events   []json.RawMessage
}

// AppendDocument implements [store.Document]: as encoding/json does it, which would read the
// events anew that it wrote.
func (c *chunk) AppendDocument(b []byte) ([]byte, error) {
	size := 256
	for _, e := range c.Events {
		size += len(e) + 1
	}
	for _, f := range c.Find {
		size += len(f) + 3
	}
	b = slices.Grow(b, size)
	b = strconv.AppendInt(append(b, `{"From":`...), c.From, 10)
	b = strconv.AppendInt(append(b, `,"To":`...), c.To, 10)
	b = jsonstring.AppendHTML(append(b, `,"Chain":`...), c.Chain)
	b = strconv.AppendUint(append(b, `,"Seq":`...), c.Seq, 10)
	b = append(b, `,"Find":[`...)
	for i, f := range c.Find {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonstring.AppendHTML(b, f)
	}
	b = append(b, `],"Events":[`...)
	for i, e := range c.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e...)
	}
	return append(b, "]}"...), nil
}

// ReadDocument implements [store.Document].
func (c *chunk) ReadDocument(doc []byte) error {
	type plain chunk
	return json.Unmarshal(doc, (*plain)(c))
}

// chainEnd is the last line of a chain that the store has.
type chainEnd struct {
	Chain string
	Seq   uint64
	Mac   string
}

type tables struct {
	chunks *store.Table[chunk]
	chains *store.Table[chainEnd]
}

func newTables() tables {
	return tables{
		chunks: store.NewTable(store.Schema[chunk]{
			Name: "trail_events", Key: []string{"at", "chain", "line"},
			KeyOf: (*chunk).key,
			Indexes: []store.Index[chunk]{{
				Name: "find", Columns: []string{"what"},
				Of: func(c *chunk) [][]string {
					rows := make([][]string, len(c.Find))
					for i := range c.Find {
						rows[i] = c.Find[i : i+1 : i+1]
					}
					return rows
				},
			}},
			Expires: func(c *chunk) time.Time { return time.UnixMilli(c.To).Add(lookupWindow) },
		}),
		chains: store.NewTable(store.Schema[chainEnd]{
			Name: "trail_chains", Key: []string{"chain"},
			KeyOf: func(c *chainEnd) []string { return []string{c.Chain} },
		}),
	}
}

// Tables are the names of the tables that a reset leaves alone: a trail is only added to.
func Tables() []string { return []string{"trail_events", "trail_chains"} }

func (c *chunk) key() []string {
	return []string{stamp(c.From), c.Chain, fmt.Sprintf("%020d", c.Seq)}
}

// stamp writes milliseconds so that text order is time order.
func stamp(ms int64) string { return fmt.Sprintf("%015d", max(0, ms)) }

// found is how the index calls an attribute's value. Long ones are hashed: databases bound keys. So
// are those that no database takes as text: who names a resource may send anything, and one such
// value must not keep all later events out.
func found(attribute, value string) string {
	if len(value) > 200 || !utf8.ValidString(value) || strings.IndexByte(value, 0) >= 0 {
		sum := sha256.Sum256([]byte(value))
		value = "sha256:" + hex.EncodeToString(sum[:])
	}
	return attribute + "=" + value
}

// Attributes by which events are found beside CloudTrail's own.
const (
	byRequest   = "RequestId"
	byPrincipal = "Principal"
)

// attribute is a value of an event by which it is found.
type attribute struct{ name, value string }

// attributes appends the values of an event by which it is found.
func (e *Event) attributes(out []attribute) []attribute {
	who := &e.UserIdentity
	out = append(out,
		attribute{"EventName", e.EventName}, attribute{"ReadOnly", strconv.FormatBool(e.ReadOnly)}, attribute{"EventSource", e.EventSource},
		attribute{"Username", who.Username()}, attribute{"AccessKeyId", who.AccessKeyID}, attribute{byPrincipal, who.Principal()})
	if !e.quick() {
		out = append(out, attribute{byRequest, e.RequestID})
	}
	for i := range e.Resources {
		r := &e.Resources[i]
		for _, name := range r.names() {
			out = append(out, attribute{"ResourceName", name})
		}
		out = append(out, attribute{"ResourceType", r.Type})
	}
	return out
}

// quickly is how long a request lasts whose events are found by the time in its id. An index of
// ids, which are in no order, would touch a page of the database for each event: more than all
// the rest of its copy costs.
const quickly = time.Second

// quick tells of an event that [Service.Find] finds without an index.
func (e *Event) quick() bool {
	began, ok := wire.RequestTime(e.RequestID)
	lasted := e.time().Sub(began)
	return ok && 0 <= lasted && lasted <= quickly
}

func (e *Event) time() time.Time {
	t, ok := timeOfID(e.EventID)
	if !ok {
		t, _ = time.Parse(time.RFC3339, e.EventTime)
	}
	return t
}

// index is what waits for the store.
type index struct {
	wake chan struct{}

	mu      sync.Mutex
	waiting []*batch
	events  int  // of those
	reread  bool // some of it must be read from the files

	one sync.Mutex // one at a time writes
}

func (x *index) behind(reread bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reread = x.reread || reread
	x.signal()
}

func (x *index) add(b *batch) {
	if b.len() == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.events+b.len() > maxWaiting {
		x.waiting, x.events, x.reread = nil, 0, true
	}
	if !x.reread {
		x.waiting = append(x.waiting, b)
		x.events += b.len()
	}
	x.signal()
}

func (x *index) signal() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

func (x *index) take() (waiting []*batch, reread bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	waiting, reread = x.waiting, x.reread
	x.waiting, x.events, x.reread = nil, 0, false
	return waiting, reread
}

// runIndex copies what is written into the store until ctx is done.
func (s *Service) runIndex(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.index.wake:
		}
		if err := s.indexNow(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.Warn("the store's copy of the trail is behind", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryAfter):
			}
		}
	}
}

// indexNow copies what waits into the store. What cannot be copied now is read from the files
// the next time.
func (s *Service) indexNow(ctx context.Context) error {
	s.index.one.Lock()
	defer s.index.one.Unlock()
	s.mu.Lock()
	f := s.folder
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	waiting, reread := s.index.take()
	var err error
	if reread {
		err = s.catchUp(ctx, f)
	}
	if err == nil && len(waiting) > 0 {
		err = s.store(ctx, f, waiting...)
	}
	if err != nil {
		s.index.behind(true)
	}
	for _, b := range waiting {
		s.spare.put(b)
	}
	return err
}

// catchUp copies from the files what the store does not have.
func (s *Service) catchUp(ctx context.Context, f *folder) error {
	end, err := s.anchor(ctx, f)
	if err != nil {
		return err
	}
	files, err := filesOf(f.dir)
	if err != nil {
		return err
	}
	b := &batch{}
	for i, file := range files {
		if i+1 < len(files) && files[i+1].first <= end.Seq+1 {
			continue
		}
		_, err := file.read(f.dir, func(text []byte, _ int64) error {
			var l line
			if json.Unmarshal(text, &l) != nil || l.Seq <= end.Seq || !opened(f.cfg.key, f.links.name, text) {
				return nil
			}
			e := entry{seq: l.Seq, mac: l.Mac}
			if l.Event != nil {
				var event Event
				if err := json.Unmarshal(l.Event, &event); err != nil {
					return nil
				}
				e.text, e.at, e.finds = slices.Clone(l.Event), event.time().UnixMilli(), event.attributes(nil)
			}
			b.entries = append(b.entries, e)
			if b.len() < 10*chunkEvents {
				return nil
			}
			defer func() { b.entries = b.entries[:0] }()
			return s.store(ctx, f, b)
		})
		if err != nil {
			return err
		}
	}
	if b.len() == 0 {
		return nil
	}
	return s.store(ctx, f, b)
}

// store writes batches, none of which is empty, and how far the chain is copied. Copying a line
// twice does nothing.
func (s *Service) store(ctx context.Context, f *folder, batches ...*batch) error {
	chain, entries := filepath.Base(f.dir), batches[len(batches)-1].entries
	last := &entries[len(entries)-1]
	return s.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		end, err := s.chains.Get(tx, chain)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if last.seq <= end.Seq {
			return nil
		}
		for _, c := range chunksOf(chain, end.Seq, batches) {
			if err := s.chunks.Insert(tx, c); err != nil {
				return err
			}
		}
		return s.chains.Put(tx, chainEnd{Chain: chain, Seq: last.seq, Mac: last.mac})
	})
}

// chunksOf packs the events behind a line, in their order.
func chunksOf(chain string, behind uint64, batches []*batch) []chunk {
	var out []chunk
	size, known := 0, map[attribute]bool{}
	for _, b := range batches {
		for i := range b.entries {
			e := &b.entries[i]
			if e.seq <= behind || e.text == nil {
				continue
			}
			var c *chunk
			if n := len(out); n > 0 {
				c = &out[n-1]
			}
			if c == nil || len(c.Events) == chunkEvents || size > chunkBytes || max(c.To, e.at)-min(c.From, e.at) > chunkSpan.Milliseconds() {
				out = append(out, chunk{From: e.at, To: e.at, Chain: chain, Seq: e.seq, Events: make([]json.RawMessage, 0, min(len(b.entries)-i, chunkEvents))})
				c, size = &out[len(out)-1], 0
				clear(known)
			}
			c.From, c.To = min(c.From, e.at), max(c.To, e.at)
			c.Events = append(c.Events, e.text)
			size += len(e.text)
			for _, a := range e.finds {
				if a.value != "" && !known[a] {
					known[a] = true
					c.Find = append(c.Find, found(a.name, a.value))
				}
			}
		}
	}
	return out
}

func (s *Service) anchor(ctx context.Context, f *folder) (end chainEnd, err error) {
	err = s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		end, err = s.chains.Get(tx, filepath.Base(f.dir))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return end, err
}
