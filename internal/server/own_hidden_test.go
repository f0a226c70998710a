package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/ssmapi"
)

// Policies of resources decide an answer; what they say is told to who may read them.
func TestAskPolicies_HiddenPolicies(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	ctx := wire.WithCall(t.Context(), asRoot(t, s))
	inv := s.parts.pipeline
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"},
		{"Sid":"SecretTrust","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"secret"}}}]}`
	role, err := iamapi.Client(inv).CreateRole(ctx, &iamapi.CreateRoleRequest{RoleName: "r", AssumeRolePolicyDocument: trust})
	fail(err)
	f, err := lambdaapi.Client(inv).CreateFunction(ctx, &lambdaapi.CreateFunctionRequest{FunctionName: "f", Role: role.Role.Arn, Runtime: "provided.al2023", Handler: wire.String("bootstrap"), Code: &lambdaapi.FunctionCode{ZipFile: emptyFunction(t)}})
	fail(err)
	_, err = lambdaapi.Client(inv).AddPermission(ctx, &lambdaapi.AddPermissionRequest{FunctionName: "f", StatementId: "SecretPermission", Action: "lambda:InvokeFunction", Principal: "apigateway.amazonaws.com", SourceArn: wire.String("arn:aws:execute-api:us-east-1:000000000000:secret/*")})
	fail(err)
	api, err := apigatewayapi.Client(inv).CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "a", Policy: wire.String(
		`{"Version":"2012-10-17","Statement":[{"Sid":"SecretRoute","Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}},
		{"Sid":"SecretDenial","Effect":"Deny","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/v1/DELETE/*"}]}`)})
	fail(err)
	route := "arn:aws:execute-api:us-east-1:000000000000:" + *api.Id + "/v1/"
	simulate := `{"Effect":"Allow","Action":"iam:SimulatePrincipalPolicy","Resource":"*"}`
	policyOf := func(statements ...string) string {
		return `{"Version":"2012-10-17","Statement":[` + strings.Join(append(statements, simulate), ",") + `]}`
	}
	deployer(t, s, "ada", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:*","execute-api:*"],"Resource":"*"}]}`)
	blind := deployer(t, s, "blind", policyOf())
	elsewhere := deployer(t, s, "elsewhere", policyOf(`{"Effect":"Allow","Action":["lambda:GetPolicy","apigateway:GET","iam:GetRole"],"Resource":["arn:aws:lambda:us-east-1:000000000000:function:other","arn:aws:apigateway:us-east-1::/restapis/other","arn:aws:iam::000000000000:role/other"]}`))
	sees := deployer(t, s, "sees", policyOf(`{"Effect":"Allow","Action":["lambda:GetPolicy","apigateway:GET","iam:GetRole"],"Resource":["`+*f.FunctionArn+`","arn:aws:apigateway:us-east-1::/restapis/`+*api.Id+`","`+role.Role.Arn+`"]}`))
	for _, tt := range []struct {
		what   string
		q      PolicyQuestion
		answer string
		secret []string
	}{
		{"a function", PolicyQuestion{Action: "lambda:InvokeFunction", Resource: *f.FunctionArn}, `"principal":"apigateway.amazonaws.com","answer":"when"`, []string{"SecretPermission", ":secret/*"}},
		{"an API", PolicyQuestion{Principal: "ada", Action: "execute-api:Invoke", Resource: route + "GET/x"}, `"answer":"yes"`, nil},
		{"an API, everybody", PolicyQuestion{Action: "execute-api:Invoke", Resource: route + "GET/x"}, `"principal":"everyone","answer":"when"`, []string{"SecretRoute", "192.0.2.0"}},
		{"an API, denied", PolicyQuestion{Principal: "ada", Action: "execute-api:Invoke", Resource: route + "DELETE/x"}, `"answer":"no"`, []string{"SecretDenial"}},
		{"a role", PolicyQuestion{Principal: "ada", Action: "sts:AssumeRole", Resource: role.Role.Arn}, `"answer":"when"`, []string{"SecretTrust", "sts:ExternalId"}},
	} {
		for who, key := range map[string]sigv4.Credentials{"blind": blind, "elsewhere": elsewhere, "sees": sees} {
			status, text := ask(t, s, key, tt.q, "")
			if status != 200 || !strings.Contains(text, tt.answer) {
				t.Errorf("%s, %s: %d %s", tt.what, who, status, text)
			}
			for _, secret := range tt.secret {
				if strings.Contains(text, secret) != (who == "sees") {
					t.Errorf("%s, %s, %s: %s", tt.what, who, secret, text)
				}
			}
		}
	}
}

// What is told of a request, and of a principal's calls, is told of the regions in
// which the caller may look events up.
func TestOwn_Regions(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	allow := func(condition string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudtrail:LookupEvents","Resource":"*"` + condition + `}]}`
	}
	all := deployer(t, s, "all", allow(""))
	east := deployer(t, s, "east", allow(`,"Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}`))
	root := asRoot(t, s)
	for n, region := range []string{"us-east-1", "eu-west-1", "eu-west-1"} {
		call := *root
		call.Region, call.RequestID = region, fmt.Sprintf("00000000-0000-4000-8000-00000000000%d", n)
		if _, err := ssmapi.Client(s.parts.pipeline).PutParameter(wire.WithCall(t.Context(), &call), &ssmapi.PutParameterRequest{Name: fmt.Sprintf("/p%d", n), Value: "v", Type: "String"}); err != nil {
			t.Fatal(err)
		}
	}
	for who, want := range map[string]struct {
		key    sigv4.Credentials
		status [2]int // of the events of us-east-1 and eu-west-1
		events int
	}{"all": {all, [2]int{200, 200}, 3}, "east": {east, [2]int{200, 404}, 1}} {
		for n, status := range want.status {
			if got, text := askOwn(t, s, want.key, http.MethodGet, fmt.Sprintf("%s00000000-0000-4000-8000-00000000000%d", explainPath, n), nil); got != status {
				t.Errorf("%s explains request %d: %d %s", who, n, got, text)
			}
		}
		since := url.QueryEscape(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
		status, text := askOwn(t, s, want.key, http.MethodGet, suggestPath+"?principal=root&since="+since, nil)
		var out struct {
			Events   int
			Document json.RawMessage
		}
		if status != 200 || json.Unmarshal([]byte(text), &out) != nil {
			t.Fatalf("%s: %d %s", who, status, text)
		}
		if got := strings.Count(string(out.Document), ":parameter/p"); got != want.events || strings.Contains(text, "eu-west-1") != (who == "all") {
			t.Errorf("%s is suggested %d parameters, want %d: %s", who, got, want.events, text)
		}
	}
}
