package trail

import "sync"

// batch is events on their way to the files and then to the store, with the memory that they share.
type batch struct {
	entries []entry
	text    []byte      // what their texts are parts of
	finds   []attribute // what they are found by
}

// entry is one line of a chain on its way.
type entry struct {
	seq   uint64
	mac   string
	text  []byte // of the event; a note of the chain, which the store is not told, has none
	at    int64  // milliseconds, of the event
	finds []attribute
}

// add puts an event behind the others.
func (b *batch) add(e *Event) {
	start, first := len(b.text), len(b.finds)
	b.text = e.append(b.text)
	b.finds = e.attributes(b.finds)
	b.entries = append(b.entries, entry{text: b.text[start:], at: e.time().UnixMilli(), finds: b.finds[first:]})
}

// len works without a batch, too.
func (b *batch) len() int {
	if b == nil {
		return 0
	}
	return len(b.entries)
}

// Bounds of the memory that a batch keeps for the next.
const (
	maxSpareEvents = 1 << 10
	maxSpareText   = 1 << 20
)

// spare keeps the memory of the batch that was done last.
type spare struct {
	mu    sync.Mutex
	batch *batch
}

// take returns an empty batch.
func (s *spare) take() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.batch
	if s.batch = nil; b == nil {
		b = &batch{}
	}
	return b
}

// put takes back a batch that nobody uses any more.
func (s *spare) put(b *batch) {
	if cap(b.entries) > maxSpareEvents || cap(b.text) > maxSpareText || cap(b.finds) > 16*maxSpareEvents {
		return
	}
	clear(b.entries)
	clear(b.finds)
	b.entries, b.text, b.finds = b.entries[:0], b.text[:0], b.finds[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batch = b
}
