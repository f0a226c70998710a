package jsonpath

import (
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"
)

// AppendJSON writes v as compact JSON. It fails with a [*LimitError] when dst would
// grow beyond limit bytes or v is nested too deeply (a list may hold itself).
func AppendJSON(dst []byte, v any, limit int) ([]byte, error) {
	return appendJSON(dst, v, limit, false, 0)
}

// AppendText writes v as Java prints it: {a=1, b=[x, y]}; an array that came from a
// document prints itself as JSON, with "/" escaped as json-smart does. Limits are
// those of [AppendJSON].
func AppendText(dst []byte, v any, limit int) ([]byte, error) { return appendText(dst, v, limit, 0) }

// Texter is a value that prints itself as Java would, values in it by [AppendTextAt]
// with the depth that it was given: it may hold itself.
type Texter interface {
	AppendText(dst []byte, limit, depth int) ([]byte, error)
}

// AppendTextAt is [AppendText] of a value inside another one.
func AppendTextAt(dst []byte, v any, limit, depth int) ([]byte, error) {
	return appendText(dst, v, limit, depth)
}

func overflow(dst []byte, limit, depth int) error {
	if len(dst) > limit {
		return &LimitError{"the text is too long"}
	}
	if depth > MaxDepth {
		return &LimitError{"the value is nested too deeply"}
	}
	return nil
}

func appendText(dst []byte, v any, limit, depth int) ([]byte, error) {
	if err := overflow(dst, limit, depth); err != nil {
		return dst, err
	}
	var err error
	switch v := v.(type) {
	case string:
		dst = append(dst, v...)
		return dst, overflow(dst, limit, depth)
	case *Map:
		dst = append(dst, '{')
		for i, key := range v.keys {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(append(dst, key...), '=')
			if dst, err = appendText(dst, v.values[i], limit, depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case *List:
		if v.JSON {
			return appendJSON(dst, v, limit, true, depth)
		}
		dst = append(dst, '[')
		for i, item := range v.Items {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			if dst, err = appendText(dst, item, limit, depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case Texter:
		return v.AppendText(dst, limit, depth+1)
	}
	return appendScalar(dst, v), nil
}

func appendJSON(dst []byte, v any, limit int, slash bool, depth int) ([]byte, error) {
	if err := overflow(dst, limit, depth); err != nil {
		return dst, err
	}
	var err error
	switch v := v.(type) {
	case string:
		dst = appendQuoted(dst, v, slash)
		return dst, overflow(dst, limit, depth)
	case *Map:
		dst = append(dst, '{')
		for i, key := range v.keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendQuoted(dst, key, slash), ':')
			if dst, err = appendJSON(dst, v.values[i], limit, slash, depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case *List:
		dst = append(dst, '[')
		for i, item := range v.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendJSON(dst, item, limit, slash, depth+1); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case nil, bool, int64, float64, *big.Int, Decimal:
		return appendScalar(dst, v), nil
	}
	return append(dst, "null"...), nil
}

func appendScalar(dst []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(dst, v)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float64:
		return AppendDouble(dst, v)
	case *big.Int:
		return v.Append(dst, 10)
	case Decimal:
		return append(dst, v...)
	case interface{ String() string }:
		return append(dst, v.String()...)
	}
	return append(dst, "null"...)
}

// AppendDouble writes f as Java's Double.toString does: at least one digit after the
// point, and an exponent below 10^-3 and from 10^7 on.
func AppendDouble(dst []byte, f float64) []byte {
	switch a := math.Abs(f); {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case a == 0 || a >= 1e-3 && a < 1e7:
		from := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		for _, c := range dst[from:] {
			if c == '.' {
				return dst
			}
		}
		return append(dst, ".0"...)
	}
	text := strconv.AppendFloat(nil, f, 'e', -1, 64) // 1.5e+07
	point := false
	for i, c := range text {
		if point = point || c == '.'; c != 'e' {
			continue
		}
		dst = append(dst, text[:i]...)
		if !point {
			dst = append(dst, ".0"...)
		}
		exponent, _ := strconv.Atoi(string(text[i+1:]))
		return strconv.AppendInt(append(dst, 'E'), int64(exponent), 10)
	}
	return append(dst, text...)
}

const hexDigits = "0123456789ABCDEF"

func appendQuoted(dst []byte, s string, slash bool) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == '"' || c == '\\' || slash && c == '/':
				dst = append(dst, '\\', c)
			case c >= ' ' && c < 0x7f:
				dst = append(dst, c)
			default:
				dst = appendControl(dst, c)
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if r >= 0x80 && r <= 0x9f || r >= 0x2000 && r <= 0x20ff {
			dst = append(dst, '\\', 'u', hexDigits[r>>12], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			continue
		}
		dst = utf8.AppendRune(dst, r)
	}
	return append(dst, '"')
}

func appendControl(dst []byte, c byte) []byte {
	switch c {
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
