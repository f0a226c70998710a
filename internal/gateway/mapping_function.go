package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"moat/internal/pure/jsonpath"
	"moat/internal/pure/jsonstring"
)

// functionMapped is an integration of type AWS with a function: the mapped body is its
// event, its result is mapped back.
type functionMapped struct {
	function  *function
	post      bool
	request   requestMapping
	responses []responseMapping
}

func (s *Snapshot) compileMappedFunction(rt *route, in Integration) (integration, error) {
	m := &functionMapped{post: in.Method == "" || in.Method == http.MethodPost}
	var err error
	if m.function, err = s.newFunction(rt.name, in.URI, in.Credentials); err != nil {
		return nil, err
	}
	if m.request, err = compileRequest(rt.name, in); err != nil {
		return nil, err
	}
	m.responses, err = compileResponses(rt.name, in.Responses)
	return m, err
}

func (m *functionMapped) serve(x *Exchange) error {
	if !m.post {
		return refuse(APIConfigurationError, "a function is integrated by POST, not by "+x.route.def.Integration.Method)
	}
	mapped, err := m.request.make(x)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(x.Context, x.route.timeout)
	defer cancel()
	a, err := m.ask(ctx, x, mapped)
	if err != nil {
		return err
	}
	x.reply.trace = true
	return x.mapAnswer(m.responses, a)
}

// ask invokes the function as Lambda's Invoke does, whose answer is the integration's.
func (m *functionMapped) ask(ctx context.Context, x *Exchange, mapped *mappedRequest) (*integrationAnswer, error) {
	payload := mapped.body
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if _, err := jsonpath.Parse(payload); err != nil {
		return lambdaError(http.StatusBadRequest, "Could not parse request body into json: "+err.Error()), nil
	}
	kind := mapped.header("X-Amz-Invocation-Type")
	switch kind {
	case "", "RequestResponse", "Event":
	case "DryRun":
		return nil, refuse(APIConfigurationError, "the invocation type DryRun is not built")
	default:
		return lambdaError(http.StatusBadRequest, "1 validation error detected: Value '"+kind+"' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]"), nil
	}
	x.traceRequest(x.route.def.Integration.URI, kindHeader(kind), payload)
	out, err := m.function.ask(ctx, x, payload, x.snap.arn+x.Method+x.resource.path, kind == "Event")
	switch {
	case errors.Is(err, ErrFunctionThrottled):
		return lambdaError(http.StatusTooManyRequests, "Rate Exceeded."), nil
	case err != nil:
		return nil, err
	case kind == "Event":
		return &integrationAnswer{status: http.StatusAccepted, selection: strconv.Itoa(http.StatusAccepted), fields: http.Header{}}, nil
	}
	// Patterns look at the error's message alone: ".+" means every error, ".*" success as well.
	a := &integrationAnswer{status: http.StatusOK, function: true, fields: http.Header{"Content-Type": {"application/json"}}, body: out.Payload}
	if out.FunctionError != "" {
		a.fields.Set("X-Amz-Function-Error", out.FunctionError)
	}
	if message, ok := errorMessage(out.Payload); ok {
		a.selection = message
	}
	return a, nil
}

func kindHeader(kind string) http.Header {
	if kind == "" {
		return nil
	}
	return http.Header{"X-Amz-Invocation-Type": {kind}}
}

// lambdaError is an error of Lambda's own.
func lambdaError(status int, message string) *integrationAnswer {
	body := append(jsonstring.Append([]byte(`{"Type":"User","message":`), message), '}')
	return &integrationAnswer{status: status, selection: strconv.Itoa(status), fields: http.Header{"Content-Type": {"application/json"}}, body: body}
}

// errorMessage is what selection patterns look at (API Gateway Developer Guide, "Handle
// standard Lambda errors").
func errorMessage(payload []byte) (string, bool) {
	var v struct {
		Message *string `json:"errorMessage"`
	}
	if json.Unmarshal(payload, &v) != nil || v.Message == nil || *v.Message == "" {
		return "", false
	}
	return *v.Message, true
}
