package gateway

import (
	"encoding/base64"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"moat/internal/pure/jsonpath"
)

// responseMapping makes the method's response of one kind of the integration's.
type responseMapping struct {
	pattern   *regexp.Regexp // nil: the default
	status    int
	code      string // the status as it is declared
	params    []mapping
	templates []mapTemplate
	handling  string
}

// integrationAnswer is what an integration answered, before it is mapped.
type integrationAnswer struct {
	status    int
	selection string // what patterns look at: the status, or a function's error message
	fields    http.Header
	body      []byte
	// function says that errorMessage of the body, where it is a JSON text, counts as what it holds.
	function bool
	read     bool
	root     any
}

// value is what a path names in the body. A function's custom error is a JSON text in errorMessage, which
// mappings onto headers look into (API Gateway Developer Guide, "Handle custom Lambda errors in API Gateway").
func (a *integrationAnswer) value(p *jsonpath.Path) (any, error) {
	if !a.read {
		a.read = true
		root, err := jsonpath.Parse(a.body)
		if err != nil {
			return nil, err
		}
		a.root = root
		if m, ok := root.(*jsonpath.Map); ok && a.function {
			text, _ := m.Get("errorMessage")
			s, _ := text.(string)
			if inner, err := jsonpath.Parse([]byte(s)); err == nil {
				if _, is := inner.(*jsonpath.Map); is {
					m.Put("errorMessage", inner)
				}
			}
		}
	}
	return p.Find(a.root)
}

func compileResponses(where string, in []IntegrationResponse) ([]responseMapping, error) {
	var out []responseMapping
	for _, r := range in {
		m, err := compileResponse(where, r)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func compileResponse(where string, r IntegrationResponse) (responseMapping, error) {
	m := responseMapping{code: r.StatusCode, templates: compileTemplates(r.ResponseTemplates), handling: r.ContentHandling}
	var err error
	if r.SelectionPattern != "" && r.SelectionPattern != "default" {
		if m.pattern, err = regexp.Compile("^(?:" + r.SelectionPattern + `)\z`); err != nil {
			return m, &DefinitionError{"Invalid selection pattern for " + where + ": " + r.SelectionPattern}
		}
	}
	if m.status, err = strconv.Atoi(r.StatusCode); err != nil || m.status < 200 || m.status > 599 {
		return m, &DefinitionError{"Invalid status code for " + where + ": " + r.StatusCode}
	}
	if err := handles(where, m.handling); err != nil {
		return m, err
	}
	for _, target := range slices.Sorted(maps.Keys(r.ResponseParameters)) {
		name, ok := strings.CutPrefix(target, "method.response.header.")
		if !ok || !validName(name) {
			return m, &DefinitionError{"Invalid mapping expression specified: " + target}
		}
		src, err := parseAnswerSource(where, r.ResponseParameters[target])
		if err != nil {
			return m, err
		}
		if src.from == "static" && !validValue(src.name) {
			return m, &DefinitionError{"Invalid header value for " + target}
		}
		m.params = append(m.params, mapping{name, src})
	}
	return m, nil
}

// selectResponse finds the first response whose pattern matches whole, else the default.
func selectResponse(all []responseMapping, selection string) *responseMapping {
	var fallback *responseMapping
	for i := range all {
		m := &all[i]
		if m.pattern != nil && m.pattern.MatchString(selection) {
			return m
		}
		if m.pattern == nil && fallback == nil {
			fallback = m
		}
	}
	return fallback
}

// mapAnswer makes the reply of an integration's answer.
func (x *Exchange) mapAnswer(all []responseMapping, a *integrationAnswer) error {
	x.traceAnswer(a)
	x.endpoint.status, x.endpoint.service = a.status, a.status
	if x.endpoint.requestID == "" {
		x.endpoint.requestID = a.fields.Get("X-Amzn-Requestid")
	}
	m := selectResponse(all, a.selection)
	if m == nil {
		return refuse(APIConfigurationError, "no integration response matches "+clip([]byte(a.selection))+" and there is no default")
	}
	if declared := x.route.def.MethodResponses; declared != nil && !slices.Contains(declared, m.code) {
		return refuse(APIConfigurationError, "Output mapping refers to an invalid method response: "+m.code)
	}
	x.reply.status = m.status
	typed := false
	for _, p := range m.params {
		for _, v := range x.answerValues(p.source, a) {
			if !validValue(v) {
				return refuse(APIConfigurationError, "the value for the header "+p.name+" of the response holds control characters")
			}
			typed = typed || strings.EqualFold(p.name, "Content-Type")
			x.mapField(p.name, v)
		}
	}
	body, err := m.convert(x, a)
	if err != nil {
		return err
	}
	if t := m.template(x); t != nil {
		if !t.passes {
			state := x.mapState()
			state.answer.Reset(body, requestParameters{x})
			if body, err = x.render(t, &state.answer); err != nil {
				return mapFailure(err, false)
			}
		}
		if !typed {
			x.reply.fields = append(x.reply.fields, Field{"Content-Type", t.contentType})
		}
	}
	x.reply.body = body
	return x.overrideAnswer()
}

// mapField adds a mapped header; some names are kept for the gateway itself (recorded).
func (x *Exchange) mapField(name, value string) {
	switch lower := alias(name); {
	case lower == "transfer-encoding":
	case remapped(lower):
		x.reply.fields = append(x.reply.fields, Field{"x-amzn-Remapped-" + name, value})
	default:
		x.reply.fields = append(x.reply.fields, Field{name, value})
	}
}

// overrideAnswer lets $context.responseOverride decide. A status that is no whole
// number between 100 and 599 is left aside, as at AWS.
func (x *Exchange) overrideAnswer() error {
	if x.mapping == nil || x.mapping.response == nil {
		return nil
	}
	over := x.mapping.response
	if v, ok := over.values.Get("status"); ok {
		if n, ok := v.(int64); ok && n >= 200 && n <= 599 {
			x.reply.status = int(n)
		}
	}
	headers := over.place("header")
	if headers == nil {
		return nil
	}
	for i := range headers.Len() {
		name, v := headers.At(i)
		x.reply.fields = slices.DeleteFunc(x.reply.fields, func(f Field) bool { return strings.EqualFold(f.Name, name) })
		for _, s := range texts(v) {
			if !validName(name) || !validValue(s) {
				return refuse(APIConfigurationError, "a template overrides a header of the response with control characters")
			}
			x.mapField(name, s)
		}
	}
	return nil
}

// answerValues reads a source of a response mapping.
func (x *Exchange) answerValues(s source, a *integrationAnswer) []string {
	switch s.from {
	case "header":
		values := a.fields.Values(s.name)
		if !s.multi && len(values) > 1 {
			values = values[len(values)-1:]
		}
		return values
	case "body":
		if s.path == nil {
			return []string{string(a.body)}
		}
		if v, ok := textOf(a.value(s.path)); ok {
			return []string{v}
		}
		return nil
	}
	if v, ok := x.value(s); ok {
		return []string{v}
	}
	return nil
}

// template picks the template by the client's Accept, else application/json, else the first.
func (m *responseMapping) template(x *Exchange) *mapTemplate {
	if len(m.templates) == 0 {
		return nil
	}
	for part := range strings.SplitSeq(x.get("Accept"), ",") {
		if t := findTemplate(m.templates, mediaType(part)); t != nil {
			return t
		}
	}
	if t := findTemplate(m.templates, "application/json"); t != nil {
		return t
	}
	return &m.templates[0]
}

// convert changes between bytes and Base64 as the content handling and the API's binary
// types say (API Gateway Developer Guide, "Content type conversions in API Gateway").
func (m *responseMapping) convert(x *Exchange, a *integrationAnswer) ([]byte, error) {
	if len(x.snap.binary) == 0 && m.handling == "" || len(a.body) == 0 {
		return a.body, nil
	}
	binary := x.snap.isBinary(a.fields.Get("Content-Type"))
	wanted := m.handling == convertToBinary || m.handling == "" && x.wantsBinary()
	switch {
	case binary && !wanted:
		return base64.StdEncoding.AppendEncode(nil, a.body), nil
	case !binary && wanted:
		out, err := base64.StdEncoding.AppendDecode(nil, a.body)
		if err != nil {
			return nil, refuse(APIConfigurationError, "the integration's answer is not Base64, which the content handling asks for")
		}
		return out, nil
	}
	return a.body, nil
}
