package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"moat/internal/gateway"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// deployMock deploys an API with one open route that always answers 200.
func deployMock(t *testing.T, s *Server, region, name string) (id string) {
	t.Helper()
	call := asRoot(t, s)
	call.Region = region
	ctx := wire.WithCall(t.Context(), call)
	api := apigatewayapi.Client(s.parts.pipeline)
	made, err := api.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: []byte(`{"openapi":"3.0.1","info":{"title":` + strconv.Quote(name) + `,"version":"1"},"paths":{"/x":{"get":{"responses":{"200":{"description":"ok"}},
		"x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"{\"statusCode\":200}"},"responses":{"default":{"statusCode":"200"}}}}}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.CreateDeployment(ctx, &apigatewayapi.CreateDeploymentRequest{RestApiId: *made.Id, StageName: wire.String("v1")}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.UpdateStage(ctx, &apigatewayapi.UpdateStageRequest{RestApiId: *made.Id, StageName: "v1", PatchOperations: []apigatewayapi.PatchOperation{
		{Op: "replace", Path: wire.String("/~1x/GET/metrics/enabled"), Value: wire.String("true")}}}); err != nil {
		t.Fatal(err)
	}
	return *made.Id
}

// Metrics are for monitoring, which has the token, for callers who may read them, and in `moat dev`
// for this machine's user.
func TestMetrics(t *testing.T) {
	t.Parallel()
	const token = "a-token-of-twenty-and-more"
	s := newTestServer(t, func(c *Config) { c.MetricsToken = token })
	here, there := deployMock(t, s, "us-east-1", `a "b"\n`), deployMock(t, s, "eu-west-1", "there")
	for range 3 {
		get(t, s, http.MethodGet, "/restapis/"+here+"/v1/_user_request_/x", nil)
	}
	get(t, s, http.MethodGet, "/restapis/"+here+"/v1/_user_request_/nothing", nil)
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	status, text := get(t, s, http.MethodGet, MetricsPath, bearer(token))
	labels := `{region="us-east-1",api="` + here + `",name="a \"b\"\\n",stage="v1"}`
	method := strings.TrimSuffix(labels, "}") + `,method="GET",resource="/x"}`
	for _, want := range []string{
		"# TYPE moat_requests_total counter\nmoat_requests_total ", "# TYPE moat_api_latency_seconds histogram\n",
		"moat_api_requests_total" + labels + " 4\n", "moat_api_4xx_errors_total" + labels + " 1\n", "moat_api_5xx_errors_total" + labels + " 0\n",
		`moat_api_latency_seconds_bucket{region="us-east-1",api="` + here + `",name="a \"b\"\\n",stage="v1",le="+Inf"} 4` + "\n",
		"moat_api_latency_seconds_count" + labels + " 4\n", "moat_api_method_requests_total" + method + " 3\n",
		"moat_api_integration_latency_seconds_count" + labels + " 3\n", `moat_api_requests_total{region="eu-west-1",api="` + there + `",name="there",stage="v1"} 0` + "\n",
	} {
		if status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%d: %q is missing in\n%s", status, want, text)
		}
	}
	if status, text = get(t, s, http.MethodGet, MetricsPath, bearer(token+"x")); status != http.StatusUnauthorized || strings.Contains(text, here) {
		t.Errorf("a wrong token: %d %s", status, text)
	}
	if status, _ = get(t, s, http.MethodPost, MetricsPath, bearer(token)); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", status)
	}
	if status, _ = get(t, s, http.MethodGet, MetricsPath, nil); status != http.StatusOK {
		t.Errorf("this machine's user: %d", status)
	}
	if status, _ = get(t, s, http.MethodGet, MetricsPath, func(r *http.Request) { r.Header.Set("Origin", "https://elsewhere.example") }); status != http.StatusForbidden {
		t.Errorf("another site's page: %d", status)
	}
	only := deployer(t, s, "monitor", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudwatch:GetMetricData","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}}]}`)
	none := deployer(t, s, "nobody", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudtrail:LookupEvents","Resource":"*"}]}`)
	if status, text = askOwn(t, s, only, http.MethodGet, MetricsPath, nil); status != http.StatusOK || !strings.Contains(text, here) || strings.Contains(text, there) {
		t.Errorf("a region's reader: %d %s", status, text)
	}
	if status, text = askOwn(t, s, none, http.MethodGet, MetricsPath, nil); status != http.StatusForbidden || !strings.Contains(text, "cloudwatch:GetMetricData") {
		t.Errorf("somebody else: %d %s", status, text)
	}
	status, text = get(t, s, http.MethodGet, MetricsPath, func(r *http.Request) { r.Header.Set("Accept", "application/json") })
	var out MetricsAnswer
	if err := json.Unmarshal([]byte(text), &out); err != nil || status != http.StatusOK || len(out.APIs) != 4 {
		t.Fatalf("JSON: %d %s", status, text)
	}
	for _, m := range out.APIs {
		if m.API == here && m.Method == "" && (m.Count != 4 || m.Error4XX != 1 || m.IntegrationCount != 3) {
			t.Errorf("%+v", m)
		}
	}
}

// `moat serve` tells nobody without a token or a signature.
func TestMetrics_Serve(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, func(c *Config) { c.Dev = false })
	for name, change := range map[string]func(*http.Request){
		"nobody":         nil,
		"an empty token": func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
		"a token":        func(r *http.Request) { r.Header.Set("Authorization", "Bearer test") },
		"basic":          func(r *http.Request) { r.SetBasicAuth("test", "test") },
	} {
		if status, text := get(t, s, http.MethodGet, MetricsPath, change); status != http.StatusForbidden && status != http.StatusUnauthorized || strings.Contains(text, "moat_") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
}

func TestAppendLabels(t *testing.T) {
	t.Parallel()
	if got, want := string(appendLabels(nil, "a", "x\\\"\n\xff}", "b", "")), `{a="x\\\"\n?}",b=""}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAppendMetrics_Buckets(t *testing.T) {
	t.Parallel()
	m := gateway.Metrics{APIID: "a", Stage: "s", Count: 3}
	m.Latencies[0], m.Latencies[len(m.Latencies)-1] = 1, 2
	text := string(appendMetrics(nil, []gateway.Metrics{m}))
	for _, want := range []string{`le="0.0005"} 1` + "\n", `le="29"} 1` + "\n", `le="+Inf"} 3` + "\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
