package userpool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
)

// sealTo encrypts a secret so that only the holder of the private key reads it: a JWE in
// compact form (RFC 7516) with RSA-OAEP-256 and A256GCM (RFC 7518), kid the key's thumbprint
// (RFC 7638).
func sealTo(key *rsa.PublicKey, random io.Reader, secret []byte) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": thumbprint(key)})
	if err != nil {
		return "", err
	}
	fresh := make([]byte, 32+12)
	if _, err := io.ReadFull(random, fresh); err != nil {
		return "", err
	}
	content, nonce := fresh[:32], fresh[32:]
	wrapped, err := rsa.EncryptOAEP(sha256.New(), random, key, content, nil)
	if err != nil {
		return "", err
	}
	block, err := aes.NewCipher(content)
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	protected := b64(header)
	sealed := gcm.Seal(nil, nonce, secret, []byte(protected))
	at := len(sealed) - gcm.Overhead()
	return protected + "." + b64(wrapped) + "." + b64(nonce) + "." + b64(sealed[:at]) + "." + b64(sealed[at:]), nil
}

func thumbprint(key *rsa.PublicKey) string {
	b64 := base64.RawURLEncoding.EncodeToString
	sum := sha256.Sum256([]byte(`{"e":"` + b64(big.NewInt(int64(key.E)).Bytes()) + `","kty":"RSA","n":"` + b64(key.N.Bytes()) + `"}`))
	return b64(sum[:])
}
