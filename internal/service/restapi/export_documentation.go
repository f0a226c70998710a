package restapi

import (
	"strings"
	"time"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// extensions adds what documentation says by names of its own ("x-..."): they are part of
// the entity that it belongs to.
func extensions(out, said *document.Object) {
	for _, k := range said.Keys() {
		if strings.HasPrefix(k, "x-") && !strings.HasPrefix(k, "x-amazon-apigateway-") {
			out.Set(k, said.Get(k))
		}
	}
}

// inherits tells which types of places take what is said of more general ones (API Gateway
// API Reference, DocumentationPartLocation).
func inherits(kind apigatewayapi.DocumentationPartType) bool {
	switch kind {
	case "PATH_PARAMETER", "QUERY_PARAMETER", "REQUEST_HEADER", "RESPONSE", "RESPONSE_HEADER", "RESPONSE_BODY":
		return true
	}
	return false
}

// said is what the stage's documentation says of one place: of the most general location
// first, what is said of a closer one in its stead.
func (e *exporter) said(kind apigatewayapi.DocumentationPartType, path, method, status, name string) *document.Object {
	out := &document.Object{}
	if e.notes == nil {
		e.read()
	}
	for _, n := range e.notes[string(kind)+" "+name] { // sorted: a shorter path, and "*", come first
		if !covers(n.method, method, inherits(kind)) || !covers(n.status, status, inherits(kind)) {
			continue
		}
		if n.path != path && !(inherits(kind) && (n.path == "/" || strings.HasPrefix(path, n.path+"/"))) {
			continue
		}
		for _, k := range n.properties.Keys() {
			out.Set(k, n.properties.Get(k))
		}
	}
	return out
}

// note is a part of the documentation, read.
type note struct {
	path, method, status string
	properties           *document.Object
}

// read parses the documentation once.
func (e *exporter) read() {
	e.notes = map[string][]note{}
	if e.docs == nil {
		return
	}
	for _, p := range e.docs.Parts {
		l := p.Location
		props, err := properties(wire.Value(p.Properties))
		if err != nil {
			continue // no part is stored that does not parse
		}
		k := string(l.Type) + " " + wire.Value(l.Name)
		e.notes[k] = append(e.notes[k], note{wire.Value(l.Path), wire.Value(l.Method), wire.Value(l.StatusCode), props})
	}
}

func covers(general, one string, inherited bool) bool {
	return general == one || inherited && general == "*"
}

// parts is x-amazon-apigateway-documentation: all that is said, also what no standard member can hold.
func (e *exporter) parts() *document.Object {
	out := document.New("version", wire.Value(e.docs.Version.Version), "createdDate", wire.Value(e.docs.Version.CreatedDate).UTC().Format(time.RFC3339))
	list := []any{}
	for _, p := range e.docs.Parts {
		l := p.Location
		at := document.New("type", string(l.Type))
		for _, f := range []struct {
			name, general string
			value         *string
		}{{"path", "/", l.Path}, {"method", "*", l.Method}, {"statusCode", "*", l.StatusCode}, {"name", "", l.Name}} {
			if v := wire.Value(f.value); v != f.general {
				setText(at, f.name, f.value)
			}
		}
		props, err := properties(wire.Value(p.Properties))
		if err != nil {
			continue
		}
		list = append(list, document.New("location", at, "properties", props))
	}
	out.Set("documentationParts", list)
	return out
}
