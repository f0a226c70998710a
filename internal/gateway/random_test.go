package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// counting gives every eight bytes a number of their own.
type counting struct{ n uint64 }

func (c *counting) Read(p []byte) (int, error) {
	for i := 0; i+8 <= len(p); i += 8 {
		c.n++
		binary.LittleEndian.PutUint64(p[i:], c.n)
	}
	return len(p), nil
}

func TestRandom_GivesNothingTwice(t *testing.T) {
	t.Parallel()
	r := newRandom(&counting{})
	seen := map[uint64]bool{}
	for range 1000 {
		var b [24]byte
		r.fill(b[:])
		for i := 0; i < len(b); i += 8 {
			n := binary.LittleEndian.Uint64(b[i:])
			if n == 0 || seen[n] {
				t.Fatalf("%d comes twice, or was never read", n)
			}
			seen[n] = true
		}
	}
}

func TestRandom_FailsClosed(t *testing.T) {
	t.Parallel()
	for _, from := range []io.Reader{bytes.NewReader(nil), errRandom{}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("an id without randomness")
				}
			}()
			newRandom(from).fill(make([]byte, 27))
		}()
	}
}

type errRandom struct{}

func (errRandom) Read([]byte) (int, error) { return 0, errors.New("broken") }
