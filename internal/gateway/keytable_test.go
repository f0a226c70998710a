package gateway

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
)

// hashOf makes a hash whose place in any table is n.
func hashOf(n uint64) (h KeyHash) {
	binary.LittleEndian.PutUint64(h[:], n)
	return h
}

// TestKeyTable compares the table with a map, through growth, removals and collisions.
func TestKeyTable(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	table, want := newKeyTable(0), map[KeyHash]*keyEntry{}
	for i := range 20000 {
		h := hashOf(random.Uint64N(512) * 7919 % 4096)
		h[15] = byte(random.UintN(4)) // others at the same place
		if random.UintN(3) == 0 {
			table.remove(h)
			delete(want, h)
		} else {
			if table.full() {
				table = table.grown()
			}
			e := &keyEntry{hash: h, ID: strconv.Itoa(i)}
			table.put(e)
			want[h] = e
		}
		if got := table.find(h); got != want[h] {
			t.Fatalf("step %d: got %v, want %v", i, got, want[h])
		}
	}
	for h, e := range want {
		if table.find(h) != e {
			t.Errorf("%x is lost", h)
		}
	}
	if table.keys != len(want) {
		t.Errorf("counts %d keys, has %d", table.keys, len(want))
	}
	if got := table.find(KeyHash{}); got != want[KeyHash{}] {
		t.Errorf("the zero hash finds %v", got)
	}
}

// TestPlanIndex_change: what stays in a plan keeps its account; what is gone is refused, whatever
// came first.
func TestPlanIndex_change(t *testing.T) {
	t.Parallel()
	at := stageKey{"api", "v1"}
	plan := &Plan{Stages: map[string]PlanStage{"api/v1": {}}}
	idx, h := newPlanIndex(), hashOf(1)
	idx.change(PlanChange{Keys: map[KeyHash]*Key{h: {ID: "k", Enabled: true, Plans: []string{"p"}}}})
	e := idx.keys.Load().find(h)
	if kp, _, _ := e.on(at); kp != nil {
		t.Error("a plan that is not published opens a stage")
	}
	idx.change(PlanChange{Plans: map[string]*Plan{"p": plan}})
	kp, _, _ := e.on(at)
	if kp == nil {
		t.Fatal("a key that came before its plan is in none")
	}
	st := kp.state("p", "k")
	idx.change(PlanChange{Keys: map[KeyHash]*Key{h: {ID: "k", Plans: []string{"q", "p"}}}, Plans: map[string]*Plan{"p": plan, "q": {}}})
	e = idx.keys.Load().find(h)
	if kp, _, _ := e.on(at); kp == nil || kp.state("p", "k") != st || e.Enabled {
		t.Errorf("a changed key: %+v", e)
	}
	idx.change(PlanChange{Keys: map[KeyHash]*Key{h: {ID: "other", Plans: []string{"p"}}}})
	if kp, _, _ := idx.keys.Load().find(h).on(at); kp.state("p", "other") == st {
		t.Error("another key has the account of the one before")
	}
	idx.change(PlanChange{Plans: map[string]*Plan{"p": nil}})
	if kp, _, _ := idx.keys.Load().find(h).on(at); kp != nil {
		t.Error("a plan that is gone opens a stage")
	}
	idx.change(PlanChange{Keys: map[KeyHash]*Key{h: nil}})
	if idx.keys.Load().find(h) != nil {
		t.Error("a key that is gone is found")
	}
	idx.change(PlanChange{Keys: map[KeyHash]*Key{h: {ID: "k"}}})
	if err := idx.replace(nil, func(func(KeyHash, Key)) error { return fmt.Errorf("no") }); err == nil || idx.keys.Load().find(h) == nil {
		t.Error("a failed replacement took keys away")
	}
	if err := idx.replace(nil, func(func(KeyHash, Key)) error { return nil }); err != nil || idx.keys.Load().find(h) != nil || len(idx.plans) != 0 {
		t.Error("a replacement left a key")
	}
}

// TestPlanIndex_concurrent reads while keys come and go; the race detector watches.
func TestPlanIndex_concurrent(t *testing.T) {
	t.Parallel()
	idx, stays := newPlanIndex(), hashOf(77)
	idx.change(PlanChange{Plans: map[string]*Plan{"p": {Stages: map[string]PlanStage{"api/v1": {}}}}, Keys: map[KeyHash]*Key{stays: {ID: "stays", Plans: []string{"p"}}}})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				e := idx.keys.Load().find(stays)
				if e == nil || e.ID != "stays" {
					t.Error("a key is not found while others come and go")
					return
				}
				if kp, p, _ := e.on(stageKey{"api", "v1"}); kp != nil {
					kp.state(p.ID, e.ID)
				}
			}
		})
	}
	for i := range uint64(3000) {
		idx.change(PlanChange{Keys: map[KeyHash]*Key{hashOf(i): {ID: "x", Plans: []string{"p"}}, stays: {ID: "stays", Plans: []string{"p"}}}})
		idx.change(PlanChange{Keys: map[KeyHash]*Key{hashOf(i / 2): nil, stays: {ID: "stays", Plans: []string{"p"}}}})
	}
	close(stop)
	wg.Wait()
}

// BenchmarkAPIKeys: what looking up, publishing and holding a key costs among few and many.
func BenchmarkAPIKeys(b *testing.B) {
	for _, n := range []int{10, 1_000_000} {
		g := New(Config{KeySecret: []byte("secret")})
		value := func(i int) string { return fmt.Sprintf("a-value-of-an-api-key-%018d", i) }
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		err := g.LoadPlans(map[string]Plan{"p": {Stages: map[string]PlanStage{"api/v1": {}}}}, func(yield func(KeyHash, Key)) error {
			for i := range n {
				yield(g.HashKey(value(i)), Key{ID: fmt.Sprintf("%010d", i), Enabled: true, Plans: []string{"p"}})
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		size := float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
		values := make([]string, min(n, 1<<16))
		for i := range values {
			values[i] = value(i * (n / len(values)))
		}
		b.Run(fmt.Sprintf("find/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if g.plans.keys.Load().find(g.keys.value(values[i%len(values)])) == nil {
					b.Fatal("not found")
				}
			}
			b.ReportMetric(size, "B/key")
		})
		b.Run(fmt.Sprintf("change/%d", n), func(b *testing.B) {
			for i := range b.N {
				v := values[i%len(values)]
				g.ChangePlans(PlanChange{Keys: map[KeyHash]*Key{g.HashKey(v): {ID: "changed", Enabled: true, Plans: []string{"p"}}}})
			}
		})
	}
}
