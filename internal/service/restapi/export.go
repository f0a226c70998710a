package restapi

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// exporter writes a definition as an OpenAPI document, in the order of members that API
// Gateway's exports have. What it writes imports as the same API.
type exporter struct {
	d        *definition
	swagger  bool   // version 2.0, otherwise 3.0
	scheme   string // how the stage is reached
	host     string
	basePath string

	// What is written beyond the standard.
	integrations, authorizers, all, documented bool
	docs                                       *documentation // nil: nothing is documented

	iam, key   string            // names of the schemes for signatures and API keys
	validators map[string]string // names by id
	used       map[string]bool   // models that methods refer to
	notes      map[string][]note // what is documented, by type and name
}

func (e *exporter) document() *document.Object {
	e.names()
	out := &document.Object{}
	if e.swagger {
		out.Set("swagger", "2.0")
	} else {
		out.Set("openapi", "3.0.1")
	}
	out.Set("info", e.info())
	e.address(out)
	paths := &document.Object{}
	for _, r := range e.d.sorted() {
		if len(r.ResourceMethods) > 0 {
			paths.Set(*r.Path, e.path(r))
		}
	}
	out.Set("paths", paths)
	schemes, schemas := e.schemes(), e.schemas()
	if e.swagger {
		setIf(out, "securityDefinitions", schemes)
		setIf(out, "definitions", schemas)
	} else {
		parts := &document.Object{}
		setIf(parts, "schemas", schemas)
		setIf(parts, "securitySchemes", schemes)
		out.Set("components", parts)
	}
	if e.all {
		e.settings(out)
	}
	if e.documented && e.docs != nil {
		out.Set("x-amazon-apigateway-documentation", e.parts())
	}
	extensions(out, e.said("API", "", "", "", ""))
	return out
}

// setIf writes a member that has something to say.
func setIf(o *document.Object, name string, v *document.Object) {
	if v.Len() > 0 {
		o.Set(name, v)
	}
}

// setText writes a member that is not absent.
func setText(o *document.Object, name string, v *string) {
	if v != nil {
		o.Set(name, *v)
	}
}

// names chooses what no authorizer is called, and one name for each validator.
func (e *exporter) names() {
	taken := map[string]bool{}
	for _, a := range e.d.Authorizers {
		taken[wire.Value(a.Name)] = true
	}
	free := func(name string) string {
		for taken[name] {
			name += "_"
		}
		taken[name] = true
		return name
	}
	e.iam, e.key, e.validators, e.used = free("sigv4"), free("api_key"), map[string]string{}, map[string]bool{}
	named := map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(e.d.Validators)) {
		name := cmp.Or(wire.Value(e.d.Validators[id].Name), id)
		if named[name] {
			name += " " + id
		}
		named[name], e.validators[id] = true, name
	}
}

func (e *exporter) info() *document.Object {
	api, said := &e.d.API, e.said("API", "", "", "", "").Object("info")
	description, title := said.Get("description"), any(wire.Value(api.Name))
	if description == nil && wire.Value(api.Description) != "" {
		description = *api.Description
	}
	version := wire.Value(api.Version)
	if version == "" {
		version = wire.Value(api.CreatedDate).UTC().Format(time.RFC3339)
	}
	out := document.New("title", title, "description", description)
	if e.swagger {
		out = document.New("description", description, "version", version, "title", title)
	} else {
		out.Set("version", version)
	}
	for _, k := range []string{"termsOfService", "contact", "license"} {
		if v := said.Get(k); v != nil {
			out.Set(k, v)
		}
	}
	extensions(out, said)
	return out
}

// address writes where the stage is reached.
func (e *exporter) address(out *document.Object) {
	endpoint := e.endpoint()
	if e.swagger {
		out.Set("host", e.host)
		out.Set("basePath", e.basePath)
		out.Set("schemes", []any{e.scheme})
		return
	}
	server := document.New("url", e.scheme+"://"+e.host+"/{basePath}", "variables", document.New("basePath", document.New("default", e.basePath)))
	if e.all {
		setIf(server, "x-amazon-apigateway-endpoint-configuration", endpoint)
	}
	out.Set("servers", []any{server})
}

func (e *exporter) endpoint() *document.Object {
	api, out := &e.d.API, &document.Object{}
	if wire.Value(api.DisableExecuteApiEndpoint) {
		out.Set("disableExecuteApiEndpoint", true)
	}
	if c := api.EndpointConfiguration; c != nil {
		if len(c.VpcEndpointIds) > 0 {
			out.Set("vpcEndpointIds", document.Of(c.VpcEndpointIds))
		}
		if c.IpAddressType == apigatewayapi.IpAddressTypedualstack {
			out.Set("ipAddressType", string(c.IpAddressType))
		}
	}
	return out
}

// settings writes the API's own settings.
func (e *exporter) settings(out *document.Object) {
	api := &e.d.API
	if api.ApiKeySource != apigatewayapi.ApiKeySourceTypeHEADER && api.ApiKeySource != "" {
		out.Set("x-amazon-apigateway-api-key-source", string(api.ApiKeySource))
	}
	if e.swagger {
		setIf(out, "x-amazon-apigateway-endpoint-configuration", e.endpoint())
	}
	if len(e.validators) > 0 {
		list := &document.Object{}
		for id, name := range e.validators {
			v := e.d.Validators[id]
			list.Set(name, document.New("validateRequestParameters", wire.Value(v.ValidateRequestParameters), "validateRequestBody", wire.Value(v.ValidateRequestBody)))
		}
		out.Set("x-amazon-apigateway-request-validators", list.Sorted())
	}
	if api.SecurityPolicy != "" {
		out.Set("x-amazon-apigateway-security-policy", string(api.SecurityPolicy))
	}
	if p := wire.Value(api.Policy); p != "" {
		v, err := document.ParseJSON([]byte(p))
		if err != nil {
			v = p
		}
		out.Set("x-amazon-apigateway-policy", v)
	}
	if api.EndpointAccessMode != "" {
		out.Set("x-amazon-apigateway-endpoint-access-mode", string(api.EndpointAccessMode))
	}
	setIf(out, "x-amazon-apigateway-gateway-responses", e.responses())
	if api.MinimumCompressionSize != nil {
		out.Set("x-amazon-apigateway-minimum-compression-size", document.Of(*api.MinimumCompressionSize))
	}
	if len(api.BinaryMediaTypes) > 0 {
		out.Set("x-amazon-apigateway-binary-media-types", document.Of(api.BinaryMediaTypes))
	}
}

func (e *exporter) responses() *document.Object {
	out := &document.Object{}
	for _, kind := range slices.Sorted(maps.Keys(e.d.Responses)) {
		r, one := e.d.Responses[kind], &document.Object{}
		if status := wire.Value(r.StatusCode); status != "" {
			one.Set("statusCode", numeric(status))
		}
		if len(r.ResponseParameters) > 0 {
			one.Set("responseParameters", document.Of(r.ResponseParameters))
		}
		if len(r.ResponseTemplates) > 0 {
			one.Set("responseTemplates", document.Of(r.ResponseTemplates))
		}
		out.Set(kind, one)
	}
	return out
}

func numeric(text string) any {
	if _, err := strconv.Atoi(text); err == nil && !strings.HasPrefix(text, "0") && !strings.HasPrefix(text, "+") {
		return json.Number(text)
	}
	return text
}

// schemes are the API's authorizers, and what its methods demand beside them.
func (e *exporter) schemes() *document.Object {
	out := &document.Object{}
	iam, key := false, false
	inUse := map[string]bool{}
	for _, r := range e.d.Resources {
		for _, m := range r.ResourceMethods {
			iam = iam || wire.Value(m.AuthorizationType) == "AWS_IAM"
			key = key || wire.Value(m.ApiKeyRequired)
			inUse[wire.Value(m.AuthorizerId)] = true
		}
	}
	list := byKey(e.d.Authorizers)
	slices.SortFunc(list, func(a, b apigatewayapi.Authorizer) int {
		return strings.Compare(wire.Value(a.Name), wire.Value(b.Name))
	})
	for _, a := range list {
		if e.authorizers || inUse[wire.Value(a.Id)] {
			out.Set(wire.Value(a.Name), e.authorizer(a))
		}
	}
	if key {
		out.Set(e.key, document.New("type", "apiKey", "name", "x-api-key", "in", "header"))
	}
	if iam {
		out.Set(e.iam, document.New("type", "apiKey", "name", "Authorization", "in", "header", "x-amazon-apigateway-authtype", "awsSigv4"))
	}
	return out
}

func (e *exporter) authorizer(a apigatewayapi.Authorizer) *document.Object {
	source := wire.Value(a.IdentitySource)
	header, plain := strings.CutPrefix(source, "method.request.header.")
	plain = plain && !strings.Contains(header, ",") && a.Type != apigatewayapi.AuthorizerTypeREQUEST
	if !plain {
		header = "Unused"
	}
	out := document.New("type", "apiKey", "name", header, "in", "header", "x-amazon-apigateway-authtype", cmp.Or(wire.Value(a.AuthType), "custom"))
	if d := e.said("AUTHORIZER", "", "", "", wire.Value(a.Name)).Get("description"); d != nil {
		out.Set("description", d)
	}
	if !e.authorizers {
		return out
	}
	x := &document.Object{}
	if !plain && source != "" {
		x.Set("identitySource", source)
	}
	if len(a.ProviderARNs) > 0 {
		x.Set("providerARNs", document.Of(a.ProviderARNs))
	}
	setText(x, "authorizerUri", a.AuthorizerUri)
	setText(x, "authorizerCredentials", a.AuthorizerCredentials)
	if a.AuthorizerResultTtlInSeconds != nil {
		x.Set("authorizerResultTtlInSeconds", document.Of(*a.AuthorizerResultTtlInSeconds))
	}
	setText(x, "identityValidationExpression", a.IdentityValidationExpression)
	x.Set("type", strings.ToLower(string(a.Type)))
	out.Set("x-amazon-apigateway-authorizer", x)
	return out
}

// schemas are the API's models. Those that every new API has are written where they are used.
func (e *exporter) schemas() *document.Object {
	out := &document.Object{}
	for _, name := range slices.Sorted(maps.Keys(e.d.Models)) {
		m := e.d.Models[name]
		if (name == "Empty" || name == "Error") && !e.used[name] && strings.HasPrefix(wire.Value(m.Description), "This is a default ") {
			continue
		}
		v, err := document.ParseJSON([]byte(wire.Value(m.Schema)))
		o, ok := v.(*document.Object)
		if err != nil || !ok {
			continue // the schema of another format; no document can hold it
		}
		o = e.local(o)
		for _, k := range []string{"title", "description"} {
			if said := e.said("MODEL", "", "", "", name).Get(k); said != nil {
				o.Set(k, said)
			}
		}
		out.Set(name, o)
	}
	return out
}

// local turns references to models of this API into references inside the document.
func (e *exporter) local(o *document.Object) *document.Object {
	out := &document.Object{}
	for _, k := range o.Keys() {
		v := o.Get(k)
		if ref, ok := v.(string); ok && k == "$ref" {
			if name := strings.TrimPrefix(ref, modelBase+e.d.ID+"/models/"); name != ref {
				v = e.ref(name)
			}
		}
		out.Set(k, e.localValue(v))
	}
	return out
}

func (e *exporter) localValue(v any) any {
	switch v := v.(type) {
	case *document.Object:
		return e.local(v)
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = e.localValue(x)
		}
		return out
	}
	return v
}

func (e *exporter) ref(name string) string {
	if e.swagger {
		return "#/definitions/" + name
	}
	return "#/components/schemas/" + name
}

// model refers to a model.
func (e *exporter) model(name string) *document.Object {
	e.used[name] = true
	return document.New("$ref", e.ref(name))
}
