package gateway

import (
	"sync/atomic"
	"time"
)

// LogLine is a line of an API's access log or execution log. [Config].Lines takes it and
// must not block.
type LogLine struct {
	Region, Group, Stream string
	Time                  time.Time
	Text                  string
}

// Metrics are the counts of a stage, or of one of its methods, since the program began.
// The names are those of API Gateway's metrics in CloudWatch; latencies are sums.
type Metrics struct {
	APIID, APIName string
	// Stage ends in "/Canary" for a canary's part.
	Stage string
	// Method and Resource are set for a method that is counted by itself.
	Method, Resource string

	Count, Error4XX, Error5XX       uint64
	CacheHitCount, CacheMissCount   uint64
	Latency, IntegrationLatency     time.Duration
	LatencyCount, IntegrationsCount uint64
}

// counters are the numbers behind [Metrics]. They outlive deployments.
type counters struct {
	count, error4, error5, hits, misses, integrations atomic.Uint64
	latency, integration                              atomic.Int64
}

func (c *counters) add(x *Exchange, latency time.Duration) {
	c.count.Add(1)
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
	m.Count, m.Error4XX, m.Error5XX = c.count.Load(), c.error4.Load(), c.error5.Load()
	m.CacheHitCount, m.CacheMissCount = c.hits.Load(), c.misses.Load()
	m.Latency, m.LatencyCount = time.Duration(c.latency.Load()), m.Count
	m.IntegrationLatency, m.IntegrationsCount = time.Duration(c.integration.Load()), c.integrations.Load()
	return m
}

// meter names counters.
type meter struct{ api, stage, method, resource string }

// giveCounters gives a snapshot the counters of its stage, and those of the methods that
// are counted by themselves.
func (g *Gateway) giveCounters(s *Snapshot, suffix string) {
	if g.meters == nil {
		g.meters = map[meter]*counters{}
	}
	find := func(m meter) *counters {
		if g.meters[m] == nil {
			g.meters[m] = new(counters)
		}
		return g.meters[m]
	}
	at := meter{api: s.def.APIID, stage: s.def.Stage + suffix}
	s.counters = find(at)
	for _, rt := range s.routes {
		rt.counters = nil
		if rt.settings.Metrics {
			at.method, at.resource = rt.def.Method, rt.def.Path
			rt.counters = find(at)
		}
	}
}

// Metrics reads every counter of the stages that are served.
func (g *Gateway) Metrics() []Metrics {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Metrics
	stages := *g.stages.Load()
	for m, c := range g.meters {
		s := stages[stageKey{m.api, trimCanary(m.stage)}]
		if s == nil {
			continue
		}
		out = append(out, c.read(Metrics{APIID: m.api, APIName: s.def.Name, Stage: m.stage, Method: m.method, Resource: m.resource}))
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

// observe counts an exchange and writes its lines, once it has been answered.
func (x *Exchange) observe(r *Refusal, latency time.Duration) {
	if x.snap == nil {
		return
	}
	x.snap.counters.add(x, latency)
	if x.route != nil && x.route.counters != nil {
		x.route.counters.add(x, latency)
	}
	if x.g.cfg.Lines == nil {
		return
	}
	if l := x.snap.accessLog; l != nil {
		x.line(x.snap.def.AccessLog.Group, string(l.render(&outcome{x, r, latency})))
	}
	if x.route != nil && x.route.settings.Logging != "" {
		x.executionLog(&outcome{x, r, latency})
	}
}

func (x *Exchange) line(group, text string) {
	x.g.cfg.Lines(LogLine{Region: x.snap.def.Region, Group: group, Stream: x.start.UTC().Format("2006/01/02"), Time: x.start, Text: text})
}

// outcome is an exchange that has been answered.
type outcome struct {
	*Exchange
	refusal *Refusal
	latency time.Duration
}
