package samltest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"

	"github.com/beevik/etree"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// The algorithms of XML Encryption that the provider knows.
const (
	AES128CBC = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
	AES256CBC = "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
	AES128GCM = "http://www.w3.org/2009/xmlenc11#aes128-gcm"
	AES256GCM = "http://www.w3.org/2009/xmlenc11#aes256-gcm"

	OAEP       = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p" // with SHA-1
	OAEPSHA256 = "http://www.w3.org/2009/xmlenc11#rsa-oaep"        // with SHA-256 for digest and mask
	PKCS1v15   = "http://www.w3.org/2001/04/xmlenc#rsa-1_5"
)

// Encryption is how the assertion is encrypted, after it was signed and before the
// response is.
type Encryption struct {
	Key              *rsa.PublicKey
	Block, Transport string
	Beside           bool                        // the key stands beside the data, not in it
	Change           func(plain []byte) []byte   // what is encrypted instead of the assertion
	Alter            func(sealed *etree.Element) // changes the encrypted assertion
	AlterText        func(cipherText []byte)     // changes the encrypted octets
}

func (c *Encryption) apply(root *etree.Element) error {
	a := root.FindElement("./Assertion")
	ns, err := etreeutils.NSBuildParentContext(a)
	if err != nil {
		return err
	}
	detached, err := etreeutils.NSDetatch(ns, a)
	if err != nil {
		return err
	}
	doc := etree.NewDocument()
	doc.SetRoot(detached)
	plain, err := doc.WriteToBytes()
	if err != nil {
		return err
	}
	if c.Change != nil {
		plain = c.Change(plain)
	}
	key := make([]byte, 32)
	if strings.Contains(c.Block, "128") {
		key = key[:16]
	}
	_, _ = rand.Read(key) // never fails
	text, err := c.seal(key, plain)
	if err != nil {
		return err
	}
	if c.AlterText != nil {
		c.AlterText(text)
	}
	wrapped, details, err := c.wrap(key)
	if err != nil {
		return err
	}
	enc := base64.StdEncoding
	encrypted := fmt.Sprintf(`<xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="%s">%s</xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey>`,
		c.Transport, details, enc.EncodeToString(wrapped))
	info, beside := `<ds:KeyInfo>`+encrypted+`</ds:KeyInfo>`, ""
	if c.Beside {
		info, beside = "", encrypted
	}
	sealed := etree.NewDocument()
	if err := sealed.ReadFromString(fmt.Sprintf(`<EncryptedAssertion xmlns="urn:oasis:names:tc:SAML:2.0:assertion" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">`+
		`<xenc:EncryptedData Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="%s"/>%s<xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>%s</EncryptedAssertion>`,
		c.Block, info, enc.EncodeToString(text), beside)); err != nil {
		return err
	}
	if c.Alter != nil {
		c.Alter(sealed.Root())
	}
	root.RemoveChild(a)
	root.AddChild(sealed.Root())
	return nil
}

func (c *Encryption) seal(key, plain []byte) ([]byte, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(c.Block, "gcm") {
		aead, err := cipher.NewGCM(b)
		if err != nil {
			return nil, err
		}
		iv := make([]byte, aead.NonceSize())
		_, _ = rand.Read(iv) // never fails
		return aead.Seal(iv, iv, plain, nil), nil
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(bytes.Clone(plain), make([]byte, pad)...)
	plain[len(plain)-1] = byte(pad)
	text := make([]byte, aes.BlockSize+len(plain))
	_, _ = rand.Read(text[:aes.BlockSize]) // never fails
	cipher.NewCBCEncrypter(b, text[:aes.BlockSize]).CryptBlocks(text[aes.BlockSize:], plain)
	return text, nil
}

func (c *Encryption) wrap(key []byte) (wrapped []byte, details string, err error) {
	var h hash.Hash
	switch c.Transport {
	case OAEP:
		h = sha1.New()
	case OAEPSHA256:
		h = sha256.New()
		details = `<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><xenc11:MGF xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" Algorithm="http://www.w3.org/2009/xmlenc11#mgf1sha256"/>`
	default:
		wrapped, err = rsa.EncryptPKCS1v15(rand.Reader, c.Key, key)
		return wrapped, "", err
	}
	wrapped, err = rsa.EncryptOAEP(h, rand.Reader, c.Key, key, nil)
	return wrapped, details, err
}
