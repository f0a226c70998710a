package server

import "testing"

func TestRestDecider(t *testing.T) {
	t.Parallel()
	d := restDecider{debt: restWorth}
	asked, conns := int64(0), 0
	ticks := func(n int, requests int64, opened int) (rests int) {
		for range n {
			asked, conns = asked+requests, conns+opened
			if d.due(asked, conns) {
				rests++
			}
		}
		return rests
	}
	for _, c := range []struct {
		what     string
		ticks    int
		requests int64
		opened   int
		want     int
	}{
		{"the start is not over yet", restAfter - 1, 0, 0, 0},
		{"after the start", 10, 0, 0, 1},
		{"nothing happens", 200, 0, 0, 0},
		{"a load", 50, 1000, 10, 0},
		{"a moment of silence", restAfter - 1, 0, 0, 0},
		{"a load again", 5, 1000, 0, 0},
		{"silence", 100, 0, 0, 1},
		{"connections close", 1, 0, -500, 0},
		{"silence after them", 5, 0, 0, 1},
		{"one request", 1, 1, 0, 0},
		{"silence that is not worth it", 30, 0, 0, 0},
		{"after a long time it is", 40, 0, 0, 1},
		{"a trickle", 120, 2, 0, 2},
		{"a load without an end", 200, 100, 0, 0},
	} {
		if got := ticks(c.ticks, c.requests, c.opened); got != c.want {
			t.Errorf("%s: rests %d times, want %d", c.what, got, c.want)
		}
	}
}
