package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// idleConns are connections that have asked once and then say nothing.
const idleConns = 10_000

// idleMemory answers what a connection costs that does nothing, of a server that has done little else.
func (b *bench) idleMemory(ctx context.Context) (group, error) {
	out := group{
		Title: "Idle connections",
		How:   fmt.Sprintf("Resident memory of `moat serve` with one API before, and with %d connections that have each had one answer of its open route.", idleConns),
	}
	r, err := b.newRig(ctx)
	if err != nil {
		return out, err
	}
	defer r.stop()
	a, err := r.newAPI(ctx, "bench-idle")
	if err != nil {
		return out, err
	}
	proxy := map[string]any{"type": "HTTP_PROXY", "httpMethod": "GET", "uri": r.backend.url()}
	if err := a.get(ctx, "open", map[string]any{"authorizationType": "NONE"}, proxy); err != nil {
		return out, err
	}
	if err := a.deploy(ctx); err != nil {
		return out, err
	}
	raw := request{method: http.MethodGet, path: a.path("open")}.raw(r.host)
	if err := r.until(ctx, raw, http.StatusOK); err != nil {
		return out, err
	}
	pid := r.cmd.Process.Pid
	before := residents("VmRSS", pid)
	stop, err := holdIdle(ctx, r.address, raw)
	if err != nil {
		return out, err
	}
	defer stop()
	with := residents("VmRSS", pid)
	line := row{Name: "Moat", Figures: []figure{{"before", "MiB", before}, {"with them", "MiB", with}, {"each", "KiB", (with - before) * 1024 / idleConns}}}
	out.Rows = append(out.Rows, line.below("with them", 60))
	return out, nil
}

// holdIdle opens the connections and keeps them until it is told to stop.
func holdIdle(ctx context.Context, address string, raw []byte) (stop func(), err error) {
	var conns []*conn
	stop = func() {
		for _, c := range conns {
			c.Close()
		}
	}
	for range idleConns {
		c, err := dial(address)
		if err != nil {
			stop()
			return nil, err
		}
		conns = append(conns, c)
		if _, err := c.exchange(raw, http.StatusOK); err != nil {
			stop()
			return nil, fmt.Errorf("connection %d: %w", len(conns), err)
		}
		c.in = nil // an idle client needs no buffer
		if ctx.Err() != nil {
			stop()
			return nil, ctx.Err()
		}
	}
	time.Sleep(5 * time.Second) // the server gives back what it needed for a moment
	return stop, nil
}
