package sam

import (
	"strings"

	"moat/internal/service/stack/template"
)

// authorizer is one entry of an API's Auth.Authorizers.
type authorizer struct {
	name        string
	plain       bool
	iam         bool
	config      *template.Value
	scopes      *template.Value
	functionArn *template.Value
}

// authorizers reads the Authorizers of an API; AWS_IAM is one when it is the default.
func (tr *transform) authorizers(id string, auth *template.Value) []authorizer {
	var out []authorizer
	if auth.Get("DefaultAuthorizer").Str() == "AWS_IAM" {
		out = append(out, authorizer{name: "AWS_IAM", iam: true})
	}
	config := auth.Get("Authorizers")
	if config.Empty() {
		return out
	}
	if !config.Is(template.Map) {
		tr.fail(config.Pos, id, "Properties.Auth.Authorizers", "Property 'Auth.Authorizers' should be a map.")
		return out
	}
	for _, k := range tr.py.keys(config) {
		c := config.Get(k)
		path := "Properties.Auth.Authorizers." + k
		if !c.Is(template.Map) {
			tr.fail(c.Pos, id, path, "Property 'Auth.Authorizers.%s' should be a map.", k)
			continue
		}
		a := authorizer{name: k, config: c, scopes: c.Get("AuthorizationScopes"), functionArn: c.Get("FunctionArn")}
		tr.checkAuthorizer(id, path, a)
		out = append(out, a)
	}
	return out
}

var authorizerProperties = []string{
	"UserPoolArn", "FunctionArn", "Identity", "FunctionPayloadType", "FunctionInvokeRole",
	"AuthorizationScopes", "DisableFunctionDefaultPermissions",
	"AuthorizerPayloadFormatVersion", "EnableSimpleResponses", // of HTTP APIs: AWS ignores them here
}

func (tr *transform) checkAuthorizer(id, path string, a authorizer) {
	c := a.config
	for _, f := range c.Entries() {
		if !strings.Contains(" "+strings.Join(authorizerProperties, " ")+" ", " "+f.Key+" ") {
			tr.fail(f.Pos, id, path+"."+f.Key, "unknown property; expected one of %s", strings.Join(authorizerProperties, ", "))
		}
	}
	payload := c.Get("FunctionPayloadType")
	if payload != nil && payload.Str() != "TOKEN" && payload.Str() != "REQUEST" {
		tr.fail(payload.Pos, id, path+".FunctionPayloadType", "%s Authorizer has invalid 'FunctionPayloadType': %s.", a.name, payload.Str())
	}
	if payload.Str() == "REQUEST" && missingSource(c.Get("Identity")) {
		tr.fail(c.Pos, id, path+".Identity", "%s Authorizer must specify Identity with at least one of Headers, QueryStrings, StageVariables, or Context.", a.name)
	}
	if a.scopes != nil && !a.scopes.Is(template.List) {
		tr.fail(a.scopes.Pos, id, path+".AuthorizationScopes", "AuthorizationScopes must be a list.")
	}
	if c.Get("UserPoolArn").Empty() && c.Get("FunctionArn").Empty() {
		tr.fail(c.Pos, id, path, "an authorizer needs UserPoolArn or FunctionArn")
	}
}

func missingSource(identity *template.Value) bool {
	missing := identity.Get("Headers").Empty() && identity.Get("QueryStrings").Empty() &&
		identity.Get("StageVariables").Empty() && identity.Get("Context").Empty()
	if ttl, ok := identity.Get("ReauthorizeEvery").Scalar(); ok && ttl == "0" {
		return false
	}
	return missing
}

// scheme is the security definition of an authorizer.
func (a authorizer) scheme(partition string) *template.Value {
	identity := a.config.Get("Identity")
	request := a.config.Get("FunctionPayloadType").Str() == "REQUEST"
	header := text("Authorization")
	if h := identity.Get("Header"); !h.Empty() {
		header = h
	}
	pool := a.config.Get("UserPoolArn")
	if request && pool.Empty() && !a.iam {
		header = text("Unused")
	}
	kind := "custom"
	switch {
	case a.iam:
		kind = "awsSigv4"
	case !pool.Empty():
		kind = "cognito_user_pools"
	}
	s := dict("type", "apiKey", "name", header, "in", "header", "x-amazon-apigateway-authtype", kind)
	if a.iam {
		return s
	}
	var d *template.Value
	if !pool.Empty() {
		if !pool.Is(template.List) {
			pool = list(pool)
		}
		d = dict("type", "cognito_user_pools", "providerARNs", pool)
	} else {
		d = a.lambdaScheme(identity, request, partition)
	}
	set(s, "x-amazon-apigateway-authorizer", d)
	if v := identity.Get("ValidationExpression"); !v.Empty() && (!pool.Empty() || !request) {
		set(d, "identityValidationExpression", v)
	}
	return s
}

func (a authorizer) lambdaScheme(identity *template.Value, request bool, partition string) *template.Value {
	typ := "token"
	if request {
		typ = "request"
	}
	d := dict("type", typ)
	uri := text("arn:" + partition + ":apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${__FunctionArn__}/invocations")
	set(d, "authorizerUri", sub(uri, ordered("__FunctionArn__", a.functionArn)))
	if ttl := identity.Get("ReauthorizeEvery"); ttl != nil {
		set(d, "authorizerResultTtlInSeconds", ttl)
	}
	if role := a.config.Get("FunctionInvokeRole"); !role.Empty() && role.Str() != "NONE" {
		set(d, "authorizerCredentials", role)
	}
	if request {
		if source := identitySource(identity); source != nil {
			set(d, "identitySource", source)
		}
	}
	return d
}

func identitySource(identity *template.Value) *template.Value {
	var parts []string
	for _, kind := range [][2]string{
		{"Headers", "method.request.header."}, {"QueryStrings", "method.request.querystring."},
		{"StageVariables", "stageVariables."}, {"Context", "context."},
	} {
		if v := identity.Get(kind[0]); v != nil {
			for _, x := range v.Elements() {
				parts = append(parts, kind[1]+x.Str())
			}
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return &template.Value{Kind: template.String, Text: strings.Join(parts, ", ")}
}

func (ed *editor) addAuthorizers(authorizers []authorizer, partition string) {
	for _, a := range authorizers {
		ed.security.Set(a.name, a.scheme(partition))
	}
}

func (ed *editor) addIAM() {
	if !ed.security.Has("AWS_IAM") {
		ed.py.merge(ed.security, "AWS_IAM", dict("x-amazon-apigateway-authtype", "awsSigv4", "type", "apiKey", "name", "Authorization", "in", "header"))
	}
}

func (ed *editor) addAPIKey() {
	if !ed.security.Has("api_key") {
		ed.py.merge(ed.security, "api_key", dict("type", "apiKey", "name", "x-api-key", "in", "header"))
	}
}

// defaultAuthorizer applies the default to the methods of a path that name none.
func (ed *editor) defaultAuthorizer(path string, name *template.Value, authorizers []authorizer, preflight bool) {
	for _, m := range ed.methodsOf(path) {
		if m.name == "options" && !preflight {
			continue
		}
		others, own := splitSecurity(m.definition, func(key string) bool {
			for _, a := range authorizers {
				if a.name == key {
					return true
				}
			}
			return key == "AWS_IAM"
		})
		none := -1
		for i, s := range others {
			if s.Has("NONE") {
				none = i
				break
			}
		}
		switch {
		case none >= 0:
			others = append(others[:none:none], others[none+1:]...)
			own = nil
		case len(own) == 0:
			own = []*template.Value{securityOf(name, scopesOf(authorizers, name.Str()))}
		}
		if security := append(others, own...); len(security) > 0 {
			set(m.definition, "security", list(security...))
			if security[0].Has("AWS_IAM") {
				ed.addIAM()
			}
		}
	}
}

func scopesOf(authorizers []authorizer, name string) *template.Value {
	for _, a := range authorizers {
		if a.name == name && a.scopes != nil {
			return a.scopes
		}
	}
	return list()
}

func securityOf(name, scopes *template.Value) *template.Value {
	m := dict()
	m.Set(name.Str(), scopes)
	m.Fields[0].Plain = name.Plain
	return m
}

func splitSecurity(d *template.Value, mine func(key string) bool) (others, own []*template.Value) {
	s := d.Get("security")
	if s == nil {
		return nil, nil
	}
	for _, x := range s.Items {
		is := false
		for _, k := range x.Keys() {
			is = is || mine(k)
		}
		if is {
			own = append(own, x)
		} else {
			others = append(others, x)
		}
	}
	return others, own
}

// defaultAPIKey requires an API key of the methods of a path that do not refuse it.
func (ed *editor) defaultAPIKey(path string, preflight bool) {
	for _, m := range ed.methodsOf(path) {
		others, own := splitSecurity(m.definition, func(key string) bool { return key == "api_key" || key == "api_key_false" })
		refused := false
		for _, s := range own {
			refused = refused || s.Has("api_key_false")
		}
		security := others
		if !refused && (m.name != "options" || preflight) {
			security = append(security[:len(security):len(security)], dict("api_key", list()))
		}
		existing := m.definition.Get("security")
		if existing == nil {
			existing = list()
		}
		if s := list(security...); !template.Equal(s, existing) {
			set(m.definition, "security", s)
		}
	}
}

// methodAuth applies the Auth of an event to its method.
func (ed *editor) methodAuth(path, method string, auth, api *template.Value) {
	if name := auth.Get("Authorizer"); !name.Empty() {
		ed.methodAuthorizer(path, method, name, api.At("Auth", "Authorizers"), auth.Get("AuthorizationScopes"))
	}
	required := auth.Get("ApiKeyRequired")
	if required == nil {
		return
	}
	for _, d := range ed.definitionsAt(path, method) {
		key := "api_key_false"
		if !required.Empty() {
			key = "api_key"
			ed.addAPIKey()
		}
		set(d, "security", extended(d.Get("security"), dict(key, list())))
	}
}

func extended(l, x *template.Value) *template.Value {
	out := list()
	if l != nil {
		out.Items = append(out.Items, l.Items...)
	}
	out.Items = append(out.Items, x)
	return out
}

func (ed *editor) methodAuthorizer(path, method string, name, authorizers, scopes *template.Value) {
	for _, d := range ed.definitionsAt(path, method) {
		entry := securityOf(name, list())
		if name.Str() != "NONE" && !authorizers.Empty() {
			use := authorizers.At(name.Str(), "AuthorizationScopes")
			if scopes != nil {
				use = scopes
			}
			if authorizers.Has(name.Str()) && use != nil {
				entry.Fields[0].Value = use
			}
		}
		security := extended(d.Get("security"), entry)
		set(d, "security", security)
		if security.Items[0].Has("AWS_IAM") {
			ed.addIAM()
		}
	}
}
