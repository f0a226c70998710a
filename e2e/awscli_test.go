package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// awsMode is a way of making Moat the AWS of AWS's command line.
type awsMode struct {
	name string
	args func(c *courses, args []string) []string // the whole command
	env  []string
}

// awsModes are the two ways. Debian's aws knows no AWS_ENDPOINT_URL, so `moat run` has to
// do it by its proxy and certificate.
func awsModes(t *testing.T) []awsMode {
	t.Helper()
	aws := tool(t, "/usr/bin/aws", "aws")
	keys := []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_DEFAULT_REGION=" + region}
	return []awsMode{
		{"moat run", func(c *courses, args []string) []string {
			return append([]string{moatBinary(), "run", "--endpoint", c.endpoint, "--", aws}, args...)
		}, nil},
		{"--endpoint-url", func(c *courses, args []string) []string {
			return append([]string{aws, "--endpoint-url", c.endpoint}, args...)
		}, keys},
	}
}

// awsRunner runs AWS's command line in one of its modes.
type awsRunner struct {
	c    *courses
	mode awsMode
	dir  string
}

func newAWSRunner(t *testing.T, c *courses, mode awsMode) *awsRunner {
	return &awsRunner{c, mode, t.TempDir()}
}

func (r *awsRunner) run(t *testing.T, args ...string) result {
	t.Helper()
	env := environment(append([]string{"HOME=" + r.dir, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "PYTHONWARNINGS=ignore"}, r.mode.env...)...)
	line := r.mode.args(r.c, args)
	res, err := command(t.Context(), r.dir, env, line[0], line[1:]...)
	if err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, res)
	}
	return res
}

// ok runs a command that must succeed, and reads its JSON.
func (r *awsRunner) ok(t *testing.T, args ...string) map[string]any {
	t.Helper()
	res := r.run(t, args...)
	if res.code != 0 {
		t.Fatalf("aws %s: %s", strings.Join(args, " "), res)
	}
	out := map[string]any{}
	if strings.TrimSpace(res.stdout) == "" {
		return out
	}
	if err := json.Unmarshal([]byte(res.stdout), &out); err != nil {
		t.Fatalf("aws %s printed %q: %v", strings.Join(args, " "), res.stdout, err)
	}
	return out
}

// refused runs a command that must fail with an AWS error: exit code 254 and the code in
// the sentence that the command line makes of it.
func (r *awsRunner) refused(t *testing.T, code string, args ...string) {
	t.Helper()
	res := r.run(t, args...)
	if res.code != 254 || !strings.Contains(res.stderr, "An error occurred ("+code+")") {
		t.Errorf("aws %s: want a refusal %s, got %s", strings.Join(args, " "), code, res)
	}
}

// at follows a path of names and indexes through JSON.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	top := v
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				t.Fatalf("no %q of %v in %v", step, path, top)
			}
			v = m[step]
		case int:
			l, ok := v.([]any)
			if !ok || len(l) <= step {
				t.Fatalf("no element %d of %v in %v", step, path, top)
			}
			v = l[step]
		}
	}
	return v
}

func text(t *testing.T, v any, path ...any) string {
	t.Helper()
	s, ok := at(t, v, path...).(string)
	if !ok {
		t.Fatalf("%v of %v is no text", path, v)
	}
	return s
}

func awsCommandLine(t *testing.T, c *courses) {
	for i, mode := range awsModes(t) {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			r := newAWSRunner(t, c, mode)
			email := fmt.Sprintf("cli%d@example.com", i)
			t.Run("cognito-idp", func(t *testing.T) { awsCognito(t, r, email) })
			t.Run("sts", func(t *testing.T) { awsSTS(t, r) })
			t.Run("apigateway", func(t *testing.T) { awsAPIGateway(t, r) })
			t.Run("ssm", func(t *testing.T) { awsSSM(t, r) })
			t.Run("lambda", func(t *testing.T) { awsLambda(t, r) })
			if i == 0 {
				t.Run("cognito-identity", func(t *testing.T) { awsIdentity(t, r) })
			}
		})
	}
}

func awsCognito(t *testing.T, r *awsRunner, email string) {
	const password = "Correct-Horse-7-Battery"
	signUp := []string{"cognito-idp", "sign-up", "--client-id", r.c.publicClient, "--username", email, "--user-attributes", "Name=email,Value=" + email, "Name=name,Value=Ada", "--password"}
	signIn := []string{"cognito-idp", "initiate-auth", "--client-id", r.c.publicClient, "--auth-flow", "USER_PASSWORD_AUTH", "--auth-parameters"}

	r.refused(t, "InvalidPasswordException", append(signUp, "short")...)
	out := r.ok(t, append(signUp, password)...)
	if out["UserConfirmed"] != false || len(text(t, out, "UserSub")) != 36 || text(t, out, "CodeDeliveryDetails", "DeliveryMedium") != "EMAIL" {
		t.Errorf("sign-up: %v", out)
	}
	r.refused(t, "UsernameExistsException", append(signUp, password)...)
	r.refused(t, "UserNotConfirmedException", append(signIn, "USERNAME="+email+",PASSWORD="+password)...)
	r.ok(t, "cognito-idp", "admin-confirm-sign-up", "--user-pool-id", r.c.pool, "--username", email)
	r.refused(t, "NotAuthorizedException", append(signIn, "USERNAME="+email+",PASSWORD=Wrong-Horse-7-Battery")...)
	auth := r.ok(t, append(signIn, "USERNAME="+email+",PASSWORD="+password)...)
	if text(t, auth, "AuthenticationResult", "TokenType") != "Bearer" || strings.Count(text(t, auth, "AuthenticationResult", "IdToken"), ".") != 2 {
		t.Errorf("initiate-auth: %v", auth)
	}
}

func awsSTS(t *testing.T, r *awsRunner) {
	out := r.ok(t, "sts", "get-caller-identity")
	if out["Account"] != account || out["Arn"] != "arn:aws:iam::"+account+":root" || out["UserId"] != account {
		t.Errorf("get-caller-identity: %v", out)
	}
	wrong := *r
	wrong.mode.env = []string{"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=wrong", "AWS_DEFAULT_REGION=" + region}
	wrong.refused(t, "SignatureDoesNotMatch", "sts", "get-caller-identity")
	wrong.mode.env[0] = "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE"
	wrong.refused(t, "InvalidClientTokenId", "sts", "get-caller-identity")
}

func awsAPIGateway(t *testing.T, r *awsRunner) {
	out := r.ok(t, "apigateway", "get-rest-apis")
	items, _ := out["items"].([]any)
	var ids []string // of the example; tests that run beside this one make APIs of their own
	for _, item := range items {
		if text(t, item, "name") == "courses" {
			ids = append(ids, text(t, item, "id"))
		}
	}
	if len(ids) != 1 || ids[0] != r.c.apiID {
		t.Errorf("get-rest-apis: %v", out)
	}
	r.refused(t, "NotFoundException", "apigateway", "get-rest-api", "--rest-api-id", "aaaaaaaaaa")
}

func awsSSM(t *testing.T, r *awsRunner) {
	list := r.ok(t, "ssm", "describe-parameters")
	all, _ := list["Parameters"].([]any)
	found := false
	for _, p := range all {
		name := text(t, p, "Name")
		if got := text(t, r.ok(t, "ssm", "get-parameter", "--name", name), "Parameter", "Value"); got == r.c.pool {
			found = true
			break
		}
	}
	if !found {
		t.Errorf("no parameter of the example holds the pool's id %s: %v", r.c.pool, list)
	}
	r.refused(t, "ParameterNotFound", "ssm", "get-parameter", "--name", "/nothing")
}

// functionNames lists the example's functions as the command line sees them.
func functionNames(t *testing.T, r *awsRunner) []string {
	t.Helper()
	out := r.ok(t, "lambda", "list-functions")
	all, _ := out["Functions"].([]any)
	var names []string
	for _, f := range all {
		names = append(names, text(t, f, "FunctionName"))
	}
	if len(names) == 0 {
		t.Fatalf("list-functions: %v", out)
	}
	return names
}

// named picks the function whose name holds a word, in whatever letters.
func named(t *testing.T, names []string, word string) string {
	t.Helper()
	for _, n := range names {
		if strings.Contains(strings.ToLower(n), word) {
			return n
		}
	}
	t.Fatalf("no function is named after %q: %v", word, names)
	return ""
}

func awsLambda(t *testing.T, r *awsRunner) {
	name := named(t, functionNames(t, r), "catalog")
	event, err := json.Marshal(map[string]any{"resource": "/catalog", "path": "/catalog", "httpMethod": "GET", "headers": map[string]string{}, "requestContext": map[string]any{"stage": r.c.stage, "requestId": "by-hand", "identity": map[string]any{}}})
	if err != nil {
		t.Fatal(err)
	}
	out := r.ok(t, "lambda", "invoke", "--function-name", name, "--payload", string(event), "--cli-binary-format", "raw-in-base64-out", "--log-type", "Tail", "answer.json")
	if out["StatusCode"] != float64(200) || out["FunctionError"] != nil || text(t, out, "ExecutedVersion") != "$LATEST" {
		t.Errorf("invoke: %v", out)
	}
	answer, err := os.ReadFile(filepath.Join(r.dir, "answer.json"))
	if err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(answer, &body); err != nil || body["statusCode"] != float64(200) {
		t.Errorf("the function answered %s", answer)
	}
	r.refused(t, "ResourceNotFoundException", "lambda", "invoke", "--function-name", "nothing", "answer.json")
	awsLogs(t, r, name)
}

// awsLogs finds the function's own lines in its log group.
func awsLogs(t *testing.T, r *awsRunner, function string) {
	group := "/aws/lambda/" + function
	out := r.ok(t, "logs", "describe-log-groups", "--log-group-name-prefix", group)
	if text(t, out, "logGroups", 0, "logGroupName") != group {
		t.Errorf("describe-log-groups: %v", out)
	}
	err := until(t.Context(), 20*time.Second, func() error {
		lines := messages(r.ok(t, "logs", "filter-log-events", "--log-group-name", group))
		for _, want := range []string{"START RequestId: ", "END RequestId: ", "REPORT RequestId: "} {
			if !strings.Contains(lines, want) {
				return fmt.Errorf("the log holds no %q:\n%s", want, lines)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
		return
	}
	streams := r.ok(t, "logs", "describe-log-streams", "--log-group-name", group, "--order-by", "LastEventTime", "--descending")
	stream := text(t, streams, "logStreams", 0, "logStreamName")
	lines := messages(r.ok(t, "logs", "get-log-events", "--log-group-name", group, "--log-stream-name", stream, "--start-from-head"))
	if !strings.Contains(lines, "START RequestId: ") {
		t.Errorf("get-log-events of %s:\n%s", stream, lines)
	}
	r.refused(t, "ResourceNotFoundException", "logs", "filter-log-events", "--log-group-name", "/aws/lambda/nothing")
}

func messages(out map[string]any) string {
	var b strings.Builder
	events, _ := out["events"].([]any)
	for _, e := range events {
		if m, ok := e.(map[string]any); ok {
			fmt.Fprintln(&b, m["message"])
		}
	}
	return b.String()
}

// awsCloudFormation deploys the example's second stack by the one mode and updates it by
// the other: both would want the same resource server, so only one can have it.
func awsCloudFormation(t *testing.T, c *courses) {
	dir := t.TempDir()
	source, err := os.ReadFile(filepath.Join(filepath.Dir(exampleTemplate), "reports.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	template := filepath.Join(dir, "reports.yaml")
	if err := os.WriteFile(template, source, 0o644); err != nil {
		t.Fatal(err)
	}
	modes := awsModes(t)
	first, second := newAWSRunner(t, c, modes[0]), newAWSRunner(t, c, modes[1])
	deploy := []string{"cloudformation", "deploy", "--stack-name", "reports", "--template-file", template, "--capabilities", "CAPABILITY_IAM"}
	describe := func(r *awsRunner) map[string]any {
		t.Helper()
		return r.ok(t, "cloudformation", "describe-stacks", "--stack-name", "reports")
	}
	second.refused(t, "ValidationError", "cloudformation", "describe-stacks", "--stack-name", "reports")
	mustRun(t, first, deploy...)
	out := describe(second)
	if got := text(t, out, "Stacks", 0, "StackStatus"); got != "CREATE_COMPLETE" {
		t.Errorf("after the first deployment the stack is %s: %v", got, out)
	}
	if err := os.WriteFile(template, append(source, []byte("\n# the same, with a remark\n")...), 0o644); err != nil {
		t.Fatal(err)
	}
	res := second.run(t, append(deploy, "--no-fail-on-empty-changeset")...)
	if res.code != 0 || !strings.Contains(res.stdout, "No changes to deploy") {
		t.Errorf("deploying the same again: %s", res)
	}
	// The command line names a change set after the second in which it makes it, and leaves an
	// empty one behind: the next deployment has to be in another second.
	next := time.NewTimer(time.Second)
	<-next.C
	grown := strings.Replace(string(source), "\nResources:\n", "\nResources:\n  Remark:\n    Type: AWS::SSM::Parameter\n    Properties:\n      Name: !Sub /${AWS::StackName}/Remark\n      Type: String\n      Value: added later\n", 1)
	if err := os.WriteFile(template, []byte(grown), 0o644); err != nil {
		t.Fatal(err)
	}
	mustRun(t, second, deploy...)
	out = describe(first)
	if got := text(t, out, "Stacks", 0, "StackStatus"); got != "UPDATE_COMPLETE" {
		t.Errorf("after the update the stack is %s: %v", got, out)
	}
	if got := text(t, first.ok(t, "ssm", "get-parameter", "--name", "/reports/Remark"), "Parameter", "Value"); got != "added later" {
		t.Errorf("the parameter that the update adds is %q", got)
	}
	mustRun(t, first, "cloudformation", "delete-stack", "--stack-name", "reports")
	mustRun(t, first, "cloudformation", "wait", "stack-delete-complete", "--stack-name", "reports")
	second.refused(t, "ParameterNotFound", "ssm", "get-parameter", "--name", "/reports/Remark")
}

func mustRun(t *testing.T, r *awsRunner, args ...string) {
	t.Helper()
	if res := r.run(t, args...); res.code != 0 {
		t.Fatalf("aws %s: %s", strings.Join(args, " "), res)
	}
}
