package wire

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"moat/internal/pure/jsonstring"
)

// appendJSON writes the members of the structure v that belong in a body.
func appendJSON(b []byte, p *plan, v reflect.Value) []byte {
	b = append(b, '{')
	first := true
	for i := range p.fields {
		f := &p.fields[i]
		if f.place != placeBody {
			continue
		}
		x, ok := f.value(v)
		if !ok {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = f.appendJSON(append(b, f.label...), x)
	}
	return append(b, '}')
}

func (f *field) appendJSON(b []byte, v reflect.Value) []byte {
	switch f.kind {
	case kindStruct:
		return appendJSON(b, f.plan, v)
	case kindList:
		return f.appendJSONList(b, v)
	case kindMap:
		return f.appendJSONMap(b, v)
	case kindString:
		return jsonstring.Append(b, v.String())
	case kindDocument:
		if !json.Valid(v.Bytes()) {
			return append(b, "null"...)
		}
		return append(b, v.Bytes()...)
	case kindBlob:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	case kindTime:
		t, format := v.Interface().(time.Time), f.format.or(timeUnix)
		if format == timeUnix {
			return appendTime(b, t, format)
		}
		b = append(b, '"')
		b = appendTime(b, t, format)
		return append(b, '"')
	case kindFloat:
		if n := v.Float(); math.IsNaN(n) || math.IsInf(n, 0) {
			b = append(b, '"')
			b = appendFloat(b, n)
			return append(b, '"')
		}
	}
	return f.appendScalar(b, v, timeDefault)
}

func (f *field) appendJSONList(b []byte, v reflect.Value) []byte {
	elem := f.inner(f.elem)
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = elem.appendJSONElement(b, v.Index(i))
	}
	return append(b, ']')
}

// appendJSONElement writes an element of a list or map; a nil pointer is null.
func (f *field) appendJSONElement(b []byte, v reflect.Value) []byte {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return append(b, "null"...)
		}
		v = v.Elem()
	}
	return f.appendJSON(b, v)
}

func (f *field) appendJSONMap(b []byte, v reflect.Value) []byte {
	if m, ok := v.Interface().(map[string]string); ok {
		return appendTexts(b, m)
	}
	elem := f.inner(f.elem)
	b = append(b, '{')
	for i, k := range sortedKeys(v) {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonstring.Append(b, k.String())
		b = append(b, ':')
		b = elem.appendJSONElement(b, v.MapIndex(k))
	}
	return append(b, '}')
}

// appendTexts writes a map as appendJSONMap does: most maps are one of texts.
func appendTexts(b []byte, m map[string]string) []byte {
	var room [16]string // of most maps; it stays on the stack
	keys := slices.AppendSeq(room[:0], maps.Keys(m))
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsonstring.Append(b, k), ':')
		b = jsonstring.Append(b, m[k])
	}
	return append(b, '}')
}

// sortedKeys makes the answer to a request the same each time.
func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}
