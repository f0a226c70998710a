package token

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
)

type jwk struct {
	Alg string `json:"alg,omitempty"`
	Crv string `json:"crv,omitempty"`
	E   string `json:"e,omitempty"`
	Kid string `json:"kid"`
	Kty string `json:"kty"`
	N   string `json:"n,omitempty"`
	Use string `json:"use"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
}

// JWKS encodes a JSON Web Key Set (RFC 7517 section 5) in the order given.
func JWKS(keys ...*Key) []byte {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	enc := base64.RawURLEncoding
	for _, k := range keys {
		out := jwk{Alg: k.Algorithm, Use: "sig", Kid: k.ID}
		switch public := k.Public.(type) {
		case *rsa.PublicKey:
			out.Kty = "RSA"
			out.E = enc.EncodeToString(big.NewInt(int64(public.E)).Bytes())
			out.N = enc.EncodeToString(public.N.Bytes())
		case *ecdsa.PublicKey:
			point, err := public.Bytes()
			if err != nil {
				continue // no key of NewKey or ParseJWKS
			}
			half := len(point) / 2
			out.Kty, out.Crv = "EC", public.Params().Name
			out.X, out.Y = enc.EncodeToString(point[1:1+half]), enc.EncodeToString(point[1+half:])
		}
		set.Keys = append(set.Keys, out)
	}
	out, err := json.Marshal(set)
	if err != nil { // strings only: cannot fail
		return []byte(`{"keys":[]}`)
	}
	return out
}

// ParseJWKS reads a key set published by an issuer. Keys that are not signature
// keys for an algorithm of ours are left out; a set that mixes in a symmetric or
// private key is refused whole, as is one that names a key twice: all are signs of
// a confused publisher.
func ParseJWKS(raw []byte) (Keys, error) {
	set, err := decodeObject(raw, 1)
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
	kty := m.String("kty")
	switch kty {
	case "RSA", "EC":
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
	if _, there := m["key_ops"]; there && !slices.Contains(m.Strings("key_ops"), "verify") {
		return nil, nil
	}
	if m.String("kid") == "" {
		return nil, nil
	}
	if kty == "EC" {
		return parseEC(m)
	}
	return parseRSA(m)
}

// parseRSA reads RFC 7518 section 6.3.1.
func parseRSA(m Claims) (*Key, error) {
	alg := m.String("alg")
	if s := schemeOf(alg); alg != "" && (s.hash == 0 || s.curve != nil) {
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
	k, err := NewKey(m.String("kid"), &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exp.Int64())})
	if err != nil {
		return nil, err
	}
	k.Algorithm = alg
	return k, nil
}

// parseEC reads RFC 7518 section 6.2.1. The curve is the algorithm: a key that
// names another one is not for us. Coordinates have the full length of the field.
func parseEC(m Claims) (*Key, error) {
	alg, curve := onCurve(m.String("crv"))
	if named := m.String("alg"); alg == "" || named != "" && named != alg {
		return nil, nil
	}
	point := []byte{4} // SEC 1 section 2.3.3: uncompressed
	for _, name := range []string{"x", "y"} {
		b, err := decodePart(m.String(name))
		if err != nil || len(b) != fieldBytes(curve) {
			return nil, ErrMalformed
		}
		point = append(point, b...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, errors.New("token: not a point of its curve")
	}
	return NewKey(m.String("kid"), public)
}
