package moattest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"moat/internal/service/stack"
)

// trafficStack is an API whose stage has a cache, logs and a plan, over functions that say when they ran.
func trafficStack(function string) string {
	integration := `x-amazon-apigateway-integration: {type: aws_proxy, httpMethod: POST, uri: "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/` + function + `/invocations"`
	return `
Resources:
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties:
      MinimumCompressionSize: 10
      Body:
        openapi: 3.0.1
        info: {title: traffic, version: "1"}
        x-amazon-apigateway-request-validators: {all: {validateRequestBody: true, validateRequestParameters: true}}
        components:
          schemas: {Thing: {type: object, required: [name], properties: {name: {type: string, minLength: 2}}}}
          securitySchemes:
            Key: {type: apiKey, in: header, name: x-api-key}
        paths:
          /now:
            get:
              parameters: [{name: q, in: query, schema: {type: string}}]
              responses: {"200": {description: ok}}
              ` + integration + `, cacheKeyParameters: [method.request.querystring.q]}
          /counted:
            get:
              security: [{Key: []}]
              responses: {"200": {description: ok}}
              ` + integration + `}
          /things:
            post:
              x-amazon-apigateway-request-validator: all
              requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}}
              responses: {"200": {description: ok}}
              ` + integration + `}
  Deployment:
    Type: AWS::ApiGateway::Deployment
    Properties: {RestApiId: !Ref Api}
  Stage:
    Type: AWS::ApiGateway::Stage
    Properties:
      RestApiId: !Ref Api
      DeploymentId: !Ref Deployment
      StageName: v1
      CacheClusterEnabled: true
      CacheClusterSize: "0.5"
      AccessLogSetting:
        DestinationArn: !Sub "arn:aws:logs:${AWS::Region}:${AWS::AccountId}:log-group:traffic-access"
        Format: '{"id":"$context.requestId","path":"$context.path","status":"$context.status"}'
      MethodSettings:
        - {ResourcePath: /now, HttpMethod: GET, CachingEnabled: true, CacheTtlInSeconds: 60}
        - {ResourcePath: /things, HttpMethod: POST, LoggingLevel: INFO, DataTraceEnabled: true}
  Plan:
    Type: AWS::ApiGateway::UsagePlan
    DependsOn: Stage
    Properties: {UsagePlanName: p, ApiStages: [{ApiId: !Ref Api, Stage: v1}], Quota: {Limit: 2, Period: WEEK}}
  Key:
    Type: AWS::ApiGateway::ApiKey
    Properties: {Name: k, Enabled: true, Value: twenty-letters-and-more}
  PlanKey:
    Type: AWS::ApiGateway::UsagePlanKey
    Properties: {KeyId: !Ref Key, KeyType: API_KEY, UsagePlanId: !Ref Plan}
Outputs:
  Api: {Value: !Ref Api}
  Plan: {Value: !Ref Plan}
  Key: {Value: !Ref Key}
`
}

const countingCode = `let n = 0; exports.handler = async () => ({ statusCode: 200, body: 'answer number ' + ++n });`

// A stage's settings, as a template gives them, have their effect on traffic: cache, flush,
// validation, plan, access log and execution log.
func TestFlow_traffic(t *testing.T) {
	t.Parallel()
	m := New(t)
	function := m.function(t, "counting", m.role(t, "exec", trusts("lambda.amazonaws.com")), countingCode)
	m.permission(t, "counting", `{"StatementId":"all","Action":"lambda:InvokeFunction","Principal":"apigateway.amazonaws.com"}`)
	res, err := m.Deploy(t.Context(), stack.DeployInput{Name: "traffic", Template: []byte(trafficStack(function))})
	if err != nil {
		t.Fatal(err)
	}
	api := res.Outputs["Api"]
	ask := func(method, path, body string, headers ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, m.loopback("/restapis/"+api+"/v1/_user_request_"+path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		return do(t, req)
	}
	_, first := ask("GET", "/now?q=1", "")
	if _, again := ask("GET", "/now?q=1&other=2", ""); again != first {
		t.Errorf("the cache: %q, then %q", first, again)
	}
	if _, other := ask("GET", "/now?q=2", ""); other == first {
		t.Errorf("another key has the same answer, %q", other)
	}
	if status, _ := m.signed(t, rootKey(), "apigateway", "DELETE", "/restapis/"+api+"/stages/v1/cache/data", ""); status != 202 {
		t.Errorf("FlushStageCache: %d", status)
	}
	if _, again := ask("GET", "/now?q=1", ""); again == first {
		t.Errorf("the flushed cache still answers %q", again)
	}
	for body, want := range map[string]int{`{"name":"ab"}`: 200, `{"name":"a"}`: 400, `{}`: 400, `no`: 400} {
		if status, answer := ask("POST", "/things", body, "Content-Type", "application/json"); status != want {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	for i, want := range []int{200, 200, 429} {
		if status, answer := ask("GET", "/counted", "", "X-Api-Key", "twenty-letters-and-more"); status != want {
			t.Errorf("request %d of a plan: %d %s", i, status, answer)
		}
	}
	day := m.Clock.Now().UTC().Format("2006-01-02")
	usage := "/usageplans/" + res.Outputs["Plan"] + "/usage?startDate=" + day + "&endDate=" + day
	if status, answer := m.signed(t, rootKey(), "apigateway", "GET", usage, ""); status != 200 || !strings.Contains(answer, `[[2,0]]`) {
		t.Errorf("GetUsage: %d %s", status, answer)
	}
	m.eventually(t, "traffic-access", `"path":"/v1/counted","status":"429"`)
	m.eventually(t, "API-Gateway-Execution-Logs_"+api+"/v1", `object has missing required properties (["name"])`)
	m.eventually(t, "API-Gateway-Execution-Logs_"+api+"/v1", `Method request body before transformations: {"name":"ab"}`)
}

// eventually waits until a log group has an event with a text: logs are written behind the requests.
func (m *Moat) eventually(t *testing.T, group, text string) {
	t.Helper()
	tick, late := time.NewTicker(50*time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for {
		body, err := json.Marshal(map[string]any{"logGroupName": group})
		if err != nil {
			t.Fatal(err)
		}
		status, answer := m.signed(t, rootKey(), "logs", "POST", "/", string(body), "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "Logs_20140328.FilterLogEvents")
		var out struct{ Events []struct{ Message string } }
		if status == 200 && json.Unmarshal([]byte(answer), &out) == nil && strings.Contains(fmt.Sprint(out.Events), text) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Errorf("%s has no %q: %d %s", group, text, status, answer)
			return
		}
	}
}
