package logs_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"moat/internal/service/logs"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

const line = `{"requestId":"2f0c1a52-6f4c-4c0e-9d3a-5f6a1b2c3d4e","ip":"203.0.113.7","requestTime":"27/Nov/2026:03:04:05 +0000","httpMethod":"GET","path":"/prod/courses/17","route":"GET /courses/{id}","status":200,"who":"","step":"respond","grounds":"the route is open","apiKeyId":"","userAgent":"bench/1.0","responseLength":512,"latencyMs":0.412,"integrationLatencyMs":0.3}`

func onDisk(b *testing.B) *logs.Service {
	b.Helper()
	db, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "moat.db"), MasterKey: make([]byte, 32)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	s, err := logs.New(logs.Config{DB: db, Account: account})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// processor is the time that this process has used the processors for.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAppend appends lines of the access log. cpu-ns/line is what counts: the time of the
// clock is the disk's.
func BenchmarkAppend(b *testing.B) {
	form := logs.NewForm(`{"requestId":`, `,"ip":`, `,"requestTime":`, `,"httpMethod":`, `,"path":`, `,"route":`, `,"status":`, `,"userAgent":`, `,"responseLength":`, `,"latencyMs":`, `}`)
	const values = `["2f0c1a52-6f4c-4c0e-9d3a-5f6a1b2c3d4e","203.0.113.7","27/Nov/2026:03:04:05 +0000","GET","/prod/courses/17","GET /courses/{id}",200,"bench/1.0",512,0.412]`
	for _, n := range []int{1, 4, 200, 1000, -1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			event := logs.Event{Message: line}
			if n < 0 { // as many of a form
				n, event = -n, logs.Event{Message: values, Form: form}
			}
			s := onDisk(b)
			events := make([]logs.Event, n)
			b.ReportAllocs()
			before := processor(b)
			for b.Loop() {
				for i := range events {
					event.Time = time.Now()
					events[i] = event
				}
				if err := s.Append(context.Background(), region, "g", "s", events); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processor(b)-before)/float64(b.N*n), "cpu-ns/line")
		})
	}
}

// BenchmarkRead reads the newest hundred events of a stream of a hundred thousand, and filters
// all of them.
func BenchmarkRead(b *testing.B) {
	s := onDisk(b)
	began := time.Now()
	for i := range 100 {
		events := make([]logs.Event, 1000)
		for j := range events {
			events[j] = logs.Event{Time: began.Add(time.Duration(1000*i+j) * time.Millisecond), Message: line}
		}
		if err := s.Append(context.Background(), region, "g", "s", events); err != nil {
			b.Fatal(err)
		}
	}
	ctx := wire.WithCall(context.Background(), &wire.Call{Account: account, Region: region})
	b.Run("newest", func(b *testing.B) {
		for b.Loop() {
			out, err := s.GetLogEvents(ctx, &api.GetLogEventsRequest{LogGroupName: wire.String("g"), LogStreamName: "s", Limit: wire.Int32(100)})
			if err != nil || len(out.Events) != 100 {
				b.Fatal(err)
			}
		}
	})
	b.Run("filter", func(b *testing.B) {
		for b.Loop() {
			_, err := s.FilterLogEvents(ctx, &api.FilterLogEventsRequest{LogGroupName: wire.String("g"), FilterPattern: wire.String(strings.Repeat("z", 9))})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
