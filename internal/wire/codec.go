package wire

import (
	"net/http"
	"reflect"
	"sync/atomic"
)

// The protocols of AWS's models.
const (
	protocolJSON     = "json"
	protocolQuery    = "query"
	protocolRESTJSON = "rest-json"
	protocolRESTXML  = "rest-xml"
)

// operation is one operation with its API.
type operation struct {
	*Operation
	end     *endpoint
	in, out atomic.Pointer[plan] // of its messages, once they were asked for
}

// message is a request as the protocols see it.
type message struct {
	params []parameter // of the query string, and of the form in the query protocol
	labels map[string]string
	header http.Header
	body   []byte
	form   bool // the call of an API of the protocol "json" is one of the query protocol
}

// decode reads a request into a new input. Members that are missing go to
// violations; what cannot be read is an exception.
func (ps *planner) decode(op *operation, m *message, violations *Violations) (any, error) {
	in := op.NewInput()
	v := reflect.ValueOf(in).Elem()
	p := ps.known(&op.in, v.Type())
	switch protocol := op.end.api.Protocol; {
	case protocol == protocolJSON && !m.form:
		return in, decodeJSON(m.body, p, v, violations, "")
	case protocol == protocolQuery, m.form:
		tree, err := queryTree(m.params)
		if err != nil {
			return nil, err
		}
		return in, decodeQuery(tree, p, v, violations, "")
	}
	r := &restRequest{path: op.Path, labels: m.labels, query: m.params, header: m.header, body: m.body}
	if err := r.bindings(p, v, violations); err != nil {
		return nil, err
	}
	return in, r.payload(op, p, v, violations)
}

// payload reads the body of a REST request: the payload member, or all members
// that have no other place.
func (r *restRequest) payload(op *operation, p *plan, v reflect.Value, violations *Violations) error {
	isXML := op.end.api.Protocol == protocolRESTXML
	if p.pay < 0 {
		if isXML {
			return decodeXML(r.body, p, v, violations, op.BodyPath)
		}
		if len(p.body) == 0 {
			return nil // such as GET: whatever stands there is not ours
		}
		return decodeJSON(r.body, p, v, violations, op.BodyPath)
	}
	f := &p.fields[p.pay]
	switch {
	case len(r.body) == 0:
		f.missing(violations, op.BodyPath)
		return nil
	case f.kind == kindBlob || f.kind == kindString:
		return r.rawPayload(f, v)
	case isXML:
		return decodeXML(r.body, f.plan, f.slot(v), violations, Join(op.BodyPath, f.goName))
	}
	return decodeJSON(r.body, f.plan, f.slot(v), violations, Join(op.BodyPath, f.goName))
}

// encode writes an output in the form of a protocol; out is a pointer to it, or nil for an empty one.
// The body of an answer of the protocol "json" is written into room where it fits.
func (ps *planner) encode(op *operation, out any, protocol, requestID string, room []byte) answer {
	a := answer{status: op.Status}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	v := reflect.ValueOf(out)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		v = reflect.New(op.Output)
	}
	v = v.Elem()
	p := ps.known(&op.out, op.Output)
	api := op.end.api
	switch protocol {
	case protocolJSON:
		a.setHeader("Content-Type", jsonType(api))
		a.body = appendJSON(room[:0], p, v)
	case protocolForm:
		a.setHeader("Content-Type", "application/json")
		a.body = appendFormAnswer(op, p, v, requestID)
	case protocolQuery:
		a.setHeader("Content-Type", "text/xml")
		a.body = appendQueryAnswer(op, p, v, requestID)
	default:
		a.rest(op, p, v)
	}
	return a
}

// appendQueryAnswer wraps an output as the query protocol does:
//
//	<XResponse xmlns=""><XResult>...</XResult><ResponseMetadata>...</ResponseMetadata></XResponse>
func appendQueryAnswer(op *operation, p *plan, v reflect.Value, requestID string) []byte {
	b := append([]byte{'<'}, op.Name...)
	b = append(b, "Response"...)
	if ns := op.end.api.Namespace; ns != "" {
		b = append(appendXMLText(append(b, ` xmlns="`...), ns), '"')
	}
	b = append(b, '>')
	wrapper := resultWrapper(op)
	if wrapper != "" {
		b = append(append(append(b, '<'), wrapper...), '>')
	}
	b = appendXML(b, p, v)
	if wrapper != "" {
		b = appendXMLEnd(b, wrapper)
	}
	b = append(b, "<ResponseMetadata>"...)
	b = appendXMLElement(b, "RequestId", requestID)
	b = append(b, "</ResponseMetadata></"...)
	b = append(b, op.Name...)
	return append(b, "Response>\n"...)
}

// rest writes an output of the REST protocols.
func (a *answer) rest(op *operation, p *plan, v reflect.Value) {
	a.bind(p, v)
	isXML := op.end.api.Protocol == protocolRESTXML
	contentType := "application/json"
	if isXML {
		contentType = "application/xml"
	}
	switch {
	case p.pay >= 0:
		f := &p.fields[p.pay]
		x, ok := f.value(v)
		switch {
		case !ok:
		case f.kind == kindBlob:
			a.body = x.Bytes()
			if isXML {
				contentType = "binary/octet-stream"
			}
		case f.kind == kindString:
			a.body = []byte(x.String())
		case isXML:
			a.body = f.appendXML([]byte(xmlDeclaration), f.rootName(), x)
		default:
			a.body = f.appendJSON(nil, x)
		}
	case isXML:
		if len(p.body) > 0 {
			a.body = appendXMLRoot(op, p, v)
		}
	case a.status != http.StatusNoContent && (len(p.body) > 0 || a.status == http.StatusOK):
		a.body = appendJSON(nil, p, v)
	}
	if _, set := a.get("Content-Type"); !set && len(a.body) > 0 {
		a.setHeader("Content-Type", contentType)
	}
	if a.status == http.StatusNoContent {
		a.body = nil
	}
}
