package wire

import (
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const (
	maxParameters = 20000 // of one request, query string and form together
	maxIndex      = 10000 // of an element in a list
	maxNodes      = 50000 // parts of names that differ, all parameters together
)

// parameter is one name and value of a query string or form.
type parameter struct{ name, value string }

// parseParameters reads a query string or a form, in its order. What cannot be
// unescaped is refused; so is more than maxParameters.
func parseParameters(raw string) ([]parameter, error) {
	if raw == "" {
		return nil, nil
	}
	if strings.Count(raw, "&") >= maxParameters {
		return nil, malformedQuery("The request has too many parameters")
	}
	var out []parameter
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, err := url.QueryUnescape(name)
		if err != nil {
			return nil, malformedQuery("The query string contains a syntax error")
		}
		v, err := url.QueryUnescape(value)
		if err != nil {
			return nil, malformedQuery("The query string contains a syntax error")
		}
		out = append(out, parameter{n, v})
	}
	return out, nil
}

func malformedQuery(message string) error { return NewError(400, "MalformedQueryString", message) }

// queryNode is a parameter name cut at its dots, as a tree. A node has a value,
// children, or both (an empty list is sent as "List=").
type queryNode struct {
	value    string
	set      bool
	children map[string]*queryNode
}

// queryTree arranges parameters by name. A name given twice is refused: which of
// the two counts must not depend on who reads them.
func queryTree(params []parameter) (*queryNode, error) {
	root, nodes := &queryNode{}, 0
	for _, p := range params {
		n := root
		if strings.Count(p.name, ".") > maxDepth {
			return nil, malformedQuery("A parameter name nests too deep")
		}
		for part := range strings.SplitSeq(p.name, ".") {
			next := n.children[part]
			if next == nil {
				if n.children == nil {
					n.children = map[string]*queryNode{}
				}
				if nodes++; nodes > maxNodes {
					return nil, malformedQuery("The request has too many parameters")
				}
				next = &queryNode{}
				n.children[part] = next
			}
			n = next
		}
		if n.set {
			return nil, malformedQuery("The parameter " + p.name + " is given twice")
		}
		n.value, n.set = p.value, true
	}
	return root, nil
}

// decodeQuery reads the members of the structure v below n.
func decodeQuery(n *queryNode, p *plan, v reflect.Value, violations *Violations, path string) error {
	for i := range p.fields {
		f := &p.fields[i]
		child := n.children[f.name]
		if child == nil {
			f.missing(violations, path)
			continue
		}
		if err := child.decode(f, f.slot(v), violations, Join(path, f.goName)); err != nil {
			return err
		}
	}
	return nil
}

func (n *queryNode) decode(f *field, v reflect.Value, violations *Violations, path string) error {
	switch f.kind {
	case kindStruct:
		return decodeQuery(n, f.plan, v, violations, path)
	case kindList:
		return n.list(f, v, violations, path)
	case kindMap:
		return n.mapping(f, v, violations, path)
	}
	if len(n.children) > 0 || !f.setScalar(v, n.value, timeISO8601) {
		return malformedInput(path)
	}
	return nil
}

func malformedInput(path string) error {
	return NewError(400, "MalformedInput", "The value of the parameter "+path+" cannot be read")
}

// numbered returns the children of n that have numbers for names, in their order.
// Gaps are closed, as AWS does.
func (n *queryNode) numbered(path string) ([]*queryNode, error) {
	type entry struct {
		index int
		node  *queryNode
	}
	entries := make([]entry, 0, len(n.children))
	for name, child := range n.children {
		index, err := strconv.Atoi(name)
		if err != nil || index < 1 || index > maxIndex || strconv.Itoa(index) != name {
			return nil, malformedInput(path)
		}
		entries = append(entries, entry{index, child})
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.index - b.index })
	nodes := make([]*queryNode, len(entries))
	for i, e := range entries {
		nodes[i] = e.node
	}
	return nodes, nil
}

// unwrap steps into the wrapper of a list or map that is not flattened.
func (n *queryNode) unwrap(f *field, wrapper string) (*queryNode, bool) {
	if f.flat || len(n.children) == 0 {
		return n, true
	}
	child := n.children[wrapper]
	return child, child != nil && len(n.children) == 1
}

func (n *queryNode) list(f *field, v reflect.Value, violations *Violations, path string) error {
	inner, ok := n.unwrap(f, f.itemName())
	if !ok {
		return malformedInput(path)
	}
	nodes, err := inner.numbered(path)
	if err != nil {
		return err
	}
	elem := f.inner(f.elem)
	out := reflect.MakeSlice(v.Type(), len(nodes), len(nodes))
	for i, node := range nodes {
		slot := out.Index(i)
		if slot.Kind() == reflect.Pointer {
			slot.Set(reflect.New(f.elem.goType))
			slot = slot.Elem()
		}
		if err := node.decode(&elem, slot, violations, Element(path, i)); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func (n *queryNode) mapping(f *field, v reflect.Value, violations *Violations, path string) error {
	inner, ok := n.unwrap(f, "entry")
	if !ok {
		return malformedInput(path)
	}
	nodes, err := inner.numbered(path)
	if err != nil {
		return err
	}
	elem, et := f.inner(f.elem), v.Type().Elem()
	out := reflect.MakeMapWithSize(v.Type(), len(nodes))
	for _, node := range nodes {
		name := node.children[f.keyName()]
		if name == nil || !name.set {
			return malformedInput(path)
		}
		key := reflect.ValueOf(name.value).Convert(v.Type().Key())
		if out.MapIndex(key).IsValid() {
			return malformedInput(path)
		}
		slot := reflect.New(et).Elem()
		target := slot
		if slot.Kind() == reflect.Pointer {
			slot.Set(reflect.New(f.elem.goType))
			target = slot.Elem()
		}
		if child := node.children[f.valueName()]; child != nil {
			if err := child.decode(&elem, target, violations, Entry(path, name.value)); err != nil {
				return err
			}
		}
		out.SetMapIndex(key, slot)
	}
	v.Set(out)
	return nil
}
