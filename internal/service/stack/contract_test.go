package stack

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
)

// What a service would refuse when a resource is made is refused before anything is made, with
// the place in the file; what only resources will tell is left to them.
func TestService_Deploy_foreseen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, resources, want string }{
		{"enum", `S: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: a, DeploymentId: d, StageName: v1, CacheClusterSize: "7"}}`,
			"S: Properties.CacheClusterSize: value '7' failed to satisfy constraint: Member must satisfy enum value set: [0.5, 1.6, 6.1, 13.5, 28.4, 58.2, 118, 237]"},
		{"enum of a parameter", `S: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: a, DeploymentId: d, StageName: v1, CacheClusterSize: !Ref Size}}`, "Properties.CacheClusterSize: value '9'"},
		{"hidden parameter", `S: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: a, DeploymentId: d, StageName: v1, CacheClusterSize: !Ref Hidden}}`, ""},
		{"a branch that is not taken", `S: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: a, DeploymentId: d, StageName: v1, CacheClusterSize: !If [Never, "7", "0.5"]}}`, ""},
		{"the branch that is taken", `S: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: a, DeploymentId: d, StageName: v1, CacheClusterSize: !If [Never, "0.5", "7"]}}`, "value '7'"},
		{"in a list", `P: {Type: AWS::Cognito::UserPool, Properties: {AutoVerifiedAttributes: [email, address]}}`, "P: Properties.AutoVerifiedAttributes"},
		{"nested", `P: {Type: AWS::Cognito::UserPool, Properties: {Schema: [{Name: ok, AttributeDataType: String}, {Name: no, AttributeDataType: Text}]}}`, "P: Properties.Schema.1.AttributeDataType: value 'Text'"},
		{"range", `P: {Type: AWS::Cognito::UserPool, Properties: {Policies: {PasswordPolicy: {MinimumLength: 3}}}}`, "P: Properties.Policies.PasswordPolicy.MinimumLength"},
		{"pattern", `C: {Type: AWS::Cognito::UserPoolClient, Properties: {UserPoolId: "not a pool"}}`, "C: Properties.UserPoolId"},
		{"what a resource gives", `P: {Type: AWS::Cognito::UserPool}
  C: {Type: AWS::Cognito::UserPoolClient, Properties: {UserPoolId: !Ref P, ExplicitAuthFlows: [!Sub "${P}", ALLOW_USER_SRP_AUTH]}}`, ""},
		{"integration", `M: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: a, ResourceId: r, HttpMethod: GET, Integration: {Type: PROXY}}}`, "M: Properties.Integration.Type: value 'PROXY'"},
		{"integration response", `M: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: a, ResourceId: r, HttpMethod: GET, Integration: {Type: MOCK, IntegrationResponses: [{StatusCode: 200}, {StatusCode: 2000}]}}}`, "Properties.Integration.IntegrationResponses.1.StatusCode"},
		{"enum of the schema", `M: {Type: AWS::ApiGateway::Method, Properties: {RestApiId: a, ResourceId: r, HttpMethod: GET, AuthorizationType: JWT}}`, "M: Properties.AuthorizationType: expected"},
		{"enum of a list", `P: {Type: AWS::Cognito::UserPool, Properties: {EnabledMfas: [SMS_MFA, FACE]}}`, `P: Properties.EnabledMfas.1: expected`},
		{"enum of numbers", `L: {Type: AWS::Logs::LogGroup, Properties: {RetentionInDays: 2}}`, "L: Properties.RetentionInDays: expected"},
		{"enum of settings", `S: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: a, StageName: v1, DeploymentId: d, MethodSettings: [{HttpMethod: GET, ResourcePath: /, LoggingLevel: DEBUG}]}}`, "S: Properties.MethodSettings.0.LoggingLevel: expected"},
		{"domain", `D: {Type: AWS::ApiGateway::DomainName, Properties: {DomainName: x.example, SecurityPolicy: TLS_0_9}}`, "D: Properties.SecurityPolicy: value 'TLS_0_9'"},
		{"renamed", `A: {Type: AWS::ApiGateway::RestApi, Properties: {Name: x, ApiKeySourceType: COOKIE}}`, "A: Properties.ApiKeySourceType: value 'COOKIE'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := &services{}
			body := "Parameters:\n  Size: {Type: String, Default: '9'}\n  Hidden: {Type: String, Default: '9', NoEcho: true}\nConditions:\n  Never: !Equals [a, b]\nResources:\n  " + tc.resources + "\n"
			_, err := serviceWith(t, f).Deploy(callContext(t), DeployInput{Name: "st", Template: []byte(body), File: "t.yaml"})
			if tc.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var es template.Errors
			if err == nil || !strings.Contains(err.Error(), tc.want) || !errors.As(err, &es) || es[0].Pos.Line < 7 || len(f.calls) > 0 {
				t.Errorf("got %v, calls %v; want %q at its place, and no call", err, f.calls, tc.want)
			}
		})
	}
}

// What cannot be carried is refused with its reason before anything is made.
func TestService_Deploy_refused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ resources, want string }{
		{`A: {Type: AWS::ApiGateway::RestApi, Properties: {Name: x, BodyS3Location: {Bucket: b, Key: k}}}`, "A: Properties.BodyS3Location: not implemented: there is no S3 here"},
		{`A: {Type: AWS::ApiGateway::RestApi, Properties: {CloneFrom: x, Body: {swagger: "2.0"}}}`, "not from both"},
		{`D: {Type: AWS::ApiGateway::Deployment, Properties: {RestApiId: x, StageDescription: {LoggingLevel: INFO}}}`, "D: Properties.StageName"},
		{`I: {Type: AWS::Cognito::UserPoolIdentityProvider, Properties: {}}`, "there are no login pages here"},
		{`I: {Type: AWS::Cognito::UserPoolUICustomizationAttachment, Properties: {}}`, "there are no login pages here"},
		{`I: {Type: AWS::Cognito::IdentityPool, Properties: {AllowUnauthenticatedIdentities: false, CognitoEvents: {x: y}}}`, "Cognito Sync is not built"},
		{`W: {Type: AWS::ApiGatewayV2::Api, Properties: {}}`, "HTTP APIs and web sockets are not built"},
	} {
		f := &services{}
		_, err := serviceWith(t, f).Deploy(callContext(t), DeployInput{Name: "st", Template: []byte("Resources:\n  G: {Type: AWS::Logs::LogGroup}\n  " + tc.resources + "\n"), File: "t.yaml"})
		if err == nil || !strings.Contains(err.Error(), tc.want) || len(f.calls) > 0 {
			t.Errorf("%s: got %v, calls %v; want %q", tc.resources, err, f.calls, tc.want)
			continue
		}
		var x wire.Exception
		if got := serviceWith(t, f).exception("CreateStack", err); !errors.As(got, &x) || x.HTTPStatus() != 501 {
			t.Errorf("%s: answered %v, want 501", tc.resources, got)
		}
	}
}

// Every shape names an operation, and every handler that decodes an input says so.
func TestHandlers_shapes(t *testing.T) {
	t.Parallel()
	handlers := allHandlers(Services{})
	known := contracts(handlers)
	for _, typ := range sortedKeys(handlers) {
		for _, s := range handlers[typ].Shapes {
			if known[s.Operation] == nil {
				t.Errorf("%s: there is no operation %s", typ, s.Operation)
			}
		}
		if without := map[string]bool{
			"AWS::ApiGateway::Account": true, "AWS::CloudFormation::WaitConditionHandle": true, "AWS::Cognito::IdentityPoolRoleAttachment": true,
			"AWS::IAM::AccessKey": true, "AWS::IAM::Policy": true,
		}[typ]; without != (len(handlers[typ].Shapes) == 0) {
			t.Errorf("%s: shapes %v", typ, handlers[typ].Shapes)
		}
	}
}

// Nothing of AWS's own expansions is taken for a mistake. What cannot be carried is refused as such,
// and of AWS's test templates a few values are none that its services take.
func TestService_foreseen_golden(t *testing.T) {
	t.Parallel()
	s := serviceWith(t, &services{})
	files, err := filepath.Glob("sam/testdata/golden/output/*.json")
	if err != nil || len(files) < 100 {
		t.Fatal(len(files), err)
	}
	seen := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		root, err := template.ParseValue(body, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range root.Get("Resources").Entries() {
			r := template.Resource{LogicalID: f.Key, Type: f.Value.Get("Type").Str(), Properties: f.Value.Get("Properties")}
			h, ok := s.handlers[r.Type]
			if !ok {
				continue
			}
			seen++
			scope := template.Scope{}
			for _, e := range s.foreseen(r, h, scope.Known(r.Properties)) {
				// A command that is no list, and a path that IAM refuses.
				if mistaken := strings.HasSuffix(e.Property, "ImageConfig.Command") || strings.Contains(e.Message, "'/foo/bar'"); !e.NotBuilt && !mistaken {
					t.Errorf("%s: %v", filepath.Base(file), e)
				}
			}
		}
	}
	if seen < 500 {
		t.Errorf("only %d resources were looked at", seen)
	}
}
