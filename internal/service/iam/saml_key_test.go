package iam

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"moat/internal/saml/samltest"
	"moat/internal/wire/iamapi"
)

func samlKeyPEM(t *testing.T, bits int) (string, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})), key
}

func (h *samlHouse) update(change func(*iamapi.UpdateSAMLProviderRequest)) error {
	in := &iamapi.UpdateSAMLProviderRequest{SAMLProviderArn: h.provider}
	change(in)
	_, err := h.iam.UpdateSAMLProvider(h.root(), in)
	return err
}

func (h *samlHouse) get() *iamapi.GetSAMLProviderResponse {
	h.t.Helper()
	return must(h.t)(h.iam.GetSAMLProvider(h.root(), &iamapi.GetSAMLProviderRequest{SAMLProviderArn: h.provider})).(*iamapi.GetSAMLProviderResponse)
}

// A provider encrypts for a key, the key is replaced, encryption is required and
// is not; each time who may sign in changes at once.
func TestSAMLProvider_encryption(t *testing.T) {
	t.Parallel()
	h := newSAMLHouse(t, samlTrust)
	first, key := samlKeyPEM(t, 2048)
	second, next := samlKeyPEM(t, 2048)
	signIn := func(key *rsa.PrivateKey) error {
		r := h.right()
		if key != nil {
			r.Encrypt = &samltest.Encryption{Key: &key.PublicKey, Block: samltest.AES256CBC, Transport: samltest.OAEP}
		}
		_, err := h.present(r, nil)
		return err
	}
	expect := func(when string, plain, byFirst, bySecond string) {
		t.Helper()
		for what, tt := range map[string]struct {
			key     *rsa.PrivateKey
			message string
		}{"plain": {nil, plain}, "for the first key": {key, byFirst}, "for the second key": {next, bySecond}} {
			err := signIn(tt.key)
			if tt.message == "" {
				if err != nil {
					t.Errorf("%s, %s: %v", when, what, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s, %s: let in", when, what)
				continue
			}
			want(t, when+", "+what, err, "InvalidIdentityToken", tt.message)
		}
	}
	const (
		noKey   = "The assertion is encrypted, and the provider has no private key."
		unread  = "The encrypted assertion cannot be decrypted with the provider's private keys, or is not signed."
		noCrypt = "The assertion is not encrypted, which the provider requires."
	)
	expect("without keys", "", noKey, noKey)
	want(t, "required without a key", h.update(func(in *iamapi.UpdateSAMLProviderRequest) { in.AssertionEncryptionMode = "Required" }), "InvalidInput", "")
	if err := h.update(func(in *iamapi.UpdateSAMLProviderRequest) { in.AddPrivateKey = &first }); err != nil {
		t.Fatal(err)
	}
	g := h.get()
	if g.AssertionEncryptionMode != "Allowed" || len(g.PrivateKeyList) != 1 || g.PrivateKeyList[0].Timestamp == nil {
		t.Fatalf("%+v", g)
	}
	old := *g.PrivateKeyList[0].KeyId
	expect("one key", "", "", unread)
	if err := h.update(func(in *iamapi.UpdateSAMLProviderRequest) {
		in.AddPrivateKey, in.AssertionEncryptionMode = &second, "Required"
	}); err != nil {
		t.Fatal(err)
	}
	expect("two keys, required", noCrypt, "", "")
	want(t, "a third key", h.update(func(in *iamapi.UpdateSAMLProviderRequest) { in.AddPrivateKey = &first }), "LimitExceeded", "")
	want(t, "both at once", h.update(func(in *iamapi.UpdateSAMLProviderRequest) { in.AddPrivateKey, in.RemovePrivateKey = &first, &old }), "InvalidInput", "")
	want(t, "no such key", h.update(func(in *iamapi.UpdateSAMLProviderRequest) { in.RemovePrivateKey = ptr(strings.Repeat("A", 26)) }), "NoSuchEntity", "")
	if err := h.update(func(in *iamapi.UpdateSAMLProviderRequest) { in.RemovePrivateKey = &old }); err != nil {
		t.Fatal(err)
	}
	expect("the second key, required", noCrypt, unread, "")
	last := *h.get().PrivateKeyList[0].KeyId
	want(t, "the last key, required", h.update(func(in *iamapi.UpdateSAMLProviderRequest) { in.RemovePrivateKey = &last }), "InvalidInput", "")
	if err := h.update(func(in *iamapi.UpdateSAMLProviderRequest) {
		in.RemovePrivateKey, in.AssertionEncryptionMode = &last, "Allowed"
	}); err != nil {
		t.Fatal(err)
	}
	expect("no key again", "", noKey, noKey)
	want(t, "nothing", h.update(func(*iamapi.UpdateSAMLProviderRequest) {}), "InvalidInput", "")
}

func TestSAMLProvider_privateKey(t *testing.T) {
	t.Parallel()
	h := newSAMLHouse(t, samlTrust)
	good, key := samlKeyPEM(t, 2048)
	small, _ := samlKeyPEM(t, 1024)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	create := func(name, text string, mode iamapi.AssertionEncryptionModeType) error {
		_, err := h.iam.CreateSAMLProvider(h.root(), &iamapi.CreateSAMLProviderRequest{Name: name, SAMLMetadataDocument: h.idp.Metadata(), AddPrivateKey: &text, AssertionEncryptionMode: mode})
		return err
	}
	for name, text := range map[string]string{"pkcs1": good, "pkcs8": block("PRIVATE KEY", der)} {
		if err := create(name, text, "Required"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"small": small, "curve": block("PRIVATE KEY", curveDER), "public": block("PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)),
		"two": good + good, "text": "hello", "cut": good[:len(good)/2], "behind": good + "x", "wrong": block("PRIVATE KEY", der[:40]),
		"password": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
	} {
		want(t, name, create(name, text, ""), "InvalidInput", "")
	}
	// Nothing of the key is in the store, nor in an answer.
	p, err := h.s.samlProvider(t.Context(), "arn:aws:iam::000000000000:saml-provider/pkcs1")
	if err != nil || len(p.Keys) != 1 || bytes.Contains(p.Keys[0].Sealed, key.D.Bytes()[:16]) {
		t.Errorf("%+v, %v", p, err)
	}
	// A key that was moved to another provider opens nothing.
	other, err := h.s.samlProvider(t.Context(), "arn:aws:iam::000000000000:saml-provider/pkcs8")
	if err != nil {
		t.Fatal(err)
	}
	other.Keys = p.Keys
	if keys, err := h.s.openSAMLKeys(other); err == nil {
		t.Errorf("opened %d keys", len(keys))
	}
}

func ptr[T any](v T) *T { return &v }
