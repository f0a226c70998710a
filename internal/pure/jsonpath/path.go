package jsonpath

import (
	"slices"
	"strconv"
	"strings"
)

// Path is a compiled path. It is immutable and safe for concurrent use.
type Path struct {
	steps    []segment
	function string // length, size, ...: applied to what the steps find
	definite bool
}

// Definite reports whether the path names at most one value.
func (p *Path) Definite() bool { return p.definite }

type kind uint8

const (
	member   kind = iota // .name ['name']
	members              // ['a','b']
	element              // [1] [-1]
	elements             // [0,2]
	slice                // [1:3]
	wildcard             // * [*]
	deep                 // ..: what follows, at every depth
	filter               // [?(...)]
)

type segment struct {
	kind     kind
	name     string
	names    []string
	indexes  []int
	from, to *int
	test     test
}

// maxSegments bounds a path's length in steps.
const maxSegments = 200

// Compile reads a path. One that does not begin with $ is taken to begin with "$.".
// Errors are [*SyntaxError] or [*LimitError].
func Compile(text string) (*Path, error) {
	if len(text) > MaxPath {
		return nil, &LimitError{"the path is too long"}
	}
	if text = strings.TrimSpace(text); text == "" {
		return nil, &SyntaxError{0, "the path is empty"}
	}
	if text[0] != '$' && text[0] != '@' {
		text = "$." + text
	}
	c := compiler{text: text, at: 1}
	p, err := c.path()
	if err != nil {
		return nil, err
	}
	if c.at < len(text) {
		return nil, c.wrong("the path goes on where it should end")
	}
	return p, nil
}

type compiler struct {
	text  string
	at    int
	depth int  // of filters
	inner bool // inside a filter a path ends where an operator begins
}

func (c *compiler) wrong(message string) error { return &SyntaxError{c.at, message} }

func (c *compiler) peek() byte {
	if c.at < len(c.text) {
		return c.text[c.at]
	}
	return 0
}

func (c *compiler) space() {
	for c.peek() == ' ' || c.peek() == '\t' || c.peek() == '\n' || c.peek() == '\r' {
		c.at++
	}
}

// path reads what follows $ or @.
func (c *compiler) path() (*Path, error) {
	p := &Path{}
	for c.at < len(c.text) {
		if len(p.steps) > maxSegments {
			return nil, &LimitError{"the path has too many steps"}
		}
		switch c.peek() {
		case '.':
			c.at++
			if c.peek() == '.' {
				c.at++
				p.steps = append(p.steps, segment{kind: deep})
				if c.peek() == '[' {
					continue
				}
			}
			done, err := c.dotted(p)
			if err != nil || done {
				return p, err
			}
		case '[':
			s, err := c.bracket()
			if err != nil {
				return nil, err
			}
			p.steps = append(p.steps, s)
		default:
			if !c.inner {
				return nil, c.wrong("the path goes on where it should end")
			}
			return p, c.ended(p)
		}
	}
	return p, c.ended(p)
}

// ended finishes a path. A union of members at its end gives one object, which makes
// it definite all the same.
func (c *compiler) ended(p *Path) error {
	p.definite = true
	for i := range p.steps {
		k := p.steps[i].kind
		p.definite = p.definite && (k == member || k == element || k == members && i == len(p.steps)-1)
	}
	if n := len(p.steps); n > 0 && p.steps[n-1].kind == deep {
		return c.wrong("a path must not end in ..")
	}
	return nil
}

// dotted reads a name or * after a dot; done says that a function ended the path.
func (c *compiler) dotted(p *Path) (done bool, err error) {
	if c.peek() == '*' {
		c.at++
		p.steps = append(p.steps, segment{kind: wildcard})
		return false, nil
	}
	start := c.at
	for c.at < len(c.text) && !strings.ContainsRune(".[( \t\n\r", rune(c.text[c.at])) && !(c.inner && strings.IndexByte(")=!<>&|~,]", c.text[c.at]) >= 0) {
		c.at++
	}
	name := c.text[start:c.at]
	if name == "" {
		return false, c.wrong("a property's name is missing")
	}
	if c.peek() != '(' {
		p.steps = append(p.steps, segment{kind: member, name: name})
		return false, nil
	}
	c.at++
	if c.space(); c.peek() != ')' {
		return false, c.wrong("functions with arguments are not known")
	}
	c.at++
	if !slices.Contains([]string{"length", "size", "keys", "min", "max", "avg", "sum", "stddev", "first", "last"}, name) {
		return false, c.wrong("the function " + name + "() is not known")
	}
	p.function = name
	return true, c.ended(p)
}

func (c *compiler) bracket() (segment, error) {
	c.at++
	c.space()
	var s segment
	var err error
	switch b := c.peek(); {
	case b == '*':
		c.at++
		s.kind = wildcard
	case b == '\'' || b == '"':
		s, err = c.quoted()
	case b == '?':
		s, err = c.filter()
	default:
		s, err = c.indexes()
	}
	if err != nil {
		return s, err
	}
	if c.space(); c.peek() != ']' {
		return s, c.wrong("] is missing")
	}
	c.at++
	return s, nil
}

func (c *compiler) quoted() (segment, error) {
	var names []string
	for {
		name, err := c.literal()
		if err != nil {
			return segment{}, err
		}
		names = append(names, name)
		if c.space(); c.peek() != ',' {
			break
		}
		c.at++
		c.space()
		if b := c.peek(); b != '\'' && b != '"' {
			return segment{}, c.wrong("a quoted property's name is missing")
		}
	}
	if len(names) == 1 {
		return segment{kind: member, name: names[0]}, nil
	}
	return segment{kind: members, names: names}, nil
}

// literal reads a quoted string; a backslash makes the next character plain.
func (c *compiler) literal() (string, error) {
	quote := c.peek()
	c.at++
	var b []byte
	for c.at < len(c.text) {
		ch := c.text[c.at]
		c.at++
		switch {
		case ch == quote:
			return string(b), nil
		case ch == '\\' && c.at < len(c.text):
			b = append(b, c.text[c.at])
			c.at++
		default:
			b = append(b, ch)
		}
	}
	return "", c.wrong("a quoted text does not end")
}

// indexes reads 1 or 0,2 or 1:3.
func (c *compiler) indexes() (segment, error) {
	first, err := c.integer()
	if err != nil {
		return segment{}, err
	}
	switch c.space(); {
	case c.peek() == ':':
		c.at++
		to, err := c.integer()
		if err == nil && first == nil && to == nil {
			err = c.wrong("a slice needs a bound")
		}
		return segment{kind: slice, from: first, to: to}, err
	case first == nil:
		return segment{}, c.wrong("an index is missing")
	case c.peek() != ',':
		return segment{kind: element, indexes: []int{*first}}, nil
	}
	s := segment{kind: elements, indexes: []int{*first}}
	for c.peek() == ',' {
		c.at++
		n, err := c.integer()
		if err != nil || n == nil {
			return s, c.wrong("an index is missing")
		}
		s.indexes = append(s.indexes, *n)
	}
	return s, nil
}

// integer reads a number; nil when there is none.
func (c *compiler) integer() (*int, error) {
	c.space()
	start := c.at
	for c.at < len(c.text) && (c.text[c.at] == '-' || '0' <= c.text[c.at] && c.text[c.at] <= '9') {
		c.at++
	}
	if start == c.at {
		return nil, nil
	}
	n, err := strconv.ParseInt(c.text[start:c.at], 10, 32)
	if err != nil {
		return nil, c.wrong("an index is malformed")
	}
	c.space()
	i := int(n)
	return &i, nil
}
