package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"moat/internal/gateway"
	"moat/internal/wire"
)

const (
	accessQueue    = 8192
	accessInterval = 200 * time.Millisecond
	accessBatch    = 1000
)

// accessLog keeps the record of each request to a deployed API in the log group
// /moat/api/{api}/{stage}, where `aws logs` reads it, and what the API's own access and
// execution logs say in theirs. A request never waits for a log: a full queue drops the
// line and counts it.
type accessLog struct {
	append func(ctx context.Context, region, group, stream string, times []time.Time, texts []string) error
	log    *slog.Logger
	lines  chan gateway.LogLine

	mu      sync.Mutex
	dropped int
}

func newAccessLog(log *slog.Logger, appendTo func(context.Context, string, string, string, []time.Time, []string) error) *accessLog {
	return &accessLog{append: appendTo, log: log, lines: make(chan gateway.LogLine, accessQueue)}
}

// accessRecord is the text of a line.
type accessRecord struct {
	RequestID      string  `json:"requestId"`
	IP             string  `json:"ip"`
	RequestTime    string  `json:"requestTime"`
	Method         string  `json:"httpMethod"`
	Path           string  `json:"path"`
	Route          string  `json:"route"`
	Status         int     `json:"status"`
	Who            string  `json:"who"`
	Step           string  `json:"step"`
	Grounds        string  `json:"grounds"`
	KeyID          string  `json:"apiKeyId"`
	UserAgent      string  `json:"userAgent"`
	ResponseLength int64   `json:"responseLength"`
	LatencyMS      float64 `json:"latencyMs"`
	IntegrationMS  float64 `json:"integrationLatencyMs"`
}

// record queues the line of one exchange. It does not block.
func (a *accessLog) record(r wire.Record) {
	text, err := json.Marshal(accessRecord{
		RequestID: r.RequestID, IP: r.SourceIP, RequestTime: r.Time.UTC().Format("02/Jan/2006:15:04:05 -0700"),
		Method: r.Method, Path: r.Path, Route: r.Route, Status: r.Status, Who: r.Who, Step: r.Step, Grounds: r.Grounds,
		KeyID: r.KeyID, UserAgent: r.UserAgent, ResponseLength: r.BytesOut,
		LatencyMS: float64(r.Latency.Microseconds()) / 1000, IntegrationMS: float64(r.Integration.Microseconds()) / 1000,
	})
	if err != nil {
		return
	}
	a.line(gateway.LogLine{Region: r.Region, Group: "/moat/api/" + r.API + "/" + r.Stage, Stream: r.Time.UTC().Format("2006/01/02"), Time: r.Time, Text: string(text)})
}

// line queues a line. It does not block.
func (a *accessLog) line(l gateway.LogLine) {
	select {
	case a.lines <- l:
	default:
		a.mu.Lock()
		a.dropped++
		a.mu.Unlock()
	}
}

// run writes queued lines until ctx is done, then what is left.
func (a *accessLog) run(ctx context.Context) error {
	tick := time.NewTicker(accessInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			a.flush(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
			a.flush(ctx)
		}
	}
}

// flush writes what is queued now, batch by batch.
func (a *accessLog) flush(ctx context.Context) {
	for len(a.lines) > 0 {
		a.writeBatch(ctx, min(len(a.lines), accessBatch))
	}
	a.mu.Lock()
	dropped := a.dropped
	a.dropped = 0
	a.mu.Unlock()
	if dropped > 0 {
		a.log.Warn("access log: lines dropped, the queue was full", "lines", dropped)
	}
}

func (a *accessLog) writeBatch(ctx context.Context, n int) {
	type place struct{ region, group, stream string }
	times, texts := map[place][]time.Time{}, map[place][]string{}
	for range n {
		l := <-a.lines
		p := place{l.Region, l.Group, l.Stream}
		times[p], texts[p] = append(times[p], l.Time), append(texts[p], l.Text)
	}
	for p := range times {
		if err := a.append(ctx, p.region, p.group, p.stream, times[p], texts[p]); err != nil {
			a.log.Error("access log: lines lost", "group", p.group, "lines", len(texts[p]), "error", err)
		}
	}
}
