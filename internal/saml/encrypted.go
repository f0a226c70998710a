package saml

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	_ "crypto/sha1" // RSA-OAEP's digest unless another is named
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"strings"
	"time"

	"github.com/beevik/etree"
)

// The namespaces and algorithms of XML Encryption 1.1 that are accepted. RSA with
// PKCS #1 v1.5 is not among them: it is broken as a transport (section 6.1.2).
const (
	nsEncryption   = "http://www.w3.org/2001/04/xmlenc#"
	nsEncryption11 = "http://www.w3.org/2009/xmlenc11#"

	transportOAEP   = nsEncryption + "rsa-oaep-mgf1p" // with MGF1 on SHA-1
	transportOAEP11 = nsEncryption11 + "rsa-oaep"
)

// block is an algorithm that encrypts the assertion itself.
type block struct {
	key int // bytes
	gcm bool
}

func blockOf(algorithm string) block {
	switch algorithm {
	case nsEncryption + "aes128-cbc":
		return block{16, false}
	case nsEncryption + "aes192-cbc":
		return block{24, false}
	case nsEncryption + "aes256-cbc":
		return block{32, false}
	case nsEncryption11 + "aes128-gcm":
		return block{16, true}
	case nsEncryption11 + "aes192-gcm":
		return block{24, true}
	case nsEncryption11 + "aes256-gcm":
		return block{32, true}
	}
	return block{}
}

// opened returns the assertion of a response that holds it encrypted, as it was
// signed. A signature of the response is verified before anything is decrypted.
//
// Whatever is wrong with the encrypted part, up to the signature inside, is one
// error: telling them apart would let who has an assertion that is not for him read
// it bit by bit (Jager and Somorovsky, "How to Break XML Encryption", 2011).
func (p *Provider) opened(root *etree.Element, now time.Time) (*etree.Element, error) {
	if len(p.Keys) == 0 {
		return nil, ErrEncrypted
	}
	around := signatures(root)
	if len(around) > 0 {
		r, err := p.check(root, around, now)
		if err != nil {
			return nil, err
		}
		root = r
	}
	a := p.decrypted(child(root, nsAssertion, "EncryptedAssertion"))
	if a == nil {
		return nil, ErrUnopened
	}
	own := signatures(a)
	if len(own) == 0 {
		if len(around) == 0 {
			return nil, ErrUnopened
		}
		return a, nil
	}
	signed, err := p.check(a, own, now)
	if err != nil || !is(signed, nsAssertion, "Assertion") {
		return nil, ErrUnopened
	}
	return signed, nil
}

// decrypted opens an encrypted assertion with the first key that fits; nil when
// none does, or when inside is anything but one assertion of our shape.
func (p *Provider) decrypted(e *etree.Element) *etree.Element {
	data := child(e, nsEncryption, "EncryptedData")
	if data == nil || data.SelectAttrValue("Type", nsEncryption+"Element") != nsEncryption+"Element" {
		return nil
	}
	keys := append(children(child(data, nsSignature, "KeyInfo"), nsEncryption, "EncryptedKey"), children(e, nsEncryption, "EncryptedKey")...)
	b := blockOf(method(data))
	secret, ok := cipherValue(data)
	if len(keys) != 1 || b.key == 0 || !ok {
		return nil
	}
	options := oaep(child(keys[0], nsEncryption, "EncryptionMethod"))
	wrapped, ok := cipherValue(keys[0])
	if options == nil || !ok {
		return nil
	}
	for _, private := range p.Keys {
		key, err := private.Decrypt(nil, wrapped, options)
		if err != nil || len(key) != b.key {
			continue
		}
		if a := assertionIn(b.open(key, secret)); a != nil {
			return a
		}
	}
	return nil
}

// assertionIn reads what was encrypted: an assertion that stands by itself.
func assertionIn(plain []byte) *etree.Element {
	if len(plain) == 0 {
		return nil
	}
	doc := etree.NewDocument()
	doc.ReadSettings = etree.ReadSettings{ValidateInput: true, PreserveDuplicateAttrs: true, MaxDepth: maxDepth}
	if err := doc.ReadFromBytes(plain); err != nil {
		return nil
	}
	a, s := doc.Root(), shape{inner: true}
	if !alone(doc, a) || !is(a, nsAssertion, "Assertion") || !s.look(a) || s.assertions != 1 || s.signatures != len(signatures(a)) {
		return nil
	}
	return a
}

// open decrypts; nil when the text is not whole or, with GCM, not genuine.
func (b block) open(key, text []byte) []byte {
	c, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	if b.gcm { // section 5.2.4: an IV of 96 bits before, a tag of 128 bits behind
		aead, err := cipher.NewGCM(c)
		if err != nil || len(text) < aead.NonceSize() {
			return nil
		}
		plain, err := aead.Open(nil, text[:aead.NonceSize()], text[aead.NonceSize():], nil)
		if err != nil {
			return nil
		}
		return plain
	}
	if len(text) < 2*aes.BlockSize || len(text)%aes.BlockSize != 0 {
		return nil
	}
	plain := make([]byte, len(text)-aes.BlockSize)
	cipher.NewCBCDecrypter(c, text[:aes.BlockSize]).CryptBlocks(plain, text[aes.BlockSize:])
	pad := int(plain[len(plain)-1]) // section 5.2: the other bytes of the padding are arbitrary
	if pad == 0 || pad > aes.BlockSize {
		return nil
	}
	return plain[:len(plain)-pad]
}

// oaep reads the transport of a key (section 5.5.2); nil for any other.
func oaep(m *etree.Element) *rsa.OAEPOptions {
	if m == nil || len(children(m, nsEncryption, "OAEPparams")) > 0 {
		return nil
	}
	o := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	switch m.SelectAttrValue("Algorithm", "") {
	case transportOAEP:
	case transportOAEP11:
		if len(children(m, nsEncryption11, "MGF")) > 0 {
			o.MGFHash = map[string]crypto.Hash{
				nsEncryption11 + "mgf1sha1": crypto.SHA1, nsEncryption11 + "mgf1sha256": crypto.SHA256,
				nsEncryption11 + "mgf1sha384": crypto.SHA384, nsEncryption11 + "mgf1sha512": crypto.SHA512,
			}[algorithm(child(m, nsEncryption11, "MGF"))]
		}
	default:
		return nil
	}
	if len(children(m, nsSignature, "DigestMethod")) > 0 {
		o.Hash = map[string]crypto.Hash{
			nsSignature + "sha1": crypto.SHA1, nsEncryption + "sha256": crypto.SHA256,
			"http://www.w3.org/2001/04/xmldsig-more#sha384": crypto.SHA384, nsEncryption + "sha512": crypto.SHA512,
		}[algorithm(child(m, nsSignature, "DigestMethod"))]
	}
	if o.Hash == 0 || o.MGFHash == 0 {
		return nil
	}
	return o
}

func method(e *etree.Element) string { return algorithm(child(e, nsEncryption, "EncryptionMethod")) }

func algorithm(e *etree.Element) string {
	if e == nil {
		return ""
	}
	return e.SelectAttrValue("Algorithm", "")
}

// cipherValue returns the octets of an encrypted element, which must be in it: what
// a CipherReference points to is not fetched.
func cipherValue(e *etree.Element) ([]byte, bool) {
	value, ok := text(child(child(e, nsEncryption, "CipherData"), nsEncryption, "CipherValue"))
	if !ok {
		return nil, false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
	return raw, err == nil
}
