package saml

import (
	"encoding/base64"
	"strings"

	"github.com/beevik/etree"
)

// The bounds of a document.
const (
	maxDepth    = 40
	maxElements = 2000
)

// parse decodes a response and checks its shape: one assertion, encrypted or not,
// right below the response, no second element of an id, nothing but elements and text. The
// attacks that move a signed element elsewhere and put another in its place
// ("signature wrapping") need what is refused here.
func parse(response string) (*etree.Element, error) {
	if len(response) > MaxLength {
		return nil, ErrMalformed
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(response), ""))
	if err != nil {
		return nil, ErrMalformed
	}
	doc := etree.NewDocument()
	doc.ReadSettings = etree.ReadSettings{ValidateInput: true, PreserveDuplicateAttrs: true, MaxDepth: maxDepth}
	if err := doc.ReadFromBytes(raw); err != nil {
		return nil, ErrMalformed
	}
	root := doc.Root()
	if root == nil || !is(root, nsProtocol, "Response") || root.SelectAttrValue("Version", "") != "2.0" {
		return nil, ErrMalformed
	}
	var s shape
	if !alone(doc, root) || !s.look(root) {
		return nil, ErrMalformed
	}
	if code := child(child(root, nsProtocol, "Status"), nsProtocol, "StatusCode"); code == nil {
		return nil, ErrMalformed
	} else if code.SelectAttrValue("Value", "") != statusSuccess {
		return nil, ErrStatus
	}
	a, sealed := child(root, nsAssertion, "Assertion"), child(root, nsAssertion, "EncryptedAssertion")
	if (a == nil) == (sealed == nil) || s.assertions+s.encrypted != 1 || s.signatures != len(signatures(root))+len(signatures(a)) {
		return nil, ErrMalformed
	}
	return root, nil
}

// alone reports whether nothing but white space and a declaration is beside root.
func alone(doc *etree.Document, root *etree.Element) bool {
	for _, t := range doc.Child {
		if e, ok := t.(*etree.Element); ok && e != root || !ok && !declaration(t) && !space(t) {
			return false
		}
	}
	return root != nil
}

func declaration(t etree.Token) bool {
	p, ok := t.(*etree.ProcInst)
	return ok && p.Target == "xml"
}

func space(t etree.Token) bool {
	c, ok := t.(*etree.CharData)
	return ok && c.IsWhitespace()
}

// shape counts what a document has of the elements that matter, whatever
// namespace they claim.
type shape struct {
	inner                                       bool // what was encrypted: a response has no place in it, nor has anything encrypted
	ids                                         map[string]bool
	elements, assertions, signatures, encrypted int
}

func (s *shape) look(e *etree.Element) bool {
	if s.elements++; s.elements > maxElements || !s.attributes(e) {
		return false
	}
	switch e.Tag {
	case "Assertion":
		s.assertions++
	case "Signature":
		s.signatures++
	case "EncryptedAssertion":
		if s.encrypted++; s.inner {
			return false
		}
	case "EncryptedID", "EncryptedAttribute":
		return false
	case "Response":
		if s.elements > 1 || s.inner {
			return false
		}
	}
	for _, t := range e.Child {
		switch t := t.(type) {
		case *etree.Element:
			if !s.look(t) {
				return false
			}
		case *etree.CharData:
		default: // comments, directives and instructions split texts for one reader and not for another
			return false
		}
	}
	return true
}

// attributes refuses repeated ones, and ids that are not unique.
func (s *shape) attributes(e *etree.Element) bool {
	if s.ids == nil {
		s.ids = map[string]bool{}
	}
	seen := map[string]bool{}
	for _, a := range e.Attr {
		name := a.Space + ":" + a.Key
		if seen[name] {
			return false
		}
		seen[name] = true
		if strings.EqualFold(a.Key, "id") {
			if s.ids[a.Value] {
				return false
			}
			s.ids[a.Value] = true
		}
	}
	return true
}

func is(e *etree.Element, namespace, tag string) bool {
	return e != nil && e.Tag == tag && e.NamespaceURI() == namespace
}

func children(e *etree.Element, namespace, tag string) (out []*etree.Element) {
	if e == nil {
		return nil
	}
	for _, c := range e.ChildElements() {
		if is(c, namespace, tag) {
			out = append(out, c)
		}
	}
	return out
}

// child returns the only child of a name; nil when there is none or another.
func child(e *etree.Element, namespace, tag string) *etree.Element {
	if all := children(e, namespace, tag); len(all) == 1 {
		return all[0]
	}
	return nil
}

func signatures(e *etree.Element) []*etree.Element { return children(e, nsSignature, "Signature") }

// text returns all the text of an element that has nothing else.
func text(e *etree.Element) (string, bool) {
	if e == nil {
		return "", false
	}
	var b strings.Builder
	for _, t := range e.Child {
		c, ok := t.(*etree.CharData)
		if !ok {
			return "", false
		}
		b.WriteString(c.Data)
	}
	return strings.TrimSpace(b.String()), true
}
