package gateway

import (
	"strings"

	"moat/internal/pure/jsonpath"
)

// source is where a mapped parameter's value comes from.
type source struct {
	from, name string
	path       *jsonpath.Path // into a body
	multi      bool           // all values, not the last one
}

// parseSource reads a mapping expression of a request: 'static', method.request.{path,
// querystring,header,multivaluequerystring,multivalueheader}.X, method.request.body[.JSONPath],
// context.X or stageVariables.X (API Gateway Developer Guide, "Mapping expressions").
func parseSource(where, text string) (source, error) {
	if rest, ok := strings.CutPrefix(text, "method.request."); ok {
		if rest == "body" || strings.HasPrefix(rest, "body.") {
			return bodySource(text, strings.TrimPrefix(rest, "body"))
		}
		from, name, ok := strings.Cut(rest, ".")
		from, multi := strings.CutPrefix(from, "multivalue")
		if ok && name != "" && (from == "path" && !multi || from == "querystring" || from == "header") {
			return source{from: from, name: name, multi: multi}, nil
		}
	}
	return commonSource(where, text)
}

// parseAnswerSource reads a mapping expression of a response: 'static',
// integration.response.{header,multivalueheader}.X, integration.response.body[.JSONPath],
// context.X or stageVariables.X.
func parseAnswerSource(where, text string) (source, error) {
	if rest, ok := strings.CutPrefix(text, "integration.response."); ok {
		if rest == "body" || strings.HasPrefix(rest, "body.") {
			return bodySource(text, strings.TrimPrefix(rest, "body"))
		}
		from, name, ok := strings.Cut(rest, ".")
		from, multi := strings.CutPrefix(from, "multivalue")
		if ok && name != "" && from == "header" {
			return source{from: from, name: name, multi: multi}, nil
		}
	}
	return commonSource(where, text)
}

// commonSource reads what requests and responses have in common.
func commonSource(where, text string) (source, error) {
	if value, ok := static(text); ok {
		return source{from: "static", name: value}, nil
	}
	if strings.HasPrefix(text, "context.") {
		if !contextKnown(text) {
			return source{}, &NotBuiltError{where, text + " is not built"}
		}
		return source{from: "context", name: text}, nil
	}
	if name, ok := strings.CutPrefix(text, "stageVariables."); ok && name != "" {
		return source{from: "stage", name: name}, nil
	}
	return source{}, &DefinitionError{"Invalid mapping expression specified: " + text}
}

func bodySource(text, expression string) (source, error) {
	if expression == "" {
		return source{from: "body"}, nil
	}
	p, err := jsonpath.Compile("$" + expression)
	if err != nil {
		return source{}, &DefinitionError{"Invalid mapping expression specified: " + text}
	}
	return source{from: "body", path: p}, nil
}

// value reads a source; a path parameter comes escaped, as it was sent.
func (x *Exchange) value(s source) (string, bool) {
	switch s.from {
	case "static":
		return s.name, true
	case "path":
		return x.param(s.name)
	case "querystring":
		return x.queryValue(s.name)
	case "header":
		if strings.EqualFold(s.name, "Host") {
			return x.Host, x.Host != ""
		}
		v, n := x.one(s.name)
		return v, n > 0
	case "context":
		return x.contextValue(s.name)
	case "stage":
		v, ok := x.snap.def.Variables[s.name]
		return v, ok
	case "body":
		return x.bodyValue(s.path)
	}
	return "", false
}

// values reads all values of a source that may have several.
func (x *Exchange) values(s source) []string {
	var out []string
	switch {
	case s.multi && s.from == "header":
		for i := range x.Fields {
			if strings.EqualFold(x.Fields[i].Name, s.name) {
				out = append(out, x.Fields[i].Value)
			}
		}
		return out
	case s.multi && s.from == "querystring":
		for _, p := range x.query() {
			if p.name == s.name {
				out = append(out, p.value)
			}
		}
		return out
	}
	if v, ok := x.value(s); ok {
		out = append(out, v)
	}
	return out
}

// bodyValue is what a path names in the request's body; a body that is no JSON has nothing.
func (x *Exchange) bodyValue(p *jsonpath.Path) (string, bool) {
	body, err := x.payload()
	if err != nil || len(body) == 0 {
		return "", false
	}
	if p == nil {
		return string(body), true
	}
	return textOf(x.mapState().requestInput(body).Value(p))
}

// textOf is a value of a body as a parameter: a string as it is, anything else as JSON.
func textOf(v any, err error) (string, bool) {
	if s, ok := v.(string); ok {
		return s, err == nil
	}
	if v == nil || err != nil {
		return "", false
	}
	b, err := jsonpath.AppendJSON(nil, v, maxMapped)
	return string(b), err == nil
}

// maxMapped bounds a value of a body that becomes a parameter.
const maxMapped = 64 << 10
