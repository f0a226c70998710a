package gateway

import (
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strconv"

	"moat/internal/pure/jsonstring"
)

// equalJSON compares two JSON values as JSON Schema does: numbers by their value, objects
// without regard to order.
func equalJSON(a, b any) bool {
	switch a := a.(type) {
	case nil:
		return b == nil
	case bool:
		v, ok := b.(bool)
		return ok && a == v
	case string:
		v, ok := b.(string)
		return ok && a == v
	case json.Number:
		v, ok := b.(json.Number)
		if !ok || a == v {
			return ok
		}
		x, xok := new(big.Rat).SetString(string(a))
		y, yok := new(big.Rat).SetString(string(v))
		return xok && yok && x.Cmp(y) == 0
	case []any:
		v, ok := b.([]any)
		return ok && slices.EqualFunc(a, v, equalJSON)
	case map[string]any:
		v, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, v, equalJSON)
	}
	return false
}

// appendValue writes a value as JSON: numbers as they came, or canonically, so that equal
// values give equal texts.
func appendValue(b []byte, v any, canonical bool) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return jsonstring.Append(b, v)
	case json.Number:
		if n, ok := new(big.Rat).SetString(string(v)); ok && canonical {
			return append(b, n.RatString()...)
		}
		return append(b, v...)
	case []string:
		b = append(b, '[')
		for i, s := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = jsonstring.Append(b, s)
		}
		return append(b, ']')
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, item, canonical)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(append(jsonstring.Append(b, name), ':'), v[name], canonical)
		}
		return append(b, '}')
	}
	return b
}
