package saml

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"

	"moat/internal/saml/samltest"
)

func newKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sealed is a right response whose assertion is encrypted for key.
func sealed(key *rsa.PrivateKey) samltest.Response {
	r := right()
	r.Encrypt = &samltest.Encryption{Key: &key.PublicKey, Block: samltest.AES256GCM, Transport: samltest.OAEP}
	return r
}

func TestVerify_encrypted(t *testing.T) {
	t.Parallel()
	idp, p := newIDP(t)
	key, old := newKey(t), newKey(t)
	p.Keys = []*rsa.PrivateKey{old, key}
	for _, must := range []bool{false, true} {
		p.MustEncrypt = must
		for _, block := range []string{samltest.AES128CBC, samltest.AES256CBC, samltest.AES128GCM, samltest.AES256GCM} {
			for _, transport := range []string{samltest.OAEP, samltest.OAEPSHA256} {
				for name, change := range map[string]func(*samltest.Response){
					"assertion signed":   func(*samltest.Response) {},
					"response signed":    func(r *samltest.Response) { r.SignAssertion, r.SignResponse = false, true },
					"both signed":        func(r *samltest.Response) { r.SignResponse = true },
					"the key beside it":  func(r *samltest.Response) { r.Encrypt.Beside = true },
					"for the key of old": func(r *samltest.Response) { r.Encrypt.Key = &old.PublicKey },
				} {
					r := sealed(key)
					r.Encrypt.Block, r.Encrypt.Transport = block, transport
					change(&r)
					a, err := p.Verify(samltest.Encode(build(t, idp, r)), expected())
					if err != nil || a.Subject != "alice" || strings.Join(a.Attributes["groups"], ",") != "x,y" {
						t.Errorf("%s, %s, %s: %+v, %v", block, transport, name, a, err)
					}
				}
			}
		}
	}
}

func TestVerify_encryptedRefused(t *testing.T) {
	t.Parallel()
	idp, p := newIDP(t)
	other, _ := newIDP(t)
	key := newKey(t)
	p.Keys = []*rsa.PrivateKey{key}
	swap := func(from, to string) func([]byte) []byte {
		return func(plain []byte) []byte { return bytes.ReplaceAll(plain, []byte(from), []byte(to)) }
	}
	remove := func(path string) func(*etree.Element) {
		return func(e *etree.Element) { x := e.FindElement(path); x.Parent().RemoveChild(x) }
	}
	for name, tt := range map[string]struct {
		idp    *samltest.IDP
		change func(r *samltest.Response)
		want   error
	}{
		"for another key":         {idp, func(r *samltest.Response) { r.Encrypt.Key = &newKey(t).PublicKey }, ErrUnopened},
		"nobody signed":           {idp, func(r *samltest.Response) { r.SignAssertion = false }, ErrUnopened},
		"another provider signed": {other, func(*samltest.Response) {}, ErrUnopened},
		"another signed it all":   {other, func(r *samltest.Response) { r.SignResponse = true }, ErrSignature},
		"changed inside":          {idp, func(r *samltest.Response) { r.Encrypt.Change = swap(">alice<", ">admin<") }, ErrUnopened},
		"changed outside":         {idp, func(r *samltest.Response) { r.Encrypt.AlterText = func(b []byte) { b[len(b)/2] ^= 1 } }, ErrUnopened},
		"changed outside, CBC": {idp, func(r *samltest.Response) {
			r.Encrypt.Block, r.Encrypt.AlterText = samltest.AES256CBC, func(b []byte) { b[len(b)/2] ^= 1 }
		}, ErrUnopened},
		"padding, CBC": {idp, func(r *samltest.Response) {
			r.Encrypt.Block, r.Encrypt.AlterText = samltest.AES128CBC, func(b []byte) { b[len(b)-17] ^= 0x80 }
		}, ErrUnopened},
		"key transport of PKCS #1":  {idp, func(r *samltest.Response) { r.Encrypt.Transport = samltest.PKCS1v15 }, ErrUnopened},
		"triple DES":                {idp, func(r *samltest.Response) { r.Encrypt.Block = nsEncryption + "tripledes-cbc" }, ErrUnopened},
		"a block of another length": {idp, func(r *samltest.Response) { r.Encrypt.Alter = setAlgorithm(samltest.AES128GCM) }, ErrUnopened},
		"CBC for GCM":               {idp, func(r *samltest.Response) { r.Encrypt.Alter = setAlgorithm(samltest.AES256CBC) }, ErrUnopened},
		"no data":                   {idp, func(r *samltest.Response) { r.Encrypt.Alter = remove(".//EncryptedData") }, ErrUnopened},
		"no key":                    {idp, func(r *samltest.Response) { r.Encrypt.Alter = remove(".//EncryptedKey") }, ErrUnopened},
		"no cipher value":           {idp, func(r *samltest.Response) { r.Encrypt.Alter = remove(".//CipherValue") }, ErrUnopened},
		"two keys": {idp, func(r *samltest.Response) {
			r.Encrypt.Alter = func(e *etree.Element) { e.AddChild(e.FindElement(".//EncryptedKey").Copy()) }
		}, ErrUnopened},
		"a reference": {idp, func(r *samltest.Response) {
			r.Encrypt.Alter = func(e *etree.Element) {
				d := e.FindElement("./EncryptedData/CipherData")
				d.RemoveChildAt(0)
				d.CreateElement("xenc:CipherReference").CreateAttr("URI", "file:///etc/passwd")
			}
		}, ErrUnopened},
		"content alone": {idp, func(r *samltest.Response) {
			r.Encrypt.Alter = func(e *etree.Element) { e.FindElement("./EncryptedData").CreateAttr("Type", nsEncryption+"Content") }
		}, ErrUnopened},
		"nothing inside": {idp, func(r *samltest.Response) { r.Encrypt.Change = func([]byte) []byte { return nil } }, ErrUnopened},
		"text inside":    {idp, func(r *samltest.Response) { r.Encrypt.Change = func([]byte) []byte { return []byte("hello") } }, ErrUnopened},
		"two inside": {idp, func(r *samltest.Response) {
			r.Encrypt.Change = func(b []byte) []byte { return append(bytes.Clone(b), b...) }
		}, ErrUnopened},
		"a comment inside": {idp, func(r *samltest.Response) { r.Encrypt.Change = swap(">alice<", ">ali<!-- -->ce<") }, ErrUnopened},
		"a type inside": {idp, func(r *samltest.Response) {
			r.Encrypt.Change = func(b []byte) []byte { return append([]byte(`<!DOCTYPE x>`), b...) }
		}, ErrUnopened},
		"a response inside": {idp, func(r *samltest.Response) {
			r.Encrypt.Change = func(b []byte) []byte {
				return []byte(`<Response xmlns="` + nsProtocol + `">` + string(b) + `</Response>`)
			}
		}, ErrUnopened},
		"sealed once more":   {idp, func(r *samltest.Response) { r.Encrypt.Change = swap("<Conditions", `<EncryptedAssertion/><Conditions`) }, ErrUnopened},
		"one inside another": {idp, func(r *samltest.Response) { r.Encrypt.Change = swap("<Conditions", `<Assertion/><Conditions`) }, ErrUnopened},
		"a foreign name":     {idp, func(r *samltest.Response) { r.Encrypt.Change = swap(nsAssertion, "urn:other") }, ErrUnopened},
		"another audience":   {idp, func(r *samltest.Response) { r.Audience = "urn:other" }, ErrAudience},
		"expired":            {idp, func(r *samltest.Response) { r.Issued = clock().Add(-time.Hour) }, ErrExpired},
	} {
		r := sealed(key)
		tt.change(&r)
		if a, err := p.Verify(samltest.Encode(build(t, tt.idp, r)), expected()); !errors.Is(err, tt.want) || a != nil {
			t.Errorf("%s: %+v, %v, want %v", name, a, err, tt.want)
		}
	}
	response := samltest.Encode(build(t, idp, sealed(key)))
	if _, err := p.Verify(response, expected()); err != nil {
		t.Errorf("the twin that must pass: %v", err)
	}
	p.Keys = nil
	if _, err := p.Verify(response, expected()); !errors.Is(err, ErrEncrypted) {
		t.Errorf("without a key: %v", err)
	}
	p.Keys, p.MustEncrypt = []*rsa.PrivateKey{key}, true
	if _, err := p.Verify(samltest.Encode(build(t, idp, right())), expected()); !errors.Is(err, ErrUnencrypted) {
		t.Errorf("not encrypted: %v", err)
	}
}

func setAlgorithm(block string) func(*etree.Element) {
	return func(e *etree.Element) {
		e.FindElement("./EncryptedData/EncryptionMethod").CreateAttr("Algorithm", block)
	}
}

// Beside an encrypted assertion no other may stand, and none elsewhere.
func TestVerify_encryptedWrapping(t *testing.T) {
	t.Parallel()
	idp, p := newIDP(t)
	key := newKey(t)
	p.Keys = []*rsa.PrivateKey{key}
	root := build(t, idp, sealed(key)).Root()
	evil := build(t, idp, right()).Root().FindElement("./Assertion")
	evil.FindElement(".//NameID").SetText("admin")
	evil.CreateAttr("ID", "_evil")
	within := func(path string, e *etree.Element) *etree.Element {
		c := root.Copy()
		c.FindElement(path).AddChild(e.Copy())
		return c
	}
	twice := root.Copy()
	twice.AddChild(root.FindElement("./EncryptedAssertion").Copy())
	moved := root.Copy()
	moved.RemoveChild(moved.FindElement("./EncryptedAssertion"))
	moved.CreateElement("samlp:Extensions").AddChild(root.FindElement("./EncryptedAssertion").Copy())
	for name, e := range map[string]*etree.Element{
		"a plain one beside it": within(".", evil),
		"a plain one inside":    within("./EncryptedAssertion", evil),
		"a plain one deeper":    within(".//KeyInfo", evil),
		"two":                   twice,
		"in an extension":       moved,
		"a signature inside":    within("./EncryptedAssertion", evil.FindElement("./Signature")),
	} {
		doc := etree.NewDocument()
		doc.SetRoot(e)
		if a, err := p.Verify(samltest.Encode(doc), expected()); !errors.Is(err, ErrMalformed) || a != nil {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

func FuzzVerify_encrypted(f *testing.F) {
	idp, p := newIDP(f)
	key := newKey(f)
	p.Keys = []*rsa.PrivateKey{key}
	for _, block := range []string{samltest.AES256GCM, samltest.AES128CBC} {
		r := sealed(key)
		r.Encrypt.Block = block
		raw, err := build(f, idp, r).WriteToBytes()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := p.Verify(base64.StdEncoding.EncodeToString(raw), expected())
		if (err == nil) != (a != nil) || a != nil && a.Subject != "alice" {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
