package logs

import (
	"encoding/json"
	"strconv"
	"strings"

	"moat/internal/wire"
)

// condition is a compiled part of a JSON pattern.
type condition func(doc any) bool

// compileJSON compiles { $.a.b = "x" && ($.n > 3 || $.list[0] IS NULL) }. A message
// that is no JSON object or list never matches.
func compileJSON(pattern string) (func(string) bool, error) {
	p := &jsonPattern{rest: pattern}
	p.expect("{")
	c := p.or(0)
	p.expect("}")
	if p.err == nil && p.rest != "" {
		p.fail()
	}
	if p.err != nil {
		return nil, p.err
	}
	return func(message string) bool {
		d := json.NewDecoder(strings.NewReader(message))
		d.UseNumber()
		var doc any
		if d.Decode(&doc) != nil {
			return false
		}
		return c(doc)
	}, nil
}

// jsonPattern is a parser by recursive descent; after an error it stands still.
type jsonPattern struct {
	rest string
	err  error
}

const maxNesting = 20

func (p *jsonPattern) fail() {
	if p.err == nil {
		p.err = invalid("Invalid filter pattern")
	}
	p.rest = ""
}

// accept reads a token when it comes next.
func (p *jsonPattern) accept(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t")
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = strings.TrimLeft(rest, " \t")
	}
	return ok
}

func (p *jsonPattern) expect(token string) {
	if !p.accept(token) {
		p.fail()
	}
}

// keyword reads a word, whatever its case.
func (p *jsonPattern) keyword(word string) bool {
	if len(p.rest) >= len(word) && strings.EqualFold(p.rest[:len(word)], word) {
		return p.accept(p.rest[:len(word)])
	}
	return false
}

func (p *jsonPattern) or(depth int) condition {
	c := p.and(depth)
	for p.err == nil && p.accept("||") {
		a, b := c, p.and(depth)
		c = func(doc any) bool { return a(doc) || b(doc) }
	}
	return c
}

func (p *jsonPattern) and(depth int) condition {
	c := p.single(depth)
	for p.err == nil && p.accept("&&") {
		a, b := c, p.single(depth)
		c = func(doc any) bool { return a(doc) && b(doc) }
	}
	return c
}

func (p *jsonPattern) single(depth int) condition {
	if depth > maxNesting {
		p.fail()
	}
	if p.err == nil && p.accept("(") {
		c := p.or(depth + 1)
		p.expect(")")
		return c
	}
	path := p.selector()
	if p.err != nil {
		return nil
	}
	return p.comparison(path)
}

// comparison reads what stands behind a selector.
func (p *jsonPattern) comparison(path []string) condition {
	switch {
	case p.keyword("NOT EXISTS"):
		return func(doc any) bool { _, ok := lookUp(doc, path); return !ok }
	case p.keyword("IS"):
		return p.is(path)
	}
	for _, op := range []string{"!=", "<=", ">=", "=", "<", ">"} {
		if p.accept(op) {
			return compare(path, op, p.value())
		}
	}
	p.fail()
	return nil
}

func (p *jsonPattern) is(path []string) condition {
	not := p.keyword("NOT")
	var want any
	switch {
	case p.keyword("NULL"):
	case p.keyword("TRUE"):
		want = true
	case p.keyword("FALSE"):
		want = false
	default:
		p.fail()
	}
	return func(doc any) bool {
		v, ok := lookUp(doc, path)
		switch v.(type) {
		case nil, bool:
			return ok && (v == want) != not
		}
		return ok && not
	}
}

// selector reads $.name, $["name"] and $[0], one behind the other.
func (p *jsonPattern) selector() []string {
	p.expect("$")
	var path []string
	for p.err == nil {
		switch {
		case strings.HasPrefix(p.rest, "."):
			end := 1
			for end < len(p.rest) && !strings.ContainsRune(" \t.[]=!<>(){}&|\"", rune(p.rest[end])) {
				end++
			}
			if end == 1 {
				p.fail()
				return nil
			}
			path, p.rest = append(path, p.rest[1:end]), p.rest[end:]
		case strings.HasPrefix(p.rest, "["):
			inside, rest, ok := strings.Cut(p.rest[1:], "]")
			if inside = strings.Trim(strings.TrimSpace(inside), `"'`); !ok || inside == "" {
				p.fail()
				return nil
			}
			path, p.rest = append(path, inside), rest
		default:
			if len(path) == 0 {
				p.fail()
			}
			p.accept("")
			return path
		}
	}
	return nil
}

// value reads text in quotes, a number, or a bare word.
func (p *jsonPattern) value() string {
	if strings.HasPrefix(p.rest, `"`) {
		term, rest, err := quotedTerm(p.rest)
		if err != nil {
			p.fail()
			return ""
		}
		p.rest = rest
		return term
	}
	if strings.HasPrefix(p.rest, "%") {
		p.err = wire.NotImplementedBecause("logs", "FilterLogEvents", "regular expressions in patterns are not supported")
		return ""
	}
	end := strings.IndexAny(p.rest, " \t)}&|")
	if end <= 0 {
		p.fail()
		return ""
	}
	v := p.rest[:end]
	p.rest = p.rest[end:]
	return v
}

// compare tests a value. Numbers compare with numbers; text compares as a whole,
// with * for any characters. A member that is absent passes no test.
func compare(path []string, op, want string) condition {
	number, numeric := strconv.ParseFloat(want, 64)
	return func(doc any) bool {
		v, ok := lookUp(doc, path)
		if !ok {
			return false
		}
		switch v := v.(type) {
		case json.Number:
			have, err := v.Float64()
			if err != nil || numeric != nil {
				return op == "!="
			}
			return ordered(have, number, op)
		case string:
			switch op {
			case "=":
				return glob(v, want)
			case "!=":
				return !glob(v, want)
			}
		}
		return op == "!="
	}
}

func ordered(a, b float64, op string) bool {
	switch op {
	case "=":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case ">":
		return a > b
	case "<=":
		return a <= b
	}
	return a >= b
}

// glob matches text with a pattern in which * stands for any characters.
func glob(s, pattern string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return s == pattern
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

func lookUp(doc any, path []string) (any, bool) {
	for _, name := range path {
		switch v := doc.(type) {
		case map[string]any:
			next, ok := v[name]
			if !ok {
				return nil, false
			}
			doc = next
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			doc = v[i]
		default:
			return nil, false
		}
	}
	return doc, true
}
