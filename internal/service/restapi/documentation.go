package restapi

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// Bounds of an API's documentation (API Gateway quotas).
const (
	maxDocumentationParts    = 2_000
	maxDocumentationVersions = 500
	maxDocumentation         = 32 << 10 // bytes of one part's properties
)

// place fields that a location of each type may have, besides its type (API Gateway API
// Reference, DocumentationPartLocation). A name is required where it is allowed, but for
// request bodies.
func locationFields(kind apigatewayapi.DocumentationPartType) (fields string, known bool) {
	switch kind {
	case "API":
		return "", true
	case "AUTHORIZER", "MODEL":
		return "name", true
	case "RESOURCE":
		return "path", true
	case "METHOD":
		return "path method", true
	case "PATH_PARAMETER", "QUERY_PARAMETER", "REQUEST_HEADER", "REQUEST_BODY":
		return "path method name", true
	case "RESPONSE", "RESPONSE_BODY":
		return "path method statusCode", true
	case "RESPONSE_HEADER":
		return "path method statusCode name", true
	}
	return "", false
}

var locationStatus = lazyregexp.New(`^([1-5][0-9][0-9]|\*)$`)

// normalLocation checks where a part belongs and fills in what is general: "/" for the path, "*" for
// method and status (recorded: answers have the path of a location that was given none).
func normalLocation(l *apigatewayapi.DocumentationPartLocation) (apigatewayapi.DocumentationPartLocation, error) {
	if l == nil {
		return apigatewayapi.DocumentationPartLocation{}, badRequest("Documentation part location must be specified")
	}
	fields, known := locationFields(l.Type)
	if !known {
		return *l, badRequest("Invalid documentation part type '%s'", l.Type)
	}
	out := apigatewayapi.DocumentationPartLocation{Type: l.Type}
	for _, f := range []struct {
		name   string
		in     *string
		out    **string
		byType string
	}{{"path", l.Path, &out.Path, "/"}, {"method", l.Method, &out.Method, "*"}, {"statusCode", l.StatusCode, &out.StatusCode, "*"}, {"name", l.Name, &out.Name, ""}} {
		allowed, given := slices.Contains(strings.Fields(fields), f.name), wire.Value(f.in)
		switch {
		case !allowed && given != "":
			return out, badRequest("Invalid documentation part location: '%s' is not a valid field for type '%s'", f.name, l.Type)
		case !allowed || given == "" && f.name == "name" && l.Type == "REQUEST_BODY":
		case given == "" && f.byType == "":
			return out, badRequest("Invalid documentation part location: '%s' is required for type '%s'", f.name, l.Type)
		default:
			*f.out = wire.String(cmp.Or(given, f.byType))
		}
	}
	if m := wire.Value(out.Method); m != "" && m != "*" {
		if m = strings.ToUpper(m); !slices.Contains(verbs, m) {
			return out, badRequest("Invalid documentation part location: '%s' is not a valid method", m)
		}
		out.Method = &m
	}
	if p := wire.Value(out.Path); p != "" && !strings.HasPrefix(p, "/") {
		return out, badRequest("Invalid documentation part location: the path must start with a slash")
	}
	if s := wire.Value(out.StatusCode); s != "" && !locationStatus.MatchString(s) {
		return out, badRequest("Invalid documentation part location: '%s' is not a valid status code", s)
	}
	if len(locationKey(out)) > 2*maxImportPath {
		return out, badRequest("Invalid documentation part location: it is too long")
	}
	return out, nil
}

// locationKey orders locations and tells them apart.
func locationKey(l apigatewayapi.DocumentationPartLocation) string {
	return strings.Join([]string{string(l.Type), wire.Value(l.Path), wire.Value(l.Method), wire.Value(l.StatusCode), wire.Value(l.Name)}, "\x00")
}

// locationText is a location in a sentence.
func locationText(l apigatewayapi.DocumentationPartLocation) string {
	out := fmt.Sprintf("type '%s'", l.Type)
	for _, f := range []struct{ name, value string }{
		{"path", wire.Value(l.Path)}, {"method", wire.Value(l.Method)}, {"statusCode", wire.Value(l.StatusCode)}, {"name", wire.Value(l.Name)},
	} {
		if f.value != "" {
			out += fmt.Sprintf(", %s '%s'", f.name, f.value)
		}
	}
	return out
}

// properties reads what a part says.
func properties(text string) (*document.Object, error) {
	if len(text) > maxDocumentation {
		return nil, badRequest("Documentation part properties must not be larger than %d bytes", maxDocumentation)
	}
	v, err := document.ParseJSON([]byte(text))
	o, ok := v.(*document.Object)
	if err != nil || !ok {
		return nil, badRequest("Documentation part properties must be a JSON object")
	}
	return o, nil
}

// partAt finds the part of a location.
func (d *definition) partAt(l apigatewayapi.DocumentationPartLocation) (apigatewayapi.DocumentationPart, bool) {
	key := locationKey(l)
	for _, p := range d.Documentation {
		if locationKey(*p.Location) == key {
			return p, true
		}
	}
	return apigatewayapi.DocumentationPart{}, false
}

// addPart adds a part where there is none yet.
func (d *definition) addPart(p apigatewayapi.DocumentationPart) error {
	if _, there := d.partAt(*p.Location); there {
		return conflict("Documentation part already exists for the specified location: %s.", locationText(*p.Location))
	}
	return d.setPart(p)
}

func (d *definition) setPart(p apigatewayapi.DocumentationPart) error {
	if d.Documentation == nil {
		d.Documentation = map[string]apigatewayapi.DocumentationPart{}
	}
	if _, there := d.Documentation[*p.Id]; !there && len(d.Documentation) >= maxDocumentationParts {
		return exceeded("Documentation Parts", ofAPI)
	}
	d.Documentation[*p.Id] = p
	return nil
}

// parts are an API's documentation in the order of where it belongs.
func (d *definition) parts() []apigatewayapi.DocumentationPart {
	out := byKey(d.Documentation)
	slices.SortStableFunc(out, func(a, b apigatewayapi.DocumentationPart) int {
		return strings.Compare(locationKey(*a.Location), locationKey(*b.Location))
	})
	return out
}

// undocumented are the places of an API that have no part.
func (d *definition) undocumented() []apigatewayapi.DocumentationPart {
	have := map[string]bool{}
	for _, p := range d.Documentation {
		have[locationKey(*p.Location)] = true
	}
	out := []apigatewayapi.DocumentationPart{}
	for _, l := range d.locations() {
		l, err := normalLocation(&l)
		if err == nil && !have[locationKey(l)] {
			have[locationKey(l)] = true
			out = append(out, apigatewayapi.DocumentationPart{Location: &l})
		}
	}
	slices.SortFunc(out, func(a, b apigatewayapi.DocumentationPart) int {
		return strings.Compare(locationKey(*a.Location), locationKey(*b.Location))
	})
	return out
}

// locations are the places of an API that documentation can belong to.
func (d *definition) locations() []apigatewayapi.DocumentationPartLocation {
	out := []apigatewayapi.DocumentationPartLocation{{Type: "API"}}
	for _, a := range d.Authorizers {
		out = append(out, apigatewayapi.DocumentationPartLocation{Type: "AUTHORIZER", Name: a.Name})
	}
	for _, m := range d.Models {
		out = append(out, apigatewayapi.DocumentationPartLocation{Type: "MODEL", Name: m.Name})
	}
	for _, r := range d.Resources {
		out = append(out, apigatewayapi.DocumentationPartLocation{Type: "RESOURCE", Path: r.Path})
		for verb, m := range r.ResourceMethods {
			at := apigatewayapi.DocumentationPartLocation{Path: r.Path, Method: wire.String(verb)}
			out = append(out, methodLocations(at, m)...)
		}
	}
	return out
}

func methodLocations(at apigatewayapi.DocumentationPartLocation, m apigatewayapi.Method) []apigatewayapi.DocumentationPartLocation {
	of := func(kind apigatewayapi.DocumentationPartType, status, name *string) apigatewayapi.DocumentationPartLocation {
		l := at
		l.Type, l.StatusCode, l.Name = kind, status, name
		return l
	}
	out := []apigatewayapi.DocumentationPartLocation{of("METHOD", nil, nil)}
	if len(m.RequestModels) > 0 {
		out = append(out, of("REQUEST_BODY", nil, nil))
	}
	for p := range m.RequestParameters {
		for prefix, kind := range map[string]apigatewayapi.DocumentationPartType{
			"method.request.path.": "PATH_PARAMETER", "method.request.querystring.": "QUERY_PARAMETER", "method.request.header.": "REQUEST_HEADER",
		} {
			if name, ok := strings.CutPrefix(p, prefix); ok {
				out = append(out, of(kind, nil, &name))
			}
		}
	}
	for status, r := range m.MethodResponses {
		out = append(out, of("RESPONSE", &status, nil))
		if len(r.ResponseModels) > 0 {
			out = append(out, of("RESPONSE_BODY", &status, nil))
		}
		for p := range r.ResponseParameters {
			if name, ok := strings.CutPrefix(p, "method.response.header."); ok {
				out = append(out, of("RESPONSE_HEADER", &status, &name))
			}
		}
	}
	return out
}
