package logs

import (
	"encoding/json"
	"slices"
	"strings"
)

// Form is what messages of one kind have in common: the text before, between and behind their
// values. An [Event] of a form holds the values alone, and readers get the whole message.
type Form struct {
	pieces []string
	more   int // bytes of a message beyond those of its values as an array
	// of and fixed are set where some values of another form are the same in all messages: in the
	// place of an open one, fixed has "".
	of    *Form
	fixed []string
}

// NewForm makes a form of the pieces around values: one more than there are values.
func NewForm(pieces ...string) *Form {
	f := &Form{pieces: pieces, more: -len(pieces)} // two brackets and the commas
	if len(pieces) == 1 {
		f.more-- // brackets around nothing
	}
	for _, p := range pieces {
		f.more += len(p)
	}
	return f
}

// Fix makes a form for messages of f in which some values are the same: there is one of values
// for each, in JSON, and "" for those that stay open. A message of the new form holds the open
// values alone. Readers see no difference.
func (f *Form) Fix(values []string) *Form {
	pieces := make([]string, 0, len(f.pieces))
	last := f.pieces[0]
	for i, v := range values {
		if v == "" {
			pieces, last = append(pieces, last), f.pieces[i+1]
			continue
		}
		last += v + f.pieces[i+1]
	}
	out := NewForm(append(pieces, last)...)
	out.of, out.fixed = f, values
	return out
}

// whole gives a message the form that its own was made of.
func (e *event) whole() {
	if e.form == nil || e.form.of == nil {
		return
	}
	b := make([]byte, 0, e.form.more+len(e.Message))
	rest := strings.TrimSuffix(strings.TrimPrefix(e.Message, "["), "]")
	for i, v := range e.form.fixed {
		if v == "" {
			n := valueEnd(rest)
			v, rest = rest[:n], strings.TrimPrefix(rest[n:], ",")
		}
		b = append(append(b, comma(i)), v...)
	}
	e.Message, e.form = string(append(b, ']')), e.form.of
}

func (f *Form) same(g *Form) bool {
	return f == g || f != nil && g != nil && slices.Equal(f.pieces, g.pieces)
}

// message puts values, an array in JSON without blanks, between the pieces.
func (f *Form) message(values string) string {
	var b strings.Builder
	b.Grow(max(0, f.more+len(values)))
	rest := strings.TrimSuffix(strings.TrimPrefix(values, "["), "]")
	for i, p := range f.pieces {
		b.WriteString(p)
		if i == len(f.pieces)-1 {
			break
		}
		n := valueEnd(rest)
		b.WriteString(rest[:n])
		rest = strings.TrimPrefix(rest[n:], ",")
	}
	return b.String()
}

// valueEnd is the length of the JSON value that s begins with.
func valueEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth < 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(s)
}

// messageList is a chunk's messages as they stand in its document, between the brackets of an
// array: strings and, of those that have the chunk's form, arrays of values.
type messageList string

func (l *messageList) UnmarshalJSON(array []byte) error {
	if array[0] != '[' {
		return errDamaged
	}
	*l = messageList(array[1 : len(array)-1])
	return nil
}

// next takes the first message off the list: its text, or its values. ok is false when there is none.
func (l *messageList) next() (text string, formed, ok bool) {
	rest := strings.TrimLeft(string(*l), ", \t\r\n")
	n := valueEnd(rest)
	value := strings.TrimRight(rest[:n], " \t\r\n")
	*l = messageList(rest[n:])
	switch {
	case value == "":
		return "", false, false
	case value[0] == '[':
		return value, true, true
	}
	text, ok = unquote(value)
	return text, false, ok
}

// unquote reads a JSON string.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' {
		return "", false
	}
	inside := s[1 : len(s)-1]
	if strings.IndexByte(inside, '\\') < 0 {
		return inside, true
	}
	b := make([]byte, 0, len(inside))
	for {
		i := strings.IndexByte(inside, '\\')
		if i < 0 {
			return string(append(b, inside...)), true
		}
		if i+1 == len(inside) {
			return "", false
		}
		c := inside[i+1]
		b = append(b, inside[:i]...)
		inside = inside[i+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u': // rare enough
			var whole string
			err := json.Unmarshal([]byte(s), &whole)
			return whole, err == nil
		}
		b = append(b, c)
	}
}
