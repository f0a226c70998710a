package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// idleConns are connections that have asked once and then say nothing.
const idleConns = 10_000

// warmIdle are requests before the first figure, so that the server has worked before it rests.
const warmIdle = 100

// idleMemory answers what a connection costs that does nothing, of a server that has done little else.
func (b *bench) idleMemory(ctx context.Context) (group, error) {
	out := group{
		Title: "Idle connections",
		How: fmt.Sprintf("Resident memory of `moat serve` with one API at rest, with %d connections that have each had one answer of its open route and wait, and while %d others ask beside them. Each: by what of it is no file's.",
			idleConns, gatewayConns),
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
	first, err := dial(r.address)
	if err != nil {
		return out, err
	}
	defer first.Close()
	for range warmIdle {
		if _, err := first.exchange(raw, http.StatusOK); err != nil {
			return out, err
		}
	}
	time.Sleep(settle)
	before, anonymous := residents("VmRSS", pid), residents("RssAnon", pid)
	stop, err := holdIdle(ctx, r.address, raw)
	if err != nil {
		return out, err
	}
	defer stop()
	with, each := residents("VmRSS", pid), (residents("RssAnon", pid)-anonymous)*1024/idleConns
	ask := load{conns: gatewayConns, count: gatewayCount, limit: gatewayTime, do: func(c *conn, _ int) error {
		_, err := c.exchange(raw, http.StatusOK)
		return err
	}}
	if _, err := ask.run(ctx, r.process, r.address); err != nil {
		return out, err
	}
	busy := residents("VmRSS", pid)
	line := row{Name: "Moat", Figures: []figure{{"before", "MiB", before}, {"with them", "MiB", with}, {"each", "KiB", each}, {"beside a load", "MiB", busy}}}
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
	time.Sleep(settle) // the server gives back what it needed for a moment
	return stop, nil
}
