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
	if e.docs == nil {
		return out
	}
	for _, p := range e.docs.Parts { // sorted: a shorter path, and "*", come first
		l := p.Location
		if l.Type != kind || wire.Value(l.Name) != name || !covers(wire.Value(l.Method), method, inherits(kind)) || !covers(wire.Value(l.StatusCode), status, inherits(kind)) {
			continue
		}
		if at := wire.Value(l.Path); at != path && !(inherits(kind) && (at == "/" || strings.HasPrefix(path, at+"/"))) {
			continue
		}
		props, err := properties(wire.Value(p.Properties))
		if err != nil {
			continue
		}
		for _, k := range props.Keys() {
			out.Set(k, props.Get(k))
		}
	}
	return out
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
