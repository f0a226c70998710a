package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Bounds of the loads of this chapter.
const (
	gatewayConns  = 64
	gatewayCount  = 60000
	gatewayRounds = 3
	gatewayTime   = 1500 * time.Millisecond
	freshTokens   = 1500
	alone         = 1000                   // requests over one connection
	logged        = 400 * time.Millisecond // after which the access log is written
)

// contender is something in front of the backend, and how it is asked.
type contender struct {
	name    string
	address string
	meter   meter
	pids    func() []int       // whose memory counts
	next    func(i int) []byte // request i of a round
	count   int                // requests that next can give per round
	refused []byte             // must not be let in
	status  int                // of the refusal
	rounds  []outcome
	single  outcome // over one connection
	memory  float64 // the peak so far, MiB
}

// measureGateway answers what a guarded request costs: over an unguarded one, and beside other proxies.
func measureGateway(ctx context.Context, b *bench, r *rig) error {
	all, err := r.guardedRoutes(ctx, b)
	if err != nil {
		return err
	}
	peers, err := r.startPeers(ctx, b, r.idTokens[0])
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range peers {
			p.stop()
		}
	}()
	all = append(r.asPeers(peers), all...)
	for _, c := range all {
		if err := c.check(ctx); err != nil {
			return err
		}
	}
	for round := range gatewayRounds { // A..Z, Z..A, A..Z: the hour of the machine is everybody's
		order := slices.Clone(all)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, c := range order {
			if err := c.round(ctx, round); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	idle, err := b.idleMemory(ctx)
	if err != nil {
		return err
	}
	b.report.Groups = append(b.report.Groups, gatewayGroup(all), ratioGroup(all), idle)
	return b.drawGateway(all)
}

// asPeers asks each peer what an open route and a route with an ID token are asked.
func (r *rig) asPeers(peers []*peer) []*contender {
	good := request{method: http.MethodGet, path: "/", header: http.Header{"Authorization": {"Bearer " + r.idTokens[0]}}}.raw(r.host)
	bad := request{method: http.MethodGet, path: "/", header: http.Header{"Authorization": {"Bearer " + altered(r.idTokens[1])}}}.raw(r.host)
	var out []*contender
	for _, p := range peers {
		c := &contender{
			name: p.name, address: p.address, meter: p, count: gatewayCount,
			pids: func() []int { return family(p.cmd.Process.Pid) }, next: func(int) []byte { return good },
		}
		if p.name == haproxyJWT {
			c.refused, c.status = bad, http.StatusUnauthorized
		}
		out = append(out, c)
	}
	return out
}

// check sees that a contender lets in and refuses as it must before it is measured.
func (c *contender) check(ctx context.Context) error {
	if err := until(ctx, c.address, c.next(0), http.StatusOK); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	if err := c.forwards(); err != nil {
		return err
	}
	if c.refused == nil {
		return nil
	}
	if err := until(ctx, c.address, c.refused, c.status); err != nil {
		return fmt.Errorf("%s lets in what it must refuse: %w", c.name, err)
	}
	return nil
}

// forwards sees that the answer is the backend's: some proxies answer 200 of their own for a host they do not know.
func (c *contender) forwards() error {
	conn, err := dial(c.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	body, err := conn.exchange(c.next(0), http.StatusOK)
	if err == nil && len(body) != backendBytes {
		err = fmt.Errorf("%s answers %d bytes that are not the backend's", c.name, len(body))
	}
	return err
}

// round is one load, after a moment that fills the contender's connections.
func (c *contender) round(ctx context.Context, round int) error {
	at := round * c.count
	do := func(conn *conn, i int) error {
		_, err := conn.exchange(c.next(at+i), http.StatusOK)
		return err
	}
	o, err := load{conns: gatewayConns, count: c.count, limit: gatewayTime, settle: logged, do: do}.run(ctx, c.meter, c.address)
	if err != nil {
		return err
	}
	c.rounds = append(c.rounds, o)
	c.memory = residents("VmHWM", c.pids()...)
	if round > 0 || c.count < gatewayCount {
		return nil
	}
	c.single, err = load{conns: 1, count: alone, limit: gatewayTime, settle: logged, do: do}.run(ctx, c.meter, c.address)
	return err
}

func gatewayGroup(all []*contender) group {
	out := group{
		Title: "Requests to a deployed API",
		How: fmt.Sprintf("`GET` through an HTTP_PROXY integration to a backend of 200 bytes, beside proxies in front of the same backend; %d keep-alive connections, an ID token in each request to a peer. "+
			"CPU is that of the contender's processes alone, median and range of %d interleaved rounds; client and backend share the machine's cores with it. Each contender that guards refused its counter-example before. "+
			"Moat's rows are one process: its peak memory is that of all of them.", gatewayConns, gatewayRounds),
	}
	for _, c := range all {
		var cpu, rate, p50, p99 []float64
		total := 0
		for _, o := range c.rounds {
			cpu, rate = append(cpu, o.cpuMicros()), append(rate, o.rate())
			p50, p99 = append(p50, quantile(o.took, 0.5)/1000), append(p99, quantile(o.took, 0.99)/1000)
			total += o.count
		}
		for _, list := range [][]float64{cpu, rate, p50, p99} {
			slices.Sort(list)
		}
		line := row{Name: c.name, Figures: []figure{
			{"requests", "", float64(total)}, {"CPU", "us", quantile(cpu, 0.5)}, {"min", "us", cpu[0]}, {"max", "us", cpu[len(cpu)-1]},
			{"per core", "1/s", 1e6 / quantile(cpu, 0.5)}, {"this machine", "1/s", quantile(rate, 0.5)}, {"p50", "ms", quantile(p50, 0.5)}, {"p99", "ms", quantile(p99, 0.5)},
			{"peak memory", "MiB", c.memory},
		}}
		if c.single.count > 0 {
			line.Figures = append(line.Figures, figure{"p50 of one connection", "ms", quantile(c.single.took, 0.5) / 1000})
		}
		out.Rows = append(out.Rows, line)
	}
	return out
}

// altered changes a token's claims and keeps its signature.
func altered(token string) string {
	parts := strings.Split(token, ".")
	claims := []byte(parts[1])
	if claims[8]++; claims[8] > 'y' || claims[8] < 'B' {
		claims[8] = 'k'
	}
	return parts[0] + "." + string(claims) + "." + parts[2]
}

// gatherTokens signs in until there are n ID tokens that nobody has used.
func (r *rig) gatherTokens(ctx context.Context, n int) error {
	missing := n - len(r.idTokens)
	if missing <= 0 {
		return nil
	}
	keep := &tokenKeeper{}
	_, err := load{conns: signInConns, count: missing, limit: 20 * time.Second, do: r.signInPassword(keep)}.run(ctx, r.process, r.address)
	if r.idTokens = append(r.idTokens, keep.tokens...); err == nil && len(r.idTokens) < 3 {
		err = fmt.Errorf("only %d ID tokens could be had", len(r.idTokens))
	}
	return err
}
