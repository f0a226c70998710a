package restapi

import (
	"fmt"
	"slices"
	"strings"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// modelBase is where schemas refer to the models of an API (API Gateway Developer Guide, "Data models").
const modelBase = "https://apigateway.amazonaws.com/restapis/"

// models makes a model of each reusable schema.
func (w *importer) models() error {
	defs := w.doc.components("definitions", "schemas")
	for _, name := range defs.Keys() {
		if !modelName.MatchString(name) {
			if err := w.fault(badRequest("Model name must be alphanumeric: %s", name), "Unable to create model for '%s'", name); err != nil {
				return err
			}
			continue
		}
		id, err := w.s.id(shortID)
		if err != nil {
			return err
		}
		if old, there := w.d.Models[name]; there {
			id = *old.Id
		}
		text, err := w.schema(defs.Get(name))
		if err := w.fault(err, "Unable to create model for '%s'", name); err != nil {
			return err
		}
		def, _ := defs.Get(name).(*document.Object)
		w.d.Models[name] = apigatewayapi.Model{
			Id: &id, Name: wire.String(name), ContentType: wire.String("application/json"), Description: optional(def, "description"), Schema: &text,
		}
	}
	return nil
}

// schema is a schema as a model keeps it: its references lead to the API's models, and what
// only describes is left out. Other words that JSON Schema's fourth draft does not have are
// refused: they would change what is accepted.
func (w *importer) schema(v any) (string, error) {
	o, ok := v.(*document.Object)
	if !ok {
		return "", invalidModel("Invalid model schema specified")
	}
	s := schemaReader{api: w.d.ID, known: func(name string) bool {
		_, there := w.d.Models[name]
		return there || w.doc.components("definitions", "schemas").Has(name)
	}}
	out := s.read(o)
	switch {
	case s.reference:
		return "", invalidModel("Model reference must be in canonical form")
	case s.missing != "":
		return "", invalidModel("Invalid model reference specified: '" + s.missing + "'")
	case len(s.unknown) > 0:
		return "", invalidModel(fmt.Sprintf(`Invalid model schema specified. Unsupported keyword(s): ["%s"]`, strings.Join(s.unknown, `","`)))
	}
	return string(document.Pretty(out)), nil
}

func invalidModel(why string) error {
	return badRequest("Invalid model specified: Validation Result: warnings : [], errors : [%s]", why)
}

type schemaReader struct {
	api       string
	known     func(name string) bool
	unknown   []string
	missing   string
	reference bool // one leads elsewhere
}

func (s *schemaReader) read(o *document.Object) *document.Object {
	out := &document.Object{}
	for _, k := range o.Keys() {
		v := o.Get(k)
		switch k {
		case "$ref":
			out.Set(k, s.refer(document.Text(v)))
		case "properties", "patternProperties", "definitions", "dependencies":
			named := &document.Object{}
			m, _ := v.(*document.Object)
			for _, name := range m.Keys() {
				named.Set(name, s.below(m.Get(name)))
			}
			out.Set(k, named)
		case "items", "additionalItems", "additionalProperties", "not", "allOf", "anyOf", "oneOf":
			out.Set(k, s.below(v))
		case "$schema", "id", "title", "description", "default", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
			"maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxProperties", "minProperties", "required", "enum", "type", "format":
			out.Set(k, v)
		case "example", "examples", "externalDocs", "xml", "discriminator", "readOnly", "writeOnly", "deprecated":
		default:
			if !strings.HasPrefix(k, "x-") && !slices.Contains(s.unknown, k) && len(s.unknown) < 10 {
				s.unknown = append(s.unknown, k)
			}
		}
	}
	return out
}

// below reads what stands where schemas stand: one, a list of them, true or false.
func (s *schemaReader) below(v any) any {
	switch v := v.(type) {
	case *document.Object:
		return s.read(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = s.below(e)
		}
		return out
	}
	return v
}

func (s *schemaReader) refer(ref string) string {
	for _, prefix := range []string{"#/definitions/", "#/components/schemas/"} {
		if name, ok := strings.CutPrefix(ref, prefix); ok && modelName.MatchString(name) {
			if !s.known(name) {
				s.missing = name
			}
			return modelBase + s.api + "/models/" + name
		}
	}
	s.reference = s.reference || !strings.HasPrefix(ref, modelBase)
	return ref
}

// modelOf names the model of a body: the one that is referred to, or one made of the schema
// that stands there. "" when there is none, with a warning.
func (w *importer) modelOf(schema any, where, route string) (string, error) {
	o, _ := schema.(*document.Object)
	if o.Len() == 0 {
		return "", nil
	}
	if ref := o.Text("$ref"); ref != "" {
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		if _, there := w.d.Models[name]; !there || !strings.HasPrefix(ref, "#/") {
			w.warn("Reference to model '%s' not found. Ignoring.", name)
			return "", nil
		}
		return name, nil
	}
	if kind := w.scalarKind(o); kind != "" {
		w.warn("Unsupported model type '%s' in %s method '%s'. Ignoring.", kind, where, route)
		return "", nil
	}
	text, err := w.schema(o)
	if err := w.fault(err, "Unable to create model for %s method '%s'", where, route); err != nil || text == "" {
		return "", err
	}
	if name := w.inline[text]; name != nil {
		return *name, nil
	}
	name, err := w.inlineModel(text)
	w.inline[text] = &name
	return name, err
}

// inlineModel makes a model of a schema that stands in an operation itself. Its name is the
// schema's own digest, so that a second import of the same document finds it again.
func (w *importer) inlineModel(text string) (string, error) {
	digest := hashKey(text)
	for n := 6; n <= len(digest); n++ {
		name := "MODEL" + digest[:n]
		old, there := w.d.Models[name]
		if there && wire.Value(old.Schema) != text {
			continue
		}
		if there {
			return name, nil
		}
		id, err := w.s.id(shortID)
		w.d.Models[name] = apigatewayapi.Model{Id: &id, Name: &name, ContentType: wire.String("application/json"), Schema: &text}
		return name, err
	}
	return "", badRequest("Unable to name a model")
}

// scalarKind is the name by which the importer of API Gateway calls a schema of a scalar
// type, which makes no model; "" for objects and lists.
func (w *importer) scalarKind(o *document.Object) string {
	kind := map[string]string{"string": "String", "integer": "Integer", "number": "Number", "boolean": "Boolean", "file": "File"}[o.Text("type")]
	if kind == "" {
		return ""
	}
	if o.Text("type") == "string" {
		switch o.Text("format") {
		case "date":
			kind = "Date"
		case "date-time":
			kind = "DateTime"
		case "binary":
			kind = "Binary"
		case "byte":
			kind = "ByteArray"
		case "uuid":
			kind = "UUID"
		case "email":
			kind = "Email"
		case "password":
			kind = "Password"
		}
	}
	if w.doc.swagger {
		return kind + "Property"
	}
	return kind + "Schema"
}
