package gateway

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// endpointTrace is what went to an integration behind a mapping and what came back, kept
// for the execution log of stages that write one.
type endpointTrace struct {
	uri     string
	headers []Field
	body    []byte
	answer  *integrationAnswer
}

// traced reports whether the exchange's stage writes about its integrations.
func (x *Exchange) traced() bool { return x.route.settings.Logging == "INFO" }

// traceRequest remembers what is sent.
func (x *Exchange) traceRequest(uri string, headers http.Header, body []byte) {
	if x.traced() {
		x.mapState().trace = &endpointTrace{uri: uri, headers: flat(headers), body: body}
	}
}

func flat(h http.Header) []Field {
	var out []Field
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			out = append(out, Field{name, v})
		}
	}
	return out
}

// traceAnswer remembers what came back.
func (x *Exchange) traceAnswer(a *integrationAnswer) {
	if x.mapping != nil && x.mapping.trace != nil {
		x.mapping.trace.answer = a
	}
}

// narrateEndpoint tells of the integration in the words of API Gateway's execution log.
func (o *outcome) narrateEndpoint(bodies bool) []string {
	if o.mapping == nil || o.mapping.trace == nil {
		return nil
	}
	t := o.mapping.trace
	out := []string{"Endpoint request URI: " + t.uri, "Endpoint request headers: " + o.headerText(t.headers)}
	if bodies {
		out = append(out, "Endpoint request body after transformations: "+o.bodyText(t.body))
	}
	out = append(out, "Sending request to "+t.uri)
	if t.answer == nil {
		return out
	}
	out = append(out, "Received response. Status: "+strconv.Itoa(t.answer.status)+", Integration latency: "+milliseconds(o.integration)+" ms",
		"Endpoint response headers: "+o.headerText(flat(t.answer.fields)))
	if bodies {
		out = append(out, "Endpoint response body before transformations: "+o.bodyText(t.answer.body))
	}
	return out
}
