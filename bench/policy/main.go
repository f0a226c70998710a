// Command policy measures one decision among n statements: Moat's engine beside
// cedar-go and OPA, on policies that say the same, in one run.
//
// It is a module of its own, so that Moat does not depend on what it is
// measured against. `make bench-policy` runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// An engine decides the one question: may a user of team red get an object of
// the bucket of a team.
type engine struct {
	name string
	// make compiles n statements, each of which lets team red read the bucket
	// of another team, and returns how to ask about one bucket.
	make func(n int) (decide func(bucket string) func() bool, err error)
}

// result is what a round measured.
type result struct {
	ns     float64
	allocs int64
}

func main() {
	rounds := flag.Int("rounds", 3, "interleaved rounds")
	sizes := []int{10, 1000, 10_000}
	flag.Parse()
	engines := []engine{{"Moat", moat}, {"cedar-go, resource in", cedarIn}, {"cedar-go, resource like", cedarLike}, {"OPA, indexed rules", opa}}
	if err := run(os.Stdout, engines, sizes, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench-policy:", err)
		os.Exit(1)
	}
}

func run(w *os.File, engines []engine, sizes []int, rounds int) error {
	fmt.Fprintf(w, "%s, %d cores, %s, %s\n\n", runtime.GOARCH, runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	type cell struct{ allow, refuse []result }
	cells := map[string]*cell{}
	asks := map[string][2]func() bool{}
	for _, n := range sizes {
		for _, e := range engines {
			ask, err := e.make(n)
			if err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
			yes, no := ask(bucket(n/2)), ask("nobody")
			if !yes() || no() {
				return fmt.Errorf("%s decides wrongly among %d", e.name, n)
			}
			key := fmt.Sprint(e.name, n)
			asks[key], cells[key] = [2]func() bool{yes, no}, &cell{}
		}
	}
	for range rounds {
		for _, n := range sizes {
			for _, e := range engines {
				key := fmt.Sprint(e.name, n)
				cells[key].allow = append(cells[key].allow, measure(asks[key][0], true))
				cells[key].refuse = append(cells[key].refuse, measure(asks[key][1], false))
			}
		}
	}
	fmt.Fprintln(w, "| engine | statements | allowed, us | min | max | allocations | refused, us |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	for _, e := range engines {
		for _, n := range sizes {
			c := cells[fmt.Sprint(e.name, n)]
			a, r := sorted(c.allow), sorted(c.refuse)
			fmt.Fprintf(w, "| %s | %d | %s | %s | %s | %d | %s |\n", e.name, n, us(a[len(a)/2]), us(a[0]), us(a[len(a)-1]), a[len(a)/2].allocs, us(r[len(r)/2]))
		}
	}
	fmt.Fprintln(w)
	for n, limit := range map[int]float64{10: 1500, 1000: 3000} {
		got := sorted(cells[fmt.Sprint("Moat", n)].allow)
		verdict := "met"
		if got[len(got)/2].ns > limit || got[len(got)/2].allocs > 0 {
			verdict = "missed"
		}
		fmt.Fprintf(w, "target at %d: under %.1f us without an allocation: %s\n", n, limit/1000, verdict)
	}
	return nil
}

func measure(ask func() bool, want bool) result {
	wrong := false
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			wrong = wrong || ask() != want
		}
	})
	if wrong {
		panic("a decision changed")
	}
	return result{float64(r.T.Nanoseconds()) / float64(r.N), r.AllocsPerOp()}
}

func sorted(rs []result) []result {
	slices.SortFunc(rs, func(a, b result) int { return int(a.ns - b.ns) })
	return rs
}

func us(r result) string {
	switch v := r.ns / 1000; {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

func bucket(i int) string { return fmt.Sprintf("team-%d", i) }

// each joins what f says of every statement.
func each(n int, separator string, f func(bucket string) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = f(bucket(i))
	}
	return strings.Join(parts, separator)
}
