package jsonpath

import (
	"math/big"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Parse reads one JSON document (RFC 8259). Of members with the same name the last
// one counts. Errors are [*SyntaxError] or [*LimitError].
func Parse(text []byte) (any, error) {
	p := parser{text: text}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.at < len(p.text) {
		return nil, p.wrong("unexpected text after the document")
	}
	return v, nil
}

type parser struct {
	text   []byte
	at     int
	buf    []byte
	values int
}

func (p *parser) wrong(message string) error { return &SyntaxError{p.at, message} }

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) value(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, &LimitError{"the document is nested too deeply"}
	}
	if p.values++; p.values > maxValues {
		return nil, &LimitError{"the document has too many values"}
	}
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.str()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case p.word("true"):
		return true, nil
	case p.word("false"):
		return false, nil
	case p.word("null"):
		return nil, nil
	case p.at >= len(p.text):
		return nil, p.wrong("unexpected end of the document")
	}
	return nil, p.wrong("unexpected character " + strconv.QuoteRune(rune(p.peek())))
}

func (p *parser) word(w string) bool {
	if len(p.text)-p.at >= len(w) && string(p.text[p.at:p.at+len(w)]) == w {
		p.at += len(w)
		return true
	}
	return false
}

func (p *parser) object(depth int) (any, error) {
	m := new(Map)
	p.at++
	for p.space(); p.peek() != '}'; {
		if m.Len() > 0 {
			if p.peek() != ',' {
				return nil, p.wrong("a comma or } is missing in an object")
			}
			p.at++
			p.space()
		}
		if p.peek() != '"' {
			return nil, p.wrong("a member's name in double quotes is missing")
		}
		name, err := p.str()
		if err != nil {
			return nil, err
		}
		if p.space(); p.peek() != ':' {
			return nil, p.wrong("a colon is missing after a member's name")
		}
		p.at++
		p.space()
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		m.Put(name, v)
		p.space()
	}
	p.at++
	return m, nil
}

func (p *parser) array(depth int) (any, error) {
	l := &List{JSON: true}
	p.at++
	for p.space(); p.peek() != ']'; {
		if len(l.Items) > 0 {
			if p.peek() != ',' {
				return nil, p.wrong("a comma or ] is missing in an array")
			}
			p.at++
			p.space()
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, v)
		p.space()
	}
	p.at++
	return l, nil
}

func (p *parser) number() (any, error) {
	start, digits, whole := p.at, 0, true
	if p.peek() == '-' {
		p.at++
	}
	run := func() bool {
		from := p.at
		for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
			p.at++
		}
		digits += p.at - from
		return p.at > from
	}
	zero := p.peek() == '0'
	if from := p.at; !run() || zero && p.at-from > 1 {
		return nil, p.wrong("a number is malformed")
	}
	if p.peek() == '.' {
		p.at++
		if whole = false; !run() {
			return nil, p.wrong("a number is malformed")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if whole = false; !run() {
			return nil, p.wrong("a number is malformed")
		}
	}
	return p.numeral(string(p.text[start:p.at]), digits, whole)
}

// maxDigits bounds a number; Java would carry any length along.
const maxDigits = 1000

func (p *parser) numeral(text string, digits int, whole bool) (any, error) {
	if digits > maxDigits {
		return nil, &LimitError{"a number is too long"}
	}
	if whole {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
		n, ok := new(big.Int).SetString(text, 10)
		if !ok {
			return nil, p.wrong("a number is malformed")
		}
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || digits > 17 {
		return Decimal(text), nil
	}
	return f, nil
}

func (p *parser) str() (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			s := p.text[start:p.at]
			p.at++
			if utf8.Valid(s) {
				return string(s), nil
			}
			return string([]rune(string(s))), nil
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", p.wrong("a control character stands in a string")
		}
		p.at++
	}
	return "", p.wrong("a string does not end")
}

// escaped reads on from the first backslash of a string.
func (p *parser) escaped(start int) (string, error) {
	b := append(p.buf[:0], p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			p.buf = b
			if utf8.Valid(b) {
				return string(b), nil
			}
			return string([]rune(string(b))), nil
		case c < ' ':
			return "", p.wrong("a control character stands in a string")
		case c != '\\':
			b = append(b, c)
			continue
		}
		e := p.peek()
		p.at++
		switch e {
		case '"', '\\', '/':
			b = append(b, e)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, ok := p.hex()
			if !ok {
				return "", p.wrong(`a \u escape is malformed`)
			}
			if utf16.IsSurrogate(r) {
				r = p.pair(r)
			}
			b = utf8.AppendRune(b, r)
		default:
			return "", p.wrong("a string holds an unknown escape")
		}
	}
	return "", p.wrong("a string does not end")
}

func (p *parser) hex() (rune, bool) {
	if len(p.text)-p.at < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.text[p.at:p.at+4]), 16, 32)
	if err != nil {
		return 0, false
	}
	p.at += 4
	return rune(n), true
}

// pair reads the second half of a surrogate pair; a lonely half is the replacement character.
func (p *parser) pair(high rune) rune {
	if len(p.text)-p.at < 6 || p.text[p.at] != '\\' || p.text[p.at+1] != 'u' {
		return utf8.RuneError
	}
	back := p.at
	p.at += 2
	low, ok := p.hex()
	r := utf16.DecodeRune(high, low)
	if !ok || r == utf8.RuneError {
		p.at = back
		return utf8.RuneError
	}
	return r
}
