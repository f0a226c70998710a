package gateway

import "strings"

// source is where a mapped parameter's value comes from.
type source struct{ from, name string }

// parseSource reads a mapping expression: 'static', method.request.{path,
// querystring,header}.X, context.X or stageVariables.X.
func parseSource(where, text string) (source, error) {
	if value, ok := static(text); ok {
		return source{"static", value}, nil
	}
	if rest, ok := strings.CutPrefix(text, "method.request."); ok {
		from, name, ok := strings.Cut(rest, ".")
		from = strings.TrimPrefix(from, "multivalue")
		if ok && name != "" && (from == "path" || from == "querystring" || from == "header") {
			return source{from, name}, nil
		}
		if rest == "body" || strings.HasPrefix(rest, "body.") {
			return source{}, &NotBuiltError{where, "mapping from the request body is not built"}
		}
	}
	if strings.HasPrefix(text, "context.") {
		if !contextKnown(text) {
			return source{}, &NotBuiltError{where, text + " is not built"}
		}
		return source{"context", text}, nil
	}
	if name, ok := strings.CutPrefix(text, "stageVariables."); ok && name != "" {
		return source{"stage", name}, nil
	}
	return source{}, &DefinitionError{"Invalid mapping expression specified: " + text}
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
	}
	return "", false
}
