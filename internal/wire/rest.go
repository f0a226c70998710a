package wire

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/textproto"
	"reflect"
	"strings"
	"unicode/utf8"
)

// restRequest is what the REST protocols read an input from.
type restRequest struct {
	path   string            // the operation's, with the parameters that tell it from others
	labels map[string]string // decoded
	query  []parameter
	header http.Header
	body   []byte
}

// bindings reads every member that does not stand in the body.
func (r *restRequest) bindings(p *plan, v reflect.Value, violations *Violations) error {
	named := map[string]bool{}
	_, fixed, _ := strings.Cut(r.path, "?")
	for name := range strings.SplitSeq(fixed, "&") {
		name, _, _ = strings.Cut(name, "=")
		named[name] = true
	}
	for i := range p.fields {
		if p.fields[i].place == placeQuery {
			named[p.fields[i].name] = true
		}
	}
	for i := range p.fields {
		f := &p.fields[i]
		var given bool
		var err error
		switch f.place {
		case placeBody, placeStatus:
			continue
		case placeLabel:
			var s string
			if s, given = r.labels[f.name]; given && !f.setScalar(f.slot(v), s, timeISO8601) {
				err = unreadable("path", f)
			}
		case placeQuery:
			given, err = r.queryMember(f, v, named)
		case placeHeader:
			given, err = r.headerMember(f, v)
		case placeHeaders:
			r.headerMap(f, v)
			given = true
		}
		if err != nil {
			return err
		}
		if !given {
			f.missing(violations, "")
		}
	}
	return nil
}

func unreadable(where string, f *field) error {
	return serialization("The " + where + " parameter " + f.name + " can not be converted to " + f.typeName())
}

func (r *restRequest) queryMember(f *field, v reflect.Value, named map[string]bool) (bool, error) {
	if f.kind == kindMap {
		return true, r.queryMap(f, v, named)
	}
	var values []string
	for _, p := range r.query {
		if p.name == f.name {
			values = append(values, p.value)
		}
	}
	if len(values) == 0 {
		return false, nil
	}
	if f.kind == kindList {
		return true, scalarList(f, f.slot(v), values, "query")
	}
	if len(values) > 1 {
		return false, serialization("The query parameter " + f.name + " is given twice")
	}
	if !f.setScalar(f.slot(v), values[0], timeISO8601) {
		return false, unreadable("query", f)
	}
	return true, nil
}

func scalarList(f *field, v reflect.Value, values []string, where string) error {
	elem := f.inner(f.elem)
	elem.name = f.name
	d := timeISO8601
	if where == "header" {
		d = timeRFC822
	}
	out := reflect.MakeSlice(v.Type(), len(values), len(values))
	for i, s := range values {
		slot := out.Index(i)
		if slot.Kind() == reflect.Pointer {
			slot.Set(reflect.New(f.elem.goType))
			slot = slot.Elem()
		}
		if !elem.setScalar(slot, s, d) {
			return unreadable(where, &elem)
		}
	}
	v.Set(out)
	return nil
}

// queryMap collects the parameters that no other member names.
func (r *restRequest) queryMap(f *field, v reflect.Value, named map[string]bool) error {
	m := f.slot(v)
	elem := f.inner(f.elem)
	for _, p := range r.query {
		if named[p.name] {
			continue
		}
		if m.IsNil() {
			m.Set(reflect.MakeMap(m.Type()))
		}
		key := reflect.ValueOf(p.name).Convert(m.Type().Key())
		old := m.MapIndex(key)
		slot := reflect.New(m.Type().Elem()).Elem()
		switch {
		case f.elem.kind == kindList:
			if old.IsValid() {
				slot.Set(old)
			}
			slot.Set(reflect.Append(slot, reflect.ValueOf(p.value).Convert(slot.Type().Elem())))
		case old.IsValid():
			return serialization("The query parameter " + p.name + " is given twice")
		case !elem.setScalar(slot, p.value, timeISO8601):
			return unreadable("query", f)
		}
		m.SetMapIndex(key, slot)
	}
	return nil
}

func (r *restRequest) headerMember(f *field, v reflect.Value) (bool, error) {
	values := r.header[textproto.CanonicalMIMEHeaderKey(f.name)]
	if len(values) == 0 {
		return false, nil
	}
	if f.kind == kindList {
		var all []string
		for _, s := range values {
			all = append(all, splitHeader(s)...)
		}
		return true, scalarList(f, f.slot(v), all, "header")
	}
	if len(values) > 1 {
		return false, serialization("The header " + f.name + " is given twice")
	}
	s := values[0]
	if f.json {
		b, ok := parseBlob(s)
		if !ok || !json.Valid(b) {
			return false, unreadable("header", f)
		}
		s = string(b)
	}
	if !f.setScalar(f.slot(v), s, timeRFC822) {
		return false, unreadable("header", f)
	}
	return true, nil
}

// splitHeader cuts a list in a header at its commas; quoted elements keep theirs.
func splitHeader(s string) []string {
	var out []string
	var b strings.Builder
	quoted, wasQuoted := false, false
	flush := func() {
		e := b.String()
		if !wasQuoted {
			e = strings.TrimSpace(e)
		}
		out = append(out, e)
		b.Reset()
		wasQuoted = false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '"' && (quoted || strings.TrimSpace(b.String()) == ""):
			if quoted = !quoted; quoted {
				b.Reset()
			}
			wasQuoted = true
		case c == ',' && !quoted:
			flush()
		case wasQuoted && !quoted && (c == ' ' || c == '\t'):
		default:
			b.WriteByte(c)
		}
	}
	flush()
	return out
}

// headerMap collects headers by prefix; the names in the map lack it and are in
// lower case, since HTTP does not keep their case.
func (r *restRequest) headerMap(f *field, v reflect.Value) {
	m := f.slot(v)
	prefix := strings.ToLower(f.name)
	for name, values := range r.header {
		rest, ok := strings.CutPrefix(strings.ToLower(name), prefix)
		if !ok || rest == "" {
			continue
		}
		if m.IsNil() {
			m.Set(reflect.MakeMap(m.Type()))
		}
		m.SetMapIndex(reflect.ValueOf(rest), reflect.ValueOf(strings.Join(values, ",")).Convert(m.Type().Elem()))
	}
}

// rawPayload reads a payload member that is the body itself: a blob or a string.
func (r *restRequest) rawPayload(f *field, v reflect.Value) error {
	if len(r.body) == 0 {
		return nil
	}
	s := f.slot(v)
	if f.kind == kindBlob {
		s.SetBytes(r.body)
		return nil
	}
	if !utf8.Valid(r.body) {
		return serialization("The body is not UTF-8")
	}
	s.SetString(string(r.body))
	return nil
}

// answer is an encoded answer before it is written.
type answer struct {
	status int
	header []parameter // of canonical names, each once
	body   []byte
}

// bind writes every member of v that does not stand in the body.
func (a *answer) bind(p *plan, v reflect.Value) {
	for i := range p.fields {
		f := &p.fields[i]
		x, ok := f.value(v)
		if !ok {
			continue
		}
		switch f.place {
		case placeStatus:
			if n := int(x.Int()); n >= 100 && n <= 599 {
				a.status = n
			}
		case placeHeader:
			a.setHeader(f.name, f.headerValue(x))
		case placeHeaders:
			for _, k := range sortedKeys(x) {
				a.setHeader(f.name+k.String(), x.MapIndex(k).String())
			}
		}
	}
}

// setHeader sets a header; bytes that would end it become spaces, so that no
// value can add a header of its own.
func (a *answer) setHeader(name, value string) {
	value = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f {
			return ' '
		}
		return r
	}, value)
	name = textproto.CanonicalMIMEHeaderKey(name)
	for i := range a.header {
		if a.header[i].name == name {
			a.header[i].value = value
			return
		}
	}
	a.header = append(a.header, parameter{name, value})
}

// get returns the value of a header and whether it is set.
func (a *answer) get(name string) (string, bool) {
	for _, h := range a.header {
		if h.name == name {
			return h.value, true
		}
	}
	return "", false
}

func (f *field) headerValue(v reflect.Value) string {
	if f.json {
		return base64.StdEncoding.EncodeToString([]byte(v.String()))
	}
	if f.kind != kindList {
		return string(f.appendScalar(nil, v, timeRFC822))
	}
	elem := f.inner(f.elem)
	var parts []string
	for i := range v.Len() {
		s := string(elem.appendScalar(nil, indirect(v.Index(i)), timeRFC822))
		if strings.ContainsAny(s, `,"`) && elem.kind == kindString {
			s = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}
