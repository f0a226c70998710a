package policy

import (
	"strings"
	"unicode/utf8"
)

// A pattern is kept as text in which two bytes that never occur in UTF-8 stand
// for the wildcards. What a policy variable brings in, and ${*}, ${?} and ${$},
// are then plain text and never match more than themselves.
const (
	anyMany = 0xFE // *
	anyOne  = 0xFF // ?
)

// pattern is one compiled policy value.
type pattern struct {
	text  string // when there are no variables
	wild  bool   // text holds a wildcard
	parts []part // when there are variables
}

// part is literal text or a variable.
type part struct {
	text     string
	variable string // lower-cased key
	written  string // the key as written
	fallback string
	hasFall  bool
}

// compile reads a policy value. variables turns ${...} on (Version 2012-10-17);
// wildcards turns * and ? on.
func compile(s string, variables, wildcards bool) (pattern, bool) {
	var p pattern
	var text strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case variables && c == '$' && i+1 < len(s) && s[i+1] == '{':
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return p, false
			}
			name := s[i+2 : i+end]
			i += end
			if name == "*" || name == "?" || name == "$" {
				text.WriteString(name)
				continue
			}
			v, ok := compileVariable(name)
			if !ok {
				return p, false
			}
			p.parts = append(p.parts, part{text: text.String()}, v)
			text.Reset()
		case wildcards && c == '*':
			text.WriteByte(anyMany)
			p.wild = true
		case wildcards && c == '?':
			text.WriteByte(anyOne)
			p.wild = true
		default:
			text.WriteByte(c)
		}
	}
	if p.parts == nil {
		p.text = text.String()
	} else if text.Len() > 0 {
		p.parts = append(p.parts, part{text: text.String()})
	}
	return p, true
}

// compileVariable reads the inside of ${key} or ${key, 'default'}.
func compileVariable(s string) (part, bool) {
	name, fallback, has := strings.Cut(s, ",")
	name = strings.TrimSpace(name)
	v := part{variable: strings.ToLower(name), written: name, hasFall: has}
	if has {
		fallback = strings.TrimSpace(fallback)
		if len(fallback) < 2 || fallback[0] != '\'' || fallback[len(fallback)-1] != '\'' {
			return v, false
		}
		v.fallback = fallback[1 : len(fallback)-1]
	}
	return v, v.variable != "" && strings.IndexByte(v.variable, ' ') < 0
}

// expand appends the pattern with its variables replaced. It reports false when
// a variable has no single value.
func (p *pattern) expand(b []byte, e *evaluation) ([]byte, bool) {
	for i := range p.parts {
		v := &p.parts[i]
		if v.variable == "" {
			b = append(b, v.text...)
			continue
		}
		value, values := e.lookup(v.variable)
		switch {
		case len(values) == 1:
			value = values[0]
		case len(values) > 1 || value == "" && !v.hasFall:
			return b, false
		case value == "":
			value = v.fallback
		}
		if strings.IndexByte(value, anyMany) >= 0 || strings.IndexByte(value, anyOne) >= 0 {
			return b, false
		}
		b = append(b, value...)
	}
	return b, true
}

// match reports whether s matches; resolved is false when a variable has no
// value, and then nothing matches.
func (p *pattern) match(s string, fold bool, e *evaluation) (matched, resolved bool) {
	if p.parts == nil {
		if !p.wild && !fold {
			return p.text == s, true
		}
		return glob(p.text, s, fold), true
	}
	var buf [256]byte
	b, ok := p.expand(buf[:0], e)
	if !ok {
		return false, false
	}
	return glob(b, s, fold), true
}

// glob matches s against a pattern, in time linear in both for each wildcard.
// A ? takes one character. fold ignores the case of ASCII letters.
func glob[P string | []byte](p P, s string, fold bool) bool {
	i, j := 0, 0
	star, mark := -1, 0
	for j < len(s) {
		if i < len(p) {
			switch c := p[i]; {
			case c == anyMany:
				star, mark = i, j
				i++
				continue
			case c == anyOne:
				_, n := utf8.DecodeRuneInString(s[j:])
				i++
				j += n
				continue
			case c == s[j] || fold && lower(c) == lower(s[j]):
				i++
				j++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		i, j = star+1, mark
	}
	for i < len(p) && p[i] == anyMany {
		i++
	}
	return i == len(p)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// arnPattern is a pattern for an ARN, whose fields match one by one: a wildcard
// never reaches over a colon into the next field, but in the resource field it
// does. Fields left out at the end match anything.
type arnPattern struct {
	all    bool // "*"
	fields [6]pattern
}

func compileARN(s string, variables bool) (arnPattern, bool) {
	if s == "*" {
		return arnPattern{all: true}, true
	}
	var a arnPattern
	for i := range a.fields {
		field, rest, more := cutField(s, variables)
		if i == 5 {
			field, rest, more = s, "", false
		}
		p, ok := compile(field, variables, true)
		if !ok {
			return a, false
		}
		a.fields[i] = p
		if !more {
			for i++; i < len(a.fields); i++ {
				a.fields[i] = pattern{text: string([]byte{anyMany}), wild: true}
			}
			return a, true
		}
		s = rest
	}
	return a, true
}

// cutField cuts at the first colon that does not stand inside of a variable.
func cutField(s string, variables bool) (before, after string, found bool) {
	for i := 0; i < len(s); i++ {
		if variables && strings.HasPrefix(s[i:], "${") {
			if end := strings.IndexByte(s[i:], '}'); end >= 0 {
				i += end
				continue
			}
		}
		if s[i] == ':' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// splitARN returns the six fields of an ARN.
func splitARN(s string) (fields [6]string, ok bool) {
	for i := range 5 {
		if fields[i], s, ok = strings.Cut(s, ":"); !ok {
			return fields, false
		}
	}
	fields[5] = s
	return fields, true
}

// match compares with the fields of an ARN; isARN false means there are none.
func (a *arnPattern) match(fields *[6]string, isARN bool, e *evaluation) (matched, resolved bool) {
	if a.all || !isARN {
		return a.all, true
	}
	for i := range a.fields {
		p := &a.fields[i]
		if len(p.text) == 1 && p.text[0] == anyMany {
			continue
		}
		if m, ok := p.match(fields[i], false, e); !m {
			return false, ok
		}
	}
	return true, true
}
