package saml

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"moat/internal/saml/samltest"
)

const (
	entity    = "https://idp.example/saml"
	audience  = "urn:amazon:webservices"
	recipient = "https://signin.aws.amazon.com/saml"
)

func clock() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

func expected() Expected {
	return Expected{Audiences: []string{audience}, Recipients: []string{recipient}, Now: clock(), Within: 5 * time.Minute}
}

func right() samltest.Response {
	return samltest.Response{
		Issuer: entity, Subject: "alice", Format: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", Audience: audience, Recipient: recipient,
		Issued: clock().Add(-time.Second), NotBefore: clock().Add(-time.Minute), NotOnOrAfter: clock().Add(time.Minute), Confirmed: clock().Add(time.Minute),
		Status: statusSuccess, Attributes: map[string][]string{"mail": {"a@example.com"}, "groups": {"x", "y"}}, SignAssertion: true,
	}
}

func newIDP(t testing.TB) (*samltest.IDP, *Provider) {
	t.Helper()
	idp, err := samltest.New(entity, clock())
	if err != nil {
		t.Fatal(err)
	}
	return idp, &Provider{EntityID: entity, Certificates: []*x509.Certificate{idp.Certificate}}
}

func build(t testing.TB, idp *samltest.IDP, r samltest.Response) *etree.Document {
	t.Helper()
	doc, err := idp.Build(r)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestVerify(t *testing.T) {
	t.Parallel()
	idp, p := newIDP(t)
	for name, change := range map[string]func(*samltest.Response){
		"assertion signed": func(*samltest.Response) {},
		"response signed":  func(r *samltest.Response) { r.SignAssertion, r.SignResponse = false, true },
		"both signed":      func(r *samltest.Response) { r.SignResponse = true },
		"a session's end":  func(r *samltest.Response) { r.SessionEnds = clock().Add(time.Hour) },
	} {
		r := right()
		change(&r)
		a, err := p.Verify(samltest.Encode(build(t, idp, r)), expected())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.Subject != "alice" || a.Issuer != entity || a.Recipient != recipient || !strings.HasSuffix(a.Format, "persistent") || strings.Join(a.Attributes["groups"], ",") != "x,y" || !a.SessionEnds.Equal(r.SessionEnds) {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestVerify_refused(t *testing.T) {
	t.Parallel()
	idp, p := newIDP(t)
	other, _ := newIDP(t)
	for name, tt := range map[string]struct {
		change func(*samltest.Response)
		want   error
	}{
		"unsigned":             {func(r *samltest.Response) { r.SignAssertion = false }, ErrSignature},
		"another audience":     {func(r *samltest.Response) { r.Audience = "urn:other" }, ErrAudience},
		"no audience":          {func(r *samltest.Response) { r.Audience = "" }, ErrAudience},
		"another recipient":    {func(r *samltest.Response) { r.Recipient = "https://evil.example/saml" }, ErrRecipient},
		"recipient, longer":    {func(r *samltest.Response) { r.Recipient += "/x" }, ErrRecipient},
		"another issuer":       {func(r *samltest.Response) { r.Issuer = "https://other.example" }, ErrIssuer},
		"expired":              {func(r *samltest.Response) { r.NotOnOrAfter = clock() }, ErrExpired},
		"not yet":              {func(r *samltest.Response) { r.NotBefore = clock().Add(2 * time.Minute) }, ErrExpired},
		"confirmation expired": {func(r *samltest.Response) { r.Confirmed = clock() }, ErrExpired},
		"confirmation, no end": {func(r *samltest.Response) { r.Confirmed = time.Time{} }, ErrExpired},
		"old":                  {func(r *samltest.Response) { r.Issued = clock().Add(-5 * time.Minute) }, ErrExpired},
		"of tomorrow":          {func(r *samltest.Response) { r.Issued = clock().Add(24 * time.Hour) }, ErrExpired},
		"session over":         {func(r *samltest.Response) { r.SessionEnds = clock() }, ErrExpired},
		"no subject":           {func(r *samltest.Response) { r.Subject = "" }, ErrMalformed},
		"a failure":            {func(r *samltest.Response) { r.Status = "urn:oasis:names:tc:SAML:2.0:status:Responder" }, ErrStatus},
	} {
		r := right()
		tt.change(&r)
		if a, err := p.Verify(samltest.Encode(build(t, idp, r)), expected()); !errors.Is(err, tt.want) || a != nil {
			t.Errorf("%s: %+v, %v, want %v", name, a, err, tt.want)
		}
	}
	good := samltest.Encode(build(t, idp, right()))
	if _, err := p.Verify(samltest.Encode(build(t, other, right())), expected()); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	if _, err := (&Provider{EntityID: entity}).Verify(good, expected()); !errors.Is(err, ErrSignature) {
		t.Errorf("a provider without certificates: %v", err)
	}
	late := expected()
	late.Now = clock().AddDate(6, 0, 0)
	if _, err := p.Verify(good, late); err == nil {
		t.Error("an expired certificate was believed")
	}
}

// Every change of a signed document is refused, and so is what is no document.
func TestVerify_altered(t *testing.T) {
	t.Parallel()
	idp, p := newIDP(t)
	raw, err := build(t, idp, right()).WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"subject":          strings.Replace(raw, ">alice<", ">admin<", 1),
		"attribute":        strings.Replace(raw, "a@example.com", "b@example.com", 1),
		"comment in name":  strings.Replace(raw, ">alice<", ">ali<!-- -->ce<", 1),
		"comment":          strings.Replace(raw, "<Subject>", "<!-- x --><Subject>", 1),
		"instruction":      strings.Replace(raw, "<Subject>", "<?x y?><Subject>", 1),
		"document type":    `<!DOCTYPE x [<!ENTITY e "alice">]>` + raw,
		"second root":      raw + raw,
		"text around":      raw + "x",
		"same id twice":    strings.Replace(raw, `ID="_r1"`, `ID="_a1"`, 1),
		"attribute twice":  strings.Replace(raw, `ID="_r1"`, `ID="_r1" ID="_r2"`, 1),
		"sha1":             strings.Replace(raw, "ecdsa-sha256", "ecdsa-sha1", 1),
		"unknown method":   strings.Replace(raw, "ecdsa-sha256", "hmac-sha256", 1),
		"empty reference":  strings.Replace(raw, `URI="#_a1"`, `URI=""`, 1),
		"other reference":  strings.Replace(raw, `URI="#_a1"`, `URI="#_r1"`, 1),
		"xslt":             strings.Replace(raw, "http://www.w3.org/2001/10/xml-exc-c14n#", "http://www.w3.org/TR/1999/REC-xslt-19991116", 2),
		"version":          strings.Replace(raw, `Version="2.0"`, `Version="1.1"`, 1),
		"another envelope": strings.ReplaceAll(raw, "samlp:Response", "samlp:ArtifactResponse"),
		"encrypted":        strings.NewReplacer("<Assertion", "<EncryptedAssertion", "</Assertion", "</EncryptedAssertion").Replace(raw),
		"deep":             strings.Repeat("<a>", 10_000),
		"empty":            "",
	} {
		if text == raw {
			t.Errorf("%s: nothing was altered", name)
		}
		if a, err := p.Verify(base64.StdEncoding.EncodeToString([]byte(text)), expected()); err == nil || a != nil {
			t.Errorf("%s: accepted, %+v", name, a)
		}
	}
	for name, text := range map[string]string{"not base64": "!", "too long": strings.Repeat("A", MaxLength+4), "not XML": "AAAA"} {
		if _, err := p.Verify(text, expected()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	idp, p := newIDP(f)
	r := right()
	for _, both := range []bool{false, true} {
		r.SignResponse = both
		raw, err := build(f, idp, r).WriteToBytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := p.Verify(base64.StdEncoding.EncodeToString(raw), expected())
		if (err == nil) != (a != nil) || a != nil && (a.Subject != "alice" || strings.Join(a.Attributes["mail"], ",") != "a@example.com") {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
