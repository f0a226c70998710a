package vtl

import (
	"strings"

	"moat/internal/pure/lazyregexp"
)

type parser struct {
	src      string
	at       int
	t        *Template
	depth    int
	text     []byte
	known    map[string]bool // macros that the template defines somewhere
	isString bool
}

// ending is what closed a block of nodes.
type ending uint8

const (
	atEOF ending = iota
	atEnd
	atElse
	atElseIf
)

func (p *parser) wrong(message string) error {
	before := p.src[:min(p.at, len(p.src))]
	line := strings.Count(before, "\n")
	return &ParseError{line + 1, len(before) - strings.LastIndexByte(before, '\n'), message}
}

func (p *parser) deeper() error {
	if p.depth++; p.depth > maxNesting {
		return &LimitError{"nests too deeply"}
	}
	return nil
}

var macroNames = lazyregexp.New(`#\{?macro\}?\s*\(\s*([A-Za-z_][A-Za-z0-9_]*)`)

// template parses all of the source. A whole template may not end in a lone "$" (AWS
// answers 500 then); a string may.
func (p *parser) template(whole bool) ([]node, error) {
	p.isString = !whole
	if p.known == nil {
		p.known = map[string]bool{}
		for _, m := range macroNames.FindAllStringSubmatch(p.src, -1) {
			p.known[m[1]] = true
		}
	}
	nodes, end, err := p.block()
	if err == nil && end != atEOF {
		err = p.wrong("a directive closes what was not opened")
	}
	return nodes, err
}

// flush makes a node of the text read so far.
func (p *parser) flush(nodes []node) []node {
	if len(p.text) > 0 {
		nodes = append(nodes, textNode(p.text))
		p.text = p.text[:0]
	}
	return nodes
}

// block parses nodes up to #end, #else, #elseif or the end of the source.
func (p *parser) block() (nodes []node, end ending, err error) {
	if err := p.deeper(); err != nil {
		return nil, 0, err
	}
	defer func() { p.depth-- }()
	outer := p.text
	p.text = nil
	defer func() { p.text = outer }()
	for p.at < len(p.src) {
		if n := p.setAhead(); n > 0 { // #set takes the blanks before it along
			p.at += n
		}
		switch c := p.src[p.at]; c {
		case '\\':
			nodes, err = p.backslash(nodes)
		case '$':
			nodes, err = p.dollar(nodes, 0)
		case '#':
			nodes, end, err = p.hash(nodes, 0)
			if end != atEOF {
				return p.flush(nodes), end, err
			}
		default:
			n := strings.IndexAny(p.src[p.at:], `\$#`)
			if n < 0 {
				n = len(p.src) - p.at
			}
			p.text = append(p.text, p.src[p.at:p.at+n]...)
			p.at += n
		}
		if err != nil {
			return nil, 0, err
		}
	}
	return p.flush(nodes), atEOF, nil
}

// setAhead counts the blanks before a #set that comes next.
func (p *parser) setAhead() int {
	n := p.at
	for n < len(p.src) && (p.src[n] == ' ' || p.src[n] == '\t') {
		n++
	}
	if n == p.at {
		return 0
	}
	rest, ok := strings.CutPrefix(p.src[n:], "#set")
	if !ok {
		rest, ok = strings.CutPrefix(p.src[n:], "#{set}")
	}
	if ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), "(") {
		return n - p.at
	}
	return 0
}

// backslash reads a run of backslashes. They mean something only before a reference or
// a directive: two are one, and an odd one makes what follows text.
func (p *parser) backslash(nodes []node) ([]node, error) {
	start := p.at
	for p.at < len(p.src) && p.src[p.at] == '\\' {
		p.at++
	}
	n := p.at - start
	if p.at < len(p.src) && p.src[p.at] == '$' {
		return p.dollar(nodes, n)
	}
	if p.at < len(p.src) && p.src[p.at] == '#' {
		if word, length := p.directive(); word != "" && p.isDirective(word) {
			p.escape(n / 2)
			if n%2 == 1 {
				p.text = append(p.text, p.src[p.at:p.at+length]...)
				p.at += length
			}
			return nodes, nil // an even run leaves the directive to the block
		}
	}
	p.text = append(p.text, p.src[start:p.at]...)
	return nodes, nil
}

func (p *parser) escape(n int) {
	for range n {
		p.text = append(p.text, '\\')
	}
}

// dollar reads a reference after n backslashes; what is none is text.
func (p *parser) dollar(nodes []node, n int) ([]node, error) {
	start := p.at
	ref, err := p.reference()
	if err != nil {
		return nil, err
	}
	if ref == nil {
		if p.at = start + 1; p.at == len(p.src) && !p.isString {
			return nil, p.wrong("the template ends in a $")
		}
		p.escape(n)
		p.text = append(p.text, '$')
		return nodes, nil
	}
	p.escape(n / 2)
	if n%2 == 1 {
		p.text = append(p.text, ref.literal...)
		return nodes, nil
	}
	return append(p.flush(nodes), refNode{ref}), nil
}

// directive reads #word or #{word}: the word and the length of it all.
func (p *parser) directive() (word string, n int) {
	rest := p.src[p.at+1:]
	curly := strings.HasPrefix(rest, "{")
	if curly {
		rest = rest[1:]
	}
	end := 0
	for end < len(rest) && (letter(rest[end]) || rest[end] == '@' || end > 0 && digit(rest[end])) {
		end++
	}
	word = rest[:end]
	if !curly {
		return word, end + 1
	}
	if end == len(rest) || rest[end] != '}' {
		return "", 0
	}
	return word, end + 3
}

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

func (p *parser) isDirective(word string) bool {
	switch word {
	case "if", "elseif", "else", "end", "set", "foreach", "macro", "define", "evaluate", "stop", "break", "parse", "include", "literal":
		return true
	}
	return p.isMacro(strings.TrimPrefix(word, "@"))
}

func (p *parser) isMacro(name string) bool { return p.known[name] || p.t.macros[name] != nil }

// gobble skips blanks and one line break: a directive that ends a line takes it along.
func (p *parser) gobble() {
	i := p.at
	for i < len(p.src) && (p.src[i] == ' ' || p.src[i] == '\t') {
		i++
	}
	switch {
	case strings.HasPrefix(p.src[i:], "\r\n"):
		p.at = i + 2
	case i < len(p.src) && (p.src[i] == '\n' || p.src[i] == '\r'):
		p.at = i + 1
	}
}

// slot gives a root reference its place.
func (p *parser) slot(name string) int {
	i, ok := p.t.names[name]
	if !ok {
		i = len(p.t.names)
		p.t.names[name] = i
	}
	return i
}
