package wire

import (
	"net/http"
	"reflect"
	"strings"

	"moat/internal/pure/jsonstring"
)

// protocolForm is the query protocol for who accepts JSON: the answer's elements are an
// object's members then. Clients of STS ask so (aws-iam-authenticator, Vault), and API Gateway
// asks every service so that it calls by an action.
const protocolForm = "query-json"

// asksQuery reports whether a call is one of the query protocol, whatever its answer's form.
func asksQuery(protocol string) bool { return protocol == protocolQuery || protocol == protocolForm }

// HasForms reports whether an API of the protocol "json" answers the query protocol, too,
// which it had before. Systems Manager does (recorded).
func (a *API) HasForms() bool { return a.Protocol == protocolJSON && a.Endpoint == "ssm" }

// isForm reports whether the request of an API with forms is one: it has no target, and an
// action in its query string or form.
func (x *exchange) isForm() (bool, error) {
	if !x.end.api.HasForms() || x.r.Header.Get("X-Amz-Target") != "" {
		return false, nil
	}
	if _, has := x.parameter("Action"); has {
		return true, nil
	}
	if !hasPrefixFold(x.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return false, nil
	}
	if err := x.readForm(); err != nil {
		return false, err
	}
	_, has := x.parameter("Action")
	return has, nil
}

// queryProtocol is the form of the answer to a call of the query protocol.
func (x *exchange) queryProtocol() string {
	for _, accept := range x.r.Header.Values("Accept") {
		for part := range strings.SplitSeq(accept, ",") {
			media, _, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "application/json":
				return protocolForm
			case "text/xml", "application/xml":
				return protocolQuery
			}
		}
	}
	return protocolQuery
}

// appendFormAnswer wraps an output as [appendQueryAnswer] does, in JSON. What has no value is
// null (recorded).
func appendFormAnswer(op *operation, p *plan, v reflect.Value, requestID string) []byte {
	b := append(append([]byte(`{"`), op.Name...), `Response":{`...)
	if wrapper := resultWrapper(op); wrapper != "" {
		b = append(append(append(b, '"'), wrapper...), `":`...)
		b = append(appendJSONWhole(b, p, v), ',')
	}
	b = jsonstring.Append(append(b, `"ResponseMetadata":{"RequestId":`...), requestID)
	return append(b, "}}}"...)
}

// resultWrapper is the name around an output's members. The models of APIs that have left the
// query protocol do not say it.
func resultWrapper(op *operation) string {
	if op.ResultWrapper == "" && op.end.api.HasForms() && op.Output.NumField() > 0 {
		return op.Name + "Result"
	}
	return op.ResultWrapper
}

// appendJSONWhole is appendJSON with null for each member that is absent, also further down.
func appendJSONWhole(b []byte, p *plan, v reflect.Value) []byte {
	b = append(b, '{')
	for i := range p.fields {
		f := &p.fields[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsonstring.Append(b, f.name), ':')
		x, ok := f.value(v)
		if !ok {
			b = append(b, "null"...)
			continue
		}
		b = f.appendJSONWhole(b, x)
	}
	return append(b, '}')
}

func (f *field) appendJSONWhole(b []byte, v reflect.Value) []byte {
	switch f.kind {
	case kindStruct:
		return appendJSONWhole(b, f.plan, v)
	case kindList:
		elem := f.inner(f.elem)
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = elem.appendJSONWhole(b, indirect(v.Index(i)))
		}
		return append(b, ']')
	case kindMap:
		elem := f.inner(f.elem)
		b = append(b, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(jsonstring.Append(b, k.String()), ':')
			b = elem.appendJSONWhole(b, indirect(v.MapIndex(k)))
		}
		return append(b, '}')
	}
	return f.appendJSON(b, v)
}

// formError writes the error of the query protocol in JSON.
func (a *answer) formError(p *Pipeline, e Exception, requestID string) {
	a.setHeader("Content-Type", "application/json")
	sender := "Sender"
	if a.status >= http.StatusInternalServerError {
		sender = "Receiver"
	}
	b := jsonstring.Append([]byte(`{"Error":{"Code":`), e.ErrorCode())
	b = jsonstring.Append(append(b, `,"Message":`...), e.ErrorMessage())
	if plan, v, ok := p.exceptionPlan(e); ok {
		for i := range plan.fields {
			f := &plan.fields[i]
			if x, ok := f.value(v); ok && f.goName != "Message" && f.goName != "Code" && f.goName != "Type" {
				b = append(jsonstring.Append(append(b, ','), f.name), ':')
				b = f.appendJSON(b, x)
			}
		}
	}
	b = jsonstring.Append(append(b, `,"Type":`...), sender)
	b = jsonstring.Append(append(b, `},"RequestId":`...), requestID)
	a.body = append(b, '}')
}
