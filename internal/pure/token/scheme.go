package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
)

// scheme is how an algorithm of RFC 7518 section 3.1 signs: with RSASSA-PKCS1-v1_5,
// or with ECDSA when there is a curve. The zero value is no scheme.
type scheme struct {
	hash  crypto.Hash
	curve elliptic.Curve
}

func schemeOf(alg string) scheme {
	switch alg {
	case "RS256":
		return scheme{hash: crypto.SHA256}
	case "RS384":
		return scheme{hash: crypto.SHA384}
	case "RS512":
		return scheme{hash: crypto.SHA512}
	case "ES256":
		return scheme{crypto.SHA256, elliptic.P256()}
	case "ES384":
		return scheme{crypto.SHA384, elliptic.P384()}
	case "ES512":
		return scheme{crypto.SHA512, elliptic.P521()}
	}
	return scheme{}
}

// onCurve returns the algorithm of a curve, "" for one that has none.
func onCurve(name string) (alg string, curve elliptic.Curve) {
	switch name {
	case "P-256":
		return "ES256", elliptic.P256()
	case "P-384":
		return "ES384", elliptic.P384()
	case "P-521":
		return "ES512", elliptic.P521()
	}
	return "", nil
}

func fieldBytes(c elliptic.Curve) int { return (c.Params().BitSize + 7) / 8 }

// digest writes the hash of a text into room.
func digest(h crypto.Hash, text []byte, room *[64]byte) []byte {
	switch h {
	case crypto.SHA384:
		sum := sha512.Sum384(text)
		return room[:copy(room[:], sum[:])]
	case crypto.SHA512:
		*room = sha512.Sum512(text)
		return room[:]
	default:
		sum := sha256.Sum256(text)
		return room[:copy(room[:], sum[:])]
	}
}

// admits reports whether the key verifies the algorithm that a header names. Type
// and curve of the key have the last word: a header only picks the hash of an RSA
// key whose publisher left that open, and PKCS #1 v1.5 signs the name of the hash.
func (k *Key) admits(alg string) bool {
	if k.Algorithm != "" {
		return alg == k.Algorithm
	}
	s := schemeOf(alg)
	_, isRSA := k.Public.(*rsa.PublicKey)
	return isRSA && s.hash != 0 && s.curve == nil
}

// verify checks a signature of text in the algorithm alg, one of RSA by check if there is
// one. room is for the hash.
func (k *Key) verify(alg string, text, signature []byte, room *[64]byte, check PKCS1) error {
	s := schemeOf(alg)
	if s.hash == 0 || !k.admits(alg) {
		return ErrUnsupported
	}
	if check == nil {
		check = rsa.VerifyPKCS1v15
	}
	switch public := k.Public.(type) {
	case *rsa.PublicKey:
		if s.curve == nil && public != nil && check(public, s.hash, digest(s.hash, text, room), signature) == nil {
			return nil
		}
	case *ecdsa.PublicKey:
		if s.curve != nil && public != nil && public.Curve == s.curve && verifyECDSA(public, digest(s.hash, text, room), signature) {
			return nil
		}
	}
	return ErrSignature
}

// verifyECDSA checks a signature of RFC 7518 section 3.4: both numbers in the full
// length of the field, one behind the other.
func verifyECDSA(public *ecdsa.PublicKey, sum, signature []byte) bool {
	size := fieldBytes(public.Curve)
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(public, sum, r, s)
}
