package function

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/sandbox"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

const (
	account = "000000000000"
	region  = "us-west-2"
	role    = "arn:aws:iam::000000000000:role/executor"
)

func TestMain(m *testing.M) {
	sandbox.RunShim(os.Args)
	os.Exit(m.Run())
}

// fakeIAM trusts one role, and lets nobody pass the role named "secret".
type fakeIAM struct {
	mu      sync.Mutex
	issued  int
	expires time.Time
	allow   bool
	// distrusts: the role does not trust Lambda any more.
	distrusts bool
}

func (f *fakeIAM) TrustsService(_ context.Context, arn, service, _ string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return arn == role && service == "lambda.amazonaws.com" && !f.distrusts, nil
}

func (f *fakeIAM) RoleCredentials(_ context.Context, arn, service, _, session string, _ time.Duration) (Credentials, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.distrusts || arn != role || service != "lambda.amazonaws.com" || len(session) < 2 {
		return Credentials{}, errors.New("no such role")
	}
	f.issued++
	return Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "secret", SessionToken: "token", Expires: f.expires}, nil
}

func (f *fakeIAM) PassRole(_ context.Context, _ wire.Caller, arn, _ string) error {
	if strings.HasSuffix(arn, "/secret") {
		return wire.NewError(403, "AccessDeniedException", "not authorized to perform: iam:PassRole")
	}
	return nil
}

func (f *fakeIAM) AuthorizeResource(context.Context, wire.Caller, string, string, string, *policy.Document, policy.Context) (policy.Decision, error) {
	return policy.Decision{Allowed: f.allow}, nil
}

// fakeLogs keeps logs.
type fakeLogs struct {
	mu   sync.Mutex
	text map[string]string
}

func (l *fakeLogs) Append(_ context.Context, region, group, stream string, events []LogEvent) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text == nil {
		l.text = map[string]string{}
	}
	for _, e := range events {
		l.text[region+" "+group+" "+stream] += e.Message
	}
	return nil
}

// harness is a service with everything around it.
type harness struct {
	*Service
	t    testing.TB
	ctx  context.Context
	iam  *fakeIAM
	logs *fakeLogs
	now  time.Time
	mu   sync.Mutex
}

func (h *harness) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *harness) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{t: t, iam: &fakeIAM{}, logs: &fakeLogs{}, now: time.Now()}
	db, err := store.Open(context.Background(), store.Config{Path: ":memory:", Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	host, err := sandbox.New(sandbox.Config{Isolation: sandbox.IsolationPrefer, Dir: dir, Now: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	h.Service, err = New(Config{
		DB: db, Host: host, Dir: dir, Roles: h.iam, PassRoler: h.iam, Authority: h.iam, Logs: h.logs,
		Account: account, BaseURL: "http://localhost:4566", Now: h.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(host.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	h.ctx = wire.WithCall(context.Background(), &wire.Call{Account: account, Region: region, Caller: wire.Caller{Principal: policy.Principal{
		Kind: policy.PrincipalRoot, ARN: "arn:aws:iam::000000000000:root", Account: account,
	}}})
	return h
}

// zipped makes an archive of files.
func zipped(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, text := range files {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func index(t testing.TB, text string) []byte { return zipped(t, map[string]string{"index.js": text}) }

const echo = `exports.handler = async (e) => e`

func request(t testing.TB, name, text string) *lambdaapi.CreateFunctionRequest {
	return &lambdaapi.CreateFunctionRequest{
		FunctionName: name, Role: role, Runtime: "nodejs20.x", Handler: wire.String("index.handler"),
		Code: &lambdaapi.FunctionCode{ZipFile: index(t, text)},
	}
}

func (h *harness) create(name, text string) *lambdaapi.FunctionConfiguration {
	h.t.Helper()
	out, err := h.API().CreateFunction(h.ctx, request(h.t, name, text))
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// run invokes a function by the API and gives its answer.
func (h *harness) run(name, qualifier, payload string) string {
	h.t.Helper()
	in := &lambdaapi.InvocationRequest{FunctionName: name, Payload: []byte(payload)}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}
	out, err := h.API().Invoke(h.ctx, in)
	if err != nil {
		h.t.Fatal(err)
	}
	return wire.Value(out.FunctionError) + string(out.Payload)
}

// refused fails unless err is this exception.
func refused(t testing.TB, err error, code, message string) {
	t.Helper()
	var e wire.Exception
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %s: %s", err, code, message)
	}
	if e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), message) {
		t.Errorf("got %s: %s\nwant %s: %s", e.ErrorCode(), e.ErrorMessage(), code, message)
	}
}

func arnOf(name string) string { return "arn:aws:lambda:us-west-2:000000000000:function:" + name }

func TestCreateFunction(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	c := h.create("f", echo)
	for _, x := range []struct{ got, want string }{
		{*c.FunctionArn, arnOf("f")}, {*c.Version, "$LATEST"}, {string(c.State), "Active"}, {string(c.LastUpdateStatus), "Successful"},
		{string(c.PackageType), "Zip"}, {*c.LoggingConfig.LogGroup, "/aws/lambda/f"}, {string(c.TracingConfig.Mode), "PassThrough"}, {*c.Description, ""},
	} {
		if x.got != x.want {
			t.Errorf("got %q, want %q", x.got, x.want)
		}
	}
	if *c.Timeout != 3 || *c.MemorySize != 128 || c.EphemeralStorage.Size != 512 || c.Environment != nil || len(*c.CodeSha256) != 44 {
		t.Errorf("%+v", c)
	}
	if got := h.run("f", "", `{"a":1}`); got != `{"a":1}` {
		t.Error(got)
	}
	if got := h.run(arnOf("f"), "", ``); got != `{}` {
		t.Error(got)
	}
}

func TestCreateFunction_refused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	for _, c := range []struct {
		name          string
		change        func(*lambdaapi.CreateFunctionRequest)
		code, message string
	}{
		{"exists", func(r *lambdaapi.CreateFunctionRequest) { r.FunctionName = "f" }, "ResourceConflictException", "Function already exist: f"},
		{"role", func(r *lambdaapi.CreateFunctionRequest) { r.Role = "arn:aws:iam::000000000000:role/other" }, "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."},
		{"pass role", func(r *lambdaapi.CreateFunctionRequest) { r.Role = "arn:aws:iam::000000000000:role/secret" }, "AccessDeniedException", "iam:PassRole"},
		{"runtime", func(r *lambdaapi.CreateFunctionRequest) { r.Runtime = "nodejs12.x" }, "InvalidParameterValueException", "The runtime parameter of nodejs12.x is no longer supported"},
		{"java", func(r *lambdaapi.CreateFunctionRequest) { r.Runtime = "java21" }, "NotImplemented", "java21"},
		{"no runtime", func(r *lambdaapi.CreateFunctionRequest) { r.Runtime = "" }, "InvalidParameterValueException", "Runtime and Handler are mandatory"},
		{"s3", func(r *lambdaapi.CreateFunctionRequest) {
			r.Code = &lambdaapi.FunctionCode{S3Bucket: wire.String("b"), S3Key: wire.String("k")}
		}, "NotImplemented", "S3"},
		{"image", func(r *lambdaapi.CreateFunctionRequest) { r.PackageType = lambdaapi.PackageTypeImage }, "NotImplemented", "container"},
		{"no code", func(r *lambdaapi.CreateFunctionRequest) { r.Code = &lambdaapi.FunctionCode{} }, "InvalidParameterValueException", "Please provide a source for function code."},
		{"bad zip", func(r *lambdaapi.CreateFunctionRequest) { r.Code.ZipFile = []byte("x") }, "InvalidParameterValueException", "Could not unzip uploaded file."},
		{"vpc", func(r *lambdaapi.CreateFunctionRequest) { r.VpcConfig = &lambdaapi.VpcConfig{SubnetIds: []string{"s"}} }, "NotImplemented", "VPC"},
		{"reserved variable", func(r *lambdaapi.CreateFunctionRequest) {
			r.Environment = &lambdaapi.Environment{Variables: map[string]string{"AWS_REGION": "x"}}
		}, "InvalidParameterValueException", "Reserved keys used in this request: AWS_REGION"},
		{"large environment", func(r *lambdaapi.CreateFunctionRequest) {
			r.Environment = &lambdaapi.Environment{Variables: map[string]string{"A": strings.Repeat("x", 4096)}}
		}, "InvalidParameterValueException", "exceeded the 4KB limit"},
		{"no layer", func(r *lambdaapi.CreateFunctionRequest) {
			r.Layers = []string{"arn:aws:lambda:us-west-2:000000000000:layer:x:1"}
		}, "InvalidParameterValueException", "Layer version arn:aws:lambda:us-west-2:000000000000:layer:x:1 does not exist."},
		{"other region", func(r *lambdaapi.CreateFunctionRequest) {
			r.FunctionName = "arn:aws:lambda:eu-west-1:000000000000:function:g"
		}, "ResourceNotFoundException", "Functions from 'eu-west-1' are not reachable in this region ('us-west-2')"},
		{"other account", func(r *lambdaapi.CreateFunctionRequest) { r.FunctionName = "111111111111:function:g" }, "AccessDeniedException", "111111111111"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := request(t, "g", echo)
			c.change(in)
			_, err := h.API().CreateFunction(h.ctx, in)
			refused(t, err, c.code, c.message)
		})
	}
	if _, err := h.API().CreateFunction(h.ctx, request(t, "g", echo)); err != nil {
		t.Errorf("after all refusals the name is free: %v", err)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	a, none := h.API(), "no"
	for _, c := range []struct {
		name, code, message string
		call                func() error
	}{
		{"GetFunction", "ResourceNotFoundException", "Function not found: " + arnOf("no"), func() error {
			_, err := a.GetFunction(h.ctx, &lambdaapi.GetFunctionRequest{FunctionName: none})
			return err
		}},
		{"GetFunction alias", "ResourceNotFoundException", "Function not found: " + arnOf("f:no"), func() error {
			_, err := a.GetFunction(h.ctx, &lambdaapi.GetFunctionRequest{FunctionName: "f", Qualifier: &none})
			return err
		}},
		{"DeleteFunction", "ResourceNotFoundException", "Function not found: " + arnOf("no"), func() error {
			_, err := a.DeleteFunction(h.ctx, &lambdaapi.DeleteFunctionRequest{FunctionName: none})
			return err
		}},
		{"UpdateFunctionCode", "ResourceNotFoundException", "Function not found: " + arnOf("no"), func() error {
			_, err := a.UpdateFunctionCode(h.ctx, &lambdaapi.UpdateFunctionCodeRequest{FunctionName: none, ZipFile: index(t, echo)})
			return err
		}},
		{"Invoke", "ResourceNotFoundException", "Function not found: " + arnOf("f:9"), func() error {
			_, err := a.Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f:9"})
			return err
		}},
		{"UpdateAlias", "ResourceNotFoundException", "Alias not found: " + arnOf("f:no"), func() error {
			_, err := a.UpdateAlias(h.ctx, &lambdaapi.UpdateAliasRequest{FunctionName: "f", Name: none})
			return err
		}},
		{"GetAlias", "ResourceNotFoundException", "Cannot find alias arn: " + arnOf("f:no"), func() error {
			_, err := a.GetAlias(h.ctx, &lambdaapi.GetAliasRequest{FunctionName: "f", Name: none})
			return err
		}},
		{"GetPolicy", "ResourceNotFoundException", "The resource you requested does not exist.", func() error {
			_, err := a.GetPolicy(h.ctx, &lambdaapi.GetPolicyRequest{FunctionName: "f"})
			return err
		}},
		{"RemovePermission of none", "ResourceNotFoundException", "No policy is associated with the given resource.", func() error {
			_, err := a.RemovePermission(h.ctx, &lambdaapi.RemovePermissionRequest{FunctionName: "f", StatementId: "s"})
			return err
		}},
		{"RemovePermission", "ResourceNotFoundException", "No policy found for: " + arnOf("no"), func() error {
			_, err := a.RemovePermission(h.ctx, &lambdaapi.RemovePermissionRequest{FunctionName: none, StatementId: "s"})
			return err
		}},
		{"mismatch", "InvalidParameterValueException", "The derived qualifier from the function name does not match the specified qualifier.", func() error {
			_, err := a.GetFunction(h.ctx, &lambdaapi.GetFunctionRequest{FunctionName: "f:1", Qualifier: wire.String("2")})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, c.call(), c.code, c.message) })
	}
}

func TestVersionsAndAliases(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a := h.API()
	say := func(s string) string {
		return `exports.handler = async (e, c) => ['` + s + `', c.functionVersion, c.invokedFunctionArn]`
	}
	h.create("f", say("one"))
	one, err := a.PublishVersion(h.ctx, &lambdaapi.PublishVersionRequest{FunctionName: "f", Description: wire.String("first")})
	if err != nil || *one.Version != "1" || *one.FunctionArn != arnOf("f:1") || *one.Description != "first" {
		t.Fatalf("%+v %v", one, err)
	}
	again, err := a.PublishVersion(h.ctx, &lambdaapi.PublishVersionRequest{FunctionName: "f"})
	if err != nil || *again.Version != "1" {
		t.Errorf("publishing what has not changed gave version %s, %v", *again.Version, err)
	}
	alias, err := a.CreateAlias(h.ctx, &lambdaapi.CreateAliasRequest{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	if err != nil || *alias.AliasArn != arnOf("f:live") {
		t.Fatalf("%+v %v", alias, err)
	}
	_, err = a.CreateAlias(h.ctx, &lambdaapi.CreateAliasRequest{FunctionName: "f", Name: "live", FunctionVersion: "1"})
	refused(t, err, "ResourceConflictException", "Alias already exists: "+arnOf("f:live"))
	_, err = a.CreateAlias(h.ctx, &lambdaapi.CreateAliasRequest{FunctionName: "f", Name: "other", FunctionVersion: "7"})
	refused(t, err, "ResourceNotFoundException", "Function not found: "+arnOf("f:7"))

	if _, err := a.UpdateFunctionCode(h.ctx, &lambdaapi.UpdateFunctionCodeRequest{FunctionName: "f", ZipFile: index(t, say("two")), Publish: wire.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, qualifier, want string }{
		{"f", "", `["two","$LATEST","` + arnOf("f") + `"]`},
		{"f", "$LATEST", `["two","$LATEST","` + arnOf("f:$LATEST") + `"]`},
		{"f", "1", `["one","1","` + arnOf("f:1") + `"]`},
		{"f:live", "", `["one","1","` + arnOf("f:live") + `"]`},
	} {
		if got := h.run(c.name, c.qualifier, `{}`); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.name, c.qualifier, got, c.want)
		}
	}
	if _, err := a.UpdateAlias(h.ctx, &lambdaapi.UpdateAliasRequest{FunctionName: "f", Name: "live", FunctionVersion: wire.String("2")}); err != nil {
		t.Fatal(err)
	}
	if got := h.run("f", "live", `{}`); !strings.HasPrefix(got, `["two","2"`) {
		t.Errorf("after moving the alias: %s", got)
	}
	_, err = a.UpdateAlias(h.ctx, &lambdaapi.UpdateAliasRequest{FunctionName: "f", Name: "live", RevisionId: alias.RevisionId})
	refused(t, err, "PreconditionFailedException", "The Revision Id provided does not match")
	list, err := a.ListVersionsByFunction(h.ctx, &lambdaapi.ListVersionsByFunctionRequest{FunctionName: "f"})
	if err != nil || len(list.Versions) != 3 || *list.Versions[0].FunctionArn != arnOf("f:$LATEST") || *list.Versions[2].Version != "2" || list.Versions[0].State != "" {
		t.Errorf("%+v %v", list, err)
	}
	_, err = a.DeleteFunction(h.ctx, &lambdaapi.DeleteFunctionRequest{FunctionName: "f:2"})
	refused(t, err, "ResourceConflictException", "is referenced by aliases")
	weights := func(w map[string]float64) *lambdaapi.UpdateAliasRequest {
		return &lambdaapi.UpdateAliasRequest{FunctionName: "f", Name: "live", RoutingConfig: &lambdaapi.AliasRoutingConfiguration{AdditionalVersionWeights: w}}
	}
	_, err = a.UpdateAlias(h.ctx, weights(map[string]float64{"$LATEST": 0.5}))
	refused(t, err, "InvalidParameterValueException", "$LATEST is not supported for an alias pointing to more than 1 version")
	if _, err := a.UpdateAlias(h.ctx, weights(map[string]float64{"1": 1})); err != nil {
		t.Fatal(err)
	}
	if got := h.run("f", "live", `{}`); !strings.HasPrefix(got, `["one","1"`) {
		t.Errorf("all weight on version 1: %s", got)
	}
	if _, err := a.DeleteFunction(h.ctx, &lambdaapi.DeleteFunctionRequest{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
	_, err = a.Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f:live"})
	refused(t, err, "ResourceNotFoundException", "Function not found")
}
