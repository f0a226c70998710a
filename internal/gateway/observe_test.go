package gateway

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// logged is a kit that keeps log lines.
type logged struct {
	*kit
	mu    sync.Mutex
	lines []loggedLine
}

type loggedLine struct {
	Region, Group string
	Time          time.Time
	Text          string
}

func newLogged(t testing.TB) *logged {
	l := &logged{kit: newKit(t)}
	l.cfg.Lines = func(line LogLine) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, loggedLine{line.Region, line.Group, line.Time, string(line.Text)})
	}
	return l
}

func (l *logged) take() []loggedLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.lines
	l.lines = nil
	return out
}

func (l *logged) text() string {
	var b strings.Builder
	for _, line := range l.take() {
		b.WriteString(line.Text + "\n")
	}
	return b.String()
}

func (l *logged) format(format string) {
	d := caching("http://localhost:1", nil)
	d.AccessLog = &AccessLog{Group: "api", Format: format}
	d.Routes = append(d.Routes, Route{Path: "/valid", Method: "GET", ResourceID: "v", AuthorizationType: "NONE", RequestParameters: map[string]bool{"method.request.querystring.q": true}, ValidateParameters: true, Integration: proxy("page")})
	l.publish(d)
}

// TestAccessLog renders one format after the other.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	l.counting("")
	for _, c := range []struct{ format, path, want string }{
		// CLF, as the console offers it.
		{`$context.identity.sourceIp $context.identity.caller $context.identity.user [$context.requestTime] "$context.httpMethod $context.resourcePath $context.protocol" $context.status $context.responseLength $context.requestId`,
			"/page", `203.0.113.7 - - [20/Nov/2026:12:00:00 +0000] "GET /page HTTP/1.1" 200 1 ID`},
		{`$context.identity.sourceIp,$context.requestTimeEpoch,$context.stage,${context.apiId}.$context.status` + "\n", "/page", `203.0.113.7,1795176000000,api,abcdefghij.200`},
		{`$context.nothing $contextual $ $$ $context $input.body ${context.stage`, "/page", `- $contextual $ $$ $context $input.body ${context.stage`},
		{`$context.error.message|$context.error.messageString|$context.error.responseType|$context.status`, "/nothing", `Missing Authentication Token|"Missing Authentication Token"|MISSING_AUTHENTICATION_TOKEN|403`},
		{`$context.error.message|$context.error.messageString|$context.error.responseType|$context.error.validationErrorString`, "/page", `-|-|-|-`},
		{`$context.error.validationErrorString $context.integrationLatency`, "/valid", `Missing required request parameters: [q] -`},
		{`$context.integrationStatus $context.integration.status $context.integrationLatency $context.integration.latency $context.responseLatency $context.integrationErrorMessage`, "/page/1", `200 200 0 0 0 -`},
		{`$context.isCanaryRequest $context.wafResponseCode $context.xrayTraceId $context.deploymentId $context.path $context.accountId`, "/page?a=b", `- - - dep123 /api/page 000000000000`},
		{`$context.authorizer.status $context.authorizer.error $context.authorize.status`, "/custom", `401 Unauthorized -`},
		{`$context.authenticate.status $context.authenticate.error`, "/me", `403 Missing Authentication Token`},
	} {
		l.format(c.format)
		l.serve(request("GET", c.path))
		lines := l.take()
		if len(lines) != 1 || lines[0].Group != "api" || lines[0].Region != region || !lines[0].Time.Equal(noon) {
			t.Fatalf("%s: %+v", c.format, lines)
		}
		if want := strings.ReplaceAll(c.want, "ID", l.last().RequestID); lines[0].Text != want {
			t.Errorf("%s\n got %s\nwant %s", c.format, lines[0].Text, want)
		}
	}
	l.format(`$context.authorizer.principalId $context.authorizer.status $context.authorizer.error`)
	l.serve(request("GET", "/custom", "Authorization", "ann"))
	if got := l.text(); got != "ann 200 -\n" {
		t.Errorf("authorizer: %s", got)
	}
	l.format(`$context.authorizer.claims.sub $context.authorizer.status`)
	l.serve(request("GET", "/courses", "Authorization", l.id(nil)))
	if got := l.text(); got != "sub-1 200\n" {
		t.Errorf("claims: %s", got)
	}
	l.format(`$context.authenticate.status $context.authorize.status $context.authorize.error $context.identity.accessKey`)
	l.serve(signed(request("GET", "/me"), "ASIAGUEST", "guest-session", region, noon))
	if got := l.text(); !strings.HasPrefix(got, "200 403 User: arn:aws:sts::") || !strings.HasSuffix(got, " ASIAGUEST\n") {
		t.Errorf("IAM: %s", got)
	}
	l.format(`$context.customDomain.basePathMatched $context.domainName`)
	x := exchange("/page")()
	x.Via = &Via{Domain: &Domain{Name: "api.example.com"}, Base: "/v1/api", Matched: "v1"}
	l.Serve(x)
	if got := l.text(); !strings.HasPrefix(got, "v1 ") {
		t.Errorf("a domain: %s", got)
	}
	d := caching("http://localhost:1", nil)
	for _, a := range []*AccessLog{nil, {Group: "api"}, {Format: "$context.requestId"}} {
		d.AccessLog = a
		l.publish(d)
		l.serve(request("GET", "/page"))
		if got := l.text(); got != "" {
			t.Errorf("%+v: %s", a, got)
		}
	}
}

// TestAccessLog_injection: what a caller sends ends neither a line nor a value.
func TestAccessLog_injection(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	for _, agent := range []string{`"},{"status":"200`, "a\tb", `</agent><x>`, `&amp; "'`, "\x01ü\u2028"} {
		l.format(`{"agent":"$context.identity.userAgent","status":"$context.status","error":$context.error.messageString}`)
		r := request("GET", "/nothing")
		r.Header["User-Agent"] = []string{agent}
		l.serve(r)
		var got struct{ Agent, Status, Error string }
		line := l.text()
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Agent != agent || got.Status != "403" || got.Error != "Missing Authentication Token" {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
		l.format(`<request><agent>$context.identity.userAgent</agent><status>$context.status</status></request>`)
		l.serve(r)
		var x struct {
			Agent  string `xml:"agent"`
			Status string `xml:"status"`
		}
		line = l.text()
		if err := xml.Unmarshal([]byte(line), &x); err != nil || x.Status != "403" || strings.Count(line, "\n") != 1 {
			t.Errorf("%s: %+v, %v", line, x, err)
		}
		l.format(`"$context.identity.userAgent" $context.status`)
		l.serve(r)
		if line = l.text(); strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, " 403\n") {
			t.Errorf("%q", line)
		}
	}
}

func (l *logged) level(level string, trace bool) {
	d := caching("http://localhost:1", nil)
	set := d.Settings["*/*"]
	set.Logging, set.DataTrace = level, trace
	d.Settings["*/*"] = set
	l.publish(d)
}

// TestExecutionLog: what each level tells, in the words of AWS's log, without what proves who somebody is.
func TestExecutionLog(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	l.counting("")
	secret := "a-very-long-secret-0123456789"
	ask := func() {
		l.serve(request("GET", "/page/7?q=1&X-Amz-Signature=abc", "Cookie", secret, "X-Api-Key", secret, "X-Lang", "de"))
	}
	for _, level := range []string{"", "OFF", "ERROR"} {
		l.level(level, true)
		ask()
		if got := l.text(); got != "" {
			t.Errorf("level %q: %s", level, got)
		}
	}
	l.level("INFO", false)
	ask()
	lines := l.take()
	id := l.last().RequestID
	var got []string
	for _, line := range lines {
		if line.Group != "API-Gateway-Execution-Logs_abcdefghij/api" {
			t.Errorf("%+v", line)
		}
		got = append(got, strings.TrimPrefix(line.Text, "("+id+") "))
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"Verifying Usage Plan for request: " + id + ". API Key:  API Stage: abcdefghij/api",
		"API Key  authorized because method 'GET /page/{id}' does not require API Key. Request will not contribute to throttle or quota limits",
		"Usage Plan check succeeded for API Key  and API Stage abcdefghij/api",
		"Starting execution for request: " + id,
		"HTTP Method: GET, Resource Path: /page/7",
		"Method request path: {id=7}",
		"Method request query string: {q=1, X-Amz-Signature=******}",
		"Received response. Integration latency: 0 ms",
		"Successfully completed execution", "Method completed with status: 200",
		"Cookie=******6789", "X-Lang=de",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, secret) || strings.Contains(text, "body") {
		t.Errorf("too much is told:\n%s", text)
	}
	l.level("INFO", true)
	l.serve(request("GET", "/page/8"))
	if got := l.text(); !strings.Contains(got, "Method response body after transformations: 5\n") || !strings.Contains(got, "Method request body before transformations: \n") || !strings.Contains(got, "Cache miss\n") {
		t.Errorf("data trace: %s", got)
	}
	l.serve(request("GET", "/page/8"))
	if got := l.text(); !strings.Contains(got, "Cache hit") || strings.Contains(got, "Integration latency") {
		t.Errorf("a hit: %s", got)
	}
	l.serve(request("GET", "/custom", "Authorization", secret))
	if got := l.text(); !strings.Contains(got, "Starting authorizer: fn for request: ") || !strings.Contains(got, "Successfully completed authorizer execution") || strings.Contains(got, secret) {
		t.Errorf("authorizer: %s", got)
	}
	for level, more := range map[string]bool{"INFO": true, "ERROR": false} {
		l.level(level, true)
		l.serve(request("GET", "/custom"))
		if got := l.text(); !strings.Contains(got, "Execution failed: ") || !strings.Contains(got, "Method completed with status: 401") || strings.Contains(got, "Method request headers") != more {
			t.Errorf("%s, refused: %s", level, got)
		}
		l.serve(request("GET", "/catalog"))
		if got := l.text(); !strings.Contains(got, "Method completed with status: 403") || strings.Contains(got, "Starting execution") {
			t.Errorf("%s, no key: %s", level, got)
		}
	}
	l.invoker.f = func(Invocation) (Result, error) { return Result{Payload: []byte(strings.Repeat("x\n", 2000))}, nil }
	l.serve(request("GET", "/page/9"))
	for _, line := range l.take() {
		if len(line.Text) > maxLine+100 {
			t.Errorf("a line of %d bytes", len(line.Text))
		}
	}
}

// TestExecutionLog_canary: a canary has a log of its own.
func TestExecutionLog_canary(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	d := released(50, nil)
	for _, def := range []*Definition{&d, &d.Canary.Definition} {
		def.Settings = map[string]MethodSettings{"*/*": {Logging: "INFO"}}
	}
	l.publish(d)
	l.cfg.Rand = &lots{[]float64{0, 99}}
	groups := map[string]bool{}
	for range 2 {
		l.serve(request("GET", "/open"))
		for _, line := range l.take() {
			groups[line.Group] = true
		}
	}
	if fmt.Sprint(groups) != "map[API-Gateway-Execution-Logs_abcdefghij/api:true API-Gateway-Execution-Logs_abcdefghij/api/Canary:true]" {
		t.Errorf("%v", groups)
	}
}

// TestMetrics counts requests by stage, and by method where that is asked for.
func TestMetrics(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.counting("")
	began := k.clock.Now
	tick := 0
	k.cfg.Now = func() time.Time { tick++; return began().Add(time.Duration(tick) * time.Millisecond) }
	for range 2 { // a deployment begins nothing anew
		k.publish(caching("http://localhost:1", func(d *Definition) {
			d.Settings["/page/GET"] = MethodSettings{Cache: forever, Metrics: true}
		}))
		for range 2 {
			k.serve(request("GET", "/page"))
		}
		k.serve(request("GET", "/open"))
		k.serve(request("GET", "/nothing"))
		k.invoker.f = func(Invocation) (Result, error) { return Result{}, ErrFunctionNotFound }
		k.serve(request("GET", "/open"))
		k.counting("")
	}
	got := map[string]Metrics{}
	for _, m := range k.Metrics() {
		got[m.Stage+m.Resource] = m
	}
	if m := got["api"]; m.Count != 10 || m.Error4XX != 2 || m.Error5XX != 2 || m.CacheHitCount != 3 || m.CacheMissCount != 1 || m.IntegrationsCount != 5 || m.LatencyCount != 10 ||
		m.IntegrationLatency != 5*time.Millisecond || m.Latency <= m.IntegrationLatency || m.APIName != "courses" {
		t.Errorf("%+v", m)
	}
	if m := got["api/page"]; m.Count != 4 || m.CacheHitCount != 3 || m.Method != "GET" || m.Error5XX != 0 {
		t.Errorf("%+v", m)
	}
	if len(got) != 2 {
		t.Errorf("%+v", got)
	}
	k.Withdraw(apiID, "api")
	if m := k.Metrics(); len(m) != 0 {
		t.Errorf("%+v", m)
	}
}

// TestTracing: functions, and so their answers, have the client's trace whole, or a parent that
// the gateway made (recorded); logs have it with tracing.
func TestTracing(t *testing.T) {
	t.Parallel()
	l := newLogged(t)
	const root, parent = "Root=1-5f84c7a1-0123456789abcdef01234567", ";Parent=0123456789abcdef"
	for _, on := range []bool{true, false} {
		d := courses("http://localhost:1")
		d.Tracing, d.AccessLog = on, &AccessLog{"api", "$context.xrayTraceId"}
		d.Routes = append(d.Routes, Route{Path: "/still", Method: "GET", AuthorizationType: "NONE", Integration: Integration{
			Type: "MOCK", RequestTemplates: map[string]string{"application/json": `{"statusCode":200}`}, Responses: []IntegrationResponse{{StatusCode: "200"}}}})
		l.publish(d)
		for sent, want := range map[string]string{
			parent[1:] + ";" + root + `;Sampled=1;Evil="x`: "^" + root + parent + ";Sampled=1$",
			root:                             "^" + root + ";Parent=[0-9a-f]{16};Sampled=0$",
			root + ";Sampled=1;Parent=x":     "^" + root + ";Parent=[0-9a-f]{16};Sampled=1$",
			"":                               "^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$",
			"Root=x" + parent + ";Sampled=1": "^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$",
		} {
			got := l.serve(request("GET", "/open", "X-Amzn-Trace-Id", sent)).Header().Get("X-Amzn-Trace-Id")
			if !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("tracing %v: %q gives %q, want %s", on, sent, got, want)
			}
			if called := l.invoker.calls[len(l.invoker.calls)-1].Trace; called != got {
				t.Errorf("the function has %q, its answer %q", called, got)
			}
			if got := l.text(); on && strings.HasPrefix(sent, root) && got != root[5:]+"\n" || !on && got != "-\n" {
				t.Errorf("tracing %v: logged %s", on, got)
			}
			if got := l.serve(request("GET", "/still", "X-Amzn-Trace-Id", sent)).Header()["X-Amzn-Trace-Id"]; got != nil {
				t.Errorf("a mock has %q", got)
			}
			l.text()
		}
	}
}

// FuzzAccessLog: whatever the format is, whatever a caller sends, a line stays a line, and
// a format that is JSON with quoted variables stays JSON.
func FuzzAccessLog(f *testing.F) {
	f.Add(`$context.identity.userAgent`, `x`)
	f.Add(`<a>${context.path}</a>`, "\"\n\x00")
	f.Add(`{$context.error.messageString`, `\u`)
	k := newKit(f)
	snap, err := Compile(courses("http://localhost:1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, format, agent string) {
		x := exchange("/open", Field{"User-Agent", agent})()
		x.Fields = []Field{{"User-Agent", agent}}
		x.g, x.snap, x.start = k.Gateway, snap, noon
		o := &outcome{x, refuse(Unauthorized, agent), 0}
		if l := compileAccessLog(&AccessLog{"g", format}); l != nil {
			line := string(l.render(nil, o))
			if strings.Count(line, "\n") > strings.Count(format, "\n") {
				t.Fatalf("%q makes of %q: %q", format, agent, line)
			}
		}
		quoted := compileAccessLog(&AccessLog{"g", `{"a":"$context.identity.userAgent","m":$context.error.messageString}`})
		if line := quoted.render(nil, o); !json.Valid(line) {
			t.Fatalf("%q is no JSON", line)
		}
	})
}
