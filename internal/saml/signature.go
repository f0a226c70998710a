package saml

import (
	"crypto/x509"
	"slices"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// The algorithms that are accepted. SHA-1 is not among them.
var (
	signatureMethods = []string{
		"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
		"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
	}
	digestMethods = []string{
		"http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512",
	}
	transforms = []string{
		"http://www.w3.org/2000/09/xmldsig#enveloped-signature", "http://www.w3.org/2001/10/xml-exc-c14n#",
	}
)

// verified returns the assertion as it was signed: by a signature of its own, or
// by that of the response around it. Where there are both, both must be right.
func (p *Provider) verified(root *etree.Element, now time.Time) (*etree.Element, error) {
	a := child(root, nsAssertion, "Assertion")
	own, around := signatures(a), signatures(root)
	if len(own)+len(around) == 0 {
		return nil, ErrSignature
	}
	var signed *etree.Element
	if len(around) > 0 {
		r, err := p.check(root, around, now)
		if err != nil {
			return nil, err
		}
		if signed = child(r, nsAssertion, "Assertion"); signed == nil {
			return nil, ErrSignature
		}
	}
	if len(own) > 0 {
		alone, err := detach(a)
		if err != nil {
			return nil, ErrSignature
		}
		if signed, err = p.check(alone, signatures(alone), now); err != nil {
			return nil, err
		}
	}
	if !is(signed, nsAssertion, "Assertion") {
		return nil, ErrSignature
	}
	return signed, nil
}

// detach copies an element together with the namespaces that it inherits.
func detach(e *etree.Element) (*etree.Element, error) {
	ns, err := etreeutils.NSBuildParentContext(e)
	if err != nil {
		return nil, err
	}
	return etreeutils.NSDetatch(ns, e)
}

// check verifies the one signature of e and returns e as it was signed.
func (p *Provider) check(e *etree.Element, sigs []*etree.Element, now time.Time) (*etree.Element, error) {
	if len(sigs) != 1 || !signs(sigs[0], e.SelectAttrValue("ID", "")) {
		return nil, ErrSignature
	}
	for _, c := range p.Certificates {
		// One certificate at a time: then a signature without a certificate of
		// its own is not ambiguous, and none in it is believed.
		v := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{c}})
		v.Clock = dsig.NewFakeClockAt(now)
		if signed, err := v.Validate(e); err == nil && signed != nil && signed.Tag == e.Tag && signed.SelectAttrValue("ID", "") == e.SelectAttrValue("ID", "") {
			return signed, nil
		}
	}
	return nil, ErrSignature
}

// signs checks the form of a signature: it has one reference, to the element with
// this id, and asks for nothing but accepted algorithms.
func signs(sig *etree.Element, id string) bool {
	info := child(sig, nsSignature, "SignedInfo")
	refs := children(info, nsSignature, "Reference")
	method := child(info, nsSignature, "SignatureMethod")
	if id == "" || len(refs) != 1 || method == nil || len(children(sig, nsSignature, "Object")) > 0 || refs[0].SelectAttrValue("URI", "") != "#"+id {
		return false
	}
	digest := child(refs[0], nsSignature, "DigestMethod")
	steps := children(child(refs[0], nsSignature, "Transforms"), nsSignature, "Transform")
	if digest == nil || len(steps) == 0 || !slices.Contains(signatureMethods, method.SelectAttrValue("Algorithm", "")) ||
		!slices.Contains(digestMethods, digest.SelectAttrValue("Algorithm", "")) {
		return false
	}
	for _, t := range steps {
		if !slices.Contains(transforms, t.SelectAttrValue("Algorithm", "")) {
			return false
		}
	}
	return true
}
