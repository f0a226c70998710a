package iam

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The names of SAML 2.0 (saml-metadata-2.0-os, saml-core-2.0-os) and of XML
// signatures.
const (
	samlProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	samlPost      = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
	samlRedirect  = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	maxXMLDepth   = 32
	maxXMLTokens  = 100_000
	maxSAMLSigner = 20
)

// SAMLEndpoint is where an identity provider takes requests for sign-in.
type SAMLEndpoint struct{ Binding, Location string }

// samlMetadata is what counts of the metadata of an identity provider.
type samlMetadata struct {
	EntityID     string
	ValidUntil   time.Time // zero when the document does not say
	Certificates [][]byte  // DER, of the keys that sign assertions
	SignIn       []SAMLEndpoint
}

type entityDescriptor struct {
	XMLName    xml.Name        `xml:"urn:oasis:names:tc:SAML:2.0:metadata EntityDescriptor"`
	EntityID   string          `xml:"entityID,attr"`
	ValidUntil string          `xml:"validUntil,attr"`
	Providers  []idpDescriptor `xml:"urn:oasis:names:tc:SAML:2.0:metadata IDPSSODescriptor"`
}

type idpDescriptor struct {
	Protocols  string `xml:"protocolSupportEnumeration,attr"`
	ValidUntil string `xml:"validUntil,attr"`
	Keys       []struct {
		Use          string   `xml:"use,attr"`
		Certificates []string `xml:"http://www.w3.org/2000/09/xmldsig# KeyInfo>X509Data>X509Certificate"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:metadata KeyDescriptor"`
	SignIn []struct {
		Binding  string `xml:"Binding,attr"`
		Location string `xml:"Location,attr"`
	} `xml:"urn:oasis:names:tc:SAML:2.0:metadata SingleSignOnService"`
}

// parseSAMLMetadata reads the metadata of one SAML 2.0 identity provider. It must
// name the entity, a certificate that signs, and where to sign in. Document types
// are refused, and with them entities of any kind.
func parseSAMLMetadata(doc string) (m samlMetadata, err error) {
	if err := checkXML([]byte(doc)); err != nil {
		return m, err
	}
	var e entityDescriptor
	if err := xml.Unmarshal([]byte(doc), &e); err != nil {
		return m, err
	}
	if e.EntityID == "" || len(e.EntityID) > 1024 {
		return m, errors.New("the entity has no id")
	}
	i := slices.IndexFunc(e.Providers, func(d idpDescriptor) bool { return slices.Contains(strings.Fields(d.Protocols), samlProtocol) })
	if i < 0 {
		return m, errors.New("no IDPSSODescriptor supports SAML 2.0")
	}
	idp := e.Providers[i]
	m.EntityID = e.EntityID
	for _, text := range []string{e.ValidUntil, idp.ValidUntil} {
		if text == "" {
			continue
		}
		until, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return m, fmt.Errorf("validUntil: %w", err)
		}
		if m.ValidUntil.IsZero() || until.Before(m.ValidUntil) {
			m.ValidUntil = until.UTC()
		}
	}
	for _, k := range idp.Keys {
		if k.Use != "" && k.Use != "signing" {
			continue
		}
		for _, text := range k.Certificates {
			der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
			if err != nil {
				return m, fmt.Errorf("certificate: %w", err)
			}
			if _, err := x509.ParseCertificate(der); err != nil {
				return m, fmt.Errorf("certificate: %w", err)
			}
			m.Certificates = append(m.Certificates, der)
		}
	}
	if n := len(m.Certificates); n == 0 || n > maxSAMLSigner {
		return m, fmt.Errorf("%d certificates that sign", n)
	}
	for _, at := range idp.SignIn {
		u, err := url.Parse(at.Location)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return m, errors.New("SingleSignOnService without an address")
		}
		if at.Binding == samlPost || at.Binding == samlRedirect {
			m.SignIn = append(m.SignIn, SAMLEndpoint{at.Binding, at.Location})
		}
	}
	if len(m.SignIn) == 0 {
		return m, errors.New("no SingleSignOnService with a supported binding")
	}
	return m, nil
}

// checkXML refuses what no metadata needs and readers understand differently:
// document types, a second root, an attribute given twice, excessive nesting.
func checkXML(doc []byte) error {
	d := xml.NewDecoder(bytes.NewReader(doc))
	depth, roots := 0, 0
	for n := 0; ; n++ {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.Directive:
			return errors.New("document types are refused")
		case xml.StartElement:
			if depth == 0 {
				roots++
			}
			depth++
			seen := map[xml.Name]bool{}
			for _, a := range t.Attr {
				if seen[a.Name] {
					return errors.New("an attribute is given twice")
				}
				seen[a.Name] = true
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && len(bytes.TrimSpace(bytes.TrimPrefix(t, []byte("\uFEFF")))) > 0 {
				return errors.New("text outside of the root element")
			}
		}
		if depth > maxXMLDepth || roots > 1 || n > maxXMLTokens {
			return errors.New("the document is nested too deeply, has several roots or is too large")
		}
	}
	if roots != 1 {
		return errors.New("no root element")
	}
	return nil
}
