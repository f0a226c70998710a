package document

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

// ParseYAML reads one YAML document. Dates stay text; aliases are written out.
func ParseYAML(body []byte) (any, error) {
	if marks(body) > 2*MaxValues { // each value needs a mark: refused before the parser keeps them all
		return nil, ErrTooLarge
	}
	var root yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	if len(root.Content) != 1 {
		return nil, errors.New("the document is empty")
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text behind the document")
	}
	r := nodes{}
	return r.value(root.Content[0], 0)
}

// marks counts the characters that can begin or end a value.
func marks(body []byte) (n int) {
	for _, c := range body {
		switch c {
		case '\n', ',', '[', '{', '?':
			n++
		}
	}
	return n + bytes.Count(body, []byte("- ")) + bytes.Count(body, []byte(": "))
}

type nodes struct{ count, size int }

func (r *nodes) value(n *yaml.Node, depth int) (any, error) {
	r.count++
	r.size += len(n.Value)
	if r.count > MaxValues || r.size > MaxText || depth > MaxDepth {
		return nil, ErrTooLarge
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.value(n.Alias, depth+1) // an alias inside its own anchor ends at the depth
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, e := range n.Content {
			v, err := r.value(e, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return r.mapping(n, depth)
	}
	return scalar(n), nil
}

func (r *nodes) mapping(n *yaml.Node, depth int) (any, error) {
	o := &Object{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: the name of a member is not a scalar", k.Line)
		}
		if k.Tag == "!!merge" {
			merged = append(merged, n.Content[i+1])
			continue
		}
		if o.Has(k.Value) {
			return nil, fmt.Errorf("line %d: the member %q stands twice", k.Line, k.Value)
		}
		v, err := r.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		r.size += len(k.Value)
		o.Set(k.Value, v)
	}
	for _, m := range merged { // members of a merge (<<) give way to the mapping's own
		v, err := r.value(m, depth+1)
		if err != nil {
			return nil, err
		}
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, e := range list {
			other, ok := e.(*Object)
			if !ok {
				return nil, fmt.Errorf("line %d: only mappings can be merged", m.Line)
			}
			for _, k := range other.Keys() {
				if !o.Has(k) {
					o.Set(k, other.Get(k))
				}
			}
		}
	}
	return o, nil
}

// jsonNumber is a number that JSON can write as it stands.
var jsonNumber = lazyregexp.New(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		b, err := strconv.ParseBool(strings.ToLower(n.Value))
		if err == nil {
			return b
		}
	case "!!int", "!!float":
		if jsonNumber.MatchString(n.Value) {
			return json.Number(n.Value)
		}
		var i int64
		if n.ShortTag() == "!!int" && n.Decode(&i) == nil { // hexadecimal, octal, with a plus
			return json.Number(strconv.FormatInt(i, 10))
		}
	}
	return n.Value
}

// YAML writes a value as YAML in the form that API Gateway's exports have: text in quotes,
// lists at the level of their name.
func YAML(v any) []byte {
	b := []byte("---\n")
	switch v := v.(type) {
	case *Object:
		if v.Len() > 0 {
			return yamlObject(b, v, 0, false)
		}
	case []any:
		if len(v) > 0 {
			return yamlList(b, v, 0)
		}
	}
	return append(yamlScalar(b, v), '\n')
}

func yamlObject(b []byte, o *Object, level int, inList bool) []byte {
	for i, k := range o.Keys() {
		if i > 0 || !inList {
			b = append(b, strings.Repeat("  ", level)...)
		}
		b = append(yamlKey(b, k), ':')
		switch v := o.Get(k).(type) {
		case *Object:
			if v.Len() == 0 {
				b = append(b, " {}\n"...)
				continue
			}
			b = yamlObject(append(b, '\n'), v, level+1, false)
		case []any:
			if len(v) == 0 {
				b = append(b, " []\n"...)
				continue
			}
			b = yamlList(append(b, '\n'), v, level)
		default:
			b = append(yamlScalar(append(b, ' '), v), '\n')
		}
	}
	return b
}

func yamlList(b []byte, list []any, level int) []byte {
	for _, e := range list {
		b = append(append(b, strings.Repeat("  ", level)...), "- "...)
		switch e := e.(type) {
		case *Object:
			if e.Len() == 0 {
				b = append(b, "{}\n"...)
				continue
			}
			b = yamlObject(b, e, level+1, true)
		case []any: // a list in a list stands in one line: JSON is YAML
			b = append(write(b, e, -1), '\n')
		default:
			b = append(yamlScalar(b, e), '\n')
		}
	}
	return b
}

// yamlScalar writes text always in quotes, so that nothing is taken for a number or a date.
func yamlScalar(b []byte, v any) []byte { return write(b, v, -1) }

// plainKey is a name that YAML reads as text without quotes.
var plainKey = lazyregexp.New(`^[A-Za-z/_$][A-Za-z0-9/_.{}+$*-]*$`)

func yamlKey(b []byte, k string) []byte {
	switch strings.ToLower(k) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return quote(b, k)
	}
	if plainKey.MatchString(k) {
		return append(b, k...)
	}
	return quote(b, k)
}
