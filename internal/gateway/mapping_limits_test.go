package gateway

import (
	"strings"
	"testing"

	"moat/internal/wire"
)

// A mock that answers preflight requests costs little: its templates are compiled.
func TestMock_allocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	k := newKit(t)
	k.cfg.Record = func(wire.Record) {}
	d := courses("http://localhost:1")
	d.Routes = append(d.Routes, Route{Path: "/cors", Method: "GET", AuthorizationType: "NONE", Integration: corsMock(`{"statusCode": 200}`)})
	k.publish(d)
	next := exchange("/cors")
	if n := testing.AllocsPerRun(200, func() { k.Serve(next()) }); n > 20 {
		t.Errorf("%v allocations; there are at most 20", n)
	}
}

// The execution log shows what a mapping made, and masks what proves who somebody is.
func TestExecutionLog_endpoint(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	var lines []string
	k.cfg.Lines = func(l LogLine) { lines = append(lines, string(l.Text)) }
	d := courses("http://localhost:1")
	in := Integration{Type: "AWS", Method: "POST", URI: lambda("f"), RequestTemplates: map[string]string{"application/json": `{"id": "$input.params('id')"}`},
		RequestParameters: map[string]string{"integration.request.header.X-Amz-Invocation-Type": "'RequestResponse'"}, Responses: []IntegrationResponse{{StatusCode: "200"}}}
	d.Routes = append(d.Routes, Route{Path: "/mapped", Method: "GET", AuthorizationType: "NONE", Integration: in})
	d.Settings = map[string]MethodSettings{"/mapped/GET": {Logging: "INFO", DataTrace: true}}
	k.publish(d)
	k.invoker.f = func(Invocation) (Result, error) { return Result{Payload: []byte(`{"ok":true}`)}, nil }
	check(t, k.serve(request("GET", "/mapped?id=7")), ok)
	all := strings.Join(lines, "\n")
	for _, want := range []string{"Endpoint request URI: arn:aws:apigateway", `Endpoint request body after transformations: {"id": "7"}`,
		"Endpoint request headers: {X-Amz-Invocation-Type=RequestResponse}", "Received response. Status: 200", `Endpoint response body before transformations: {"ok":true}`} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is missing in\n%s", want, all)
		}
	}
}
