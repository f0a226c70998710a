package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"
)

// restAfter is how long nothing must have been asked before memory is given back.
const restAfter = time.Second

// rest gives memory back once after each busy time. Connections that only wait keep, until
// collections have halved them, the stacks on which their requests ran: thousands of them hold
// ten times what they need, and an idle server collects by itself every two minutes only.
func (s *Server) rest(ctx context.Context) error {
	tick := time.NewTicker(restAfter)
	defer tick.Stop()
	seen, rested := s.asked.Load(), true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		asked := s.asked.Load()
		switch {
		case asked != seen:
			seen, rested = asked, false
		case !rested:
			giveBack()
			rested = true
		}
	}
}

// giveBack collects for as long as stacks shrink by it, each time to a half at most.
func giveBack() {
	var now runtime.MemStats
	for runtime.ReadMemStats(&now); ; {
		before := now.StackInuse
		runtime.GC()
		if runtime.ReadMemStats(&now); now.StackInuse > before-before/8 {
			break
		}
	}
	debug.FreeOSMemory()
}
