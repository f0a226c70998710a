package gateway

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// lots is a random source whose canary lots are given, in percent.
type lots struct{ percent []float64 }

func (l *lots) Read(p []byte) (int, error) {
	clear(p)
	if len(p) == 27 { // an exchange's
		binary.BigEndian.PutUint32(p[22:], uint32(l.percent[0]/100*(1<<32)))
		l.percent = l.percent[1:]
	}
	return len(p), nil
}

func released(percent float64, change func(c *Canary)) Definition {
	d := courses("http://localhost:1")
	c := courses("http://localhost:1")
	c.DeploymentID, c.Variables = "canary1", map[string]string{"color": "yellow", "new": "x"}
	c.Routes = append(c.Routes, Route{Path: "/new", Method: "GET", ResourceID: "n", AuthorizationType: "NONE", Integration: proxy("new")})
	for _, def := range []*Definition{&d, &c} {
		def.Responses = map[string]Response{"MISSING_AUTHENTICATION_TOKEN": {ResponseTemplates: map[string]string{"text/plain": "$context.isCanaryRequest"}}}
	}
	d.Canary = &Canary{Percent: percent, Definition: c}
	if change != nil {
		change(d.Canary)
	}
	return d
}

// TestCanary: a lot decides for each request, and decides about everything.
func TestCanary(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(released(25, nil))
	for lot, is := range map[float64]bool{0: true, 24.99: true, 25: false, 99.9: false} {
		k.cfg.Rand = &lots{[]float64{lot, lot, lot}}
		w := k.serve(request("GET", "/open"))
		want := `"stageVariables":{"color":"blue"}`
		deployment := `"deploymentId":"dep123"`
		if is {
			want, deployment = `"stageVariables":{"color":"yellow","new":"x"}`, `"deploymentId":"canary1"`
		}
		if !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Body.String(), deployment) {
			t.Errorf("lot %v: %s", lot, w.Body)
		}
		if w := k.serve(request("GET", "/new")); (w.Code == 200) != is {
			t.Errorf("lot %v: the canary's route answers %d", lot, w.Code)
		}
		if w := k.serve(request("GET", "/nothing")); (w.Body.String() == "true") != is || w.Body.Len() < 4 {
			t.Errorf("lot %v: $context.isCanaryRequest is %s", lot, w.Body)
		}
	}
	for percent, is := range map[float64]bool{0: false, 100: true} {
		k.publish(released(percent, nil))
		for _, lot := range []float64{0, 50, 99.9999} {
			k.cfg.Rand = &lots{[]float64{lot}}
			if w := k.serve(request("GET", "/new")); (w.Code == 200) != is {
				t.Errorf("%v percent, lot %v: status %d", percent, lot, w.Code)
			}
		}
	}
	d := released(0, nil)
	d.Canary = nil
	k.publish(d)
	k.cfg.Rand = &lots{[]float64{0}}
	if w := k.serve(request("GET", "/nothing")); w.Body.String() != "" {
		t.Errorf("without a canary $context.isCanaryRequest is %s", w.Body)
	}
	for _, percent := range []float64{-1, 100.1} {
		if _, err := Compile(released(percent, nil)); err == nil {
			t.Errorf("%v percent compiles", percent)
		}
	}
	if _, err := Compile(released(1, func(c *Canary) { c.Definition.Stage = "other" })); err == nil {
		t.Error("a canary of another stage compiles")
	}
}

// TestCanary_shares: both sides have the stage's throttles, and its cache where that is wanted.
func TestCanary_shares(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	limited := released(50, func(c *Canary) { c.Definition.Throttles = map[string]Throttle{"*/*": {Rate: 1, Burst: 2}} })
	limited.Throttles = map[string]Throttle{"*/*": {Rate: 1, Burst: 2}}
	for range 2 { // publishing anew refills nothing
		k.publish(limited)
		k.cfg.Rand = &lots{[]float64{0, 99, 0, 99}}
		codes := []int{}
		for range 4 {
			codes = append(codes, k.serve(request("GET", "/open")).Code)
		}
		if codes[2] != 429 || codes[3] != 429 {
			t.Errorf("status %v", codes)
		}
	}
	for _, shared := range []bool{true, false} {
		k := newKit(t)
		n := k.counting("")
		d := released(50, func(c *Canary) { c.UseStageCache = shared })
		for _, def := range []*Definition{&d, &d.Canary.Definition} {
			def.Cache, def.Settings = &Cache{Bytes: 1 << 20}, map[string]MethodSettings{"/open/ANY": {Cache: forever}}
		}
		k.publish(d)
		k.cfg.Rand = &lots{[]float64{0, 99, 0, 99}}
		for range 4 {
			k.serve(request("GET", "/open"))
		}
		if want := map[bool]int64{true: 1, false: 2}[shared]; n.Load() != want {
			t.Errorf("shared %v: %d calls", shared, n.Load())
		}
	}
}

// TestAccountThrottle: one bucket for all stages of an account and region.
func TestAccountThrottle(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, api := range []string{apiID, "bcdefghijk"} {
		d := courses("http://localhost:1")
		d.APIID, d.AccountThrottle = api, Throttle{Rate: 1, Burst: 3}
		k.publish(d)
	}
	other := courses("http://localhost:1")
	other.APIID, other.Region, other.AccountThrottle = "cdefghijkl", "eu-west-1", Throttle{Rate: 1, Burst: 3}
	k.publish(other)
	ask := func(api string) int {
		out := new(discard)
		x := exchange("/open")()
		x.APIID, x.Out = api, out
		k.Serve(x)
		return out.status
	}
	got := []int{ask(apiID), ask("bcdefghijk"), ask(apiID), ask("bcdefghijk"), ask("cdefghijkl")}
	if want := []int{200, 200, 200, 429, 200}; !bytes.Equal(ints(got), ints(want)) {
		t.Errorf("status %v, want %v", got, want)
	}
	if r := k.records[3]; r.ErrorCode != "TooManyRequestsException" || r.Grounds != "the account's throttle in us-east-1" {
		t.Errorf("record %+v", r)
	}
}

func ints(in []int) (out []byte) {
	for _, n := range in {
		out = binary.BigEndian.AppendUint32(out, uint32(n))
	}
	return out
}
