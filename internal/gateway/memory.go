package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

const (
	memorySets = 1 << 13
	claimSets  = 1 << 9 // of what is larger
	memoryWays = 8
)

// memory remembers values by the keyed hash of a text, without a lock: up to eight per
// set. Only what has been verified is put in, and the key is secret, so nobody can aim at
// a place; the worst that a loss costs is one more verification.
//
// An insertion takes a place that is empty or expired, else one that was not asked for
// since it was filled. Where all were, it takes the mark of one and leaves it at that:
// however many good texts are seen once, they put nothing out that is in use.
type memory[T any] struct {
	secret []byte
	room   *sync.Pool // of *[]byte
	sets   []atomic.Pointer[remembered[T]]
}

type remembered[T any] struct {
	hash    [32]byte
	expires int64 // Unix nanoseconds
	used    atomic.Bool
	value   T
}

func newMemory[T any](secret []byte, sets int) *memory[T] {
	return &memory[T]{secret, &sync.Pool{New: func() any { return new([]byte) }}, make([]atomic.Pointer[remembered[T]], sets*memoryWays)}
}

// sum hashes a text; equal hashes mean equal texts. Nobody ever sees one, so that the key
// in front of the text is enough, without the second round of HMAC.
func (m *memory[T]) sum(text string) [32]byte {
	b := m.room.Get().(*[]byte)
	defer m.room.Put(b)
	*b = append(append((*b)[:0], m.secret...), text...)
	return sha256.Sum256(*b)
}

func (m *memory[T]) set(hash *[32]byte) []atomic.Pointer[remembered[T]] {
	i := int(binary.LittleEndian.Uint32(hash[:])) % (len(m.sets) / memoryWays) * memoryWays
	return m.sets[i : i+memoryWays]
}

// get finds what is remembered under a hash and has not expired.
func (m *memory[T]) get(hash *[32]byte, now time.Time) (*T, bool) {
	set := m.set(hash)
	for i := range set {
		if r := set[i].Load(); r != nil && r.hash == *hash {
			if now.UnixNano() < r.expires {
				if !r.used.Load() {
					r.used.Store(true)
				}
				return &r.value, true
			}
			set[i].CompareAndSwap(r, nil)
		}
	}
	return nil, false
}

// put remembers a value until it expires, if there is a place for it. It returns where the
// value is now.
func (m *memory[T]) put(hash *[32]byte, value T, expires, now time.Time) *T {
	set, r := m.set(hash), &remembered[T]{hash: *hash, expires: expires.UnixNano(), value: value}
	var place *atomic.Pointer[remembered[T]]
	first := int(hash[4]) // no place of the set comes before the others
	for i := range set {
		p := &set[(first+i)%memoryWays]
		old := p.Load()
		if old == nil || old.expires <= now.UnixNano() || old.hash == *hash {
			place = p
			break
		}
		if place == nil && !old.used.Load() {
			place = p
		}
	}
	if place != nil {
		place.Store(r)
	} else if old := set[first%memoryWays].Load(); old != nil {
		old.used.Store(false)
	}
	return &r.value
}

// forget drops what is remembered under a hash.
func (m *memory[T]) forget(hash *[32]byte) {
	set := m.set(hash)
	for i := range set {
		if r := set[i].Load(); r != nil && r.hash == *hash {
			set[i].CompareAndSwap(r, nil)
		}
	}
}
