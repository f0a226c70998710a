package wire

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"moat/internal/pure/jsonstring"
)

const internalMessage = "The request processing has failed because of an unknown error, exception or failure."

// internalFailure is all that a caller learns of an error of ours.
func internalFailure() Exception {
	return NewError(http.StatusInternalServerError, "InternalFailure", internalMessage)
}

// refusal is why a request did not prove who sent it.
type refusal uint8

const (
	refusedMissing    refusal = iota // no signature
	refusedIncomplete                // a signature that cannot be read
	refusedUnknownKey                // no such key, or not with this session token
	refusedExpired                   // the session is over
	refusedMismatch                  // wrong signature, scope or time
)

const (
	invalidTokenMessage = "The security token included in the request is invalid."
	expiredTokenMessage = "The security token included in the request is expired"
)

// exception gives a refusal the code, status and words that AWS uses in the
// protocol. An empty message stands for AWS's fixed one.
func (r refusal) exception(protocol, message string) Exception {
	type words struct{ query, other, message string }
	w := [...]words{
		refusedMissing:    {"MissingAuthenticationToken", "MissingAuthenticationTokenException", "Missing Authentication Token"},
		refusedIncomplete: {"IncompleteSignature", "IncompleteSignatureException", "The request signature does not conform to AWS standards."},
		refusedUnknownKey: {"InvalidClientTokenId", "UnrecognizedClientException", invalidTokenMessage},
		refusedExpired:    {"ExpiredToken", "ExpiredTokenException", expiredTokenMessage},
		refusedMismatch:   {"SignatureDoesNotMatch", "InvalidSignatureException", "The request signature we calculated does not match the signature you provided."},
	}[r]
	if message == "" {
		message = w.message
	}
	switch {
	case asksQuery(protocol) && r == refusedIncomplete:
		return NewError(http.StatusBadRequest, w.query, message)
	case asksQuery(protocol):
		return NewError(http.StatusForbidden, w.query, message)
	case protocol == protocolJSON:
		return NewError(http.StatusBadRequest, w.other, message)
	}
	return NewError(http.StatusForbidden, w.other, message)
}

// AccessDenied is the answer to a caller that may not, as the API of the call has it.
func (c *Call) AccessDenied(message string) Exception {
	switch c.protocol {
	case protocolQuery, protocolForm:
		return NewError(http.StatusForbidden, "AccessDenied", message)
	case protocolJSON:
		return NewError(http.StatusBadRequest, "AccessDeniedException", message)
	}
	return NewError(http.StatusForbidden, "AccessDeniedException", message)
}

// validationFailure gives AWS's sentence the code that the API uses for it.
func validationFailure(api *API, found *Violations) Exception {
	message := found.String()
	switch {
	case api.Endpoint == "iam":
		return NewError(http.StatusBadRequest, "ValidationError", found.iamString())
	case api.Endpoint == "cognito-idp" || api.Endpoint == "logs":
		return NewError(http.StatusBadRequest, "InvalidParameterException", message)
	case api.Protocol == protocolQuery:
		return NewError(http.StatusBadRequest, "ValidationError", message)
	}
	return NewError(http.StatusBadRequest, "ValidationException", message)
}

// isCommon tells whether AWS lists a code among the errors that any operation of
// any API may give.
func isCommon(code string) bool {
	return slices.Contains([]string{
		"AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature",
		"IncompleteSignatureException", "InternalFailure", "InvalidAction", "InvalidClientTokenId",
		"InvalidParameterCombination", "InvalidParameterValue", "InvalidQueryParameter", "InvalidSignatureException",
		"MalformedInput", "MalformedQueryString", "MissingAction", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "MissingParameter", "NotImplemented", "OptInRequired", "RequestExpired",
		"SerializationException", "ServiceUnavailable", "Throttling", "ThrottlingException", "UnknownOperationException",
		"UnrecognizedClientException", "ValidationError", "ValidationException",
	}, code)
}

// encodeError writes e in the shape of the protocol.
func (p *Pipeline) encodeError(e Exception, protocol string, api *API, requestID string) answer {
	a := answer{status: e.HTTPStatus()}
	if a.status < 400 || a.status > 599 {
		a.status = http.StatusInternalServerError
	}
	switch protocol {
	case protocolForm:
		a.formError(p, e, requestID)
	case protocolQuery, protocolRESTXML:
		a.xmlError(p, e, protocol, api, requestID)
	case protocolJSON:
		a.setHeader("Content-Type", jsonType(api))
		a.setHeader("X-Amzn-ErrorType", e.ErrorCode())
		a.body = p.jsonError(e, true, false)
	default:
		a.setHeader("Content-Type", "application/json")
		a.setHeader("X-Amzn-ErrorType", e.ErrorCode())
		a.body = p.jsonError(e, false, api != nil && api.Endpoint == "lambda")
	}
	return a
}

// jsonError writes {"__type":code, members...}; a generated exception says itself
// how its message member is spelt. typed adds Lambda's Type, which the model
// leaves to the service.
func (p *Pipeline) jsonError(e Exception, named, typed bool) []byte {
	b := []byte{'{'}
	if named {
		b = append(b, `"__type":`...)
		b = jsonstring.Append(b, e.ErrorCode())
	}
	members := p.exceptionJSON(e, typed)
	if len(b) > 1 && len(members) > 2 {
		b = append(b, ',')
	}
	return append(b, members[1:]...)
}

func (p *Pipeline) exceptionJSON(e Exception, typed bool) []byte {
	plan, v, ok := p.exceptionPlan(e)
	if !ok {
		name := "message"
		if code := e.ErrorCode(); code == "AccessDeniedException" {
			name = "Message"
		}
		b := append([]byte{'{'}, '"')
		b = append(append(b, name...), '"', ':')
		return append(jsonstring.Append(b, e.ErrorMessage()), '}')
	}
	if i, has := plan.body["Type"]; has && typed {
		v = cloneStruct(v)
		setIfAbsent(&plan.fields[i], v, lambdaErrorType(e.HTTPStatus()))
	}
	b := appendJSON(nil, plan, v)
	if plan.memberNamed("Message") == nil && e.ErrorMessage() != "" {
		b = b[:len(b)-1]
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(jsonstring.Append(append(b, `"message":`...), e.ErrorMessage()), '}')
	}
	return b
}

func lambdaErrorType(status int) string {
	if status >= 500 {
		return "Service"
	}
	return "User"
}

// exceptionPlan returns the plan of a generated exception.
func (p *Pipeline) exceptionPlan(e Exception) (*plan, reflect.Value, bool) {
	v := reflect.ValueOf(e)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, v, false
	}
	plan := p.planner.of(v.Elem().Type())
	return plan, v.Elem(), len(plan.fields) > 0
}

func (p *plan) memberNamed(goName string) *field {
	for i := range p.fields {
		if p.fields[i].goName == goName {
			return &p.fields[i]
		}
	}
	return nil
}

func cloneStruct(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

func setIfAbsent(f *field, v reflect.Value, s string) {
	if x, ok := f.value(v); f.kind == kindString && (!ok || x.Len() == 0) {
		f.slot(v).SetString(s)
	}
}

// xmlError writes the error of the query protocol; rest-xml has no wrapper.
func (a *answer) xmlError(p *Pipeline, e Exception, protocol string, api *API, requestID string) {
	a.setHeader("Content-Type", "text/xml")
	sender := "Sender"
	if a.status >= 500 {
		sender = "Receiver"
	}
	var b []byte
	if protocol == protocolQuery {
		b = append(b, "<ErrorResponse"...)
		if api != nil && api.Namespace != "" {
			b = append(appendXMLText(append(b, ` xmlns="`...), api.Namespace), '"')
		}
		b = append(b, '>')
	}
	b = append(b, "<Error>"...)
	if protocol == protocolQuery {
		b = appendXMLElement(b, "Type", sender)
	}
	b = appendXMLElement(b, "Code", e.ErrorCode())
	b = appendXMLElement(b, "Message", e.ErrorMessage())
	if plan, v, ok := p.exceptionPlan(e); ok {
		for i := range plan.fields {
			f := &plan.fields[i]
			if x, ok := f.value(v); ok && f.goName != "Message" {
				b = f.appendXML(b, f.name, x)
			}
		}
	}
	if protocol == protocolRESTXML {
		b = appendXMLElement(b, "RequestId", requestID)
	}
	b = append(b, "</Error>"...)
	if protocol == protocolQuery {
		b = appendXMLElement(b, "RequestId", requestID)
		b = append(b, "</ErrorResponse>"...)
	}
	a.body = append(b, '\n')
}

func appendXMLElement(b []byte, name, text string) []byte {
	b = append(append(append(b, '<'), name...), '>')
	return appendXMLEnd(appendXMLText(b, text), name)
}

// asException finds the exception in err; anything else is a failure of ours.
func asException(err error) (Exception, bool) {
	var e Exception
	if !errors.As(err, &e) || reflect.ValueOf(e).Kind() == reflect.Pointer && reflect.ValueOf(e).IsNil() {
		return internalFailure(), false
	}
	return e, true
}

func jsonType(api *API) string {
	const usual = "application/x-amz-json-1.1"
	if api != nil && api.JSONVersion != "" && api.JSONVersion != "1.1" {
		return "application/x-amz-json-" + api.JSONVersion
	}
	return usual
}

func itoa(n int) string { return strconv.Itoa(n) }
