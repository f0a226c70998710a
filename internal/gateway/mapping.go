package gateway

import (
	"mime"
	"slices"
	"strings"

	"moat/internal/pure/jsonpath"
	"moat/internal/pure/vtl"
)

// mapState is what the mapping templates of one exchange share: overrides made by the
// request's template are there in the response's too (recorded).
type mapState struct {
	x       *Exchange
	context contextObject
	input   vtl.Input // of the request
	answer  vtl.Input // of the integration's answer
	current *vtl.Input
	read    bool
	stage   *jsonpath.Map

	request  *overrides // $context.requestOverride
	response *overrides // $context.responseOverride
	renders  int        // how many templates were rendered
	trace    *endpointTrace
	twice    string // what one template has overridden more than once
}

func (x *Exchange) mapState() *mapState {
	if x.mapping == nil {
		x.mapping = &mapState{x: x}
		x.mapping.context.x = x
	}
	return x.mapping
}

// requestInput is $input of the request.
func (m *mapState) requestInput(body []byte) *vtl.Input {
	if !m.read {
		m.read = true
		m.input.Reset(body, requestParameters{m.x})
	}
	return &m.input
}

// Lookup gives the variables of a mapping template.
func (m *mapState) Lookup(name string) (any, bool) {
	switch name {
	case "input":
		return m.current, m.current != nil
	case "context":
		return &m.context, true
	case "util":
		return vtl.Util{}, true
	case "stageVariables":
		if m.stage == nil {
			m.stage = sortedMap(m.x.snap.def.Variables)
		}
		return m.stage, true
	}
	return nil, false
}

func sortedMap(in map[string]string) *jsonpath.Map {
	m := jsonpath.NewMap(len(in))
	names := make([]string, 0, len(in))
	for name := range in {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		m.Put(name, in[name])
	}
	return m
}

// override gives what a template has set for one place of the request.
func (m *mapState) override(place string) *jsonpath.Map {
	if m == nil || m.request == nil {
		return nil
	}
	return m.request.place(place)
}

// texts are an override's values: several make a header or parameter of several.
func texts(v any) []string {
	if l, ok := v.(*jsonpath.List); ok {
		var out []string
		for _, item := range l.Items {
			if s, ok := paramText(item); ok {
				out = append(out, s)
			}
		}
		return out
	}
	if s, ok := paramText(v); ok {
		return []string{s}
	}
	return nil
}

func paramText(v any) (string, bool) {
	if v == nil {
		return "", false
	}
	b, err := jsonpath.AppendText(nil, v, maxMapped)
	return string(b), err == nil
}

// mapTemplate is a mapping template. One that does not parse fails when it is needed,
// as at AWS, where a definition takes any text.
//
// An empty one leaves the payload as it is (API Gateway Developer Guide, "Request and response
// data mapping reference"), and so does "__passthrough__", which older exports have.
type mapTemplate struct {
	contentType string
	passes      bool
	tpl         *vtl.Template
	err         error
}

// compileTemplates compiles templates by content type, in the order of their names.
func compileTemplates(in map[string]string) []mapTemplate {
	out := make([]mapTemplate, 0, len(in))
	for contentType, text := range in {
		t := mapTemplate{contentType: contentType, passes: text == "" || text == "__passthrough__"}
		t.tpl, t.err = vtl.Compile(text)
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b mapTemplate) int { return strings.Compare(a.contentType, b.contentType) })
	return out
}

func findTemplate(all []mapTemplate, media string) *mapTemplate {
	for i := range all {
		if strings.EqualFold(all[i].contentType, media) {
			return &all[i]
		}
	}
	return nil
}

// mediaType is a Content-Type without its parameters.
func mediaType(contentType string) string {
	if media, _, err := mime.ParseMediaType(contentType); err == nil {
		return media
	}
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// requestParameters are the request's parameters as templates see them.
type requestParameters struct{ x *Exchange }

// Parameter finds one in the path, the query string, the header, in this order.
func (p requestParameters) Parameter(name string) (string, bool) {
	if v, ok := p.x.param(name); ok {
		return v, true
	}
	if v, ok := p.x.queryValue(name); ok && !p.x.presigned(name) {
		return v, true
	}
	if strings.EqualFold(name, "Host") {
		return p.x.Host, true
	}
	for field, v := range p.x.forwarded() {
		if strings.EqualFold(field, name) {
			return v, true
		}
	}
	return "", false
}

// Size tells how much Parameter may have to look through.
func (p requestParameters) Size() int {
	return len(p.x.Fields) + len(p.x.query()) + len(p.x.resource.parts)
}

// Parameters gives all of one place; of several values the last.
func (p requestParameters) Parameters(place string) *jsonpath.Map {
	m := new(jsonpath.Map)
	switch place {
	case "path":
		for i, part := range p.x.resource.parts {
			if part.name != "" {
				m.Put(part.name, p.x.paramAt(i))
			}
		}
	case "querystring":
		for _, q := range p.x.query() {
			if !p.x.presigned(q.name) {
				m.Put(q.name, q.value)
			}
		}
	case "header":
		for name, value := range p.x.forwarded() {
			m.Put(name, value)
		}
		m.Put("Host", p.x.Host)
	}
	return m
}
