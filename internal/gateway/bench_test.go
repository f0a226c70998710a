package gateway

import (
	"context"
	"fmt"
	"testing"

	"moat/internal/wire"
)

// discard is a Writer that keeps nothing.
type discard struct{ status int }

func (d *discard) Head(status int, _ []Field, _ int64) { d.status = status }
func (d *discard) Write(p []byte) (int, error)         { return len(p), nil }
func (d *discard) Flush()                              {}
func (d *discard) Abort()                              {}

// silent is an integration that answers at once: what is measured are the steps.
type silent struct{}

func (silent) serve(x *Exchange) error { x.reply.status = 204; return nil }

func quiet(t testing.TB, routes int) *kit {
	k := newKit(t)
	k.cfg.Record = func(wire.Record) {}
	d := courses("http://localhost:1")
	for i := range routes {
		d.Routes = append(d.Routes, Route{Path: fmt.Sprintf("/r%d/{id}", i), Method: "GET", AuthorizationType: "NONE", Integration: proxy("x")})
	}
	s, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range s.routes {
		rt.serve = silent{}
	}
	k.Publish(s)
	k.PublishPlans(PlanSet{
		Plans: map[string]Plan{"p": {Stages: map[string]PlanStage{apiID + "/api": {}}, Throttle: &Throttle{Rate: 1e9, Burst: 1e9}, Quota: &Quota{Limit: 1 << 50, Period: "DAY"}}},
		Keys:  map[KeyHash]Key{k.HashKey("key"): {ID: "k1", Enabled: true, Plans: []string{"p"}}}})
	return k
}

func exchange(path string, fields ...Field) func() *Exchange {
	x := new(Exchange)
	out := new(discard)
	all := append([]Field{{"User-Agent", "bench"}, {"Accept", "*/*"}}, fields...)
	target, segs := "/api"+path, make([]segment, 0, 16)
	replies := make([]Field, 0, 16)
	room := newConditionRoom()
	return func() *Exchange {
		room.filled = false
		*x = Exchange{Context: context.Background(), APIID: apiID, Stage: "api", Method: "GET", Path: path, Target: target, Host: "h", Proto: "HTTP/1.1", RemoteIP: "203.0.113.7",
			Fields: all, Out: out, room: room, cacheKey: x.cacheKey, arnRoom: x.arnRoom, segs: segs[:0], reply: reply{fields: replies[:0]}}
		return x
	}
}

func ways(t testing.TB, k *kit) map[string]func() *Exchange {
	r := signed(request("GET", "/progress"), "ASIAMEMBER", "member-session", region, noon)
	var sig []Field
	for name, values := range r.Header {
		sig = append(sig, Field{name, values[0]})
	}
	iam := exchange("/progress", sig...)
	return map[string]func() *Exchange{
		"open":  exchange("/open"),
		"key":   exchange("/catalog", Field{"X-Api-Key", "key"}),
		"token": exchange("/courses", Field{"Authorization", "Bearer " + k.id(nil)}),
		"iam": func() *Exchange {
			x := iam()
			x.Host = r.Host
			return x
		},
	}
}

// TestAllocs bounds what the steps allocate: two ids, and no more for a token that is
// remembered. A signature's access key id is one more: records keep it.
func TestAllocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools forget")
	}
	k := quiet(t, 100)
	for name, limit := range map[string]float64{"open": 2, "key": 2, "token": 2, "iam": 3} {
		next := ways(t, k)[name]
		serve := func() {
			x := next()
			k.Serve(x)
			if status := x.Out.(*discard).status; status != 204 {
				t.Fatalf("%s: status %d", name, status)
			}
		}
		serve()
		if got := testing.AllocsPerRun(200, serve); got > limit {
			t.Errorf("%s: %v allocations, want at most %v", name, got, limit)
		} else {
			t.Logf("%s: %v allocations", name, got)
		}
	}
}

// TestAllocs_FreshToken bounds what a token costs that is seen for the first time.
func TestAllocs_FreshToken(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools forget")
	}
	k := quiet(t, 10)
	raw := k.id(nil)
	next, hash := exchange("/courses", Field{"Authorization", raw}), k.tokens.sum(raw)
	got := testing.AllocsPerRun(100, func() {
		k.tokens.forget(&hash)
		x := next()
		k.Serve(x)
		if status := x.Out.(*discard).status; status != 204 {
			t.Fatalf("status %d", status)
		}
	})
	if t.Logf("%v allocations", got); got > 10 {
		t.Errorf("%v allocations, want at most 10", got)
	}
}

func BenchmarkServe(b *testing.B) {
	for _, routes := range []int{10, 5000} {
		k := quiet(b, routes)
		for name, next := range ways(b, k) {
			b.Run(fmt.Sprintf("%s/%d routes", name, routes), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					k.Serve(next())
				}
			})
		}
	}
}

// BenchmarkFreshToken verifies a token anew each time.
func BenchmarkFreshToken(b *testing.B) {
	k := quiet(b, 10)
	raw := k.id(nil)
	next := exchange("/courses", Field{"Authorization", raw})
	hash := k.tokens.sum(raw)
	b.ReportAllocs()
	for b.Loop() {
		k.tokens.forget(&hash)
		k.Serve(next())
	}
}

func BenchmarkEvent(b *testing.B) {
	k := newKit(b)
	k.cfg.Record = func(wire.Record) {}
	k.publish(courses("http://localhost:1"))
	k.invoker.f = func(Invocation) (Result, error) {
		return Result{Payload: []byte(`{"statusCode":200,"headers":{"X":"y"},"body":"{}"}`)}, nil
	}
	next := exchange("/courses", Field{"Authorization", k.id(nil)})
	b.ReportAllocs()
	for b.Loop() {
		k.invoker.calls = k.invoker.calls[:0]
		k.Serve(next())
	}
}
