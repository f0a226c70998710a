package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// node is a JSON value that keeps the order of members. Unlike a map it shows
// when a name occurs twice, which would let two readers see two policies.
type node struct {
	kind    nodeKind
	text    string
	members []member
	items   []node
	// start and end are where an object stands in the text.
	start, end int64
}

type member struct {
	name  string
	value node
}

type nodeKind uint8

const (
	nodeOther nodeKind = iota
	nodeString
	nodeObject
	nodeArray
)

const maxDepth = 12

var errJSON = errors.New("not JSON")

// readNode reads one JSON value and nothing after it. Numbers and booleans
// become strings, as IAM takes them.
func readNode(doc []byte) (node, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	n, err := readValue(d, 0)
	if err != nil {
		return n, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return n, errJSON
	}
	return n, nil
}

func readValue(d *json.Decoder, depth int) (node, error) {
	t, err := d.Token()
	if err != nil || depth > maxDepth {
		return node{}, errJSON
	}
	switch t := t.(type) {
	case string:
		return node{kind: nodeString, text: t}, nil
	case json.Number:
		return node{kind: nodeString, text: t.String()}, nil
	case bool:
		if t {
			return node{kind: nodeString, text: "true"}, nil
		}
		return node{kind: nodeString, text: "false"}, nil
	case json.Delim:
		if t == '{' {
			return readObject(d, depth)
		}
		n := node{kind: nodeArray}
		for d.More() {
			v, err := readValue(d, depth+1)
			if err != nil {
				return n, err
			}
			n.items = append(n.items, v)
		}
		_, err := d.Token()
		return n, err
	}
	return node{}, nil // null
}

func readObject(d *json.Decoder, depth int) (node, error) {
	n := node{kind: nodeObject, start: d.InputOffset() - 1}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return n, errJSON
		}
		for _, m := range n.members {
			if m.name == name {
				return n, errJSON
			}
		}
		v, err := readValue(d, depth+1)
		if err != nil {
			return n, err
		}
		n.members = append(n.members, member{name, v})
	}
	_, err := d.Token()
	n.end = d.InputOffset()
	return n, err
}

// strings returns the values of a string or of an array of strings.
func (n node) strings() ([]string, bool) {
	if n.kind == nodeString {
		return []string{n.text}, true
	}
	if n.kind != nodeArray {
		return nil, false
	}
	values := make([]string, 0, len(n.items))
	for _, item := range n.items {
		if item.kind != nodeString {
			return nil, false
		}
		values = append(values, item.text)
	}
	return values, true
}
