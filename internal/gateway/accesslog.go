package gateway

import (
	"html"
	"strconv"
	"strings"
	"time"
)

// AccessLog is where a stage's access log goes, and the format of its lines.
type AccessLog struct{ Group, Format string }

// accessFormat is a compiled format: text and $context variables. What a variable holds
// cannot end the text around it: it is escaped as XML where the format is XML, else as
// JSON, which is what the common log format's readers understand, too.
type accessFormat struct {
	pieces []piece
	xml    bool
}

func compileAccessLog(l *AccessLog) *accessFormat {
	if l == nil || l.Format == "" || l.Group == "" {
		return nil
	}
	text := strings.TrimRight(l.Format, "\r\n")
	f := &accessFormat{xml: strings.HasPrefix(strings.TrimSpace(text), "<")}
	for text != "" {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			f.pieces = append(f.pieces, piece{text: text})
			break
		}
		name, n := variable(text[i:])
		if !strings.HasPrefix(name, "context.") {
			f.pieces, text = append(f.pieces, piece{text: text[:i+1]}), text[i+1:]
			continue
		}
		f.pieces = append(f.pieces, piece{text: text[:i]}, piece{name: strings.TrimPrefix(name, "context.")})
		text = text[i+n:]
	}
	return f
}

// render writes a line. A variable without a value is "-".
func (f *accessFormat) render(o *outcome) []byte {
	b := make([]byte, 0, 512)
	for _, p := range f.pieces {
		if p.name == "" {
			b = append(b, p.text...)
			continue
		}
		value, ok := o.value(p.name)
		switch {
		case !ok || value == "":
			b = append(b, '-')
		case p.name == "error.messageString":
			b = appendJSON(b, value)
		case f.xml:
			b = append(b, html.EscapeString(strings.Map(printable, value))...)
		default:
			b = appendEscaped(b, value)
		}
	}
	return b
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// value gives what only is known once a request has been answered (API Gateway Developer
// Guide, "Variables for access logging"), and every other $context variable.
func (o *outcome) value(name string) (string, bool) {
	switch name {
	case "status":
		return strconv.Itoa(o.reply.status), true
	case "responseLength":
		return strconv.FormatInt(o.written, 10), true
	case "responseLatency":
		return milliseconds(o.latency), true
	case "xrayTraceId":
		root, _, _ := strings.Cut(strings.TrimPrefix(o.traceID, "Root="), ";")
		return root, o.snap.def.Tracing && root != ""
	}
	if name == "customDomain.basePathMatched" {
		if o.Via == nil {
			return "", false
		}
		return strings.TrimPrefix(o.Via.Base, "/"), true
	}
	family, member, _ := strings.Cut(name, ".")
	switch family {
	case "error":
		return o.errorValue(member)
	case "integration":
		return o.integrationValue(member)
	case "integrationLatency", "integrationStatus", "integrationErrorMessage":
		return o.integrationValue(map[string]string{"integrationLatency": "latency", "integrationStatus": "integrationStatus", "integrationErrorMessage": "error"}[family])
	case "authorizer", "authorize", "authenticate":
		if v, ok := o.authorisationValue(family, member); ok {
			return v, true
		}
	}
	return o.contextValue(name)
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func (o *outcome) errorValue(member string) (string, bool) {
	if o.refusal == nil {
		return "", false
	}
	switch member {
	case "message", "messageString":
		return o.refusal.message(), true
	case "responseType":
		return o.refusal.Kind.info().name, true
	case "validationErrorString":
		return o.refusal.Validation, true
	}
	return "", false
}

func (o *outcome) integrationValue(member string) (string, bool) {
	if !o.integrated {
		return "", false
	}
	failed := o.refusal != nil && o.step == "integrate"
	switch member {
	case "latency":
		return milliseconds(o.integration), true
	case "error":
		if failed {
			return o.refusal.Grounds, true
		}
	case "integrationStatus":
		if _, function := o.route.serve.(*functionProxy); function && !failed {
			return "200", true // of the call, not of what the function said
		}
		return strconv.Itoa(o.reply.status), !failed
	case "status":
		return strconv.Itoa(o.reply.status), !failed
	}
	return "", false
}

// authorisationValue tells how authorisation went: authorizer.* where a route has an
// authorizer, authenticate.* and authorize.* where it is IAM's.
func (o *outcome) authorisationValue(family, member string) (string, bool) {
	if o.route == nil || (family == "authorizer") != (o.route.authorizer != nil) || o.route.def.AuthorizationType == "NONE" {
		return "", false
	}
	failed := o.refusal != nil && o.step == "authorise"
	if !failed && o.grounds == "" { // it was not that far
		return "", false
	}
	if family == "authenticate" && o.caller != nil {
		failed = false
	}
	switch member {
	case "status", "integrationStatus":
		if failed {
			return strconv.Itoa(o.refusal.status()), true
		}
		return "200", true
	case "error":
		if failed {
			return o.refusal.message(), true
		}
	case "latency", "integrationLatency":
		return milliseconds(o.authorizing), true
	case "requestId":
		return o.requestID, true
	}
	return "", false
}
