package restapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// paths reads every path with its methods.
func (w *importer) paths() error {
	paths := object(w.doc.root["paths"])
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		id, err := w.resourceAt(path)
		if err != nil {
			return err
		}
		item := w.doc.resolve(object(paths[path]))
		for _, name := range slices.Sorted(maps.Keys(item)) {
			verb := strings.ToUpper(name)
			if name == "x-amazon-apigateway-any-method" {
				verb = "ANY"
			}
			if !slices.Contains(verbs, verb) {
				continue
			}
			if err := w.method(id, path, verb, object(item[name]), item["parameters"]); err != nil {
				return err
			}
		}
	}
	return nil
}

// resourceAt finds the resource of a path, adding what is missing on the way.
func (w *importer) resourceAt(path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", badRequest("Invalid path '%s': it does not begin with a slash", path)
	}
	at := w.d.root()
	walked := ""
	for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
		if part == "" {
			continue
		}
		walked += "/" + part
		if r, ok := w.d.byPath(walked); ok {
			at = *r.Id
			continue
		}
		id, err := w.s.id(shortID)
		if err != nil {
			return "", err
		}
		if _, err := w.d.addResource(id, at, part); err != nil {
			return "", err
		}
		at = id
	}
	return at, nil
}

// method reads one operation: who may call it, what it takes, what answers it.
func (w *importer) method(resource, path, verb string, op map[string]any, shared any) error {
	m := apigatewayapi.Method{HttpMethod: &verb, AuthorizationType: wire.String("NONE"), ApiKeyRequired: wire.Bool(false), OperationName: optional(op["operationId"])}
	if err := w.security(&m, path, verb, op); err != nil {
		return err
	}
	for _, list := range []any{shared, op["parameters"]} {
		if err := w.parameters(&m, list); err != nil {
			return err
		}
	}
	if err := w.requestBody(&m, op); err != nil {
		return err
	}
	name := w.validateBy
	if own, there := op["x-amazon-apigateway-request-validator"]; there {
		name = text(own)
	}
	if id := w.validator[name]; id != "" {
		m.RequestValidatorId = &id
	} else if name != "" {
		return badRequest("Unable to find request validator '%s' of method %s %s", name, verb, path)
	}
	w.responses(&m, op)
	if err := w.integration(&m, resource, path, verb, op); err != nil {
		return err
	}
	if err := w.d.checkMethod(&m); err != nil {
		return err
	}
	w.d.setMethod(resource, verb, m)
	return nil
}

// security applies the operation's requirements, or the document's. Requirements that are
// joined with an API key each add theirs. A name without a definition is refused unless it is SAM's NONE.
func (w *importer) security(m *apigatewayapi.Method, path, verb string, op map[string]any) error {
	list, own := op["security"].([]any)
	if !own {
		list, _ = w.doc.root["security"].([]any)
	}
	if auth := object(op["x-amazon-apigateway-auth"]); auth != nil {
		m.AuthorizationType = wire.String(strings.ToUpper(text(auth["type"])))
	}
	for _, requirement := range list {
		for name, scopes := range object(requirement) {
			s, known := w.schemes[name]
			switch {
			case !known && name == "NONE":
			case !known && name == "AWS_IAM":
				m.AuthorizationType = wire.String("AWS_IAM")
			case !known && name == "api_key":
				m.ApiKeyRequired = wire.Bool(true)
			case !known:
				return badRequest("Unable to find security definition '%s' of method %s %s", name, verb, path)
			case s.key:
				m.ApiKeyRequired = wire.Bool(true)
			default:
				m.AuthorizationType = wire.String(s.auth)
				if s.authorizer != "" {
					m.AuthorizerId = wire.String(s.authorizer)
				}
				m.AuthorizationScopes = append(m.AuthorizationScopes, texts(scopes)...)
			}
		}
	}
	return nil
}

// parameters declares what a method takes in its query string, headers and path.
func (w *importer) parameters(m *apigatewayapi.Method, list any) error {
	params, _ := list.([]any)
	places := map[string]string{"query": "querystring", "header": "header", "path": "path"}
	for _, p := range params {
		def := w.doc.resolve(object(p))
		if text(def["in"]) == "body" {
			if err := w.model(m, "application/json", object(def["schema"])); err != nil {
				return err
			}
			continue
		}
		place, ok := places[text(def["in"])]
		if !ok {
			continue
		}
		if m.RequestParameters == nil {
			m.RequestParameters = map[string]bool{}
		}
		m.RequestParameters["method.request."+place+"."+text(def["name"])] = def["required"] == true
	}
	return nil
}

func (w *importer) requestBody(m *apigatewayapi.Method, op map[string]any) error {
	content := object(w.doc.resolve(object(op["requestBody"]))["content"])
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		if err := w.model(m, kind, object(object(content[kind])["schema"])); err != nil {
			return err
		}
	}
	return nil
}

// model names the model of a request body.
func (w *importer) model(m *apigatewayapi.Method, contentType string, schema map[string]any) error {
	if len(schema) == 0 {
		return nil
	}
	name := text(schema["$ref"])
	if name == "" {
		var err error
		if name, err = w.inlineModel(contentType, schema); err != nil {
			return err
		}
	}
	if m.RequestModels == nil {
		m.RequestModels = map[string]string{}
	}
	m.RequestModels[contentType] = name[strings.LastIndexByte(name, '/')+1:]
	return nil
}

// inlineModel makes a model of a schema that stands in the operation itself. Its name is the
// schema's own digest, so that a second import of the same document finds it again.
func (w *importer) inlineModel(contentType string, schema map[string]any) (string, error) {
	b, err := json.Marshal(schema)
	if err != nil {
		return "", badRequest("Unable to create a model of an inline schema: %s", err)
	}
	name := "MODEL" + hashKey(string(b))[:8]
	if _, there := w.d.Models[name]; there {
		return name, nil
	}
	id, err := w.s.id(shortID)
	w.d.Models[name] = apigatewayapi.Model{Id: &id, Name: &name, ContentType: &contentType, Schema: wire.String(string(b))}
	return name, err
}

func (w *importer) responses(m *apigatewayapi.Method, op map[string]any) {
	for status, def := range object(op["responses"]) {
		if status == "default" {
			continue
		}
		r := apigatewayapi.MethodResponse{StatusCode: wire.String(status)}
		for name := range object(w.doc.resolve(object(def))["headers"]) {
			if r.ResponseParameters == nil {
				r.ResponseParameters = map[string]bool{}
			}
			r.ResponseParameters["method.response.header."+name] = false
		}
		if m.MethodResponses == nil {
			m.MethodResponses = map[string]apigatewayapi.MethodResponse{}
		}
		m.MethodResponses[status] = r
	}
}

// integration reads x-amazon-apigateway-integration.
func (w *importer) integration(m *apigatewayapi.Method, resource, path, verb string, op map[string]any) error {
	def := w.doc.resolve(object(op["x-amazon-apigateway-integration"]))
	if def == nil {
		return nil
	}
	i := apigatewayapi.Integration{
		Type: apigatewayapi.IntegrationType(strings.ToUpper(text(def["type"]))), HttpMethod: optional(def["httpMethod"]), Uri: optional(def["uri"]),
		Credentials: optional(def["credentials"]), ContentHandling: apigatewayapi.ContentHandlingStrategy(text(def["contentHandling"])),
		ConnectionType:    apigatewayapi.ConnectionType(text(def["connectionType"])),
		RequestParameters: textMap(def["requestParameters"]), RequestTemplates: textMap(def["requestTemplates"]),
		CacheKeyParameters: texts(def["cacheKeyParameters"]), CacheNamespace: optional(def["cacheNamespace"]),
	}
	if b := text(def["passthroughBehavior"]); b != "" {
		i.PassthroughBehavior = wire.String(strings.ToUpper(b))
	}
	if t := optional(def["timeoutInMillis"]); t != nil {
		var n int32
		if _, err := fmt.Sscan(*t, &n); err != nil {
			return badRequest("Unable to parse the timeoutInMillis of method %s %s", verb, path)
		}
		i.TimeoutInMillis = &n
	}
	for pattern, r := range object(def["responses"]) {
		w.integrationResponse(&i, pattern, object(r))
	}
	integrationDefaults(&i, resource)
	if err := checkIntegration("PutRestApi", &i); err != nil {
		return badRequest("Unable to put integration on '%s' for resource at path '%s': %s", verb, path, sentence(err))
	}
	m.MethodIntegration = &i
	return nil
}

func (w *importer) integrationResponse(i *apigatewayapi.Integration, pattern string, def map[string]any) {
	status := text(def["statusCode"])
	if status == "" {
		status = "200"
	}
	r := apigatewayapi.IntegrationResponse{
		StatusCode: &status, ResponseParameters: textMap(def["responseParameters"]), ResponseTemplates: textMap(def["responseTemplates"]),
		ContentHandling: apigatewayapi.ContentHandlingStrategy(text(def["contentHandling"])),
	}
	if pattern != "default" {
		r.SelectionPattern = &pattern
	}
	if i.IntegrationResponses == nil {
		i.IntegrationResponses = map[string]apigatewayapi.IntegrationResponse{}
	}
	i.IntegrationResponses[status] = r
}

// sentence is an exception's message without its code.
func sentence(err error) string {
	if e, ok := err.(wire.Exception); ok {
		return e.ErrorMessage()
	}
	return err.Error()
}
