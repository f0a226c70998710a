package gateway

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

const (
	memorySets = 1 << 13
	memoryWays = 8
)

// memory remembers up to 65,536 values by the keyed hash of a text, without a lock:
// eight places per set, of which an insertion takes an empty or expired one, else
// one of the eight. Only what has been verified is put in, and the key is secret, so
// nobody can aim at a place; the worst that a loss costs is one more verification.
type memory[T any] struct {
	hasher keyHasher
	sets   []atomic.Pointer[remembered[T]]
}

type remembered[T any] struct {
	hash    [32]byte
	expires int64 // Unix nanoseconds
	value   T
}

func newMemory[T any](secret []byte) *memory[T] {
	return &memory[T]{newKeyHasher(secret), make([]atomic.Pointer[remembered[T]], memorySets*memoryWays)}
}

// sum hashes a text; equal hashes mean equal texts.
func (m *memory[T]) sum(text string) [32]byte {
	st := m.hasher.sum(text)
	defer m.hasher.pool.Put(st)
	return st.sum
}

func (m *memory[T]) set(hash *[32]byte) []atomic.Pointer[remembered[T]] {
	i := binary.LittleEndian.Uint32(hash[:]) % memorySets * memoryWays
	return m.sets[i : i+memoryWays]
}

// get finds what is remembered under a hash and has not expired.
func (m *memory[T]) get(hash *[32]byte, now time.Time) (*T, bool) {
	set := m.set(hash)
	for i := range set {
		if r := set[i].Load(); r != nil && r.hash == *hash {
			if now.UnixNano() < r.expires {
				return &r.value, true
			}
			set[i].CompareAndSwap(r, nil)
		}
	}
	return nil, false
}

// put remembers a value until it expires.
func (m *memory[T]) put(hash *[32]byte, value T, expires, now time.Time) {
	set := m.set(hash)
	place := &set[int(hash[4])%memoryWays]
	for i := range set {
		if r := set[i].Load(); r == nil || r.expires <= now.UnixNano() || r.hash == *hash {
			place = &set[i]
			break
		}
	}
	place.Store(&remembered[T]{*hash, expires.UnixNano(), value})
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
