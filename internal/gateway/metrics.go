package gateway

import (
	"sync/atomic"
	"time"
)

// Metrics are the counts of a stage, or of one of its methods, since the program began.
// The names are those of API Gateway's metrics in CloudWatch; latencies are sums.
type Metrics struct {
	Region, APIID, APIName string
	// Stage ends in "/Canary" for a canary's part.
	Stage string
	// Method and Resource are set for a method that is counted by itself.
	Method, Resource string

	Count, Error4XX, Error5XX       uint64
	CacheHitCount, CacheMissCount   uint64
	Latency, IntegrationLatency     time.Duration
	LatencyCount, IntegrationsCount uint64
	// Latencies says how many requests took no longer than each of [LatencyBounds] and longer
	// than the one before; the last number is of those that took longer than all.
	Latencies [latencies + 1]uint64
}

const latencies = 14

// LatencyBounds are the bounds by which latencies are counted, in rising order.
func LatencyBounds() [latencies]time.Duration {
	const ms = time.Millisecond
	return [...]time.Duration{ms / 2, ms, 5 * ms / 2, 5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms, 1000 * ms, 3000 * ms, 10000 * ms, 29000 * ms}
}

// counters are the numbers behind [Metrics]. They outlive deployments. A request adds to
// them without a lock.
type counters struct {
	by                                         [latencies + 1]atomic.Uint64 // the sum is the count
	error4, error5, hits, misses, integrations atomic.Uint64
	latency, integration                       atomic.Int64
}

func (c *counters) add(x *Exchange, latency time.Duration) {
	bounds, at := LatencyBounds(), 0
	for at < latencies && latency > bounds[at] {
		at++
	}
	c.by[at].Add(1)
	switch {
	case x.reply.status >= 500:
		c.error5.Add(1)
	case x.reply.status >= 400:
		c.error4.Add(1)
	}
	switch x.cache {
	case cacheHit:
		c.hits.Add(1)
	case cacheMiss:
		c.misses.Add(1)
	}
	c.latency.Add(int64(latency))
	if x.integrated {
		c.integrations.Add(1)
		c.integration.Add(int64(x.integration))
	}
}

func (c *counters) read(m Metrics) Metrics {
	for i := range c.by {
		m.Latencies[i] = c.by[i].Load()
		m.Count += m.Latencies[i]
	}
	m.Error4XX, m.Error5XX = c.error4.Load(), c.error5.Load()
	m.CacheHitCount, m.CacheMissCount = c.hits.Load(), c.misses.Load()
	m.Latency, m.LatencyCount = time.Duration(c.latency.Load()), m.Count
	m.IntegrationLatency, m.IntegrationsCount = time.Duration(c.integration.Load()), c.integrations.Load()
	return m
}

// meter names the counters of a stage: of one of its methods, or of all.
type meter struct{ method, resource string }

// giveCounters gives a snapshot the counters of its stage, and those of the methods that
// are counted by themselves. Those of methods that are so no more are forgotten.
func (g *Gateway) giveCounters(s *Snapshot, suffix string) {
	key := stageKey{s.def.APIID, s.def.Stage + suffix}
	old, now := g.meters[key], map[meter]*counters{}
	find := func(m meter) *counters {
		if now[m] = old[m]; now[m] == nil {
			now[m] = new(counters)
		}
		return now[m]
	}
	s.counters = find(meter{})
	for _, rt := range s.routes {
		rt.counters = nil
		if rt.settings.Metrics {
			rt.counters = find(meter{rt.def.Method, rt.def.Path})
		}
	}
	if g.meters == nil {
		g.meters = map[stageKey]map[meter]*counters{}
	}
	g.meters[key] = now
}

// forget drops the counters of a stage that is served no more.
func (g *Gateway) forget(api, stage string) {
	delete(g.meters, stageKey{api, stage})
	delete(g.meters, stageKey{api, stage + canarySuffix})
}

// Metrics reads every counter of the stages that are served.
func (g *Gateway) Metrics() []Metrics {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Metrics
	stages := *g.stages.Load()
	for key, meters := range g.meters {
		s := stages[stageKey{key.api, trimCanary(key.stage)}]
		if s == nil {
			continue
		}
		for m, c := range meters {
			out = append(out, c.read(Metrics{Region: s.def.Region, APIID: key.api, APIName: s.def.Name, Stage: key.stage, Method: m.method, Resource: m.resource}))
		}
	}
	return out
}

const canarySuffix = "/Canary"

func trimCanary(stage string) string {
	if n := len(stage) - len(canarySuffix); n > 0 && stage[n:] == canarySuffix {
		return stage[:n]
	}
	return stage
}
