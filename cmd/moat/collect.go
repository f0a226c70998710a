package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// collectSlack is how much garbage may gather beyond what the collector would allow: it counts by
	// percent of what is alive, and the few MiB that an installation without much in it has alive would be
	// looked through hundreds of times a second.
	collectSlack = 32 << 20
	collectMost  = 1600 // percent, of what is alive
)

// collectSeldom makes collections of a small heap rarer. What an operator says with GOGC goes before, and
// GOMEMLIMIT is obeyed as ever. It ends with ctx.
func collectSeldom(ctx context.Context, getenv func(string) string) {
	if getenv("GOGC") == "" {
		armCollection(ctx, &collectPace{percent: 100})
	}
}

// collectPace is the pace that the collector was given last.
type collectPace struct{ percent int }

// armCollection sets the pace anew after each collection, which is when something unreachable is cleaned up.
func armCollection(ctx context.Context, p *collectPace) {
	runtime.AddCleanup(new(*collectPace), func(p *collectPace) {
		if ctx.Err() == nil {
			p.follow()
			armCollection(ctx, p)
		}
	}, p)
}

// follow sets the pace by what the collection has found alive. Small changes are not worth stopping the world.
func (p *collectPace) follow() {
	alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(alive)
	if next := collectPercent(alive[0].Value.Uint64()); next > p.percent+p.percent/8 || next < p.percent-p.percent/8 {
		debug.SetGCPercent(next)
		p.percent = next
	}
}

// collectPercent is the percentage of what is alive at which the next collection begins: all of it, as by default,
// and the slack.
func collectPercent(alive uint64) int {
	return int(min(100+100*collectSlack/max(alive, 1), collectMost))
}
