package gateway

import (
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"

	"moat/internal/pure/vtl"
)

// requestMapping makes the integration's request of the method's.
type requestMapping struct {
	templates   []mapTemplate
	passthrough string
	handling    string
	paths       map[string]source
	query       []mapping
	headers     []mapping
	// broken is why the mapping can never work: AWS takes some header names into a
	// definition and fails when they are used (recorded).
	broken string
}

// mappedRequest is what the mapping made, overrides included.
type mappedRequest struct {
	body      []byte
	templated bool
	query     []pair
	headers   []Field
}

// compileRequest reads an integration's request mapping.
func compileRequest(where string, in Integration) (requestMapping, error) {
	m := requestMapping{templates: compileTemplates(in.RequestTemplates), passthrough: in.PassthroughBehavior, handling: in.ContentHandling, paths: map[string]source{}}
	if err := handles(where, m.handling); err != nil {
		return m, err
	}
	for _, target := range slices.Sorted(maps.Keys(in.RequestParameters)) {
		if err := m.parameter(where, target, in.RequestParameters[target], in.Type); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *requestMapping) parameter(where, target, expression, kind string) error {
	place, name, ok := strings.Cut(strings.TrimPrefix(target, "integration.request."), ".")
	if !ok || !strings.HasPrefix(target, "integration.request.") || name == "" {
		return &DefinitionError{"Invalid mapping expression specified: " + target}
	}
	src, err := parseSource(where, expression)
	if err != nil {
		return err
	}
	if rest, multi := strings.CutPrefix(place, "multivalue"); multi && rest != "path" {
		place, src.multi = rest, src.from == "header" || src.from == "querystring"
	}
	switch place {
	case "path":
		m.paths[name] = src
	case "querystring":
		m.query = append(m.query, mapping{name, src})
	case "header":
		if !validName(name) {
			return &DefinitionError{"Invalid mapping expression specified: " + target}
		}
		if barred(alias(name), kind) && m.broken == "" {
			m.broken = "the header " + name + " of an integration request cannot be set"
		}
		m.headers = append(m.headers, mapping{name, src})
	default:
		return &DefinitionError{"Invalid mapping expression specified: " + target}
	}
	return nil
}

// barred reports whether a mapping onto a header of an integration request makes every
// request fail (recorded for AWS and AWS_PROXY).
func barred(lower, kind string) bool {
	switch lower {
	case "content-length", "transfer-encoding", "x-amzn-trace-id", "x-amzn-apigateway-api-id":
		return true
	case "authorization", "connection", "expect", "proxy-authenticate", "te":
		return kind == "AWS" || kind == "AWS_PROXY"
	}
	return false
}

// unsent reports whether a header of an integration request is left out without a word.
func unsent(lower string) bool {
	return hopByHop(lower) || lower == "via" || lower == "x-forwarded-for"
}

// Content handlings (API Gateway Developer Guide, "Content type conversions").
const (
	convertToText   = "CONVERT_TO_TEXT"
	convertToBinary = "CONVERT_TO_BINARY"
)

func handles(where, handling string) error {
	switch handling {
	case "", convertToText, convertToBinary:
		return nil
	}
	return &DefinitionError{"Invalid content handling for " + where + ": " + handling}
}

// make runs the mapping.
func (m *requestMapping) make(x *Exchange) (*mappedRequest, error) {
	if m.broken != "" {
		return nil, refuse(APIConfigurationError, m.broken)
	}
	out := &mappedRequest{}
	if err := m.mapBody(x, out); err != nil {
		return nil, err
	}
	for _, q := range m.query {
		for _, v := range x.values(q.source) {
			out.query = append(out.query, pair{q.name, v})
		}
	}
	for _, h := range m.headers {
		for _, v := range x.values(h.source) {
			out.headers = append(out.headers, Field{h.name, v})
		}
	}
	out.apply(x.mapping)
	for _, f := range out.headers {
		if !validName(f.Name) || !validValue(f.Value) {
			return nil, refuse(Default4XX, "the header "+f.Name+" of the integration request holds control characters")
		}
	}
	return out, nil
}

// apply lets the template's overrides replace what was mapped.
func (r *mappedRequest) apply(state *mapState) {
	if over := state.override("querystring"); over != nil {
		for i := range over.Len() {
			name, v := over.At(i)
			r.query = slices.DeleteFunc(r.query, func(p pair) bool { return p.name == name })
			for _, s := range texts(v) {
				r.query = append(r.query, pair{name, s})
			}
		}
	}
	if over := state.override("header"); over != nil {
		for i := range over.Len() {
			name, v := over.At(i)
			r.headers = slices.DeleteFunc(r.headers, func(f Field) bool { return strings.EqualFold(f.Name, name) })
			for _, s := range texts(v) {
				r.headers = append(r.headers, Field{name, s})
			}
		}
	}
	r.headers = slices.DeleteFunc(r.headers, func(f Field) bool { return unsent(alias(f.Name)) })
}

func (r *mappedRequest) header(name string) string {
	for _, f := range r.headers {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// mapBody renders the template for the request's content type, or passes the body on
// as the passthrough behaviour says.
func (m *requestMapping) mapBody(x *Exchange, out *mappedRequest) error {
	contentType := x.get("Content-Type")
	if contentType == "" {
		contentType = "application/json"
	}
	t := findTemplate(m.templates, mediaType(contentType))
	if t == nil && (m.passthrough == "NEVER" || m.passthrough == "WHEN_NO_TEMPLATES" && len(m.templates) > 0) {
		return refuse(UnsupportedMediaType, "the integration has no template for "+mediaType(contentType))
	}
	body, err := x.payload()
	if err != nil {
		return err
	}
	if body, err = x.convertRequest(m.handling, contentType, body); err != nil {
		return err
	}
	if t == nil || t.passes {
		out.body = body
		return nil
	}
	if m.handling != convertToText && x.snap.isBinary(contentType) { // reports of AWS: an empty body, too
		return refuse(APIConfigurationError, "Unable to transform request: a template reads text, and the content type is binary")
	}
	out.templated = true
	out.body, err = x.render(t, x.mapState().requestInput(body))
	return mapFailure(err, true)
}

// convertRequest changes between bytes and Base64 as the content handling says.
func (x *Exchange) convertRequest(handling, contentType string, body []byte) ([]byte, error) {
	switch binary := handling != "" && x.snap.isBinary(contentType); {
	case handling == convertToText && binary:
		return base64.StdEncoding.AppendEncode(nil, body), nil
	case handling == convertToBinary && !binary:
		out, err := base64.StdEncoding.AppendDecode(nil, body)
		if err != nil {
			return nil, refuse(APIConfigurationError, "the body is not Base64, which the integration's content handling asks for")
		}
		return out, nil
	}
	return body, nil
}

// render renders a template with $input.
func (x *Exchange) render(t *mapTemplate, input *vtl.Input) ([]byte, error) {
	if t.err != nil {
		return nil, t.err
	}
	state := x.mapState()
	state.current = input
	state.renders++
	out, err := t.tpl.Render(nil, state, vtl.Limits{Output: maxBody})
	if err == nil && state.twice != "" {
		err = errors.New("it overrides " + state.twice + " more than once")
	}
	return out, err
}

// mapFailure is the refusal for a template that fails: the caller's fault when the body
// that it sent is not the JSON that the template reads, ours otherwise.
func mapFailure(err error, request bool) error {
	if err == nil {
		return nil
	}
	var input *vtl.InputError
	if request && errors.As(err, &input) {
		return &Refusal{Kind: Default4XX, Message: input.Error(), Grounds: "the mapping template reads the body as JSON"}
	}
	return refuse(APIConfigurationError, "the mapping template failed: "+err.Error())
}

// placeholder is what fills {name} of the integration's URI: an override, a mapping, or
// the route's path parameter of that name.
func (x *Exchange) placeholder(name string) (string, bool) {
	over := x.mapping.override("path")
	if over == nil {
		return "", false
	}
	v, ok := over.Get(name)
	if !ok {
		return "", false
	}
	return paramText(v)
}
