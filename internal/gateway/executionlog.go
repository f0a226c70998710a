package gateway

import (
	"slices"
	"strconv"
	"strings"
)

// executionGroup is the log group of a stage's execution log, as API Gateway names it.
func (s *Snapshot) executionGroup(c canaryState) string {
	group := "API-Gateway-Execution-Logs_" + s.def.APIID + "/" + s.def.Stage
	if c == canaryRelease {
		group += canarySuffix
	}
	return group
}

// executionLog writes what happened to a request into the stage's execution log: all of
// it at level INFO, failures at level ERROR. Bodies come with data tracing only.
func (x *Exchange) executionLog(o *outcome) {
	set := x.route.settings
	var lines []string
	switch {
	case set.Logging == "INFO":
		lines = o.narrate(set.DataTrace)
	case set.Logging == "ERROR" && (o.refusal != nil || x.reply.status >= 500):
		lines = append(o.failure(), "Method completed with status: "+strconv.Itoa(x.reply.status))
	}
	group := x.snap.executionGroup(x.canary)
	for _, text := range lines {
		x.line(group, []byte("("+x.requestID+") "+clipLine(text)))
	}
}

// maxLine is what API Gateway logs of a line.
const maxLine = 1024

func clipLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxLine {
		return strings.ToValidUTF8(s[:maxLine], "") + "[TRUNCATED]"
	}
	return s
}

// narrate tells a request in the words of API Gateway's execution log.
func (o *outcome) narrate(bodies bool) []string {
	key := mask(o.keyTxt)
	stage := o.APIID + "/" + o.Stage
	out := []string{
		"Extended Request Id: " + o.extendedID,
		"Verifying Usage Plan for request: " + o.requestID + ". API Key: " + key + " API Stage: " + stage,
	}
	switch {
	case o.refusal != nil && slices.Contains([]Kind{InvalidAPIKey, Throttled, QuotaExceeded}, o.refusal.Kind):
		return append(append(out, o.failure()...), "Method completed with status: "+strconv.Itoa(o.reply.status))
	case o.route.def.APIKeyRequired:
		out = append(out, "API Key "+key+" authorized")
	default:
		out = append(out, "API Key "+key+" authorized because method '"+o.Method+" "+o.resource.path+"' does not require API Key. Request will not contribute to throttle or quota limits")
	}
	out = append(out, "Usage Plan check succeeded for API Key "+key+" and API Stage "+stage)
	out = append(out, o.narrateAuthorizer()...)
	out = append(out, "Starting execution for request: "+o.requestID,
		"HTTP Method: "+o.Method+", Resource Path: "+o.path,
		"Method request path: "+o.pathText(),
		"Method request query string: "+o.queryText(),
		"Method request headers: "+o.headerText(o.Fields))
	if bodies {
		out = append(out, "Method request body before transformations: "+o.bodyText(o.body))
	}
	switch o.cache {
	case cacheHit:
		out = append(out, "Cache hit: answered from the response cache")
	case cacheMiss:
		out = append(out, "Cache miss")
	}
	endpoint := o.narrateEndpoint(bodies)
	out = append(out, endpoint...)
	if o.refusal != nil {
		return append(append(out, o.failure()...), "Method completed with status: "+strconv.Itoa(o.reply.status))
	}
	if o.integrated && endpoint == nil {
		out = append(out, "Received response. Integration latency: "+milliseconds(o.integration)+" ms")
	}
	if bodies {
		body := o.reply.body
		if o.reply.stream != nil {
			body = []byte("[" + strconv.FormatInt(o.written, 10) + " bytes streamed]")
		}
		out = append(out, "Method response body after transformations: "+o.bodyText(body))
	}
	return append(out, "Method response headers: "+o.headerText(o.reply.fields), "Successfully completed execution",
		"Method completed with status: "+strconv.Itoa(o.reply.status))
}

func (o *outcome) narrateAuthorizer() []string {
	a := o.route.authorizer
	if a == nil {
		return nil
	}
	out := []string{"Starting authorizer: " + a.id + " for request: " + o.requestID}
	if o.refusal != nil && o.step == "authorise" {
		return append(out, "Unauthorized request: "+o.requestID)
	}
	return append(out, "Successfully completed authorizer execution")
}

// failure says why a request failed.
func (o *outcome) failure() []string {
	r := o.refusal
	if r == nil {
		return nil
	}
	switch r.Kind {
	case Throttled:
		return []string{"Throttle limit exceeded for request: " + o.requestID + ": " + r.Grounds}
	case QuotaExceeded:
		return []string{"Quota limit exceeded for request: " + o.requestID + ": " + r.Grounds}
	case BadRequestBody:
		return []string{"Request body does not match model schema for content type " + o.get("Content-Type") + ": " + r.Validation}
	case BadRequestParameters:
		return []string{r.Validation}
	case APIConfigurationError, AuthorizerConfigurationError:
		return []string{"Execution failed due to configuration error: " + r.Grounds}
	case IntegrationTimeout:
		return []string{"Execution failed due to a timeout error: " + r.Grounds}
	}
	return []string{"Execution failed: " + r.Grounds}
}

func (o *outcome) pathText() string {
	var parts []string
	for i, p := range o.resource.parts {
		if p.name != "" {
			parts = append(parts, p.name+"="+o.paramAt(i))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func (o *outcome) queryText() string {
	var parts []string
	for _, p := range o.query() {
		if strings.HasPrefix(p.name, "X-Amz-") || secretName(strings.ToLower(p.name)) {
			p.value = mask(p.value)
		}
		parts = append(parts, p.name+"="+p.value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// headerText writes header fields; what proves who somebody is, is masked.
func (o *outcome) headerText(fields []Field) string {
	source := ""
	if a := o.route.authorizer; a != nil {
		source = strings.ToLower(a.header)
	}
	parts := make([]string, 0, len(fields))
	for _, f := range fields {
		lower := strings.ToLower(f.Name)
		value := f.Value
		if secretName(lower) || lower == source {
			value = mask(value)
		}
		parts = append(parts, f.Name+"="+value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func secretName(lower string) bool {
	switch lower {
	case "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-amz-security-token", "access_token", "id_token", "token", "api_key", "apikey", "password":
		return true
	}
	return false
}

// mask hides a secret. The end of a long one is left, by which an operator knows it again.
func mask(secret string) string {
	switch {
	case secret == "":
		return ""
	case len(secret) < 20:
		return "******"
	}
	return "******" + secret[len(secret)-4:]
}

func (o *outcome) bodyText(body []byte) string {
	if len(body) > maxLine {
		return strings.ToValidUTF8(string(body[:maxLine]), "") + "[TRUNCATED]"
	}
	return strings.ToValidUTF8(string(body), "?")
}
