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
					for i, f := range c.Find {
						rows[i] = []string{f}
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

// attributes are the values of an event by which it is found.
func (e *Event) attributes() map[string][]string {
	a := map[string][]string{
		"EventName": {e.EventName}, "ReadOnly": {strconv.FormatBool(e.ReadOnly)}, "EventSource": {e.EventSource},
		"Username": {e.UserIdentity.Username()}, "AccessKeyId": {e.UserIdentity.AccessKeyID},
		byRequest: {e.RequestID}, byPrincipal: {e.UserIdentity.Principal()},
	}
	for _, r := range e.Resources {
		a["ResourceName"] = append(a["ResourceName"], r.names()...)
		a["ResourceType"] = append(a["ResourceType"], r.Type)
	}
	return a
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
	waiting []entry
	reread  bool // some of it must be read from the files

	one sync.Mutex // one at a time writes
}

func (x *index) behind(reread bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reread = x.reread || reread
	x.signal()
}

func (x *index) add(entries []entry) {
	if len(entries) == 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.waiting)+len(entries) > maxWaiting {
		x.waiting, x.reread = nil, true
	}
	if !x.reread {
		x.waiting = append(x.waiting, entries...)
	}
	x.signal()
}

func (x *index) signal() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

func (x *index) take() (waiting []entry, reread bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	waiting, reread = x.waiting, x.reread
	x.waiting, x.reread = nil, false
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
		err = s.store(ctx, f, waiting)
	}
	if err != nil {
		s.index.behind(true)
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
	var batch []entry
	for i, file := range files {
		if i+1 < len(files) && files[i+1].first <= end.Seq+1 {
			continue
		}
		_, err := file.read(f.dir, func(text []byte, _ int64) error {
			var l line
			if json.Unmarshal(text, &l) != nil || l.Seq <= end.Seq || !opened(f.cfg.key, f.links.chain, text) {
				return nil
			}
			e := entry{seq: l.Seq, mac: l.Mac, text: slices.Clone(l.Event)}
			if l.Event != nil {
				e.event = new(Event)
				if err := json.Unmarshal(l.Event, e.event); err != nil {
					return nil
				}
			}
			batch = append(batch, e)
			if len(batch) < 10*chunkEvents {
				return nil
			}
			defer func() { batch = batch[:0] }()
			return s.store(ctx, f, batch)
		})
		if err != nil {
			return err
		}
	}
	return s.store(ctx, f, batch)
}

// store writes entries and how far the chain is copied. Copying a line twice does nothing.
func (s *Service) store(ctx context.Context, f *folder, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	chain, last := filepath.Base(f.dir), entries[len(entries)-1]
	return s.cfg.DB.Update(ctx, func(tx *store.Tx) error {
		end, err := s.chains.Get(tx, chain)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		fresh := slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return e.seq <= end.Seq })
		if len(fresh) == 0 {
			return nil
		}
		for _, c := range chunksOf(chain, fresh) {
			if err := s.chunks.Insert(tx, c); err != nil {
				return err
			}
		}
		return s.chains.Put(tx, chainEnd{Chain: chain, Seq: last.seq, Mac: last.mac})
	})
}

// chunksOf packs entries, in their order.
func chunksOf(chain string, entries []entry) []chunk {
	var out []chunk
	size, finds := 0, map[string]bool{}
	for _, e := range entries {
		if e.event == nil { // a note
			continue
		}
		at := e.event.time().UnixMilli()
		var c *chunk
		if n := len(out); n > 0 {
			c = &out[n-1]
		}
		if c == nil || len(c.Events) == chunkEvents || size > chunkBytes || max(c.To, at)-min(c.From, at) > chunkSpan.Milliseconds() {
			out = append(out, chunk{From: at, To: at, Chain: chain, Seq: e.seq})
			c, size, finds = &out[len(out)-1], 0, map[string]bool{}
		}
		c.From, c.To = min(c.From, at), max(c.To, at)
		c.Events = append(c.Events, e.text)
		size += len(e.text)
		for attribute, values := range e.event.attributes() {
			for _, v := range values {
				if f := found(attribute, v); v != "" && !finds[f] {
					finds[f] = true
					c.Find = append(c.Find, f)
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
