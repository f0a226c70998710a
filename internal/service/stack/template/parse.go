package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"moat/internal/pure/lazyregexp"
)

// MaxBytes is the largest template that is read: CloudFormation's limit for one in S3.
const MaxBytes = 1 << 20

// maxNodes bounds what the aliases of a small file may grow to.
const maxNodes = 200_000

// maxKeys bounds a map: entries are searched in order.
const maxKeys = 2000

var (
	jsonNumber = lazyregexp.New(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
	yamlLine   = lazyregexp.New(`^line (\d+): `)
	yamlParser = lazyregexp.New(`^did not find expected (node content|key|'-' indicator|',' or '.'|<)|^found (undefined tag handle|duplicate %|incompatible)`)
)

// ParseValue reads a YAML or JSON document. JSON is what begins with a brace.
func ParseValue(body []byte, file string) (*Value, error) {
	if len(body) > MaxBytes {
		return nil, formatError(Pos{File: file}, "the template has %d bytes, at most %d are read", len(body), MaxBytes)
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if t := bytes.TrimLeft(body, " \t\r\n"); len(t) > 0 && t[0] == '{' {
		v, err := parseJSON(body, file)
		if err != nil {
			return nil, err
		}
		return v, nil
	}
	return parseYAML(body, file)
}

func parseYAML(body []byte, file string) (*Value, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return &Value{Kind: Null, Pos: Pos{File: file}}, nil
		}
		pos := Pos{File: file, Line: 1, Column: 1}
		why := strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlLine.FindStringSubmatch(why); m != nil {
			pos.Line, _ = strconv.Atoi(m[1])
			why = why[len(m[0]):]
		}
		if yamlParser.MatchString(why) { // the library counts the lines of its parser's errors from nought
			pos.Line = min(pos.Line+1, 1+bytes.Count(bytes.TrimRight(body, "\n"), []byte{'\n'}))
		}
		return nil, &Error{
			Pos: pos, Message: "not well-formed YAML: " + why,
			Sentence: fmt.Sprintf("Template format error: YAML not well-formed. (line %d, column %d)", pos.Line, pos.Column),
		}
	}
	r := yamlReader{file: file}
	return r.value(&doc)
}

type yamlReader struct {
	file  string
	nodes int
	depth int
}

func (r *yamlReader) pos(n *yaml.Node) Pos { return Pos{File: r.file, Line: n.Line, Column: n.Column} }

func (r *yamlReader) value(n *yaml.Node) (*Value, error) {
	r.nodes++
	r.depth++
	defer func() { r.depth-- }()
	if r.nodes > maxNodes || r.depth > 200 {
		return nil, formatError(r.pos(n), "the template is too large or too deeply nested")
	}
	if n.Kind == yaml.DocumentNode {
		return r.value(n.Content[0])
	}
	if n.Kind == yaml.AliasNode {
		return r.value(n.Alias)
	}
	if tag := n.Tag; strings.HasPrefix(tag, "!") && !strings.HasPrefix(tag, "!!") && tag != "!" {
		return r.short(n, tag[1:])
	}
	return r.untagged(n)
}

func (r *yamlReader) untagged(n *yaml.Node) (*Value, error) {
	switch n.Kind {
	case yaml.MappingNode:
		return r.mapping(n)
	case yaml.SequenceNode:
		list := &Value{Kind: List, Pos: r.pos(n), Items: []*Value{}}
		for _, c := range n.Content {
			x, err := r.value(c)
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, x)
		}
		return list, nil
	}
	return r.scalar(n), nil
}

func (r *yamlReader) scalar(n *yaml.Node) *Value {
	v := &Value{Kind: String, Text: n.Value, Pos: r.pos(n)}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return v
	}
	switch n.ShortTag() {
	case "!!null":
		return &Value{Kind: Null, Pos: v.Pos}
	case "!!bool":
		return &Value{Kind: Bool, True: strings.EqualFold(n.Value, "true"), Pos: v.Pos}
	case "!!int", "!!float":
		// 012345678901 is an account id, not a number: only JSON's numbers are numbers.
		if jsonNumber.MatchString(n.Value) {
			v.Kind = Number
		}
	}
	return v
}

func (r *yamlReader) mapping(n *yaml.Node) (*Value, error) {
	if len(n.Content) > 2*maxKeys {
		return nil, formatError(r.pos(n), "a map has more than %d keys", maxKeys)
	}
	m := &Value{Kind: Map, Pos: r.pos(n), Fields: []Field{}}
	var merges []*yaml.Node
	seen := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, c := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.ShortTag() == "!!merge" {
			merges = append(merges, c)
			continue
		}
		if k.Kind != yaml.ScalarNode {
			return nil, formatError(r.pos(k), "a map key must be a string")
		}
		if line, dup := seen[k.Value]; dup {
			return nil, formatError(r.pos(k), "key %s is already given on line %d", k.Value, line)
		}
		seen[k.Value] = k.Line
		x, err := r.value(c)
		if err != nil {
			return nil, err
		}
		m.Fields = append(m.Fields, Field{Key: k.Value, Value: x, Pos: r.pos(k)})
	}
	for _, c := range merges {
		if err := r.merge(m, c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// merge applies "<<": own keys win over merged ones, earlier maps over later ones.
func (r *yamlReader) merge(m *Value, n *yaml.Node) error {
	x, err := r.value(n)
	if err != nil {
		return err
	}
	maps := []*Value{x}
	if x.Is(List) {
		maps = x.Items
	}
	for _, from := range maps {
		if !from.Is(Map) {
			return formatError(r.pos(n), "<<: needs a map or a list of maps")
		}
		for _, f := range from.Fields {
			if !m.Has(f.Key) {
				m.Fields = append(m.Fields, f)
			}
			if len(m.Fields) > maxKeys {
				return formatError(r.pos(n), "a map has more than %d keys", maxKeys)
			}
		}
	}
	return nil
}

var shortForms = []string{
	"Ref", "Condition", "GetAtt", "Sub", "Join", "Select", "Split", "If", "Equals", "And", "Or", "Not",
	"FindInMap", "ImportValue", "Base64", "Cidr", "GetAZs", "Transform", "ToJsonString", "Length", "ForEach",
}

// short reads the short form of an intrinsic function.
func (r *yamlReader) short(n *yaml.Node, name string) (*Value, error) {
	known := false
	for _, s := range shortForms {
		known = known || s == name
	}
	if !known {
		e := formatError(r.pos(n), "unknown tag !%s: expected one of !%s", name, strings.Join(shortForms, " !"))
		return nil, e
	}
	plain := *n
	plain.Tag = ""
	if n.Kind == yaml.ScalarNode {
		plain.Tag = "!!str"
	}
	arg, err := r.untagged(&plain)
	if err != nil {
		return nil, err
	}
	key := "Fn::" + name
	if name == "Ref" || name == "Condition" {
		key = name
	}
	if name == "GetAtt" && arg.Is(String) {
		id, attr, _ := strings.Cut(arg.Text, ".")
		arg = &Value{Kind: List, Pos: arg.Pos, Items: []*Value{
			{Kind: String, Text: id, Pos: arg.Pos}, {Kind: String, Text: attr, Pos: arg.Pos},
		}}
	}
	pos := r.pos(n)
	return &Value{Kind: Map, Pos: pos, Fields: []Field{{Key: key, Value: arg, Pos: pos}}}, nil
}

// jsonReader keeps the position of every token, which encoding/json's Unmarshal does not.
type jsonReader struct {
	dec   *json.Decoder
	src   []byte
	file  string
	depth int
	nodes int

	seen, lineStart int64 // how far at has looked, and what it found
	line            int
}

func parseJSON(body []byte, file string) (*Value, *Error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	r := &jsonReader{dec: dec, src: body, file: file}
	v, err := r.value()
	if err == nil {
		if _, end := dec.Token(); end != io.EOF {
			err = errors.New("text after the end of the document")
		}
	}
	if err != nil {
		if e, ok := err.(*Error); ok {
			return nil, e
		}
		offset := dec.InputOffset()
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			offset = syntax.Offset
		}
		pos := r.at(offset)
		return nil, &Error{
			Pos: pos, Message: "not well-formed JSON: " + err.Error(),
			Sentence: fmt.Sprintf("Template format error: JSON not well-formed. (line %d, column %d)", pos.Line, pos.Column),
		}
	}
	return v, nil
}

// at returns the place of an offset. Asked for rising offsets it looks at each byte once.
func (r *jsonReader) at(offset int64) Pos {
	offset = min(offset, int64(len(r.src)))
	if offset < r.seen {
		r.seen, r.line, r.lineStart = 0, 0, 0
	}
	for i, c := range r.src[r.seen:offset] {
		if c == '\n' {
			r.line++
			r.lineStart = r.seen + int64(i) + 1
		}
	}
	r.seen = offset
	return Pos{File: r.file, Line: r.line + 1, Column: int(offset-r.lineStart) + 1}
}

// next returns the place of the token that follows.
func (r *jsonReader) next() Pos {
	o := r.dec.InputOffset()
	for o < int64(len(r.src)) && bytes.IndexByte([]byte(" \t\r\n,:"), r.src[o]) >= 0 {
		o++
	}
	return r.at(o)
}

func (r *jsonReader) value() (*Value, error) {
	r.depth++
	if r.nodes++; r.depth > 200 || r.nodes > maxNodes {
		return nil, formatError(r.next(), "the template is too large or too deeply nested")
	}
	defer func() { r.depth-- }()
	pos := r.next()
	tok, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			return r.object(pos)
		}
		return r.array(pos)
	case string:
		return &Value{Kind: String, Text: t, Pos: pos}, nil
	case json.Number:
		return &Value{Kind: Number, Text: t.String(), Pos: pos}, nil
	case bool:
		return &Value{Kind: Bool, True: t, Pos: pos}, nil
	}
	return &Value{Kind: Null, Pos: pos}, nil
}

func (r *jsonReader) object(pos Pos) (*Value, error) {
	m := &Value{Kind: Map, Pos: pos, Fields: []Field{}}
	seen := map[string]bool{}
	for r.dec.More() {
		kp := r.next()
		tok, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		k, _ := tok.(string)
		if seen[k] {
			return nil, formatError(kp, "key %s is given twice", k)
		}
		if len(m.Fields) == maxKeys {
			return nil, formatError(kp, "a map has more than %d keys", maxKeys)
		}
		seen[k] = true
		x, err := r.value()
		if err != nil {
			return nil, err
		}
		m.Fields = append(m.Fields, Field{Key: k, Value: x, Pos: kp})
	}
	_, err := r.dec.Token()
	return m, err
}

func (r *jsonReader) array(pos Pos) (*Value, error) {
	l := &Value{Kind: List, Pos: pos, Items: []*Value{}}
	for r.dec.More() {
		x, err := r.value()
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, x)
	}
	_, err := r.dec.Token()
	return l, err
}
