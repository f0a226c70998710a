package gateway

import (
	"encoding/json"
	"mime"
	"regexp"
	"strconv"
	"strings"
)

// mock answers by itself, from constant templates.
type mock struct {
	status    map[string]int // by the request's content type
	never     bool           // other content types are refused
	responses []mockResponse
}

type mockResponse struct {
	pattern     *regexp.Regexp // nil: the default
	status      int
	fields      []Field
	contentType string
	body        string
}

// looseStatus finds the status in a template that is not quite JSON ({statusCode: 200}),
// which AWS reads all the same.
var looseStatus = regexp.MustCompile(`^\s*\{\s*['"]?statusCode['"]?\s*:\s*['"]?(\d{3})['"]?\s*[,}]`)

func compileMock(rt *route, in Integration) (integration, error) {
	m := &mock{status: map[string]int{}, never: in.PassthroughBehavior == "NEVER" || in.PassthroughBehavior == "WHEN_NO_TEMPLATES" && len(in.RequestTemplates) > 0}
	for contentType, text := range in.RequestTemplates {
		if !constant(text) {
			return nil, &NotBuiltError{rt.name, "mapping templates are not built: only constant ones"}
		}
		n, ok := mockStatus(text)
		if !ok {
			return nil, &NotBuiltError{rt.name, "a mock integration needs a template with a constant statusCode"}
		}
		m.status[strings.ToLower(contentType)] = n
	}
	for _, r := range in.Responses {
		c, err := compileMockResponse(rt, r)
		if err != nil {
			return nil, err
		}
		m.responses = append(m.responses, c)
	}
	return m, nil
}

// constant reports whether a template holds neither a variable nor a directive.
func constant(text string) bool { return !strings.ContainsAny(text, "$#") }

func mockStatus(text string) (int, bool) {
	var v struct {
		StatusCode json.Number `json:"statusCode"`
	}
	if json.Unmarshal([]byte(text), &v) == nil && v.StatusCode != "" {
		n, err := strconv.Atoi(string(v.StatusCode))
		return n, err == nil
	}
	if found := looseStatus.FindStringSubmatch(text); found != nil {
		n, err := strconv.Atoi(found[1])
		return n, err == nil
	}
	return 0, false
}

func compileMockResponse(rt *route, r IntegrationResponse) (mockResponse, error) {
	var out mockResponse
	var err error
	if r.SelectionPattern != "" && r.SelectionPattern != "default" {
		if out.pattern, err = regexp.Compile("^(?:" + r.SelectionPattern + ")$"); err != nil {
			return out, &DefinitionError{"Invalid selection pattern for " + rt.name + ": " + r.SelectionPattern}
		}
	}
	if out.status, err = strconv.Atoi(r.StatusCode); err != nil || out.status < 200 || out.status > 599 {
		return out, &DefinitionError{"Invalid status code for " + rt.name + ": " + r.StatusCode}
	}
	if out.fields, err = staticHeaders(rt.name, "method.response.header.", r.ResponseParameters); err != nil {
		return out, err
	}
	if len(r.ResponseTemplates) > 0 {
		out.contentType = templateType(r.ResponseTemplates)
		if out.body = r.ResponseTemplates[out.contentType]; !constant(out.body) {
			return out, &NotBuiltError{rt.name, "mapping templates are not built: only constant ones"}
		}
	}
	return out, nil
}

func (m *mock) serve(x *Exchange) error {
	contentType := "application/json"
	if v := x.get("Content-Type"); v != "" {
		if media, _, err := mime.ParseMediaType(v); err == nil {
			contentType = media
		}
	}
	status, ok := m.status[contentType]
	if !ok {
		if m.never {
			return refuse(UnsupportedMediaType, "the mock integration has no template for "+contentType)
		}
		return refuse(APIConfigurationError, "the mock integration has no status for "+contentType)
	}
	text := strconv.Itoa(status)
	var chosen *mockResponse
	for i := range m.responses {
		r := &m.responses[i]
		if r.pattern != nil && r.pattern.MatchString(text) {
			chosen = r
			break
		}
		if r.pattern == nil && chosen == nil {
			chosen = r
		}
	}
	if chosen == nil {
		return refuse(APIConfigurationError, "no integration response matches status "+text)
	}
	x.reply.status, x.reply.body = chosen.status, []byte(chosen.body)
	x.reply.fields = append(x.reply.fields, chosen.fields...)
	if chosen.contentType != "" {
		x.reply.fields = append(x.reply.fields, Field{"Content-Type", chosen.contentType})
	}
	return nil
}
