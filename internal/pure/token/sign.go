package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
)

// SigningKey signs tokens under RS256 or ES256. It is safe for concurrent use and never
// prints its secret.
type SigningKey struct {
	ID      string
	Private *rsa.PrivateKey // nil for ES256
	rsa     *rsaKey
	curve   *ecdsa.PrivateKey
	public  *Key
	header  string
}

// Slow says whether a signature takes about a millisecond: crypto/rsa makes it.
func (k *SigningKey) Slow() bool { return k.rsa != nil && k.rsa.fast == nil }

// NewSigningKey precomputes what signing under RS256 needs.
func NewSigningKey(id string, private *rsa.PrivateKey) (*SigningKey, error) {
	if private == nil {
		return nil, errors.New("token: no private key")
	}
	return newSigningKey(&SigningKey{ID: id, Private: private, rsa: newRSAKey(private)}, &private.PublicKey)
}

// NewCurveKey precomputes what signing under ES256 needs; the key must be on P-256.
func NewCurveKey(id string, private *ecdsa.PrivateKey) (*SigningKey, error) {
	if private == nil || private.Curve != elliptic.P256() {
		return nil, errors.New("token: no private key on P-256")
	}
	return newSigningKey(&SigningKey{ID: id, curve: private}, &private.PublicKey)
}

func newSigningKey(k *SigningKey, public crypto.PublicKey) (*SigningKey, error) {
	var err error
	if k.public, err = NewKey(k.ID, public); err != nil {
		return nil, err
	}
	kid, err := json.Marshal(k.ID)
	if err != nil {
		return nil, err
	}
	k.header = base64.RawURLEncoding.EncodeToString([]byte(`{"kid":`+string(kid)+`,"alg":"`+k.public.Algorithm+`"}`)) + "."
	return k, nil
}

// Key returns the public half.
func (k *SigningKey) Key() *Key { return k.public }

// String never shows the key.
func (k *SigningKey) String() string { return "signing key " + k.ID + " [redacted]" }

// GoString never shows the key.
func (k *SigningKey) GoString() string { return k.String() }

// Sign returns a compact token over claims, which must be one JSON object.
func Sign(k *SigningKey, claims []byte) (string, error) {
	const signature = 256 // bytes, of a key of 2,048 bits; for a longer one the room grows
	enc := base64.RawURLEncoding
	b := make([]byte, 0, len(k.header)+enc.EncodedLen(len(claims))+len(".")+enc.EncodedLen(signature))
	b = enc.AppendEncode(append(b, k.header...), claims)
	sum := sha256.Sum256(b)
	sig, err := k.sign(&sum)
	if err != nil {
		return "", err
	}
	return string(enc.AppendEncode(append(b, '.'), sig)), nil
}

func (k *SigningKey) sign(sum *[sha256.Size]byte) ([]byte, error) {
	if k.rsa != nil {
		return k.rsa.sign(sum)
	}
	// Without a source of chance the nonce follows from key and text (RFC 6979): a bad
	// source cannot give the key away.
	der, err := k.curve.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		return nil, err
	}
	out := make([]byte, 2*fieldBytes(k.curve.Curve)) // RFC 7518 section 3.4
	pair.R.FillBytes(out[:len(out)/2])
	pair.S.FillBytes(out[len(out)/2:])
	return out, nil
}
