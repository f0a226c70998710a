package restapi

import (
	"slices"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// paths reads every path with its methods.
func (w *importer) paths() error {
	paths := w.doc.root.Object("paths")
	for _, path := range paths.Keys() {
		if strings.HasPrefix(path, "x-") {
			continue
		}
		id, err := w.resourceAt(path)
		if err := w.fault(err, "Unable to create resource at path '%s'", path); err != nil {
			return err
		}
		if id == "" {
			continue
		}
		item := w.doc.resolve(paths.Get(path))
		for _, name := range item.Keys() {
			verb := strings.ToUpper(name)
			if name == "x-amazon-apigateway-any-method" {
				verb = "ANY"
			} else if verb == "ANY" || !slices.Contains(verbs, verb) {
				continue
			}
			o := operation{importer: w, resource: id, path: wire.Value(w.d.Resources[id].Path), verb: verb, def: w.doc.resolve(item.Get(name))}
			if err := o.read(item.List("parameters")); err != nil {
				return err
			}
		}
	}
	return nil
}

// resourceAt finds the resource of a path, adding what is missing on the way.
func (w *importer) resourceAt(path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", badRequest("Resource path must start with a slash")
	}
	path = strings.TrimSuffix(w.base, "/") + path
	if len(path) > maxImportPath {
		return "", badRequest("Resource path must not be longer than %d characters", maxImportPath)
	}
	at := w.d.root()
	walked := ""
	for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
		if part == "" {
			continue
		}
		walked += "/" + part
		id := w.byPath[walked]
		if id == "" {
			var err error
			if id, err = w.addResource(at, part, walked); err != nil {
				return "", err
			}
		}
		at = id
	}
	return at, nil
}

// addResource adds a resource under the rules of [definition.addResource], by the importer's
// own indexes: a document may bring thousands.
func (w *importer) addResource(parent, part, path string) (string, error) {
	if len(w.d.Resources) >= w.s.quota("resources") {
		return "", exceeded("Resources", ofAPI)
	}
	if !pathPart.MatchString(part) {
		return "", badRequest("Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning and the end.")
	}
	if up := wire.Value(w.d.Resources[parent].PathPart); greedy(up) {
		return "", badRequest("Cannot create a child of a resource with a greedy path variable: %s", up)
	}
	if isParameter(part) {
		if sibling, there := w.variable[parent]; there {
			return "", badRequest("A sibling (%s) of this resource already has a variable path part -- only one is allowed", sibling)
		}
		w.variable[parent] = part
	}
	id, err := w.s.id(shortID)
	if err != nil {
		return "", err
	}
	w.d.Resources[id] = apigatewayapi.Resource{Id: &id, ParentId: &parent, PathPart: &part, Path: &path}
	w.byPath[path] = id
	return id, nil
}

// operation is one method that is imported.
type operation struct {
	*importer
	resource, path, verb string
	def                  *document.Object
	m                    apigatewayapi.Method
}

func (o *operation) route() string { return o.verb + " " + o.path }

// read makes the method: who may call it, what it takes, what answers it.
func (o *operation) read(shared []any) error {
	o.m = apigatewayapi.Method{HttpMethod: &o.verb, AuthorizationType: wire.String("NONE"), ApiKeyRequired: wire.Bool(false), OperationName: optional(o.def, "operationId")}
	err := o.security(&o.m, o.def)
	if err == nil {
		err = o.validate()
	}
	if err == nil {
		err = o.takes(shared)
	}
	if err == nil {
		err = o.responses()
	}
	if err == nil {
		err = o.d.checkMethod(&o.m)
	}
	if err := o.fault(err, "Unable to put method '%s' on resource at path '%s'", o.verb, o.path); err != nil {
		return err
	}
	if err := o.fault(o.integration(), "Unable to put integration on '%s' for resource at path '%s'", o.verb, o.path); err != nil {
		return err
	}
	o.d.setMethod(o.resource, o.verb, o.m)
	return nil
}

// validate finds the method's request validator, its own or the document's.
func (o *operation) validate() error {
	name := o.validateBy
	if o.def.Has("x-amazon-apigateway-request-validator") {
		name = o.def.Text("x-amazon-apigateway-request-validator")
	}
	id := o.validator[name]
	if id == "" && name != "" {
		return badRequest("Unable to find request validator '%s'", name)
	}
	if id != "" {
		o.m.RequestValidatorId = &id
	}
	return nil
}

// pathVariable is a variable of a path.
var pathVariable = lazyregexp.New(`\{([^{}+]+)\+?\}`)

// takes declares what the method takes: variables of its path in any case (recorded:
// they are required, declared or not), then the path's and the operation's parameters.
func (o *operation) takes(shared []any) error {
	for _, v := range pathVariable.FindAllStringSubmatch(o.path, -1) {
		o.take("path", v[1], true)
	}
	for _, list := range [][]any{shared, o.def.List("parameters")} {
		for _, p := range list {
			if err := o.parameter(o.doc.resolve(p)); err != nil {
				return err
			}
		}
	}
	body := o.doc.resolve(o.def.Get("requestBody"))
	return o.contents(body.Object("content"), "request body of", o.requestModel)
}

func (o *operation) take(place, name string, required bool) {
	if o.m.RequestParameters == nil {
		o.m.RequestParameters = map[string]bool{}
	}
	o.m.RequestParameters["method.request."+place+"."+name] = required
}

func (o *operation) parameter(def *document.Object) error {
	name, in := def.Text("name"), def.Text("in")
	switch in {
	case "query":
		o.take("querystring", name, isTrue(def.Get("required")))
	case "header":
		o.take("header", name, isTrue(def.Get("required")))
	case "path":
		o.take("path", name, true)
	case "body":
		model, err := o.modelOf(def.Get("schema"), "request body of", o.route())
		if err != nil || model == "" {
			return err
		}
		for _, kind := range o.mediaTypes("consumes") {
			o.requestModel(kind, model)
		}
	default:
		o.warn("Unsupported parameter location '%s' of parameter '%s' in method '%s'. Ignoring.", in, name, o.route())
	}
	return nil
}

// mediaTypes are those that a Swagger operation consumes or produces.
func (o *operation) mediaTypes(list string) []string {
	if own := texts(o.def.List(list)); own != nil {
		return own
	}
	if all := texts(o.doc.root.List(list)); all != nil {
		return all
	}
	return []string{"application/json"}
}

func (o *operation) requestModel(kind, model string) {
	if o.m.RequestModels == nil {
		o.m.RequestModels = map[string]string{}
	}
	o.m.RequestModels[kind] = model
}

// contents reads OpenAPI's schemas by media type.
func (o *operation) contents(content *document.Object, where string, set func(kind, model string)) error {
	for _, kind := range content.Keys() {
		model, err := o.modelOf(content.Object(kind).Get("schema"), where, o.route())
		if err != nil {
			return err
		}
		if model != "" {
			set(kind, model)
		}
	}
	return nil
}

var statusCode = lazyregexp.New(`^[1-5][0-9][0-9]$`)

// responses declares what the method answers. "default" and classes of codes declare nothing
// at API Gateway.
func (o *operation) responses() error {
	defs := o.def.Object("responses")
	for _, status := range defs.Keys() {
		if !statusCode.MatchString(status) {
			continue
		}
		def := o.doc.resolve(defs.Get(status))
		r := apigatewayapi.MethodResponse{StatusCode: wire.String(status)}
		for _, name := range def.Object("headers").Keys() {
			if r.ResponseParameters == nil {
				r.ResponseParameters = map[string]bool{}
			}
			r.ResponseParameters["method.response.header."+name] = false
		}
		set := func(kind, model string) {
			if r.ResponseModels == nil {
				r.ResponseModels = map[string]string{}
			}
			r.ResponseModels[kind] = model
		}
		if err := o.responseModels(def, status, set); err != nil {
			return err
		}
		if o.m.MethodResponses == nil {
			o.m.MethodResponses = map[string]apigatewayapi.MethodResponse{}
		}
		o.m.MethodResponses[status] = r
	}
	return nil
}

func (o *operation) responseModels(def *document.Object, status string, set func(kind, model string)) error {
	where := status + " response to"
	if !o.doc.swagger {
		return o.contents(def.Object("content"), where, set)
	}
	model, err := o.modelOf(def.Get("schema"), where, o.route())
	if err != nil || model == "" {
		return err
	}
	for _, kind := range o.mediaTypes("produces") {
		set(kind, model)
	}
	return nil
}
