package gateway

import (
	"errors"
	"strings"
	"testing"

	"moat/internal/wire"
)

func tested1(t *testing.T, d Definition, r Route, stage string) *Snapshot {
	t.Helper()
	d.Routes, d.Stage = []Route{r}, stage
	s, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A function is asked under the stage of tests, and its refusal is the test's answer.
func TestTestMethod_AsksTheFunctionsPolicy(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	s := tested1(t, courses("http://x"), Route{Path: "/courses/{id}", Method: "GET", ResourceID: "r", AuthorizationType: "NONE", Integration: proxy("courses")}, TestStage)
	res := k.TestMethod(t.Context(), s, TestRequest{Path: "/courses/7?a=b", Caller: wire.Caller{}})
	inv := k.invoker.calls[len(k.invoker.calls)-1]
	if res.Status != 200 || inv.SourceARN != "arn:aws:execute-api:us-east-1:000000000000:abcdefghij/test-invoke-stage/GET/courses/{id}" || !strings.Contains(string(inv.Payload), `"pathParameters":{"id":"7"}`) {
		t.Errorf("%+v for %s", res, inv.SourceARN)
	}
	k.invoker.f = func(Invocation) (Result, error) { return Result{}, ErrFunctionNotPermitted }
	res = k.TestMethod(t.Context(), s, TestRequest{})
	if res.Status != 500 || !strings.Contains(res.Log, "Execution failed due to configuration error: ") || !strings.HasSuffix(res.Log, "Method completed with status: 500\n") {
		t.Errorf("%+v", res)
	}
	if len(k.records) != 0 {
		t.Errorf("a test counted as a request: %+v", k.records)
	}
}

// What an authorizer said before does not count in a test, and what it says in one is not remembered.
func TestTestAuthorizer(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://x")
	d.Authorizers = map[string]Authorizer{
		"fn":   {ID: "fn", Name: "Fn", Type: "TOKEN", IdentitySource: "method.request.header.Auth", URI: lambda("authorizer"), Validation: "ok-.*"},
		"pool": d.Authorizers["auth01"],
	}
	route := func(kind, id string) *Snapshot {
		return tested1(t, d, Route{Path: "/", Method: "GET", AuthorizationType: kind, AuthorizerID: id, Integration: corsMock(`{"statusCode": 200}`)}, TestAuthorizerStage)
	}
	const grantAll = `{"principalId":"ann","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"*"}]}}`
	answer := `{"principalId":"ann","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"execute-api:Invoke","Resource":"*"}]},"context":{"n":1}}`
	k.invoker.f = func(Invocation) (Result, error) { return Result{Payload: []byte(answer)}, nil }
	fn := route("CUSTOM", "fn")
	ask := func(s *Snapshot, name, value string) AuthorizerResult {
		return k.TestAuthorizer(t.Context(), s, TestRequest{Fields: []Field{{name, value}}})
	}
	res := ask(fn, "Auth", "ok-1")
	if res.Status != 200 || res.Principal != "ann" || !strings.Contains(res.Policy, `"Effect":"Deny"`) || res.Authorization["n"][0] != "1" {
		t.Errorf("%+v", res)
	}
	inv := k.invoker.calls[0]
	if inv.SourceARN != "arn:aws:execute-api:us-east-1:000000000000:abcdefghij/authorizers/fn" || !strings.Contains(string(inv.Payload), "abcdefghij/ESTestInvoke-stage/GET/") {
		t.Errorf("%s %s", inv.SourceARN, inv.Payload)
	}
	if ask(fn, "Auth", "ok-1"); len(k.invoker.calls) != 2 {
		t.Errorf("%d calls, want that each test asks", len(k.invoker.calls))
	}
	if res := ask(fn, "Auth", "other"); res.Status != 401 || res.Policy != "" || len(k.invoker.calls) != 2 {
		t.Errorf("not valid: %+v", res)
	}
	answer = `{"principalId":"ann"}`
	if res := ask(fn, "Auth", "ok-1"); res.Status != 500 || !strings.Contains(res.Log, "configuration error") {
		t.Errorf("nonsense: %+v", res)
	}
	k.invoker.f = func(Invocation) (Result, error) { return Result{}, errors.New("gone") }
	if res := ask(fn, "Auth", "ok-1"); res.Status != 500 {
		t.Errorf("failing: %+v", res)
	}
	d.Authorizers["by"] = Authorizer{ID: "by", Name: "By", Type: "REQUEST", IdentitySource: "context.identity.apiKey", URI: lambda("authorizer")}
	k.invoker.f = func(Invocation) (Result, error) { return Result{Payload: []byte(grantAll)}, nil }
	by := route("CUSTOM", "by")
	if res := k.TestAuthorizer(t.Context(), by, TestRequest{}); res.Status != 401 {
		t.Errorf("without its context: %+v", res)
	}
	res = k.TestAuthorizer(t.Context(), by, TestRequest{Context: map[string]string{"identity.apiKey": "k-1", "identity.sourceIp": "203.0.113.9"}})
	if last := k.invoker.calls[len(k.invoker.calls)-1].Payload; res.Status != 200 || !strings.Contains(string(last), `"apiKey":"k-1"`) || !strings.Contains(string(last), `"sourceIp":"203.0.113.9"`) {
		t.Errorf("with its context: %+v %s", res, last)
	}
	pool := route("COGNITO_USER_POOLS", "pool")
	if res := ask(pool, "Authorization", k.id(nil)); res.Status != 200 || res.Claims["sub"] != "sub-1" {
		t.Errorf("%+v", res)
	}
	if res := ask(pool, "Authorization", "x.y.z"); res.Status != 401 || res.Claims != nil {
		t.Errorf("%+v", res)
	}
}
