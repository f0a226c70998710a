package gateway

import "time"

// LogLine is a line of an API's access log or execution log. [Config].Lines takes it and
// must not block.
type LogLine struct {
	Region, Group, Stream string
	Time                  time.Time
	Text                  string
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
