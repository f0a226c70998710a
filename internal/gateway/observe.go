package gateway

import "time"

// LogLine is a line of an API's access log or execution log. [Config].Lines takes it and
// must not block. Lines of a group are kept in a stream for each day.
type LogLine struct {
	Region, Group string
	Time          time.Time
	Text          []byte // valid until Lines returns
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
		x.lineRoom = l.render(x.lineRoom[:0], &outcome{x, r, latency})
		x.line(x.snap.def.AccessLog.Group, x.lineRoom)
	}
	if x.route != nil && x.route.settings.Logging != "" {
		x.executionLog(&outcome{x, r, latency})
	}
}

func (x *Exchange) line(group string, text []byte) {
	x.g.cfg.Lines(LogLine{Region: x.snap.def.Region, Group: group, Time: x.start, Text: text})
}

// outcome is an exchange that has been answered.
type outcome struct {
	*Exchange
	refusal *Refusal
	latency time.Duration
}
