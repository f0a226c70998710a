package saml

import (
	"strings"
	"testing"

	"github.com/beevik/etree"

	"moat/internal/saml/samltest"
)

// The signature wrapping attacks as Somorovsky and others number them ("On
// Breaking SAML: Be Whoever You Want to Be", 2012): the signed element stays in
// the document, so that its signature is right, and another is read instead.
func TestVerify_wrapping(t *testing.T) {
	t.Parallel()
	idp, p := newIDP(t)
	evil := func(e *etree.Element) *etree.Element { // a copy that says admin, without signature
		c := unsigned(e)
		for _, n := range c.FindElements(".//NameID") {
			n.SetText("admin")
		}
		return c
	}
	renamed := func(e *etree.Element, id string) *etree.Element {
		e.CreateAttr("ID", id)
		return e
	}
	for name, tt := range map[string]struct {
		response bool // the response is signed, not the assertion
		wrap     func(root, a, sig *etree.Element) *etree.Element
	}{
		"1: the response inside of its signature": {true, func(root, _, sig *etree.Element) *etree.Element {
			e, original := renamed(evil(root), "_evil"), unsigned(root)
			s := sig.Copy()
			s.AddChild(original)
			e.InsertChildAt(1, s)
			return e
		}},
		"2: the response beside its signature": {true, func(root, _, sig *etree.Element) *etree.Element {
			e := renamed(evil(root), "_evil")
			e.InsertChildAt(1, unsigned(root))
			e.InsertChildAt(2, sig.Copy())
			return e
		}},
		"3: an assertion before the signed one": {false, func(root, a, _ *etree.Element) *etree.Element {
			e := root.Copy()
			e.InsertChildAt(2, renamed(evil(a), "_evil"))
			return e
		}},
		"4: an assertion around the signed one": {false, func(root, a, _ *etree.Element) *etree.Element {
			e, w := root.Copy(), renamed(evil(a), "_evil")
			w.AddChild(a.Copy())
			replace(e, w)
			return e
		}},
		"5: the signature moved to another assertion": {false, func(root, a, sig *etree.Element) *etree.Element {
			e, w := root.Copy(), renamed(evil(a), "_evil")
			w.InsertChildAt(1, sig.Copy())
			replace(e, w)
			e.AddChild(unsigned(a))
			return e
		}},
		"6: the assertion inside of its moved signature": {false, func(root, a, sig *etree.Element) *etree.Element {
			e, w, s := root.Copy(), renamed(evil(a), "_evil"), sig.Copy()
			s.AddChild(unsigned(a))
			w.InsertChildAt(1, s)
			replace(e, w)
			return e
		}},
		"7: another assertion in an extension": {false, func(root, a, _ *etree.Element) *etree.Element {
			e := root.Copy()
			x := etree.NewElement("samlp:Extensions")
			x.AddChild(evil(a))
			e.InsertChildAt(1, x)
			return e
		}},
		"8: the assertion in an object of its moved signature": {false, func(root, a, sig *etree.Element) *etree.Element {
			e, w, s := root.Copy(), evil(a), sig.Copy()
			o := etree.NewElement(strings.TrimPrefix(sig.Space+":Object", ":"))
			o.AddChild(unsigned(a))
			s.AddChild(o)
			w.InsertChildAt(1, s)
			replace(e, w)
			return e
		}},
		"9: the same id, the other first": {false, func(root, a, _ *etree.Element) *etree.Element {
			e := root.Copy()
			e.InsertChildAt(2, evil(a))
			return e
		}},
		"10: a second signature, of nobody": {false, func(root, a, sig *etree.Element) *etree.Element {
			e := root.Copy()
			e.InsertChildAt(1, sig.Copy())
			return e
		}},
	} {
		r := right()
		r.SignResponse, r.SignAssertion = tt.response, !tt.response
		root := build(t, idp, r).Root()
		a := root.FindElement("./Assertion")
		from := a
		if tt.response {
			from = root
		}
		doc := etree.NewDocument()
		doc.SetRoot(tt.wrap(root, a, signatures(from)[0]))
		if got, err := p.Verify(samltest.Encode(doc), expected()); err == nil || got != nil {
			t.Errorf("%s: accepted, %+v", name, got)
		}
		doc.SetRoot(root.Copy()) // the twin: what was wrapped is right by itself
		if _, err := p.Verify(samltest.Encode(doc), expected()); err != nil {
			t.Errorf("%s: the original: %v", name, err)
		}
	}
}

// unsigned is a copy without the signatures of the element itself.
func unsigned(e *etree.Element) *etree.Element {
	c := e.Copy()
	for _, s := range c.ChildElements() {
		if s.Tag == "Signature" {
			c.RemoveChild(s)
		}
	}
	return c
}

func replace(root, assertion *etree.Element) {
	for _, c := range root.ChildElements() {
		if c.Tag == "Assertion" {
			root.RemoveChild(c)
		}
	}
	root.AddChild(assertion)
}
