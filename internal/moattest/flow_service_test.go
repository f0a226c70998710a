package moattest

import (
	"strings"
	"testing"

	"moat/internal/pure/sigv4"
	"moat/internal/service/stack"
)

// serviceAPI has a route to a JSON service, one to a query service and one to a REST
// service, all in one role.
func serviceAPI(role string) string {
	route := func(path, uri, method, more string) string {
		return `
          ` + path + `:
            get:
              responses: {"200": {description: ok}, "403": {description: no}, "404": {description: no}}
              x-amazon-apigateway-integration:
                type: aws
                httpMethod: ` + method + `
                uri: "arn:aws:apigateway:us-east-1:` + uri + `"
                credentials: "` + role + `"` + more
	}
	return `
Resources:
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Body:
        openapi: 3.0.1
        info: {title: services, version: "1"}
        paths:` +
		route("/parameter", "ssm:action/GetParameter", "POST", `
                requestTemplates: {application/json: '{"Name": "$input.params(''name'')"}'}
                responses:
                  default: {statusCode: "200", responseTemplates: {application/json: '{"value": $input.json("$.Parameter.Value")}'}}
                  "4\\d{2}": {statusCode: "404", responseTemplates: {application/json: '{"type": $input.json("$.__type")}'}}`) +
		route("/who", "sts:action/GetCallerIdentity", "POST", `
                responses: {default: {statusCode: "200"}}`) +
		route("/functions/{name}", "lambda:path/2015-03-31/functions/{name}", "GET", `
                requestParameters: {integration.request.path.name: method.request.path.name}
                responses:
                  default: {statusCode: "200"}
                  "404": {statusCode: "404"}
                  "403": {statusCode: "403"}`) + `
  Deployment:
    Type: AWS::ApiGateway::Deployment
    Properties: {RestApiId: !Ref Api}
  Stage:
    Type: AWS::ApiGateway::Stage
    Properties: {RestApiId: !Ref Api, DeploymentId: !Ref Deployment, StageName: v1}
Outputs:
  Api: {Value: !Ref Api}
`
}

// An integration with another service does what its role may do, and nothing else.
func TestFlow_services(t *testing.T) {
	t.Parallel()
	m := New(t)
	parameter := "arn:aws:ssm:us-east-1:" + flowAccount + ":parameter/p"
	if status, answer := m.signed(t, rootKey(), "ssm", "POST", "/", `{"Name":"p","Value":"123","Type":"String"}`,
		"X-Amz-Target", "AmazonSSM.PutParameter", "Content-Type", "application/x-amz-json-1.1"); status != 200 {
		t.Fatalf("PutParameter: %d %s", status, answer)
	}
	role := m.role(t, "services", trusts("apigateway.amazonaws.com"), allows("ssm:GetParameter", parameter))
	res, err := m.Deploy(t.Context(), stack.DeployInput{Name: "services", Template: []byte(serviceAPI(role))})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string, want int, text string) {
		t.Helper()
		if status, answer := m.route(t, sigv4.Credentials{}, res.Outputs["Api"], path); status != want || !strings.Contains(answer, text) {
			t.Errorf("%s: %d %s, want %d %s", path, status, answer, want, text)
		}
	}
	ask("/parameter?name=p", 200, `{"value": "123"}`)
	ask("/parameter?name=q", 404, `{"type": "AccessDeniedException"}`)
	ask("/who", 200, "assumed-role/services/BackplaneAssumeRoleSession")
	ask("/functions/f", 403, "is not authorized to perform: lambda:GetFunction")
	m.allow(t, "Role", "services", allows("lambda:GetFunction", "*"), allows("ssm:GetParameter", "*"))
	ask("/functions/f", 404, "Function not found")
	ask("/parameter?name=q", 404, `{"type": "ParameterNotFound"}`)
	m.must(t, "iam", "UpdateAssumeRolePolicy", "RoleName", "services", "PolicyDocument", `{"Version":"2012-10-17","Statement":[`+trusts("lambda.amazonaws.com")+`]}`)
	ask("/parameter?name=p", 500, "Internal server error")
}
