package gateway

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

// sameSet gives n texts that fall into the same set of a memory.
func sameSet(m *memory[int], n int) (out [][32]byte) {
	for i := 0; len(out) < n; i++ {
		hash := m.sum("text " + strconv.Itoa(i))
		if len(out) == 0 || &m.set(&hash)[0] == &m.set(&out[0])[0] {
			out = append(out, hash)
		}
	}
	return out
}

func TestMemory(t *testing.T) {
	t.Parallel()
	m := newMemory[int]([]byte("secret"), 4)
	later := noon.Add(time.Hour)
	all := sameSet(m, 60)
	for i := range memoryWays {
		if got := m.put(&all[i], i, later, noon); *got != i {
			t.Fatalf("put gives %d", *got)
		}
	}
	has := func(i int, now time.Time) bool {
		v, ok := m.get(&all[i], now)
		if ok && *v != i {
			t.Fatalf("%d is remembered as %d", i, *v)
		}
		return ok
	}
	for i := range memoryWays {
		if !has(i, noon) {
			t.Fatalf("%d is forgotten", i)
		}
	}
	// However many come once, what is asked for between them stays.
	for i := memoryWays; i < 50; i++ {
		m.put(&all[i], i, later, noon)
		for j := range memoryWays {
			if !has(j, noon) {
				t.Fatalf("newcomer %d put %d out", i, j)
			}
		}
	}
	// What is asked for no more makes room.
	for i := 50; i < 60; i++ {
		m.put(&all[i], i, later, noon)
		m.put(&all[i], i, later, noon)
	}
	kept := 0
	for i := 50; i < 60; i++ {
		if has(i, noon) {
			kept++
		}
	}
	if kept == 0 {
		t.Error("nothing new is remembered")
	}
	m.forget(&all[59])
	if has(59, noon) {
		t.Error("not forgotten")
	}
	for i := range all {
		if has(i, later) {
			t.Errorf("%d is remembered past its time", i)
		}
	}
}

// TestMemory_again: a text has one place, with the value that came last.
func TestMemory_again(t *testing.T) {
	t.Parallel()
	m := newMemory[int]([]byte("secret"), 1)
	hash := m.sum("text")
	for i := range 3 * memoryWays {
		m.put(&hash, i, noon.Add(time.Hour), noon)
		if v, ok := m.get(&hash, noon); !ok || *v != i {
			t.Fatalf("%v %v, want %d", v, ok, i)
		}
	}
	n := 0
	for i := range m.sets {
		if m.sets[i].Load() != nil {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d places", n)
	}
}

// TestMemory_sums: the secret is part of a hash, and texts have different ones.
func TestMemory_sums(t *testing.T) {
	t.Parallel()
	a, b := newMemory[int]([]byte("secret a"), 1), newMemory[int]([]byte("secret b"), 1)
	if a.sum("text") != a.sum("text") || a.sum("text") == b.sum("text") || a.sum("text") == a.sum("text ") || a.sum("") == b.sum("") {
		t.Error("hashes")
	}
}

func TestMemory_parallel(t *testing.T) {
	t.Parallel()
	m := newMemory[int]([]byte("secret"), 2)
	all := sameSet(m, 20)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := range 5000 {
				i := (n*7 + w) % len(all)
				switch n % 5 {
				case 0:
					m.put(&all[i], i, noon.Add(time.Hour), noon)
				case 1:
					m.forget(&all[i])
				default:
					if v, ok := m.get(&all[i], noon); ok && *v != i {
						t.Errorf("%d is remembered as %d", i, *v)
					}
				}
			}
		})
	}
	wg.Wait()
}
