package stack

import (
	"context"
	"errors"
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

// running is a service with its worker at work.
func running(t *testing.T) (*Service, *world, context.Context) {
	t.Helper()
	s, w, ctx := setup(t)
	run, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(run) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for !s.serving.Load() { //nolint:revive // Run has begun soon
	}
	return s, w, ctx
}

func code(err error) string {
	var x wire.Exception
	if errors.As(err, &x) {
		return x.ErrorCode() + ": " + x.ErrorMessage()
	}
	return "no exception"
}

func create(t *testing.T, s *Service, ctx context.Context, name string, body []byte) error { //nolint:revive // t first
	t.Helper()
	_, err := s.CreateStack(ctx, &cloudformationapi.CreateStackInput{StackName: name, TemplateBody: wire.String(string(body))})
	return err
}

func TestService_CreateStack(t *testing.T) {
	t.Parallel()
	s, w, ctx := running(t)
	if err := create(t, s, ctx, "st", parameters("A=1", "B=${A}")); err != nil {
		t.Fatal(err)
	}
	if got := statusOf(t, s, ctx); got != "CREATE_COMPLETE" || w.have() != "a1=1 b1=a1" {
		t.Errorf("status %s, have %s", got, w.have())
	}
	if err := create(t, s, ctx, "st", parameters("A=1")); code(err) != "AlreadyExistsException: Stack [st] already exists" {
		t.Errorf("a second time: %v", err)
	}
	for _, tc := range []struct{ name, body, want string }{
		{"no template", "", "ValidationError: Template format error: unsupported structure."},
		{"role", `{"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {}}}}}`, "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_IAM]"},
		{"named role", `{"Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "AssumeRolePolicyDocument": {}}}}}`, "InsufficientCapabilitiesException: Requires capabilities : [CAPABILITY_NAMED_IAM]"},
		{"cycle", `{"Resources": {"A": {"Type": "AWS::SSM::Parameter", "DependsOn": "B", "Properties": {"Type": "String", "Value": "x"}}, "B": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": {"Ref": "A"}}}}}`, "ValidationError: Circular dependency between resources: [A, B]"},
		{"unknown type", `{"Resources": {"A": {"Type": "AWS::S3::Bucket"}}}`, "NotImplemented"},
		{"select", `{"Resources": {"A": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": {"Fn::Select": ["x", ["a"]]}}}}}`, ""},
		{"local code", `{"Transform": "AWS::Serverless-2016-10-31", "Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {"CodeUri": "src/", "Handler": "a.b", "Runtime": "nodejs20.x"}}}}`, "ValidationError: Template error: template:1:"},
	} {
		err := create(t, s, ctx, "x"+strings.ReplaceAll(tc.name, " ", ""), []byte(tc.body))
		if tc.want != "" && !strings.HasPrefix(code(err), tc.want) {
			t.Errorf("%s: %s, want %s", tc.name, code(err), tc.want)
		}
	}
	_, err := s.CreateStack(ctx, &cloudformationapi.CreateStackInput{StackName: "u", TemplateURL: wire.String("https://s3/x")})
	if x := wire.Exception(nil); !errors.As(err, &x) || x.HTTPStatus() != 501 {
		t.Errorf("TemplateURL: %v", err)
	}
}

func TestService_UpdateStack(t *testing.T) {
	t.Parallel()
	s, w, ctx := running(t)
	up := func(body []byte) error {
		_, err := s.UpdateStack(ctx, &cloudformationapi.UpdateStackInput{StackName: "st", TemplateBody: wire.String(string(body))})
		return err
	}
	if err := up(parameters("A=1")); code(err) != "ValidationError: Stack [st] does not exist" {
		t.Errorf("of nothing: %v", err)
	}
	if err := create(t, s, ctx, "st", parameters("A=1")); err != nil {
		t.Fatal(err)
	}
	if err := up(parameters("A=1")); code(err) != "ValidationError: No updates are to be performed." {
		t.Errorf("without a change: %v", err)
	}
	if err := up(parameters("A=2")); err != nil || statusOf(t, s, ctx) != "UPDATE_COMPLETE" || w.have() != "a1=2" {
		t.Errorf("%v, %s, %s", err, statusOf(t, s, ctx), w.have())
	}
	w.fail["Create B"] = wire.NewError(400, "Boom", "no")
	_, err := s.UpdateStack(ctx, &cloudformationapi.UpdateStackInput{StackName: "st", TemplateBody: wire.String(string(parameters("A=3", "B=${A}"))), DisableRollback: wire.Bool(true)})
	if err != nil || statusOf(t, s, ctx) != "UPDATE_FAILED" || w.have() != "a1=3" {
		t.Errorf("kept after a failure: %v, %s, %s", err, statusOf(t, s, ctx), w.have())
	}
	if _, err := s.RollbackStack(ctx, &cloudformationapi.RollbackStackInput{StackName: "st"}); err != nil || statusOf(t, s, ctx) != "UPDATE_ROLLBACK_COMPLETE" || w.have() != "a1=2" {
		t.Errorf("rolled back: %v, %s, %s", err, statusOf(t, s, ctx), w.have())
	}
	if _, err := s.RollbackStack(ctx, &cloudformationapi.RollbackStackInput{StackName: "st"}); !strings.Contains(code(err), "can not be rolled back") {
		t.Errorf("rolled back twice: %v", err)
	}
	w.fail["Update A"] = wire.NewError(400, "Boom", "no")
	if err := up(parameters("A=4")); err != nil || statusOf(t, s, ctx) != "UPDATE_ROLLBACK_FAILED" {
		t.Errorf("a rollback that fails: %v, %s", err, statusOf(t, s, ctx))
	}
	delete(w.fail, "Update A")
	if _, err := s.ContinueUpdateRollback(ctx, &cloudformationapi.ContinueUpdateRollbackInput{StackName: "st"}); err != nil || statusOf(t, s, ctx) != "UPDATE_ROLLBACK_COMPLETE" || w.have() != "a1=2" {
		t.Errorf("continued: %v, %s, %s", err, statusOf(t, s, ctx), w.have())
	}
}

func TestService_DeleteStack(t *testing.T) {
	t.Parallel()
	s, w, ctx := running(t)
	if err := create(t, s, ctx, "st", parameters("A=1")); err != nil {
		t.Fatal(err)
	}
	del := func() error {
		_, err := s.DeleteStack(ctx, &cloudformationapi.DeleteStackInput{StackName: "st"})
		return err
	}
	protect := func(on bool) {
		if _, err := s.UpdateTerminationProtection(ctx, &cloudformationapi.UpdateTerminationProtectionInput{StackName: "st", EnableTerminationProtection: on}); err != nil {
			t.Fatal(err)
		}
	}
	protect(true)
	if err := del(); code(err) != "ValidationError: Stack [st] cannot be deleted while TerminationProtection is enabled" {
		t.Errorf("protected: %v", err)
	}
	protect(false)
	w.fail["Delete A"] = wire.NewError(400, "Boom", "no")
	if err := del(); err != nil || statusOf(t, s, ctx) != "DELETE_FAILED" {
		t.Errorf("%v, %s", err, statusOf(t, s, ctx))
	}
	delete(w.fail, "Delete A")
	if err := del(); err != nil || w.have() != "" {
		t.Errorf("%v, %s", err, w.have())
	}
	if err := del(); err != nil {
		t.Errorf("of nothing: %v", err)
	}
	out, err := s.ListStacks(ctx, &cloudformationapi.ListStacksInput{StackStatusFilter: []cloudformationapi.StackStatus{"DELETE_COMPLETE"}})
	if err != nil || len(out.StackSummaries) != 1 {
		t.Fatalf("%v, %v", out, err)
	}
	byID, err := s.DescribeStacks(ctx, &cloudformationapi.DescribeStacksInput{StackName: out.StackSummaries[0].StackId})
	if err != nil || byID.Stacks[0].DeletionTime == nil {
		t.Errorf("a deleted stack by its id: %v, %v", byID, err)
	}
}

func TestService_exports(t *testing.T) {
	t.Parallel()
	s, w, ctx := running(t)
	export := func(value string) []byte {
		return []byte("Resources: {A: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: '" + value + "'}}}\nOutputs: {O: {Value: !GetAtt A.Value, Export: {Name: shared}}}\n")
	}
	user := []byte("Resources: {U: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !ImportValue shared}}}\n")
	if err := create(t, s, ctx, "early", user); err != nil {
		t.Fatal(err)
	}
	if out, err := s.DescribeStacks(ctx, &cloudformationapi.DescribeStacksInput{StackName: wire.String("early")}); err != nil || out.Stacks[0].StackStatus != "ROLLBACK_COMPLETE" {
		t.Errorf("import of nothing: %v, %v", out, err)
	}
	for name, body := range map[string][]byte{"st": export("1")} {
		if err := create(t, s, ctx, name, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := create(t, s, ctx, "user", user); err != nil || !strings.Contains(w.have(), "u1=1") {
		t.Errorf("%v, %s", err, w.have())
	}
	if err := create(t, s, ctx, "other", export("2")); err != nil {
		t.Fatal(err)
	}
	if out, _ := s.DescribeStacks(ctx, &cloudformationapi.DescribeStacksInput{StackName: wire.String("other")}); out.Stacks[0].StackStatus != "ROLLBACK_COMPLETE" {
		t.Errorf("the same export twice: %s", out.Stacks[0].StackStatus)
	}
	if _, err := s.UpdateStack(ctx, &cloudformationapi.UpdateStackInput{StackName: "st", TemplateBody: wire.String(string(export("3")))}); err != nil || statusOf(t, s, ctx) != "UPDATE_ROLLBACK_COMPLETE" {
		t.Errorf("a change of what is used: %v, %s", err, statusOf(t, s, ctx))
	}
	if _, err := s.DeleteStack(ctx, &cloudformationapi.DeleteStackInput{StackName: "st"}); !strings.Contains(code(err), "Export shared cannot be deleted as it is in use by user") {
		t.Errorf("deletion of what is used: %v", err)
	}
	imports, err := s.ListImports(ctx, &cloudformationapi.ListImportsInput{ExportName: "shared"})
	if err != nil || len(imports.Imports) != 1 || imports.Imports[0] != "user" {
		t.Errorf("imports: %v, %v", imports, err)
	}
	if _, err := s.DeleteStack(ctx, &cloudformationapi.DeleteStackInput{StackName: "user"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteStack(ctx, &cloudformationapi.DeleteStackInput{StackName: "st"}); err != nil {
		t.Errorf("no longer used: %v", err)
	}
	if out, err := s.ListExports(ctx, &cloudformationapi.ListExportsInput{}); err != nil || len(out.Exports) != 0 {
		t.Errorf("exports: %v, %v", out, err)
	}
}

func TestService_changeSets(t *testing.T) {
	t.Parallel()
	s, w, ctx := running(t)
	set := func(name, typ string, body []byte) (*cloudformationapi.DescribeChangeSetOutput, error) {
		_, err := s.CreateChangeSet(ctx, &cloudformationapi.CreateChangeSetInput{StackName: "st", ChangeSetName: name, ChangeSetType: cloudformationapi.ChangeSetType(typ), TemplateBody: wire.String(string(body))})
		if err != nil {
			return nil, err
		}
		return s.DescribeChangeSet(ctx, &cloudformationapi.DescribeChangeSetInput{ChangeSetName: name, StackName: wire.String("st"), IncludePropertyValues: wire.Bool(true)})
	}
	execute := func(name string) error {
		_, err := s.ExecuteChangeSet(ctx, &cloudformationapi.ExecuteChangeSetInput{ChangeSetName: name, StackName: wire.String("st")})
		return err
	}
	if _, err := set("u", "UPDATE", parameters("A=1")); code(err) != "ValidationError: Stack [st] does not exist" {
		t.Errorf("update of nothing: %v", err)
	}
	out, err := set("c1", "CREATE", parameters("A=1", "B=${A}"))
	if err != nil || len(out.Changes) != 2 || out.Status != "CREATE_COMPLETE" || out.ExecutionStatus != "AVAILABLE" {
		t.Fatalf("%+v, %v", out, err)
	}
	if got := wire.Value(out.Changes[1].ResourceChange.AfterContext); got != `{"Properties":{"Type":"String","Value":"`+knownLater+`"}}` {
		t.Errorf("what is known later: %s", got)
	}
	if got := statusOf(t, s, ctx); got != "REVIEW_IN_PROGRESS" || w.have() != "" {
		t.Errorf("before it is executed: %s, %s", got, w.have())
	}
	if _, err := set("c2", "CREATE", parameters("A=1")); err != nil {
		t.Fatal(err)
	}
	if err := execute("c1"); err != nil || statusOf(t, s, ctx) != "CREATE_COMPLETE" {
		t.Errorf("%v, %s", err, statusOf(t, s, ctx))
	}
	if err := execute("c2"); !strings.HasPrefix(code(err), "InvalidChangeSetStatus: ") {
		t.Errorf("an obsolete one: %v", err)
	}
	if _, err := set("c3", "CREATE", parameters("A=1")); !strings.Contains(code(err), "already exists and cannot be created again with the changeSet [c3]") {
		t.Errorf("creation of what exists: %v", err)
	}
	if out, err = set("same", "UPDATE", parameters("A=1", "B=${A}")); err != nil || out.Status != "FAILED" || !strings.Contains(wire.Value(out.StatusReason), "didn't contain changes") {
		t.Errorf("without a change: %+v, %v", out, err)
	}
	out, err = set("m", "UPDATE", parameters("A:new=1", "C=x", "B=${A}"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range out.Changes {
		got = append(got, string(c.ResourceChange.Action)+" "+wire.Value(c.ResourceChange.LogicalResourceId)+" "+string(c.ResourceChange.Replacement))
	}
	if strings.Join(got, ", ") != "Modify A True, Add C , Modify B False" {
		t.Errorf("changes: %v", got)
	}
	if err := execute("m"); err != nil || statusOf(t, s, ctx) != "UPDATE_COMPLETE" || w.have() != "b1=new c1=x new=1" {
		t.Errorf("%v, %s, %s", err, statusOf(t, s, ctx), w.have())
	}
	if err := execute("nope"); code(err) != "ChangeSetNotFound: ChangeSet [nope] does not exist" {
		t.Errorf("%v", err)
	}
	if _, err := s.DeleteChangeSet(ctx, &cloudformationapi.DeleteChangeSetInput{ChangeSetName: "x"}); code(err) != "ValidationError: StackName must be specified if ChangeSetName is not specified as an ARN." {
		t.Errorf("%v", err)
	}
	list, err := s.ListChangeSets(ctx, &cloudformationapi.ListChangeSetsInput{StackName: "st"})
	if err != nil || len(list.Summaries) != 4 {
		t.Errorf("%d change sets, %v", len(list.Summaries), err)
	}
	if _, err := s.DescribeChangeSet(ctx, &cloudformationapi.DescribeChangeSetInput{ChangeSetName: "x", StackName: wire.String("somestack")}); code(err) != "ValidationError: Stack [somestack] does not exist" {
		t.Errorf("%v", err)
	}
}

func TestService_describe(t *testing.T) {
	t.Parallel()
	s, _, ctx := running(t)
	const body = `
Parameters: {Secret: {Type: String, NoEcho: true}, Open: {Type: String, Default: shown}}
Resources:
  A: {Type: AWS::SSM::Parameter, Metadata: {Note: x}, Properties: {Type: String, Value: !Ref Secret}}
  Api: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: x, Name: abcdef1234}}
Outputs:
  Url: {Value: !Sub "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/v1", Description: d}
  Foreign: {Value: !Sub "https://zzzzzz1234.execute-api.${AWS::Region}.${AWS::URLSuffix}/v1"}
`
	_, err := s.CreateStack(ctx, &cloudformationapi.CreateStackInput{StackName: "st", TemplateBody: wire.String(body),
		Parameters: []cloudformationapi.Parameter{{ParameterKey: wire.String("Secret"), ParameterValue: wire.String("s3cret")}}, Tags: []cloudformationapi.Tag{{Key: "team", Value: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.DescribeStacks(ctx, &cloudformationapi.DescribeStacksInput{StackName: wire.String("st")})
	if err != nil {
		t.Fatal(err)
	}
	st := out.Stacks[0]
	if wire.Value(st.Parameters[0].ParameterValue) != "****" || wire.Value(st.Parameters[1].ParameterValue) != "shown" {
		t.Errorf("parameters: %s, %s", wire.Value(st.Parameters[0].ParameterValue), wire.Value(st.Parameters[1].ParameterValue))
	}
	if got := wire.Value(st.Outputs[0].OutputValue); got != "http://localhost:4566/restapis/abcdef1234/v1/_user_request_" {
		t.Errorf("output: %s", got)
	}
	if got := wire.Value(st.Outputs[1].OutputValue); got != "https://zzzzzz1234.execute-api.eu-west-1.amazonaws.com/v1" {
		t.Errorf("output of what is not ours: %s", got)
	}
	if st.Tags[0].Key != "team" || *st.EnableTerminationProtection {
		t.Errorf("stack: %+v", st)
	}
	events, err := s.DescribeStackEvents(ctx, &cloudformationapi.DescribeStackEventsInput{StackName: "st"})
	if err != nil || len(events.StackEvents) != 8 || events.StackEvents[0].ResourceStatus != "CREATE_COMPLETE" || wire.Value(events.StackEvents[0].ResourceType) != stackType {
		t.Errorf("events: %+v, %v", events, err)
	}
	one, err := s.DescribeStackResource(ctx, &cloudformationapi.DescribeStackResourceInput{StackName: "st", LogicalResourceId: "A"})
	if err != nil || wire.Value(one.StackResourceDetail.Metadata) != `{"Note":"x"}` {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := s.DescribeStackResource(ctx, &cloudformationapi.DescribeStackResourceInput{StackName: "st", LogicalResourceId: "B"}); code(err) != "ValidationError: Resource B does not exist for stack st" {
		t.Errorf("%v", err)
	}
	byPhysical, err := s.DescribeStackResources(ctx, &cloudformationapi.DescribeStackResourcesInput{PhysicalResourceId: wire.String("a1")})
	if err != nil || len(byPhysical.StackResources) != 2 || wire.Value(byPhysical.StackResources[0].StackName) != "st" {
		t.Errorf("%+v, %v", byPhysical, err)
	}
	tpl, err := s.GetTemplate(ctx, &cloudformationapi.GetTemplateInput{StackName: wire.String("st")})
	if err != nil || wire.Value(tpl.TemplateBody) != body {
		t.Errorf("%+v, %v", tpl, err)
	}
	if _, err := s.GetTemplate(ctx, &cloudformationapi.GetTemplateInput{StackName: wire.String("nope")}); code(err) != "ValidationError: Stack with id nope does not exist" {
		t.Errorf("%v", err)
	}
	if _, err := s.DescribeStackEvents(ctx, &cloudformationapi.DescribeStackEventsInput{StackName: "does-not-exist"}); code(err) != "ValidationError: Stack [does-not-exist] does not exist" {
		t.Errorf("%v", err)
	}
	sum, err := s.GetTemplateSummary(ctx, &cloudformationapi.GetTemplateSummaryInput{StackName: wire.String("st")})
	if err != nil || len(sum.Parameters) != 2 || sum.ResourceTypes[0] != "AWS::SSM::Parameter" {
		t.Errorf("%+v, %v", sum, err)
	}
}
