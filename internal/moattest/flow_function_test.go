package moattest

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
)

// callerCode is a function that makes one signed call of an AWS API with the credentials
// in its environment, by Node.js alone, and tells what became of it.
const callerCode = `
const { createHash, createHmac } = require('crypto');
const sha = (s) => createHash('sha256').update(s).digest('hex');
const mac = (k, s) => createHmac('sha256', k).update(s).digest();
exports.handler = async (event) => {
  const e = process.env, call = event;
  const url = new URL(e.AWS_ENDPOINT_URL), body = call.body || '';
  const stamp = (call.now || new Date().toISOString()).replace(/[-:]|\.\d+/g, ''), day = stamp.slice(0, 8);
  const headers = { host: url.host, 'x-amz-date': stamp, 'x-amz-security-token': e.AWS_SESSION_TOKEN, ...call.headers };
  const names = Object.keys(headers).map((n) => n.toLowerCase()).sort();
  const lower = Object.fromEntries(Object.entries(headers).map(([k, v]) => [k.toLowerCase(), v]));
  const canonical = ['POST', '/', '', ...names.map((n) => n + ':' + lower[n]), '', names.join(';'), sha(body)].join('\n');
  const scope = [day, e.AWS_REGION, call.service, 'aws4_request'];
  const key = scope.reduce((k, s) => mac(k, s), 'AWS4' + e.AWS_SECRET_ACCESS_KEY);
  const signature = mac(key, ['AWS4-HMAC-SHA256', stamp, scope.join('/'), sha(canonical)].join('\n')).toString('hex');
  lower.authorization = 'AWS4-HMAC-SHA256 Credential=' + e.AWS_ACCESS_KEY_ID + '/' + scope.join('/') + ', SignedHeaders=' + names.join(';') + ', Signature=' + signature;
  delete lower.host;
  const answer = await fetch(url.origin + '/', { method: 'POST', headers: lower, body });
  return { status: answer.status, text: await answer.text(), key: e.AWS_ACCESS_KEY_ID };
};`

// function makes a function of a role, which has to succeed.
func (m *Moat) function(t *testing.T, name, role, source string) string {
	t.Helper()
	if status, answer := m.createFunction(t, name, role, source); status != 201 {
		t.Fatalf("CreateFunction: %d %s", status, answer)
	}
	return "arn:aws:lambda:us-east-1:" + flowAccount + ":function:" + name
}

func (m *Moat) createFunction(t *testing.T, name, role, source string) (int, string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node.js is not installed")
	}
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	w, err := z.Create("index.js")
	if err == nil {
		_, err = w.Write([]byte(source))
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"FunctionName": name, "Role": role, "Runtime": nodeRuntime(t), "Handler": "index.handler", "Timeout": 20, "Code": map[string]any{"ZipFile": code.Bytes()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.signed(t, rootKey(), "lambda", "POST", "/2015-03-31/functions", string(body), "Content-Type", "application/json")
}

func nodeRuntime(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		t.Skip("Node.js does not say its version")
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
	return "nodejs" + major + ".x"
}

func (m *Moat) invoke(t *testing.T, who sigv4.Credentials, function, event string) (int, string) {
	t.Helper()
	return m.signed(t, who, "lambda", "POST", "/2015-03-31/functions/"+function+"/invocations", event)
}

// inside makes a function call an API, and gives the answer that it got.
func (m *Moat) inside(t *testing.T, function, service string, headers map[string]string, body string) (status int, text, key string) {
	t.Helper()
	event, err := json.Marshal(map[string]any{"service": service, "headers": headers, "body": body, "now": m.Clock.Now().UTC().Format("2006-01-02T15:04:05Z")})
	if err != nil {
		t.Fatal(err)
	}
	code, answer := m.invoke(t, rootKey(), function, string(event))
	var out struct {
		Status    int
		Text, Key string
	}
	if err := json.Unmarshal([]byte(answer), &out); err != nil || code != 200 || out.Status == 0 {
		t.Fatalf("the function answered %d %s", code, answer)
	}
	return out.Status, out.Text, out.Key
}

func (m *Moat) insidePut(t *testing.T, function string) (int, string) {
	t.Helper()
	status, text, _ := m.inside(t, function, "ssm", map[string]string{"X-Amz-Target": "AmazonSSM.PutParameter", "Content-Type": "application/x-amz-json-1.1"},
		`{"Name":"/flow/inside","Value":"x","Type":"String","Overwrite":true}`)
	return status, text
}

// A function has the rights of its execution role, those alone, and as they are now.
func TestFlow_functionRole(t *testing.T) {
	t.Parallel()
	m := New(t)
	ssm := "arn:aws:ssm:us-east-1:" + flowAccount + ":parameter/flow/*"
	role := m.role(t, "exec", trusts("lambda.amazonaws.com"), allows("ssm:PutParameter", ssm))
	m.function(t, "f", role, callerCode)

	if status, text := m.insidePut(t, "f"); status != 200 {
		t.Fatalf("what the role may: %d %s", status, text)
	}
	status, text, key := m.inside(t, "f", "sts", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "Action=GetCallerIdentity&Version=2011-06-15")
	if status != 200 || element(text, "Arn") != "arn:aws:sts::"+flowAccount+":assumed-role/exec/f-" {
		t.Errorf("who it is: %d %s", status, text)
	}
	status, text, _ = m.inside(t, "f", "iam", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "Action=ListUsers&Version=2010-05-08")
	if status != 403 || element(text, "Code") != "AccessDenied" || !strings.Contains(text, "assumed-role/exec/f- is not authorized to perform: iam:ListUsers") {
		t.Errorf("what the role may not: %d %s", status, text)
	}

	// Its policies change: at once, in the environment that is warm.
	m.allow(t, "Role", "exec", allows("ssm:GetParameter", ssm))
	if status, text := m.insidePut(t, "f"); status != 400 || !strings.Contains(text, "ssm:PutParameter") {
		t.Errorf("after the policy changed: %d %s", status, text)
	}
	m.allow(t, "Role", "exec", allows("ssm:PutParameter", ssm))

	// Its credentials run out: the next invocation has new ones.
	m.Clock.Advance(50 * time.Minute)
	if _, _, again := m.inside(t, "f", "sts", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "Action=GetCallerIdentity&Version=2011-06-15"); again != key {
		t.Errorf("credentials that are good were replaced")
	}
	m.Clock.Advance(time.Hour)
	if status, text, again := m.inside(t, "f", "sts", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "Action=GetCallerIdentity&Version=2011-06-15"); status != 200 || again == key {
		t.Errorf("after the credentials ran out: %d %s, the same key: %v", status, text, again == key)
	}

	// Its sessions are revoked, as the console revokes them.
	m.allow(t, "Role", "exec", allows("ssm:PutParameter", ssm), `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"`+m.Clock.Now().Add(time.Minute).UTC().Format(time.RFC3339)+`"}}}`)
	if status, text := m.insidePut(t, "f"); status != 400 || !strings.Contains(text, "explicit deny") {
		t.Errorf("after its sessions were revoked: %d %s", status, text)
	}
	m.allow(t, "Role", "exec", allows("ssm:PutParameter", ssm))

	// Its role is deleted, and made again by the same name: another role.
	m.must(t, "iam", "DeleteRolePolicy", "RoleName", "exec", "PolicyName", "p")
	m.must(t, "iam", "DeleteRole", "RoleName", "exec")
	if status, text := m.insidePut(t, "f"); status == 200 || !strings.Contains(text, "UnrecognizedClientException") {
		t.Errorf("after its role was deleted: %d %s", status, text)
	}
	m.role(t, "exec", trusts("lambda.amazonaws.com"), allows("ssm:*", "*"))
	if status, text := m.insidePut(t, "f"); status == 200 {
		t.Errorf("with the sessions of the role that was: %d %s", status, text)
	}
	m.Clock.Advance(2 * time.Hour)
	if status, text := m.insidePut(t, "f"); status != 200 {
		t.Errorf("with a session of the new role: %d %s", status, text)
	}
}

// A function's own policy lets IAM callers of its account in without a policy of theirs,
// and a Deny of theirs keeps them out.
func TestFlow_functionPolicy(t *testing.T) {
	t.Parallel()
	m := New(t)
	m.function(t, "ran", m.role(t, "exec", trusts("lambda.amazonaws.com")), ranCode)
	if status, answer := m.signed(t, rootKey(), "lambda", "POST", "/2015-03-31/functions/ran/aliases", `{"Name":"live","FunctionVersion":"$LATEST"}`, "Content-Type", "application/json"); status != 201 {
		t.Fatalf("CreateAlias: %d %s", status, answer)
	}
	friend, stranger := m.user(t, "friend"), m.user(t, "stranger")
	barred := m.user(t, "barred", `{"Effect":"Deny","Action":"lambda:*","Resource":"*"}`)
	trusted := `{"Effect":"Allow","Principal":{"AWS":"` + flowAccount + `"},"Action":"sts:AssumeRole"}`
	role := m.role(t, "worker", trusted)
	session := m.assume(t, rootKey(), role)
	narrow := m.assume(t, rootKey(), role, "Policy", `{"Version":"2012-10-17","Statement":[`+allows("s3:*", "*")+`]}`)
	user := "arn:aws:iam::" + flowAccount + ":user/"
	permit := func(sid, action, principal string, more ...string) {
		m.permission(t, "ran", `{"StatementId":"`+sid+`","Action":"lambda:`+action+`","Principal":"`+principal+`"`+strings.Join(more, "")+`}`)
	}
	ask := func(what string, who sigv4.Credentials, function string, want int, words string) {
		t.Helper()
		if status, answer := m.invoke(t, who, function, "{}"); status != want || !strings.Contains(answer, words) {
			t.Errorf("%s: %d %s, want %d %s", what, status, answer, want, words)
		}
	}
	const no = "because no identity-based policy allows the lambda:InvokeFunction action"
	ask("without a permission", friend, "ran", 403, "user/friend is not authorized to perform: lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:"+flowAccount+":function:ran "+no)
	permit("f", "InvokeFunction", user+"friend")
	permit("b", "InvokeFunction", user+"barred")
	permit("w", "InvokeFunction", role)
	ask("permitted", friend, "ran", 200, "ran")
	ask("somebody else", stranger, "ran", 403, no)
	ask("denied by its own policy", barred, "ran", 403, "with an explicit deny in an identity-based policy")
	ask("a session of a permitted role", session, "ran", 200, "ran")
	ask("a session that is limited to something else", narrow, "ran", 403, "because no session policy allows")
	ask("an alias, which has a policy of its own", friend, "ran:live", 403, no)
	if status, answer := m.signed(t, friend, "lambda", "GET", "/2015-03-31/functions/ran", ""); status != 403 || !strings.Contains(answer, "lambda:GetFunction") {
		t.Errorf("another action: %d %s", status, answer)
	}
	permit("g", "GetFunction", user+"friend")
	if status, answer := m.signed(t, friend, "lambda", "GET", "/2015-03-31/functions/ran", ""); status != 200 {
		t.Errorf("another action, permitted: %d %s", status, answer)
	}
	m.noPermission(t, "ran", "f")
	ask("taken back", friend, "ran", 403, no)

	// For the whole account, which leaves it to the account's own policies; and for an
	// organisation, in which no caller here is.
	permit("a", "InvokeFunction", flowAccount)
	ask("an account does not let its users in by itself", stranger, "ran", 403, no)
	m.noPermission(t, "ran", "a")
	permit("o", "InvokeFunction", "*", `,"PrincipalOrgID":"o-abcdefghij"`)
	ask("an organisation", stranger, "ran", 403, no)
	m.noPermission(t, "ran", "o")
	permit("s", "InvokeFunction", "*", `,"SourceAccount":"`+flowAccount+`"`)
	ask("for services of this account", stranger, "ran", 403, no)
	m.noPermission(t, "ran", "s")
	permit("e", "InvokeFunction", "*")
	ask("everybody", stranger, "ran", 200, "ran")
	ask("everybody, and denied", barred, "ran", 403, "explicit deny")
}

// Lambda is trusted for one function and not for its neighbour, and what a function does
// is known by its ARN.
func TestFlow_sourceFunction(t *testing.T) {
	t.Parallel()
	m := New(t)
	const source = "arn:aws:lambda:us-east-1:" + flowAccount + ":function:mine"
	when := func(operator, key, value string) string {
		return `"Condition":{"` + operator + `":{"` + key + `":"` + value + `"}}}`
	}
	trust := `{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole",`
	put := `{"Effect":"Allow","Action":"ssm:PutParameter","Resource":"*",`
	mine := m.role(t, "mine", trust+when("ArnEquals", "aws:SourceArn", source), put+when("ArnEquals", "lambda:SourceFunctionArn", source))
	m.function(t, "mine", mine, callerCode)
	if status, text := m.insidePut(t, "mine"); status != 200 {
		t.Errorf("the function itself: %d %s", status, text)
	}
	elsewhere := m.role(t, "elsewhere", trusts("lambda.amazonaws.com"), put+when("ArnEquals", "lambda:SourceFunctionArn", source))
	m.function(t, "other", elsewhere, callerCode)
	if status, text := m.insidePut(t, "other"); status != 400 || !strings.Contains(text, "AccessDeniedException") {
		t.Errorf("another function with the same rights: %d %s", status, text)
	}
	for what, role := range map[string]string{
		"another function": mine,
		"another account":  m.role(t, "account", trust+when("StringEquals", "aws:SourceAccount", "111111111111")),
		"another service":  m.role(t, "service", trusts("apigateway.amazonaws.com")),
	} {
		status, answer := m.createFunction(t, "confused", role, callerCode)
		if status != 400 || !strings.Contains(answer, "The role defined for the function cannot be assumed by Lambda.") {
			t.Errorf("a role that trusts Lambda for %s: %d %s", what, status, answer)
		}
	}
}
