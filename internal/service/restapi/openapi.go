package restapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

const (
	maxOpenAPI     = 6 << 20 // bytes of a document (API Gateway quotas: 6 MB)
	maxImportPath  = 2_000   // characters of one path
	maxImportFault = 100     // sentences in one answer
	maxModels      = 2_000   // of an API; validators likewise
	maxReferenced  = 1 << 20 // values that references of one document bring in, each time they do
	maxDefinition  = 32 << 20
)

// openAPI is an OpenAPI 3.0 or Swagger 2.0 document: what the import does not know it
// leaves alone, as API Gateway does.
type openAPI struct {
	root       *document.Object
	swagger    bool              // version 2.0
	parameters map[string]string // of the import: endpointConfigurationTypes, basepath, ignore

	sizes map[*document.Object]int // of what references lead to
	spent int                      // of maxReferenced
}

// parseOpenAPI reads a document in JSON or YAML.
func parseOpenAPI(body []byte) (*openAPI, error) {
	if len(body) > maxOpenAPI {
		return nil, badRequest("API document exceeds the maximum size of %d bytes", maxOpenAPI)
	}
	v, err := document.Parse(body)
	if errors.Is(err, document.ErrTooLarge) {
		return nil, badRequest("Unable to build importer with provided input: %s.", err)
	}
	root, ok := v.(*document.Object)
	if err != nil || !ok {
		return nil, badRequest("Unable to build importer with provided input.")
	}
	d := &openAPI{root: root, swagger: root.Text("swagger") == "2.0"}
	switch version := root.Text("openapi"); {
	case d.swagger, version == "3.0", strings.HasPrefix(version, "3.0."):
		return d, nil
	case version != "":
		return nil, badRequest("Invalid OpenAPI input.")
	case root.Has("swagger"):
		return nil, badRequest("Invalid Swagger 2.0 input.")
	}
	return nil, badRequest("Unable to build importer with provided input.")
}

// components returns the section of reusable parts: its place differs between the two versions.
func (d *openAPI) components(swagger, openapi string) *document.Object {
	if d.swagger {
		return d.root.Object(swagger)
	}
	return d.root.Object("components").Object(openapi)
}

// resolve returns an object, following its local reference ("#/components/parameters/x") some steps deep.
func (d *openAPI) resolve(v any) *document.Object {
	o, _ := v.(*document.Object)
	for range 16 {
		ref, ok := o.Get("$ref").(string)
		if !ok || !strings.HasPrefix(ref, "#/") {
			return o
		}
		at := d.root
		for _, seg := range pointer(ref[1:]) {
			at = at.Object(seg)
		}
		o = at
		if !d.spend(o) {
			return nil
		}
	}
	return nil // a reference that leads to itself leads nowhere
}

// spend counts what a reference brings in: a part that stands once and is used a thousand
// times costs as much as a thousand parts.
func (d *openAPI) spend(o *document.Object) bool {
	size, known := d.sizes[o]
	if !known {
		size = values(o)
		if d.sizes == nil {
			d.sizes = map[*document.Object]int{}
		}
		d.sizes[o] = size
	}
	d.spent += size
	return d.spent <= maxReferenced
}

// values counts the values in a value.
func values(v any) int {
	n := 1
	switch v := v.(type) {
	case *document.Object:
		for _, k := range v.Keys() {
			n += values(v.Get(k))
		}
	case []any:
		for _, e := range v {
			n += values(e)
		}
	}
	return n
}

func textMap(o *document.Object) map[string]string {
	if o.Len() == 0 {
		return nil
	}
	out := make(map[string]string, o.Len())
	for _, k := range o.Keys() {
		out[k] = o.Text(k)
	}
	return out
}

func texts(list []any) []string {
	var out []string
	for _, e := range list {
		out = append(out, document.Text(e))
	}
	return out
}

// optional is a scalar member, nil when there is none.
func optional(o *document.Object, name string) *string {
	if o.Get(name) == nil {
		return nil
	}
	return wire.String(o.Text(name))
}

func isTrue(v any) bool { return strings.EqualFold(document.Text(v), "true") }

// number reads a whole number, written as a number or as text; nil when there is none.
func number(o *document.Object, name string) (*int32, error) {
	t := o.Text(name)
	if t == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(t, 10, 32)
	if err != nil {
		return nil, badRequest("Invalid value '%s' for '%s'. Must be a number", t, name)
	}
	return wire.Int32(int32(n)), nil
}

// importer carries one import.
type importer struct {
	s          *Service
	d          *definition
	doc        *openAPI
	base       string             // what the base path puts before each path
	byPath     map[string]string  // ids of resources
	variable   map[string]string  // variable path parts by their parent's id
	schemes    map[string]scheme  // security schemes by name
	validator  map[string]string  // validator ids by name
	validateBy string             // the document's default validator
	inline     map[string]*string // names of models of inline schemas, by their text
	partIDs    map[string]string  // ids of documentation parts by their location
	errors     []string           // what fails the import
	warnings   []string           // what is left out
}

// importInto writes a document into a definition: the API's own members, authorizers,
// validators, models, gateway responses, each path, the documentation. It returns what it
// left out. What it finds wrong is told at once, not one by one.
func (s *Service) importInto(d *definition, doc *openAPI) ([]string, error) {
	doc.spent = 0
	w := &importer{s: s, d: d, doc: doc, byPath: map[string]string{}, variable: map[string]string{}, inline: map[string]*string{}}
	for id, r := range d.Resources {
		w.byPath[wire.Value(r.Path)] = id
		if isParameter(wire.Value(r.PathPart)) {
			w.variable[wire.Value(r.ParentId)] = *r.PathPart
		}
	}
	w.info()
	for _, step := range []func() error{w.settings, w.authorizers, w.validators, w.models, w.gatewayResponses, w.paths, w.documentation} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if err := w.bounded(); err != nil {
		return nil, err
	}
	if len(w.errors) > 0 {
		text := "Errors found during import:\n\t" + strings.Join(w.errors, "\n\t")
		if len(w.warnings) > 0 {
			text += "\nAdditionally, these warnings were found:\n\t" + strings.Join(w.warnings, "\n\t")
		}
		return nil, badRequest("%s", text)
	}
	return w.warnings, checkAPI("PutRestApi", &d.API)
}

// bounded refuses what would grow without end, also by one merge after the other.
func (w *importer) bounded() error {
	if w.doc.spent > maxReferenced {
		return badRequest("Unable to build importer with provided input: %s.", document.ErrTooLarge)
	}
	switch {
	case len(w.d.Models) > maxModels:
		return exceeded("Models", ofAPI)
	case len(w.d.Validators) > maxModels:
		return exceeded("Request Validators", ofAPI)
	case len(w.d.Authorizers) > w.s.quota("authorizers"):
		return exceeded("Authorizers", ofAPI)
	}
	b, err := json.Marshal(w.d)
	if err == nil && len(b) > maxDefinition {
		return &apigatewayapi.LimitExceededException{Message: fmt.Sprintf("The API would be larger than %d bytes", maxDefinition)}
	}
	return err
}

// failing refuses an import with warnings when its caller wants that.
func failing(warnings []string, fail *bool) error {
	if len(warnings) > 0 && wire.Value(fail) {
		return badRequest("Warnings found during import:\n\t%s", strings.Join(warnings, "\n\t"))
	}
	return nil
}

// fault notes what is wrong with one part and goes on. What is not built, and what is not
// the document's fault, ends the import.
func (w *importer) fault(err error, format string, args ...any) error {
	var e wire.Exception
	if err == nil {
		return nil
	}
	if !errors.As(err, &e) || e.HTTPStatus() >= 500 || e.HTTPStatus() == http.StatusTooManyRequests { // a quota's own words (recorded)
		return err
	}
	if len(w.errors) < maxImportFault {
		w.errors = append(w.errors, fmt.Sprintf(format, args...)+": "+e.ErrorMessage())
	}
	return nil
}

func (w *importer) warn(format string, args ...any) {
	if len(w.warnings) < maxImportFault {
		w.warnings = append(w.warnings, fmt.Sprintf(format, args...))
	}
}

func (w *importer) info() {
	root, info, api := w.doc.root, w.doc.root.Object("info"), &w.d.API
	if t := info.Text("title"); t != "" {
		api.Name = &t
	}
	if v := optional(info, "description"); v != nil {
		api.Description = v
	}
	if v := optional(info, "version"); v != nil {
		api.Version = v
	}
	if types := texts(root.List("x-amazon-apigateway-binary-media-types")); types != nil {
		api.BinaryMediaTypes = types
	}
	if v := root.Text("x-amazon-apigateway-api-key-source"); v != "" {
		api.ApiKeySource = apigatewayapi.ApiKeySourceType(strings.ToUpper(v))
	}
	if v := root.Text("x-amazon-apigateway-security-policy"); v != "" {
		api.SecurityPolicy = apigatewayapi.SecurityPolicy(v)
	}
	if v := root.Text("x-amazon-apigateway-endpoint-access-mode"); v != "" {
		api.EndpointAccessMode = apigatewayapi.EndpointAccessMode(v)
	}
	if p := root.Get("x-amazon-apigateway-policy"); p != nil {
		api.Policy = wire.String(document.Text(p))
	}
}

// settings applies the import's own parameters and the document's endpoint configuration.
func (w *importer) settings() error {
	root, api := w.doc.root, &w.d.API
	n, err := number(root, "x-amazon-apigateway-minimum-compression-size")
	if err != nil {
		return err
	}
	if n != nil {
		api.MinimumCompressionSize = n
	}
	e := root.Object("x-amazon-apigateway-endpoint-configuration")
	if servers := root.List("servers"); len(servers) > 0 {
		first, _ := servers[0].(*document.Object)
		if s := first.Object("x-amazon-apigateway-endpoint-configuration"); s != nil {
			e = s
			if len(servers) > 1 {
				w.warn("More than one server provided. Ignoring all but the first for defining endpoint configuration")
			}
		}
	}
	w.endpoint(e)
	defer func() {
		if isPrivate(api.EndpointConfiguration) && e.Text("ipAddressType") == "" {
			api.EndpointConfiguration.IpAddressType = apigatewayapi.IpAddressTypedualstack
		}
	}()
	for _, name := range slices.Sorted(keysOf(w.doc.parameters)) {
		value := w.doc.parameters[name]
		switch {
		case name == "endpointConfigurationTypes" && (value == "EDGE" || value == "REGIONAL" || value == "PRIVATE"):
			api.EndpointConfiguration.Types = []apigatewayapi.EndpointType{apigatewayapi.EndpointType(value)}
		case name == "basepath" && value == "prepend":
			w.base = w.doc.basePath()
		case name == "basepath" && value == "split": // the first part is the base path of a domain's mapping
			_, rest, _ := strings.Cut(strings.TrimPrefix(w.doc.basePath(), "/"), "/")
			w.base = "/" + rest
		case name == "ignore" && value == "documentation", name == "basepath" && value == "ignore":
		default:
			return badRequest("Invalid import parameter '%s' with value '%s'", name, value)
		}
	}
	return nil
}

func keysOf(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (w *importer) endpoint(e *document.Object) {
	api := &w.d.API
	if e.Has("disableExecuteApiEndpoint") {
		api.DisableExecuteApiEndpoint = wire.Bool(isTrue(e.Get("disableExecuteApiEndpoint")))
	}
	if ids := texts(e.List("vpcEndpointIds")); ids != nil {
		api.EndpointConfiguration.VpcEndpointIds = ids
	}
	if t := e.Text("ipAddressType"); t != "" {
		api.EndpointConfiguration.IpAddressType = apigatewayapi.IpAddressType(t)
	}
	if types := texts(e.List("types")); types != nil {
		api.EndpointConfiguration.Types = nil
		for _, t := range types {
			api.EndpointConfiguration.Types = append(api.EndpointConfiguration.Types, apigatewayapi.EndpointType(t))
		}
	}
}

// basePath is the document's: basePath in Swagger; in OpenAPI the first server variable of
// that name, or what stands behind the host in the first server's address (API Gateway
// Developer Guide, "Set the OpenAPI basePath property").
func (d *openAPI) basePath() string {
	if d.swagger {
		return slashed(d.root.Text("basePath"))
	}
	servers := d.root.List("servers")
	for _, s := range servers {
		if v := d.resolve(s).Object("variables").Object("basePath"); v != nil {
			return slashed(v.Text("default"))
		}
	}
	if len(servers) == 0 {
		return "/"
	}
	address := d.resolve(servers[0]).Text("url")
	if _, rest, ok := strings.Cut(address, "://"); ok {
		_, address, _ = strings.Cut(rest, "/")
	}
	return slashed(address)
}

func slashed(path string) string { return "/" + strings.Trim(path, "/") }

// modelName is what a model may be called.
var modelName = lazyregexp.New(`^[a-zA-Z0-9]+$`)

func (w *importer) validators() error {
	w.validator = map[string]string{}
	for id, v := range w.d.Validators {
		w.validator[wire.Value(v.Name)] = id
	}
	defs := w.doc.root.Object("x-amazon-apigateway-request-validators")
	for _, name := range defs.Keys() {
		id := w.validator[name]
		if id == "" {
			var err error
			if id, err = w.s.id(shortID); err != nil {
				return err
			}
		}
		def := defs.Object(name)
		w.d.Validators[id] = apigatewayapi.RequestValidator{
			Id: &id, Name: wire.String(name), ValidateRequestBody: wire.Bool(isTrue(def.Get("validateRequestBody"))),
			ValidateRequestParameters: wire.Bool(isTrue(def.Get("validateRequestParameters"))),
		}
		w.validator[name] = id
	}
	w.validateBy = w.doc.root.Text("x-amazon-apigateway-request-validator")
	return nil
}

func (w *importer) gatewayResponses() error {
	defs := w.doc.root.Object("x-amazon-apigateway-gateway-responses")
	for _, kind := range defs.Keys() {
		if _, known := defaultStatus()[kind]; !known {
			if err := w.fault(badRequest("Invalid gateway response type '%s'", kind), "Unable to put gateway response '%s'", kind); err != nil {
				return err
			}
			continue
		}
		def := defs.Object(kind)
		r := apigatewayapi.GatewayResponse{
			ResponseType: apigatewayapi.GatewayResponseType(kind), DefaultResponse: wire.Bool(false), StatusCode: optional(def, "statusCode"),
			ResponseParameters: textMap(def.Object("responseParameters")), ResponseTemplates: textMap(def.Object("responseTemplates")),
		}
		gatewayResponseDefaults(&r)
		w.d.Responses[kind] = r
	}
	return nil
}
