package gateway

import "encoding/binary"

// Canary is a second deployment of a stage that serves a part of its requests.
type Canary struct {
	// Percent of the requests, from 0 to 100, goes to Definition, which is that of the
	// same API and stage with the canary's own deployment and variables.
	Percent    float64
	Definition Definition
	// UseStageCache shares the stage's response cache; else the canary has its own.
	UseStageCache bool
}

// canary is a compiled [Canary].
type canary struct {
	percent     float64
	snap        *Snapshot
	sharesCache bool
}

// compileCanary compiles the canary of a definition. The stage's throttles count for both.
func (s *Snapshot) compileCanary() error {
	c := s.def.Canary
	if c == nil {
		return nil
	}
	d := c.Definition
	d.Canary = nil
	if !(c.Percent >= 0 && c.Percent <= 100) || d.APIID != s.def.APIID || d.Stage != s.def.Stage {
		return &DefinitionError{"Invalid canary settings specified"}
	}
	snap, err := Compile(d)
	if err != nil {
		return err
	}
	snap.limits.adopt(&s.limits)
	s.canary = &canary{c.Percent, snap, c.UseStageCache}
	return nil
}

// canaryState says which side of a canary release a request is on.
type canaryState uint8

const (
	canaryNone canaryState = iota // the stage has no canary
	canaryBase
	canaryRelease
)

// split sends the canary its part of the requests. The lot is drawn from the random bytes
// that the request got anyway.
func (x *Exchange) split() {
	c := x.snap.canary
	if c == nil {
		return
	}
	x.canary = canaryBase
	if lot := float64(binary.BigEndian.Uint32(x.random[22:26])) / (1 << 32) * 100; lot < c.percent {
		x.canary, x.snap = canaryRelease, c.snap
	}
}

// adopt takes over what outlives a deployment: buckets, and the caches where they serve the same.
func (g *Gateway) adopt(s, old *Snapshot) {
	var before *Snapshot // the canary's
	if old != nil && old != s {
		s.limits.adopt(&old.limits)
		if old.canary != nil {
			before = old.canary.snap
		}
	}
	g.giveAccount(s)
	g.giveCounters(s, "")
	g.giveCache(s, old)
	if s.canary == nil {
		return
	}
	c := s.canary.snap
	if before != nil && before != c {
		c.limits.adopt(&before.limits)
	}
	c.limits.adopt(&s.limits)
	c.account = s.account
	g.giveCounters(c, canarySuffix)
	if s.canary.sharesCache {
		c.cache = s.cache
		return
	}
	g.giveCache(c, before)
}

// giveAccount gives a snapshot the bucket that all stages of its account and region share.
func (g *Gateway) giveAccount(s *Snapshot) {
	t := s.def.AccountThrottle
	if t == (Throttle{}) || t.open() {
		return
	}
	key := s.def.Account + "/" + s.def.Region
	if g.accounts == nil {
		g.accounts = map[string]*bucket{}
	}
	if g.accounts[key] == nil {
		g.accounts[key] = new(bucket)
	}
	s.account = &limited{t, g.accounts[key]}
}
