package vtl

import (
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"moat/internal/pure/lazyregexp"
)

func (p *parser) space() {
	for p.at < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.src[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

// word takes a word that no identifier continues.
func (p *parser) word(w string) bool {
	rest, ok := strings.CutPrefix(p.src[p.at:], w)
	if !ok || rest != "" && (letter(rest[0]) || digit(rest[0])) {
		return false
	}
	p.at += len(w)
	return true
}

// operators by precedence, loosest first; words are spelled out beside their signs.
func operatorsAt(level int) [][2]string {
	switch level {
	case 0:
		return [][2]string{{"||", "or"}}
	case 1:
		return [][2]string{{"&&", "and"}}
	case 2:
		return [][2]string{{"==", "eq"}, {"!=", "ne"}}
	case 3:
		return [][2]string{{"<=", "le"}, {">=", "ge"}, {"<", "lt"}, {">", "gt"}}
	case 4:
		return [][2]string{{"+", ""}, {"-", ""}}
	}
	return [][2]string{{"*", ""}, {"/", ""}, {"%", ""}}
}

const unaryLevel = 6

func (p *parser) expression() (expr, error) { return p.binary(0) }

func (p *parser) binary(level int) (expr, error) {
	if level == unaryLevel {
		return p.unary()
	}
	a, err := p.binary(level + 1)
	for err == nil {
		op := p.operator(level)
		if op == "" {
			return a, nil
		}
		var b expr
		if b, err = p.binary(level + 1); err != nil {
			break
		}
		if level < 2 {
			a = &logicExpr{level == 1, a, b}
		} else {
			a = &binaryExpr{op, a, b}
		}
		if err = p.deeper(); err != nil { // a chain is a deep tree
			break
		}
		defer func() { p.depth-- }()
	}
	return nil, err
}

func (p *parser) operator(level int) string {
	p.space()
	for _, op := range operatorsAt(level) {
		if p.take(op[0]) || op[1] != "" && p.word(op[1]) {
			return op[0]
		}
	}
	return ""
}

func (p *parser) unary() (expr, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	p.space()
	if p.take("!") || p.word("not") {
		x, err := p.unary()
		return notExpr{x}, err
	}
	if rest := p.src[p.at:]; strings.HasPrefix(rest, "-$") || strings.HasPrefix(rest, "-(") {
		p.at++
		x, err := p.primary()
		return &binaryExpr{"-", constant{int64(0)}, x}, err
	}
	return p.primary()
}

func (p *parser) primary() (expr, error) {
	if err := p.deeper(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if p.space(); p.at >= len(p.src) {
		return nil, p.wrong("a value is missing")
	}
	switch c := p.src[p.at]; {
	case c == '$':
		ref, err := p.reference()
		if err == nil && ref == nil {
			err = p.wrong("a reference is malformed")
		}
		return ref, err
	case c == '"' || c == '\'':
		return p.quoted()
	case c == '[':
		return p.list()
	case c == '{':
		return p.mapping()
	case c == '(':
		p.at++
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		if p.space(); !p.take(")") {
			return nil, p.wrong(") is missing")
		}
		return e, nil
	case digit(c) || c == '-' || c == '.':
		return p.number()
	case p.word("true"):
		return constant{true}, nil
	case p.word("false"):
		return constant{false}, nil
	case p.word("null"):
		return constant{nil}, nil
	}
	return nil, p.wrong("a value is missing")
}

var numeral = lazyregexp.New(`^-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?`)

func (p *parser) number() (expr, error) {
	text := numeral.FindString(p.src[p.at:])
	if text == "" {
		return nil, p.wrong("a number is malformed")
	}
	p.at += len(text)
	if rest := p.src[p.at:]; strings.HasPrefix(rest, ".") && !strings.HasPrefix(rest, "..") && !strings.Contains(text, ".") {
		p.at++ // "1." is a number, "1..2" a range
		text += ".0"
	}
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return constant{n}, nil
		}
		n, ok := new(big.Int).SetString(text, 10)
		if !ok || n.BitLen() > maxBits {
			return nil, p.wrong("a number is too large")
		}
		return constant{n}, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, p.wrong("a number is malformed")
	}
	return constant{f}, nil
}

func (p *parser) list() (expr, error) {
	p.at++
	if p.space(); p.take("]") {
		return listExpr{}, nil
	}
	first, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.space(); p.take("..") {
		to, err := p.expression()
		if err != nil {
			return nil, err
		}
		if p.space(); !p.take("]") {
			return nil, p.wrong("] is missing")
		}
		return rangeExpr{first, to}, nil
	}
	l := listExpr{[]expr{first}}
	for {
		switch p.space(); {
		case p.take("]"):
			return l, nil
		case !p.take(","):
			return nil, p.wrong("a comma or ] is missing in a list")
		}
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, e)
	}
}

func (p *parser) mapping() (expr, error) {
	p.at++
	var m mapExpr
	for {
		p.space()
		if p.take("}") {
			return m, nil
		}
		if len(m.keys) > 0 && !p.take(",") {
			return nil, p.wrong("a comma or } is missing in a map")
		}
		key, err := p.primary()
		if err != nil {
			return nil, err
		}
		if p.space(); !p.take(":") {
			return nil, p.wrong("a colon is missing in a map")
		}
		value, err := p.expression()
		if err != nil {
			return nil, err
		}
		m.keys, m.values = append(m.keys, key), append(m.values, value)
	}
}

// quoted reads a string. Inside double quotes references and directives work; a
// backslash stays (API Gateway shows "a\nb" as it is written), a doubled quote is one.
func (p *parser) quoted() (expr, error) {
	quote := p.src[p.at]
	start := p.at + 1
	i, doubled := start, false
	for ; ; i++ {
		if i >= len(p.src) {
			return nil, p.wrong("a string does not end")
		}
		if quote == '"' && p.src[i] == '\\' && i+1 < len(p.src) {
			i++
			continue
		}
		if p.src[i] != quote {
			continue
		}
		if i+1 < len(p.src) && p.src[i+1] == quote {
			doubled = true
			i++
			continue
		}
		break
	}
	text := p.src[start:i]
	p.at = i + 1
	if doubled {
		text = strings.ReplaceAll(text, string([]byte{quote, quote}), string(quote))
	}
	if quote == '\'' {
		return constant{text}, nil
	}
	text = unescape(text)
	if !strings.ContainsAny(text, "$#") {
		return constant{text}, nil
	}
	inner := &parser{src: text, t: p.t, depth: p.depth, known: p.known}
	nodes, err := inner.template(false)
	if err != nil {
		if e, ok := err.(*ParseError); ok {
			e.Message = "in a string: " + e.Message
		}
		return nil, err
	}
	switch len(nodes) {
	case 0:
		return constant{""}, nil
	case 1:
		if n, ok := nodes[0].(textNode); ok {
			return constant{string(n)}, nil
		}
	}
	return interpolation{nodes}, nil
}

// unescape turns \uXXXX into the character; other escapes stay as they are.
func unescape(s string) string {
	if !strings.Contains(s, `\u`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\u`) && len(s)-i >= 6 {
			if n, err := strconv.ParseUint(s[i+2:i+6], 16, 16); err == nil && utf8.ValidRune(rune(n)) {
				b.WriteRune(rune(n))
				i += 5
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// reference reads $x, $!x, ${x}, $!{x} with what follows; nil when it is none.
func (p *parser) reference() (*reference, error) {
	start := p.at
	if !p.take("$") {
		return nil, nil
	}
	p.take("!")
	curly := p.take("{")
	name := p.identifier()
	if name == "" {
		p.at = start
		return nil, nil
	}
	f := &reference{name: name, slot: p.slot(name)}
	for {
		ok, err := p.access(f)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
	}
	if curly && !p.take("}") {
		return nil, p.wrong("} is missing in a reference")
	}
	f.literal = p.src[start:p.at]
	return f, nil
}

func (p *parser) identifier() string {
	start := p.at
	for p.at < len(p.src) && (letter(p.src[p.at]) || p.at > start && (digit(p.src[p.at]) || p.src[p.at] == '-')) {
		p.at++
	}
	return p.src[start:p.at]
}

// access reads one .property, .method(...) or [index].
func (p *parser) access(f *reference) (bool, error) {
	rest := p.src[p.at:]
	switch {
	case len(rest) > 1 && rest[0] == '.' && letter(rest[1]) && rest[1] != '_':
		p.at++
		a := access{name: p.identifier()}
		if p.at < len(p.src) && p.src[p.at] == '(' && p.arguments() {
			a.method = true
			if err := p.args(&a); err != nil {
				return false, err
			}
		}
		f.path = append(f.path, a)
	case len(rest) > 0 && rest[0] == '[' && p.indexAhead():
		p.at++
		e, err := p.expression()
		if err != nil {
			return false, err
		}
		if p.space(); !p.take("]") {
			return false, p.wrong("] is missing")
		}
		f.path = append(f.path, access{index: e})
	default:
		return false, nil
	}
	if len(f.path) > maxNesting {
		return false, &LimitError{"has too long a reference"}
	}
	return true, nil
}

// arguments reports whether a bracket after a property begins arguments: text such as
// "$a.b(see below)" has a bracket of its own.
func (p *parser) arguments() bool {
	rest := strings.TrimLeft(p.src[p.at+1:], " \t\r\n")
	if rest == "" {
		return false
	}
	return strings.IndexByte(`$"'[{().-!`, rest[0]) >= 0 || digit(rest[0]) || startsWord(rest)
}

func startsWord(rest string) bool {
	for _, w := range []string{"true", "false", "null"} {
		if after, ok := strings.CutPrefix(rest, w); ok && (after == "" || !letter(after[0]) && !digit(after[0])) {
			return true
		}
	}
	return false
}

// indexAhead reports whether [ begins an index and not text.
func (p *parser) indexAhead() bool {
	rest := strings.TrimLeft(p.src[p.at+1:], " \t\r\n")
	return rest != "" && (strings.IndexByte(`$"'-(`, rest[0]) >= 0 || digit(rest[0]) || startsWord(rest))
}

func (p *parser) args(a *access) error {
	p.at++
	if p.space(); p.take(")") {
		return nil
	}
	for {
		e, err := p.expression()
		if err != nil {
			return err
		}
		a.args = append(a.args, e)
		p.space()
		if p.take(")") {
			break
		}
		if !p.take(",") {
			return p.wrong("a comma or ) is missing in a method's arguments")
		}
	}
	return p.ready(a)
}

// ready compiles a constant regular expression once. One that does not compile fails
// when it is used, as in Java.
func (p *parser) ready(a *access) error {
	c, ok := a.args[0].(constant)
	text, isText := c.value.(string)
	if !ok || !isText {
		return nil
	}
	switch a.name {
	case "matches":
		a.re, _ = compilePattern(wholePattern(text))
	case "replaceAll", "replaceFirst", "split":
		a.re, _ = compilePattern(text)
	}
	return nil
}
