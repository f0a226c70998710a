// Package samltest is an identity provider for tests: it signs SAML responses
// with a key of its own.
package samltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// IDP is an identity provider.
type IDP struct {
	EntityID    string
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// New makes a provider whose certificate is valid for ten years around now.
func New(entityID string, now time.Time) (*IDP, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp"}, NotBefore: now.AddDate(-5, 0, 0), NotAfter: now.AddDate(5, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	return &IDP{EntityID: entityID, Certificate: c, key: key}, err
}

// Metadata is the provider's entity descriptor, made long enough for IAM.
func (p *IDP) Metadata() string {
	return `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="` + escape(p.EntityID) + `"><!-- ` + strings.Repeat("-x", 500) + ` -->` +
		`<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>` +
		base64.StdEncoding.EncodeToString(p.Certificate.Raw) + `</X509Certificate></X509Data></KeyInfo></KeyDescriptor>` +
		`<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="` + escape(p.EntityID) + `/sso"/></IDPSSODescriptor></EntityDescriptor>`
}

// Response describes what the provider says. The zero value of a member leaves
// its part out.
type Response struct {
	Issuer, Subject, Format         string
	Audience, Recipient             string
	Issued, NotBefore, NotOnOrAfter time.Time
	Confirmed                       time.Time // until when the bearer may present it
	SessionEnds                     time.Time
	Status                          string
	Attributes                      map[string][]string
	SignResponse, SignAssertion     bool
	Encrypt                         *Encryption
}

// Build makes the response and signs it.
func (p *IDP) Build(r Response) (*etree.Document, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(r.text()); err != nil {
		return nil, err
	}
	root := doc.Root()
	if r.SignAssertion {
		a := root.FindElement("./Assertion")
		signed, err := p.Sign(a)
		if err != nil {
			return nil, err
		}
		root.RemoveChild(a)
		root.AddChild(signed)
	}
	if r.Encrypt != nil {
		if err := r.Encrypt.apply(root); err != nil {
			return nil, err
		}
	}
	if r.SignResponse {
		signed, err := p.Sign(root)
		if err != nil {
			return nil, err
		}
		doc.SetRoot(signed)
	}
	return doc, nil
}

// Sign returns a copy of e with an enveloped signature after its issuer.
func (p *IDP) Sign(e *etree.Element) (*etree.Element, error) {
	ns, err := etreeutils.NSBuildParentContext(e)
	if err != nil {
		return nil, err
	}
	alone, err := etreeutils.NSDetatch(ns, e)
	if err != nil {
		return nil, err
	}
	ctx, err := dsig.NewSigningContext(p.key, [][]byte{p.Certificate.Raw})
	if err != nil {
		return nil, err
	}
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	sig, err := ctx.ConstructSignature(alone, true)
	if err != nil {
		return nil, err
	}
	alone.InsertChildAt(1, sig)
	return alone, nil
}

// Encode is the text of a response as clients send it.
func Encode(doc *etree.Document) string {
	raw, err := doc.WriteToBytes()
	if err != nil {
		return err.Error()
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a builder takes everything
	return b.String()
}

func at(name string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf(` %s="%s"`, name, t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

func (r *Response) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns="urn:oasis:names:tc:SAML:2.0:assertion" ID="_r1" Version="2.0"%s>`, at("IssueInstant", r.Issued))
	fmt.Fprintf(&b, `<Issuer>%s</Issuer><samlp:Status><samlp:StatusCode Value="%s"/></samlp:Status>`, escape(r.Issuer), escape(r.Status))
	fmt.Fprintf(&b, `<Assertion ID="_a1" Version="2.0"%s><Issuer>%s</Issuer>`, at("IssueInstant", r.Issued), escape(r.Issuer))
	fmt.Fprintf(&b, `<Subject><NameID Format="%s">%s</NameID><SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><SubjectConfirmationData Recipient="%s"%s/></SubjectConfirmation></Subject>`,
		escape(r.Format), escape(r.Subject), escape(r.Recipient), at("NotOnOrAfter", r.Confirmed))
	fmt.Fprintf(&b, `<Conditions%s%s>`, at("NotBefore", r.NotBefore), at("NotOnOrAfter", r.NotOnOrAfter))
	if r.Audience != "" {
		fmt.Fprintf(&b, `<AudienceRestriction><Audience>%s</Audience></AudienceRestriction>`, escape(r.Audience))
	}
	fmt.Fprintf(&b, `</Conditions><AuthnStatement%s%s/><AttributeStatement>`, at("AuthnInstant", r.Issued), at("SessionNotOnOrAfter", r.SessionEnds))
	names := make([]string, 0, len(r.Attributes))
	for n := range r.Attributes {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(&b, `<Attribute Name="%s">`, escape(n))
		for _, v := range r.Attributes[n] {
			fmt.Fprintf(&b, `<AttributeValue>%s</AttributeValue>`, escape(v))
		}
		b.WriteString(`</Attribute>`)
	}
	b.WriteString(`</AttributeStatement></Assertion></samlp:Response>`)
	return b.String()
}
