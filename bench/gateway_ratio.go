package main

import (
	"fmt"
	"slices"
)

// Names of Moat's rows.
const (
	openRoute    = "Moat, open"
	openOfMany   = "Moat, open, one of 5,000 routes"
	keyRoute     = "Moat, API key and usage plan with quota"
	tokenRoute   = "Moat, ID token, remembered"
	freshRoute   = "Moat, ID token, another each time"
	signedRoute  = "Moat, AWS_IAM, signed"
	decidedRoute = "Moat, function authorizer, remembered"
	cachedRoute  = "Moat, answer from the cache"
)

// ratio is a bound of the CPU of one contender in another's, within one round.
type ratio struct {
	name, against string
	atMost        float64
}

func ratios() []ratio {
	return []ratio{
		{tokenRoute, haproxyJWT, 0.45},
		{freshRoute, haproxyJWT, 1.2},
		{tokenRoute, haproxyPlain, 1.4},
		{openRoute, haproxyPlain, 1.1},
		{signedRoute, haproxyJWT, 0.6},
		{cachedRoute, openRoute, 0.5},
		{openOfMany, openRoute, 1.1},
		{keyRoute, openRoute, 1.3},
		{openRoute, "nginx, forwarding", 1.3},
		{openRoute, "Go's httputil.ReverseProxy", 0.3},
	}
}

// ratioGroup compares contenders round by round: the hour of the machine divides itself out.
func ratioGroup(all []*contender) group {
	out := group{Title: "Ratios of CPU per request", How: "The median of the rounds' ratios, and their range. A ratio below 1 is cheaper than what stands beside it."}
	for _, r := range ratios() {
		a, b := named(all, r.name), named(all, r.against)
		if a == nil || b == nil {
			continue
		}
		var list []float64
		for i := range a.rounds {
			list = append(list, a.rounds[i].cpuMicros()/b.rounds[i].cpuMicros())
		}
		slices.Sort(list)
		median := quantile(list, 0.5)
		out.Rows = append(out.Rows, row{
			Name:    fmt.Sprintf("%s / %s", r.name, r.against),
			Figures: []figure{{"ratio", "", median}, {"min", "", list[0]}, {"max", "", list[len(list)-1]}},
			Target:  &target{Figure: "ratio", Below: r.atMost, Met: median <= r.atMost},
		})
	}
	return out
}

func named(all []*contender, name string) *contender {
	i := slices.IndexFunc(all, func(c *contender) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return all[i]
}
