package gateway

import (
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestThrottle(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	d.Throttles = map[string]Throttle{"*/*": {Rate: 100, Burst: 50}, "/open/ANY": {Rate: 0.5, Burst: 2}, "~1courses/GET": {}, "/~1catalog/GET": {Rate: -1, Burst: -1}}
	d.Routes = append(d.Routes, Route{Path: "/", Method: "GET", AuthorizationType: "NONE", Integration: proxy("x")})
	k.publish(d)
	slow := want{429, `{"message":"Too Many Requests"}`, "TooManyRequestsException"}
	check(t, k.serve(request("GET", "/open")), ok)
	check(t, k.serve(request("POST", "/open")), ok)
	check(t, k.serve(request("GET", "/open")), slow)
	k.publish(d) // a deployment refills nothing
	check(t, k.serve(request("GET", "/open")), slow)
	k.clock.add(time.Second)
	check(t, k.serve(request("GET", "/open")), slow)
	k.clock.add(time.Second)
	check(t, k.serve(request("GET", "/open")), ok)
	check(t, k.serve(request("GET", "/")), ok)
	check(t, k.serve(request("GET", "/courses")), slow) // nothing allowed at all
	if r := k.last(); r.Step != "throttle" || !strings.Contains(r.Grounds, "GET /courses") {
		t.Errorf("record: %+v", r)
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	var b bucket
	lim := Throttle{Rate: 10, Burst: 5}
	taken := func(at time.Time) (n int) {
		for b.take(lim, at) {
			n++
		}
		return n
	}
	if n := taken(noon); n != 5 {
		t.Errorf("a full bucket gave %d", n)
	}
	if n := taken(noon.Add(250 * time.Millisecond)); n != 2 {
		t.Errorf("a quarter second gave %d", n)
	}
	if n := taken(noon.Add(time.Hour)); n != 5 {
		t.Errorf("an hour gave %d", n)
	}
	for _, none := range []Throttle{{}, {Rate: 1}, {Burst: 1}, {Rate: -1, Burst: 1}} {
		if new(bucket).take(none, noon) {
			t.Errorf("%+v let something through", none)
		}
	}
	// In parallel not one too many.
	var p bucket
	var got atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if p.take(Throttle{Rate: 1, Burst: 100}, noon) {
					got.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if got.Load() != 100 {
		t.Errorf("%d of 100", got.Load())
	}
}

// TestQuota_exact shares one quota between two gateways that spend in parallel.
func TestQuota_exact(t *testing.T) {
	t.Parallel()
	const limit = 5000
	shared := &counter{}
	set := func(g *Gateway) {
		g.PublishPlans(PlanSet{Plans: map[string]Plan{"p": {Stages: map[string]PlanStage{apiID + "/api": {}}, Quota: &Quota{Limit: limit, Period: "MONTH"}}},
			Keys: map[KeyHash]Key{g.HashKey("k"): {ID: "k1", Enabled: true, Plans: []string{"p"}}}})
	}
	var gateways [2]*Gateway
	for i := range gateways {
		k := newKit(t)
		g := New(Config{Leaser: shared, Now: k.clock.Now, Invoker: k.invoker})
		k.invoker.f = func(Invocation) (Result, error) { return Result{Payload: []byte(`{"body":""}`)}, nil }
		s, err := Compile(courses("http://localhost:1"))
		if err != nil {
			t.Fatal(err)
		}
		g.Publish(s)
		set(g)
		gateways[i] = g
	}
	var passed atomic.Int64
	var wg sync.WaitGroup
	for _, g := range gateways {
		for range 4 {
			wg.Go(func() {
				for range limit / 4 {
					w := httptest.NewRecorder()
					answerOn(g, w, request("GET", "/catalog", "x-api-key", "k"), apiID, "api", "/catalog")
					if w.Code == 200 {
						passed.Add(1)
					}
				}
			})
		}
	}
	wg.Wait()
	if passed.Load() != limit {
		t.Errorf("%d requests passed a quota of %d", passed.Load(), limit)
	}
}

func TestQuota_raised(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	set := func(limit int64) {
		k.PublishPlans(PlanSet{Plans: map[string]Plan{"p": {Stages: map[string]PlanStage{apiID + "/api": {}}, Quota: &Quota{Limit: limit, Period: "WEEK"}}},
			Keys: map[KeyHash]Key{k.HashKey("k"): {ID: "k1", Enabled: true, Plans: []string{"p"}}}})
	}
	call := func() int { return k.serve(request("GET", "/catalog", "x-api-key", "k")).Code }
	set(1)
	if a, b := call(), call(); a != 200 || b != 429 {
		t.Errorf("the quota: %d %d", a, b)
	}
	set(2)
	if a, b := call(), call(); a != 200 || b != 429 {
		t.Errorf("the raised quota: %d %d", a, b)
	}
	k.clock.add(7 * 24 * time.Hour)
	for range 2 {
		if c := call(); c != 200 {
			t.Errorf("next week: %d", c)
		}
	}
	if c := call(); c != 429 {
		t.Errorf("next week's end: %d", c)
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 23, 30, 0, 0, time.FixedZone("", -3600)) // Saturday the 21st by UTC
	for _, c := range []struct {
		period string
		offset int
		at     time.Time
		want   [3]string
	}{
		{"DAY", 0, at, [3]string{"2026-11-21", "2026-11-21", "2026-11-22"}},
		{"WEEK", 0, at, [3]string{"2026-11-15/P1W", "2026-11-15", "2026-11-22"}},
		{"WEEK", 1, at, [3]string{"2026-11-16/P1W", "2026-11-16", "2026-11-23"}},
		{"WEEK", 6, at, [3]string{"2026-11-21/P1W", "2026-11-21", "2026-11-28"}},
		{"WEEK", 5, at.AddDate(0, 0, -2), [3]string{"2026-11-13/P1W", "2026-11-13", "2026-11-20"}},
		{"MONTH", 0, at, [3]string{"2026-11", "2026-11-01", "2026-12-01"}},
		{"MONTH", 20, at, [3]string{"2026-11-21/P1M", "2026-11-21", "2026-12-21"}},
		{"MONTH", 21, at, [3]string{"2026-10-22/P1M", "2026-10-22", "2026-11-22"}},
		{"MONTH", 27, time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), [3]string{"2027-02-28/P1M", "2027-02-28", "2027-03-28"}},
		{"MONTH", 27, time.Date(2027, 1, 27, 0, 0, 0, 0, time.UTC), [3]string{"2026-12-28/P1M", "2026-12-28", "2027-01-28"}},
	} {
		name, start, end := window(c.period, c.offset, c.at)
		if got := [3]string{name, start.Format(dayLayout), end.Format(dayLayout)}; got != c.want {
			t.Errorf("%s %d: got %v, want %v", c.period, c.offset, got, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	params := map[string]bool{"method.request.querystring.page": true, "method.request.header.X-Tenant": true, "method.request.querystring.size": false}
	d.Routes = append(d.Routes,
		Route{Path: "/checked", Method: "GET", AuthorizationType: "NONE", RequestParameters: params, ValidateParameters: true, Integration: proxy("x")},
		Route{Path: "/unchecked", Method: "GET", AuthorizationType: "NONE", RequestParameters: params, Integration: proxy("x")})
	k.publish(d)
	check(t, k.serve(request("GET", "/checked?page=1", "X-Tenant", "a")), ok)
	check(t, k.serve(request("GET", "/unchecked")), ok)
	check(t, k.serve(request("GET", "/checked")), want{400, `{"message":"Missing required request parameters: [X-Tenant, page]"}`, "BadRequestException"})
	check(t, k.serve(request("GET", "/checked?page=", "X-Tenant", "a")), want{400, `{"message":"Missing required request parameters: [page]"}`, "BadRequestException"})
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	k.invoker.f = func(inv Invocation) (Result, error) { return Result{Payload: []byte(`{"body":""}`)}, nil }
	send := func(n int, length int64) *httptest.ResponseRecorder {
		r := request("POST", "/open")
		r.Body = httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("a", n))).Body
		r.ContentLength = length
		return k.serve(r)
	}
	check(t, send(maxBody, maxBody), ok)
	check(t, send(maxBody, -1), ok)
	for _, w := range []*httptest.ResponseRecorder{send(maxBody+1, -1), send(1, maxBody+1)} {
		if w.Code != 413 || w.Body.String() != "HTTP content length exceeded 10485760 bytes." || w.Header().Get("Content-Type") != "text; charset=utf-8" {
			t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
		}
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	gone := want{403, forbidden, "ForbiddenException"}
	check(t, k.serve(request("GET", "/open")), gone)
	k.publish(courses("http://localhost:1"))
	check(t, k.serve(request("GET", "/open")), ok)
	k.Withdraw(apiID, "api")
	k.Withdraw(apiID, "nothing")
	check(t, k.serve(request("GET", "/open")), gone)
	if r := k.last(); r.Step != "match" || r.Status != 403 || r.Path != "/api/open" || r.Who != "" || r.ErrorCode != "ForbiddenException" {
		t.Errorf("record: %+v", r)
	}
	// Nothing is allowed by what is missing.
	bare := New(Config{})
	s, err := Compile(courses("http://localhost:1"))
	if err != nil {
		t.Fatal(err)
	}
	bare.Publish(s)
	for path, status := range map[string]int{"/courses": 401, "/progress": 500, "/catalog": 403, "/open": 500} {
		r := signed(request("GET", path), "ASIAMEMBER", "member-session", region, time.Now())
		if path == "/courses" {
			r.Header.Set("Authorization", k.id(map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}))
		}
		w := httptest.NewRecorder()
		answerOn(bare, w, r, apiID, "api", path)
		if w.Code != status {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	k.invoker.f = func(Invocation) (Result, error) { panic("boom") }
	check(t, k.serve(request("GET", "/open")), want{500, `{"message": "Internal server error"}`, "InternalServerErrorException"})
	if r := k.last(); r.Status != 500 || r.Step != "integrate" {
		t.Errorf("record: %+v", r)
	}
	k.invoker.f = nil
	check(t, k.serve(request("GET", "/open")), ok)
}
