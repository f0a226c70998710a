package wire

import (
	"reflect"
	"unicode/utf8"
)

// appendXML writes the members of the structure v as elements.
func appendXML(b []byte, p *plan, v reflect.Value) []byte {
	for i := range p.fields {
		f := &p.fields[i]
		if f.place != placeBody || f.attribute {
			continue
		}
		if x, ok := f.value(v); ok {
			b = f.appendXML(b, f.name, x)
		}
	}
	return b
}

// appendXMLStart opens an element; a structure's attributes stand in its tag.
func (f *field) appendXMLStart(b []byte, name string, v reflect.Value) []byte {
	b = append(b, '<')
	b = append(b, name...)
	if f.namespace != "" {
		b = append(b, " xmlns"...)
		if f.prefix != "" {
			b = append(append(b, ':'), f.prefix...)
		}
		b = append(b, `="`...)
		b = appendXMLText(b, f.namespace)
		b = append(b, '"')
	}
	if f.kind == kindStruct {
		b = appendXMLAttributes(b, f.plan, v)
	}
	return append(b, '>')
}

func appendXMLAttributes(b []byte, p *plan, v reflect.Value) []byte {
	for i := range p.fields {
		f := &p.fields[i]
		if !f.attribute {
			continue
		}
		if x, ok := f.value(v); ok {
			b = append(b, ' ')
			b = append(b, f.name...)
			b = append(b, `="`...)
			b = appendXMLText(b, string(f.appendScalar(nil, x, timeISO8601)))
			b = append(b, '"')
		}
	}
	return b
}

func appendXMLEnd(b []byte, name string) []byte {
	b = append(b, '<', '/')
	b = append(b, name...)
	return append(b, '>')
}

func (f *field) appendXML(b []byte, name string, v reflect.Value) []byte {
	switch {
	case f.kind == kindList && f.flat:
		elem := f.inner(f.elem)
		for i := range v.Len() {
			b = elem.appendXML(b, name, indirect(v.Index(i)))
		}
		return b
	case f.kind == kindMap && f.flat:
		for _, k := range sortedKeys(v) {
			b = f.appendXMLEntry(b, name, k, v)
		}
		return b
	}
	b = f.appendXMLStart(b, name, v)
	switch f.kind {
	case kindStruct:
		b = appendXML(b, f.plan, v)
	case kindList:
		elem, item := f.inner(f.elem), f.itemName()
		for i := range v.Len() {
			b = elem.appendXML(b, item, indirect(v.Index(i)))
		}
	case kindMap:
		for _, k := range sortedKeys(v) {
			b = f.appendXMLEntry(b, "entry", k, v)
		}
	case kindString:
		b = appendXMLText(b, v.String())
	default:
		b = f.appendScalar(b, v, timeISO8601)
	}
	return appendXMLEnd(b, name)
}

func (f *field) appendXMLEntry(b []byte, name string, key, m reflect.Value) []byte {
	value := f.inner(f.elem)
	text := field{plan: f.key}
	b = append(append(append(b, '<'), name...), '>')
	b = text.appendXML(b, f.keyName(), key)
	b = value.appendXML(b, f.valueName(), indirect(m.MapIndex(key)))
	return appendXMLEnd(b, name)
}

// indirect returns what a pointer element points to, a zero value for nil.
func indirect(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	if v.IsNil() {
		return reflect.Zero(v.Type().Elem())
	}
	return v.Elem()
}

// appendXMLText writes character data that is safe in elements and attributes.
// What XML 1.0 cannot hold becomes U+FFFD.
func appendXMLText(b []byte, s string) []byte {
	for i, r := range s {
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '"':
			b = append(b, "&quot;"...)
		case r == '\r':
			b = append(b, "&#xD;"...)
		case r == utf8.RuneError && s[i] != 0xEF, r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF:
			b = append(b, "\uFFFD"...)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}
