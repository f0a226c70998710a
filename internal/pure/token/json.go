package token

import (
	"encoding/json"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a token's JSON.
const maxDepth = 16

// decodeObject reads one JSON object (RFC 8259) and nothing after it. Names are
// case-sensitive and may appear once; encoding/json would match "ALG" to alg and
// let the last of two equal names win, which is how two readers come to disagree.
// names is how many are expected.
//
// The strings of the result are views of one copy of the text.
func decodeObject(raw []byte, names int) (Claims, error) {
	if !utf8.Valid(raw) {
		return nil, ErrMalformed
	}
	r := reader{in: string(raw)}
	r.space()
	if r.peek() != '{' {
		return nil, ErrMalformed
	}
	v, ok := r.object(0, names)
	if !ok {
		return nil, ErrMalformed
	}
	r.space()
	if r.at != len(r.in) {
		return nil, ErrMalformed
	}
	return v, nil
}

type reader struct {
	in string
	at int
}

func (r *reader) peek() byte {
	if r.at < len(r.in) {
		return r.in[r.at]
	}
	return 0
}

func (r *reader) space() {
	for r.at < len(r.in) {
		switch r.in[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// next skips white space and consumes c if it is there.
func (r *reader) next(c byte) bool {
	r.space()
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

func (r *reader) object(depth, names int) (map[string]any, bool) {
	r.at++ // {
	out := make(map[string]any, names)
	if r.next('}') {
		return out, true
	}
	for {
		r.space()
		name, ok := r.str()
		if !ok || !r.next(':') {
			return nil, false
		}
		if _, twice := out[name]; twice {
			return nil, false
		}
		v, ok := r.value(depth + 1)
		if !ok {
			return nil, false
		}
		out[name] = v
		if r.next('}') {
			return out, true
		}
		if !r.next(',') {
			return nil, false
		}
	}
}

func (r *reader) array(depth int) ([]any, bool) {
	r.at++ // [
	out := []any{}
	if r.next(']') {
		return out, true
	}
	for {
		v, ok := r.value(depth + 1)
		if !ok {
			return nil, false
		}
		out = append(out, v)
		if r.next(']') {
			return out, true
		}
		if !r.next(',') {
			return nil, false
		}
	}
}

func (r *reader) value(depth int) (any, bool) {
	if depth > maxDepth {
		return nil, false
	}
	r.space()
	switch c := r.peek(); c {
	case '{':
		v, ok := r.object(depth, 0)
		return v, ok
	case '[':
		v, ok := r.array(depth)
		return v, ok
	case '"':
		return r.str()
	case 't':
		return true, r.word("true")
	case 'f':
		return false, r.word("false")
	case 'n':
		return nil, r.word("null")
	default:
		return r.number()
	}
}

func (r *reader) word(w string) bool {
	if len(r.in)-r.at < len(w) || r.in[r.at:r.at+len(w)] != w {
		return false
	}
	r.at += len(w)
	return true
}

func (r *reader) digits() bool {
	start := r.at
	for r.at < len(r.in) && r.in[r.at] >= '0' && r.in[r.at] <= '9' {
		r.at++
	}
	return r.at > start
}

func (r *reader) number() (any, bool) {
	start := r.at
	if r.peek() == '-' {
		r.at++
	}
	if r.peek() == '0' {
		r.at++
	} else if !r.digits() {
		return nil, false
	}
	if r.peek() == '.' {
		r.at++
		if !r.digits() {
			return nil, false
		}
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		if !r.digits() {
			return nil, false
		}
	}
	return json.Number(r.in[start:r.at]), true
}

// str reads a string. Plain ones, nearly all, are cut out; one with an escape is
// left to encoding/json, which knows surrogates.
func (r *reader) str() (string, bool) {
	if r.peek() != '"' {
		return "", false
	}
	start := r.at
	escaped := false
	for r.at++; r.at < len(r.in); r.at++ {
		switch c := r.in[r.at]; {
		case c == '\\':
			escaped = true
			r.at++
		case c < 0x20:
			return "", false
		case c == '"':
			r.at++
			if !escaped {
				return r.in[start+1 : r.at-1], true
			}
			return unescape([]byte(r.in[start:r.at]))
		}
	}
	return "", false
}

func unescape(quoted []byte) (string, bool) {
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return "", false
	}
	return s, true
}
