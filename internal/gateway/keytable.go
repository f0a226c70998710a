package gateway

import (
	"encoding/binary"
	"sync/atomic"
)

// keyTable is a hash table of API keys with open addressing and linear probing. One changes it at a
// time, any number read it meanwhile without a lock: a slot changes atomically, and an entry never
// moves within a table. The hashes are keyed and uniform, so their first bytes are the place.
type keyTable struct {
	slots []atomic.Pointer[keyEntry]
	used  int // slots that are not empty, those of removed keys among them
	keys  int
	// removed stands where a key was: the search for another one goes on behind it.
	removed *keyEntry
}

const minKeySlots = 16

// newKeyTable makes a table with room for n keys.
func newKeyTable(n int) *keyTable {
	size := minKeySlots
	for size*3/4 <= n {
		size *= 2
	}
	return &keyTable{slots: make([]atomic.Pointer[keyEntry], size), removed: new(keyEntry)}
}

// full reports that another key needs a larger table.
func (t *keyTable) full() bool { return t.used >= len(t.slots)*3/4 }

// grown is a table with the same keys and room for as many again.
func (t *keyTable) grown() *keyTable {
	next := newKeyTable(t.keys * 2)
	for i := range t.slots {
		if e := t.slots[i].Load(); e != nil && e != t.removed {
			next.put(e)
		}
	}
	return next
}

func (t *keyTable) place(hash KeyHash) int {
	return int(binary.LittleEndian.Uint64(hash[:]) & uint64(len(t.slots)-1))
}

// find returns the key of a hash, or nil. It needs no lock.
func (t *keyTable) find(hash KeyHash) *keyEntry {
	for i := t.place(hash); ; i = (i + 1) & (len(t.slots) - 1) {
		e := t.slots[i].Load()
		if e == nil || e.hash == hash && e != t.removed {
			return e
		}
	}
}

// put adds a key, or takes the place of the one with its hash. The table must not be full.
func (t *keyTable) put(e *keyEntry) {
	for i := t.place(e.hash); ; i = (i + 1) & (len(t.slots) - 1) {
		switch old := t.slots[i].Load(); {
		case old == nil:
			t.used++
			t.keys++
		case old == t.removed || old.hash != e.hash:
			continue
		}
		t.slots[i].Store(e)
		return
	}
}

// remove takes a key away, if it is there.
func (t *keyTable) remove(hash KeyHash) {
	for i := t.place(hash); ; i = (i + 1) & (len(t.slots) - 1) {
		e := t.slots[i].Load()
		if e == nil {
			return
		}
		if e != t.removed && e.hash == hash {
			t.slots[i].Store(t.removed)
			t.keys--
			return
		}
	}
}
