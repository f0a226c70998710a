package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"moat/internal/pure/sigv4"
)

// Bounds of the loads of this chapter.
const (
	gatewayConns  = 32
	gatewayCount  = 20000
	gatewayRounds = 3
	gatewayTime   = 1500 * time.Millisecond
	freshTokens   = 1500
	alone         = 1000                   // requests over one connection
	logged        = 400 * time.Millisecond // after which the access log is written
)

// guarded is a route with the ways to ask for it.
type guarded struct {
	name    string
	next    func(i int) []byte // request i of a round
	count   int                // requests that next can give per round
	refused []byte             // must not be let in
	status  int                // of the refusal
	rounds  []outcome
	single  outcome // over one connection
}

// measureGateway answers what a guarded request costs over an unguarded one.
func measureGateway(ctx context.Context, b *bench, r *rig) error {
	routes, err := r.guardedRoutes(ctx)
	if err != nil {
		return err
	}
	for _, g := range routes {
		if err := r.until(ctx, g.next(0), http.StatusOK); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		if g.refused == nil {
			continue
		}
		if err := r.until(ctx, g.refused, g.status); err != nil {
			return fmt.Errorf("%s lets in what it must refuse: %w", g.name, err)
		}
	}
	for round := range gatewayRounds { // A..Z, Z..A, A..Z: the hour of the machine is everybody's
		order := slices.Clone(routes)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, g := range order {
			if err := g.round(ctx, r, round); err != nil {
				return fmt.Errorf("%s: %w", g.name, err)
			}
		}
	}
	b.report.Groups = append(b.report.Groups, gatewayGroup(routes))
	return nil
}

// round is one load of a route, after a moment that fills its connections.
func (g *guarded) round(ctx context.Context, r *rig, round int) error {
	at := round * g.count
	do := func(c *conn, i int) error {
		_, err := c.exchange(g.next(at+i), http.StatusOK)
		return err
	}
	o, err := load{conns: gatewayConns, count: g.count, limit: gatewayTime, settle: logged, do: do}.run(ctx, r.process, r.address)
	if err != nil {
		return err
	}
	g.rounds = append(g.rounds, o)
	if round > 0 || g.count < gatewayCount {
		return nil
	}
	g.single, err = load{conns: 1, count: alone, limit: gatewayTime, settle: logged, do: do}.run(ctx, r.process, r.address)
	return err
}

func gatewayGroup(routes []*guarded) group {
	out := group{
		Title: "Requests to a deployed API",
		How: fmt.Sprintf("`GET` through an HTTP_PROXY integration to a backend of 200 bytes, %d keep-alive connections; CPU is the server's alone, median and range of %d interleaved rounds. "+
			"Client and backend share the machine's cores with the server. Each route refused its counter-example before.", gatewayConns, gatewayRounds),
	}
	for _, g := range routes {
		var cpu, rate, p50, p99 []float64
		total := 0
		for _, o := range g.rounds {
			cpu, rate = append(cpu, o.cpuMicros()), append(rate, o.rate())
			p50, p99 = append(p50, quantile(o.took, 0.5)/1000), append(p99, quantile(o.took, 0.99)/1000)
			total += o.count
		}
		for _, list := range [][]float64{cpu, rate, p50, p99} {
			slices.Sort(list)
		}
		line := row{Name: g.name, Figures: []figure{
			{"requests", "", float64(total)}, {"CPU", "us", quantile(cpu, 0.5)}, {"min", "us", cpu[0]}, {"max", "us", cpu[len(cpu)-1]},
			{"per core", "1/s", 1e6 / quantile(cpu, 0.5)}, {"this machine", "1/s", quantile(rate, 0.5)}, {"p50", "ms", quantile(p50, 0.5)}, {"p99", "ms", quantile(p99, 0.5)},
		}}
		if g.single.count > 0 {
			line.Figures = append(line.Figures, figure{"p50 of one connection", "ms", quantile(g.single.took, 0.5) / 1000})
		}
		out.Rows = append(out.Rows, line)
	}
	return out
}

// guardedRoutes makes the API and the requests for each way of proving who one is.
func (r *rig) guardedRoutes(ctx context.Context) ([]*guarded, error) {
	a, err := r.newAPI(ctx, "bench-gateway")
	if err != nil {
		return nil, err
	}
	authorizer, err := a.authorizer(ctx)
	if err != nil {
		return nil, err
	}
	proxy := map[string]any{"type": "HTTP_PROXY", "httpMethod": "GET", "uri": r.backend.url()}
	for name, method := range map[string]map[string]any{
		"open": {"authorizationType": "NONE"}, "key": {"authorizationType": "NONE", "apiKeyRequired": true},
		"token": {"authorizationType": "COGNITO_USER_POOLS", "authorizerId": authorizer}, "signed": {"authorizationType": "AWS_IAM"},
	} {
		if err := a.get(ctx, name, method, proxy); err != nil {
			return nil, err
		}
	}
	if err := a.deploy(ctx); err != nil {
		return nil, err
	}
	key, err := a.apiKey(ctx)
	if err != nil {
		return nil, err
	}
	invoker, err := a.invoker(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.gatherTokens(ctx, gatewayRounds*freshTokens+2); err != nil {
		return nil, err
	}
	return r.requests(a, key, invoker), nil
}

func (r *rig) requests(a *api, key string, invoker sigv4.Credentials) []*guarded {
	with := func(route, name, value string) []byte {
		return request{method: http.MethodGet, path: a.path(route), header: http.Header{name: {value}}}.raw(r.host)
	}
	always := func(raw []byte) func(int) []byte { return func(int) []byte { return raw } }
	remembered, refused := r.idTokens[0], altered(r.idTokens[1])
	fresh := make([][]byte, 0, len(r.idTokens))
	for _, t := range r.idTokens[2:] {
		fresh = append(fresh, with("token", "Authorization", t))
	}
	signed := make([][]byte, gatewayCount) // each with a query of its own, so that none is the other's repetition
	for i := range signed {
		signed[i] = request{method: http.MethodGet, path: a.path("signed"), query: "n=" + strconv.Itoa(i)}.signed(r.host, "execute-api", invoker)
	}
	foreign := sigv4.Credentials{AccessKeyID: invoker.AccessKeyID, SecretAccessKey: "not" + invoker.SecretAccessKey[3:]}
	badSignature := request{method: http.MethodGet, path: a.path("signed")}.signed(r.host, "execute-api", foreign)
	return []*guarded{
		{name: "open", count: gatewayCount, next: always(with("open", "X-Nothing", "1"))},
		{name: "API key, usage plan with quota", count: gatewayCount, next: always(with("key", "X-Api-Key", key)),
			refused: with("key", "X-Api-Key", "not-"+key), status: http.StatusForbidden},
		{name: "ID token, remembered", count: gatewayCount, next: always(with("token", "Authorization", remembered)),
			refused: with("token", "Authorization", refused), status: http.StatusUnauthorized},
		{name: "ID token, another each time", count: (len(fresh) - 1) / gatewayRounds, next: func(i int) []byte { return fresh[(i+1)%len(fresh)] },
			refused: with("token", "Authorization", "garbage"), status: http.StatusUnauthorized},
		{name: "AWS_IAM, signed", count: gatewayCount, next: func(i int) []byte { return signed[i%gatewayCount] },
			refused: badSignature, status: http.StatusForbidden},
	}
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
