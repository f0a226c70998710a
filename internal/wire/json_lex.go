package wire

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"moat/internal/pure/jsonstring"
)

func (d *jsonDecoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\r', '\n':
			d.pos++
		default:
			return
		}
	}
}

// peek returns the first byte of the next token, 0 at the end.
func (d *jsonDecoder) peek() byte {
	d.space()
	if d.pos == len(d.data) {
		return 0
	}
	return d.data[d.pos]
}

func (d *jsonDecoder) expect(c byte) error {
	if d.peek() != c {
		return d.syntax()
	}
	d.pos++
	return nil
}

func (d *jsonDecoder) syntax() error {
	if d.pos >= len(d.data) {
		return serialization("Unexpected end of the JSON document")
	}
	return serialization("Unexpected character at byte " + strconv.Itoa(d.pos) + " of the JSON document")
}

func (d *jsonDecoder) enter() error {
	if d.depth++; d.depth > maxDepth {
		return serialization("The JSON document nests more than " + strconv.Itoa(maxDepth) + " levels")
	}
	d.pos++
	return nil
}

// more steps to the next element of an object or array that began already. first
// says that none was read yet; it tells whether there is one.
func (d *jsonDecoder) more(end byte, first bool) (bool, error) {
	c := d.peek()
	if c == end {
		d.pos++
		d.depth--
		return false, nil
	}
	if first {
		return true, nil
	}
	if c != ',' {
		return false, d.syntax()
	}
	d.pos++
	if d.peek() == end {
		return false, d.syntax()
	}
	return true, nil
}

// number reads a number by RFC 8259 section 6.
func (d *jsonDecoder) number() (string, error) {
	start := d.pos
	digits := func() bool {
		from := d.pos
		for d.pos < len(d.data) && d.data[d.pos] >= '0' && d.data[d.pos] <= '9' {
			d.pos++
		}
		return d.pos > from
	}
	at := func(set string) bool {
		if d.pos < len(d.data) {
			for i := range len(set) {
				if d.data[d.pos] == set[i] {
					d.pos++
					return true
				}
			}
		}
		return false
	}
	at("-")
	if !at("0") && !digits() {
		return "", d.syntax()
	}
	if at(".") && !digits() {
		return "", d.syntax()
	}
	if at("eE") {
		at("+-")
		if !digits() {
			return "", d.syntax()
		}
	}
	return string(d.data[start:d.pos]), nil
}

// text reads a string by RFC 8259 section 7. The caller copies what it keeps.
func (d *jsonDecoder) text() ([]byte, error) {
	d.pos++
	start, ascii := d.pos, true
	for {
		d.pos += jsonstring.Plain(d.data[d.pos:])
		if d.pos == len(d.data) {
			return nil, d.syntax()
		}
		switch c := d.data[d.pos]; {
		case c == '"':
			raw := d.data[start:d.pos]
			if !ascii && !utf8.Valid(raw) {
				return nil, serialization("The JSON document is not UTF-8")
			}
			d.pos++
			return raw, nil
		case c == '\\':
			return d.escapedText(start)
		case c < ' ':
			return nil, d.syntax()
		}
		ascii = false
		d.pos++
	}
}

// escapedText continues a string that began at start, at its first escape.
func (d *jsonDecoder) escapedText(start int) ([]byte, error) {
	out := append([]byte(nil), d.data[start:d.pos]...)
	for d.pos < len(d.data) {
		c := d.data[d.pos]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return nil, serialization("The JSON document is not UTF-8")
			}
			d.pos++
			return out, nil
		case c < ' ':
			return nil, d.syntax()
		case c != '\\':
			out = append(out, c)
			d.pos++
			continue
		}
		var ok bool
		if out, ok = d.escape(out); !ok {
			return nil, d.syntax()
		}
	}
	return nil, d.syntax()
}

// escape reads one escape sequence and appends what it stands for.
func (d *jsonDecoder) escape(out []byte) ([]byte, bool) {
	if d.pos+1 >= len(d.data) {
		return out, false
	}
	c := d.data[d.pos+1]
	d.pos += 2
	switch c {
	case '"', '\\', '/':
		return append(out, c), true
	case 'b':
		return append(out, '\b'), true
	case 'f':
		return append(out, '\f'), true
	case 'n':
		return append(out, '\n'), true
	case 'r':
		return append(out, '\r'), true
	case 't':
		return append(out, '\t'), true
	case 'u':
		r, ok := d.hex4()
		if !ok {
			return out, false
		}
		if !utf16.IsSurrogate(r) {
			return utf8.AppendRune(out, r), true
		}
		if d.pos+2 > len(d.data) || d.data[d.pos] != '\\' || d.data[d.pos+1] != 'u' {
			return out, false
		}
		d.pos += 2
		low, ok := d.hex4()
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return out, false
		}
		return utf8.AppendRune(out, r), true
	}
	return out, false
}

func (d *jsonDecoder) hex4() (rune, bool) {
	if d.pos+4 > len(d.data) {
		return 0, false
	}
	var r rune
	for _, c := range d.data[d.pos : d.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	d.pos += 4
	return r, true
}
