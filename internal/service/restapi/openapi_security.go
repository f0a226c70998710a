package restapi

import (
	"strings"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// scheme is a security scheme: what a route that names it demands.
type scheme struct {
	auth       string // AWS_IAM, COGNITO_USER_POOLS, CUSTOM; empty for an API key
	authorizer string
	key        bool
}

// authorizers reads the security schemes, of which some are authorizers.
func (w *importer) authorizers() error {
	w.schemes = map[string]scheme{}
	byName := map[string]string{}
	for id, a := range w.d.Authorizers {
		byName[wire.Value(a.Name)] = id
	}
	schemes := w.doc.components("securityDefinitions", "securitySchemes")
	for _, name := range schemes.Keys() {
		def := w.doc.resolve(schemes.Get(name))
		auth := def.Object("x-amazon-apigateway-authorizer")
		switch {
		case strings.EqualFold(def.Text("x-amazon-apigateway-authtype"), "awsSigv4"):
			w.schemes[name] = scheme{auth: "AWS_IAM"}
		case auth != nil:
			s, err := w.authorizer(byName[name], name, def, auth)
			if err := w.fault(err, "Unable to create authorizer '%s'", name); err != nil {
				return err
			}
			w.schemes[name] = s
		case def.Text("type") == "apiKey" && strings.EqualFold(def.Text("name"), "x-api-key"):
			w.schemes[name] = scheme{key: true}
		}
	}
	return nil
}

// authorizer reads x-amazon-apigateway-authorizer. A merge replaces an authorizer of the same name.
func (w *importer) authorizer(id, name string, def, auth *document.Object) (scheme, error) {
	if id == "" {
		var err error
		if id, err = w.s.id(shortID); err != nil {
			return scheme{}, err
		}
	}
	ttl, err := number(auth, "authorizerResultTtlInSeconds")
	if err != nil {
		return scheme{}, err
	}
	a := apigatewayapi.Authorizer{
		Id: &id, Name: &name, AuthType: optional(def, "x-amazon-apigateway-authtype"), Type: apigatewayapi.AuthorizerType(strings.ToUpper(auth.Text("type"))),
		ProviderARNs: texts(auth.List("providerARNs")), AuthorizerUri: optional(auth, "authorizerUri"), AuthorizerCredentials: optional(auth, "authorizerCredentials"),
		IdentityValidationExpression: optional(auth, "identityValidationExpression"), IdentitySource: optional(auth, "identitySource"),
		AuthorizerResultTtlInSeconds: ttl,
	}
	if a.IdentitySource == nil && def.Text("in") == "header" && a.Type != apigatewayapi.AuthorizerTypeREQUEST {
		a.IdentitySource = wire.String("method.request.header." + def.Text("name"))
	}
	authorizerDefaults(&a)
	s := scheme{auth: "CUSTOM", authorizer: id}
	if a.Type == apigatewayapi.AuthorizerTypeCOGNITO_USER_POOLS {
		s.auth = "COGNITO_USER_POOLS"
	}
	w.d.Authorizers[id] = a // also one that is refused below: its routes need not complain again
	return s, w.d.checkAuthorizer(&a)
}

// security applies the operation's requirements, or the document's: an API key beside what
// identifies the caller. Of several that identify, the last counts. A name without a usable
// definition is refused unless it is SAM's NONE: a route must not be open by mistake.
func (w *importer) security(m *apigatewayapi.Method, op *document.Object) error {
	asked := w.doc.root.Get("security")
	if op.Has("security") {
		asked = op.Get("security")
	}
	list, ok := asked.([]any)
	if asked != nil && !ok {
		return badRequest("Invalid security requirement: it is not a list")
	}
	if auth := op.Object("x-amazon-apigateway-auth"); auth != nil {
		m.AuthorizationType = wire.String(strings.ToUpper(auth.Text("type")))
	}
	for _, requirement := range list {
		names, ok := requirement.(*document.Object)
		if !ok {
			return badRequest("Invalid security requirement: '%s'", document.Text(requirement))
		}
		for _, name := range names.Keys() {
			s, known := w.schemes[name]
			switch {
			case !known && name == "NONE":
			case !known && name == "AWS_IAM":
				m.AuthorizationType, m.AuthorizerId, m.AuthorizationScopes = wire.String("AWS_IAM"), nil, nil
			case !known && name == "api_key":
				m.ApiKeyRequired = wire.Bool(true)
			case !known:
				return badRequest("Unable to find security definition '%s'", name)
			case s.key:
				m.ApiKeyRequired = wire.Bool(true)
			default:
				m.AuthorizationType, m.AuthorizerId, m.AuthorizationScopes = wire.String(s.auth), nil, texts(names.List(name))
				if s.authorizer != "" {
					m.AuthorizerId = wire.String(s.authorizer)
				}
			}
		}
	}
	return nil
}
