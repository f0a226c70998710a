package restapi

import (
	"maps"
	"slices"
	"strings"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func (e *exporter) path(r apigatewayapi.Resource) *document.Object {
	out := &document.Object{}
	for _, verb := range slices.Sorted(maps.Keys(r.ResourceMethods)) {
		name := strings.ToLower(verb)
		if verb == "ANY" {
			name = "x-amazon-apigateway-any-method"
		}
		out.Set(name, e.method(r, verb, r.ResourceMethods[verb]))
	}
	extensions(out, e.said("RESOURCE", *r.Path, "", "", ""))
	return out
}

func (e *exporter) method(r apigatewayapi.Resource, verb string, m apigatewayapi.Method) *document.Object {
	path, out := *r.Path, &document.Object{}
	said := e.said("METHOD", path, verb, "", "")
	for _, k := range []string{"tags", "summary", "description", "externalDocs"} {
		if v := said.Get(k); v != nil {
			out.Set(k, v)
		}
	}
	setText(out, "operationId", m.OperationName)
	if e.swagger {
		setList(out, "consumes", slices.Sorted(maps.Keys(m.RequestModels)))
		setList(out, "produces", e.produces(m))
	}
	parameters := e.parameters(path, verb, m)
	if e.swagger {
		parameters = append(parameters, e.body(path, verb, m)...)
	}
	if len(parameters) > 0 {
		out.Set("parameters", parameters)
	}
	if !e.swagger && len(m.RequestModels) > 0 {
		body := document.New("description", e.said("REQUEST_BODY", path, verb, "", "").Get("description"))
		body.Set("content", e.content(m.RequestModels))
		body.Set("required", true)
		out.Set("requestBody", body)
	}
	responses := &document.Object{}
	for _, status := range slices.Sorted(maps.Keys(m.MethodResponses)) {
		responses.Set(status, e.response(path, verb, status, m.MethodResponses[status]))
	}
	if responses.Len() > 0 || e.swagger {
		out.Set("responses", responses)
	}
	if v := said.Get("deprecated"); v != nil {
		out.Set("deprecated", v)
	}
	if security := e.security(m); len(security) > 0 {
		out.Set("security", security)
	}
	if id := wire.Value(m.RequestValidatorId); id != "" && e.all {
		out.Set("x-amazon-apigateway-request-validator", e.validators[id])
	}
	if m.MethodIntegration != nil && e.integrations {
		out.Set("x-amazon-apigateway-integration", e.integration(r, m.MethodIntegration))
	}
	extensions(out, said)
	return out
}

func setList(o *document.Object, name string, list []string) {
	if len(list) > 0 {
		o.Set(name, document.Of(list))
	}
}

// produces are the media types of the method's answers.
func (e *exporter) produces(m apigatewayapi.Method) []string {
	kinds := map[string]bool{}
	for _, r := range m.MethodResponses {
		for k := range r.ResponseModels {
			kinds[k] = true
		}
	}
	return slices.Sorted(maps.Keys(kinds))
}

// typed says that a parameter or header is text: API Gateway knows no other type.
func (e *exporter) typed(o *document.Object) *document.Object {
	if e.swagger {
		o.Set("type", "string")
	} else {
		o.Set("schema", document.New("type", "string"))
	}
	return o
}

func (e *exporter) parameters(path, verb string, m apigatewayapi.Method) []any {
	var out []any
	for _, full := range slices.Sorted(maps.Keys(m.RequestParameters)) {
		for _, place := range []struct {
			prefix, in string
			kind       apigatewayapi.DocumentationPartType
		}{{"path.", "path", "PATH_PARAMETER"}, {"querystring.", "query", "QUERY_PARAMETER"}, {"header.", "header", "REQUEST_HEADER"}} {
			name, ok := strings.CutPrefix(full, "method.request."+place.prefix)
			if !ok {
				continue
			}
			p := document.New("name", name, "in", place.in)
			said := e.said(place.kind, path, verb, "", name)
			if v := said.Get("description"); v != nil {
				p.Set("description", v)
			}
			if required := m.RequestParameters[full] || place.in == "path"; required || e.swagger {
				p.Set("required", required)
			}
			e.typed(p)
			extensions(p, said)
			out = append(out, p)
		}
	}
	return out
}

// body is Swagger's one body parameter, with the model of the first media type.
func (e *exporter) body(path, verb string, m apigatewayapi.Method) []any {
	for _, kind := range preferred(m.RequestModels) {
		name := m.RequestModels[kind]
		p := document.New("in", "body", "name", name, "description", e.said("REQUEST_BODY", path, verb, "", "").Get("description"))
		p.Set("required", true)
		p.Set("schema", e.model(name))
		return []any{p}
	}
	return nil
}

// preferred are media types, JSON first.
func preferred(models map[string]string) []string {
	kinds := slices.Sorted(maps.Keys(models))
	if i := slices.Index(kinds, "application/json"); i > 0 {
		kinds[0], kinds[i] = kinds[i], kinds[0]
	}
	return kinds
}

func (e *exporter) content(models map[string]string) *document.Object {
	out := &document.Object{}
	for _, kind := range slices.Sorted(maps.Keys(models)) {
		out.Set(kind, document.New("schema", e.model(models[kind])))
	}
	return out
}

func (e *exporter) response(path, verb, status string, r apigatewayapi.MethodResponse) *document.Object {
	said := e.said("RESPONSE", path, verb, status, "")
	out := document.New("description", status+" response")
	if v := said.Get("description"); v != nil {
		out.Set("description", v)
	}
	if e.swagger {
		for _, kind := range preferred(r.ResponseModels) {
			out.Set("schema", e.model(r.ResponseModels[kind]))
			break
		}
	}
	headers := &document.Object{}
	for _, full := range slices.Sorted(maps.Keys(r.ResponseParameters)) {
		if name, ok := strings.CutPrefix(full, "method.response.header."); ok {
			h := document.New("description", e.said("RESPONSE_HEADER", path, verb, status, name).Get("description"))
			headers.Set(name, e.typed(h))
		}
	}
	setIf(out, "headers", headers)
	if !e.swagger {
		out.Set("content", e.content(r.ResponseModels))
	}
	extensions(out, said)
	return out
}

// security is what the method demands: who calls, and an API key beside.
func (e *exporter) security(m apigatewayapi.Method) []any {
	var out []any
	scopes := document.Of(append([]string{}, m.AuthorizationScopes...))
	switch wire.Value(m.AuthorizationType) {
	case "AWS_IAM":
		out = append(out, document.New(e.iam, scopes))
	case "CUSTOM", "COGNITO_USER_POOLS":
		out = append(out, document.New(wire.Value(e.d.Authorizers[wire.Value(m.AuthorizerId)].Name), scopes))
	}
	if wire.Value(m.ApiKeyRequired) {
		out = append(out, document.New(e.key, []any{}))
	}
	return out
}

func (e *exporter) integration(r apigatewayapi.Resource, i *apigatewayapi.Integration) *document.Object {
	out := &document.Object{}
	setText(out, "connectionId", i.ConnectionId)
	setText(out, "credentials", i.Credentials)
	setText(out, "uri", i.Uri)
	setText(out, "httpMethod", i.HttpMethod)
	setIf(out, "responses", integrationAnswers(i))
	if len(i.RequestParameters) > 0 {
		out.Set("requestParameters", document.Of(i.RequestParameters))
	}
	if len(i.RequestTemplates) > 0 {
		out.Set("requestTemplates", document.Of(i.RequestTemplates))
	}
	if i.PassthroughBehavior != nil {
		out.Set("passthroughBehavior", strings.ToLower(*i.PassthroughBehavior))
	}
	if i.ConnectionType == apigatewayapi.ConnectionTypeVPC_LINK {
		out.Set("connectionType", string(i.ConnectionType))
	}
	if n := wire.Value(i.CacheNamespace); n != "" && (n != wire.Value(r.Id) || len(i.CacheKeyParameters) > 0) {
		out.Set("cacheNamespace", n)
	}
	if i.ResponseTransferMode != "" {
		out.Set("responseTransferMode", string(i.ResponseTransferMode))
	}
	setList(out, "cacheKeyParameters", i.CacheKeyParameters)
	if t := wire.Value(i.TimeoutInMillis); t != 0 && t != defaultTimeoutMillis {
		out.Set("timeoutInMillis", document.Of(t))
	}
	if i.ContentHandling != "" {
		out.Set("contentHandling", string(i.ContentHandling))
	}
	if i.TlsConfig != nil && i.TlsConfig.InsecureSkipVerification != nil {
		out.Set("tlsConfig", document.New("insecureSkipVerification", *i.TlsConfig.InsecureSkipVerification))
	}
	setText(out, "integrationTarget", i.IntegrationTarget)
	out.Set("type", strings.ToLower(string(i.Type)))
	return out
}

// integrationAnswers are the mappings of answers by their selection pattern.
func integrationAnswers(i *apigatewayapi.Integration) *document.Object {
	out := &document.Object{}
	for _, r := range byKey(i.IntegrationResponses) {
		pattern := wire.Value(r.SelectionPattern)
		if pattern == "" {
			pattern = "default"
		}
		if out.Has(pattern) {
			continue
		}
		one := document.New("statusCode", wire.Value(r.StatusCode))
		if len(r.ResponseParameters) > 0 {
			one.Set("responseParameters", document.Of(r.ResponseParameters))
		}
		if len(r.ResponseTemplates) > 0 {
			one.Set("responseTemplates", document.Of(r.ResponseTemplates))
		}
		if r.ContentHandling != "" {
			one.Set("contentHandling", string(r.ContentHandling))
		}
		out.Set(pattern, one)
	}
	return out
}
