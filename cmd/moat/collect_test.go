package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestCollectPercent(t *testing.T) {
	t.Parallel()
	for alive, want := range map[uint64]int{0: collectMost, 1 << 20: collectMost, 8 << 20: 500, 32 << 20: 200, 320 << 20: 110, 1 << 40: 100} {
		if got := collectPercent(alive); got != want {
			t.Errorf("%d bytes alive: %d percent, not %d", alive, got, want)
		}
	}
}

// The pace is set after a collection, and after the next ones, too; not where the operator has set it.
func TestCollectSeldom(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	percent := func() uint64 {
		s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	collectSeldom(t.Context(), func(string) string { return "100" })
	if runtime.GC(); percent() != 100 {
		t.Fatalf("%d percent where the operator says 100", percent())
	}
	collectSeldom(t.Context(), func(string) string { return "" })
	for deadline := time.Now().Add(10 * time.Second); percent() <= 100; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the pace was never set")
		}
	}
	set := percent()
	alive := make([]byte, 256<<20)
	for deadline := time.Now().Add(10 * time.Second); percent() > set/2; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d percent, with %d MiB alive", percent(), len(alive)>>20)
		}
	}
	runtime.KeepAlive(alive)
}
