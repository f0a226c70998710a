package sam

import (
	"sort"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/service/stack/template"
)

const (
	integration = "x-amazon-apigateway-integration"
	anyMethod   = "x-amazon-apigateway-any-method"
	policyKey   = "x-amazon-apigateway-policy"
	validators  = "x-amazon-apigateway-request-validators"
)

var (
	openAPI3       = lazyregexp.New(`\A3(\.\d)(\.\d)?$`)
	openAPIVersion = lazyregexp.New(`\A[2-3](\.\d)(\.\d)?$`)
	pathVariable   = lazyregexp.New(`\{([a-zA-Z0-9._-]+|[a-zA-Z0-9._-]+\+|proxy\+)\}`)
)

// validDefinition reports whether a value is a Swagger 2 or OpenAPI 3 document.
func validDefinition(v *template.Value) bool {
	if !v.Is(template.Map) || !v.Get("paths").Is(template.Map) {
		return false
	}
	if !v.Get("swagger").Empty() {
		return true
	}
	version, _ := v.Get("openapi").Scalar()
	return openAPI3.MatchString(version)
}

// editor changes a copy of an API definition. It writes keys in the order in which
// AWS's translator does, on which the deployment's logical id depends.
type editor struct {
	py          *python
	doc         *template.Value
	security    *template.Value
	responses   *template.Value
	policy      *template.Value
	definitions *template.Value
}

// edit starts from a valid definition.
func (tr *transform) edit(body *template.Value) *editor {
	ed := &editor{py: tr.py, doc: tr.py.clone(body)}
	section := func(key string) *template.Value {
		if v := ed.doc.Get(key); !v.Empty() {
			return v
		}
		return dict()
	}
	ed.security = section("securityDefinitions")
	ed.responses = section("x-amazon-apigateway-gateway-responses")
	ed.policy = section(policyKey)
	ed.definitions = section("definitions")
	return ed
}

func (ed *editor) paths() *template.Value { return ed.doc.Get("paths") }

// result returns a copy of the changed definition.
func (ed *editor) result() *template.Value {
	store := func(key string, v *template.Value) {
		if !v.Empty() {
			set(ed.doc, key, v)
		}
	}
	store("securityDefinitions", ed.security)
	store("x-amazon-apigateway-gateway-responses", ed.responses)
	store("definitions", ed.definitions)
	return ed.py.clone(ed.doc)
}

// methodKey is the key of a method in a path: lower case, "any" by its extension name.
func methodKey(method *template.Value) (key string, plain bool) {
	if strings.EqualFold(method.Str(), "any") {
		return anyMethod, true
	}
	return strings.ToLower(method.Str()), method.Plain
}

func (ed *editor) addPath(path, method *template.Value) {
	if !ed.paths().Has(path.Text) {
		ed.paths().Set(path.Text, dict())
	}
	key, plain := methodKey(method)
	for _, item := range contents(ed.paths().Get(path.Text)) {
		if !item.Has(key) {
			item.Set(key, dict())
			item.Fields[len(item.Fields)-1].Plain = plain
		}
	}
}

// definitionsAt returns the definitions of a method that have an integration.
func (ed *editor) definitionsAt(path, method string) []*template.Value {
	key, _ := methodKey(text(method))
	var out []*template.Value
	for _, item := range contents(ed.paths().Get(path)) {
		for _, d := range contents(item.Get(key)) {
			if !d.Get(integration).Empty() {
				out = append(out, d)
			}
		}
	}
	return out
}

type method struct {
	name       string
	definition *template.Value
}

// methodsOf returns all methods of a path that have an integration.
func (ed *editor) methodsOf(path string) []method {
	var out []method
	for _, item := range contents(ed.paths().Get(path)) {
		for _, name := range ed.py.keys(item) {
			if name == "summary" || name == "description" || name == "parameters" {
				continue
			}
			for _, d := range contents(item.Get(name)) {
				if !d.Get(integration).Empty() {
					key, _ := methodKey(text(name))
					out = append(out, method{key, d})
				}
			}
		}
	}
	return out
}

func (ed *editor) hasIntegration(path, methodName string) bool {
	key, _ := methodKey(text(methodName))
	item := ed.paths().Get(path)
	if item == nil {
		return false
	}
	found := false
	for _, x := range contents(item) {
		has := false
		for _, d := range contents(x.Get(key)) {
			has = has || !d.Get(integration).Empty()
		}
		if !has {
			return false
		}
		found = true
	}
	return found
}

// addLambda enters the proxy integration of a function.
func (ed *editor) addLambda(path, method *template.Value, uri, methodAuth, apiAuth, condition *template.Value, partition string) {
	ed.addPath(path, method)
	key, plain := methodKey(method)
	for _, item := range contents(ed.paths().Get(path.Text)) {
		d := item.Get(key)
		in := dict("type", "aws_proxy", "httpMethod", "POST")
		if condition != nil {
			set(in, "uri", conditional(condition, uri))
		} else {
			set(in, "uri", uri)
		}
		set(d, integration, in)
		iam := methodAuth.Get("Authorizer").Str() == "AWS_IAM" || apiAuth.Get("DefaultAuthorizer").Str() == "AWS_IAM" && methodAuth.Empty()
		if c := credentials(methodAuth, apiAuth, partition); iam && c != nil {
			set(in, "credentials", c)
		}
		if !d.Has("responses") {
			set(d, "responses", dict())
		}
		if condition != nil {
			item.Set(key, conditional(condition, d))
			item.Fields[fieldIndex(item, key)].Plain = plain
		}
	}
}

// credentials of the integration of a method with IAM authorization: the caller's own
// unless InvokeRole says otherwise; nil for InvokeRole NONE.
func credentials(methodAuth, apiAuth *template.Value, partition string) *template.Value {
	role := func(auth *template.Value) *template.Value {
		if r := auth.Get("InvokeRole"); r != nil {
			if r.Empty() {
				return text("NONE")
			}
			return r
		}
		return nil
	}
	r := role(methodAuth)
	if r == nil {
		r = role(apiAuth)
	}
	switch {
	case r == nil || r.Str() == "CALLER_CREDENTIALS":
		return text("arn:" + partition + ":iam::*:user/*")
	case r.Str() == "NONE":
		return nil
	}
	return r
}

// corsSettings are the values of the preflight's headers.
type corsSettings struct {
	origin, headers, methods, maxAge *template.Value
	credentials                      bool
}

func (ed *editor) addCORS(path string, c corsSettings) {
	methods := c.methods
	for _, item := range contents(ed.paths().Get(path)) {
		if item.Has("options") {
			continue
		}
		if methods.Empty() {
			methods = text("'" + allowedMethods(item) + "'")
		}
		set(item, "options", preflight(c, methods))
	}
}

func allowedMethods(item *template.Value) string {
	if item.Has(anyMethod) {
		return "DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
	}
	names := map[string]bool{"OPTIONS": true}
	for _, k := range item.Keys() {
		names[strings.ToUpper(k)] = true
	}
	sorted := sortedKeys(names)
	return strings.Join(sorted, ",")
}

func preflight(c corsSettings, methods *template.Value) *template.Value {
	parameters := dict("method.response.header.Access-Control-Allow-Origin", c.origin)
	headers := dict("Access-Control-Allow-Origin", ordered("type", "string"))
	add := func(header, typ string, v *template.Value) {
		set(parameters, "method.response.header."+header, v)
		set(headers, header, ordered("type", typ))
	}
	if !c.headers.Empty() {
		add("Access-Control-Allow-Headers", "string", c.headers)
	}
	if !methods.Empty() {
		add("Access-Control-Allow-Methods", "string", methods)
	}
	if c.maxAge != nil {
		add("Access-Control-Max-Age", "integer", c.maxAge)
	}
	if c.credentials {
		add("Access-Control-Allow-Credentials", "string", text("'true'"))
	}
	mock := dict("type", "mock", "requestTemplates", ordered("application/json", "{\n  \"statusCode\" : 200\n}\n"),
		"responses", dict("default", dict("statusCode", "200", "responseParameters", parameters, "responseTemplates", ordered("application/json", "{}\n"))))
	return dict("summary", "CORS support", "consumes", list(text("application/json")), "produces", list(text("application/json")),
		integration, mock,
		"responses", dict("200", dict("description", "Default response for CORS method", "headers", headers)))
}

// addBinaryTypes writes the media types; "~1" stands for "/".
func (ed *editor) addBinaryTypes(types *template.Value) {
	set(ed.doc, "x-amazon-apigateway-binary-media-types", unescape(types))
}

func unescape(v *template.Value) *template.Value {
	c := *v
	switch v.Kind {
	case template.String:
		c.Text, c.Plain = strings.ReplaceAll(v.Text, "~1", "/"), false
	case template.List:
		c.Items = make([]*template.Value, len(v.Items))
		for i, x := range v.Elements() {
			c.Items[i] = unescape(x)
		}
	case template.Map:
		m := dict()
		for _, f := range v.Entries() {
			m.Set(strings.ReplaceAll(f.Key, "~1", "/"), unescape(f.Value))
		}
		return m
	}
	return &c
}

func (ed *editor) addModels(models *template.Value) {
	for _, k := range ed.py.keys(models) {
		setFrom(ed.definitions, strings.ToLower(k), models.Get(k))
	}
}

// requestModel makes a model the body of a method.
func (ed *editor) requestModel(path, method string, model, required *template.Value) {
	name := &template.Value{Kind: template.String, Text: strings.ToLower(model.Str())}
	for _, d := range ed.definitionsAt(path, method) {
		if v, _ := ed.doc.Get("openapi").Scalar(); !ed.doc.Has("swagger") && openAPI3.MatchString(v) {
			body := ordered("content", ordered("application/json", ordered("schema", ordered("$ref", "#/components/schemas/"+name.Text))))
			if required != nil {
				set(body, "required", required)
			}
			set(d, "requestBody", body)
			continue
		}
		p := dict("in", "body", "name", name, "schema", ordered("$ref", "#/definitions/"+name.Text))
		if required != nil {
			set(p, "required", required)
		}
		ed.addParameter(d, p)
	}
}

func (ed *editor) addParameter(d, p *template.Value) {
	existing := d.Get("parameters")
	if existing == nil {
		existing = list()
	}
	existing.Items = append(existing.Items, p)
	set(d, "parameters", existing)
}

func (ed *editor) requestValidator(path, method string, body, parameters bool) {
	name := "no-validation"
	switch {
	case body && parameters:
		name = "body-and-params"
	case body:
		name = "body-only"
	case parameters:
		name = "params-only"
	}
	if ed.doc.Get(validators).Empty() {
		set(ed.doc, validators, dict())
	}
	if v := ed.doc.Get(validators); !v.Has(name) {
		ed.py.merge(v, name, dict("validateRequestBody", body, "validateRequestParameters", parameters))
	}
	for _, d := range ed.definitionsAt(path, method) {
		ed.py.merge(d, "x-amazon-apigateway-request-validator", text(name))
	}
}

// requestParameter is one entry of an event's RequestParameters.
type requestParameter struct {
	name     *template.Value
	required *template.Value
	caching  bool
}

func (ed *editor) requestParameters(path, method string, parameters []requestParameter) {
	for _, d := range ed.definitionsAt(path, method) {
		for _, p := range parameters {
			location, name, _ := strings.Cut(strings.TrimPrefix(p.name.Text, "method.request."), ".")
			if location == "querystring" {
				location = "query"
			}
			in := &template.Value{Kind: template.String, Text: location, Plain: location == "query"}
			ed.addParameter(d, dict("in", in, "name", &template.Value{Kind: template.String, Text: name}, "required", p.required, "type", "string"))
			if p.caching {
				in := d.Get(integration)
				keys := in.Get("cacheKeyParameters")
				if keys == nil {
					keys = list()
				}
				keys.Items = append(keys.Items, p.name)
				set(in, "cacheKeyParameters", keys)
			}
		}
	}
}

// resourcePolicy adds statements to the policy of the API for one path.
func (ed *editor) resourcePolicy(rp *template.Value, path string, stage *template.Value) {
	resources := ed.policyResources(path, stage)
	account := func(key, effect string) {
		if v := rp.Get(key); !v.Empty() {
			if !v.Is(template.List) {
				v = list(v)
			}
			set(ed.policy, "Version", "2012-10-17")
			ed.addStatements(dict("Effect", effect, "Action", "execute-api:Invoke", "Resource", resources, "Principal", dict("AWS", v)))
		}
	}
	account("AwsAccountWhitelist", "Allow")
	account("AwsAccountBlacklist", "Deny")
	addresses := func(key, operator string) {
		if v := rp.Get(key); !v.Empty() {
			if !v.Is(template.List) {
				v = list(v)
			}
			ed.allowAndDeny(resources, ordered(operator, ordered("aws:SourceIp", v)))
		}
	}
	addresses("IpRangeWhitelist", "NotIpAddress")
	addresses("IpRangeBlacklist", "IpAddress")
	ed.networks(rp, resources, "SourceVpcBlacklist", "IntrinsicVpcBlacklist", "IntrinsicVpceBlacklist", "StringEquals")
	ed.networks(rp, resources, "SourceVpcWhitelist", "IntrinsicVpcWhitelist", "IntrinsicVpceWhitelist", "StringNotEquals")
	set(ed.doc, policyKey, ed.policy)
}

func (ed *editor) policyResources(path string, stage *template.Value) *template.Value {
	shown := pathVariable.ReplaceAllString(path, "*")
	uris := list()
	for _, item := range contents(ed.paths().Get(path)) {
		for _, k := range ed.py.keys(item) {
			name := strings.ToUpper(k)
			if strings.EqualFold(k, anyMethod) || strings.EqualFold(k, "any") {
				name = "*"
			}
			uri := &template.Value{Kind: template.String, Text: "execute-api:/${__Stage__}/" + name + shown}
			uris.Items = append(uris.Items, sub(uri, ordered("__Stage__", stage)))
		}
	}
	return uris
}

func (ed *editor) networks(rp, resources *template.Value, literal, vpcs, endpoints, operator string) {
	condition := dict()
	add := func(key string, items ...*template.Value) {
		if len(items) == 0 {
			return
		}
		if !condition.Has(key) {
			set(condition, key, list())
		}
		l := condition.Get(key)
		l.Items = append(l.Items, items...)
	}
	var vpc, vpce []*template.Value
	if v := rp.Get(literal); v != nil {
		for _, x := range v.Elements() {
			if strings.HasPrefix(x.Str(), "vpce-") {
				vpce = append(vpce, x)
			} else if strings.HasPrefix(x.Str(), "vpc-") {
				vpc = append(vpc, x)
			}
		}
	}
	add("aws:SourceVpc", vpc...)
	add("aws:SourceVpce", vpce...)
	if v := rp.Get(vpcs); v != nil {
		add("aws:SourceVpc", v.Items...)
	}
	if v := rp.Get(endpoints); v != nil {
		add("aws:SourceVpce", v.Items...)
	}
	if len(condition.Fields) > 0 {
		ed.allowAndDeny(resources, ordered(operator, condition))
	}
}

func (ed *editor) allowAndDeny(resources, condition *template.Value) {
	set(ed.policy, "Version", "2012-10-17")
	allow := dict("Effect", "Allow", "Action", "execute-api:Invoke", "Resource", resources, "Principal", "*")
	deny := dict("Effect", "Deny", "Action", "execute-api:Invoke", "Resource", resources, "Principal", "*", "Condition", condition)
	if !ed.policy.Has("Statement") {
		set(ed.policy, "Statement", list(allow, deny))
		return
	}
	ed.addNewStatements(allow, deny)
}

// addStatements keeps a single statement as a map, as AWS's translator does.
func (ed *editor) addStatements(s *template.Value) {
	if !ed.policy.Has("Statement") {
		set(ed.policy, "Statement", s)
		return
	}
	l := ed.statementList()
	l.Items = append(l.Items, s)
}

func (ed *editor) addNewStatements(statements ...*template.Value) {
	l := ed.statementList()
	for _, s := range statements {
		known := false
		for _, x := range l.Items {
			known = known || template.Equal(x, s)
		}
		if !known {
			l.Items = append(l.Items, s)
		}
	}
}

func (ed *editor) statementList() *template.Value {
	v := ed.policy.Get("Statement")
	if !v.Is(template.List) {
		v = list(v)
		set(ed.policy, "Statement", v)
	}
	return v
}

func (ed *editor) customStatements(v *template.Value) {
	if v.Empty() {
		return
	}
	set(ed.policy, "Version", "2012-10-17")
	if !ed.policy.Has("Statement") {
		set(ed.policy, "Statement", v)
	} else if v.Is(template.List) {
		ed.addNewStatements(v.Items...)
	} else {
		ed.addNewStatements(v)
	}
	set(ed.doc, policyKey, ed.policy)
}

// convertOpenAPI moves what was written in Swagger's places to OpenAPI's, once the
// definition is an OpenAPI 3 document.
func (tr *transform) convertOpenAPI(body *template.Value, version string) {
	if body.Has("swagger") || !openAPI3.MatchString(version) {
		return
	}
	move := func(from, to string) {
		v := body.Get(from)
		if v.Empty() {
			return
		}
		components := body.Get("components")
		if components.Empty() {
			components = dict()
		}
		set(components, to, v)
		set(body, "components", components)
		tr.py.remove(body, from)
	}
	move("securityDefinitions", "securitySchemes")
	move("definitions", "schemas")
	for _, f := range body.Get("paths").Entries() {
		options := f.Value.Get("options")
		if options.Empty() {
			continue
		}
		for _, k := range []string{"produces", "consumes"} {
			if options.Has(k) {
				tr.py.remove(options, k)
			}
		}
		headers := options.At("responses", "200", "headers")
		if headers == nil {
			continue
		}
		for i, h := range headers.Fields {
			headers.Fields[i].Value = dict("schema", h.Value)
		}
	}
}

func sortStrings(s []string) []string {
	sort.Strings(s)
	return s
}
