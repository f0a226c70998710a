package function

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"moat/internal/sandbox"
)

const (
	logQueueSize  = 16384
	logBatch      = 1000
	logInterval   = 200 * time.Millisecond
	logFlushLimit = 5 * time.Second
)

// logQueue passes logs on in batches, so that no invocation waits for a commit. When
// more comes than can be kept, lines are dropped, and the log says how many.
type logQueue struct {
	log     *slog.Logger
	items   chan logItem
	dropped atomic.Int64
}

type logItem struct {
	stream *logStream
	event  LogEvent
}

// logStream is the log of one environment.
type logStream struct {
	queue                 *logQueue
	region, group, stream string
}

func newLogQueue(log *slog.Logger) *logQueue {
	return &logQueue{log: log, items: make(chan logItem, logQueueSize)}
}

func (q *logQueue) sink(region, group, stream string) *logStream {
	return &logStream{queue: q, region: region, group: group, stream: stream}
}

// Log takes a line without waiting.
func (l *logStream) Log(e sandbox.LogEvent) {
	select {
	case l.queue.items <- logItem{l, LogEvent{Time: e.Time, Message: e.Message}}:
	default:
		l.queue.dropped.Add(1)
	}
}

// run passes logs on until ctx ends, and then what is left.
func (q *logQueue) run(ctx context.Context, to Logs) {
	for {
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), logFlushLimit)
			defer cancel()
			for len(q.items) > 0 && end.Err() == nil {
				q.pass(end, to, q.gather(nil))
			}
			return
		case first := <-q.items:
			wait := time.NewTimer(logInterval)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
			}
			q.pass(context.WithoutCancel(ctx), to, q.gather([]logItem{first}))
		}
	}
}

// gather takes what is there.
func (q *logQueue) gather(list []logItem) []logItem {
	for len(list) < logBatch {
		select {
		case item := <-q.items:
			list = append(list, item)
		default:
			return list
		}
	}
	return list
}

// pass sorts a batch by stream, in the order of writing.
func (q *logQueue) pass(ctx context.Context, to Logs, list []logItem) {
	if n := q.dropped.Swap(0); n > 0 {
		q.log.Warn("lines of functions' logs were dropped, since they came faster than they could be kept", "lines", n)
	}
	if to == nil {
		return
	}
	var order []*logStream
	events := map[*logStream][]LogEvent{}
	for _, item := range list {
		if events[item.stream] == nil {
			order = append(order, item.stream)
		}
		events[item.stream] = append(events[item.stream], item.event)
	}
	for _, l := range order {
		if err := to.Append(ctx, l.region, l.group, l.stream, events[l]); err != nil {
			q.log.Error("the log of a function could not be kept", "group", l.group, "stream", l.stream, "error", err)
		}
	}
}
