package gateway

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"moat/internal/pure/jsonstring"
)

// answer is a compiled gateway response.
type answer struct {
	status    int // 0: that of the refusal
	headers   []mapping
	templates []answerTemplate // the default first; none: the default body
}

// answerTemplate is the body for readers of a media type.
type answerTemplate struct {
	contentType string
	body        []piece
}

// piece of a template: text, or a variable when name is set.
type piece struct{ text, name string }

// compileAnswers makes one answer per type; a type without its own falls back to
// DEFAULT_4XX or DEFAULT_5XX, whose status it takes only where they set one.
func compileAnswers(in map[string]Response) (*[kinds]answer, error) {
	out := new([kinds]answer)
	own := map[Kind]bool{}
	for name, r := range in {
		k, ok := kindNamed(name)
		if !ok {
			return nil, &DefinitionError{"Invalid gateway response type: " + name}
		}
		a, err := compileAnswer(name, r)
		if err != nil {
			return nil, err
		}
		out[k], own[k] = a, true
	}
	for k := range kinds {
		fallback := Default4XX
		if k.info().status >= 500 {
			fallback = Default5XX
		}
		if !own[k] && own[fallback] {
			out[k] = out[fallback]
		}
	}
	return out, nil
}

func compileAnswer(name string, r Response) (answer, error) {
	where := "gateway response " + name
	a := answer{}
	if r.StatusCode != "" {
		n, err := strconv.Atoi(r.StatusCode)
		if err != nil || n < 200 || n > 599 {
			return a, &DefinitionError{"Invalid status code for " + where + ": " + r.StatusCode}
		}
		a.status = n
	}
	var err error
	if a.headers, err = compileAnswerHeaders(where, r.ResponseParameters); err != nil {
		return a, err
	}
	for _, contentType := range templateTypes(r.ResponseTemplates) {
		a.templates = append(a.templates, answerTemplate{contentType, compileTemplate(r.ResponseTemplates[contentType])})
	}
	return a, nil
}

// templateTypes are the types of templates: application/json, then by name.
func templateTypes(templates map[string]string) []string {
	names := slices.Sorted(maps.Keys(templates))
	if i := slices.Index(names, "application/json"); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, "application/json")
	}
	return names
}

// template picks the template by the client's Accept, else the first; nil: the default body.
func (a *answer) template(x *Exchange) *answerTemplate {
	if len(a.templates) == 0 {
		return nil
	}
	if len(a.templates) > 1 {
		for part := range strings.SplitSeq(x.get("Accept"), ",") {
			wanted := mediaType(part)
			for i := range a.templates {
				if mediaType(a.templates[i].contentType) == wanted {
					return &a.templates[i]
				}
			}
		}
	}
	return &a.templates[0]
}

// compileAnswerHeaders reads {"gatewayresponse.header.X": expression}. The expressions are
// those of a request mapping without the body (API Gateway Developer Guide, "Gateway
// responses"), and what is known about the refusal in $context.error.
func compileAnswerHeaders(where string, in map[string]string) ([]mapping, error) {
	var out []mapping
	for _, target := range slices.Sorted(maps.Keys(in)) {
		name, ok := strings.CutPrefix(target, "gatewayresponse.header.")
		if !ok || !validName(name) {
			return nil, &DefinitionError{"Invalid mapping expression specified: " + target}
		}
		if errorVariable(in[target]) {
			out = append(out, mapping{name, source{from: "error", name: in[target]}})
			continue
		}
		src, err := parseSource(where, in[target])
		if err != nil {
			return nil, err
		}
		if src.from == "body" || src.from == "static" && !validValue(src.name) {
			return nil, &DefinitionError{"Invalid mapping expression specified: " + in[target]}
		}
		out = append(out, mapping{name, src})
	}
	return out, nil
}

// fields are the mapped headers of a refusal. A value that no header can carry is left
// out: the refusal stands all the same.
func (a *answer) fields(x *Exchange, r *Refusal) []Field {
	out := make([]Field, 0, len(a.headers))
	for i := range a.headers {
		m := &a.headers[i]
		switch m.source.from {
		case "static":
			out = append(out, Field{m.name, m.source.name})
			continue
		case "error":
			if v := r.variable(m.source.name); v != "" && validValue(v) {
				out = append(out, Field{m.name, v})
			}
			continue
		case "path":
			if x.resource == nil {
				continue
			}
		}
		for _, v := range x.values(m.source) {
			if validValue(v) {
				out = append(out, Field{m.name, v})
			}
		}
	}
	return out
}

// static reads a quoted static value ('text') of a mapping expression.
func static(s string) (string, bool) {
	if len(s) < 2 || s[0] != '\'' || s[len(s)-1] != '\'' {
		return "", false
	}
	return s[1 : len(s)-1], true
}

// compileTemplate splits a gateway response's template at its variables. Nothing but
// simple substitution happens in it, as at AWS: directives are text.
func compileTemplate(text string) []piece {
	out := []piece{}
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			return append(out, piece{text: text})
		}
		if i > 0 {
			out = append(out, piece{text: text[:i]})
		}
		name, n := variable(text[i:])
		if !answerVariable(name) {
			name, n = "", max(n, 1)
			out, text = append(out, piece{text: text[i : i+n]}), text[i+n:]
			continue
		}
		out, text = append(out, piece{name: name}), text[i+n:]
	}
	return out
}

// answerVariable reports whether a gateway response's template may name it.
func answerVariable(name string) bool {
	for _, prefix := range []string{"context.", "stageVariables.", "method.request.header.", "method.request.querystring.", "method.request.path."} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			return true
		}
	}
	return false
}

// variable reads $context.a.b or ${context.a.b} and its length.
func variable(s string) (name string, n int) {
	start, closing := 1, false
	if strings.HasPrefix(s, "${") {
		start, closing = 2, true
	}
	end := start
	for end < len(s) && (s[end] == '.' || s[end] == '_' || s[end] == '-' || '0' <= s[end] && s[end] <= '9' || 'a' <= s[end]|0x20 && s[end]|0x20 <= 'z') {
		end++
	}
	name = s[start:end]
	if closing {
		if end == len(s) || s[end] != '}' {
			return "", end
		}
		return name, end + 1
	}
	trimmed := strings.TrimRight(name, ".")
	return trimmed, start + len(trimmed)
}

// errorVariable reports whether a name is about the refusal itself.
func errorVariable(name string) bool {
	switch name {
	case "context.error.message", "context.error.messageString", "context.error.validationErrorString", "context.error.responseType":
		return true
	}
	return false
}

// variable gives what is known about a refusal.
func (r *Refusal) variable(name string) string {
	switch name {
	case "context.error.message":
		return r.message()
	case "context.error.messageString":
		return string(jsonstring.Append(nil, r.message()))
	case "context.error.validationErrorString":
		return r.Validation
	}
	return r.Kind.info().name
}

// render writes the body of a refusal.
func (t *answerTemplate) render(x *Exchange, r *Refusal) []byte {
	if t == nil {
		return defaultBody(r)
	}
	var out []byte
	for _, p := range t.body {
		switch p.name {
		case "":
			out = append(out, p.text...)
		case "context.error.messageString":
			if r.Message == "" && r.Kind.info().message == "" {
				out = append(out, "null"...)
			} else {
				out = jsonstring.Append(out, r.message())
			}
		case "context.error.message", "context.error.validationErrorString", "context.error.responseType":
			out = jsonstring.AppendInside(out, r.variable(p.name))
		default:
			out = jsonstring.AppendInside(out, x.answerValue(p.name))
		}
	}
	return out
}

// answerValue is a variable of a gateway response; what has no value is empty.
func (x *Exchange) answerValue(name string) (v string) {
	if rest, ok := strings.CutPrefix(name, "stageVariables."); ok {
		if x.snap != nil {
			v = x.snap.def.Variables[rest]
		}
		return v
	}
	if rest, ok := strings.CutPrefix(name, "method.request."); ok {
		from, rest, _ := strings.Cut(rest, ".")
		if from != "path" || x.resource != nil {
			v, _ = x.value(source{from: from, name: rest})
		}
		return v
	}
	v, _ = x.contextValue(name)
	return v
}

// defaultBody is AWS's, with the blank that it puts into the bodies of 5xx answers
// (recorded: Content-Length 36 for "Internal server error") and of REQUEST_TOO_LARGE.
func defaultBody(r *Refusal) []byte {
	message := r.message()
	switch {
	case message == "":
		return []byte(`{"message":null}`)
	case r.Capital:
		return append(jsonstring.Append([]byte(`{"Message":`), message), '}')
	case r.Kind.info().status >= 500, r.Kind == RequestTooLarge:
		return append(jsonstring.Append([]byte(`{"message": `), message), '}')
	}
	return append(jsonstring.Append([]byte(`{"message":`), message), '}')
}
