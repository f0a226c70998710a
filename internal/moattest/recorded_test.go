package moattest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"moat/internal/pure/sigv4"
)

// These tests build APIs by the control plane's calls and compare what their routes answer
// with what AWS answered (testdata/recorded; without the fields that CloudFront adds before AWS's
// gateways). What varies stands in angle brackets there.

type recordedAnswers map[string]any

func loadRecorded(t *testing.T, name string) recordedAnswers {
	t.Helper()
	b, err := os.ReadFile("testdata/recorded/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Answers recordedAnswers }
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r.Answers
}

var recordedVarying = regexp.MustCompile(`<[A-Za-z_-]+(:[0-9]+)?>|111111111111|^(datetime|date|content-length)$`)

// same compares an answer with the recorded one, and ticks it off.
func (r recordedAnswers) same(t *testing.T, name string, got any) {
	t.Helper()
	want, ok := r[name]
	if !ok {
		t.Errorf("%s was not recorded", name)
		return
	}
	delete(r, name)
	sameAsRecorded(t, name, want, got)
}

func (r recordedAnswers) all(t *testing.T) {
	t.Helper()
	for name := range r {
		t.Errorf("%s was recorded, and not compared", name)
	}
}

func sameAsRecorded(t *testing.T, path string, want, got any) {
	t.Helper()
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, k := range slices.Sorted(maps.Keys(w)) {
			if _, there := g[k]; !there {
				t.Errorf("%s.%s: missing, want %v", path, k, w[k])
				continue
			}
			sameAsRecorded(t, path+"."+k, w[k], g[k])
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if _, there := w[k]; !there {
				t.Errorf("%s.%s: got %v, AWS has none", path, k, g[k])
			}
		}
		return
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			break
		}
		for i := range w {
			sameAsRecorded(t, fmt.Sprintf("%s[%d]", path, i), w[i], g[i])
		}
		return
	case string:
		if recordedVarying.MatchString(w) && got != nil && fmt.Sprint(got) != "" {
			parts := recordedVarying.Split(w, -1)
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			if regexp.MustCompile("(?s)^" + strings.Join(parts, ".+") + "$").MatchString(fmt.Sprint(got)) {
				return
			}
		}
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("%s: got %v, want %v", path, got, want)
	}
}

// apigateway makes a call of API Gateway's own API by root; in is JSON text, or "".
func (m *Moat) apigateway(t *testing.T, method, path, in string) map[string]any {
	t.Helper()
	status, answer := m.signed(t, rootKey(), "apigateway", method, path, in, "Content-Type", "application/json")
	if status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	out := map[string]any{}
	if answer != "" {
		if err := json.Unmarshal([]byte(answer), &out); err != nil {
			t.Fatalf("%s %s: %s", method, path, answer)
		}
	}
	return out
}

// api makes an API of the routes of an OpenAPI document and gives its id.
func (m *Moat) api(t *testing.T, document string) string {
	t.Helper()
	return m.apigateway(t, "POST", "/restapis?mode=import&failonwarnings=true", document)["id"].(string)
}

// visit asks a route of a stage by its own address. The path and the names of fields are sent
// as they stand, which [http.Client] would not do.
func (m *Moat) visit(t *testing.T, api, method, path, body string, header ...string) (*http.Response, any) {
	t.Helper()
	conn, err := net.Dial("tcp", m.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text := method + " " + path + " HTTP/1.1\r\nHost: " + api + ".execute-api.us-east-1.localhost\r\nConnection: close\r\n"
	for i := 0; i < len(header); i += 2 {
		text += header[i] + ": " + header[i+1] + "\r\n"
	}
	if body != "" {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	if _, err := io.WriteString(conn, text+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, b)
	}
	return resp, out
}

func mockRoute(template string) string {
	text, err := json.Marshal(template)
	if err != nil {
		panic(err)
	}
	return `{"responses": {"200": {"description": "ok"}}, "x-amazon-apigateway-integration": {"type": "mock", "requestTemplates": {"application/json": "{\"statusCode\": 200}"},
		"responses": {"default": {"statusCode": "200", "responseTemplates": {"application/json": ` + string(text) + `}}}}}`
}

func documentOf(paths string) string {
	return `{"openapi": "3.0.1", "info": {"title": "recorded", "version": "1"}, "paths": {` + paths + `}}`
}

func TestRecorded_canary(t *testing.T) {
	t.Parallel()
	m, r := New(t), loadRecorded(t, "canary")
	template := func(message string) string {
		return `{"statusCode": 200, "message": "` + message + ` deployment", "variable": "$stageVariables.testVar", "nonExistingDefault": "$stageVariables.noStageVar", "nonOverridden": "$stageVariables.defaultVar", "isCanary": "$context.isCanaryRequest"}`
	}
	api := m.api(t, documentOf(`"/": {"get": `+mockRoute(template("default"))+`}`))
	created := func(body map[string]any, status int) map[string]any {
		body["ResponseMetadata"] = map[string]any{"HTTPStatusCode": float64(status)}
		return body
	}
	r.same(t, "create-deployment-1", created(m.apigateway(t, "POST", "/restapis/"+api+"/deployments",
		`{"stageName": "dev", "variables": {"testVar": "default", "defaultVar": "default"}}`), 201))
	m.apigateway(t, "PUT", "/restapis/"+api+"?mode=overwrite", documentOf(`"/": {"get": `+mockRoute(template("canary"))+`}`))
	r.same(t, "create-deployment-2", created(m.apigateway(t, "POST", "/restapis/"+api+"/deployments",
		`{"stageName": "dev", "canarySettings": {"percentTraffic": 0, "stageVariableOverrides": {"testVar": "canary", "noStageVar": "canary"}}}`), 201))
	_, got := m.visit(t, api, "GET", "/dev/", "")
	r.same(t, "response-deployment-1", got)
	r.same(t, "update-stage", created(m.apigateway(t, "PATCH", "/restapis/"+api+"/stages/dev",
		`{"patchOperations": [{"op": "replace", "path": "/canarySettings/percentTraffic", "value": "100.0"}]}`), 200))
	_, got = m.visit(t, api, "GET", "/dev/", "")
	r.same(t, "response-canary-deployment", got)
	r.all(t)
}

func TestRecorded_routing(t *testing.T) {
	t.Parallel()
	m, r := New(t), loadRecorded(t, "routing")
	api := m.api(t, documentOf(`"/existing": {"get": `+mockRoute(`{"statusCode": 200, "message": "exists"}`)+`}`))
	m.apigateway(t, "POST", "/restapis/"+api+"/deployments", `{"stageName": "dev"}`)
	resp, got := m.visit(t, api, "GET", "/dev/existing", "")
	r.same(t, "working-route", got)
	if resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
	for name, route := range map[string][2]string{"not-found": {"GET", "/dev/unknown"}, "wrong-method": {"POST", "/dev/existing"}} {
		resp, got := m.visit(t, api, route[0], route[1], "")
		r.same(t, name, map[string]any{"content": got, "errorType": resp.Header.Get("X-Amzn-Errortype")})
		if resp.StatusCode != 403 {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
	r.all(t)
}

func TestRecorded_variables(t *testing.T) {
	t.Parallel()
	m, r := New(t), loadRecorded(t, "variables")
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		args := map[string]any{}
		for name, values := range r.URL.Query() {
			args[name] = values[0]
		}
		body, _ := io.ReadAll(r.Body)
		_ = json.NewEncoder(w).Encode(map[string]any{"args": args, "data": string(body), "domain": r.Host, "method": r.Method, "origin": r.Header.Get("X-Forwarded-For"), "path": r.URL.Path})
	}))
	t.Cleanup(far.Close)
	api := m.api(t, documentOf(`"/path1": {"get": {"responses": {"200": {"description": "OK"}}, "x-amazon-apigateway-integration": {"httpMethod": "POST", "payloadFormatVersion": "1.0", "type": "HTTP_PROXY",
		"uri": "http://${stageVariables.TestHost}/${stageVariables.testPath}?${stageVariables.querystring}"}}}`))
	deployment := m.apigateway(t, "POST", "/restapis/"+api+"/deployments", `{}`)["id"].(string)
	m.apigateway(t, "POST", "/restapis/"+api+"/stages", `{"stageName": "v0", "deploymentId": "`+deployment+`", "variables": {"testPath": "test-path"}}`)
	m.apigateway(t, "POST", "/restapis/"+api+"/stages", `{"stageName": "v1", "deploymentId": "`+deployment+`", "variables": {"TestHost": "`+strings.TrimPrefix(far.URL, "http://")+`", "testPath": "test-path", "querystring": "qs_key=qs_value"}}`)
	resp, got := m.visit(t, api, "GET", "/v0/path1", "")
	r.same(t, "get-error-resp-from-http", map[string]any{"body": got, "errorType": resp.Header.Get("X-Amzn-Errortype")})
	if resp.StatusCode != 500 {
		t.Errorf("status %d", resp.StatusCode)
	}
	_, got = m.visit(t, api, "GET", "/v1/path1", "")
	r.same(t, "get-resp-from-http", got)
	r.all(t)
}

func TestRecorded_parameter(t *testing.T) {
	t.Parallel()
	m, r := New(t), loadRecorded(t, "parameter")
	status, answer := m.signed(t, rootKey(), "ssm", "POST", "/", `{"Name":"param-test-123","Description":"test","Value":"123","Type":"String"}`,
		"X-Amz-Target", "AmazonSSM.PutParameter", "Content-Type", "application/x-amz-json-1.1")
	put := map[string]any{"ResponseMetadata": map[string]any{"HTTPStatusCode": float64(status)}}
	if err := json.Unmarshal([]byte(answer), &put); err != nil {
		t.Fatal(err)
	}
	r.same(t, "put-param", put)
	role := m.role(t, "services", trusts("apigateway.amazonaws.com"), allows("ssm:GetParameter", "*"))
	route := func(parameters string) string {
		return `{"get": {"responses": {"200": {"description": "ok"}}, "x-amazon-apigateway-integration": {"type": "aws", "httpMethod": "POST", "passthroughBehavior": "when_no_templates",
		"uri": "arn:aws:apigateway:us-east-1:ssm:action/GetParameter", "credentials": "` + role + `", "requestParameters": {` + parameters + `}, "responses": {"default": {"statusCode": "200"}}}}}`
	}
	api := m.api(t, documentOf(`"/ssm": `+route(`"integration.request.querystring.Name": "'param-test-123'"`)+`, "/absent": `+route(`"integration.request.querystring.Name": "'absent'"`)))
	m.apigateway(t, "POST", "/restapis/"+api+"/deployments", `{"stageName": "test"}`)
	resp, got := m.visit(t, api, "GET", "/test/ssm", "")
	body, _ := got.(map[string]any)["GetParameterResponse"].(map[string]any)
	if metadata, _ := body["ResponseMetadata"].(map[string]any); resp.StatusCode != 200 || metadata["RequestId"] == "" {
		t.Fatalf("%d %v", resp.StatusCode, got)
	}
	delete(body["ResponseMetadata"].(map[string]any), "RequestId")
	r.same(t, "ssm-aws-integration", body)
	r.all(t)
	if _, got = m.visit(t, api, "GET", "/test/absent", ""); fmt.Sprint(got.(map[string]any)["Error"].(map[string]any)["Code"]) != "ParameterNotFound" {
		t.Errorf("an absent parameter: %v", got)
	}
}

// mirrorCode answers with the event that the function got.
const mirrorCode = `exports.handler = async (event) => ({ statusCode: 200, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ...event, trace: process.env._X_AMZN_TRACE_ID }) });`

// mirror makes a function of mirrorCode and an API that calls it at /{proxy+} and more.
func (m *Moat) mirror(t *testing.T, more ...string) string {
	t.Helper()
	function := m.function(t, "mirror", m.role(t, "exec", trusts("lambda.amazonaws.com")), mirrorCode)
	role := m.role(t, "gateway", trusts("apigateway.amazonaws.com"), allows("lambda:InvokeFunction", "*"))
	any := `{"x-amazon-apigateway-any-method": {"responses": {}, "x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "credentials": "` + role + `",
		"uri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/` + function + `/invocations"}}}`
	return m.api(t, documentOf(strings.Join(append(more, `"/{proxy+}": `+any, `"/hardcoded": `+any), ", ")))
}

func TestRecorded_trace(t *testing.T) {
	t.Parallel()
	m, r := New(t), loadRecorded(t, "trace")
	api := m.mirror(t, `"/path": {"get": `+mockRoute(`{"statusCode": 200}`)+`}`)
	m.apigateway(t, "POST", "/restapis/"+api+"/deployments", `{"stageName": "dev"}`)
	const root, parent = "Root=1-3152b799-8954dae64eda91bc9a23a7e8", ";Parent=7fa8c0f79203be72;Sampled=1"
	for name, c := range map[string]struct{ path, sent, want string }{
		"normal-req-headers-MOCK":              {"/dev/path", "", "^$"},
		"trace-id-req-headers-MOCK":            {"/dev/path", root + parent, "^$"},
		"normal-req-headers-AWS_PROXY":         {"/dev/proxy-value", "", "^Root=1-[0-9a-f-]{33};Parent=[0-9a-f]{16};Sampled=0$"},
		"trace-id-req-headers-AWS_PROXY":       {"/dev/proxy-value", root + parent, "^" + root + parent + "$"},
		"trace-id-small-req-headers-AWS_PROXY": {"/dev/proxy-value", root, "^" + root + ";Parent=[0-9a-f]{16};Sampled=0$"},
	} {
		var header []string
		if c.sent != "" {
			header = []string{"x-amzn-trace-id", c.sent}
		}
		resp, got := m.visit(t, api, "GET", c.path, "", header...)
		headers := map[string]any{}
		for name := range resp.Header {
			headers[strings.ToLower(name)] = resp.Header.Get(name)
		}
		delete(headers, "connection")
		r.same(t, name, headers)
		trace := resp.Header.Get("X-Amzn-Trace-Id")
		if !regexp.MustCompile(c.want).MatchString(trace) {
			t.Errorf("%s: %q, want %s", name, trace, c.want)
		}
		if called, ok := got.(map[string]any)["trace"]; ok && called != trace {
			t.Errorf("%s: the function has %q, its answer %q", name, called, trace)
		}
	}
	r.all(t)
}

func TestRecorded_proxy(t *testing.T) {
	t.Parallel()
	m, r := New(t), loadRecorded(t, "proxy")
	api := m.mirror(t)
	m.apigateway(t, "POST", "/restapis/"+api+"/deployments", `{"stageName": "stage"}`)
	ask := func(name, method, path, body string, header ...string) {
		t.Helper()
		header = append(header, "Accept", "*/*", "Accept-Encoding", "gzip, deflate", "User-Agent", "python-requests/testing")
		_, got := m.visit(t, api, method, path, body, header...)
		event := got.(map[string]any)
		delete(event, "trace")
		if text, ok := event["body"].(string); ok { // recorded parsed
			var parsed any
			if err := json.Unmarshal([]byte(text), &parsed); err != nil {
				t.Fatal(err)
			}
			event["body"] = parsed
		}
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto"} { // recorded without their list
			if list, ok := event["multiValueHeaders"].(map[string]any)[name].([]any); ok && len(list) == 1 {
				event["multiValueHeaders"].(map[string]any)[name] = list[0]
			}
		}
		for _, set := range []string{"headers", "multiValueHeaders"} { // of Go's client, not of the one that was recorded
			delete(event[set].(map[string]any), "Content-Length")
		}
		r.same(t, name, event)
	}
	get := func(name, path string) {
		t.Helper()
		ask(name, "GET", path, "", "tEsT-HEADeR", "aValUE", "authorization", "random-value")
	}
	get("invocation-payload-without-trailing-slash", "/stage/proxy-value")
	get("invocation-payload-with-trailing-slash", "/stage/proxy-value/")
	get("invocation-payload-with-double-slash", "/stage/proxy-value//double-slash")
	get("invocation-payload-with-prepended-slash-to-stage", "//stage/proxy-value")
	get("invocation-payload-with-prepended-slash", "/stage//proxy-value")
	get("invocation-payload-without-trailing-slash-and-query-params", "/stage/proxy-value?urlparam=test")
	get("invocation-payload-with-trailing-slash-and-query-params", "/stage/proxy-value/?urlparam=test")
	get("invocation-payload-with-path-encoded-email", "/stage/proxy-value/api/user/test%2Balias@gmail.com/plus/test+alias@gmail.com")
	get("invocation-payload-with-params-encoding", "/stage/proxy-value/api?dateTimeOffset=2023-06-12T18:05:10.123456+00:00&email=test%2Balias@gmail.com&plus=test+alias@gmail.com&url=https://www.google.com/&whitespace=foo%20bar&zhash=abort/")
	ask("invocation-payload-with-params-encoding-multi", "POST", "/stage/proxy-value?category=electronics&category=books&price=10&price=20&price=30", `{"message": "hello world"}`,
		"Content-Type", "application/json;charset=utf-8", "aUThorization", "Bearer token123;API key456")
	get("invocation-hardcoded", "/stage//hardcoded")
	r.all(t)
	if _, answer := m.signed(t, sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "wrong"}, "apigateway", "GET", "/restapis/"+api, ""); !strings.Contains(answer, "signature") {
		t.Errorf("a wrong signature: %s", answer)
	}
}
