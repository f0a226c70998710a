package moattest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
)

// These tests follow one identity through the house: from the caller of an AWS call
// to what CloudFormation, the gateway and functions do in somebody's name.

const flowAccount = "000000000000"

func rootKey() sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}
}

// signed makes a call of an AWS API in somebody's name.
func (m *Moat) signed(t *testing.T, who sigv4.Credentials, service, method, target, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, m.loopback(target), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	r := sigv4.Request{Method: method, Path: req.URL.EscapedPath(), RawQuery: req.URL.RawQuery, Host: req.URL.Host, Header: req.Header}
	sigv4.Sign(&r, sigv4.HashOf([]byte(body)), who, "us-east-1", service, m.Clock.Now())
	return do(t, req)
}

// form makes a call of a query API: an action and its parameters.
func (m *Moat) form(t *testing.T, who sigv4.Credentials, service, action string, params ...string) (int, string) {
	t.Helper()
	version := map[string]string{"iam": "2010-05-08", "sts": "2011-06-15", "cloudformation": "2010-05-15"}[service]
	v := url.Values{"Action": {action}, "Version": {version}}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	return m.signed(t, who, service, "POST", "/", v.Encode(), "Content-Type", "application/x-www-form-urlencoded")
}

// must is form by root, which has to succeed.
func (m *Moat) must(t *testing.T, service, action string, params ...string) string {
	t.Helper()
	status, answer := m.form(t, rootKey(), service, action, params...)
	if status != 200 {
		t.Fatalf("%s: %d %s", action, status, answer)
	}
	return answer
}

func element(answer, name string) string {
	if m := regexp.MustCompile(`<` + name + `>([^<]*)</` + name + `>`).FindStringSubmatch(answer); m != nil {
		return strings.NewReplacer("&#34;", `"`, "&quot;", `"`, "&amp;", "&", "&lt;", "<", "&gt;", ">", "&#39;", "'").Replace(m[1])
	}
	return ""
}

// user makes a user with one inline policy and an access key.
func (m *Moat) user(t *testing.T, name string, statements ...string) sigv4.Credentials {
	t.Helper()
	m.must(t, "iam", "CreateUser", "UserName", name)
	m.allow(t, "User", name, statements...)
	answer := m.must(t, "iam", "CreateAccessKey", "UserName", name)
	return sigv4.Credentials{AccessKeyID: element(answer, "AccessKeyId"), SecretAccessKey: element(answer, "SecretAccessKey")}
}

// role makes a role that a principal may assume, with one inline policy, and gives its ARN.
func (m *Moat) role(t *testing.T, name, trusted string, statements ...string) string {
	t.Helper()
	answer := m.must(t, "iam", "CreateRole", "RoleName", name, "AssumeRolePolicyDocument",
		`{"Version":"2012-10-17","Statement":[`+trusted+`]}`)
	m.allow(t, "Role", name, statements...)
	return element(answer, "Arn")
}

// allow replaces the policy of a user or role.
func (m *Moat) allow(t *testing.T, kind, name string, statements ...string) {
	t.Helper()
	if len(statements) > 0 {
		m.must(t, "iam", "Put"+kind+"Policy", kind+"Name", name, "PolicyName", "p", "PolicyDocument", `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`)
	}
}

func allows(action, resource string) string {
	return `{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}`
}

func trusts(service string) string {
	return `{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}`
}

// assume makes a session of a role.
func (m *Moat) assume(t *testing.T, who sigv4.Credentials, role string, params ...string) sigv4.Credentials {
	t.Helper()
	status, answer := m.form(t, who, "sts", "AssumeRole", append(params, "RoleArn", role, "RoleSessionName", "flow")...)
	if status != 200 {
		t.Fatalf("AssumeRole: %d %s", status, answer)
	}
	return sigv4.Credentials{AccessKeyID: element(answer, "AccessKeyId"), SecretAccessKey: element(answer, "SecretAccessKey"), SessionToken: element(answer, "SessionToken")}
}

// parameter reads a parameter as root; empty when there is none.
func (m *Moat) parameter(t *testing.T, name string) string {
	t.Helper()
	_, answer := m.signed(t, rootKey(), "ssm", "POST", "/", `{"Name":"`+name+`"}`, "X-Amz-Target", "AmazonSSM.GetParameter", "Content-Type", "application/x-amz-json-1.1")
	var out struct{ Parameter struct{ Value string } }
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		t.Fatal(err)
	}
	return out.Parameter.Value
}

// stackStatus is a stack's status when its operation is over, and the reasons of what failed, in
// the words of its events. A call may be answered before that: a waiter looks again, as clients do.
func (m *Moat) stackStatus(t *testing.T, name string) (status, failures string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		status = element(m.must(t, "cloudformation", "DescribeStacks", "StackName", name), "StackStatus")
		if !strings.HasSuffix(status, "_IN_PROGRESS") || time.Now().After(end) {
			break
		}
	}
	events := m.must(t, "cloudformation", "DescribeStackEvents", "StackName", name)
	for _, e := range strings.Split(events, "<member>") {
		if strings.HasSuffix(element(e, "ResourceStatus"), "_FAILED") {
			failures += element(e, "ResourceStatusReason") + "\n"
		}
	}
	return status, failures
}

func oneParameter(value string) string {
	return `{"Resources":{"P":{"Type":"AWS::SSM::Parameter","Properties":{"Name":"/flow/p","Type":"String","Value":"` + value + `"}}}}`
}
