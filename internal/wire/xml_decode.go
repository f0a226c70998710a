package wire

import (
	"bytes"
	"encoding/xml"
	"io"
	"reflect"
	"strings"
)

const xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// xmlNode is an element of a request's body.
type xmlNode struct {
	name       string
	text       []byte
	attributes map[string]string // by local name, xsi:type by both
	children   []*xmlNode
}

// parseXML reads one document. Processing instructions are skipped, a document
// type is refused: there is no entity to expand but XML's own five.
func parseXML(body []byte) (*xmlNode, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.Strict = true
	var root *xmlNode
	var stack []*xmlNode
	for {
		t, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, malformedXML()
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, malformedXML()
		case xml.StartElement:
			n := xmlElement(t)
			switch {
			case len(stack) > 0:
				parent := stack[len(stack)-1]
				parent.children = append(parent.children, n)
			case root != nil:
				return nil, malformedXML()
			default:
				root = n
			}
			if stack = append(stack, n); len(stack) > maxDepth {
				return nil, malformedXML()
			}
		case xml.EndElement:
			if len(stack) == 0 || stack[len(stack)-1].name != t.Name.Local {
				return nil, malformedXML()
			}
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				n := stack[len(stack)-1]
				n.text = append(n.text, t...)
			} else if len(bytes.TrimSpace(t)) > 0 {
				return nil, malformedXML()
			}
		}
	}
	if root == nil || len(stack) > 0 {
		return nil, malformedXML()
	}
	return root, nil
}

func xmlElement(t xml.StartElement) *xmlNode {
	n := &xmlNode{name: t.Name.Local, attributes: map[string]string{}}
	for _, a := range t.Attr {
		name := a.Name.Local
		if a.Name.Space != "" {
			name = a.Name.Space + ":" + name
		}
		n.attributes[name] = a.Value
	}
	return n
}

func malformedXML() error {
	return NewError(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
}

// decodeXML reads a document, or nothing at all, into the structure v. The name
// of the root element is not checked, as AWS does not.
func decodeXML(body []byte, p *plan, v reflect.Value, violations *Violations, path string) error {
	root := &xmlNode{}
	if len(bytes.TrimSpace(body)) > 0 {
		var err error
		if root, err = parseXML(body); err != nil {
			return err
		}
	}
	return root.structure(p, v, violations, path)
}

func (n *xmlNode) structure(p *plan, v reflect.Value, violations *Violations, path string) error {
	for i := range p.fields {
		f := &p.fields[i]
		if f.place != placeBody {
			continue
		}
		if f.attribute {
			if s, ok := n.attributes[f.name]; !ok {
				f.missing(violations, path)
			} else if !f.setScalar(f.slot(v), s, timeISO8601) {
				return malformedXML()
			}
			continue
		}
		found := n.named(f.name)
		if len(found) == 0 {
			f.missing(violations, path)
			continue
		}
		if err := f.decodeXML(found, f.slot(v), violations, Join(path, f.goName)); err != nil {
			return err
		}
	}
	return nil
}

func (n *xmlNode) named(name string) []*xmlNode {
	var out []*xmlNode
	for _, c := range n.children {
		if c.name == name {
			out = append(out, c)
		}
	}
	return out
}

func (f *field) decodeXML(nodes []*xmlNode, v reflect.Value, violations *Violations, path string) error {
	flat := f.flat && (f.kind == kindList || f.kind == kindMap)
	if !flat && len(nodes) != 1 {
		return malformedXML()
	}
	switch f.kind {
	case kindStruct:
		return nodes[0].structure(f.plan, v, violations, path)
	case kindList:
		if !flat {
			nodes = nodes[0].named(f.itemName())
		}
		return f.decodeXMLList(nodes, v, violations, path)
	case kindMap:
		if !flat {
			nodes = nodes[0].named("entry")
		}
		return f.decodeXMLMap(nodes, v, violations, path)
	}
	text := string(nodes[0].text)
	if f.kind != kindString {
		text = strings.TrimSpace(text)
	}
	if len(nodes[0].children) > 0 || !f.setScalar(v, text, timeISO8601) {
		return malformedXML()
	}
	return nil
}

func (f *field) decodeXMLList(nodes []*xmlNode, v reflect.Value, violations *Violations, path string) error {
	elem := f.inner(f.elem)
	out := reflect.MakeSlice(v.Type(), len(nodes), len(nodes))
	for i, n := range nodes {
		slot := out.Index(i)
		if slot.Kind() == reflect.Pointer {
			slot.Set(reflect.New(f.elem.goType))
			slot = slot.Elem()
		}
		if err := elem.decodeXML([]*xmlNode{n}, slot, violations, Element(path, i)); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func (f *field) decodeXMLMap(nodes []*xmlNode, v reflect.Value, violations *Violations, path string) error {
	elem := f.inner(f.elem)
	out := reflect.MakeMapWithSize(v.Type(), len(nodes))
	for _, n := range nodes {
		names, values := n.named(f.keyName()), n.named(f.valueName())
		if len(names) != 1 || len(values) > 1 {
			return malformedXML()
		}
		name := string(names[0].text)
		key := reflect.ValueOf(name).Convert(v.Type().Key())
		if out.MapIndex(key).IsValid() {
			return malformedXML()
		}
		slot := reflect.New(v.Type().Elem()).Elem()
		target := slot
		if slot.Kind() == reflect.Pointer {
			slot.Set(reflect.New(f.elem.goType))
			target = slot.Elem()
		}
		if len(values) == 1 {
			if err := elem.decodeXML(values, target, violations, Entry(path, name)); err != nil {
				return err
			}
		}
		out.SetMapIndex(key, slot)
	}
	v.Set(out)
	return nil
}

// rootName is the element of a payload: its own name, else the shape's.
func (f *field) rootName() string {
	if f.name != "" {
		return f.name
	}
	return f.goType.Name()
}

// appendXMLRoot writes an output that is the whole body.
func appendXMLRoot(op *operation, p *plan, v reflect.Value) []byte {
	root := field{plan: p, name: p.goType.Name(), namespace: op.end.api.Namespace}
	return root.appendXML([]byte(xmlDeclaration), root.name, v)
}
