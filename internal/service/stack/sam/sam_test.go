package sam

import (
	"strings"
	"testing"

	"moat/internal/service/stack/template"
)

func expand(t *testing.T, body string) (*template.Value, error) {
	t.Helper()
	root, err := template.ParseValue([]byte(body), "t.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return Transform(Input{Root: root})
}

const good = `Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Runtime: nodejs20.x}
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      Auth: {Authorizers: {Pool: {UserPoolArn: "arn:pool"}}, DefaultAuthorizer: Pool}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.b
      InlineCode: x
      Policies: [AWSLambdaRole, {SSMParameterReadPolicy: {ParameterName: p}}]
      Events:
        Get: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /x, Method: get, Auth: {Authorizer: Pool}}}
`

func TestTransform_mistakes(t *testing.T) {
	t.Parallel()
	if _, err := expand(t, good); err != nil {
		t.Fatalf("a sound template: %v", err)
	}
	for _, tc := range []struct{ name, from, to, want string }{
		{"property of a function", "Handler: a.b", "Handlr: a.b", "t.yaml:13:7: F: Properties.Handlr: property Handlr not defined for resource of type AWS::Serverless::Function"},
		{"property of an API", "StageName: v1", "StageNam: v1", "t.yaml:8:7: Api: Properties.StageNam: property StageNam not defined for resource of type AWS::Serverless::Api"},
		{"no stage", "StageName: v1", "Name: x", "Api: Properties.StageName: Missing required property 'StageName'."},
		{"property not built", "Handler: a.b", "DeadLetterQueue: {Type: SQS, TargetArn: x}", "F: Properties.DeadLetterQueue: the property DeadLetterQueue is not implemented"},
		{"no code", "InlineCode: x", "Timeout: 3", "Either 'InlineCode', 'CodeUri' or 'ImageUri' must be set"},
		{"local code", "InlineCode: x", "CodeUri: src/", "'CodeUri' is not a valid S3 Uri of the form 's3://bucket/key'"},
		{"globals", "Runtime: nodejs20.x", "Runtme: nodejs20.x", "'Runtme' is not a supported property of 'Function'"},
		{"section of globals", "  Function: {", "  Functions: {", "'Functions' is not supported. Must be one of the following values"},
		{"authorizer of an event", "Authorizer: Pool}}}", "Authorizer: Pol}}}", "Unable to set Authorizer [Pol] on API method [get] for path [/x] because it wasn't defined in the API's Authorizers."},
		{"default authorizer", "DefaultAuthorizer: Pool", "DefaultAuthorizer: Pol", "Unable to set DefaultAuthorizer because 'Pol' was not defined in 'Authorizers'."},
		{"property of Auth", "DefaultAuthorizer: Pool", "DefaultAuth: Pool", "Invalid value for 'Auth' property"},
		{"authorizer without a source", `UserPoolArn: "arn:pool"`, "AuthorizationScopes: [a]", "an authorizer needs UserPoolArn or FunctionArn"},
		{"property of an authorizer", `UserPoolArn: "arn:pool"`, `UserPoolArn: "arn:pool", Scopes: [a]`, "Api: Properties.Auth.Authorizers.Pool.Scopes: unknown property"},
		{"API of an event", "!Ref Api", "!Ref Apii", "RestApiId must be a valid reference to an 'AWS::Serverless::Api' resource in same template."},
		{"event type", "Type: Api,", "Type: SNS,", "F: Properties.Events.Get.Type: the event type SNS is not implemented"},
		{"event property", "Path: /x", "Pth: /x", "Event is missing key 'Path' or 'Method'"},
		{"policy template", "SSMParameterReadPolicy: {ParameterName: p}", "S3ReadPolicy: {BucketName: b}", "the policy template S3ReadPolicy is not implemented"},
		{"parameter of a policy template", "ParameterName: p", "Name: p", "the policy template SSMParameterReadPolicy needs ParameterName"},
		{"resource type", "AWS::Serverless::Api", "AWS::Serverless::HttpApi", "the resource type AWS::Serverless::HttpApi is not implemented"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(good, tc.from) {
				t.Fatalf("%q is not in the template", tc.from)
			}
			_, err := expand(t, strings.Replace(good, tc.from, tc.to, 1))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestTransform_references(t *testing.T) {
	t.Parallel()
	out, err := expand(t, good+`Outputs:
  Stage: {Value: !Ref Api.Stage}
  Text: {Value: !Sub "x-${Api.Deployment}-${F.Arn}"}
`)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.At("Outputs", "Stage", "Value", "Ref").Str(); got != "Apiv1Stage" {
		t.Errorf("Ref Api.Stage = %s", got)
	}
	if got := out.At("Outputs", "Text", "Value", "Fn::Sub").Str(); !strings.HasPrefix(got, "x-${ApiDeployment") || !strings.HasSuffix(got, "-${F.Arn}") {
		t.Errorf("Sub = %s", got)
	}
}

// The order was read from Python 2.7.
func TestPython_keys(t *testing.T) {
	t.Parallel()
	py := newPython()
	d := dict("type", "a", "name", "b", "in", "c", "x-amazon-apigateway-authtype", "d")
	if got, want := strings.Join(py.keys(py.clone(d)), " "), "in type name x-amazon-apigateway-authtype"; got != want {
		t.Errorf("keys = %s, want %s", got, want)
	}
	v := dict("a", "it's", "b", list(template.NewBool(true), template.NewInt(3)))
	v.Set("ü", &template.Value{Kind: template.String, Text: "é\n"})
	if got, want := py.text(v), `{'a': "it's", 'b': [True, 3], u'\xfc': u'\xe9\n'}`; got != want {
		t.Errorf("text = %s, want %s", got, want)
	}
}

func FuzzTransform(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, "StageName: v1", "StageName: v1\n      Cors: {AllowOrigin: x, MaxAge: 1}\n      GatewayResponses: {DEFAULT_4XX: {StatusCode: 1}}\n      Models: {M: {type: object}}", 1)))
	f.Add([]byte(`{"Resources": {"F": {"Type": "AWS::Serverless::Function", "Condition": "C", "Properties": {"InlineCode": "x", "AutoPublishAlias": "live", "Events": {"E": {"Type": "Api", "Properties": {"Path": "/", "Method": "any", "RequestParameters": ["method.request.header.X"], "RequestModel": {"Model": "M"}}}}}}}}`))
	f.Fuzz(func(_ *testing.T, body []byte) {
		root, err := template.ParseValue(body, "f")
		if err != nil || !root.Is(template.Map) {
			return
		}
		_, _ = Transform(Input{Root: root})
	})
}

// Every value of a template in turn is replaced by one of another kind: a mistake is an
// error, never a crash.
func TestTransform_anyKind(t *testing.T) {
	t.Parallel()
	all := strings.Replace(good, "StageName: v1", `StageName: v1
      Cors: {AllowOrigin: "'x'", MaxAge: 1, AllowCredentials: true}
      GatewayResponses: {DEFAULT_4XX: {StatusCode: 403, ResponseParameters: {Headers: {A: b}}}}
      Models: {M: {type: object}}
      BinaryMediaTypes: [image~1png]
      EndpointConfiguration: {Type: REGIONAL}
      MethodSettings: [{HttpMethod: "*"}]
      Tags: {a: b}
      DefinitionBody: {openapi: 3.0.1, paths: {/x: {get: {security: [{Pool: []}], x-amazon-apigateway-integration: {type: mock}}}}}`, 1)
	all = strings.Replace(all, "Pool: {UserPoolArn: \"arn:pool\"}", "Pool: {UserPoolArn: \"arn:pool\"}, L: {FunctionArn: x, FunctionPayloadType: REQUEST, Identity: {Headers: [a]}}", 1)
	all += "        Imp: {Type: Api, Properties: {Path: /y, Method: post, RequestParameters: [method.request.header.X, {method.request.path.y: {Required: true}}]}}\n        Trig: {Type: Cognito, Properties: {UserPool: !Ref U, Trigger: PreSignUp}}\n  U: {Type: AWS::Cognito::UserPool}\n"
	all = strings.Replace(all, "      Auth: {Auth", "      Auth: {ApiKeyRequired: true, ResourcePolicy: {IpRangeBlacklist: [a]}, UsagePlan: {CreateUsagePlan: PER_API, Throttle: {BurstLimit: 1}}, Auth", 1)
	root, err := template.ParseValue([]byte(all), "t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Transform(Input{Root: root}); err != nil {
		t.Fatal(err)
	}
	kinds := []*template.Value{template.NewString("x"), template.NewInt(0), {Kind: template.Null}, template.NewList(template.NewString("x")), template.NewMap("x", "y"), template.NewMap("Fn::If", template.NewList(template.NewString("C"), template.NewMap("a", "b"), template.Ref("AWS::NoValue")))}
	var places []*template.Value
	var walk func(v *template.Value)
	walk = func(v *template.Value) {
		places = append(places, v)
		for _, f := range v.Fields {
			walk(f.Value)
		}
		for _, x := range v.Items {
			walk(x)
		}
	}
	walk(root)
	for _, at := range places[1:] {
		was := *at
		for _, k := range kinds {
			*at = *k.Clone()
			func() {
				defer func() {
					if p := recover(); p != nil {
						t.Errorf("%s by %s: %v", was.JSON(), k.JSON(), p)
					}
				}()
				_, _ = Transform(Input{Root: root})
			}()
		}
		*at = was
	}
}
