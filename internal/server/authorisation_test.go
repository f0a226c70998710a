package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wiregen"
	"moat/internal/wiregen/example"
)

// sample gives the texts that name something, where a model permits more than what names.
func sample(api, member string) string {
	arn := map[string]string{
		"cognito-idp": "arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_sample", "cognito-identity": "arn:aws:cognito-identity:us-east-1:000000000000:identitypool/us-east-1:00000000-0000-4000-8000-000000000000",
		"apigateway": "arn:aws:apigateway:us-east-1::/restapis/sample", "lambda": "arn:aws:lambda:us-east-1:000000000000:function:sample",
		"logs": "arn:aws:logs:us-east-1:000000000000:log-group:sample", "iam": "arn:aws:iam::000000000000:user/sample",
	}[api]
	texts := map[string]string{
		"UserPoolId": "us-east-1_sample", "IdentityPoolId": "us-east-1:00000000-0000-4000-8000-000000000000", "IdentityId": "us-east-1:00000000-0000-4000-8000-000000000001",
		"ResourceArn": arn, "resourceArn": arn, "Resource": arn, "Arn": arn, "PolicySourceArn": arn, "PolicyArn": "arn:aws:iam::000000000000:policy/sample",
		"PermissionsBoundary": "arn:aws:iam::000000000000:policy/boundary", "OpenIDConnectProviderArn": "arn:aws:iam::000000000000:oidc-provider/sample.example",
		"SAMLProviderArn": "arn:aws:iam::000000000000:saml-provider/sample", "SerialNumber": "arn:aws:iam::000000000000:mfa/sample", "Url": "https://sample.example",
		"RoleArn": "arn:aws:iam::000000000000:role/sample", "SnsCallerArn": "arn:aws:iam::000000000000:role/sample", "CloudWatchLogsRoleArn": "arn:aws:iam::000000000000:role/sample", "Layers": "arn:aws:lambda:us-east-1:000000000000:layer:sample:1", "RoleARN": "arn:aws:iam::000000000000:role/sample", "DeletionTaskId": "task/aws-service-role/lambda.amazonaws.com/sample/1",
		"AWSServiceName": "cloudtrail.amazonaws.com", "CodeSigningConfigArn": "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-0123456789abcdef0",
		"DurableExecutionArn": "arn:aws:lambda:us-east-1:000000000000:function:sample:1/durable-execution/sample/1", "TargetPrincipal": "000000000000", "EntityPath": "o-a1b2c3d4e5/r-a1b2",
		"EntityArn": "arn:aws:iam::000000000000:delegation-request/sample", "DomainArn": "", "PathPrefix": "/", "Path": "/", "NewPath": "/new/",
		"LayerName": "sample", "StackName": "sample", "ChangeSetName": "sample",
	}
	if member == "Arn" && api == "lambda" {
		return "arn:aws:lambda:us-east-1:000000000000:layer:sample:1"
	}
	if member == "Name" && api == "cloudtrail" {
		return "arn:aws:cloudtrail:us-east-1:000000000000:trail/sample"
	}
	if member == "Path" && api == "ssm" {
		return "/sample"
	}
	if (member == "Path" || member == "PathPrefix" || member == "NewPath") && api != "iam" {
		return ""
	}
	return texts[member]
}

// oneDocument is an authority that knows one document.
type oneDocument struct {
	mu     sync.Mutex
	doc    *policy.Document
	limits policy.Policies // besides it
}

func (o *oneDocument) Credential(context.Context, string, string) (wire.Credential, error) {
	return wire.Credential{}, wire.ErrUnknownKey
}

func (o *oneDocument) Authorize(_ context.Context, c wire.Caller, action, resource, account string, keys policy.Context) (policy.Decision, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.limits
	if o.doc != nil {
		p.Identity = []*policy.Document{o.doc}
	}
	req := &policy.Request{Principal: c.Principal, Action: action, Resource: resource, Account: account, Context: keys}
	d := policy.Evaluate(req, &p)
	if !d.Allowed {
		d.Considered = policy.Explain(req, &p).Verdicts
	}
	return d, nil
}

// statement is one of a policy; a resource that is no ARN is only allowed by "*".
type statement struct{ Effect, Action, Resource string }

func (o *oneDocument) set(t *testing.T, statements ...statement) {
	t.Helper()
	for i := range statements {
		if !strings.HasPrefix(statements[i].Resource, "arn:") {
			statements[i].Resource = "*"
		}
	}
	b, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := policy.Parse("matrix", b)
	if err != nil {
		t.Fatalf("policy %s: %v", b, err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.doc = doc
}

// matrix calls operations of the real services' APIs, whose methods are replaced: what gets
// past authorisation answers 501.
type matrix struct {
	*oneDocument
	server   *Server
	pipeline *wire.Pipeline
	ctx      context.Context
	last     wire.Record
}

func newMatrix(t *testing.T) (*matrix, []*wire.API) {
	t.Helper()
	m := &matrix{oneDocument: &oneDocument{}, server: newTestServer(t)}
	var apis []*wire.API
	for _, a := range m.server.parts.apis() {
		stub := *a
		stub.Operations = slices.Clone(a.Operations)
		for i := range stub.Operations {
			op := &stub.Operations[i]
			op.Call = func(context.Context, any) (any, error) { return nil, wire.NotImplemented(a.Endpoint, op.Name) }
		}
		apis = append(apis, &stub)
	}
	m.pipeline = wire.New(wire.Config{Authority: m, APIs: apis, Account: "000000000000", Region: "us-east-1", Strict: true, Record: func(r wire.Record) { m.last = r }})
	m.ctx = wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1", Caller: wire.Caller{AccessKeyID: "AKIAMATRIX", Principal: policy.Principal{
		Kind: policy.PrincipalUser, ARN: "arn:aws:iam::000000000000:user/matrix", Account: "000000000000", ID: "AIDAMATRIX",
	}}})
	return m, apis
}

// call makes a call and returns the exception that it ends in.
func (m *matrix) call(t *testing.T, a *wire.API, op *wire.Operation, in any) wire.Exception {
	t.Helper()
	err := m.pipeline.Invoke(m.ctx, a.Endpoint, op.Name, in, reflect.New(op.Output).Interface())
	var e wire.Exception
	if !errors.As(err, &e) {
		t.Fatalf("%s %s: %v", a.Endpoint, op.Name, err)
	}
	return e
}

// refused checks that a call was refused on the last decision, in AWS's words.
func (m *matrix) refused(t *testing.T, a *wire.API, op *wire.Operation, e wire.Exception, ending string) wire.Check {
	t.Helper()
	if len(m.last.Checks) == 0 {
		t.Fatalf("%s %s: nobody was asked: %v", a.Endpoint, op.Name, e)
	}
	check := m.last.Checks[len(m.last.Checks)-1]
	status, code := http.StatusForbidden, "AccessDeniedException"
	switch a.Protocol {
	case "query":
		code = "AccessDenied"
	case "json":
		status = http.StatusBadRequest
	}
	want := "User: arn:aws:iam::000000000000:user/matrix is not authorized to perform: " + check.Action + " on resource: " + check.Resource + " " + strings.ReplaceAll(ending, "ACTION", check.Action)
	if e.HTTPStatus() != status || e.ErrorCode() != code || e.ErrorMessage() != want {
		t.Errorf("%s %s: %d %s %q, want %d %s %q", a.Endpoint, op.Name, e.HTTPStatus(), e.ErrorCode(), e.ErrorMessage(), status, code, want)
	}
	return check
}

const (
	silence = "because no identity-based policy allows the ACTION action"
	denied  = "with an explicit deny in an identity-based policy"
)

// otherThan is a resource of the same kind that is another one: of another account where
// the ARN has one.
func otherThan(resource string) string {
	if other := strings.Replace(resource, ":000000000000:", ":111111111111:", 1); other != resource {
		return other
	}
	if strings.HasPrefix(resource, "arn:") {
		return resource + "x"
	}
	return "arn:aws:other:us-east-1:000000000000:thing"
}

// Every signed operation of every API: nobody may without a policy; its action on its
// resource is enough, unless the table names more; a Deny refuses; another resource or
// another account's does not help.
func TestAuthorisation_Matrix(t *testing.T) {
	t.Parallel()
	m, apis := newMatrix(t)
	count := 0
	for _, a := range apis {
		for _, full := range []bool{false, true} {
			maker := makerOf(t, a.Endpoint, full)
			for i := range a.Operations {
				op := &a.Operations[i]
				if op.Unsigned || needless(op) {
					continue
				}
				in := op.NewInput()
				if err := maker.Fill(op.Name, in); err != nil {
					t.Errorf("%s %s: %v", a.Endpoint, op.Name, err)
					continue
				}
				m.operation(t, a, op, in)
				count++
			}
		}
	}
	if count < 900 {
		t.Errorf("only %d calls were made", count)
	}
}

// needless are the operations that AWS lets every principal call.
func needless(op *wire.Operation) bool {
	return op.Action == "sts:GetCallerIdentity" || op.Action == "sts:GetSessionToken"
}

// namesOptionally are the operations whose resource may be left out of the input, which their
// services refuse then.
func namesOptionally(operation string) bool {
	return slices.Contains([]string{
		"cognito-idp UpdateManagedLoginBranding", "logs DescribeLogStreams", "logs FilterLogEvents", "logs GetLogEvents",
	}, operation)
}

func makerOf(t *testing.T, endpoint string, full bool) *example.Maker {
	t.Helper()
	for _, api := range wiregen.APIs() {
		if api.Model == endpoint {
			model, err := api.Load()
			if err != nil {
				t.Fatal(err)
			}
			return &example.Maker{Model: model, Full: full,
				Text: func(member string) string { return sample(endpoint, member) },
				Skip: func(member string) bool {
					return slices.Contains([]string{"logGroupIdentifier", "entity", "FileSystemConfigs"}, member)
				},
			}
		}
	}
	t.Fatalf("no model of %s", endpoint)
	return nil
}

func (m *matrix) operation(t *testing.T, a *wire.API, op *wire.Operation, in any) {
	t.Helper()
	m.set(t, statement{"Allow", "other:Thing", "*"})
	first := m.call(t, a, op, in)
	if first.ErrorCode() == "ValidationError" || first.ErrorCode() == "ValidationException" || first.ErrorCode() == "InvalidParameterException" {
		t.Errorf("%s %s: the example is not valid: %s", a.Endpoint, op.Name, first.ErrorMessage())
		return
	}
	check := m.refused(t, a, op, first, silence)
	if check.Action != op.Action || !op.Fits(check.Resource) && !(check.Resource == "*" && namesOptionally(a.Endpoint+" "+op.Name)) {
		t.Errorf("%s %s asks for %s on %s, want %s on one of %v", a.Endpoint, op.Name, check.Action, check.Resource, op.Action, op.On)
	}
	own := statement{"Allow", op.Action, check.Resource}

	m.set(t, statement{"Allow", op.Action, otherThan(check.Resource)}, statement{"Allow", "other:Thing", check.Resource})
	m.refused(t, a, op, m.call(t, a, op, in), silence)
	m.set(t, statement{"Allow", "*", "*"}, statement{"Deny", op.Action, check.Resource})
	m.refused(t, a, op, m.call(t, a, op, in), denied)

	allowed := []statement{own}
	for range 8 {
		m.set(t, allowed...)
		e := m.call(t, a, op, in)
		if e.HTTPStatus() == http.StatusNotImplemented {
			return
		}
		more := m.refused(t, a, op, e, silence)
		if more.Action != op.Action && !slices.Contains(op.Also, more.Action) {
			t.Errorf("%s %s asks for %s, which its table does not list", a.Endpoint, op.Name, more.Action)
		}
		allowed = append(allowed, statement{"Allow", more.Action, more.Resource})
	}
	t.Errorf("%s %s is refused with all that it asked for: %v", a.Endpoint, op.Name, allowed)
}
