package moattest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/service/stack"
)

const ranCode = `exports.handler = async () => ({ statusCode: 200, body: 'ran' });`

// flowAPI has one route per way of letting the gateway call a function.
func flowAPI(function, role string) string {
	route := func(path, security, credentials string) string {
		return `
          ` + path + `:
            get:
              ` + security + `
              responses: {"200": {description: ok}}
              x-amazon-apigateway-integration: {type: aws_proxy, httpMethod: POST, uri: "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/` + function + `/invocations"` + credentials + `}`
	}
	const iam = "security: [{Iam: []}]"
	return `
Resources:
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Body:
        openapi: 3.0.1
        info: {title: flow, version: "1"}
        components:
          securitySchemes:
            Iam: {type: apiKey, in: header, name: Authorization, x-amazon-apigateway-authtype: awsSigv4}
        paths:` +
		route("/caller", iam, `, credentials: "arn:aws:iam::*:user/*"`) + route("/policy", iam, "") + route("/open", "", "") + route("/role", "", `, credentials: "`+role+`"`) + `
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

// route asks a route of an API, signed unless nobody asks.
func (m *Moat) route(t *testing.T, who sigv4.Credentials, api, path string) (int, string) {
	t.Helper()
	target := "/restapis/" + api + "/v1/_user_request_" + path
	if who.AccessKeyID == "" {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.loopback(target), nil)
		if err != nil {
			t.Fatal(err)
		}
		return do(t, req)
	}
	return m.signed(t, who, "execute-api", "GET", target, "")
}

func (m *Moat) permission(t *testing.T, function string, body string) {
	t.Helper()
	if status, answer := m.signed(t, rootKey(), "lambda", "POST", "/2015-03-31/functions/"+function+"/policy", body, "Content-Type", "application/json"); status != 201 {
		t.Fatalf("AddPermission: %d %s", status, answer)
	}
}

func (m *Moat) noPermission(t *testing.T, function, sid string) {
	t.Helper()
	if status, answer := m.signed(t, rootKey(), "lambda", "DELETE", "/2015-03-31/functions/"+function+"/policy/"+sid, ""); status != 204 {
		t.Fatalf("RemovePermission: %d %s", status, answer)
	}
}

// Whose rights count when the gateway calls a function: the signed-in caller's, a
// role's, or what the function's policy gives the gateway for this very route.
func TestFlow_gateway(t *testing.T) {
	t.Parallel()
	m := New(t)
	function := m.function(t, "ran", m.role(t, "exec", trusts("lambda.amazonaws.com")), ranCode)
	role := m.role(t, "gateway", trusts("apigateway.amazonaws.com"), allows("lambda:InvokeFunction", function))
	res, err := m.Deploy(t.Context(), stack.DeployInput{Name: "flow", Template: []byte(flowAPI(function, role))})
	if err != nil {
		t.Fatal(err)
	}
	api := res.Outputs["Api"]
	enter := allows("execute-api:Invoke", "arn:aws:execute-api:us-east-1:"+flowAccount+":"+api+"/*")
	both := m.user(t, "both", enter, allows("lambda:InvokeFunction", function))
	only := m.user(t, "only", enter)
	neither := m.user(t, "neither")
	denied := m.user(t, "denied", enter, allows("lambda:InvokeFunction", function), `{"Effect":"Deny","Action":"lambda:InvokeFunction","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}`)
	local := m.user(t, "local", enter, allows("lambda:InvokeFunction", function), `{"Effect":"Deny","Action":"lambda:InvokeFunction","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"127.0.0.0/8"}}}`)
	nobody := sigv4.Credentials{}
	ask := func(what string, who sigv4.Credentials, path string, want int) {
		t.Helper()
		if status, answer := m.route(t, who, api, path); status != want || want == 200 && answer != "ran" {
			t.Errorf("%s: %d %s, want %d", what, status, answer, want)
		}
	}
	// The caller's own rights; the function's policy is not asked for.
	ask("a caller with both rights", both, "/caller", 200)
	ask("a caller that may enter, and not call", only, "/caller", 500)
	ask("a caller that may do nothing", neither, "/caller", 403)
	ask("a caller that is denied by its address", denied, "/caller", 500)
	ask("a caller that is let in by its address", local, "/caller", 200)
	ask("nobody", nobody, "/caller", 403)

	// The function's policy, for the gateway: the caller's right to call does not count.
	source := `"arn:aws:execute-api:us-east-1:` + flowAccount + `:` + api
	ask("without a permission", both, "/policy", 500)
	ask("without a permission, openly", nobody, "/open", 500)
	m.permission(t, "ran", `{"StatementId":"s","Action":"lambda:InvokeFunction","Principal":"apigateway.amazonaws.com","SourceArn":`+source+`/*/GET/policy","SourceAccount":"`+flowAccount+`"}`)
	ask("for this route", only, "/policy", 200)
	ask("for another route", nobody, "/open", 500)
	m.noPermission(t, "ran", "s")
	ask("taken back", only, "/policy", 500)
	for what, p := range map[string]string{
		"of another account": `"Principal":"apigateway.amazonaws.com","SourceArn":` + source + `/*","SourceAccount":"111111111111"`,
		"for another API":    `"Principal":"apigateway.amazonaws.com","SourceArn":"arn:aws:execute-api:us-east-1:` + flowAccount + `:zzzzzzzzzz/*"`,
		"for S3":             `"Principal":"s3.amazonaws.com"`,
		"for the user":       `"Principal":"arn:aws:iam::` + flowAccount + `:user/only"`,
		"of an organisation": `"Principal":"apigateway.amazonaws.com","PrincipalOrgID":"o-abcdefghij"`,
	} {
		m.permission(t, "ran", `{"StatementId":"x","Action":"lambda:InvokeFunction",`+p+`}`)
		ask("a permission "+what, only, "/policy", 500)
		m.noPermission(t, "ran", "x")
	}
	m.permission(t, "ran", `{"StatementId":"s","Action":"lambda:InvokeFunction","Principal":"apigateway.amazonaws.com"}`)
	ask("for every API", nobody, "/open", 200)
	m.noPermission(t, "ran", "s")

	// A role: its trust lets the gateway be it, its policies let it call.
	ask("by a role", nobody, "/role", 200)
	m.allow(t, "Role", "gateway", allows("lambda:InvokeFunction", function+"x"))
	ask("by a role that may call another function", nobody, "/role", 500)
	m.allow(t, "Role", "gateway", allows("lambda:InvokeFunction", function))
	trust := func(condition string) {
		m.must(t, "iam", "UpdateAssumeRolePolicy", "RoleName", "gateway", "PolicyDocument",
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"sts:AssumeRole","Condition":`+condition+`}]}`)
	}
	trust(`{"ArnLike":{"aws:SourceArn":` + source + `/*/GET/role"},"StringEquals":{"aws:SourceAccount":"` + flowAccount + `"}}`)
	ask("by a role that trusts the gateway for this route", nobody, "/role", 200)
	trust(`{"ArnLike":{"aws:SourceArn":"arn:aws:execute-api:us-east-1:` + flowAccount + `:zzzzzzzzzz/*"}}`)
	ask("by a role that trusts it for another API", nobody, "/role", 500)
	trust(`{"StringEquals":{"aws:SourceAccount":"111111111111"}}`)
	ask("by a role that trusts it for another account", nobody, "/role", 500)
}

// What is taken from a caller is gone with the next request, on a route and on an API.
func TestFlow_atOnce(t *testing.T) {
	t.Parallel()
	m := New(t)
	list := func(who sigv4.Credentials) (int, string) {
		return m.form(t, who, "iam", "ListUsers")
	}
	role := m.role(t, "dev", `{"Effect":"Allow","Principal":{"AWS":"`+flowAccount+`"},"Action":"sts:AssumeRole"}`, allows("iam:ListUsers", "*"))
	user := m.user(t, "ada", allows("iam:ListUsers", "*"), allows("sts:*", "*"))
	session := m.assume(t, user, role)
	status, answer := m.form(t, user, "sts", "GetSessionToken")
	if status != 200 {
		t.Fatalf("GetSessionToken: %d %s", status, answer)
	}
	for what, who := range map[string]sigv4.Credentials{"key": user, "role session": session} {
		if status, answer := list(who); status != 200 {
			t.Fatalf("%s: %d %s", what, status, answer)
		}
	}
	refused := func(what string, who sigv4.Credentials, code string) {
		t.Helper()
		if status, answer := list(who); status != 403 || element(answer, "Code") != code {
			t.Errorf("%s: %d %s, want %s", what, status, answer, code)
		}
	}
	m.allow(t, "Role", "dev", allows("iam:ListRoles", "*"))
	refused("a changed policy", session, "AccessDenied")
	m.allow(t, "Role", "dev", allows("iam:ListUsers", "*"))
	if status, _ := list(session); status != 200 {
		t.Errorf("and back: %d", status)
	}
	m.must(t, "iam", "UpdateAccessKey", "UserName", "ada", "AccessKeyId", user.AccessKeyID, "Status", "Inactive")
	refused("a disabled key", user, "InvalidClientTokenId")
	if status, _ := list(session); status != 200 {
		t.Errorf("a session of a role does not end with the key that asked for it: %d", status)
	}
	m.must(t, "iam", "UpdateAccessKey", "UserName", "ada", "AccessKeyId", user.AccessKeyID, "Status", "Active")
	if status, _ := list(user); status != 200 {
		t.Errorf("an enabled key: %d", status)
	}
	m.must(t, "iam", "DeleteRolePolicy", "RoleName", "dev", "PolicyName", "p")
	m.must(t, "iam", "DeleteRole", "RoleName", "dev")
	refused("a deleted role", session, "InvalidClientTokenId")
	m.role(t, "dev", `{"Effect":"Allow","Principal":{"AWS":"`+flowAccount+`"},"Action":"sts:AssumeRole"}`, allows("iam:ListUsers", "*"))
	refused("another role of its name", session, "InvalidClientTokenId")
	m.must(t, "iam", "DeleteAccessKey", "UserName", "ada", "AccessKeyId", user.AccessKeyID)
	refused("a deleted key", user, "InvalidClientTokenId")
	m.Clock.Advance(2 * time.Hour)
	if status, answer := list(rootKey()); status != 200 || strings.Contains(answer, "Error") {
		t.Errorf("root: %d %s", status, answer)
	}
}
