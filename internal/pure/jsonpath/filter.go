package jsonpath

import (
	"regexp"
	"slices"
	"strings"
)

// test is a filter's condition on one value.
type test interface {
	holds(e *evaluation, v any) (bool, error)
}

type both struct{ a, b test }
type either struct{ a, b test }
type negation struct{ a test }
type exists struct{ path operand }
type comparison struct {
	op   string
	a, b operand
}

// operand is a constant, or a path from the value at hand (@) or the document ($).
type operand struct {
	constant any
	path     *Path
	root     bool
	pattern  *regexp.Regexp
}

const maxFilterDepth = 50

// filter reads ?(condition).
func (c *compiler) filter() (segment, error) {
	c.at++
	if c.space(); c.peek() != '(' {
		return segment{}, c.wrong("( is missing in a filter")
	}
	c.at++
	outer := c.inner
	c.inner = true
	t, err := c.or()
	c.inner = outer
	if err != nil {
		return segment{}, err
	}
	if c.space(); c.peek() != ')' {
		return segment{}, c.wrong(") is missing in a filter")
	}
	c.at++
	return segment{kind: filter, test: t}, nil
}

func (c *compiler) take(w string) bool {
	c.space()
	if strings.HasPrefix(c.text[c.at:], w) {
		c.at += len(w)
		return true
	}
	return false
}

func (c *compiler) or() (test, error) {
	t, err := c.and()
	for err == nil && c.take("||") {
		var u test
		u, err = c.and()
		t = either{t, u}
	}
	return t, err
}

func (c *compiler) and() (test, error) {
	t, err := c.term()
	for err == nil && c.take("&&") {
		var u test
		u, err = c.term()
		t = both{t, u}
	}
	return t, err
}

func (c *compiler) term() (test, error) {
	if c.depth++; c.depth > maxFilterDepth {
		return nil, &LimitError{"the filter is nested too deeply"}
	}
	defer func() { c.depth-- }()
	c.space()
	switch {
	case c.peek() == '!':
		c.at++
		t, err := c.term()
		return negation{t}, err
	case c.peek() == '(':
		c.at++
		t, err := c.or()
		if err != nil {
			return nil, err
		}
		if c.space(); c.peek() != ')' {
			return nil, c.wrong(") is missing in a filter")
		}
		c.at++
		return t, nil
	}
	a, err := c.operand()
	if err != nil {
		return nil, err
	}
	op := c.operator()
	if op == "" {
		if a.path == nil {
			return nil, c.wrong("an operator is missing in a filter")
		}
		return exists{a}, nil
	}
	b, err := c.operand()
	if err == nil && (op == "=~") != (b.pattern != nil) {
		err = c.wrong("=~ needs a /pattern/")
	}
	return comparison{op, a, b}, err
}

func (c *compiler) operator() string {
	for _, op := range []string{"===", "!==", "==", "!=", "<=", ">=", "<", ">", "=~"} {
		if c.take(op) {
			return strings.Replace(op, "===", "==", 1)
		}
	}
	c.space()
	for _, op := range []string{"subsetof", "contains", "anyof", "noneof", "empty", "size", "nin", "in"} {
		if rest := c.text[c.at:]; len(rest) > len(op) && strings.EqualFold(rest[:len(op)], op) && strings.IndexByte(" [('\"@$tf-0123456789", rest[len(op)]) >= 0 {
			c.at += len(op)
			return op
		}
	}
	return ""
}

func (c *compiler) operand() (operand, error) {
	c.space()
	switch b := c.peek(); {
	case b == '@' || b == '$':
		if c.depth++; c.depth > maxFilterDepth {
			return operand{}, &LimitError{"the filter is nested too deeply"}
		}
		defer func() { c.depth-- }()
		c.at++
		p, err := c.path()
		return operand{path: p, root: b == '$'}, err
	case b == '\'' || b == '"':
		s, err := c.literal()
		return operand{constant: s}, err
	case b == '/':
		return c.pattern()
	case b == '[' || b == '{':
		return c.document()
	}
	start := c.at
	for c.at < len(c.text) && strings.IndexByte(" )&|=!<>,]", c.text[c.at]) < 0 {
		c.at++
	}
	v, err := Parse([]byte(c.text[start:c.at]))
	if err != nil {
		c.at = start
		return operand{}, c.wrong("a value is missing in a filter")
	}
	return operand{constant: v}, nil
}

// document reads a JSON array or object as a constant; quotes may be single.
func (c *compiler) document() (operand, error) {
	start, depth, quote := c.at, 0, byte(0)
	text := []byte{}
	for ; c.at < len(c.text); c.at++ {
		b := c.text[c.at]
		switch {
		case quote != 0 && b == '\\' && c.at+1 < len(c.text):
			text = append(text, b, c.text[c.at+1])
			c.at++
			continue
		case quote != 0 && b == quote:
			quote, b = 0, '"'
		case quote != 0 && b == '"':
			text = append(text, '\\')
		case quote == 0 && (b == '\'' || b == '"'):
			quote, b = b, '"'
		case quote == 0 && (b == '[' || b == '{'):
			depth++
		case quote == 0 && (b == ']' || b == '}'):
			depth--
		}
		text = append(text, b)
		if depth == 0 {
			c.at++
			break
		}
	}
	v, err := Parse(text)
	if err != nil {
		c.at = start
		return operand{}, c.wrong("a constant in a filter is malformed")
	}
	return operand{constant: v}, nil
}

// pattern reads /re/i.
func (c *compiler) pattern() (operand, error) {
	c.at++
	start := c.at
	for c.at < len(c.text) && c.text[c.at] != '/' {
		if c.text[c.at] == '\\' {
			c.at++
		}
		c.at++
	}
	if c.at >= len(c.text) {
		return operand{}, c.wrong("a pattern does not end")
	}
	text := c.text[start:c.at]
	c.at++
	flags := ""
	for ; c.at < len(c.text) && strings.IndexByte("imsx", c.text[c.at]) >= 0; c.at++ {
		if c.text[c.at] != 'x' {
			flags += string(c.text[c.at])
		}
	}
	if flags != "" {
		flags = "(?" + flags + ")"
	}
	re, err := regexp.Compile(flags + `\A(?:` + text + `)\z`)
	if err != nil {
		return operand{}, c.wrong("a pattern is malformed")
	}
	return operand{pattern: re}, nil
}

func (t both) holds(e *evaluation, v any) (bool, error) {
	if ok, err := t.a.holds(e, v); !ok || err != nil {
		return false, err
	}
	return t.b.holds(e, v)
}

func (t either) holds(e *evaluation, v any) (bool, error) {
	if ok, err := t.a.holds(e, v); ok || err != nil {
		return ok, err
	}
	return t.b.holds(e, v)
}

func (t negation) holds(e *evaluation, v any) (bool, error) {
	ok, err := t.a.holds(e, v)
	return !ok && err == nil, err
}

// absent is what a path in a filter gives when it names nothing.
type absent struct{}

func (e *evaluation) operand(o *operand, v any) (any, error) {
	if o.path == nil {
		return o.constant, nil
	}
	if err := e.work(); err != nil {
		return nil, err
	}
	if o.root {
		v = e.root
	}
	out, err := e.find(o.path, v)
	if err == ErrNotFound {
		return absent{}, nil
	}
	return out, err
}

func (t exists) holds(e *evaluation, v any) (bool, error) {
	out, err := e.operand(&t.path, v)
	if l, ok := out.(*List); ok && !t.path.path.definite {
		return len(l.Items) > 0, err
	}
	return out != absent{} && err == nil, err
}

func (t comparison) holds(e *evaluation, v any) (bool, error) {
	a, err := e.operand(&t.a, v)
	if err != nil {
		return false, err
	}
	if t.b.pattern != nil {
		s, ok := a.(string)
		e.steps += len(s) / 64 * len(t.b.pattern.String())
		if err := e.work(); err != nil {
			return false, err
		}
		return ok && t.b.pattern.MatchString(s), nil
	}
	b, err := e.operand(&t.b, v)
	if err != nil {
		return false, err
	}
	return e.compare(t.op, a, b)
}

func (e *evaluation) compare(op string, a, b any) (bool, error) {
	switch op {
	case "==":
		return e.equal(a, b, 0)
	case "!=", "!==":
		ok, err := e.equal(a, b, 0)
		return !ok && err == nil, err
	case "<", "<=", ">", ">=":
		order, ok := CompareNumbers(a, b)
		if s, isS := a.(string); isS && !ok {
			var t string
			if t, ok = b.(string); ok {
				order = strings.Compare(s, t)
			}
		}
		return ok && (order < 0 && op[0] == '<' || order > 0 && op[0] == '>' || order == 0 && len(op) == 2), nil
	case "contains":
		if s, ok := a.(string); ok {
			sub, ok := b.(string)
			return ok && strings.Contains(s, sub), nil
		}
		return e.among(b, a)
	case "in":
		return e.among(a, b)
	case "nin":
		ok, err := e.among(a, b)
		return !ok && err == nil, err
	case "size":
		order, ok := CompareNumbers(size(a), b)
		return ok && order == 0, nil
	case "empty":
		n, ok := size(a).(int64)
		return ok && any(n == 0) == b, nil
	}
	return e.sets(op, a, b)
}

func size(v any) any {
	switch v := v.(type) {
	case string:
		return int64(len([]rune(v)))
	case *List:
		return int64(len(v.Items))
	case *Map:
		return int64(v.Len())
	}
	return nil
}

// sets compares two lists as sets.
func (e *evaluation) sets(op string, a, b any) (bool, error) {
	l, ok := a.(*List)
	if _, isList := b.(*List); !ok || !isList {
		return false, nil
	}
	hits := 0
	for _, item := range l.Items {
		ok, err := e.among(item, b)
		if err != nil {
			return false, err
		}
		if ok {
			hits++
		}
	}
	switch op {
	case "subsetof":
		return hits == len(l.Items), nil
	case "anyof":
		return hits > 0, nil
	}
	return hits == 0, nil
}

func (e *evaluation) among(v, list any) (bool, error) {
	l, ok := list.(*List)
	if !ok {
		return false, nil
	}
	for _, item := range l.Items {
		if ok, err := e.equal(v, item, 0); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// equal compares as Jayway does: a number equals a text that spells it.
func (e *evaluation) equal(a, b any, depth int) (bool, error) {
	if err := e.work(); err != nil {
		return false, err
	}
	if depth > MaxDepth {
		return false, &LimitError{"the value is nested too deeply"}
	}
	if order, ok := CompareNumbers(a, b); ok {
		return order == 0, nil
	}
	switch a := a.(type) {
	case string:
		if s, ok := b.(string); ok {
			return a == s, nil
		}
		if _, ok := Float(b); ok {
			return a == string(appendScalar(nil, b)), nil
		}
		return false, nil
	case *List:
		l, ok := b.(*List)
		if !ok || len(a.Items) != len(l.Items) {
			return false, nil
		}
		return allEqual(slices.Values(a.Items), func(i int, v any) (bool, error) { return e.equal(v, l.Items[i], depth+1) })
	case *Map:
		m, ok := b.(*Map)
		if !ok || a.Len() != m.Len() {
			return false, nil
		}
		return allEqual(slices.Values(a.values), func(i int, v any) (bool, error) {
			w, ok := m.Get(a.keys[i])
			if !ok {
				return false, nil
			}
			return e.equal(v, w, depth+1)
		})
	case nil, bool, absent:
		return a == b, nil
	}
	if s, ok := b.(string); ok {
		return s == string(appendScalar(nil, a)), nil
	}
	return false, nil
}

func allEqual(values func(func(any) bool), same func(int, any) (bool, error)) (bool, error) {
	i := 0
	for v := range values {
		ok, err := same(i, v)
		if !ok || err != nil {
			return false, err
		}
		i++
	}
	return true, nil
}
