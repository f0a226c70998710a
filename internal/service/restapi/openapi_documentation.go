package restapi

import (
	"slices"
	"strings"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// documentation reads the document's documentation: its own section of it, or what the
// standard members say of each place.
func (w *importer) documentation() error {
	if w.doc.parameters["ignore"] == "documentation" {
		return nil
	}
	if w.doc.root.Has("x-amazon-apigateway-documentation") {
		_, err := w.parts()
		return err
	}
	return w.described()
}

// parts reads x-amazon-apigateway-documentation. It returns the ids of what it wrote.
func (w *importer) parts() ([]string, error) {
	ids := []string{}
	for _, e := range w.doc.root.Object("x-amazon-apigateway-documentation").List("documentationParts") {
		o, _ := e.(*document.Object)
		at := o.Object("location")
		l := apigatewayapi.DocumentationPartLocation{
			Type: apigatewayapi.DocumentationPartType(at.Text("type")), Path: optional(at, "path"), Method: optional(at, "method"),
			StatusCode: optional(at, "statusCode"), Name: optional(at, "name"),
		}
		props, _ := o.Get("properties").(*document.Object)
		if text, ok := o.Get("properties").(string); ok {
			p, err := properties(text)
			if err := w.fault(err, "Unable to create documentation part"); err != nil {
				return nil, err
			}
			props = p
		}
		id, err := w.document(l, props)
		if err := w.fault(err, "Unable to create documentation part"); err != nil {
			return nil, err
		}
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// document writes one part. What was said there before and is not said anew stays.
func (w *importer) document(l apigatewayapi.DocumentationPartLocation, props *document.Object) (string, error) {
	l, err := normalLocation(&l)
	if err != nil {
		return "", err
	}
	if w.partIDs == nil {
		w.partIDs = map[string]string{}
		for id, p := range w.d.Documentation {
			w.partIDs[locationKey(*p.Location)] = id
		}
	}
	p := apigatewayapi.DocumentationPart{Location: &l}
	if id := w.partIDs[locationKey(l)]; id != "" {
		p.Id = &id
		old, err := properties(wire.Value(w.d.Documentation[id].Properties))
		if err != nil {
			return "", err
		}
		for _, k := range props.Keys() {
			old.Set(k, props.Get(k))
		}
		props = old
	} else {
		id, err := w.s.id(shortID)
		if err != nil {
			return "", err
		}
		p.Id = &id
	}
	text := "{}"
	if props.Len() > 0 {
		text = string(document.Compact(props))
	}
	if len(text) > maxDocumentation {
		return "", badRequest("Documentation part properties must not be larger than %d bytes", maxDocumentation)
	}
	p.Properties = &text
	w.partIDs[locationKey(l)] = *p.Id
	return *p.Id, w.d.setPart(p)
}

// described makes parts of the descriptions that stand in a document's standard members.
func (w *importer) described() error {
	note := func(l apigatewayapi.DocumentationPartLocation, o *document.Object, names ...string) error {
		props := &document.Object{}
		for _, n := range names {
			if v := o.Get(n); v != nil && v != "" {
				props.Set(n, v)
			}
		}
		if props.Len() == 0 {
			return nil
		}
		_, err := w.document(l, props)
		return w.fault(err, "Unable to create documentation part")
	}
	if text := w.doc.root.Object("info").Text("description"); text != "" {
		if _, err := w.document(apigatewayapi.DocumentationPartLocation{Type: "API"}, document.New("info", document.New("description", text))); err != nil {
			return err
		}
	}
	for name := range w.schemes {
		def := w.doc.components("securityDefinitions", "securitySchemes").Get(name)
		if err := note(apigatewayapi.DocumentationPartLocation{Type: "AUTHORIZER", Name: wire.String(name)}, w.doc.resolve(def), "description"); err != nil {
			return err
		}
	}
	paths := w.doc.root.Object("paths")
	for _, path := range paths.Keys() {
		item := w.doc.resolve(paths.Get(path))
		full := slashed(strings.TrimSuffix(w.base, "/") + path)
		if w.byPath[full] == "" {
			continue
		}
		if err := note(apigatewayapi.DocumentationPartLocation{Type: "RESOURCE", Path: &full}, item, "summary", "description"); err != nil {
			return err
		}
		for _, name := range item.Keys() {
			verb := strings.ToUpper(name)
			if name == "x-amazon-apigateway-any-method" {
				verb = "ANY"
			} else if verb == "ANY" || !slices.Contains(verbs, verb) {
				continue
			}
			if err := w.describedMethod(note, full, verb, w.doc.resolve(item.Get(name))); err != nil {
				return err
			}
		}
	}
	return nil
}

type noteFunc func(l apigatewayapi.DocumentationPartLocation, o *document.Object, names ...string) error

func (w *importer) describedMethod(note noteFunc, path, verb string, op *document.Object) error {
	at := apigatewayapi.DocumentationPartLocation{Type: "METHOD", Path: &path, Method: &verb}
	if err := note(at, op, "tags", "summary", "description", "deprecated", "externalDocs"); err != nil {
		return err
	}
	kinds := map[string]apigatewayapi.DocumentationPartType{"path": "PATH_PARAMETER", "query": "QUERY_PARAMETER", "header": "REQUEST_HEADER", "body": "REQUEST_BODY"}
	for _, p := range op.List("parameters") {
		def := w.doc.resolve(p)
		l := at
		if l.Type = kinds[def.Text("in")]; l.Type == "" {
			continue
		}
		if l.Type != "REQUEST_BODY" {
			l.Name = wire.String(def.Text("name"))
		}
		if err := note(l, def, "description"); err != nil {
			return err
		}
	}
	l := at
	l.Type = "REQUEST_BODY"
	if err := note(l, w.doc.resolve(op.Get("requestBody")), "description"); err != nil {
		return err
	}
	responses := op.Object("responses")
	for _, status := range responses.Keys() {
		def := w.doc.resolve(responses.Get(status))
		if !statusCode.MatchString(status) || def.Text("description") == status+" response" { // what an export writes by itself
			continue
		}
		l := at
		l.Type, l.StatusCode = "RESPONSE", &status
		if err := note(l, def, "description"); err != nil {
			return err
		}
	}
	return nil
}
