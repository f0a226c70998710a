package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestFunction_answers follows recorded answers to each form of a function's result.
func TestFunction_answers(t *testing.T) {
	t.Parallel()
	const internal = `{"message": "Internal server error"}`
	bad := want{502, internal, "InternalServerErrorException"}
	for name, c := range map[string]struct {
		out    string
		status int
		body   string
		header string // name=value that must be there
	}{
		"whole":                 {`{"statusCode":201,"headers":{"X-A":"b"},"body":"hi","isBase64Encoded":false}`, 201, "hi", "X-A=b"},
		"status as text":        {`{"statusCode":"202","body":""}`, 202, "", ""},
		"only headers":          {`{"headers":{"Test-Header":"value","Header-Bool":true}}`, 200, "", "Header-Bool=true"},
		"null members":          {`{"statusCode":200,"headers":null,"body":null}`, 200, "", ""},
		"own content type":      {`{"statusCode":200,"headers":{"content-type":"text/html"},"body":"<p>"}`, 200, "<p>", "Content-Type=text/html"},
		"several values":        {`{"multiValueHeaders":{"Test-Multi":["value1","value2"]}}`, 200, "", "Test-Multi=value1|value2"},
		"both kinds of headers": {`{"headers":{"Test-Multi":"value-solo"},"multiValueHeaders":{"Test-Multi":["value-multi","value-solo"]}}`, 200, "", "Test-Multi=value-multi|value-solo"},
		"base64, not asked for": {`{"body":"dGVzdC1kYXRh","isBase64Encoded":true}`, 200, "dGVzdC1kYXRh", ""},
		"remapped":              {`{"headers":{"WWW-Authenticate":"Basic","Date":"x"},"body":""}`, 200, "", "x-amzn-Remapped-WWW-Authenticate=Basic"},
		"no forged id":          {`{"headers":{"x-amzn-RequestId":"1"},"body":""}`, 200, "", "x-amzn-Remapped-x-amzn-RequestId=1"},
		"empty":                 {`{}`, 502, internal, ""},
		"text":                  {`"just a string"`, 502, internal, ""},
		"not JSON":              {`<html>`, 502, internal, ""},
		"nothing":               {``, 502, internal, ""},
		"null":                  {`null`, 502, internal, ""},
		"a list":                {`[{"statusCode":200}]`, 502, internal, ""},
		"unknown member":        {`{"statusCode":200,"cookies":[]}`, 502, internal, ""},
		"status in words":       {`{"statusCode":"OK"}`, 502, internal, ""},
		"status out of range":   {`{"statusCode":99}`, 502, internal, ""},
		"body is an object":     {`{"statusCode":200,"body":{"a":1}}`, 502, internal, ""},
		"header is an object":   {`{"statusCode":200,"headers":{"a":{}}}`, 502, internal, ""},
		"multi is not a list":   {`{"multiValueHeaders":{"a":"b"}}`, 502, internal, ""},
		"response splitting":    {`{"headers":{"a":"b\r\nSet-Cookie: x"}}`, 502, internal, ""},
		"header name":           {`{"headers":{"a b":"c"}}`, 502, internal, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.publish(courses("http://localhost:1"))
			k.invoker.f = func(Invocation) (Result, error) { return Result{Payload: []byte(c.out)}, nil }
			w := k.serve(request("GET", "/open"))
			if c.status == 502 {
				check(t, w, bad)
				if r := k.last(); !strings.Contains(r.Grounds, "malformed") || r.Step != "integrate" {
					t.Errorf("record: %+v", r)
				}
				return
			}
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, c.status, c.body)
			}
			if name, value, ok := strings.Cut(c.header, "="); ok && strings.Join(w.Header()[name], "|") != value {
				t.Errorf("headers: got %v, want %s", w.Header(), c.header)
			}
			if name == "own content type" {
				return
			}
			if got := strings.Join(w.Header()["Content-Type"], "|"); got != "application/json" {
				t.Errorf("Content-Type: %q", got)
			}
			if len(w.Header()["X-Amzn-Trace-Id"]) != 1 || len(w.Header()["x-amzn-RequestId"]) != 1 {
				t.Errorf("ids: %v", w.Header())
			}
		})
	}
}

func TestFunction_failures(t *testing.T) {
	t.Parallel()
	const internal = `{"message": "Internal server error"}`
	for name, c := range map[string]struct {
		res  Result
		err  error
		want want
	}{
		"unhandled":     {Result{FunctionError: "Unhandled", Payload: []byte(`{"errorMessage":"secret"}`)}, nil, want{502, internal, "InternalServerErrorException"}},
		"timeout":       {Result{}, context.DeadlineExceeded, want{504, `{"message": "Endpoint request timed out"}`, "InternalServerErrorException"}},
		"not permitted": {Result{}, ErrFunctionNotPermitted, want{500, internal, "InternalServerErrorException"}},
		"not found":     {Result{}, ErrFunctionNotFound, want{500, internal, "InternalServerErrorException"}},
		"throttled":     {Result{}, ErrFunctionThrottled, want{502, internal, "InternalServerErrorException"}},
		"broken":        {Result{}, errors.New("boom"), want{500, internal, "InternalServerErrorException"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			k.publish(courses("http://localhost:1"))
			k.invoker.f = func(Invocation) (Result, error) { return c.res, c.err }
			check(t, k.serve(request("GET", "/open")), c.want)
			if k.last().Grounds == "" {
				t.Error("no grounds")
			}
		})
	}
}

// A function that runs on is not waited for: the caller gets its answer when the
// integration's time is up.
func TestFunction_dawdles(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	for i := range d.Routes {
		d.Routes[i].Integration.Timeout = 50 * time.Millisecond
	}
	k.publish(d)
	end := make(chan struct{})
	defer close(end)
	k.invoker.f = func(Invocation) (Result, error) { <-end; return Result{}, nil }
	check(t, k.serve(request("GET", "/open")), want{504, `{"message": "Endpoint request timed out"}`, "InternalServerErrorException"})
}

func TestFunction_invocation(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	d.Routes = append(d.Routes,
		Route{Path: "/u/{id}", Method: "ANY", AuthorizationType: "NONE", Integration: proxy("app:${stageVariables.color}")},
		Route{Path: "/gone", Method: "GET", AuthorizationType: "NONE", Integration: proxy("app:${stageVariables.none}")},
		Route{Path: "/get", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "AWS_PROXY", Method: "GET", URI: lambda("app")}},
		Route{Path: "/role", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "AWS_PROXY", URI: lambda("app"), Credentials: "arn:aws:iam::000000000000:role/Invoke"}},
		Route{Path: "/mine", Method: "GET", AuthorizationType: "AWS_IAM", Integration: Integration{Type: "AWS_PROXY", URI: lambda("app"), Credentials: "arn:aws:iam::*:user/*"}},
		Route{Path: "/nobody", Method: "GET", AuthorizationType: "NONE", Integration: Integration{Type: "AWS_PROXY", URI: lambda("app"), Credentials: "arn:aws:iam::*:user/*"}},
	)
	k.publish(d)
	internal := want{500, `{"message": "Internal server error"}`, "InternalServerErrorException"}
	check(t, k.serve(request("GET", "/u/7")), ok)
	got := k.invoker.calls[0]
	if got.FunctionARN != "arn:aws:lambda:us-east-1:000000000000:function:app:blue" || got.Service != "apigateway.amazonaws.com" || got.SourceAccount != account ||
		got.SourceARN != "arn:aws:execute-api:us-east-1:000000000000:abcdefghij/api/GET/u/{id}" || got.RequestID == "" {
		t.Errorf("invocation: %+v", got)
	}
	check(t, k.serve(request("GET", "/gone")), internal)
	check(t, k.serve(request("GET", "/get")), internal)
	check(t, k.serve(request("GET", "/nobody")), internal)
	if len(k.invoker.calls) != 1 {
		t.Errorf("a broken integration was called: %d", len(k.invoker.calls))
	}
	check(t, k.serve(request("GET", "/role")), ok)
	if got := k.invoker.calls[1]; got.Role != "arn:aws:iam::000000000000:role/Invoke" || got.Caller != nil {
		t.Errorf("role: %+v", got)
	}
	check(t, k.serve(signed(request("GET", "/mine"), "ASIAMEMBER", "member-session", region, noon)), ok)
	if got := k.invoker.calls[2]; got.Caller == nil || got.Caller.AccessKeyID != "ASIAMEMBER" {
		t.Errorf("caller: %+v", got)
	}
}

func TestFunction_binaryAnswer(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	d.BinaryMediaTypes = []string{"image/*"}
	k.publish(d)
	k.invoker.f = func(Invocation) (Result, error) {
		return Result{Payload: []byte(`{"headers":{"Content-Type":"image/png"},"body":"AAH/","isBase64Encoded":true}`)}, nil
	}
	for accept, want := range map[string]string{"image/webp,*/*": "\x00\x01\xff", "text/html, image/png": "AAH/", "": "AAH/"} {
		if got := k.serve(request("GET", "/open", "Accept", accept)).Body.String(); got != want {
			t.Errorf("Accept %q: got %q, want %q", accept, got, want)
		}
	}
	k.invoker.f = func(Invocation) (Result, error) {
		return Result{Payload: []byte(`{"body":"!!","isBase64Encoded":true}`)}, nil
	}
	check(t, k.serve(request("GET", "/open", "Accept", "image/png")), want{502, "", "InternalServerErrorException"})
}
