package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// ParseJSON reads one JSON value.
func ParseJSON(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	d.UseNumber()
	r := reader{d: d}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text behind the document")
	}
	return v, nil
}

type reader struct {
	d     *json.Decoder
	count int
}

func (r *reader) value(depth int) (any, error) {
	t, err := r.d.Token()
	if err != nil {
		return nil, err
	}
	if r.count++; r.count > MaxValues || depth > MaxDepth {
		return nil, ErrTooLarge
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if delim == '[' {
		list := []any{}
		for r.d.More() {
			v, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := r.d.Token()
		return list, err
	}
	o := &Object{}
	for r.d.More() {
		name, err := r.d.Token()
		if err != nil {
			return nil, err
		}
		key := name.(string)
		if o.Has(key) {
			return nil, fmt.Errorf("the member %q stands twice", key)
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o.Set(key, v)
	}
	_, err = r.d.Token()
	return o, err
}

// Compact writes a value as JSON without spaces.
func Compact(v any) []byte { return write(nil, v, -1) }

// Pretty writes a value as JSON in the form that API Gateway's exports have: two spaces, a
// space on each side of a colon, lists of scalars on one line.
func Pretty(v any) []byte { return write(nil, v, 0) }

// write appends a value. A negative level writes without spaces.
func write(b []byte, v any, level int) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return fmt.Append(b, v)
	case json.Number:
		return append(b, v...)
	case string:
		return quote(b, v)
	case []any:
		return writeList(b, v, level)
	case *Object:
		return writeObject(b, v, level)
	}
	return quote(b, fmt.Sprint(v))
}

func writeList(b []byte, list []any, level int) []byte {
	if len(list) == 0 {
		return append(b, spaced("[ ]", level)...)
	}
	b = append(b, spaced("[ ", level)...)
	for i, e := range list {
		if i > 0 {
			b = append(b, spaced(", ", level)...)
		}
		b = write(b, e, level)
	}
	return append(b, spaced(" ]", level)...)
}

func writeObject(b []byte, o *Object, level int) []byte {
	if o.Len() == 0 {
		return append(b, spaced("{ }", level)...)
	}
	inner := level
	if level >= 0 {
		inner++
	}
	b = append(b, '{')
	for i, k := range o.Keys() {
		if i > 0 {
			b = append(b, ',')
		}
		b = quote(indent(b, inner), k)
		b = append(b, spaced(" : ", level)...)
		b = write(b, o.Get(k), inner)
	}
	return append(indent(b, level), '}')
}

// spaced drops the spaces where none are wanted.
func spaced(s string, level int) string {
	if level >= 0 {
		return s
	}
	return string(bytes.ReplaceAll([]byte(s), []byte(" "), nil))
}

func indent(b []byte, level int) []byte {
	if level < 0 {
		return b
	}
	b = append(b, '\n')
	for range level {
		b = append(b, "  "...)
	}
	return b
}

// quote writes a JSON string. Only what JSON demands is escaped: templates stay readable.
func quote(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && n == 1:
			b = append(b, "\ufffd"...)
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < 0x20 || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe || c == 0xffff: // what YAML cannot hold as it is
			b = append(b, '\\', 'u', hex[c>>12&15], hex[c>>8&15], hex[c>>4&15], hex[c&15])
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return append(b, '"')
}
