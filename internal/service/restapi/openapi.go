package restapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// maxOpenAPI bounds an imported document (API Gateway quotas: 6 MB).
const maxOpenAPI = 6 << 20

// openAPI is an OpenAPI 3.0 or Swagger 2.0 document, read as plain data: what the import
// does not know it leaves alone, as API Gateway does.
type openAPI struct {
	root       map[string]any
	swagger    bool              // version 2.0
	parameters map[string]string // of the import: endpointConfigurationTypes, basepath, ignore
}

// parseOpenAPI reads a document in JSON or YAML.
func parseOpenAPI(body []byte) (*openAPI, error) {
	if len(body) > maxOpenAPI {
		return nil, badRequest("API document exceeds the maximum size of %d bytes", maxOpenAPI)
	}
	var root map[string]any
	if json.Unmarshal(body, &root) != nil {
		root = nil
		if err := yaml.Unmarshal(body, &root); err != nil {
			return nil, badRequest("Unable to parse API definition because of a malformed document: %s", err)
		}
	}
	d := &openAPI{root: root, swagger: text(root["swagger"]) == "2.0"}
	if !d.swagger && !strings.HasPrefix(text(root["openapi"]), "3.0") {
		return nil, badRequest("Unable to parse API definition because of an unsupported version: it is neither Swagger 2.0 nor OpenAPI 3.0")
	}
	return d, nil
}

// object returns a member that is an object, or an empty one.
func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// text returns a scalar as text: documents write status codes as numbers, and versions too.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	return fmt.Sprint(v)
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		out = append(out, text(e))
	}
	return out
}

func textMap(v any) map[string]string {
	m := object(v)
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, e := range m {
		out[k] = text(e)
	}
	return out
}

func optional(v any) *string {
	if v == nil {
		return nil
	}
	return wire.String(text(v))
}

// components returns the section of reusable parts: its place differs between the two versions.
func (d *openAPI) components(swagger, openapi string) map[string]any {
	if d.swagger {
		return object(d.root[swagger])
	}
	return object(object(d.root["components"])[openapi])
}

// resolve follows a local reference ("#/components/parameters/x"), some steps deep.
func (d *openAPI) resolve(v map[string]any) map[string]any {
	for range 16 {
		ref, ok := v["$ref"].(string)
		if !ok || !strings.HasPrefix(ref, "#/") {
			return v
		}
		var at any = d.root
		for _, seg := range pointer(ref[1:]) {
			at = object(at)[seg]
		}
		v = object(at)
	}
	return v
}

// importInto writes a document into a definition: the API's own members, authorizers,
// validators, models, gateway responses, then each path.
func (s *Service) importInto(d *definition, doc *openAPI) error {
	w := &importer{s: s, d: d, doc: doc}
	w.info()
	if err := w.settings(); err != nil {
		return err
	}
	for _, step := range []func() error{w.authorizers, w.validators, w.models, w.gatewayResponses, w.paths} {
		if err := step(); err != nil {
			return err
		}
	}
	return checkAPI("PutRestApi", &d.API)
}

// importer carries one import.
type importer struct {
	s          *Service
	d          *definition
	doc        *openAPI
	schemes    map[string]scheme // security schemes by name
	validator  map[string]string // validator ids by name
	validateBy string            // the document's default validator
}

// scheme is a security scheme: what a route that names it demands.
type scheme struct {
	auth       string // AWS_IAM, COGNITO_USER_POOLS, CUSTOM; empty for an API key
	authorizer string
	key        bool
}

func (w *importer) info() {
	info, api := object(w.doc.root["info"]), &w.d.API
	if t := text(info["title"]); t != "" {
		api.Name = &t
	}
	if v := optional(info["description"]); v != nil {
		api.Description = v
	}
	if v := optional(info["version"]); v != nil {
		api.Version = v
	}
	if types := texts(w.doc.root["x-amazon-apigateway-binary-media-types"]); types != nil {
		api.BinaryMediaTypes = types
	}
	if v := text(w.doc.root["x-amazon-apigateway-api-key-source"]); v != "" {
		api.ApiKeySource = apigatewayapi.ApiKeySourceType(strings.ToUpper(v))
	}
	if p := object(w.doc.root["x-amazon-apigateway-policy"]); p != nil {
		if b, err := json.Marshal(p); err == nil {
			api.Policy = wire.String(string(b))
		}
	}
}

// settings applies the import's own parameters and the document's endpoint configuration.
func (w *importer) settings() error {
	for name, value := range w.doc.parameters {
		switch {
		case name == "endpointConfigurationTypes" && (value == "EDGE" || value == "REGIONAL" || value == "PRIVATE"):
			w.d.API.EndpointConfiguration.Types = []apigatewayapi.EndpointType{apigatewayapi.EndpointType(value)}
		case name == "ignore" && value == "documentation", name == "basepath" && value == "ignore":
		default:
			return notBuilt("PutRestApi", "the import parameter %s=%s is not built", name, value)
		}
	}
	if e := object(w.doc.root["x-amazon-apigateway-endpoint-configuration"]); e["disableExecuteApiEndpoint"] == true {
		w.d.API.DisableExecuteApiEndpoint = wire.Bool(true) // refused with the rest of the API's members
	}
	return nil
}

// authorizers reads the security schemes, of which some are authorizers.
func (w *importer) authorizers() error {
	w.schemes = map[string]scheme{}
	schemes := w.doc.components("securityDefinitions", "securitySchemes")
	for _, name := range slices.Sorted(maps.Keys(schemes)) {
		def := w.doc.resolve(object(schemes[name]))
		auth := object(def["x-amazon-apigateway-authorizer"])
		switch {
		case strings.EqualFold(text(def["x-amazon-apigateway-authtype"]), "awsSigv4"):
			w.schemes[name] = scheme{auth: "AWS_IAM"}
		case auth != nil:
			id, kind, err := w.authorizer(name, def, auth)
			if err != nil {
				return err
			}
			w.schemes[name] = scheme{auth: kind, authorizer: id}
		case text(def["type"]) == "apiKey" && strings.EqualFold(text(def["name"]), "x-api-key"):
			w.schemes[name] = scheme{key: true}
		}
	}
	return nil
}

func (w *importer) authorizer(name string, def, auth map[string]any) (id, kind string, err error) {
	id, err = w.s.id(shortID)
	if err != nil {
		return "", "", err
	}
	a := apigatewayapi.Authorizer{
		Id: &id, Name: &name, AuthType: optional(def["x-amazon-apigateway-authtype"]), Type: apigatewayapi.AuthorizerType(strings.ToUpper(text(auth["type"]))),
		ProviderARNs: texts(auth["providerARNs"]), AuthorizerUri: optional(auth["authorizerUri"]), AuthorizerCredentials: optional(auth["authorizerCredentials"]),
		IdentityValidationExpression: optional(auth["identityValidationExpression"]), IdentitySource: optional(auth["identitySource"]),
	}
	if a.IdentitySource == nil && text(def["in"]) == "header" {
		a.IdentitySource = wire.String("method.request.header." + text(def["name"]))
	}
	if ttl := optional(auth["authorizerResultTtlInSeconds"]); ttl != nil {
		var n int32
		if _, err := fmt.Sscan(*ttl, &n); err != nil {
			return "", "", badRequest("Unable to parse the authorizerResultTtlInSeconds of authorizer %s", name)
		}
		a.AuthorizerResultTtlInSeconds = &n
	}
	authorizerDefaults(&a)
	for old, other := range w.d.Authorizers { // a merge replaces an authorizer of the same name
		if wire.Value(other.Name) == name {
			id, a.Id = old, wire.String(old)
		}
	}
	if err := w.d.checkAuthorizer(&a); err != nil {
		return "", "", err
	}
	w.d.Authorizers[id] = a
	if a.Type == apigatewayapi.AuthorizerTypeCOGNITO_USER_POOLS {
		return id, "COGNITO_USER_POOLS", nil
	}
	return id, "CUSTOM", nil
}

func (w *importer) validators() error {
	w.validator = map[string]string{}
	for id, v := range w.d.Validators {
		w.validator[wire.Value(v.Name)] = id
	}
	defs := object(w.doc.root["x-amazon-apigateway-request-validators"])
	for _, name := range slices.Sorted(maps.Keys(defs)) {
		id := w.validator[name]
		if id == "" {
			var err error
			if id, err = w.s.id(shortID); err != nil {
				return err
			}
		}
		def := object(defs[name])
		w.d.Validators[id] = apigatewayapi.RequestValidator{
			Id: &id, Name: wire.String(name), ValidateRequestBody: wire.Bool(def["validateRequestBody"] == true),
			ValidateRequestParameters: wire.Bool(def["validateRequestParameters"] == true),
		}
		w.validator[name] = id
	}
	w.validateBy = text(w.doc.root["x-amazon-apigateway-request-validator"])
	return nil
}

func (w *importer) models() error {
	defs := w.doc.components("definitions", "schemas")
	for _, name := range slices.Sorted(maps.Keys(defs)) {
		schema, err := json.Marshal(defs[name])
		if err != nil {
			return badRequest("Unable to create model for '%s': %s", name, err)
		}
		id, err := w.s.id(shortID)
		if err != nil {
			return err
		}
		if old, there := w.d.Models[name]; there {
			id = *old.Id
		}
		w.d.Models[name] = apigatewayapi.Model{
			Id: &id, Name: wire.String(name), ContentType: wire.String("application/json"), Description: optional(object(defs[name])["description"]), Schema: wire.String(string(schema)),
		}
	}
	return nil
}

func (w *importer) gatewayResponses() error {
	defs := object(w.doc.root["x-amazon-apigateway-gateway-responses"])
	for _, kind := range slices.Sorted(maps.Keys(defs)) {
		if _, known := defaultStatus()[kind]; !known {
			return badRequest("Invalid gateway response type '%s'", kind)
		}
		def := object(defs[kind])
		r := apigatewayapi.GatewayResponse{
			ResponseType: apigatewayapi.GatewayResponseType(kind), DefaultResponse: wire.Bool(false), StatusCode: optional(def["statusCode"]),
			ResponseParameters: textMap(def["responseParameters"]), ResponseTemplates: textMap(def["responseTemplates"]),
		}
		gatewayResponseDefaults(&r)
		w.d.Responses[kind] = r
	}
	return nil
}
