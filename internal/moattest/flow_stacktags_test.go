package moattest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// taggedStack has one of each resource type that takes tags and needs nothing of outside.
// %value is a parameter's; "" makes it one that Systems Manager refuses.
const taggedStack = `
Resources:
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Tags: [{Key: own, Value: "1"}, {Key: both, Value: own}]
      Body:
        openapi: 3.0.1
        info: {title: tagged, version: "1"}
        paths:
          /x: {get: {responses: {"200": {description: ok}}, x-amazon-apigateway-integration: {type: mock, requestTemplates: {application/json: '{"statusCode": 200}'}, responses: {default: {statusCode: "200"}}}}}
  Deployment: {Type: "AWS::ApiGateway::Deployment", Properties: {RestApiId: !Ref Api}}
  Stage:
    Type: AWS::ApiGateway::Stage
    Properties: {RestApiId: !Ref Api, DeploymentId: !Ref Deployment, StageName: v1, AccessLogSetting: {DestinationArn: !GetAtt Group.Arn, Format: "$context.requestId tagged"}}
  Key: {Type: "AWS::ApiGateway::ApiKey", Properties: {Name: k, Enabled: true}}
  Plan: {Type: "AWS::ApiGateway::UsagePlan", Properties: {UsagePlanName: p}}
  Certificate: {Type: "AWS::ApiGateway::ClientCertificate", Properties: {Description: d}}
  Pool: {Type: "AWS::Cognito::UserPool", Properties: {UserPoolName: tagged}}
  Identities: {Type: "AWS::Cognito::IdentityPool", Properties: {AllowUnauthenticatedIdentities: false}}
  Role:
    Type: AWS::IAM::Role
    Properties: {AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]}}
  User: {Type: "AWS::IAM::User", Properties: {UserName: tagged}}
  Function:
    Type: AWS::Lambda::Function
    Properties: {Role: !GetAtt Role.Arn, Runtime: %runtime, Handler: index.handler, Code: {ZipFile: "exports.handler = async () => 1"}}
  Group: {Type: "AWS::Logs::LogGroup", Properties: {LogGroupName: tagged}}
  Parameter: {Type: "AWS::SSM::Parameter", Properties: {Name: tagged, Type: String, Value: kept, Tags: {own: "1", both: own}}}
  Last: {Type: "AWS::SSM::Parameter", DependsOn: [Stage, Key, Plan, Certificate, Pool, Identities, User, Function, Parameter], Properties: {Name: last, Type: String, Value: "%value", AllowedPattern: "^[a-z]+$"}}
Outputs:
  Api: {Value: !Ref Api}
  Key: {Value: !Ref Key}
  Plan: {Value: !Ref Plan}
  Certificate: {Value: !Ref Certificate}
  Pool: {Value: !GetAtt Pool.Arn}
  Identities: {Value: !Ref Identities}
  Role: {Value: !Ref Role}
  Function: {Value: !GetAtt Function.Arn}
`

// tagsEverywhere are the tags of all that taggedStack makes, but those of CloudFormation's own.
func (m *Moat) tagsEverywhere(t *testing.T, out map[string]string) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	keep := func(name string, tags map[string]string) {
		all[name] = map[string]string{}
		for k, v := range tags {
			if !strings.HasPrefix(k, "aws:") {
				all[name][k] = v
			}
		}
	}
	get := func(name, service, method, path, body, member string, header ...string) {
		t.Helper()
		status, answer := m.signed(t, rootKey(), service, method, path, body, header...)
		var v map[string]json.RawMessage
		if status != 200 || json.Unmarshal([]byte(answer), &v) != nil {
			t.Fatalf("%s: %d %s", name, status, answer)
		}
		var tags map[string]string
		if json.Unmarshal(v[member], &tags) != nil {
			var list []struct{ Key, Value string }
			_ = json.Unmarshal(v[member], &list)
			tags = map[string]string{}
			for _, x := range list {
				tags[x.Key] = x.Value
			}
		}
		keep(name, tags)
	}
	for name, path := range map[string]string{
		"Api": "/restapis/" + out["Api"], "Stage": "/restapis/" + out["Api"] + "/stages/v1", "Key": "/apikeys/" + out["Key"],
		"Plan": "/usageplans/" + out["Plan"], "Certificate": "/clientcertificates/" + out["Certificate"],
	} {
		get(name, "apigateway", "GET", "/tags/"+url.PathEscape("arn:aws:apigateway:us-east-1::"+path), "", "tags")
	}
	const one = "application/x-amz-json-1.1"
	get("Pool", "cognito-idp", "POST", "/", `{"ResourceArn":"`+out["Pool"]+`"}`, "Tags", "X-Amz-Target", "AWSCognitoIdentityProviderService.ListTagsForResource", "Content-Type", one)
	get("Identities", "cognito-identity", "POST", "/", `{"ResourceArn":"arn:aws:cognito-identity:us-east-1:`+flowAccount+`:identitypool/`+out["Identities"]+`"}`, "Tags",
		"X-Amz-Target", "AWSCognitoIdentityService.ListTagsForResource", "Content-Type", one)
	get("Function", "lambda", "GET", "/2017-03-31/tags/"+url.PathEscape(out["Function"]), "", "Tags")
	get("Group", "logs", "POST", "/", `{"resourceArn":"arn:aws:logs:us-east-1:`+flowAccount+`:log-group:tagged"}`, "tags", "X-Amz-Target", "Logs_20140328.ListTagsForResource", "Content-Type", one)
	for _, name := range []string{"Parameter", "Last"} {
		get(name, "ssm", "POST", "/", `{"ResourceType":"Parameter","ResourceId":"`+map[string]string{"Parameter": "tagged", "Last": "last"}[name]+`"}`, "TagList",
			"X-Amz-Target", "AmazonSSM.ListTagsForResource", "Content-Type", one)
	}
	for name, call := range map[string][3]string{"Role": {"ListRoleTags", "RoleName", out["Role"]}, "User": {"ListUserTags", "UserName", "tagged"}} {
		tags := map[string]string{}
		for _, member := range strings.Split(m.must(t, "iam", call[0], call[1], call[2]), "<member>")[1:] {
			tags[element(member, "Key")] = element(member, "Value")
		}
		keep(name, tags)
	}
	return all
}

// Tags of a stack that change alone reach every resource that takes tags, and a rollback gives
// the old ones back. A resource's own tags win, and nothing but tags is touched.
func TestFlow_stackTags(t *testing.T) {
	t.Parallel()
	m := New(t)
	template := func(value string) string {
		return strings.NewReplacer("%value", value, "%runtime", nodeRuntime(t)).Replace(taggedStack)
	}
	stack := func(action, value string, tags ...string) {
		t.Helper()
		params := []string{"StackName", "tagged", "TemplateBody", template(value), "Capabilities.member.1", "CAPABILITY_NAMED_IAM"}
		for i := 0; i < len(tags); i += 2 {
			n := fmt.Sprint("Tags.member.", i/2+1)
			params = append(params, n+".Key", tags[i], n+".Value", tags[i+1])
		}
		m.must(t, "cloudformation", action, params...)
	}
	var out map[string]string
	check := func(what, want string, tags ...string) {
		t.Helper()
		status, why := m.stackStatus(t, "tagged")
		if status != want {
			t.Fatalf("%s: %s %s", what, status, why)
		}
		if out == nil {
			out = map[string]string{}
			for _, member := range strings.Split(outputsOf(m.must(t, "cloudformation", "DescribeStacks", "StackName", "tagged")), "<member>") {
				out[element(member, "OutputKey")] = element(member, "OutputValue")
			}
		}
		expected := map[string]string{}
		for i := 0; i < len(tags); i += 2 {
			expected[tags[i]] = tags[i+1]
		}
		all := m.tagsEverywhere(t, out)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			want := maps.Clone(expected)
			if name == "Api" || name == "Parameter" {
				want["own"], want["both"] = "1", "own"
			}
			if !maps.Equal(all[name], want) {
				t.Errorf("%s: %s has %v, want %v", what, name, all[name], want)
			}
		}
	}
	stack("CreateStack", "a", "team", "red", "both", "stack")
	check("created", "CREATE_COMPLETE", "team", "red", "both", "stack")
	stack("UpdateStack", "a", "team", "blue", "cost", "1")
	check("tags alone", "UPDATE_COMPLETE", "team", "blue", "cost", "1")
	if _, answer := m.signed(t, rootKey(), "ssm", "POST", "/", `{"Name":"tagged"}`, "X-Amz-Target", "AmazonSSM.GetParameter", "Content-Type", "application/x-amz-json-1.1"); !strings.Contains(answer, `"Version":1`) {
		t.Errorf("tags made a new version: %s", answer)
	}
	stack("UpdateStack", "7", "team", "green", "new", "2") // the last parameter does not match its pattern
	check("rolled back", "UPDATE_ROLLBACK_COMPLETE", "team", "blue", "cost", "1")
	if status, answer := m.form(t, rootKey(), "cloudformation", "UpdateStack", "StackName", "tagged", "TemplateBody", template("a"), "Capabilities.member.1", "CAPABILITY_NAMED_IAM",
		"Tags.member.1.Key", "team", "Tags.member.1.Value", "blue", "Tags.member.2.Key", "cost", "Tags.member.2.Value", "1"); status != 400 || !strings.Contains(answer, "No updates are to be performed") {
		t.Errorf("the same tags: %d %s", status, answer)
	}
	m.must(t, "cloudformation", "CreateChangeSet", "StackName", "tagged", "ChangeSetName", "c", "UsePreviousTemplate", "true", "Capabilities.member.1", "CAPABILITY_NAMED_IAM", "Tags.member.1.Key", "team", "Tags.member.1.Value", "last")
	answer := m.must(t, "cloudformation", "DescribeChangeSet", "StackName", "tagged", "ChangeSetName", "c")
	if n := strings.Count(answer, "<Scope><member>Tags</member></Scope>"); n != 13 {
		t.Errorf("the change set shows %d changes of tags: %s", n, answer)
	}
	m.must(t, "cloudformation", "ExecuteChangeSet", "StackName", "tagged", "ChangeSetName", "c")
	check("by a change set", "UPDATE_COMPLETE", "team", "last")
	stack("UpdateStack", "b")
	check("without tags given", "UPDATE_COMPLETE", "team", "last")
}

// outputsOf is the part of a description with the outputs.
func outputsOf(answer string) string {
	_, rest, _ := strings.Cut(answer, "<Outputs>")
	outputs, _, _ := strings.Cut(rest, "</Outputs>")
	return outputs
}
