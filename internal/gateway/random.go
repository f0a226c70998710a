package gateway

import (
	"io"
	"sync"
)

// random hands out randomness that was read in larger pieces: asking the system for each
// request costs more than the request's other ids together. No byte is given out twice.
type random struct {
	from io.Reader
	pool sync.Pool // of *randomness
}

type randomness struct {
	bytes [1 << 10]byte
	left  int
}

func newRandom(from io.Reader) *random {
	return &random{from, sync.Pool{New: func() any { return new(randomness) }}}
}

// fill fills p, which is much smaller than a piece.
func (r *random) fill(p []byte) {
	b := r.pool.Get().(*randomness)
	if b.left < len(p) {
		if _, err := io.ReadFull(r.from, b.bytes[:]); err != nil {
			panic("gateway: no randomness: " + err.Error())
		}
		b.left = len(b.bytes)
	}
	from := b.bytes[b.left-len(p) : b.left]
	copy(p, from)
	clear(from) // an id that was given is nowhere else
	b.left -= len(p)
	r.pool.Put(b)
}
