package vtl

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"moat/internal/pure/jsonpath"
)

// units are the UTF-16 units in which Java counts.
func units(s string) []uint16 { return utf16.Encode([]rune(s)) }

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func length(s string) int {
	if ascii(s) {
		return len(s)
	}
	n := 0
	for _, c := range s {
		if n++; c > 0xffff {
			n++
		}
	}
	return n
}

// cut is s.substring(from, to); ok is false where Java throws.
func cut(s string, from, to int) (string, bool) {
	if ascii(s) {
		if from < 0 || to > len(s) || from > to {
			return "", false
		}
		return s[from:to], true
	}
	u := units(s)
	if from < 0 || to > len(u) || from > to {
		return "", false
	}
	return string(utf16.Decode(u[from:to])), true
}

// at gives the byte offset of UTF-16 unit n, and unit the reverse.
func at(s string, n int) int {
	if n <= 0 {
		return 0
	}
	for i, c := range s {
		if n <= 0 {
			return i
		}
		if n--; c > 0xffff {
			n--
		}
	}
	return len(s)
}

func unit(s string, offset int) int64 {
	if offset < 0 {
		return -1
	}
	return int64(length(s[:offset]))
}

func (r *run) stringMethod(s string, a *access, args []any) (any, bool, error) {
	if err := r.work(len(s) / 64); err != nil {
		return nil, true, err
	}
	switch len(args) {
	case 0:
		if err := r.unitwise(s, a.name); err != nil {
			return nil, true, err
		}
		out, ok := plainMethod(s, a.name)
		if t, is := out.(string); is {
			return out, ok, r.charge(len(t))
		}
		return out, ok, nil
	case 1:
		return r.stringMethod1(s, a, args)
	case 2:
		return r.stringMethod2(s, a, args)
	}
	return nil, false, nil
}

// unitwise accounts for methods that look at a text unit by unit.
func (r *run) unitwise(s, name string) error {
	switch name {
	case "hashCode":
		return r.work(len(s) / 16)
	case "toCharArray":
		return r.charge(16 * len(s))
	}
	return nil
}

// plainMethod has the methods without arguments.
func plainMethod(s, name string) (any, bool) {
	switch name {
	case "length":
		return int64(length(s)), true
	case "isEmpty":
		return s == "", true
	case "isBlank":
		return strings.TrimFunc(s, unicode.IsSpace) == "", true
	case "toString", "intern":
		return s, true
	case "toLowerCase":
		return strings.ToLower(s), true
	case "toUpperCase":
		return strings.ToUpper(s), true
	case "trim":
		return strings.TrimFunc(s, func(c rune) bool { return c <= ' ' }), true
	case "strip":
		return strings.TrimFunc(s, unicode.IsSpace), true
	case "hashCode":
		return hash(s), true
	case "toCharArray":
		l := &jsonpath.List{}
		for _, c := range s {
			l.Items = append(l.Items, string(c))
		}
		return l, true
	}
	return nil, false
}

func (r *run) stringMethod1(s string, a *access, args []any) (any, bool, error) {
	if n, ok := intArg(args, 0); ok {
		return r.indexed(s, a.name, n)
	}
	t, ok := textArg(args, 0)
	if a.name == "equals" {
		return ok && s == t, true, nil
	}
	if a.name == "valueOf" {
		out, err := r.text(args[0])
		return out, true, err
	}
	if !ok {
		return nil, false, nil
	}
	switch a.name {
	case "contains":
		return strings.Contains(s, t), true, nil
	case "startsWith":
		return strings.HasPrefix(s, t), true, nil
	case "endsWith":
		return strings.HasSuffix(s, t), true, nil
	case "equalsIgnoreCase":
		return strings.EqualFold(s, t), true, nil
	case "indexOf":
		return unit(s, strings.Index(s, t)), true, nil
	case "lastIndexOf":
		return unit(s, strings.LastIndex(s, t)), true, nil
	case "compareTo", "compareToIgnoreCase":
		if err := r.work((len(s) + len(t)) / 16); err != nil {
			return nil, true, err
		}
		if a.name == "compareToIgnoreCase" {
			s, t = strings.ToLower(s), strings.ToLower(t)
		}
		return compareUnits(units(s), units(t)), true, nil
	case "concat":
		return s + t, true, r.charge(len(s) + len(t))
	case "matches":
		re, err := r.pattern(wholePattern(t), s, a.re)
		if err != nil {
			return nil, true, err
		}
		return re.MatchString(s), true, nil
	case "split":
		return r.split(s, t, a, 0)
	}
	return nil, false, nil
}

// indexed has the methods of one number.
func (r *run) indexed(s, name string, n int) (any, bool, error) {
	switch name {
	case "substring":
		out, ok := cut(s, n, length(s))
		if !ok {
			return nil, true, outOfRange("substring", n)
		}
		return out, true, r.charge(len(out))
	case "charAt", "codePointAt":
		out, ok := cut(s, n, n+1)
		if !ok || out == "" {
			return nil, true, outOfRange(name, n)
		}
		if name == "codePointAt" {
			c, _ := utf8.DecodeRuneInString(s[at(s, n):])
			return int64(c), true, nil
		}
		return out, true, nil
	case "repeat":
		if n < 0 || len(s) > 0 && n > r.limits.Memory/len(s) {
			return nil, true, &LimitError{"makes too much text on the way"}
		}
		if err := r.charge(n * len(s)); err != nil {
			return nil, true, err
		}
		return strings.Repeat(s, n), true, nil
	case "indexOf":
		return unit(s, strings.IndexRune(s, rune(n))), true, nil
	case "valueOf":
		out, err := r.text(int64(n))
		return out, true, err
	case "equals":
		return false, true, nil
	}
	return nil, false, nil
}

func outOfRange(name string, n int) error {
	text, _ := jsonpath.AppendText(nil, int64(n), 100)
	return &RenderError{Message: "String." + name + ": index out of range: " + string(text)}
}

// compareUnits is String.compareTo: the difference of the first units that differ.
func compareUnits(a, b []uint16) int64 {
	for i := 0; i < min(len(a), len(b)); i++ {
		if a[i] != b[i] {
			return int64(a[i]) - int64(b[i])
		}
	}
	return int64(len(a) - len(b))
}

func (r *run) stringMethod2(s string, a *access, args []any) (any, bool, error) {
	from, isInt := intArg(args, 0)
	if to, ok := intArg(args, 1); ok && isInt {
		if a.name != "substring" {
			return nil, false, nil
		}
		out, ok := cut(s, from, to)
		if !ok {
			return nil, true, outOfRange("substring", to)
		}
		return out, true, r.charge(len(out))
	}
	t, ok := textArg(args, 0)
	if !ok {
		return nil, false, nil
	}
	if n, ok := intArg(args, 1); ok {
		switch a.name {
		case "indexOf":
			o := min(at(s, n), len(s))
			if i := strings.Index(s[o:], t); i >= 0 {
				return unit(s, o+i), true, nil
			}
			return int64(-1), true, nil
		case "lastIndexOf":
			if n < 0 {
				return int64(-1), true, nil
			}
			o := min(at(s, n)+len(t), len(s))
			return unit(s, strings.LastIndex(s[:o], t)), true, nil
		case "startsWith":
			return n >= 0 && n <= length(s) && strings.HasPrefix(s[at(s, n):], t), true, nil
		case "split":
			return r.split(s, t, a, n)
		}
		return nil, false, nil
	}
	with, ok := textArg(args, 1)
	if !ok {
		return nil, false, nil
	}
	switch a.name {
	case "replace":
		if err := r.charge(len(s) + (strings.Count(s, t)+1)*len(with)); err != nil {
			return nil, true, err
		}
		return strings.ReplaceAll(s, t, with), true, nil
	case "replaceAll", "replaceFirst":
		re, err := r.pattern(t, s, a.re)
		if err != nil {
			return nil, true, err
		}
		out, err := r.replace(s, re, with, a.name == "replaceAll")
		return out, true, err
	}
	return nil, false, nil
}
