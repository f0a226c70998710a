package token

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Key is a public key under the id by which tokens name it. It is immutable.
type Key struct {
	ID     string
	Public *rsa.PublicKey
}

// KeySet finds a key by its id. Implementations are safe for concurrent use.
type KeySet interface {
	Key(kid string) (*Key, bool)
}

// Keys is a fixed [KeySet] by key id.
type Keys map[string]*Key

// Key implements [KeySet].
func (s Keys) Key(kid string) (*Key, bool) {
	k, ok := s[kid]
	return k, ok && k != nil
}

// NewKeys returns the key set of the given keys.
func NewKeys(keys ...*Key) Keys {
	s := make(Keys, len(keys))
	for _, k := range keys {
		s[k.ID] = k
	}
	return s
}

// NewKey checks a public key: between 2048 and 8192 bits (RFC 7518 section 3.3
// demands the lower bound, the upper one bounds the work a foreign key set can cause).
func NewKey(id string, public *rsa.PublicKey) (*Key, error) {
	if id == "" {
		return nil, errors.New("token: a key needs an id")
	}
	if public == nil || public.N == nil {
		return nil, errors.New("token: no public key")
	}
	if n := public.N.BitLen(); n < 2048 || n > 8192 {
		return nil, fmt.Errorf("token: key of %d bits", n)
	}
	if public.E < 3 || public.E%2 == 0 || public.N.Bit(0) == 0 {
		return nil, errors.New("token: not an RSA key")
	}
	if fromWeakGenerator(public.N) {
		return nil, errors.New("token: a key from the weak generator of CVE-2017-15361")
	}
	return &Key{ID: id, Public: public}, nil
}

// SigningKey signs tokens. It is safe for concurrent use and never prints its secret.
type SigningKey struct {
	ID      string
	Private *rsa.PrivateKey
	header  string
}

// NewSigningKey precomputes what signing needs.
func NewSigningKey(id string, private *rsa.PrivateKey) (*SigningKey, error) {
	if private == nil {
		return nil, errors.New("token: no private key")
	}
	if _, err := NewKey(id, &private.PublicKey); err != nil {
		return nil, err
	}
	kid, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"kid":` + string(kid) + `,"alg":"RS256"}`))
	return &SigningKey{ID: id, Private: private, header: head + "."}, nil
}

// Key returns the public half.
func (k *SigningKey) Key() *Key { return &Key{ID: k.ID, Public: &k.Private.PublicKey} }

// String never shows the key.
func (k *SigningKey) String() string { return "signing key " + k.ID + " [redacted]" }

// GoString never shows the key.
func (k *SigningKey) GoString() string { return k.String() }

type jwk struct {
	Alg string `json:"alg"`
	E   string `json:"e"`
	Kid string `json:"kid"`
	Kty string `json:"kty"`
	N   string `json:"n"`
	Use string `json:"use"`
}

// JWKS encodes a JSON Web Key Set (RFC 7517 section 5) in the order given.
func JWKS(keys ...*Key) []byte {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	enc := base64.RawURLEncoding
	for _, k := range keys {
		set.Keys = append(set.Keys, jwk{
			Alg: "RS256", Kty: "RSA", Use: "sig", Kid: k.ID,
			E: enc.EncodeToString(big.NewInt(int64(k.Public.E)).Bytes()),
			N: enc.EncodeToString(k.Public.N.Bytes()),
		})
	}
	out, err := json.Marshal(set)
	if err != nil { // strings only: cannot fail
		return []byte(`{"keys":[]}`)
	}
	return out
}

// ParseJWKS reads a key set published by an issuer. Keys that are not RSA
// signature keys are left out; a set that mixes in a symmetric key is refused
// whole, as is one that names a key twice: both are signs of a confused publisher.
func ParseJWKS(raw []byte) (Keys, error) {
	set, err := decodeObject(raw)
	if err != nil {
		return nil, err
	}
	list, ok := set["keys"].([]any)
	if !ok || len(list) > 100 {
		return nil, errors.New("token: not a key set")
	}
	out := Keys{}
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, errors.New("token: not a key set")
		}
		k, err := parseJWK(m)
		if err != nil {
			return nil, err
		}
		if k == nil {
			continue
		}
		if _, there := out[k.ID]; there {
			return nil, errors.New("token: a key id is used twice")
		}
		out[k.ID] = k
	}
	return out, nil
}

// parseJWK returns nil without an error for a key that is not for us.
func parseJWK(m Claims) (*Key, error) {
	switch m.String("kty") {
	case "RSA":
	case "oct":
		return nil, errors.New("token: a key set holds a symmetric key")
	default:
		return nil, nil
	}
	for _, secret := range []string{"d", "p", "q", "k"} {
		if _, there := m[secret]; there {
			return nil, errors.New("token: a key set holds a private key")
		}
	}
	if use := m.String("use"); use != "" && use != "sig" {
		return nil, nil
	}
	if alg := m.String("alg"); alg != "" && alg != "RS256" {
		return nil, nil
	}
	if _, there := m["key_ops"]; there && !slices.Contains(m.Strings("key_ops"), "verify") {
		return nil, nil
	}
	if m.String("kid") == "" {
		return nil, nil
	}
	n, err := decodePart(m.String("n"))
	if err != nil {
		return nil, err
	}
	e, err := decodePart(m.String("e"))
	if err != nil || len(e) > 4 {
		return nil, ErrMalformed
	}
	exp := new(big.Int).SetBytes(e)
	if exp.BitLen() > 31 {
		return nil, ErrMalformed
	}
	return NewKey(m.String("kid"), &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exp.Int64())})
}

// fromWeakGenerator recognises moduli of CVE-2017-15361 (ROCA): modulo each small
// prime they are a power of 65537, which for another modulus is improbable to one in 2^27.
func fromWeakGenerator(n *big.Int) bool {
	for _, p := range []int64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157} {
		rest := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		power, found := int64(1), false
		for range p {
			if power == rest {
				found = true
				break
			}
			power = power * 65537 % p
		}
		if !found {
			return false
		}
	}
	return true
}
