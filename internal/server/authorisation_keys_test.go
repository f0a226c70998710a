package server

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/cloudformationapi"
	"moat/internal/wire/cognitoidentityapi"
	"moat/internal/wire/cognitoidpapi"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/logsapi"
	"moat/internal/wire/ssmapi"
	"moat/internal/wire/stsapi"
)

// neverBrought are the condition keys of the table that no call brings, and why. Keys of what
// exists already (tags, apigateway:Resource/...) have tests of their own, below.
func neverBrought() map[string]string {
	const exists, notBuilt = "of what exists: tested below", "of what answers 501"
	return map[string]string{
		"aws:ResourceTag/${TagKey}": exists, "iam:ResourceTag/${TagKey}": exists, "ssm:resourceTag/${TagKey}": exists,
		"cognito-identity:IdentityPoolArn":   exists,
		"apigateway:Resource/ApiKeyRequired": exists, "apigateway:Resource/ApiName": exists, "apigateway:Resource/AuthorizerType": exists,
		"apigateway:Resource/DisableExecuteApiEndpoint": exists, "apigateway:Resource/EndpointType": exists, "apigateway:Resource/RouteAuthorizationType": exists,
		"apigateway:Resource/AccessLoggingDestination": exists, "apigateway:Resource/AccessLoggingFormat": exists,
		"apigateway:Request/AccessLoggingDestination": "in the path of a patch: tested below", "apigateway:Request/AccessLoggingFormat": "in the path of a patch: tested below",
		"apigateway:Resource/MtlsTrustStoreUri": exists, "apigateway:Resource/MtlsTrustStoreVersion": notBuilt, "apigateway:Resource/RoutingMode": exists, "lambda:VpcIds": notBuilt,
		"iam:RoleTemplateARN": notBuilt, "iam:TemplateArn": notBuilt, "iam:DelegationDuration": notBuilt,
		"iam:FIDO-FIPS-140-2-certification": "there are no FIDO keys", "iam:FIDO-FIPS-140-3-certification": "there are no FIDO keys",
		"iam:FIDO-certification": "there are no FIDO keys", "iam:RegisterSecurityKey": "there are no FIDO keys",
		"lambda:EventSourceToken": "there are no event sources outside AWS", "lambda:InvokedViaFunctionUrl": "there are no function URLs",
		"saml:namequalifier": "of AssumeRoleWithSAML, which its service decides", "saml:sub": "of AssumeRoleWithSAML, which its service decides", "saml:sub_type": "of AssumeRoleWithSAML, which its service decides",
		"cognito-identity.amazonaws.com:amr": "of a web identity, which its service decides", "cognito-identity.amazonaws.com:aud": "of a web identity, which its service decides",
		"cognito-identity.amazonaws.com:sub": "of a web identity, which its service decides",
	}
}

// Each condition key that the table lists is brought by some call, or cannot be, and why.
func TestAuthorisation_Keys(t *testing.T) {
	t.Parallel()
	m, apis := newMatrix(t)
	never, brought := neverBrought(), map[string]bool{}
	for _, a := range apis {
		maker := makerOf(t, a.Endpoint, true)
		for i := range a.Operations {
			op := &a.Operations[i]
			in := op.NewInput()
			if op.Unsigned || a.Resources == nil || maker.Fill(op.Name, in) != nil {
				continue
			}
			for _, n := range a.Resources(wire.CallFrom(m.ctx), op.Name, in) {
				for k := range n.Keys {
					for _, listed := range op.Keys {
						if (&wire.Operation{Keys: []string{listed}}).Lists(k) {
							brought[listed] = true
						}
					}
				}
			}
		}
	}
	for _, a := range apis {
		for _, op := range a.Operations {
			for _, k := range op.Keys {
				if !brought[k] && never[k] == "" && !op.Unsigned {
					t.Errorf("%s %s lists %s, which no call brings", a.Endpoint, op.Name, k)
				}
			}
		}
	}
	for k := range never {
		if brought[k] {
			t.Errorf("%s is brought after all", k)
		}
	}
}

// world makes resources with the tag team=red as the root.
func world(t *testing.T, s *Server) map[string]string {
	t.Helper()
	root, err := s.parts.iam.Credential(t.Context(), "test", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1", Caller: root.Caller})
	red, ids := map[string]string{"team": "red"}, map[string]string{}
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	inv := s.parts.pipeline
	pool, err := cognitoidpapi.Client(inv).CreateUserPool(ctx, &cognitoidpapi.CreateUserPoolRequest{PoolName: "p", UserPoolTags: red})
	fail(err)
	ids["pool"] = *pool.UserPool.Id
	identities, err := cognitoidentityapi.Client(inv).CreateIdentityPool(ctx, &cognitoidentityapi.CreateIdentityPoolInput{IdentityPoolName: "i", AllowUnauthenticatedIdentities: true, IdentityPoolTags: red})
	fail(err)
	ids["identities"] = identities.IdentityPoolId
	identity, err := cognitoidentityapi.Client(inv).GetId(ctx, &cognitoidentityapi.GetIdInput{IdentityPoolId: identities.IdentityPoolId})
	fail(err)
	ids["identity"] = *identity.IdentityId
	gateway := apigatewayapi.Client(inv)
	api, err := gateway.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "shop", Tags: red})
	fail(err)
	ids["api"], ids["root"] = *api.Id, *api.RootResourceId
	yes := true
	_, err = gateway.PutMethod(ctx, &apigatewayapi.PutMethodRequest{RestApiId: *api.Id, ResourceId: *api.RootResourceId, HttpMethod: "GET", AuthorizationType: "AWS_IAM", ApiKeyRequired: &yes})
	fail(err)
	key, err := gateway.CreateApiKey(ctx, &apigatewayapi.CreateApiKeyRequest{Tags: red})
	fail(err)
	ids["key"] = *key.Id
	_, err = gateway.PutIntegration(ctx, &apigatewayapi.PutIntegrationRequest{RestApiId: *api.Id, ResourceId: *api.RootResourceId, HttpMethod: "GET", Type: "MOCK"})
	fail(err)
	deployment, err := gateway.CreateDeployment(ctx, &apigatewayapi.CreateDeploymentRequest{RestApiId: *api.Id})
	fail(err)
	_, err = gateway.CreateStage(ctx, &apigatewayapi.CreateStageRequest{RestApiId: *api.Id, StageName: "blue", DeploymentId: *deployment.Id, Tags: map[string]string{"team": "blue", "stage": "yes"}})
	fail(err)
	_, err = gateway.CreateStage(ctx, &apigatewayapi.CreateStageRequest{RestApiId: *api.Id, StageName: "plain", DeploymentId: *deployment.Id})
	fail(err)
	plan, err := gateway.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p", Tags: red})
	fail(err)
	ids["plan"] = *plan.Id
	_, err = cloudformationapi.Client(inv).CreateStack(ctx, &cloudformationapi.CreateStackInput{
		StackName: "red", TemplateBody: wire.String("Resources:\n  P:\n    Type: AWS::SSM::Parameter\n    Properties:\n      Type: String\n      Value: v\n"), Tags: []cloudformationapi.Tag{{Key: "team", Value: "red"}},
	})
	fail(err)
	_, err = logsapi.Client(inv).CreateLogGroup(ctx, &logsapi.CreateLogGroupRequest{LogGroupName: "red", Tags: red})
	fail(err)
	_, err = ssmapi.Client(inv).PutParameter(ctx, &ssmapi.PutParameterRequest{Name: "/red", Value: "v", Type: "String", Tags: []ssmapi.Tag{{Key: "team", Value: "red"}}})
	fail(err)
	_, err = ssmapi.Client(inv).PutParameter(ctx, &ssmapi.PutParameterRequest{Name: "/plain", Value: "v", Type: "String"})
	fail(err)
	iam := iamapi.Client(inv)
	tags := []iamapi.Tag{{Key: "team", Value: "red"}}
	_, err = iam.CreateUser(ctx, &iamapi.CreateUserRequest{UserName: "red", Tags: tags})
	fail(err)
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	_, err = iam.CreateRole(ctx, &iamapi.CreateRoleRequest{RoleName: "red", AssumeRolePolicyDocument: trust, Tags: tags})
	fail(err)
	_, err = iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "red", PolicyDocument: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:b","Resource":"*"}]}`, Tags: tags})
	fail(err)
	_, err = lambdaapi.Client(inv).CreateFunction(ctx, &lambdaapi.CreateFunctionRequest{
		FunctionName: "red", Role: "arn:aws:iam::000000000000:role/red", Runtime: "provided.al2023", Handler: wire.String("bootstrap"),
		Code: &lambdaapi.FunctionCode{ZipFile: emptyFunction(t)}, Tags: red,
	})
	fail(err)
	return ids
}

// emptyFunction is the package of a function that does nothing.
func emptyFunction(t *testing.T) []byte {
	t.Helper()
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	w, err := z.Create("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.Write([]byte("#!/bin/sh\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return code.Bytes()
}

// A role is passed to a service for a resource: policies may ask for both.
func TestAuthorisation_PassRole(t *testing.T) {
	t.Parallel()
	m, apis := newMatrix(t)
	account := &apigatewayapi.UpdateAccountRequest{PatchOperations: []apigatewayapi.PatchOperation{{
		Op: "replace", Path: wire.String("/cloudwatchRoleArn"), Value: wire.String("arn:aws:iam::000000000000:role/logs"),
	}}}
	for passed, want := range map[string]bool{"arn:aws:iam::000000000000:role/logs": true, "arn:aws:iam::000000000000:role/other": false} {
		m.parse(t, `{"Effect":"Allow","Action":"apigateway:*","Resource":"*"},{"Effect":"Allow","Action":"iam:PassRole","Resource":"`+passed+`"}`)
		for _, a := range apis {
			if a.Endpoint == "apigateway" {
				if e := m.call(t, a, a.ByName()["UpdateAccount"], account); (e.HTTPStatus() == http.StatusNotImplemented) != want {
					t.Errorf("the role of the account's logs, who may pass %s: %v", passed, e)
				}
			}
		}
	}
	const pool, role = "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_sample", "arn:aws:iam::000000000000:role/sms"
	in := &cognitoidpapi.UpdateUserPoolRequest{UserPoolId: "us-east-1_sample", SmsConfiguration: &cognitoidpapi.SmsConfigurationType{SnsCallerArn: role}}
	for _, tt := range []struct {
		key, value string
		want       bool
	}{
		{"iam:PassedToService", "cognito-idp.amazonaws.com", true},
		{"iam:PassedToService", "lambda.amazonaws.com", false},
		{"iam:AssociatedResourceArn", pool, true},
		{"iam:AssociatedResourceArn", pool + "x", false},
	} {
		m.parse(t, fmt.Sprintf(`{"Effect":"Allow","Action":"cognito-idp:*","Resource":"*"},{"Effect":"Allow","Action":"iam:PassRole","Resource":%q,"Condition":{"StringEquals":{%q:%q}}}`, role, tt.key, tt.value))
		for _, a := range apis {
			if a.Endpoint != "cognito-idp" {
				continue
			}
			e := m.call(t, a, a.ByName()["UpdateUserPool"], in)
			if got := e.HTTPStatus() == http.StatusNotImplemented; got != tt.want || !got && !strings.Contains(e.ErrorMessage(), "iam:PassRole on resource: "+role) {
				t.Errorf("%s = %s: passes %v: %v", tt.key, tt.value, got, e)
			}
		}
	}
}

// What a resource is tagged with, or is now, decides: each call with the value it has passes,
// with another it is refused.
func TestAuthorisation_ResourceKeys(t *testing.T) {
	t.Parallel()
	m, apis := newMatrix(t)
	ids := world(t, m.server)
	byName := map[string]*wire.API{}
	for _, a := range apis {
		byName[a.Endpoint] = a
	}
	text := func(s string) *string { return &s }
	patch := func(path, value string) []apigatewayapi.PatchOperation {
		return []apigatewayapi.PatchOperation{{Op: "replace", Path: &path, Value: &value}}
	}
	for _, tt := range []struct {
		api, op    string
		in         any
		key, value string
	}{
		{"cognito-idp", "DescribeUserPool", &cognitoidpapi.DescribeUserPoolRequest{UserPoolId: ids["pool"]}, "aws:ResourceTag/team", "red"},
		{"cognito-identity", "DescribeIdentityPool", &cognitoidentityapi.DescribeIdentityPoolInput{IdentityPoolId: ids["identities"]}, "aws:ResourceTag/team", "red"},
		{"cognito-identity", "DescribeIdentity", &cognitoidentityapi.DescribeIdentityInput{IdentityId: ids["identity"]}, "cognito-identity:IdentityPoolArn", "arn:aws:cognito-identity:us-east-1:000000000000:identitypool/" + ids["identities"]},
		{"apigateway", "GetRestApi", &apigatewayapi.GetRestApiRequest{RestApiId: ids["api"]}, "aws:ResourceTag/team", "red"},
		{"apigateway", "GetMethod", &apigatewayapi.GetMethodRequest{RestApiId: ids["api"], ResourceId: ids["root"], HttpMethod: "GET"}, "aws:ResourceTag/team", "red"},
		{"apigateway", "GetApiKey", &apigatewayapi.GetApiKeyRequest{ApiKey: ids["key"]}, "aws:ResourceTag/team", "red"},
		{"apigateway", "TagResource", &apigatewayapi.TagResourceRequest{ResourceArn: "arn:aws:apigateway:us-east-1::/restapis/" + ids["api"], Tags: map[string]string{"a": "b"}}, "aws:RequestTag/a", "b"},
		{"apigateway", "DeleteRestApi", &apigatewayapi.DeleteRestApiRequest{RestApiId: ids["api"]}, "apigateway:Resource/ApiName", "shop"},
		{"apigateway", "DeleteRestApi", &apigatewayapi.DeleteRestApiRequest{RestApiId: ids["api"]}, "apigateway:Resource/EndpointType", "EDGE"},
		{"apigateway", "UpdateRestApi", &apigatewayapi.UpdateRestApiRequest{RestApiId: ids["api"], PatchOperations: patch("/name", "other")}, "apigateway:Request/ApiName", "other"},
		{"apigateway", "DeleteMethod", &apigatewayapi.DeleteMethodRequest{RestApiId: ids["api"], ResourceId: ids["root"], HttpMethod: "GET"}, "apigateway:Resource/RouteAuthorizationType", "AWS_IAM"},
		{"apigateway", "PutMethod", &apigatewayapi.PutMethodRequest{RestApiId: ids["api"], ResourceId: ids["root"], HttpMethod: "GET", AuthorizationType: "NONE"}, "apigateway:Request/RouteAuthorizationType", "NONE"},
		{"apigateway", "UpdateStage", &apigatewayapi.UpdateStageRequest{RestApiId: ids["api"], StageName: "v1", PatchOperations: patch("/accessLogSettings/format", "f")}, "apigateway:Request/AccessLoggingFormat", "f"},
		{"apigateway", "GetStage", &apigatewayapi.GetStageRequest{RestApiId: ids["api"], StageName: "blue"}, "aws:ResourceTag/team", "blue"},
		{"apigateway", "DeleteStage", &apigatewayapi.DeleteStageRequest{RestApiId: ids["api"], StageName: "blue"}, "aws:ResourceTag/stage", "yes"},
		{"apigateway", "UpdateStage", &apigatewayapi.UpdateStageRequest{RestApiId: ids["api"], StageName: "plain", PatchOperations: patch("/description", "d")}, "aws:ResourceTag/team", "red"},
		{"apigateway", "GetUsagePlan", &apigatewayapi.GetUsagePlanRequest{UsagePlanId: ids["plan"]}, "aws:ResourceTag/team", "red"},
		{"apigateway", "CreateUsagePlanKey", &apigatewayapi.CreateUsagePlanKeyRequest{UsagePlanId: ids["plan"], KeyId: ids["key"], KeyType: "API_KEY"}, "aws:ResourceTag/team", "red"},
		{"apigateway", "DeleteUsagePlan", &apigatewayapi.DeleteUsagePlanRequest{UsagePlanId: ids["plan"]}, "aws:ResourceTag/team", "red"},
		{"cloudformation", "DescribeStacks", &cloudformationapi.DescribeStacksInput{StackName: text("red")}, "aws:ResourceTag/team", "red"},
		{"cloudformation", "DeleteStack", &cloudformationapi.DeleteStackInput{StackName: "red"}, "aws:ResourceTag/team", "red"},
		{"cloudformation", "GetTemplate", &cloudformationapi.GetTemplateInput{StackName: text("red")}, "aws:ResourceTag/team", "red"},
		{"logs", "DescribeLogStreams", &logsapi.DescribeLogStreamsRequest{LogGroupName: text("red")}, "aws:ResourceTag/team", "red"},
		{"ssm", "GetParameter", &ssmapi.GetParameterRequest{Name: "/red"}, "ssm:resourceTag/team", "red"},
		{"ssm", "DeleteParameters", &ssmapi.DeleteParametersRequest{Names: []string{"/red"}}, "aws:ResourceTag/team", "red"},
		{"iam", "GetUser", &iamapi.GetUserRequest{UserName: text("red")}, "iam:ResourceTag/team", "red"},
		{"iam", "DeleteRole", &iamapi.DeleteRoleRequest{RoleName: "red"}, "aws:ResourceTag/team", "red"},
		{"iam", "GetPolicy", &iamapi.GetPolicyRequest{PolicyArn: "arn:aws:iam::000000000000:policy/red"}, "aws:ResourceTag/team", "red"},
		{"iam", "AttachUserPolicy", &iamapi.AttachUserPolicyRequest{UserName: "red", PolicyArn: "arn:aws:iam::aws:policy/ReadOnlyAccess"}, "iam:PolicyARN", "arn:aws:iam::aws:policy/ReadOnlyAccess"},
		{"lambda", "GetFunction", &lambdaapi.GetFunctionRequest{FunctionName: "red"}, "aws:ResourceTag/team", "red"},
		{"lambda", "Invoke", &lambdaapi.InvocationRequest{FunctionName: "red"}, "aws:ResourceTag/team", "red"},
		{"lambda", "AddPermission", &lambdaapi.AddPermissionRequest{FunctionName: "f", StatementId: "s", Action: "lambda:InvokeFunction", Principal: "apigateway.amazonaws.com"}, "lambda:Principal", "apigateway.amazonaws.com"},
	} {
		a := byName[tt.api]
		op := a.ByName()[tt.op]
		for value, want := range map[string]bool{tt.value: true, "another": false} {
			m.condition(t, tt.key, value)
			e := m.call(t, a, op, tt.in)
			if got := e.HTTPStatus() == http.StatusNotImplemented; got != want {
				t.Errorf("%s %s with %s = %s: passes %v: %v", tt.api, tt.op, tt.key, value, got, e)
			}
		}
	}
	// A path counts as the operation reads it, with and without its slash.
	m.parse(t, `{"Effect":"Allow","Action":"apigateway:PATCH","Resource":"*"}`)
	gateway := byName["apigateway"]
	for _, path := range []string{"/policy", "policy"} {
		e := m.call(t, gateway, gateway.ByName()["UpdateRestApi"], &apigatewayapi.UpdateRestApiRequest{RestApiId: ids["api"], PatchOperations: patch(path, "{}")})
		if !strings.Contains(e.ErrorMessage(), "apigateway:UpdateRestApiPolicy") {
			t.Errorf("a resource policy written at %s: %v", path, e)
		}
	}
	// Of identities of two pools each pool is decided by itself.
	other := secondIdentity(t, m.server)
	m.condition(t, "cognito-identity:IdentityPoolArn", "arn:aws:cognito-identity:us-east-1:000000000000:identitypool/"+ids["identities"])
	pools := byName["cognito-identity"]
	for n, in := range []*cognitoidentityapi.DeleteIdentitiesInput{{IdentityIdsToDelete: []string{ids["identity"]}}, {IdentityIdsToDelete: []string{ids["identity"], other}}, {IdentityIdsToDelete: []string{other, ids["identity"]}}} {
		if e := m.call(t, pools, pools.ByName()["DeleteIdentities"], in); (e.HTTPStatus() == http.StatusNotImplemented) != (n == 0) {
			t.Errorf("identities %v: %v", in.IdentityIdsToDelete, e)
		}
	}
	// Of several parameters each is decided by its own tags.
	m.condition(t, "aws:ResourceTag/team", "red")
	ssm := byName["ssm"]
	if e := m.call(t, ssm, ssm.ByName()["GetParameters"], &ssmapi.GetParametersRequest{Names: []string{"/red", "/plain"}}); !strings.Contains(e.ErrorMessage(), "parameter/plain") {
		t.Errorf("a parameter without the tag: %v", e)
	}
}

// A caller without the plain right is refused before what it sends, or an API, is read; one whose right may
// hang on what stands there is not.
func TestAuthorisation_PlainFirst(t *testing.T) {
	t.Parallel()
	m, apis := newMatrix(t)
	ids := world(t, m.server)
	var gateway *wire.API
	for _, a := range apis {
		if a.Endpoint == "apigateway" {
			gateway = a
		}
	}
	read, resources := 0, gateway.Resources
	gateway.Resources = func(c *wire.Call, op string, in any) []wire.Need {
		read++
		return resources(c, op, in)
	}
	document := []byte(`{"swagger":"2.0","info":{"title":"t","version":"1"},"paths":{"/a":{"get":{"x-amazon-apigateway-auth":{"type":"NONE"},"x-amazon-apigateway-integration":{"type":"mock"}}}}}`)
	calls := map[string]any{
		"ImportRestApi": &apigatewayapi.ImportRestApiRequest{Body: document},
		"PutRestApi":    &apigatewayapi.PutRestApiRequest{RestApiId: ids["api"], Body: document},
		"CreateRestApi": &apigatewayapi.CreateRestApiRequest{Name: "n", CloneFrom: wire.String(ids["api"])},
		"GetRestApi":    &apigatewayapi.GetRestApiRequest{RestApiId: ids["api"]},
	}
	const everything = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	onKind := func(effect, operator string) string {
		return `{"Effect":"` + effect + `","Action":"*","Resource":"*","Condition":{"` + operator + `":{"apigateway:Request/RouteAuthorizationType":"NONE"}}}`
	}
	for _, tt := range []struct {
		name, policy string
		of           []string // operations; all when empty
		read, passes bool
	}{
		{"nothing", `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`, nil, false, false},
		{"another resource", `{"Effect":"Allow","Action":"apigateway:*","Resource":"arn:aws:apigateway:us-east-1::/restapis/other"}`, nil, false, false},
		{"a condition that no document fulfils", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}}`, nil, false, false},
		{"a key of the caller that is missing", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}`, nil, false, false},
		{"a refusal", everything + `,{"Effect":"Deny","Action":"apigateway:*","Resource":"*"}`, nil, false, false},
		{"everything", everything, nil, true, true},
		{"a kind of route that the document has", onKind("Allow", "StringEquals"), []string{"ImportRestApi"}, true, true},
		{"a kind of route that it has not", onKind("Allow", "StringNotEquals"), []string{"ImportRestApi"}, true, false},
		{"a refusal of what it has", everything + "," + onKind("Deny", "StringEquals"), []string{"ImportRestApi"}, true, false},
		{"a refusal of what it has not", everything + "," + onKind("Deny", "StringNotEquals"), []string{"ImportRestApi"}, true, true},
		{"a tag that the API has", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"red"}}}`, []string{"GetRestApi", "PutRestApi"}, true, true},
		{"a tag in a variable", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"us-east-1-${aws:ResourceTag/team}"}}}`, []string{"GetRestApi"}, true, false},
	} {
		of := tt.of
		if of == nil {
			of = []string{"ImportRestApi", "PutRestApi", "CreateRestApi", "GetRestApi"}
		}
		for _, name := range of {
			m.parse(t, tt.policy)
			read = 0
			op := gateway.ByName()[name]
			e := m.call(t, gateway, op, calls[name])
			if passes := e.HTTPStatus() == http.StatusNotImplemented; passes != tt.passes || (read > 0) != tt.read {
				t.Errorf("%s, %s: passes %v, read %d times: %v", tt.name, name, passes, read, e)
			}
			if !tt.read && len(m.last.Checks) != 1 {
				t.Errorf("%s, %s: the record has %d decisions", tt.name, name, len(m.last.Checks))
			}
		}
	}
}

// secondIdentity makes a guest of a pool without tags.
func secondIdentity(t *testing.T, s *Server) string {
	t.Helper()
	root, err := s.parts.iam.Credential(t.Context(), "test", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1", Caller: root.Caller})
	client := cognitoidentityapi.Client(s.parts.pipeline)
	pool, err := client.CreateIdentityPool(ctx, &cognitoidentityapi.CreateIdentityPoolInput{IdentityPoolName: "other", AllowUnauthenticatedIdentities: true})
	if err != nil {
		t.Fatal(err)
	}
	id, err := client.GetId(ctx, &cognitoidentityapi.GetIdInput{IdentityPoolId: pool.IdentityPoolId})
	if err != nil {
		t.Fatal(err)
	}
	return *id.IdentityId
}

// condition allows everything where a key has a value.
func (m *matrix) condition(t *testing.T, key, value string) {
	t.Helper()
	m.parse(t, fmt.Sprintf(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{%q:%q}}}`, key, value))
}

// parse makes statements the one policy.
func (m *matrix) parse(t *testing.T, statements string) {
	t.Helper()
	doc, err := policy.Parse("statements", []byte(`{"Version":"2012-10-17","Statement":[`+statements+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doc = doc
}

// The global condition keys, each on a real call over the network with a policy that it
// satisfies and one that it does not.
func TestAuthorisation_GlobalKeys(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	user := deployer(t, s, "ada", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`)
	root, err := s.parts.iam.Credential(t.Context(), "test", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1", Caller: root.Caller})
	iam := iamapi.Client(s.parts.pipeline)
	if _, err := iam.TagUser(ctx, &iamapi.TagUserRequest{UserName: "ada", Tags: []iamapi.Tag{{Key: "team", Value: "red"}}}); err != nil {
		t.Fatal(err)
	}
	ada, err := s.parts.iam.Credential(t.Context(), user.AccessKeyID, "")
	if err != nil {
		t.Fatal(err)
	}
	out, err := stsapi.Client(s.parts.pipeline).GetSessionToken(wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1", Caller: ada.Caller}), &stsapi.GetSessionTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	session := sigv4.Credentials{AccessKeyID: out.Credentials.AccessKeyId, SecretAccessKey: out.Credentials.SecretAccessKey, SessionToken: out.Credentials.SessionToken}
	now := time.Now().UTC()
	past, future := now.Add(-time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339)
	id := ada.Caller.ID
	for _, tt := range []struct {
		key, operator, right, wrong string
		as                          sigv4.Credentials
	}{
		{"aws:SourceIp", "IpAddress", "127.0.0.0/8", "10.0.0.0/8", user},
		{"aws:PrincipalArn", "ArnEquals", "arn:aws:iam::000000000000:user/ada", "arn:aws:iam::000000000000:user/eve", user},
		{"aws:PrincipalTag/team", "StringEquals", "red", "blue", user},
		{"aws:PrincipalAccount", "StringEquals", "000000000000", "111111111111", user},
		{"aws:PrincipalType", "StringEquals", "User", "AssumedRole", user},
		{"aws:userid", "StringEquals", id, "AIDAOTHER", user},
		{"aws:username", "StringEquals", "ada", "eve", user},
		{"aws:CurrentTime", "DateGreaterThan", past, future, user},
		{"aws:EpochTime", "NumericGreaterThan", "1000000000", "9000000000", user},
		{"aws:SecureTransport", "Bool", "false", "true", user},
		{"aws:RequestedRegion", "StringEquals", "us-east-1", "eu-west-1", user},
		{"aws:ResourceAccount", "StringEquals", "000000000000", "111111111111", user},
		{"aws:UserAgent", "StringLike", "tests/*", "browser/*", user},
		{"aws:Referer", "StringEquals", "https://page.example/", "https://other.example/", user},
		{"aws:ViaAWSService", "Bool", "false", "true", user},
		{"aws:CalledVia", "Null", "true", "false", user},
		{"aws:SourceArn", "Null", "true", "false", user},
		{"aws:SourceAccount", "Null", "true", "false", user},
		{"aws:TokenIssueTime", "DateGreaterThan", past, future, session},
		{"aws:TokenIssueTime", "Null", "true", "false", user},
		{"aws:MultiFactorAuthPresent", "BoolIfExists", "false", "true", session},
		{"aws:MultiFactorAuthPresent", "Null", "true", "false", user},
	} {
		for value, want := range map[string]int{tt.right: http.StatusOK, tt.wrong: http.StatusForbidden} {
			doc := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"lambda:ListFunctions","Resource":"*","Condition":{%q:{%q:%q}}}]}`, tt.operator, tt.key, value)
			if _, err := iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyRequest{UserName: "ada", PolicyName: "p", PolicyDocument: doc}); err != nil {
				t.Fatal(err)
			}
			if status, body := listFunctions(t, s, tt.as); status != want {
				t.Errorf("%s %s %s: status %d, want %d: %s", tt.operator, tt.key, value, status, want, body)
			}
		}
	}
}

// A service that calls on somebody's behalf says so, also in what is asked of the caller.
func TestAuthorisation_CalledVia(t *testing.T) {
	t.Parallel()
	m, apis := newMatrix(t)
	call := *wire.CallFrom(m.ctx)
	call.Via = "cloudformation.amazonaws.com"
	m.ctx = wire.WithCall(context.Background(), &call)
	for _, a := range apis {
		if a.Endpoint != "lambda" {
			continue
		}
		for key, value := range map[string]string{"aws:CalledVia": call.Via, "aws:CalledViaFirst": call.Via, "aws:CalledViaLast": call.Via, "aws:ViaAWSService": "true"} {
			for v, want := range map[string]bool{value: true, "other": false} {
				m.condition(t, key, v)
				e := m.call(t, a, a.ByName()["ListFunctions"], &lambdaapi.ListFunctionsRequest{})
				if got := e.HTTPStatus() == http.StatusNotImplemented; got != want {
					t.Errorf("%s = %s: passes %v: %v", key, v, got, e)
				}
			}
		}
	}
}

func listFunctions(t *testing.T, s *Server, c sigv4.Credentials) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+s.Addr()+"/2015-03-31/functions/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "tests/1")
	r.Header.Set("Referer", "https://page.example/")
	q := sigv4.Request{Method: r.Method, Path: r.URL.EscapedPath(), Host: r.URL.Host, Header: r.Header}
	sigv4.Sign(&q, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", c, "us-east-1", "lambda", time.Now())
	r.Header = q.Header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
