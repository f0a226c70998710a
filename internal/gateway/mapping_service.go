package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// ErrRoleRefused is the error of [Services] when the role of an integration cannot be
// assumed by the gateway.
var ErrRoleRefused = errors.New("gateway: the integration's role cannot be assumed")

// Services calls another service of this installation in the role that an integration
// names, signed and authorised like any other call.
type Services interface {
	Do(ctx context.Context, call ServiceCall) (ServiceAnswer, error)
}

// ServiceCall is one request to a service.
type ServiceCall struct {
	Service string // "ssm", as in host names
	Region  string
	Role    string // ARN
	// Source is the ARN of the method, for the role's trust policy.
	Source string
	// Action is set for :action/ URIs; the caller of the service says it in the way of
	// the service's protocol. Otherwise Path, escaped, says what is asked.
	Action, Method, Path, RawQuery string
	Header                         http.Header
	Body                           []byte
}

// ServiceAnswer is what the service answered; errors are answers too.
type ServiceAnswer struct {
	Status int
	Header http.Header
	Body   []byte
}

// serviceMapped is an integration of type AWS with another service.
type serviceMapped struct {
	service, region, action string
	role                    string
	method                  string
	path                    []hole
	query                   string
	request                 requestMapping
	responses               []responseMapping
}

// services are those that this installation has.
func services() []string {
	return []string{"apigateway", "cloudformation", "cloudtrail", "cognito-identity", "cognito-idp", "iam", "lambda", "logs", "ssm", "sts"}
}

// compileService reads arn:aws:apigateway:{region}:{service}:{action|path}/{what}
// (API Gateway API Reference, "PutIntegration").
func (s *Snapshot) compileService(rt *route, res *resource, in Integration) (integration, error) {
	uri := s.expand(in.URI)
	parts := strings.SplitN(uri, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || parts[2] != "apigateway" {
		return nil, &DefinitionError{"Invalid ARN specified in the request"}
	}
	kind, what, ok := strings.Cut(parts[5], "/")
	if !ok || kind != "action" && kind != "path" {
		return nil, &DefinitionError{"AWS ARN for integration must contain path or action"}
	}
	host := parts[4]
	if kind == "path" && host == "lambda" && strings.HasPrefix(strings.TrimLeft(what, "/"), "2015-03-31/functions/") && strings.HasSuffix(what, "/invocations") {
		return s.compileMappedFunction(rt, in)
	}
	name := host[strings.LastIndexByte(host, '.')+1:] // {subdomain.service}
	if !slices.Contains(services(), name) || name != host {
		return nil, &NotBuiltError{rt.name, "this installation has no service " + host}
	}
	switch {
	case in.Credentials == "":
		return nil, &DefinitionError{"Role ARN must be specified for AWS integrations"}
	case in.Credentials == callerCredentials:
		return nil, &NotBuiltError{rt.name, "the caller's credentials for other services than functions are not built"}
	}
	m := &serviceMapped{service: name, region: parts[3], role: in.Credentials, method: in.Method}
	if m.method == "ANY" {
		m.method = ""
	}
	if m.method != "" && !validMethod(m.method) {
		return nil, &DefinitionError{"Invalid HTTP method for " + rt.name + ": " + m.method}
	}
	var err error
	if m.request, err = compileRequest(rt.name, in); err != nil {
		return nil, err
	}
	if m.responses, err = compileResponses(rt.name, in.Responses); err != nil {
		return nil, err
	}
	return m, m.what(rt, res, kind, what)
}

// what reads the action or the path; {placeholders} of a path are filled as in HTTP.
func (m *serviceMapped) what(rt *route, res *resource, kind, text string) (err error) {
	if kind == "action" {
		m.action, m.query, _ = strings.Cut(text, "&")
		if m.action == "" {
			return &DefinitionError{"AWS ARN for integration must contain path or action"}
		}
		return nil
	}
	text, m.query, _ = strings.Cut(text, "?")
	m.path, err = holes(rt, res, "/"+strings.TrimLeft(text, "/"), m.request.paths)
	return err
}

func (m *serviceMapped) serve(x *Exchange) error {
	if x.g.cfg.Services == nil {
		return refuse(APIConfigurationError, "there is nobody who calls services")
	}
	mapped, err := m.request.make(x)
	if err != nil {
		return err
	}
	call := ServiceCall{Service: m.service, Region: m.region, Role: m.role, Source: x.snap.arn + x.Method + x.resource.path, Action: m.action,
		Method: m.method, RawQuery: joinQuery(m.query, mapped.query), Header: http.Header{}, Body: mapped.body}
	if call.Method == "" {
		call.Method = x.Method
	}
	if m.action == "" {
		if call.Path, err = (&httpProxy{path: m.path}).target(x); err != nil {
			return err
		}
	}
	for _, f := range mapped.headers {
		if lower := strings.ToLower(f.Name); lower != "host" && !strings.HasPrefix(lower, "x-amz-security") && lower != "x-amz-date" && lower != "authorization" {
			call.Header.Add(f.Name, f.Value)
		}
	}
	if len(call.Body) > 0 && call.Header.Get("Content-Type") == "" {
		if m.action == "" || !mapped.templated {
			call.Header.Set("Content-Type", mapped.contentType(x))
		}
	}
	ctx, cancel := context.WithTimeout(x.Context, x.route.timeout)
	defer cancel()
	x.traceRequest(x.route.def.Integration.URI, call.Header, call.Body)
	answer, err := x.g.cfg.Services.Do(ctx, call)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(IntegrationTimeout, m.service+" did not answer in time")
	case err != nil:
		return refuse(APIConfigurationError, m.service+" could not be called: "+err.Error())
	}
	return x.mapAnswer(m.responses, &integrationAnswer{status: answer.Status, selection: strconv.Itoa(answer.Status), fields: answer.Header, body: answer.Body})
}
