package function

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/sandbox"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

const apiARN = "arn:aws:execute-api:us-west-2:000000000000:abc123"

func TestInvoke_permission(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	if _, err := h.API().CreateAlias(h.ctx, &lambdaapi.CreateAliasRequest{FunctionName: "f", Name: "latest", FunctionVersion: "$LATEST"}); err != nil {
		t.Fatal(err)
	}
	out, err := h.API().AddPermission(h.ctx, &lambdaapi.AddPermissionRequest{
		FunctionName: "f", Qualifier: wire.String("latest"), Action: "lambda:InvokeFunction", Principal: "apigateway.amazonaws.com",
		SourceArn: wire.String(apiARN + "/*/*/*"), StatementId: "web",
	})
	if err != nil {
		t.Fatal(err)
	}
	const statement = `{"Sid":"web","Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"lambda:InvokeFunction",` +
		`"Resource":"arn:aws:lambda:us-west-2:000000000000:function:f:latest","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:execute-api:us-west-2:000000000000:abc123/*/*/*"}}}`
	if *out.Statement != statement {
		t.Errorf("got %s", *out.Statement)
	}
	p, err := h.API().GetPolicy(h.ctx, &lambdaapi.GetPolicyRequest{FunctionName: "f", Qualifier: wire.String("latest")})
	if err != nil || *p.Policy != `{"Version":"2012-10-17","Id":"default","Statement":[`+statement+`]}` {
		t.Errorf("%s %v", wire.Value(p.Policy), err)
	}
	ok := Invocation{Function: arnOf("f:latest"), Payload: []byte(`1`), Service: "apigateway.amazonaws.com", SourceARN: apiARN + "/latest/GET/echo", SourceAccount: account}
	for _, c := range []struct {
		name   string
		change func(*Invocation)
		err    error
	}{
		{"permitted", func(*Invocation) {}, nil},
		{"another API", func(i *Invocation) { i.SourceARN = "arn:aws:execute-api:us-west-2:000000000000:other/latest/GET/echo" }, ErrNotPermitted},
		{"no source", func(i *Invocation) { i.SourceARN = "" }, ErrNotPermitted},
		{"another service", func(i *Invocation) { i.Service = "s3.amazonaws.com" }, ErrNotPermitted},
		{"nobody", func(i *Invocation) { i.Service = "" }, ErrNotPermitted},
		{"the function itself", func(i *Invocation) { i.Function = arnOf("f") }, ErrNotPermitted},
		{"$LATEST", func(i *Invocation) { i.Function = arnOf("f:$LATEST") }, ErrNotPermitted},
		{"an alias that does not exist", func(i *Invocation) { i.Function = arnOf("f:none") }, ErrNotFound},
		{"a function that does not exist", func(i *Invocation) { i.Function = arnOf("none") }, ErrNotFound},
		{"what is not JSON", func(i *Invocation) { i.Payload = []byte(`{`) }, ErrPayload},
		{"what is too large", func(i *Invocation) { i.Payload = bytes.Repeat([]byte(" "), 6291457) }, ErrPayload},
	} {
		t.Run(c.name, func(t *testing.T) {
			inv := ok
			c.change(&inv)
			res, err := h.Invoke(context.Background(), inv)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if c.err == nil && (string(res.Payload) != "1" || res.Version != "$LATEST" || len(res.RequestID) != 36) {
				t.Errorf("%+v", res)
			}
		})
	}
	if _, err := h.API().RemovePermission(h.ctx, &lambdaapi.RemovePermissionRequest{FunctionName: "f", Qualifier: wire.String("latest"), StatementId: "web"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Invoke(context.Background(), ok); !errors.Is(err, ErrNotPermitted) {
		t.Errorf("after the permission was removed: %v", err)
	}
}

func TestInvoke_caller(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	inv := Invocation{Function: "f", Region: region, Caller: &wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalUser, ARN: "arn:aws:iam::000000000000:user/u", Account: account}}}
	if _, err := h.Invoke(context.Background(), inv); !errors.Is(err, ErrNotPermitted) {
		t.Errorf("a caller without permission: %v", err)
	}
	h.iam.allow = true
	if _, err := h.Invoke(context.Background(), inv); err != nil {
		t.Errorf("a caller with permission: %v", err)
	}
	// The permission of the service through which the caller comes is not the caller's.
	h.iam.allow = false
	in := &lambdaapi.AddPermissionRequest{FunctionName: "f", Action: "lambda:InvokeFunction", Principal: "apigateway.amazonaws.com", StatementId: "s"}
	if _, err := h.API().AddPermission(h.ctx, in); err != nil {
		t.Fatal(err)
	}
	inv.Service = "apigateway.amazonaws.com"
	if _, err := h.Invoke(context.Background(), inv); !errors.Is(err, ErrNotPermitted) {
		t.Errorf("a caller without permission, through a service that has it: %v", err)
	}
	inv.Caller = nil
	if _, err := h.Invoke(context.Background(), inv); err != nil {
		t.Errorf("the service itself: %v", err)
	}
}

func TestAddPermission_refused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	ok := lambdaapi.AddPermissionRequest{FunctionName: "f", Action: "lambda:InvokeFunction", Principal: "s3.amazonaws.com", StatementId: "s3"}
	if _, err := h.API().AddPermission(h.ctx, &ok); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		change        func(*lambdaapi.AddPermissionRequest)
		code, message string
	}{
		{"same id", func(*lambdaapi.AddPermissionRequest) {}, "ResourceConflictException", "The statement id (s3) provided already exists. Please provide a new statement id, or remove the existing statement."},
		{"$LATEST", func(r *lambdaapi.AddPermissionRequest) { r.Qualifier = wire.String("$LATEST") }, "InvalidParameterValueException", "We currently do not support adding policies for $LATEST."},
		{"principal", func(r *lambdaapi.AddPermissionRequest) { r.Principal = "nobody" }, "InvalidParameterValueException", "The provided principal was invalid. Please check the principal and try again."},
		{"alias", func(r *lambdaapi.AddPermissionRequest) { r.Qualifier = wire.String("none") }, "ResourceNotFoundException", "Cannot find alias arn: " + arnOf("f:none")},
		{"version", func(r *lambdaapi.AddPermissionRequest) { r.Qualifier = wire.String("42") }, "ResourceNotFoundException", "Function not found: " + arnOf("f:42")},
		{"function", func(r *lambdaapi.AddPermissionRequest) { r.FunctionName = "none" }, "ResourceNotFoundException", "Function not found: " + arnOf("none")},
		{"revision", func(r *lambdaapi.AddPermissionRequest) { r.StatementId = "x"; r.RevisionId = wire.String("old") }, "PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := ok
			c.change(&in)
			_, err := h.API().AddPermission(h.ctx, &in)
			refused(t, err, c.code, c.message)
		})
	}
}

func TestInvoke_api(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", `exports.handler = async (e) => { console.log('logged'); if (e === 'fail') throw new Error('failed'); return e; }`)
	out, err := h.API().Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f", Payload: []byte(`1`), LogType: lambdaapi.LogTypeTail})
	if err != nil || *out.StatusCode != 200 || *out.ExecutedVersion != "$LATEST" || out.FunctionError != nil {
		t.Fatalf("%+v %v", out, err)
	}
	if tail, err := base64.StdEncoding.DecodeString(*out.LogResult); err != nil || !strings.Contains(string(tail), "INFO\tlogged\n") {
		t.Errorf("%s %v", tail, err)
	}
	out, err = h.API().Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f", Payload: []byte(`"fail"`)})
	if err != nil || wire.Value(out.FunctionError) != "Unhandled" || out.LogResult != nil || !strings.Contains(string(out.Payload), `"errorMessage":"failed"`) {
		t.Errorf("%+v %v", out, err)
	}
	out, err = h.API().Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f", InvocationType: lambdaapi.InvocationTypeDryRun})
	if err != nil || *out.StatusCode != 204 || len(out.Payload) != 0 {
		t.Errorf("%+v %v", out, err)
	}
	_, err = h.API().Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f", Payload: []byte(`{`)})
	refused(t, err, "InvalidRequestContentException", "Could not parse request body into json")
	_, err = h.API().Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f", ClientContext: wire.String("?")})
	refused(t, err, "InvalidRequestContentException", "Client context")
}

func TestInvoke_concurrency(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	if _, err := h.API().PutFunctionConcurrency(h.ctx, &lambdaapi.PutFunctionConcurrencyRequest{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
	_, err := h.API().Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f"})
	refused(t, err, "TooManyRequestsException", "Rate Exceeded.")
	got, err := h.API().GetFunctionConcurrency(h.ctx, &lambdaapi.GetFunctionConcurrencyRequest{FunctionName: "f"})
	if err != nil || got.ReservedConcurrentExecutions == nil || *got.ReservedConcurrentExecutions != 0 {
		t.Errorf("%+v %v", got, err)
	}
	_, err = h.API().PutFunctionConcurrency(h.ctx, &lambdaapi.PutFunctionConcurrencyRequest{FunctionName: "f", ReservedConcurrentExecutions: 901})
	refused(t, err, "InvalidParameterValueException", "below its minimum value of [100]")
	if _, err := h.API().DeleteFunctionConcurrency(h.ctx, &lambdaapi.DeleteFunctionConcurrencyRequest{FunctionName: "f"}); err != nil {
		t.Fatal(err)
	}
	if got := h.run("f", "", `1`); got != "1" {
		t.Error(got)
	}
}

// until runs the service's background work until a condition holds.
func (h *harness) until(what string, ok func() bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ctx, 20*time.Second)
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	defer func() { cancel(); <-done }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			h.t.Fatalf("%s did not come about", what)
		case <-tick.C:
		}
	}
}

func (h *harness) waiting() int {
	var n int
	err := h.db.View(h.ctx, func(tx *store.Tx) error {
		list, err := h.tables.events.List(tx, store.Query{})
		n = len(list)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *harness) logged() string {
	h.logs.mu.Lock()
	defer h.logs.mu.Unlock()
	var all strings.Builder
	for stream, text := range h.logs.text {
		all.WriteString(stream + "\n" + text)
	}
	return all.String()
}

func TestInvoke_event(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", `exports.handler = async (e) => { console.log('ran ' + e); if (e === 'fail') throw new Error('x'); }`)
	send := func(payload string) {
		out, err := h.API().Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f", InvocationType: lambdaapi.InvocationTypeEvent, Payload: []byte(payload)})
		if err != nil || *out.StatusCode != 202 || len(out.Payload) != 0 {
			t.Fatalf("%+v %v", out, err)
		}
	}
	send(`"well"`)
	if h.waiting() != 1 {
		t.Error("an event is not kept")
	}
	h.until("the event", func() bool { return h.waiting() == 0 && strings.Contains(h.logged(), "INFO\tran well\n") })
	if text := h.logged(); !strings.Contains(text, "us-west-2 /aws/lambda/f "+h.clock().UTC().Format("2006/01/02/")+"[$LATEST]") {
		t.Error(text)
	}
	send(`"fail"`)
	for attempt := 1; attempt <= 3; attempt++ {
		h.until("an attempt", func() bool { return strings.Count(h.logged(), "ran fail") == attempt })
		h.advance(time.Duration(attempt)*time.Minute + time.Second)
	}
	h.until("giving up", func() bool { return h.waiting() == 0 })
	_, err := h.API().Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f", InvocationType: lambdaapi.InvocationTypeEvent, Payload: bytes.Repeat([]byte(" "), 1<<20+1)})
	refused(t, err, "RequestTooLargeException", "Request must be smaller than 1048576 bytes for the InvokeFunction operation")
}

// A function gets its role's credentials, fresh ones before they end, and nothing of the
// server's own environment.
func TestInvoke_environment(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.iam.expires = h.clock().Add(time.Hour)
	in := request(t, "f", `const n = Math.random(); exports.handler = async (e) => e ? process.env[e] : n`)
	in.Environment = &lambdaapi.Environment{Variables: map[string]string{"MINE": "sealed-value"}}
	if _, err := h.API().CreateFunction(h.ctx, in); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"MINE": "sealed-value", "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
		"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x", "AWS_ENDPOINT_URL": "http://localhost:4566",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f", "_HANDLER": "index.handler",
	} {
		if got := h.run("f", "", `"`+name+`"`); got != `"`+want+`"` {
			t.Errorf("%s is %s", name, got)
		}
	}
	if got := h.run("f", "", `"HOME"`); got != "null" {
		t.Errorf("HOME is %s", got)
	}
	first := h.run("f", "", `null`)
	if again := h.run("f", "", `null`); again != first {
		t.Error("a second environment serves while the first is idle")
	}
	h.advance(59 * time.Minute)
	if again := h.run("f", "", `null`); again == first || h.iam.issued != 2 {
		t.Errorf("an environment outlives its credentials (%d issued)", h.iam.issued)
	}
	err := h.db.View(h.ctx, func(tx *store.Tx) error {
		f, err := h.tables.functions.Get(tx, account, region, "f")
		if bytes.Contains(f.Latest.Environment, []byte("sealed-value")) {
			t.Error("the environment is not sealed")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	changed := &lambdaapi.UpdateFunctionConfigurationRequest{FunctionName: "f", Environment: &lambdaapi.Environment{Variables: map[string]string{"MINE": "new"}}, Timeout: wire.Int32(7)}
	out, err := h.API().UpdateFunctionConfiguration(h.ctx, changed)
	if err != nil || *out.Timeout != 7 || out.Environment.Variables["MINE"] != "new" || *out.MemorySize != 128 {
		t.Fatalf("%+v %v", out, err)
	}
	if got := h.run("f", "", `"MINE"`); got != `"new"` {
		t.Errorf("after the update MINE is %s", got)
	}
}

func TestInvoke_isolationRequired(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	host, err := sandbox.New(sandbox.Config{Isolation: sandbox.IsolationRequire, Executable: "/bin/false", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	h.Service.host = host
	_, err = h.API().Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f"})
	refused(t, err, "ServiceException", "This server cannot isolate functions")
}

// A function whose role trusts Lambda no more runs no more.
func TestInvoke_role(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	h.iam.mu.Lock()
	h.iam.distrusts = true
	h.iam.mu.Unlock()
	_, err := h.API().Invoke(h.ctx, &lambdaapi.InvocationRequest{FunctionName: "f"})
	refused(t, err, "AccessDeniedException", "The role defined for the function cannot be assumed by Lambda.")
}

// What cannot be made is said not to be there, not to be unknown.
func TestAbsent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	a := h.API()
	if out, err := a.GetFunctionCodeSigningConfig(h.ctx, &lambdaapi.GetFunctionCodeSigningConfigRequest{FunctionName: "f"}); err != nil || out.FunctionName != "f" {
		t.Errorf("%+v %v", out, err)
	}
	_, err := a.GetFunctionCodeSigningConfig(h.ctx, &lambdaapi.GetFunctionCodeSigningConfigRequest{FunctionName: "none"})
	refused(t, err, "ResourceNotFoundException", "Function not found: "+arnOf("none"))
	_, err = a.GetFunctionEventInvokeConfig(h.ctx, &lambdaapi.GetFunctionEventInvokeConfigRequest{FunctionName: "f"})
	refused(t, err, "ResourceNotFoundException", "The function "+arnOf("f:$LATEST")+" doesn't have an EventInvokeConfig")
	_, err = a.GetFunctionUrlConfig(h.ctx, &lambdaapi.GetFunctionUrlConfigRequest{FunctionName: "f"})
	refused(t, err, "ResourceNotFoundException", "The resource you requested does not exist.")
}

func TestServeCode(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.create("f", echo)
	out, err := h.API().GetFunction(h.ctx, &lambdaapi.GetFunctionRequest{FunctionName: "f"})
	if err != nil {
		t.Fatal(err)
	}
	get := func(url string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeCode(w, httptest.NewRequest(http.MethodGet, url, nil))
		return w
	}
	location := *out.Code.Location
	if w := get(location); w.Code != 200 || !bytes.HasPrefix(w.Body.Bytes(), []byte("PK")) {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	for _, url := range []string{location[:len(location)-2], location + "AA", "http://localhost" + CodePath, "http://localhost" + CodePath + "../x"} {
		if w := get(url); w.Code != 403 {
			t.Errorf("%s: %d", url, w.Code)
		}
	}
	h.advance(11 * time.Minute)
	if w := get(location); w.Code != 403 {
		t.Errorf("after eleven minutes: %d", w.Code)
	}
}

func TestPutLocal(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(dir+"/index.js", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put := func() {
		l := Local{Name: "f", Region: region, Dir: dir, Runtime: "nodejs20.x", Handler: "index.handler", Role: role, Environment: map[string]string{"A": "1"}}
		if err := h.PutLocal(context.Background(), l); err != nil {
			t.Fatal(err)
		}
	}
	revision := func() string {
		out, err := h.API().GetFunctionConfiguration(h.ctx, &lambdaapi.GetFunctionConfigurationRequest{FunctionName: "f"})
		if err != nil {
			t.Fatal(err)
		}
		return *out.RevisionId
	}
	write(`exports.handler = async () => process.env.A`)
	put()
	first := revision()
	if got := h.run("f", "", `{}`); got != `"1"` {
		t.Error(got)
	}
	put()
	if revision() != first {
		t.Error("an unchanged folder changed the function")
	}
	write(`exports.handler = async () => 2`)
	put()
	if got := h.run("f", "", `{}`); got != `2` {
		t.Error(got)
	}
}

func BenchmarkInvoke(b *testing.B) {
	h := newHarness(b)
	h.create("f", echo)
	if _, err := h.API().AddPermission(h.ctx, &lambdaapi.AddPermissionRequest{
		FunctionName: "f", Action: "lambda:InvokeFunction", Principal: "apigateway.amazonaws.com", SourceArn: wire.String(apiARN + "/*/*/*"), StatementId: "s",
	}); err != nil {
		b.Fatal(err)
	}
	inv := Invocation{Function: arnOf("f"), Payload: []byte(`{"a":1}`), Service: "apigateway.amazonaws.com", SourceARN: apiARN + "/latest/GET/echo"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Invoke(context.Background(), inv); err != nil {
			b.Fatal(err)
		}
	}
}
