package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

// Key is a public key under the id by which tokens name it. It is immutable.
type Key struct {
	ID     string
	Public crypto.PublicKey // *rsa.PublicKey or *ecdsa.PublicKey
	// Algorithm is the one in which the key verifies (RFC 7518 section 3.1). It is
	// "" for an RSA key whose publisher names none: RS256, RS384 and RS512.
	Algorithm string
}

// Equal reports whether both are one public key for one algorithm. Ids do not count.
func (k *Key) Equal(other *Key) bool {
	if k == other {
		return true
	}
	if k == nil || other == nil || k.Algorithm != other.Algorithm {
		return false
	}
	public, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(other.Public)
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

// NewKey checks a public key: an RSA key, for RS256, or an ECDSA key on P-256, P-384
// or P-521, for ES256, ES384 or ES512.
func NewKey(id string, public crypto.PublicKey) (*Key, error) {
	if id == "" {
		return nil, errors.New("token: a key needs an id")
	}
	alg, err := "RS256", errors.New("token: no public key")
	switch public := public.(type) {
	case *rsa.PublicKey:
		err = checkRSA(public)
	case *ecdsa.PublicKey:
		alg, err = checkECDSA(public)
	}
	if err != nil {
		return nil, err
	}
	return &Key{ID: id, Public: public, Algorithm: alg}, nil
}

// checkRSA demands between 2048 and 8192 bits (RFC 7518 section 3.3 demands the
// lower bound, the upper one bounds the work a foreign key set can cause).
func checkRSA(public *rsa.PublicKey) error {
	if public == nil || public.N == nil {
		return errors.New("token: no public key")
	}
	if n := public.N.BitLen(); n < 2048 || n > 8192 {
		return fmt.Errorf("token: key of %d bits", n)
	}
	if public.E < 3 || public.E%2 == 0 || public.N.Bit(0) == 0 {
		return errors.New("token: not an RSA key")
	}
	if fromWeakGenerator(public.N) {
		return errors.New("token: a key from the weak generator of CVE-2017-15361")
	}
	return nil
}

// checkECDSA returns the algorithm of a key's curve, on which the key must be.
func checkECDSA(public *ecdsa.PublicKey) (string, error) {
	if public == nil || public.Curve == nil {
		return "", errors.New("token: no public key")
	}
	alg, _ := onCurve(public.Params().Name)
	if alg == "" {
		return "", errors.New("token: a curve that has no algorithm")
	}
	if _, err := public.ECDH(); err != nil {
		return "", errors.New("token: not a point of its curve")
	}
	return alg, nil
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
