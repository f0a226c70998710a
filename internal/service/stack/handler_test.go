package stack

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/cognitoidentityapi"
	"moat/internal/wire/cognitoidpapi"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/logsapi"
	"moat/internal/wire/ssmapi"
)

// services answers every call of every API with what a creation would give, and notes it.
type services struct {
	mu    sync.Mutex
	calls []string
	seen  []wire.Call
}

func (f *services) Invoke(ctx context.Context, api, operation string, in, out any) error {
	b, err := json.Marshal(compact(in))
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.calls = append(f.calls, operation+" "+string(b))
	f.seen = append(f.seen, *wire.CallFrom(ctx))
	f.mu.Unlock()
	var answer any
	switch operation {
	case "CreateUserPool":
		answer = &cognitoidpapi.CreateUserPoolResponse{UserPool: &cognitoidpapi.UserPoolType{Id: wire.String("eu-west-1_Pool"), Arn: wire.String("arn:aws:cognito-idp:eu-west-1:0:userpool/eu-west-1_Pool")}}
	case "CreateUserPoolClient":
		answer = &cognitoidpapi.CreateUserPoolClientResponse{UserPoolClient: &cognitoidpapi.UserPoolClientType{ClientId: wire.String("client-" + in.(*cognitoidpapi.CreateUserPoolClientRequest).ClientName)}}
	case "CreateIdentityPool":
		answer = &cognitoidentityapi.IdentityPool{IdentityPoolId: "eu-west-1:identity", IdentityPoolName: "x"}
	case "CreateRole":
		answer = &iamapi.CreateRoleResponse{Role: &iamapi.Role{Arn: "arn:aws:iam::0:role/" + in.(*iamapi.CreateRoleRequest).RoleName, RoleId: "AROA"}}
	case "CreateFunction":
		answer = &lambdaapi.FunctionConfiguration{FunctionArn: wire.String("arn:aws:lambda:eu-west-1:0:function:" + in.(*lambdaapi.CreateFunctionRequest).FunctionName)}
	case "CreateRestApi":
		answer = &apigatewayapi.RestApi{Id: wire.String("abcdef1234"), RootResourceId: wire.String("root")}
	case "CreateDeployment":
		answer = &apigatewayapi.Deployment{Id: wire.String("dep1")}
	case "CreateApiKey":
		answer = &apigatewayapi.ApiKey{Id: wire.String("key1")}
	case "CreateUsagePlan":
		answer = &apigatewayapi.UsagePlan{Id: wire.String("plan1")}
	case "GetParameter", "DescribeUserPoolDomain", "DescribeResourceServer", "GetGroup", "GetStage", "GetUsagePlanKey":
		return wire.NewError(400, "ResourceNotFoundException", "not there")
	}
	if answer != nil {
		reflect.ValueOf(out).Elem().Set(reflect.ValueOf(answer).Elem())
	}
	return nil
}

// compact drops what is absent and shortens packages, so that calls can be compared.
func compact(in any) any {
	b, _ := json.Marshal(in)
	var v any
	_ = json.Unmarshal(b, &v)
	return prune(v)
}

func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			x = prune(x)
			if x == nil || x == "" {
				delete(v, k)
				continue
			}
			v[k] = x
			if s, ok := x.(string); ok && (k == "ZipFile" || k == "Body") {
				v[k] = len(s) > 0
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

func (f *services) named(operation string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, c := range f.calls {
		if name, rest, _ := strings.Cut(c, " "); name == operation {
			out = append(out, rest)
		}
	}
	sort.Strings(out)
	return out
}

type fakePackager struct{}

func (fakePackager) Package(_ context.Context, dir string, build BuildMethod) ([]byte, error) {
	return []byte(filepath.Base(dir) + " " + build.Name + " " + build.LogicalID), nil
}

func fakeServices(f *services) Services {
	return Services{
		UserPools: cognitoidpapi.Client(f), IdentityPools: cognitoidentityapi.Client(f), IAM: iamapi.Client(f), Lambda: lambdaapi.Client(f),
		APIGateway: apigatewayapi.Client(f), SSM: ssmapi.Client(f), Logs: logsapi.Client(f),
	}
}

func serviceWith(t *testing.T, f *services) *Service {
	t.Helper()
	s, err := New(Config{
		DB: openDB(t, filepath.Join(t.TempDir(), "moat.db")), Now: func() time.Time { return testTime }, Rand: rand.Reader, Account: "000000000000",
		BaseURL: "http://localhost:4566", Packager: fakePackager{},
		Services: fakeServices(f),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHandlers_complete(t *testing.T) {
	t.Parallel()
	schema, err := template.NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	handlers := allHandlers(Services{})
	for _, typ := range schema.Names() {
		if h, ok := handlers[typ]; !ok || h.Create == nil || h.Delete == nil {
			t.Errorf("%s has a schema, but no handler", typ)
		}
		if h := handlers[typ]; h.Claims != nil && h.Find == nil {
			t.Errorf("%s claims names that it cannot find", typ)
		}
		delete(handlers, typ)
	}
	if len(handlers) > 0 {
		t.Errorf("handlers without a schema: %v", sortedKeys(handlers))
	}
}

func TestService_Deploy_example(t *testing.T) {
	t.Parallel()
	const dir = "../../../examples/courses"
	body, err := os.ReadFile(filepath.Join(dir, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f := &services{}
	s := serviceWith(t, f)
	var events []Event
	caller := wire.Caller{AccessKeyID: "test"}
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "eu-west-1", Caller: caller})
	res, err := s.Deploy(ctx, DeployInput{Name: "courses", Template: body, File: "template.yaml", Dir: dir, Progress: func(e Event) { events = append(events, e) }})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"ApiUrl":     "http://localhost:4566/restapis/abcdef1234/v1/_user_request_",
		"UserPoolId": "eu-west-1_Pool", "PublicClientId": "client-web", "ConfidentialClientId": "client-service",
		"IdentityPoolId": "eu-west-1:identity", "ApiKeyId": "key1", "AuthDomain": "http://localhost:4566/_auth/courses-000000000000",
	}
	if !reflect.DeepEqual(res.Outputs, want) {
		t.Errorf("outputs = %v\nwant %v", res.Outputs, want)
	}
	for operation, n := range map[string]int{
		"CreateUserPool": 1, "CreateUserPoolClient": 2, "CreateGroup": 2, "CreateUserPoolDomain": 1, "CreateResourceServer": 1, "CreateIdentityPool": 1,
		"SetIdentityPoolRoles": 1, "CreateRole": 6, "CreateFunction": 4, "AddPermission": 4, "CreateRestApi": 1, "PutRestApi": 1, "CreateDeployment": 1,
		"CreateStage": 1, "CreateApiKey": 1, "CreateUsagePlan": 1, "CreateUsagePlanKey": 1, "PutParameter": 3,
	} {
		if got := f.named(operation); len(got) != n {
			t.Errorf("%s: %d calls, want %d: %v", operation, len(got), n, got)
		}
	}
	for _, c := range f.seen {
		if c.Via != "cloudformation.amazonaws.com" || c.Caller.AccessKeyID != "test" || c.Region != "eu-west-1" {
			t.Fatalf("a call is not made on the deployer's behalf: %+v", c)
		}
	}
	if first, last := events[0], events[len(events)-1]; first.Status != "CREATE_IN_PROGRESS" || last.Status != "CREATE_COMPLETE" || last.Type != stackType {
		t.Errorf("events from %v to %v", first, last)
	}
	roles := strings.Join(f.named("PutRolePolicy"), "\n")
	if !strings.Contains(roles, `parameter/courses/goal`) || !strings.Contains(roles, "execute-api:Invoke") {
		t.Errorf("role policies: %s", roles)
	}
}

func TestService_Deploy_localCode(t *testing.T) {
	t.Parallel()
	const body = "Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties: {CodeUri: %, Handler: a.b, Runtime: nodejs20.x}\n"
	for _, tc := range []struct{ name, uri, dir, want string }{
		{"inside", "code/", "x", "no such folder"},
		{"outside", "../code/", "x", "expected a path below the template's folder"},
		{"absolute", "/etc", "x", "expected a path below the template's folder"},
		{"without a folder", "code/", "", "is not available here"},
		{"in S3", "s3://b/k", "x", "there is no S3 here"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := serviceWith(t, &services{})
			dir := tc.dir
			if dir != "" {
				dir = t.TempDir()
			}
			_, err := s.Deploy(callContext(t), DeployInput{Name: "st", Template: []byte(strings.Replace(body, "%", tc.uri, 1)), Dir: dir})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q", err, tc.want)
			}
		})
	}
}

// update runs a real handler's Update and returns the calls it makes.
func update(t *testing.T, typ, from, to string) []string {
	t.Helper()
	f := &services{}
	h := serviceWith(t, f).handlers[typ]
	was, err := template.ParseValue([]byte(from), "")
	if err != nil {
		t.Fatal(err)
	}
	is, err := template.ParseValue([]byte(to), "")
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{Type: typ, LogicalID: "X", Name: "st-X-ABC", Previous: was, Properties: is, PhysicalID: "id1", Attributes: map[string]string{"Arn": "arn:x"}}
	if _, err := h.Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return f.calls
}

func TestHandler_Update(t *testing.T) {
	t.Parallel()
	patch := func(ops ...string) string { return `"PatchOperations":[` + strings.Join(ops, ",") + "]" }
	op := func(op, path, value string) string {
		if value == "" {
			return `{"Op":"` + op + `","Path":"` + path + `"}`
		}
		return `{"Op":"` + op + `","Path":"` + path + `","Value":"` + value + `"}`
	}
	for _, tc := range []struct{ name, typ, from, to, want string }{
		{
			"usage plan", "AWS::ApiGateway::UsagePlan",
			`{"Throttle": {"RateLimit": 50, "BurstLimit": 10}, "Quota": {"Limit": 5, "Period": "DAY"}, "ApiStages": [{"ApiId": "a", "Stage": "v1"}]}`,
			`{"Throttle": {"RateLimit": 60.0, "BurstLimit": 10}, "ApiStages": [{"ApiId": "a", "Stage": "v1", "Throttle": {"/x/GET": {"RateLimit": 1}}}, {"ApiId": "b", "Stage": "v2"}]}`,
			`UpdateUsagePlan {` + patch(op("replace", "/throttle/rateLimit", "60"), op("remove", "/quota", ""),
				op("replace", "/apiStages/a:v1/throttle/~1x~1GET/rateLimit", "1"), op("add", "/apiStages", "b:v2")) + `,"UsagePlanId":"id1"}`,
		},
		{
			"stage", "AWS::ApiGateway::Stage",
			`{"RestApiId": "a", "DeploymentId": "d1", "Variables": {"x": "1", "y": "2"}, "MethodSettings": [{"ResourcePath": "/*", "HttpMethod": "*", "ThrottlingRateLimit": 5}]}`,
			`{"RestApiId": "a", "DeploymentId": "d2", "Variables": {"x": "3"}, "MethodSettings": [{"ResourcePath": "/a/b", "HttpMethod": "GET", "ThrottlingBurstLimit": 7}]}`,
			`UpdateStage {` + patch(op("replace", "/deploymentId", "d2"), op("replace", "/variables/x", "3"), op("remove", "/variables/y", ""),
				op("replace", "/~1a~1b/GET/throttling/burstLimit", "7"), op("remove", "/*/*", "")) + `,"RestApiId":"a","StageName":"id1"}`,
		},
		{
			"one setting less", "AWS::ApiGateway::Stage",
			`{"RestApiId": "a", "MethodSettings": [{"ResourcePath": "/a", "HttpMethod": "GET", "ThrottlingBurstLimit": 7, "CachingEnabled": true}]}`,
			`{"RestApiId": "a", "MethodSettings": [{"ResourcePath": "/a", "HttpMethod": "GET", "ThrottlingBurstLimit": 7}]}`,
			`UpdateStage {` + patch(op("remove", "/~1a/GET/caching/enabled", "")) + `,"RestApiId":"a","StageName":"id1"}`,
		},
		{
			"stage of a deployment", "AWS::ApiGateway::Deployment",
			`{"RestApiId": "a", "StageName": "v1", "StageDescription": {"Variables": {"x": "1"}, "LoggingLevel": "INFO"}}`,
			`{"RestApiId": "a", "StageName": "v1", "StageDescription": {"Variables": {"x": "2"}, "CachingEnabled": true, "CacheClusterEnabled": true, "MethodSettings": [{"ResourcePath": "/a", "HttpMethod": "GET", "MetricsEnabled": true}]}}`,
			`UpdateStage {` + patch(op("replace", "/cacheClusterEnabled", "true"), op("replace", "/variables/x", "2"), op("replace", "/*/*/caching/enabled", "true"), op("replace", "/~1a/GET/metrics/enabled", "true"),
				op("remove", "/*/*/logging/loglevel", "")) + `,"RestApiId":"a","StageName":"v1"}`,
		},
		{
			"canary", "AWS::ApiGateway::Stage",
			`{"RestApiId": "a", "DeploymentId": "d1"}`,
			`{"RestApiId": "a", "DeploymentId": "d1", "CanarySetting": {"DeploymentId": "512e10", "PercentTraffic": 12.5, "StageVariableOverrides": {"x": "1"}, "UseStageCache": true}}`,
			`UpdateStage {` + patch(op("replace", "/canarySettings/deploymentId", "512e10"), op("replace", "/canarySettings/percentTraffic", "12.5"), op("replace", "/canarySettings/useStageCache", "true"),
				op("replace", "/canarySettings/stageVariableOverrides/x", "1")) + `,"RestApiId":"a","StageName":"id1"}`,
		},
		{
			"no canary", "AWS::ApiGateway::Stage",
			`{"RestApiId": "a", "DeploymentId": "d1", "CanarySetting": {"DeploymentId": "d2"}}`, `{"RestApiId": "a", "DeploymentId": "d1"}`,
			`UpdateStage {` + patch(op("remove", "/canarySettings", "")) + `,"RestApiId":"a","StageName":"id1"}`,
		},
		{
			"domain to regional", "AWS::ApiGateway::DomainName",
			`{"DomainName": "x.example", "CertificateArn": "arn:1", "MutualTlsAuthentication": {"TruststoreUri": "a", "TruststoreVersion": "1"}}`,
			`{"DomainName": "x.example", "RegionalCertificateArn": "arn:2", "EndpointConfiguration": {"Types": ["REGIONAL"]}, "MutualTlsAuthentication": {"TruststoreUri": "b"}}`,
			`UpdateDomainName {"DomainName":"id1",` + patch(op("remove", "/certificateArn", ""), op("replace", "/regionalCertificateArn", "arn:2"), op("replace", "/endpointConfiguration/types/EDGE", "REGIONAL"),
				op("replace", "/mutualTlsAuthentication/truststoreUri", "b"), op("remove", "/mutualTlsAuthentication/truststoreVersion", "")) + "}\nGetDomainName {\"DomainName\":\"id1\"}",
		},
		{
			"mapping", "AWS::ApiGateway::BasePathMapping",
			`{"DomainName": "x.example", "RestApiId": "a", "Stage": "v1"}`, `{"DomainName": "x.example", "RestApiId": "b", "Stage": "v2"}`,
			`UpdateBasePathMapping {"BasePath":"(none)","DomainName":"x.example",` + patch(op("replace", "/restapiId", "b"), op("replace", "/stage", "v2")) + "}",
		},
		{
			"API without its settings", "AWS::ApiGateway::RestApi",
			`{"Name": "x", "MinimumCompressionSize": 5, "DisableExecuteApiEndpoint": true, "ApiKeySourceType": "AUTHORIZER", "BinaryMediaTypes": ["a/b"], "Policy": {"x": 1}}`, `{"Name": "y"}`,
			`UpdateRestApi {` + patch(op("replace", "/name", "y"), op("replace", "/apiKeySource", "HEADER"), op("replace", "/minimumCompressionSize", ""), op("replace", "/disableExecuteApiEndpoint", "false"),
				op("replace", "/policy", ""), op("remove", "/binaryMediaTypes/a~1b", "")) + `,"RestApiId":"id1"}`,
		},
		{
			"identity pool", "AWS::Cognito::IdentityPool",
			`{"AllowUnauthenticatedIdentities": true}`,
			`{"AllowUnauthenticatedIdentities": false, "IdentityPoolName": "p", "DeveloperProviderName": "login.example", "SupportedLoginProviders": {"graph.facebook.com": 7700},
				"OpenIdConnectProviderARNs": ["arn:oidc"], "SamlProviderARNs": ["arn:saml"]}`,
			`UpdateIdentityPool {"AllowUnauthenticatedIdentities":false,"DeveloperProviderName":"login.example","IdentityPoolId":"id1","IdentityPoolName":"p",` +
				`"IdentityPoolTags":{"aws:cloudformation:logical-id":"X"},` +
				`"OpenIdConnectProviderARNs":["arn:oidc"],"SamlProviderARNs":["arn:saml"],"SupportedLoginProviders":{"graph.facebook.com":"7700"}}`,
		},
		{
			"principal tags", "AWS::Cognito::IdentityPoolPrincipalTag",
			`{"IdentityPoolId": "p", "IdentityProviderName": "x", "UseDefaults": true}`,
			`{"IdentityPoolId": "p", "IdentityProviderName": "x", "PrincipalTags": {"level": "custom:level"}}`,
			`SetPrincipalTagAttributeMap {"IdentityPoolId":"p","IdentityProviderName":"x","PrincipalTags":{"level":"custom:level"}}`,
		},
		{
			"role", "AWS::IAM::Role",
			`{"AssumeRolePolicyDocument": {"a": 1}, "Policies": [{"PolicyName": "p", "PolicyDocument": {"v": 1}}, {"PolicyName": "q", "PolicyDocument": {}}], "ManagedPolicyArns": ["arn:1"]}`,
			`{"AssumeRolePolicyDocument": {"a": 2}, "Policies": [{"PolicyName": "p", "PolicyDocument": {"v": 2}}], "ManagedPolicyArns": ["arn:2"]}`,
			strings.Join([]string{
				`UpdateAssumeRolePolicy {"PolicyDocument":"{\"a\":2}","RoleName":"id1"}`, `PutRolePolicy {"PolicyDocument":"{\"v\":2}","PolicyName":"p","RoleName":"id1"}`,
				`AttachRolePolicy {"PolicyArn":"arn:2","RoleName":"id1"}`, `DetachRolePolicy {"PolicyArn":"arn:1","RoleName":"id1"}`, `DeleteRolePolicy {"PolicyName":"q","RoleName":"id1"}`,
			}, "\n"),
		},
		{
			"function configuration alone", "AWS::Lambda::Function",
			`{"Code": {"ZipFile": "x"}, "Runtime": "nodejs20.x", "Handler": "index.handler", "Role": "r", "Environment": {"Variables": {"A": "1"}}}`,
			`{"Code": {"ZipFile": "x"}, "Runtime": "nodejs20.x", "Handler": "index.handler", "Role": "r", "Timeout": 5, "Environment": {"Variables": {"A": 2}}}`,
			`UpdateFunctionConfiguration {"Environment":{"Variables":{"A":"2"}},"FunctionName":"id1","Handler":"index.handler","Role":"r","Runtime":"nodejs20.x","Timeout":5}`,
		},
		{
			"function code alone", "AWS::Lambda::Function",
			`{"Code": {"ZipFile": "x"}, "Runtime": "nodejs20.x", "Handler": "index.handler", "Role": "r"}`,
			`{"Code": {"ZipFile": "y"}, "Runtime": "nodejs20.x", "Handler": "index.handler", "Role": "r"}`,
			`UpdateFunctionCode {"FunctionName":"id1","ZipFile":true}`,
		},
		{
			"parameter", "AWS::SSM::Parameter",
			`{"Type": "String", "Value": "1"}`, `{"Type": "String", "Value": "2"}`,
			`PutParameter {"Name":"id1","Overwrite":true,"Type":"String","Value":"2"}`,
		},
		{
			"log group without retention any more", "AWS::Logs::LogGroup",
			`{"RetentionInDays": 7}`, `{}`, `DeleteRetentionPolicy {"LogGroupName":"id1"}`,
		},
		{
			"client", "AWS::Cognito::UserPoolClient",
			`{"UserPoolId": "p", "GenerateSecret": true}`, `{"UserPoolId": "p", "GenerateSecret": true, "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH"]}`,
			`UpdateUserPoolClient {"ClientId":"id1","ExplicitAuthFlows":["ALLOW_USER_SRP_AUTH"],"UserPoolId":"p"}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(update(t, tc.typ, tc.from, tc.to), "\n"); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	decodeInto := func(body string) (lambdaapi.CreateFunctionRequest, error) {
		var in lambdaapi.CreateFunctionRequest
		v, err := template.ParseValue([]byte(body), "")
		if err != nil {
			t.Fatal(err)
		}
		return in, decode(v, &in, map[string]string{"Code": skip, "KmsKeyArn": "KMSKeyArn"})
	}
	if _, err := decodeInto(`{"Timeout": "5", "Environment": {"Variables": {"A": 1}}, "Code": {"Any": 1}, "KmsKeyArn": "k", "Layers": ["l"]}`); err != nil {
		t.Error(err)
	}
	for body, want := range map[string]string{
		`{"Timeout": "soon"}`:               `Timeout: "soon" is no int32`,
		`{"Nope": 1}`:                       "the property Nope is not implemented",
		`{"TracingConfig": {"Modus": 1}}`:   "the property TracingConfig.Modus is not implemented",
		`{"Layers": "l"}`:                   "Layers: expected a list",
		`{"Environment": {"Variables": 1}}`: "Environment.Variables: expected a map",
	} {
		if _, err := decodeInto(body); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error = %v, want %q", body, err, want)
		}
	}
}

// Every value of the example in turn is replaced by one of another kind: a mistake is an
// error before anything is created, never a crash.
func TestService_prepare_anyKind(t *testing.T) {
	t.Parallel()
	const dir = "../../../examples/courses"
	body, err := os.ReadFile(filepath.Join(dir, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f := &services{}
	s := serviceWith(t, f)
	ctx := callContext(t)
	root, err := template.ParseValue(body, "t")
	if err != nil {
		t.Fatal(err)
	}
	var places []*template.Value
	var collect func(v *template.Value)
	collect = func(v *template.Value) {
		places = append(places, v)
		for _, f := range v.Fields {
			collect(f.Value)
		}
		for _, x := range v.Items {
			collect(x)
		}
	}
	collect(root)
	kinds := []*template.Value{template.NewString("x"), {Kind: template.Null}, template.NewList(template.NewString("x")), template.NewMap("Fn::If", template.NewString("x"))}
	for i := 1; i < len(places); i += 3 {
		at := places[i]
		was := *at
		*at = *kinds[i%len(kinds)].Clone()
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s by %s: %v", was.JSON(), at.JSON(), p)
				}
			}()
			_, _ = s.prepare(ctx, StackInfo{ID: "id", Name: "st", Account: "0", Region: "r"}, source{body: string(root.JSON()), dir: dir})
		}()
		*at = was
	}
	if len(f.calls) != 0 {
		t.Errorf("checking a template made calls: %v", f.calls)
	}
}

func BenchmarkDeploy_example(b *testing.B) {
	const dir = "../../../examples/courses"
	body, err := os.ReadFile(filepath.Join(dir, "template.yaml"))
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(Config{DB: benchDB(b), Now: time.Now, Rand: rand.Reader, Packager: fakePackager{}, Services: fakeServices(&services{})})
	if err != nil {
		b.Fatal(err)
	}
	ctx := wire.WithCall(b.Context(), &wire.Call{Account: "000000000000", Region: "eu-west-1"})
	for b.Loop() {
		if _, err := s.Deploy(ctx, DeployInput{Name: "courses", Template: body, Dir: dir}); err != nil {
			b.Fatal(err)
		}
		if err := s.Remove(ctx, "courses", nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestService_prepare_include(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "doc.yaml"), []byte("Description: !Sub 'x-${AWS::Region}'\nValue: inside\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const body = "Resources:\n  A:\n    Type: AWS::SSM::Parameter\n    Properties:\n      Type: String\n      Value: own\n      Fn::Transform: {Name: AWS::Include, Parameters: {Location: %}}\n"
	s := serviceWith(t, &services{})
	prepare := func(location, in string) (*plan, error) {
		return s.prepare(callContext(t), StackInfo{Region: "r"}, source{body: strings.Replace(body, "%", location, 1), dir: in})
	}
	p, err := prepare("./doc.yaml", dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(p.live["A"].Properties.JSON()), `{"Type":"String","Value":"own","Description":{"Fn::Sub":"x-${AWS::Region}"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for location, want := range map[string]string{
		"../doc.yaml": "expected a path below the template's folder", "nope.yaml": "no such file", "s3://b/k": "there is no S3 here",
	} {
		if _, err := prepare(location, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error = %v, want %q", location, err, want)
		}
	}
	if _, err := prepare("doc.yaml", ""); err == nil || !strings.Contains(err.Error(), "the location parameter is not a valid S3 uri.") {
		t.Errorf("without a folder: %v", err)
	}
}
