package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	RunShim(os.Args)
	os.Exit(m.Run())
}

// memorySink keeps a log.
type memorySink struct {
	mu    sync.Mutex
	lines []string
}

func (s *memorySink) Log(e LogEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, e.Message)
}

func (s *memorySink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "")
}

// newHost gives an isolating host, and skips where the machine cannot isolate.
func newHost(t testing.TB, change ...func(*Config)) *Host {
	t.Helper()
	cfg := Config{Isolation: IsolationRequire, Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))}
	for _, f := range change {
		f(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := h.Probe(context.Background()); err != nil {
		t.Skip(err)
	}
	return h
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

var specs atomic.Int64

// function makes a spec of files, the first being the handler's.
func function(t testing.TB, runtime, handler string, files map[string]string, change ...func(*Spec)) *Spec {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	key := strconv.FormatInt(specs.Add(1), 10)
	s := &Spec{
		Key: key, Group: key, Limit: -1, Runtime: runtime, Handler: handler, Package: dir,
		MemoryMB: 256, EphemeralMB: 64, Timeout: 5 * time.Second,
		Start: func(context.Context, string) (Start, error) {
			return Start{Env: map[string]string{
				"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
				"AWS_LAMBDA_LOG_STREAM_NAME": "stream",
			}}, nil
		},
	}
	for _, f := range change {
		f(s)
	}
	return s
}

// with sends the log of a spec's environments to a sink.
func with(sink LogSink) func(*Spec) {
	return func(s *Spec) {
		start := s.Start
		s.Start = func(ctx context.Context, id string) (Start, error) {
			st, err := start(ctx, id)
			st.Sink = sink
			return st, err
		}
	}
}

var requests atomic.Int64

func invocation(payload string) Invocation {
	return Invocation{
		RequestID: "req-" + strconv.FormatInt(requests.Add(1), 10), Payload: []byte(payload), Version: "$LATEST",
		ARN: "arn:aws:lambda:us-east-1:000000000000:function:f", TraceID: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
	}
}

func invoke(t testing.TB, h *Host, s *Spec, payload string) Result {
	t.Helper()
	res, err := h.Invoke(context.Background(), s, invocation(payload))
	if err != nil {
		t.Fatalf("Invoke: %v", err)
	}
	return res
}

// want fails unless a function answered this JSON, without error.
func want(t testing.TB, res Result, text string) {
	t.Helper()
	if res.FunctionError != "" || string(res.Payload) != text {
		t.Fatalf("got %s %s\nwant %s\nlog: %s", res.FunctionError, res.Payload, text, res.LogTail)
	}
}

// wantError fails unless a function failed in this way.
func wantError(t testing.TB, res Result, kind, message string) {
	t.Helper()
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(res.Payload, &e); err != nil {
		t.Fatalf("%v in %s", err, res.Payload)
	}
	if res.FunctionError != "Unhandled" || e.ErrorType != kind || !strings.Contains(e.ErrorMessage, message) {
		t.Fatalf("got %s %s\nwant %s %s\nlog: %s", res.FunctionError, res.Payload, kind, message, res.LogTail)
	}
}

func node(t testing.TB, text string, change ...func(*Spec)) *Spec {
	return function(t, "nodejs20.x", "index.handler", map[string]string{"index.js": text}, change...)
}

func TestHost_Invoke(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := node(t, `let n = 0; exports.handler = async (event) => ({ n: ++n, event });`)
	res := invoke(t, h, s, `{"a":1}`)
	want(t, res, `{"n":1,"event":{"a":1}}`)
	if !res.Cold || res.InitDuration <= 0 {
		t.Errorf("the first invocation is not cold: %+v", res)
	}
	res = invoke(t, h, s, `[]`)
	want(t, res, `{"n":2,"event":[]}`)
	if res.Cold {
		t.Error("the second invocation is cold")
	}
}

func BenchmarkInvokeWarm(b *testing.B) {
	h := newHost(b, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) })
	s := node(b, `exports.handler = async (event) => event;`)
	invoke(b, h, s, `{"a":1}`)
	b.ReportAllocs()
	before := processorTime()
	n := 0
	for b.Loop() {
		invoke(b, h, s, `{"a":1}`)
		n++
	}
	b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(n), "cpu-us/op")
}

// processorTime is what this process has used, its functions excluded.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkColdStart(b *testing.B) {
	h := newHost(b, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) })
	s := node(b, `exports.handler = async (event) => event;`)
	invoke(b, h, s, `{}`)
	var inside time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		h.Discard(s.Key)
		h.ending.Wait() // the end of the one before is not part of the start of the next
		b.StartTimer()
		inside += invoke(b, h, s, `{}`).InitDuration
		n++
	}
	b.ReportMetric(float64(inside.Milliseconds())/float64(n), "init-ms/op")
}

func asError[T error](err error, to *T) bool { return errors.As(err, to) }
