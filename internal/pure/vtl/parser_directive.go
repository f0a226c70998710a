package vtl

import "strings"

// hash reads what begins with #: a comment, a directive, or text.
func (p *parser) hash(nodes []node, _ int) ([]node, ending, error) {
	rest := p.src[p.at:]
	switch {
	case strings.HasPrefix(rest, "##"):
		n := strings.IndexAny(rest, "\r\n")
		if n < 0 {
			p.at = len(p.src)
			return nodes, atEOF, nil
		}
		if p.at += n + 1; strings.HasPrefix(rest[n:], "\r\n") {
			p.at++
		}
		return nodes, atEOF, nil
	case strings.HasPrefix(rest, "#*"):
		n := strings.Index(rest[2:], "*#")
		if n < 0 {
			return nil, atEOF, p.wrong("a comment does not end")
		}
		p.at += n + 4
		return nodes, atEOF, nil
	case strings.HasPrefix(rest, "#[["):
		n := strings.Index(rest, "]]#")
		if n < 0 {
			return nil, atEOF, p.wrong("#[[ does not end")
		}
		p.text = append(p.text, rest[3:n]...)
		p.at += n + 3
		return nodes, atEOF, nil
	}
	word, n := p.directive()
	if word == "" {
		p.text = append(p.text, '#')
		p.at++
		return nodes, atEOF, nil
	}
	start := p.at
	p.at += n
	switch word {
	case "end":
		p.gobble()
		return nodes, atEnd, nil
	case "else":
		p.gobble()
		return nodes, atElse, nil
	case "elseif":
		return nodes, atElseIf, nil
	}
	node, err := p.named(word, start)
	if err != nil {
		return nil, atEOF, err
	}
	if node == nil {
		p.at = start + n
		p.text = append(p.text, p.src[start:p.at]...)
		return nodes, atEOF, nil
	}
	if _, ok := node.(nothing); ok {
		return nodes, atEOF, nil
	}
	return append(p.flush(nodes), node), atEOF, nil
}

// nothing is a directive that leaves no node, as #macro.
type nothing struct{}

func (nothing) render(*run) error { return nil }

// named parses a directive after its word; nil when it is only text after all.
func (p *parser) named(word string, start int) (node, error) {
	switch word {
	case "if":
		return p.ifDirective()
	case "stop":
		return controlNode{errStop}, nil
	case "break":
		if p.open() {
			for p.at < len(p.src) && p.src[p.at] != ')' {
				p.at++
			}
			if err := p.closing(); err != nil {
				return nil, err
			}
		}
		return controlNode{errBreak}, nil
	case "parse", "include":
		return controlNode{&RenderError{Message: "#" + word + ": there are no other templates"}}, nil
	case "set", "foreach", "define", "evaluate", "macro", "literal":
		if !p.open() {
			if word == "macro" {
				return nil, p.wrong("#macro needs a name in brackets")
			}
			return nil, nil
		}
	}
	switch word {
	case "set":
		return p.setDirective()
	case "foreach":
		return p.foreachDirective()
	case "define":
		return p.defineDirective()
	case "macro":
		return p.macroDirective()
	case "evaluate":
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		return &evaluateNode{e}, p.closing()
	case "literal":
		return nil, p.wrong("#literal is not known: use #[[ ]]#")
	}
	if p.isMacro(strings.TrimPrefix(word, "@")) {
		return p.call(word, start)
	}
	return nil, nil
}

// open reads blanks and an opening bracket.
func (p *parser) open() bool {
	back := p.at
	if p.space(); p.at < len(p.src) && p.src[p.at] == '(' {
		p.at++
		return true
	}
	p.at = back
	return false
}

// closing reads the closing bracket of a directive, and the end of its line.
func (p *parser) closing() error {
	if p.space(); !p.take(")") {
		return p.wrong(") is missing")
	}
	p.gobble()
	return nil
}

func (p *parser) ifDirective() (node, error) {
	n := &ifNode{}
	end := atElseIf
	for end != atEnd {
		var b branch
		if end == atElseIf {
			if !p.open() {
				return nil, p.wrong("( is missing after #if")
			}
			var err error
			if b.when, err = p.expression(); err != nil {
				return nil, err
			}
			if err := p.closing(); err != nil {
				return nil, err
			}
		}
		last := end == atElse
		var err error
		if b.body, end, err = p.block(); err != nil {
			return nil, err
		}
		if end == atEOF {
			return nil, p.wrong("#end of #if is missing")
		}
		if last && end != atEnd {
			return nil, p.wrong("nothing but #end can follow #else")
		}
		n.branches = append(n.branches, b)
	}
	return n, nil
}

func (p *parser) setDirective() (node, error) {
	p.space()
	target, err := p.reference()
	if err != nil {
		return nil, err
	}
	if target == nil {
		return nil, p.wrong("#set needs a reference")
	}
	if p.space(); !p.take("=") {
		return nil, p.wrong("= is missing in #set")
	}
	value, err := p.expression()
	if err != nil {
		return nil, err
	}
	return &setNode{target, value}, p.closing()
}

func (p *parser) foreachDirective() (node, error) {
	p.space()
	item, err := p.reference()
	if err != nil {
		return nil, err
	}
	if item == nil || len(item.path) > 0 {
		return nil, p.wrong("#foreach needs a reference")
	}
	if p.space(); !p.take("in") {
		return nil, p.wrong("in is missing in #foreach")
	}
	n := &foreachNode{slot: item.slot, loopSlot: p.slot("foreach"), countSlot: p.slot("velocityCount"), nextSlot: p.slot("velocityHasNext")}
	if n.list, err = p.expression(); err != nil {
		return nil, err
	}
	if err := p.closing(); err != nil {
		return nil, err
	}
	n.body, err = p.body("#foreach")
	return n, err
}

// body parses up to #end.
func (p *parser) body(of string) ([]node, error) {
	nodes, end, err := p.block()
	if err == nil && end != atEnd {
		err = p.wrong("#end of " + of + " is missing")
	}
	return nodes, err
}

func (p *parser) defineDirective() (node, error) {
	p.space()
	ref, err := p.reference()
	if err != nil {
		return nil, err
	}
	if ref == nil || len(ref.path) > 0 {
		return nil, p.wrong("#define needs a reference")
	}
	if err := p.closing(); err != nil {
		return nil, err
	}
	body, err := p.body("#define")
	return &defineNode{ref.slot, &block{body}}, err
}

// macroDirective registers a macro; it is known in the whole template. The first of
// two with one name counts, as in Velocity.
func (p *parser) macroDirective() (node, error) {
	p.space()
	start := p.at
	for p.at < len(p.src) && (letter(p.src[p.at]) || digit(p.src[p.at])) {
		p.at++
	}
	name := p.src[start:p.at]
	if name == "" {
		return nil, p.wrong("#macro needs a name")
	}
	m := &macro{}
	for {
		if p.space(); p.take(",") {
			p.space()
		}
		if p.at >= len(p.src) || p.src[p.at] != '$' {
			break
		}
		ref, err := p.reference()
		if err != nil {
			return nil, err
		}
		if ref == nil || len(ref.path) > 0 {
			return nil, p.wrong("a macro's parameter must be a reference")
		}
		m.params = append(m.params, ref.slot)
	}
	if err := p.closing(); err != nil {
		return nil, err
	}
	var err error
	if m.body, err = p.body("#macro"); err != nil {
		return nil, err
	}
	if p.t.macros[name] == nil {
		p.t.macros[name] = m
	}
	return nothing{}, nil
}

// call parses #name(arguments), or #@name(arguments) body #end.
func (p *parser) call(word string, start int) (node, error) {
	n := &macroNode{t: p.t, name: strings.TrimPrefix(word, "@"), content: p.slot("bodyContent")}
	if p.open() {
		for {
			if p.space(); p.take(",") {
				p.space()
			}
			if p.at < len(p.src) && p.src[p.at] == ')' {
				break
			}
			e, err := p.primary()
			if err != nil {
				return nil, err
			}
			n.args = append(n.args, e)
		}
		if err := p.closing(); err != nil {
			return nil, err
		}
	}
	n.literal = p.src[start:p.at]
	if strings.HasPrefix(word, "@") {
		body, err := p.body(word)
		if err != nil {
			return nil, err
		}
		n.body = &block{body}
	}
	return n, nil
}
