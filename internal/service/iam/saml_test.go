package iam

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// certificate makes a self-signed one, in DER, with its key.
func certificate(t *testing.T, name string) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2036, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func metadataDoc(t *testing.T) string {
	t.Helper()
	der, _ := certificate(t, "idp")
	return `<?xml version="1.0"?>
<!-- ` + strings.Repeat("x", 600) + ` -->
<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="https://idp.example/metadata">
 <md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
  <md:KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + base64.StdEncoding.EncodeToString(der) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
  <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example/sso"/>
 </md:IDPSSODescriptor>
</md:EntityDescriptor>`
}

func TestSAMLProvider(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	doc := metadataDoc(t)
	create := func(name, doc string) error {
		_, err := h.iam.CreateSAMLProvider(ctx, &iamapi.CreateSAMLProviderRequest{Name: name, SAMLMetadataDocument: doc, Tags: []iamapi.Tag{{Key: "a", Value: "1"}}})
		return err
	}
	if err := create("idp", doc); err != nil {
		t.Fatal(err)
	}
	const arn = "arn:aws:iam::000000000000:saml-provider/idp"
	p, err := h.s.samlProvider(t.Context(), arn)
	if err != nil || p == nil || p.EntityID != "https://idp.example/metadata" || len(p.Certificates) != 1 || len(p.SignIn) != 1 || p.Document != doc || !p.ValidUntil.Equal(h.clock().AddDate(100, 0, 0)) {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, other := range []string{arn + "x", strings.Replace(arn, account, "111111111111", 1), "idp", ""} {
		if p, err := h.s.samlProvider(t.Context(), other); p != nil || err != nil {
			t.Errorf("%q: %+v, %v", other, p, err)
		}
	}
	want(t, "twice", create("idp", doc), "EntityAlreadyExists", "")
	g := must(t)(h.iam.GetSAMLProvider(ctx, &iamapi.GetSAMLProviderRequest{SAMLProviderArn: arn})).(*iamapi.GetSAMLProviderResponse)
	if *g.SAMLMetadataDocument != doc || len(g.Tags) != 1 || g.ValidUntil == nil {
		t.Errorf("%+v", g)
	}
	until := strings.Replace(doc, "entityID=", `validUntil="2026-05-01T00:00:00Z" entityID=`, 1)
	must(t)(h.iam.UpdateSAMLProvider(ctx, &iamapi.UpdateSAMLProviderRequest{SAMLProviderArn: arn, SAMLMetadataDocument: &until}))
	l := must(t)(h.iam.ListSAMLProviders(ctx, &iamapi.ListSAMLProvidersRequest{})).(*iamapi.ListSAMLProvidersResponse).SAMLProviderList
	if len(l) != 1 || *l[0].Arn != arn || !l[0].ValidUntil.Equal(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", l)
	}
	_, err = h.iam.UpdateSAMLProvider(ctx, &iamapi.UpdateSAMLProviderRequest{SAMLProviderArn: arn + "x", SAMLMetadataDocument: &doc})
	want(t, "no provider", err, "NoSuchEntity", "Manifest not found for arn "+arn+"x")
	must(t)(h.iam.UntagSAMLProvider(ctx, &iamapi.UntagSAMLProviderRequest{SAMLProviderArn: arn, TagKeys: []string{"a"}}))
	if l := must(t)(h.iam.ListSAMLProviderTags(ctx, &iamapi.ListSAMLProviderTagsRequest{SAMLProviderArn: arn})).(*iamapi.ListSAMLProviderTagsResponse); len(l.Tags) != 0 {
		t.Errorf("%+v", l.Tags)
	}
	must(t)(h.iam.DeleteSAMLProvider(ctx, &iamapi.DeleteSAMLProviderRequest{SAMLProviderArn: arn}))
	if p, _ := h.s.samlProvider(t.Context(), arn); p != nil {
		t.Error("still there")
	}
}

func TestSAMLProvider_metadata(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	doc := metadataDoc(t)
	for name, bad := range map[string]string{
		"no XML":             strings.Repeat("x", 1000),
		"unfinished":         strings.TrimSuffix(doc, "</md:EntityDescriptor>"),
		"document type":      strings.Replace(doc, "<md:Entity", `<!DOCTYPE a [<!ENTITY x "y">]><md:Entity`, 1),
		"two roots":          doc + "<a/>",
		"text behind":        doc + "x",
		"another namespace":  strings.Replace(doc, "SAML:2.0:metadata", "SAML:1.0:metadata", 1),
		"SAML 1.1":           strings.Replace(doc, "SAML:2.0:protocol", "SAML:1.1:protocol", 1),
		"no id":              strings.Replace(doc, "https://idp.example/metadata", "", 1),
		"attribute twice":    strings.Replace(doc, "entityID=", `entityID="https://evil.example" entityID=`, 1),
		"encryption key":     strings.Replace(doc, `use="signing"`, `use="encryption"`, 1),
		"broken certificate": strings.Replace(doc, "<ds:X509Certificate>M", "<ds:X509Certificate>N", 1),
		"no sign-in":         strings.Replace(doc, "bindings:HTTP-POST", "bindings:SOAP", 1),
		"script":             strings.Replace(doc, "https://idp.example/sso", "javascript:alert(1)", 1),
		"expired":            strings.Replace(doc, "entityID=", `validUntil="2020-01-01T00:00:00Z" entityID=`, 1),
		"validUntil no time": strings.Replace(doc, "entityID=", `validUntil="soon" entityID=`, 1),
		"deep":               strings.Replace(doc, "</md:IDP", strings.Repeat("<a>", 40)+strings.Repeat("</a>", 40)+"</md:IDP", 1),
	} {
		_, err := h.iam.CreateSAMLProvider(h.root(), &iamapi.CreateSAMLProviderRequest{Name: "x", SAMLMetadataDocument: bad})
		want(t, name, err, "InvalidInput", "")
	}
	_, err := h.iam.CreateSAMLProvider(h.root(), &iamapi.CreateSAMLProviderRequest{Name: "x", SAMLMetadataDocument: doc, AddPrivateKey: wire.String("x")})
	want(t, "private key", err, "InvalidInput", "")
	_, err = h.iam.CreateSAMLProvider(h.root(), &iamapi.CreateSAMLProviderRequest{Name: "x", SAMLMetadataDocument: "<a/>"})
	want(t, "too short", err, "ValidationError", "")
}

func FuzzSAMLMetadata(f *testing.F) {
	f.Add(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="a"/>`)
	f.Fuzz(func(t *testing.T, doc string) {
		m, err := parseSAMLMetadata(doc)
		if err == nil && (m.EntityID == "" || len(m.Certificates) == 0 || len(m.SignIn) == 0) {
			t.Errorf("accepted without what counts: %q", doc)
		}
	})
}
