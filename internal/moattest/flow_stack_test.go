package moattest

import (
	"strings"
	"testing"

	"moat/internal/pure/sigv4"
)

const cloudFormation = "cloudformation.amazonaws.com"

// A stack with a role: who may pass it gives it, the role's rights make the resources,
// and whoever may update the stack updates it with them, without the right to pass.
func TestFlow_stackRole(t *testing.T) {
	t.Parallel()
	m := New(t)
	role := m.role(t, "maker", trusts(cloudFormation), allows("ssm:*", "*"))
	deployer := m.user(t, "deployer", allows("cloudformation:*", "*"), allows("iam:PassRole", role))
	updater := m.user(t, "updater", allows("cloudformation:*", "*"))

	refused := func(what string, who sigv4.Credentials, code, sentence, action string, params ...string) {
		t.Helper()
		status, answer := m.form(t, who, "cloudformation", action, params...)
		if status/100 != 4 || element(answer, "Code") != code || !strings.Contains(element(answer, "Message"), sentence) {
			t.Errorf("%s: %d %s, want %s: %s", what, status, answer, code, sentence)
		}
	}
	call := func(who sigv4.Credentials, action string, params ...string) {
		t.Helper()
		if status, answer := m.form(t, who, "cloudformation", action, params...); status != 200 {
			t.Fatalf("%s: %d %s", action, status, answer)
		}
	}
	const pass = "is not authorized to perform: iam:PassRole on resource: arn:aws:iam::" + flowAccount + ":role/maker"
	refused("no right to pass", updater, "AccessDenied", pass, "CreateStack", "StackName", "s", "TemplateBody", oneParameter("1"), "RoleARN", role)
	refused("no right to pass in a change set", updater, "AccessDenied", pass, "CreateChangeSet", "StackName", "s", "ChangeSetName", "c", "ChangeSetType", "CREATE", "TemplateBody", oneParameter("1"), "RoleARN", role)

	// Without a role it is the caller's rights that count, and the refusal stands in the events.
	call(updater, "CreateStack", "StackName", "own", "TemplateBody", oneParameter("own"))
	if status, why := m.stackStatus(t, "own"); status != "ROLLBACK_COMPLETE" || !strings.Contains(why, "user/updater is not authorized to perform: ssm:PutParameter on resource: arn:aws:ssm:us-east-1:"+flowAccount+":parameter/flow/p") {
		t.Errorf("own: %s %s", status, why)
	}

	call(deployer, "CreateStack", "StackName", "s", "TemplateBody", oneParameter("1"), "RoleARN", role)
	if got := m.parameter(t, "/flow/p"); got != "1" {
		status, why := m.stackStatus(t, "s")
		t.Fatalf("created: %q, %s %s", got, status, why)
	}
	if got := element(m.must(t, "cloudformation", "DescribeStacks", "StackName", "s"), "RoleARN"); got != role {
		t.Errorf("the stack remembers %q", got)
	}

	call(updater, "UpdateStack", "StackName", "s", "TemplateBody", oneParameter("2"))
	if got := m.parameter(t, "/flow/p"); got != "2" {
		t.Errorf("updated: %q", got)
	}
	refused("the role given again", updater, "AccessDenied", pass, "UpdateStack", "StackName", "s", "TemplateBody", oneParameter("3"), "RoleARN", role)
	call(updater, "CreateChangeSet", "StackName", "s", "ChangeSetName", "c", "TemplateBody", oneParameter("3"))
	call(updater, "ExecuteChangeSet", "StackName", "s", "ChangeSetName", "c")
	if got := m.parameter(t, "/flow/p"); got != "3" {
		t.Errorf("by change set: %q", got)
	}

	// A role that lost its rights: refused in its name, and rolled back in its name.
	m.allow(t, "Role", "maker", allows("ssm:*", "*"), `{"Effect":"Deny","Action":"ssm:PutParameter","Resource":"*"}`)
	call(updater, "UpdateStack", "StackName", "s", "TemplateBody", oneParameter("4"))
	if status, why := m.stackStatus(t, "s"); status != "UPDATE_ROLLBACK_FAILED" && status != "UPDATE_ROLLBACK_COMPLETE" ||
		!strings.Contains(why, "assumed-role/maker/AWSCloudFormation is not authorized to perform: ssm:PutParameter") || !strings.Contains(why, "explicit deny") {
		t.Errorf("denied: %s %s", status, why)
	}
	m.allow(t, "Role", "maker", allows("ssm:*", "*"))
	if status, _ := m.stackStatus(t, "s"); status == "UPDATE_ROLLBACK_FAILED" {
		refused("no right to pass for the rollback", updater, "AccessDenied", pass, "ContinueUpdateRollback", "StackName", "s", "RoleARN", role)
		call(updater, "ContinueUpdateRollback", "StackName", "s")
		if status, why := m.stackStatus(t, "s"); status != "UPDATE_ROLLBACK_COMPLETE" {
			t.Errorf("rolled back: %s %s", status, why)
		}
	}

	// A role that is gone: AWS's sentence, and another one to delete the stack with.
	m.must(t, "iam", "DeleteRolePolicy", "RoleName", "maker", "PolicyName", "p")
	m.must(t, "iam", "DeleteRole", "RoleName", "maker")
	refused("the role is gone", updater, "ValidationError", "Role "+role+" is invalid or cannot be assumed", "DeleteStack", "StackName", "s")
	other := m.role(t, "other", trusts(cloudFormation), allows("ssm:*", "*"))
	m.allow(t, "User", "deployer", allows("cloudformation:*", "*"), allows("iam:PassRole", other))
	refused("another one, not passed", updater, "AccessDenied", "iam:PassRole", "DeleteStack", "StackName", "s", "RoleARN", other)
	call(deployer, "DeleteStack", "StackName", "s", "RoleARN", other)
	if got := m.parameter(t, "/flow/p"); got != "" {
		t.Errorf("deleted: %q", got)
	}
}

// Which roles a stack may be given, and by whom.
func TestFlow_stackRoleGiven(t *testing.T) {
	t.Parallel()
	m := New(t)
	withSource := `{"Effect":"Allow","Principal":{"Service":"` + cloudFormation + `"},"Action":"sts:AssumeRole","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:cloudformation:*:` + flowAccount + `:stack/blue-*/*"}}}`
	good := m.role(t, "good", trusts(cloudFormation), allows("ssm:*", "*"))
	lambda := m.role(t, "lambda", trusts("lambda.amazonaws.com"), allows("ssm:*", "*"))
	blue := m.role(t, "blue", withSource, allows("ssm:*", "*"))
	passTo := func(service string) string {
		return `{"Effect":"Allow","Action":"iam:PassRole","Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":"` + service + `"}}}`
	}
	onlyGood := `{"Effect":"Allow","Action":"cloudformation:*","Resource":"*","Condition":{"StringEquals":{"cloudformation:RoleArn":"` + good + `"}}}`
	everyone := m.user(t, "everyone", allows("cloudformation:*", "*"), passTo(cloudFormation))
	toLambda := m.user(t, "tolambda", allows("cloudformation:*", "*"), passTo("lambda.amazonaws.com"))
	pinned := m.user(t, "pinned", onlyGood, passTo(cloudFormation))
	for _, c := range []struct {
		name, stack, role string
		who               sigv4.Credentials
		code              string
	}{
		{"passed", "a", good, everyone, ""},
		{"passed to another service", "b", good, toLambda, "AccessDenied"},
		{"a role of another service", "c", lambda, everyone, "ValidationError"},
		{"a role that is not there", "d", "arn:aws:iam::" + flowAccount + ":role/nobody", everyone, "ValidationError"},
		{"for the stacks that it trusts", "blue-1", blue, everyone, ""},
		{"for another stack", "red-1", blue, everyone, "ValidationError"},
		{"the one that cloudformation:RoleArn names", "e", good, pinned, ""},
		{"another one", "f", blue, pinned, "AccessDenied"},
		{"none", "g", "", pinned, "AccessDenied"},
	} {
		params := []string{"StackName", c.stack, "TemplateBody", strings.ReplaceAll(oneParameter(c.name), "/flow/p", "/flow/"+c.stack)}
		if c.role != "" {
			params = append(params, "RoleARN", c.role)
		}
		status, answer := m.form(t, c.who, "cloudformation", "CreateStack", params...)
		if element(answer, "Code") != c.code || (status == 200) != (c.code == "") {
			t.Errorf("%s: %d %s, want %q", c.name, status, answer, c.code)
		}
		if c.code == "" && m.parameter(t, "/flow/"+c.stack) != c.name {
			status, why := m.stackStatus(t, c.stack)
			t.Errorf("%s: %s %s", c.name, status, why)
		}
		if c.code == "" {
			if _, answer := m.form(t, c.who, "cloudformation", "DeleteStack", "StackName", c.stack, "RoleARN", c.role); element(answer, "Code") != "" {
				t.Errorf("%s, deleted: %s", c.name, answer)
			}
		}
	}
}

// CloudFormation in the caller's name is told by aws:CalledVia; in a role's it is not.
func TestFlow_calledVia(t *testing.T) {
	t.Parallel()
	m := New(t)
	via := `{"Effect":"Allow","Action":"ssm:*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:CalledVia":"` + cloudFormation + `"},"Bool":{"aws:ViaAWSService":"true","aws:SecureTransport":"true"}}}`
	user := m.user(t, "via", allows("cloudformation:*", "*"), allows("iam:PassRole", "*"), via)
	status, answer := m.signed(t, user, "ssm", "POST", "/", `{"Name":"/flow/p","Value":"x","Type":"String"}`, "X-Amz-Target", "AmazonSSM.PutParameter", "Content-Type", "application/x-amz-json-1.1")
	if status != 400 || !strings.Contains(answer, "AccessDeniedException") {
		t.Errorf("directly: %d %s", status, answer)
	}
	if _, answer := m.form(t, user, "cloudformation", "CreateStack", "StackName", "via", "TemplateBody", oneParameter("via")); m.parameter(t, "/flow/p") != "via" {
		status, why := m.stackStatus(t, "via")
		t.Errorf("by a stack: %s %s %s", answer, status, why)
	}
	role := m.role(t, "via", trusts(cloudFormation), via)
	m.form(t, user, "cloudformation", "CreateStack", "StackName", "byrole", "TemplateBody", strings.ReplaceAll(oneParameter("x"), "/flow/p", "/flow/q"), "RoleARN", role)
	if status, why := m.stackStatus(t, "byrole"); !strings.Contains(why, "ssm:PutParameter") || m.parameter(t, "/flow/q") != "" {
		t.Errorf("by a role: %s %s", status, why)
	}
}

// A session's own policy goes with the operation that it begins: it never widens.
func TestFlow_stackOfASession(t *testing.T) {
	t.Parallel()
	m := New(t)
	role := m.role(t, "dev", `{"Effect":"Allow","Principal":{"AWS":"`+flowAccount+`"},"Action":["sts:AssumeRole","sts:TagSession"]}`, allows("*", "*"))
	narrow := m.assume(t, rootKey(), role, "Policy", `{"Version":"2012-10-17","Statement":[`+allows("cloudformation:*", "*")+`]}`)
	m.form(t, narrow, "cloudformation", "CreateStack", "StackName", "narrow", "TemplateBody", oneParameter("x"))
	if status, why := m.stackStatus(t, "narrow"); status != "ROLLBACK_COMPLETE" || !strings.Contains(why, "because no session policy allows the ssm:PutParameter action") {
		t.Errorf("narrow: %s %s", status, why)
	}
	wide := m.assume(t, rootKey(), role)
	m.form(t, wide, "cloudformation", "CreateStack", "StackName", "wide", "TemplateBody", oneParameter("x"))
	if status, why := m.stackStatus(t, "wide"); status != "CREATE_COMPLETE" {
		t.Errorf("wide: %s %s", status, why)
	}
}
