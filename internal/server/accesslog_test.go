package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/gateway"
	"moat/internal/service/logs"
	"moat/internal/wire"
)

func marshalled(t testing.TB, r *wire.Record) string {
	t.Helper()
	b, err := json.Marshal(accessRecord{
		RequestID: r.RequestID, IP: r.SourceIP, RequestTime: r.Time.UTC().Format("02/Jan/2006:15:04:05 -0700"),
		Method: r.Method, Path: r.Path, Route: r.Route, Status: r.Status, Who: r.Who, Step: r.Step, Grounds: r.Grounds,
		KeyID: r.KeyID, UserAgent: r.UserAgent, ResponseLength: r.BytesOut,
		LatencyMS: float64(r.Latency.Microseconds()) / 1000, IntegrationMS: float64(r.Integration.Microseconds()) / 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// FuzzAccessRecord: the line is what encoding/json makes of the record.
func FuzzAccessRecord(f *testing.F) {
	f.Add("/a?b", "curl/8", "open", int64(1234567), int64(0), 200, int64(12))
	f.Add("\x00\x1f\"\\\b\f\n\r\t", "<script>&\u2028\u2029\x7f", "\xff\xc0ü\U0001F600\xed\xa0\x80", int64(-1), int64(-1000), -5, int64(-1))
	f.Add("", "\xe2\x80", "\ufffd", int64(1e17), int64(100_000), 0, int64(1<<62))
	form := accessForm()
	f.Fuzz(func(t *testing.T, path, agent, grounds string, latency, integration int64, status int, size int64) {
		r := &wire.Record{
			RequestID: "id", SourceIP: agent + path, Time: time.Unix(latency%4_000_000_000, integration).UTC(), Method: grounds, Path: path, Route: "GET " + path, Status: status,
			Who: grounds, Step: "respond", Grounds: grounds, KeyID: agent, UserAgent: agent, BytesOut: size,
			Latency: time.Duration(latency % 1e18), Integration: time.Duration(integration % 1e18),
		}
		a, k, _ := newKept(t)
		r.Region, r.API, r.Stage = "r", "a", "s"
		other := *r
		other.RequestID, other.Path, other.Status, other.Time = "other", path+"x", status+1, r.Time.Add(time.Second)
		var want []string
		for _, list := range [][]*wire.Record{{r, r}, {r, &other, r}} {
			for _, one := range list {
				a.record(one)
				want = append(want, marshalled(t, one))
			}
			a.flush(t.Context())
		}
		var got []string
		for _, name := range slices.Sorted(maps.Keys(k.texts)) {
			got = append(got, k.texts[name]...)
		}
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) || !k.valid {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		var stamp clfStamp
		var row accessRow
		text := string(row.fill(nil, new([accessTexts]accessCell), r))
		line := logs.Event{Form: form, Message: string(row.append(nil, text, accessAll, &stamp))}
		if got, want := line.Text(), marshalled(t, r); got != want || !json.Valid([]byte(line.Message)) {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// keeper takes what is written.
type keeper struct {
	mu    sync.Mutex
	texts map[string][]string
	goes  int
	size  int  // of the largest
	valid bool // what messages hold is JSON
	fail  error
}

func (k *keeper) keep(_ context.Context, region, group, stream string, events []logs.Event) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	k.goes++
	size := 0
	for _, e := range events {
		size += len(e.Message)
		k.valid = k.valid && (e.Form == nil || json.Valid([]byte(e.Message)))
		name := region + " " + group + " " + stream
		k.texts[name] = append(k.texts[name], e.Text())
	}
	k.size = max(k.size, size)
	return nil
}

func newKept(t *testing.T) (*accessLog, *keeper, *bytes.Buffer) {
	t.Helper()
	k := &keeper{texts: map[string][]string{}, valid: true}
	said := &bytes.Buffer{}
	return newAccessLog(slog.New(slog.NewTextHandler(said, nil)), k.keep), k, said
}

var accessNoon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func accessRecordAt(i int) *wire.Record {
	return &wire.Record{Region: "eu-west-1", API: "abc", Stage: "prod", Time: accessNoon.Add(time.Duration(i) * time.Millisecond), RequestID: fmt.Sprint(i), Method: "GET", Path: "/", Status: 200}
}

// TestAccessLog_node: nodes that share a database write into streams of their own.
func TestAccessLog_node(t *testing.T) {
	t.Parallel()
	a, k, _ := newKept(t)
	a.node = "n1"
	for i := range 3000 {
		a.record(accessRecordAt(i))
	}
	a.flush(t.Context())
	if n := len(k.texts["eu-west-1 /moat/api/abc/prod 2026/11/20/n1"]); n != 3000 || len(k.texts) != 1 {
		t.Errorf("%d lines of its own, in %d streams", n, len(k.texts))
	}
}

// TestAccessLog_places: each line comes into its group and its day, in the order of time.
func TestAccessLog_places(t *testing.T) {
	t.Parallel()
	a, k, said := newKept(t)
	for i := range 1000 {
		a.record(accessRecordAt(999 - i))
	}
	other := accessRecordAt(0)
	other.Stage, other.Time = "test", accessNoon.Add(12*time.Hour)
	a.record(other)
	text := []byte("own 1")
	a.line(gateway.LogLine{Region: "eu-west-1", Group: "mine", Time: accessNoon, Text: text})
	copy(text, "OWN 9") // the caller's buffer is its own again
	for i := range 20 {
		a.line(gateway.LogLine{Region: "eu-west-1", Group: "mine", Time: accessNoon, Text: fmt.Append(nil, "own ", i+2)})
	}
	nowhere := accessRecordAt(0)
	nowhere.Region = "" // no such stage: a stranger makes no groups
	a.record(nowhere)
	a.flush(t.Context())

	prod := k.texts["eu-west-1 /moat/api/abc/prod 2026/11/20"]
	if len(prod) != 1000 {
		t.Fatalf("%d lines", len(prod))
	}
	for i, got := range prod {
		if want := marshalled(t, accessRecordAt(i)); got != want {
			t.Fatalf("line %d: %s, want %s", i, got, want)
		}
	}
	if got := k.texts["eu-west-1 /moat/api/abc/test 2026/11/21"]; len(got) != 1 {
		t.Errorf("the other stage: %v", got)
	}
	mine := k.texts["eu-west-1 mine 2026/11/20"]
	for i := range 21 {
		if len(mine) != 21 || mine[i] != fmt.Sprint("own ", i+1) {
			t.Fatalf("lines of one request: %v", mine)
		}
	}
	if len(k.texts) != 3 || said.Len() > 0 {
		t.Errorf("%d streams; said %s", len(k.texts), said)
	}
}

// TestAccessLog_bounds: one go is bounded, and so is what is held; what is lost is counted.
func TestAccessLog_bounds(t *testing.T) {
	t.Parallel()
	a, k, said := newKept(t)
	r := accessRecordAt(0)
	const n = 5000 // 50 MB
	for i := range n {
		r.Path = strings.Repeat("y", i%3)
		r.UserAgent = strings.Repeat(string(rune('a'+i%26)), 10_000)
		a.record(r)
	}
	held := 0
	for i := range a.shards {
		held += len(a.shards[i].text)
		if len(a.shards[i].text) > accessRoom+20_000 {
			t.Errorf("a shard holds %d bytes", len(a.shards[i].text))
		}
	}
	a.flush(t.Context())
	kept := 0
	for _, texts := range k.texts {
		kept += len(texts)
	}
	if k.size > accessGo+20_000 || k.goes < held/(accessGo+20_000) || kept == 0 || kept == n {
		t.Errorf("%d goes of at most %d bytes; %d lines", k.goes, k.size, kept)
	}
	if want := fmt.Sprintf("lines=%d", n-kept); !strings.Contains(said.String(), want) {
		t.Errorf("%s is missing in %s", want, said)
	}
	for _, b := range a.spare {
		if cap(b.text) > accessKept {
			t.Errorf("an empty buffer keeps %d bytes", cap(b.text))
		}
	}
}

// TestAccessLog_store_fails: lines wait until the store works again, and the oldest beyond a bound
// are lost, which is said.
func TestAccessLog_store_fails(t *testing.T) {
	t.Parallel()
	a, k, said := newKept(t)
	k.fail = errors.New("the disk is full")
	for i := range 100 {
		a.record(accessRecordAt(i))
		if i%10 == 9 {
			a.flush(t.Context())
		}
	}
	if !strings.Contains(said.String(), "the disk is full") || strings.Contains(said.String(), "lost") {
		t.Errorf("said %s", said)
	}
	k.fail = nil
	a.record(accessRecordAt(100))
	a.flush(t.Context())
	got := k.texts["eu-west-1 /moat/api/abc/prod 2026/11/20"]
	if len(got) != 101 || got[0] != marshalled(t, accessRecordAt(0)) || got[100] != marshalled(t, accessRecordAt(100)) {
		t.Errorf("%d lines", len(got))
	}

	k.fail = errors.New("gone")
	r := accessRecordAt(0)
	r.UserAgent = strings.Repeat("x", 100_000)
	for i := range 20 * 16 {
		r.Time = accessNoon.Add(time.Duration(i) * time.Millisecond)
		a.record(r)
		if i%20 == 19 {
			a.flush(t.Context())
		}
	}
	if held := len(a.unsaved[accessPlace{region: "eu-west-1", api: "abc", stage: "prod", day: accessNoon.Unix() / 86400}]); held < 150 || held > 170 || !strings.Contains(said.String(), "lines lost") {
		t.Errorf("%d lines are held; said %s", held, said)
	}
}

// TestAccessLog_concurrent: many writers, each line once.
func TestAccessLog_concurrent(t *testing.T) {
	t.Parallel()
	a, k, _ := newKept(t)
	ctx, cancel := context.WithCancel(t.Context())
	var writers, writing sync.WaitGroup
	writing.Go(func() { _ = a.run(ctx) })
	for w := range 8 {
		writers.Go(func() {
			for i := range 500 {
				a.record(accessRecordAt(w*500 + i))
			}
		})
	}
	writers.Wait()
	cancel()
	writing.Wait()
	got := slices.Sorted(slices.Values(k.texts["eu-west-1 /moat/api/abc/prod 2026/11/20"]))
	if n := len(slices.Compact(got)); n != 4000 || len(got) != 4000 {
		t.Errorf("%d lines, %d of them different", len(got), n)
	}
}

// TestAccessLog_allocations: a record costs no allocation once there is room.
func TestAccessLog_allocations(t *testing.T) {
	a, _, _ := newKept(t)
	r := accessRecordAt(1)
	fill := func() {
		for range 2000 {
			a.record(r)
		}
		for i := range a.shards {
			s := &a.shards[i]
			s.text, s.rows, s.before = s.text[:0], s.rows[:0], [accessTexts]accessCell{}
		}
	}
	fill()
	if n := testing.AllocsPerRun(500, func() { a.record(r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAccessLog(b *testing.B) {
	a := newAccessLog(slog.New(slog.DiscardHandler), func(context.Context, string, string, string, []logs.Event) error { return nil })
	r := accessRecordAt(1)
	r.RequestID, r.SourceIP, r.Path, r.Route, r.UserAgent = "2f0c1a52-6f4c-4c0e-9d3a-5f6a1b2c3d4e", "203.0.113.7", "/prod/courses/17", "GET /courses/{id}", "bench/1.0"
	b.Run("record", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			a.record(r)
			if n++; n%4000 == 0 {
				a.flush(b.Context())
			}
		}
	})
}
