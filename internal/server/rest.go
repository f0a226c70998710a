package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// When memory is given back. Connections that wait have parked by then (package http1).
const (
	restTick  = time.Second
	restAfter = 2           // ticks of silence
	restWorth = 16          // requests or connections after which it is worth it at once
	restPause = time.Minute // and otherwise
	restCalm  = 16          // requests in a tick from which it is no silence then
)

// rest gives memory back after each busy time and soon after the start: an idle server collects
// by itself every two minutes only, and keeps much of what its requests needed for a moment.
func (s *Server) rest(ctx context.Context) error {
	tick := time.NewTicker(restTick)
	defer tick.Stop()
	d := restDecider{debt: restWorth} // the start is a busy time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		conns := 0
		for _, engine := range s.engines() {
			conns += engine.Connections()
		}
		if d.due(s.asked.Load(), conns) {
			s.giveBack(ctx)
		}
	}
}

// restDecider says when to rest. It is asked once a tick.
type restDecider struct {
	asked  int64 // requests so far
	conns  int
	debt   int64 // requests and changes of connections since the last rest
	silent int   // ticks without any
	calm   int   // ticks with few
	since  time.Duration
}

func (d *restDecider) due(asked int64, conns int) bool {
	moved := asked - d.asked + int64(max(conns-d.conns, d.conns-conns))
	d.asked, d.conns, d.debt, d.since = asked, conns, d.debt+moved, d.since+restTick
	if d.silent++; moved > 0 {
		d.silent = 0
	}
	if d.calm++; moved >= restCalm {
		d.calm = 0
	}
	soon, late := d.silent >= restAfter && d.debt >= restWorth, d.calm >= restAfter && d.debt > 0 && d.since >= restPause
	if !soon && !late {
		return false
	}
	d.debt, d.since = 0, 0
	return true
}

// giveBack lets go of what nobody uses at the moment: pages of the database, the stacks of
// goroutines that have ended or wait, garbage, and pages of the program.
func (s *Server) giveBack(ctx context.Context) {
	if err := s.db.Rest(ctx); err != nil && ctx.Err() == nil {
		s.cfg.Log.Debug("the store gave no memory back", "error", err)
	}
	var now runtime.MemStats
	for runtime.ReadMemStats(&now); ; { // each collection shrinks a stack to a half at most
		before := now.StackInuse
		runtime.GC()
		if runtime.ReadMemStats(&now); now.StackInuse > before-before/8 {
			break
		}
	}
	debug.FreeOSMemory()
	releaseProgram()
}
