package gateway

import (
	"strconv"

	"moat/internal/pure/jsonpath"
	"moat/internal/pure/lazyregexp"
)

// mock answers by itself: its rendered request says with which status.
type mock struct {
	request   requestMapping
	responses []responseMapping
}

// looseStatus finds the status in a text that is not quite JSON ({statusCode: 200,}),
// which AWS reads all the same (recorded).
var looseStatus = lazyregexp.New(`[{,\s]['"]?statusCode['"]?\s*:\s*['"]?(\d{3})['"]?\s*[,}]`)

func compileMock(rt *route, in Integration) (integration, error) {
	m := &mock{}
	var err error
	if m.request, err = compileRequest(rt.name, in); err != nil {
		return nil, err
	}
	m.responses, err = compileResponses(rt.name, in.Responses)
	return m, err
}

// mockStatus reads the status of a rendered request.
func mockStatus(text []byte) (string, bool) {
	if v, err := jsonpath.Parse(text); err == nil {
		m, _ := v.(*jsonpath.Map)
		if m == nil {
			return "", false
		}
		v, _ := m.Get("statusCode")
		s, ok := paramText(v)
		n, err := strconv.Atoi(s)
		return s, ok && err == nil && n >= 100 && n <= 599
	}
	if found := looseStatus.FindSubmatch(text); found != nil {
		return string(found[1]), true
	}
	return "", false
}

func (m *mock) serve(x *Exchange) error {
	req, err := m.request.make(x)
	if err != nil {
		return err
	}
	status, ok := mockStatus(req.body)
	if !ok {
		return refuse(APIConfigurationError, "the mock integration's request has no whole number as statusCode")
	}
	n, _ := strconv.Atoi(status)
	return x.mapAnswer(m.responses, &integrationAnswer{status: n, selection: status})
}
