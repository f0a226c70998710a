package restapi

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// traffic is nodes with real gateways on one store, whose clock the test moves.
type traffic struct {
	t     *testing.T
	ctx   context.Context
	now   time.Time
	nodes []*node
	api   string
	plan  string
	key   string
}

type node struct {
	*Service
	gateway *gateway.Gateway
}

func newTraffic(t *testing.T, quota *apigatewayapi.QuotaSettings) *traffic {
	t.Helper()
	w := &traffic{t: t, now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)} // a Friday
	w.ctx = wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1", Operation: "GetUsage"})
	now := func() time.Time { return w.now }
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "db"), MasterKey: make([]byte, 32), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for range 2 {
		n := &node{}
		n.gateway = gateway.New(gateway.Config{Leaser: n, Now: now, KeySecret: []byte("one secret for all")})
		if n.Service, err = New(Config{DB: db, Now: now, Account: "000000000000", Publisher: n.gateway}); err != nil {
			t.Fatal(err)
		}
		w.nodes = append(w.nodes, n)
	}
	s := w.nodes[0].Service
	api, err := s.ImportRestApi(w.ctx, &apigatewayapi.ImportRestApiRequest{Body: []byte(`{"openapi":"3.0.1","info":{"title":"x","version":"1"},"paths":{"/a":{"get":{"security":[{"k":[]}],
		"x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"{\"statusCode\":200}"},"responses":{"default":{"statusCode":"200"}}},"responses":{"200":{"description":"ok"}}}}},
		"components":{"securitySchemes":{"k":{"type":"apiKey","name":"x-api-key","in":"header"}}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	w.api = *api.Id
	deploy(t, s, w.ctx, w.api, "dev")
	up, err := s.CreateUsagePlan(w.ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p", Quota: quota, ApiStages: []apigatewayapi.ApiStage{{ApiId: api.Id, Stage: wire.String("dev")}}})
	if err != nil {
		t.Fatal(err)
	}
	w.plan = *up.Id
	k, err := s.CreateApiKey(w.ctx, &apigatewayapi.CreateApiKeyRequest{Name: wire.String("k"), Enabled: wire.Bool(true), Value: wire.String("a-key-of-twenty-letters")})
	if err != nil {
		t.Fatal(err)
	}
	w.key = *k.Id
	if _, err := s.CreateUsagePlanKey(w.ctx, &apigatewayapi.CreateUsagePlanKeyRequest{UsagePlanId: w.plan, KeyId: w.key, KeyType: "API_KEY"}); err != nil {
		t.Fatal(err)
	}
	w.tell()
	return w
}

// tell lets every node see what another one changed.
func (w *traffic) tell() {
	w.t.Helper()
	for _, n := range w.nodes {
		if err := n.PublishAll(w.ctx); err != nil {
			w.t.Fatal(err)
		}
	}
}

// ask sends requests to a node, and says how many of them passed; the others must be 429.
func (w *traffic) ask(node, n int) (passed int) {
	w.t.Helper()
	for range n {
		r := httptest.NewRequest("GET", "/dev/a", nil)
		r.Header.Set("X-Api-Key", "a-key-of-twenty-letters")
		rec := httptest.NewRecorder()
		w.nodes[node].gateway.ServeAPI(rec, r, w.api, "dev", "/a")
		switch {
		case rec.Code == 200:
			passed++
		case rec.Code != 429 || rec.Body.String() != `{"message":"Limit Exceeded"}` || rec.Header()["x-amzn-ErrorType"][0] != "LimitExceededException":
			w.t.Fatalf("status %d: %s", rec.Code, rec.Body)
		}
	}
	return passed
}

// used is what GetUsage of a node says of some days.
func (w *traffic) used(node int, start, end string) string {
	w.t.Helper()
	u, err := w.nodes[node].GetUsage(w.ctx, &apigatewayapi.GetUsageRequest{UsagePlanId: w.plan, StartDate: start, EndDate: end})
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(u.Items[w.key])
}

func (w *traffic) flush(all bool) {
	w.t.Helper()
	for _, n := range w.nodes {
		if err := n.flushUsage(w.ctx, true, all); err != nil {
			w.t.Fatal(err)
		}
	}
}

func quota(limit, offset int32, period apigatewayapi.QuotaPeriodType) *apigatewayapi.QuotaSettings {
	return &apigatewayapi.QuotaSettings{Limit: &limit, Offset: &offset, Period: period}
}

// TestUsage_days: what was used is told by day, on every node, whatever was leased.
func TestUsage_days(t *testing.T) {
	t.Parallel()
	w := newTraffic(t, quota(5000, 1, apigatewayapi.QuotaPeriodTypeWEEK)) // blocks of 5; the week began on Monday the 16th
	if n := w.ask(0, 7) + w.ask(1, 4); n != 11 {
		t.Fatalf("%d passed", n)
	}
	w.flush(false)
	if got := w.used(1, "2026-11-19", "2026-11-20"); got != "[[0 5000] [11 4989]]" {
		t.Errorf("Friday: %s", got)
	}
	w.now = w.now.AddDate(0, 0, 2)
	w.ask(0, 2)
	w.flush(false)
	for node := range 2 {
		if got := w.used(node, "2026-11-20", "2026-11-22"); got != "[[11 4989] [0 4989] [2 4987]]" {
			t.Errorf("Sunday: %s", got)
		}
	}
	w.now = w.now.AddDate(0, 0, 1)
	w.ask(1, 3)
	w.flush(false)
	if got := w.used(0, "2026-11-22", "2026-11-23"); got != "[[2 4987] [3 4997]]" {
		t.Errorf("a new week: %s", got)
	}
	_, err := w.nodes[0].GetUsage(w.ctx, &apigatewayapi.GetUsageRequest{UsagePlanId: w.plan, StartDate: "2026-11-22", EndDate: "2026-11-21"})
	refused(t, err, "BadRequestException", "Invalid date range specified: dates are yyyy-mm-dd, at most 90 days")
}

// TestUsage_small: a small quota is told without any delay.
func TestUsage_small(t *testing.T) {
	t.Parallel()
	w := newTraffic(t, quota(3, 0, apigatewayapi.QuotaPeriodTypeDAY))
	if a, b, c := w.ask(0, 1), w.ask(1, 1), w.ask(0, 3); a != 1 || b != 1 || c != 1 {
		t.Errorf("passed %d %d %d", a, b, c)
	}
	if got := w.used(1, "2026-11-20", "2026-11-20"); got != "[[3 0]]" {
		t.Errorf("used %s", got)
	}
	w.now = w.now.Add(12*time.Hour - 1)
	if n := w.ask(1, 1); n != 0 {
		t.Error("a request passed in the last moment of the day")
	}
	w.now = w.now.Add(1)
	if n := w.ask(0, 2) + w.ask(1, 2); n != 3 {
		t.Errorf("%d passed on the next day", n)
	}
}

// TestUsage_exact: two nodes spend one quota in parallel, to the last request.
func TestUsage_exact(t *testing.T) {
	t.Parallel()
	const limit = 4000
	w := newTraffic(t, quota(limit, 0, apigatewayapi.QuotaPeriodTypeMONTH))
	var group sync.WaitGroup
	passed := make([]int, 4)
	for i := range passed {
		group.Go(func() { passed[i] = w.ask(i%2, limit/3) })
	}
	group.Wait()
	w.flush(true) // what one node still holds is given back
	w.now = w.now.Add(time.Second)
	total := passed[0] + passed[1] + passed[2] + passed[3] + w.ask(0, 20) + w.ask(1, 20)
	if total != limit {
		t.Errorf("%d of %d passed", total, limit)
	}
	w.flush(true)
	if got := w.used(0, "2026-11-20", "2026-11-20"); got != fmt.Sprintf("[[%d 0]]", limit) {
		t.Errorf("used %s", got)
	}
}

// TestUsage_idle: a block that nobody spends goes back, so that another node may spend it.
func TestUsage_idle(t *testing.T) {
	t.Parallel()
	w := newTraffic(t, quota(5000, 0, apigatewayapi.QuotaPeriodTypeDAY))
	w.ask(0, 1) // leases 5, spends one
	if n := w.ask(1, 5000); n != 4995 {
		t.Fatalf("%d passed beside the other node's block", n)
	}
	w.flush(false)
	w.flush(false)
	w.now = w.now.Add(time.Second)
	if n := w.ask(1, 10); n != 4 {
		t.Errorf("%d passed after it went back", n)
	}
	if n := w.ask(0, 10); n != 0 {
		t.Errorf("%d passed beyond the quota", n)
	}
}

// TestUpdateUsage: another rest for the period that runs, up and down, on both nodes.
func TestUpdateUsage(t *testing.T) {
	t.Parallel()
	w := newTraffic(t, quota(5000, 0, apigatewayapi.QuotaPeriodTypeDAY))
	w.ask(0, 8)
	w.ask(1, 3)
	w.flush(false)
	set := func(line string) (*apigatewayapi.Usage, error) {
		u, err := w.nodes[0].UpdateUsage(w.ctx, &apigatewayapi.UpdateUsageRequest{UsagePlanId: w.plan, KeyId: w.key, PatchOperations: patches(line)})
		w.tell()
		w.flush(true)
		w.now = w.now.Add(time.Second)
		return u, err
	}
	for _, rest := range []int{4, 0, 7} {
		u, err := set(fmt.Sprint("replace /remaining ", rest))
		if err != nil {
			t.Fatal(err)
		}
		if got := u.Items[w.key][0][1]; got != int64(rest) || *u.StartDate != "2026-11-20" {
			t.Errorf("answered %v", u.Items)
		}
		if n := w.ask(0, 3) + w.ask(1, 10) + w.ask(0, 10); n != rest {
			t.Errorf("%d passed, want %d", n, rest)
		}
		w.flush(true)
	}
	if got := w.used(1, "2026-11-20", "2026-11-20"); got != "[[22 0]]" {
		t.Errorf("used %s", got)
	}
	w.now = w.now.AddDate(0, 0, 1)
	w.ask(0, 1)
	w.flush(true)
	if got := w.used(1, "2026-11-21", "2026-11-21"); got != "[[1 4999]]" {
		t.Errorf("the next day: %s", got)
	}
	for line, message := range map[string]string{
		"replace /remaining -1": "Invalid value for '/remaining'. Must be a number from 0 to 2147483647",
		"replace /remaining x":  "Invalid value 'x' for '/remaining'. Must be a number",
		"add /remaining 1":      "Invalid patch path  '/remaining' specified for op 'add'. Please choose supported operations",
		"replace /used 1":       "Invalid patch path  '/used' specified for op 'replace'. Must be one of: [/remaining]",
	} {
		_, err := set(line)
		refused(t, err, "BadRequestException", message)
	}
	_, err := w.nodes[0].UpdateUsage(w.ctx, &apigatewayapi.UpdateUsageRequest{UsagePlanId: w.plan, KeyId: "ghost", PatchOperations: patches("replace /remaining 1")})
	refused(t, err, "NotFoundException", "Invalid Usage Plan Key specified")
}

// TestUsage_restart: what was spent stays spent over a restart; what was only leased comes back.
func TestUsage_restart(t *testing.T) {
	t.Parallel()
	w := newTraffic(t, quota(5000, 0, apigatewayapi.QuotaPeriodTypeDAY))
	w.ask(0, 6)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := w.nodes[0].Run(ctx); err != nil { // its end is all that it does
		t.Fatal(err)
	}
	if got := w.used(1, "2026-11-20", "2026-11-20"); got != "[[6 4994]]" {
		t.Errorf("used %s", got)
	}
	if n := w.ask(1, 5000); n != 4994 {
		t.Errorf("%d passed", n)
	}
}

// The limits of methods that plans and stages name are held to their names, however they are spelled.
func TestPlan_MethodNames(t *testing.T) {
	t.Parallel()
	s, b, ctx := newService(t)
	api := imported(t, s, ctx)
	deploy(t, s, ctx, api, "dev")
	plan := func(name string) (*apigatewayapi.UsagePlan, error) {
		return s.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p", ApiStages: []apigatewayapi.ApiStage{{ApiId: &api, Stage: wire.String("dev"),
			Throttle: map[string]apigatewayapi.ThrottleSettings{name: {RateLimit: wire.Float64(1), BurstLimit: wire.Int32(1)}}}}})
	}
	for _, name := range []string{"", "/", "*/*", "/courses", "/courses/FETCH"} {
		if got, err := plan(name); err == nil {
			t.Errorf("%q: got %+v", name, got.ApiStages)
		}
	}
	for name, want := range map[string]string{"/courses/GET": "/courses/GET", "courses/GET": "/courses/GET", "/GET": "//GET", "//GET": "//GET"} {
		p, err := plan(name)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if _, there := b.plans.Plans[*p.Id].Stages[api+"/dev"].Throttles[want]; !there {
			t.Errorf("%q: published %+v", name, b.plans.Plans[*p.Id].Stages)
		}
		if up, err := s.UpdateUsagePlan(ctx, &apigatewayapi.UpdateUsagePlanRequest{UsagePlanId: *p.Id, PatchOperations: patches("replace /apiStages/" + api + ":dev/throttle/" + strings.ReplaceAll(name, "/", "~1") + "/rateLimit 5")}); err != nil || len(up.ApiStages[0].Throttle) != 1 || *up.ApiStages[0].Throttle[want].RateLimit != 5 {
			t.Errorf("%q: patched %+v, %v", name, up, err)
		}
	}
	_, err := s.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p", ApiStages: []apigatewayapi.ApiStage{{ApiId: &api}}})
	refused(t, err, "BadRequestException", "Invalid API Stage {api: %s, stage: %s} specified for usageplan %s")
}
