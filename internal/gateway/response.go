package gateway

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// answer is a compiled gateway response.
type answer struct {
	status      int // 0: that of the refusal
	headers     []Field
	contentType string
	body        []piece // nil: the default body
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
	headers, err := staticHeaders(where, "gatewayresponse.header.", r.ResponseParameters)
	if err != nil {
		return a, err
	}
	a.headers = headers
	if len(r.ResponseTemplates) == 0 {
		return a, nil
	}
	a.contentType = templateType(r.ResponseTemplates)
	if a.body, err = compileTemplate(where, r.ResponseTemplates[a.contentType]); err != nil {
		return a, err
	}
	return a, nil
}

// templateType picks application/json, or the first type by name.
func templateType(templates map[string]string) string {
	if _, ok := templates["application/json"]; ok {
		return "application/json"
	}
	names := make([]string, 0, len(templates))
	for name := range templates {
		names = append(names, name)
	}
	return slices.Min(names)
}

// staticHeaders reads {prefix + "X": "'value'"}.
func staticHeaders(where, prefix string, in map[string]string) ([]Field, error) {
	var out []Field
	for target, source := range in {
		name, ok := strings.CutPrefix(target, prefix)
		if !ok || !validName(name) {
			return nil, &DefinitionError{"Invalid mapping expression specified: " + target}
		}
		value, ok := static(source)
		if !ok {
			return nil, &NotBuiltError{where, "only quoted static values are built for " + target + ", not " + source}
		}
		if !validValue(value) {
			return nil, &DefinitionError{"Invalid header value for " + target}
		}
		out = append(out, Field{name, value})
	}
	slices.SortFunc(out, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// static reads a quoted static value ('text') of a mapping expression.
func static(s string) (string, bool) {
	if len(s) < 2 || s[0] != '\'' || s[len(s)-1] != '\'' {
		return "", false
	}
	return s[1 : len(s)-1], true
}

// compileTemplate splits a gateway response template at its variables. Nothing but
// plain substitution is built: directives and unknown variables are refused.
func compileTemplate(where, text string) ([]piece, error) {
	if strings.Contains(text, "#") {
		return nil, &NotBuiltError{where, "template directives are not built"}
	}
	out := []piece{}
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			return append(out, piece{text: text}), nil
		}
		if i > 0 {
			out = append(out, piece{text: text[:i]})
		}
		name, n := variable(text[i:])
		if !known(name) {
			return nil, &NotBuiltError{where, "the template uses " + text[i:i+n] + ", which is not built"}
		}
		out, text = append(out, piece{name: name}), text[i+n:]
	}
	return out, nil
}

// variable reads $context.a.b or ${context.a.b} and its length.
func variable(s string) (name string, n int) {
	start, closing := 1, false
	if strings.HasPrefix(s, "${") {
		start, closing = 2, true
	}
	end := start
	for end < len(s) && (s[end] == '.' || s[end] == '_' || '0' <= s[end] && s[end] <= '9' || 'a' <= s[end]|0x20 && s[end]|0x20 <= 'z') {
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

func known(name string) bool {
	switch name {
	case "context.error.message", "context.error.messageString", "context.error.validationErrorString", "context.error.responseType":
		return true
	}
	return contextKnown(name)
}

// render writes the body of a refusal.
func (a *answer) render(x *Exchange, r *Refusal) []byte {
	if a.body == nil {
		return defaultBody(r)
	}
	var out []byte
	for _, p := range a.body {
		switch p.name {
		case "":
			out = append(out, p.text...)
		case "context.error.messageString":
			if r.Message == "" && r.Kind.info().message == "" {
				out = append(out, "null"...)
			} else {
				out = appendJSON(out, r.message())
			}
		case "context.error.message":
			out = appendEscaped(out, r.message())
		case "context.error.validationErrorString":
			out = appendEscaped(out, r.Validation)
		case "context.error.responseType":
			out = append(out, r.Kind.info().name...)
		default:
			v, _ := x.contextValue(p.name)
			out = appendEscaped(out, v)
		}
	}
	return out
}

// defaultBody is AWS's, with the blank that it puts into the bodies of 5xx answers
// (recorded: Content-Length 36 for "Internal server error").
func defaultBody(r *Refusal) []byte {
	message := r.message()
	switch {
	case message == "":
		return []byte(`{"message":null}`)
	case r.Capital:
		return append(appendJSON([]byte(`{"Message":`), message), '}')
	case r.Kind.info().status >= 500:
		return append(appendJSON([]byte(`{"message": `), message), '}')
	}
	return append(appendJSON([]byte(`{"message":`), message), '}')
}

func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	b = appendEscaped(b, s)
	return append(b, '"')
}

// appendEscaped writes the inside of a JSON string: what a caller sent cannot end it.
func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return append(b, quoteSlow(s)...)
		}
	}
	return append(b, s...)
}

func quoteSlow(s string) []byte {
	var buf strings.Builder
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) != nil {
		return nil
	}
	text := strings.TrimSuffix(buf.String(), "\n")
	return []byte(text[1 : len(text)-1])
}
