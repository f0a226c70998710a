package vtl

import (
	"math/big"
	"strconv"
	"strings"

	"moat/internal/pure/jsonpath"
)

// method calls a.name on v. Velocity finds methods by name and argument types; where it
// would find none the result is null.
func (r *run) method(v any, a *access, args []any) (any, error) {
	switch x := v.(type) {
	case string:
		if out, ok, err := r.stringMethod(x, a, args); ok || err != nil {
			return out, err
		}
	case *jsonpath.List:
		if out, ok, err := r.listMethod(x, a.name, args); ok || err != nil {
			return out, err
		}
	case *jsonpath.Map:
		if out, ok, err := r.mapMethod(x, a.name, args); ok || err != nil {
			return out, err
		}
	case *entry:
		if out, ok := x.method(a.name, args); ok {
			return out, nil
		}
	case bool:
		if out, ok := boolMethod(x, a.name, args); ok {
			return out, nil
		}
	case Object:
		out, ok, err := x.Call(a.name, args)
		if ok || err != nil {
			if err == nil {
				err = r.bill(x, args, out)
			}
			return out, err
		}
		if len(args) == 0 && strings.HasPrefix(a.name, "get") {
			if out, ok := x.Property(property(a.name)); ok {
				return out, nil
			}
		}
	default:
		if out, ok := numberMethod(x, a.name, args); ok {
			return out, nil
		}
	}
	switch {
	case a.name == "toString" && len(args) == 0:
		return r.text(v)
	case a.name == "equals" && len(args) == 1:
		if sameKind(v, args[0]) {
			return r.equal(v, args[0])
		}
		return false, nil
	case a.name == "hashCode" && len(args) == 0:
		s, err := r.text(v)
		return hash(s), err
	}
	return nil, nil
}

// Costly is an [Object] that says how many steps its last call took.
type Costly interface{ Cost() int }

// bill accounts for what an object did and made.
func (r *run) bill(x Object, args []any, out any) error {
	if c, ok := x.(Costly); ok {
		if err := r.work(c.Cost()); err != nil {
			return err
		}
	}
	n := 0
	for _, a := range append(args[:len(args):len(args)], out) {
		if s, ok := a.(string); ok {
			n += len(s)
		}
	}
	return r.charge(n)
}

func sameKind(a, b any) bool {
	switch a.(type) {
	case string:
		_, ok := b.(string)
		return ok
	case bool:
		_, ok := b.(bool)
		return ok
	case int64, *big.Int:
		_, ok := integer(b)
		return ok
	case float64, jsonpath.Decimal:
		_, whole := integer(b)
		_, ok := jsonpath.Float(b)
		return ok && !whole
	case *jsonpath.Map:
		_, ok := b.(*jsonpath.Map)
		return ok
	case *jsonpath.List:
		_, ok := b.(*jsonpath.List)
		return ok
	}
	return false
}

// hash is String.hashCode.
func hash(s string) int64 {
	var h int32
	for _, c := range units(s) {
		h = 31*h + int32(c)
	}
	return int64(h)
}

func boolMethod(x bool, name string, args []any) (any, bool) {
	switch {
	case name == "booleanValue" && len(args) == 0:
		return x, true
	case (name == "parseBoolean" || name == "valueOf") && len(args) == 1:
		s, ok := args[0].(string)
		return strings.EqualFold(s, "true"), ok
	case name == "compareTo" && len(args) == 1:
		y, ok := args[0].(bool)
		switch {
		case x == y:
			return int64(0), ok
		case x:
			return int64(1), ok
		}
		return int64(-1), ok
	}
	return nil, false
}

// numberMethod has the methods of Integer, Long and Double.
func numberMethod(x any, name string, args []any) (any, bool) {
	f, ok := jsonpath.Float(x)
	if !ok {
		return nil, false
	}
	n, whole := x.(int64)
	if len(args) == 0 {
		switch name {
		case "intValue", "longValue", "shortValue", "byteValue":
			if whole {
				return n, true
			}
			return int64(f), true
		case "doubleValue", "floatValue":
			return f, true
		case "isNaN":
			return f != f, !whole
		}
		return nil, false
	}
	if len(args) != 1 {
		return nil, false
	}
	switch name {
	case "compareTo":
		order, ok := jsonpath.CompareNumbers(x, args[0])
		return int64(order), ok
	case "parseInt", "parseLong", "valueOf", "parseDouble":
		s, ok := args[0].(string)
		if !ok {
			return args[0], name == "valueOf"
		}
		if whole && name != "parseDouble" {
			v, err := strconv.ParseInt(s, 10, 64)
			return v, err == nil
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		return v, err == nil
	case "toHexString", "toBinaryString", "toOctalString":
		v, ok := args[0].(int64)
		base := map[string]int{"toHexString": 16, "toBinaryString": 2, "toOctalString": 8}[name]
		return strconv.FormatUint(uint64(uint32(v)), base), ok
	}
	return nil, false
}

func intArg(args []any, i int) (int, bool) {
	if i >= len(args) {
		return 0, false
	}
	n, ok := args[i].(int64)
	return int(n), ok && int64(int(n)) == n
}

func textArg(args []any, i int) (string, bool) {
	if i >= len(args) {
		return "", false
	}
	s, ok := args[i].(string)
	return s, ok
}
