package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// callerCredentials as the credentials of an integration means: with the caller's own rights.
const callerCredentials = "arn:aws:iam::*:user/*"

// function is a function that answers a route or authorises callers.
type function struct {
	arn     string // empty: the stage's variables do not make an ARN of the URI
	broken  string
	role    string
	asks    bool // with the caller's rights
	account string
}

// newFunction reads arn:aws:apigateway:R:lambda:path/2015-03-31/functions/ARN/invocations.
func (s *Snapshot) newFunction(where, uri, credentials string) (*function, error) {
	f := &function{account: s.def.Account}
	switch {
	case credentials == callerCredentials:
		f.asks = true
	case credentials != "":
		f.role = credentials
	}
	text := s.expand(uri)
	_, path, ok := strings.Cut(text, ":lambda:path/")
	arn, found := strings.CutPrefix(strings.TrimLeft(path, "/"), "2015-03-31/functions/")
	arn, closed := strings.CutSuffix(arn, "/invocations")
	if ok && found && closed && strings.HasPrefix(text, "arn:") && strings.HasPrefix(arn, "arn:") && !strings.HasSuffix(arn, ":") && !strings.Contains(arn, "/") {
		f.arn = arn
		return f, nil
	}
	if text != uri || strings.Contains(uri, "${") {
		f.broken = "with the stage's variables the integration's URI is " + text
		return f, nil
	}
	return nil, &DefinitionError{"Invalid ARN specified in the request: " + where + " has the URI " + uri}
}

// invoke calls the function and gives back what it answered.
func (f *function) invoke(ctx context.Context, x *Exchange, payload []byte, source string) ([]byte, error) {
	out, err := f.ask(ctx, x, payload, source, false)
	switch {
	case errors.Is(err, ErrFunctionThrottled):
		return nil, badGateway("the function " + f.arn + " is throttled")
	case err != nil:
		return nil, err
	case out.FunctionError != "":
		return nil, badGateway("the function " + f.arn + " failed (" + out.FunctionError + "): " + clip(out.Payload))
	}
	return out.Payload, nil
}

// ask calls the function. Errors are refusals, but [ErrFunctionThrottled].
func (f *function) ask(ctx context.Context, x *Exchange, payload []byte, source string, event bool) (Result, error) {
	if f.arn == "" {
		return Result{}, refuse(APIConfigurationError, f.broken)
	}
	if x.g.cfg.Invoker == nil {
		return Result{}, refuse(APIConfigurationError, "there is nobody who runs functions")
	}
	inv := Invocation{FunctionARN: f.arn, Payload: payload, Service: "apigateway.amazonaws.com", SourceARN: source,
		SourceAccount: f.account, RequestID: x.requestID, Trace: x.functionTrace(), Role: f.role, Event: event}
	if f.asks {
		if x.caller == nil {
			return Result{}, refuse(APIConfigurationError, "the integration wants the caller's credentials and the route asks for none")
		}
		caller := *x.caller // the exchange's own ends with it
		inv.Caller, inv.Conditions = &caller, x.conditions()
	}
	out, err := await(ctx, x.g.cfg.Invoker, inv)
	if x.integrated && err == nil { // not an authorizer
		x.endpoint.service, x.endpoint.requestID = http.StatusOK, x.requestID
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return out, refuse(IntegrationTimeout, "the function "+f.arn+" did not answer in time")
	case errors.Is(err, ErrFunctionThrottled):
		x.endpoint.service = http.StatusTooManyRequests
		return out, ErrFunctionThrottled
	case errors.Is(err, ErrFunctionPayload):
		x.endpoint.service = http.StatusRequestEntityTooLarge
		return out, refuse(RequestTooLarge, "the payload is larger than the function "+f.arn+" takes")
	case err != nil:
		return out, refuse(APIConfigurationError, "the function "+f.arn+" could not be called: "+err.Error())
	}
	return out, nil
}

// await waits for the function's answer until ctx ends. A function that has begun runs to
// its own end all the same, as on AWS; nobody hears what it says then. A panic of the
// invoker is the caller's, as if it had been called directly.
func await(ctx context.Context, functions Invoker, inv Invocation) (Result, error) {
	type outcome struct {
		result   Result
		err      error
		panicked any
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			o.panicked = recover()
			done <- o
		}()
		o.result, o.err = functions.Invoke(ctx, inv)
	}()
	select {
	case o := <-done:
		if o.panicked != nil {
			panic(o.panicked)
		}
		return o.result, o.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

func clip(b []byte) string {
	if len(b) > 512 {
		b = b[:512]
	}
	return strings.ToValidUTF8(string(b), "?")
}

// functionProxy is an integration of type AWS_PROXY.
type functionProxy struct {
	function *function
	post     bool
	broken   string // of the request mapping, which does nothing else here
}

func (s *Snapshot) compileFunction(rt *route, in Integration) (integration, error) {
	m, err := compileRequest(rt.name, Integration{Type: in.Type, RequestParameters: in.RequestParameters, ContentHandling: in.ContentHandling})
	if err != nil {
		return nil, err
	}
	f, err := s.newFunction(rt.name, in.URI, in.Credentials)
	if err != nil {
		return nil, err
	}
	return &functionProxy{f, in.Method == "" || in.Method == http.MethodPost, m.broken}, nil
}

func (p *functionProxy) serve(x *Exchange) error {
	if !p.post { // recorded: functions are called by POST, another method fails when it is called
		return refuse(APIConfigurationError, "a function is integrated by POST, not by "+x.route.def.Integration.Method)
	}
	if p.broken != "" {
		return refuse(APIConfigurationError, p.broken)
	}
	body, err := x.payload()
	if err != nil {
		return err
	}
	if _, err := x.convertRequest(x.route.def.Integration.ContentHandling, x.get("Content-Type"), body); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(x.Context, x.route.timeout)
	defer cancel()
	out, err := p.function.invoke(ctx, x, x.event(body), x.snap.arn+x.Method+x.resource.path)
	if err != nil {
		return err
	}
	x.reply.trace = true
	err = x.fromFunction(out)
	x.endpoint.status = x.reply.status
	return err
}

// fromFunction reads the answer of a function with proxy integration. It is strict
// where AWS is: an unknown member or a wrong type is a malformed answer (recorded).
func (x *Exchange) fromFunction(out []byte) error {
	malformed := func(why string) error {
		return badGateway("malformed proxy answer of the function: " + why + ": " + clip(out))
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(out, &m); err != nil || len(m) == 0 {
		return malformed("it is not an object with members")
	}
	var headers map[string]json.RawMessage
	var multi map[string][]json.RawMessage
	var body *string
	var encoded *bool
	x.reply.status = http.StatusOK
	for name, raw := range m {
		var err error
		switch name {
		case "statusCode":
			x.reply.status, err = statusCode(raw)
		case "headers":
			err = json.Unmarshal(raw, &headers)
		case "multiValueHeaders":
			err = json.Unmarshal(raw, &multi)
		case "body":
			err = json.Unmarshal(raw, &body)
		case "isBase64Encoded":
			err = json.Unmarshal(raw, &encoded)
		default:
			return malformed("unknown member " + name)
		}
		if err != nil {
			return malformed("member " + name)
		}
	}
	if !x.functionHeaders(headers, multi) {
		return malformed("a header")
	}
	if body != nil {
		x.reply.body = []byte(*body)
	}
	if encoded != nil && *encoded && x.wantsBinary() {
		decoded, err := base64.StdEncoding.DecodeString(string(x.reply.body))
		if err != nil {
			return malformed("the body is not Base64")
		}
		x.reply.body = decoded
	}
	return nil
}

// statusCode reads a whole number, also as a string; null is 200.
func statusCode(raw json.RawMessage) (int, error) {
	text := string(bytes.Trim(raw, `"`))
	if text == "null" {
		return http.StatusOK, nil
	}
	n, err := strconv.Atoi(text)
	if err == nil && (n < 200 || n > 599) {
		err = strconv.ErrRange
	}
	return n, err
}

// functionHeaders merges multiValueHeaders and headers; a pair that is in both counts once.
func (x *Exchange) functionHeaders(headers map[string]json.RawMessage, multi map[string][]json.RawMessage) bool {
	add := func(name string, raw json.RawMessage) bool {
		value, ok := scalar(raw)
		if !ok || !validName(name) || !validValue(value) {
			return false
		}
		for _, f := range x.reply.fields {
			if strings.EqualFold(f.Name, name) && f.Value == value {
				return true
			}
		}
		x.keep(name, value)
		return true
	}
	for _, name := range slices.Sorted(maps.Keys(multi)) {
		for _, raw := range multi[name] {
			if !add(name, raw) {
				return false
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if !add(name, headers[name]) {
			return false
		}
	}
	return true
}

// scalar gives a string, number or boolean as text.
func scalar(raw json.RawMessage) (string, bool) {
	switch {
	case len(raw) == 0 || raw[0] == '{' || raw[0] == '[':
		return "", false
	case raw[0] != '"':
		if string(raw) == "null" {
			return "", true
		}
		return string(raw), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// wantsBinary reports whether the client's first Accept type is one of the API's
// binary types: only then AWS decodes a Base64 body (recorded).
func (x *Exchange) wantsBinary() bool {
	accept, _, _ := strings.Cut(x.get("Accept"), ",")
	return x.snap.isBinary(accept)
}
