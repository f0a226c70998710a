package token

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"math/big"

	"moat/internal/pure/montgomery"
)

// rsaKey signs under RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2). Where the processor has the multipliers
// for it, keys of 2,048 bits take a third of the time of crypto/rsa. It is immutable and safe for concurrent use.
type rsaKey struct {
	private *rsa.PrivateKey
	fast    *montgomery.PrivateKey // nil: crypto/rsa signs
	modulus *montgomery.Modulus    // of what fast signed
}

// newRSAKey prepares a key.
func newRSAKey(private *rsa.PrivateKey) *rsaKey {
	k := &rsaKey{private: private}
	pre := &private.Precomputed
	if !montgomery.Available() || private.N.BitLen() != 2048 || len(private.Primes) != 2 || pre.Dp == nil || pre.Dq == nil || pre.Qinv == nil {
		return k
	}
	var parts [5][]byte
	for i, x := range []*big.Int{private.Primes[0], private.Primes[1], pre.Dp, pre.Dq, pre.Qinv} {
		if x.BitLen() > 1024 {
			return k
		}
		parts[i] = x.FillBytes(make([]byte, 128))
	}
	fast, err := montgomery.NewPrivateKey(parts[0], parts[1], parts[2], parts[3], parts[4])
	if err != nil {
		return k
	}
	modulus, err := montgomery.NewModulus(private.N.Bytes())
	if err != nil {
		return k
	}
	k.fast, k.modulus = fast, modulus
	return k
}

// digestInfo is the DER encoding of a DigestInfo of SHA-256 up to the hash (RFC 8017 section 9.2, note 1).
const digestInfo = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// sign returns the signature of a message that has this hash. What was computed here is checked by the public key
// before anybody sees it: a fault in one half of it would give the key away (Boneh, DeMillo and Lipton, 1997).
// What does not stand the check is left to crypto/rsa, which does the same.
func (k *rsaKey) sign(sum *[sha256.Size]byte) ([]byte, error) {
	if k.fast == nil {
		return rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	}
	em := encode(sum)
	s := k.fast.Sign(&em)
	if !k.right(&s, &em) {
		return rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	}
	return s[:], nil
}

// right says whether s is the signature of what is encoded in em.
func (k *rsaKey) right(s, em *[256]byte) bool {
	x, ok := k.modulus.Enter(s[:])
	if !ok {
		return false
	}
	k.modulus.ExpPublic(&x, &x, uint(k.private.E))
	var got [256]byte
	k.modulus.Leave(got[:], &x)
	return subtle.ConstantTimeCompare(got[:], em[:]) == 1
}

// encode is EMSA-PKCS1-v1_5-ENCODE (RFC 8017 section 9.2) for keys of 2,048 bits.
func encode(sum *[sha256.Size]byte) (em [256]byte) {
	em[1] = 1
	end := len(em) - len(sum) - len(digestInfo) - 1
	for i := 2; i < end; i++ {
		em[i] = 0xff
	}
	copy(em[end+1:], digestInfo)
	copy(em[end+1+len(digestInfo):], sum[:])
	return em
}
