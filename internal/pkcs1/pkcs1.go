// Package pkcs1 verifies RSASSA-PKCS1-v1_5 signatures (RFC 8017 section 8.2) with keys
// that are prepared once. Its verdicts are those of crypto/rsa, which computes the
// modulus' constants anew for each signature: a third of what a signature costs. Where
// the processor has the multipliers for it, keys of 2,048 bits take a fifth of that time.
//
// Everything that it handles is public, so nothing here has to hide how long it takes.
package pkcs1

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"errors"
	"maps"
	"math/big"
	"sync"
	"sync/atomic"

	"filippo.io/bigmod"

	"moat/internal/pure/montgomery"
)

const (
	// minBits and maxBits bound the keys that are taken: crypto/rsa takes none that is
	// shorter, and the work of a longer one is out of proportion.
	minBits, maxBits = 1024, 8192
	// maxExponent is crypto/rsa's: an exponent that every machine's int can hold.
	maxExponent = 1<<31 - 1
	// maxKeys bounds how many prepared keys are held, at 1.5 KB each.
	maxKeys = 1024
)

// ErrVerification says that a signature is not the key's over what was signed.
var ErrVerification = errors.New("pkcs1: wrong signature")

// Keys holds prepared keys. The zero value is ready; it is safe for concurrent use and
// bounded: full, it forgets everything. Only keys that belong to somebody are to be
// asked for, never keys that a stranger brings along.
type Keys struct {
	mu       sync.Mutex // serialises preparing
	prepared atomic.Pointer[map[*rsa.PublicKey]*key]
}

// key is a public key ready for use. It is immutable.
type key struct {
	n       *big.Int // a copy, by which a key that was changed is known
	e       int
	modulus *bigmod.Modulus
	fast    *montgomery.Modulus // nil: bigmod computes
}

// Verify checks the signature of a message that has this hash. It returns nil or an
// error: [ErrVerification], or what is wrong with key or hash.
func (k *Keys) Verify(public *rsa.PublicKey, h crypto.Hash, sum, signature []byte) error {
	prefix := prefixOf(h)
	if prefix == "" {
		return errors.New("pkcs1: no hash of ours")
	}
	if len(sum) != h.Size() {
		return errors.New("pkcs1: the message's hash has not the hash's length")
	}
	p, err := k.of(public)
	if err != nil {
		return err
	}
	return p.verify(prefix, sum, signature)
}

// of finds or prepares a key.
func (k *Keys) of(public *rsa.PublicKey) (*key, error) {
	if public == nil || public.N == nil {
		return nil, errors.New("pkcs1: no key")
	}
	if all := k.prepared.Load(); all != nil {
		if p := (*all)[public]; p != nil && p.e == public.E && p.n.Cmp(public.N) == 0 {
			return p, nil
		}
	}
	p, err := prepare(public)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	next := map[*rsa.PublicKey]*key{}
	if all := k.prepared.Load(); all != nil && len(*all) < maxKeys {
		next = maps.Clone(*all)
	}
	next[public] = p
	k.prepared.Store(&next)
	return p, nil
}

// prepare checks a key as crypto/rsa does and computes what depends on it alone.
func prepare(public *rsa.PublicKey) (*key, error) {
	switch n := public.N.BitLen(); {
	case public.N.Sign() <= 0 || n < minBits || n > maxBits:
		return nil, errors.New("pkcs1: a key of a size that is not taken")
	case public.N.Bit(0) == 0:
		return nil, errors.New("pkcs1: the modulus is even")
	case public.E < 2 || public.E > maxExponent || public.E&1 == 0:
		return nil, errors.New("pkcs1: an exponent that is none")
	}
	m, err := bigmod.NewModulus(public.N.Bytes())
	if err != nil {
		return nil, err
	}
	out := &key{n: new(big.Int).Set(public.N), e: public.E, modulus: m}
	if public.N.BitLen() == 2048 && montgomery.Available() {
		out.fast, err = montgomery.NewModulus(public.N.Bytes())
	}
	return out, err
}

// verify is RSASSA-PKCS1-v1_5-VERIFY (RFC 8017 section 8.2.2): the encoded message is
// made anew and compared whole. What reads the one that was signed, instead, has been
// talked into taking other bytes for padding (the class of CVE-2006-4339).
func (k *key) verify(prefix string, sum, signature []byte) error {
	size := k.modulus.Size()
	if len(signature) != size {
		return ErrVerification
	}
	var room [maxBits / 8]byte
	em := room[:size]
	if !encode(em, prefix, sum) || !k.opens(signature, em) {
		return ErrVerification
	}
	return nil
}

// opens is RSAVP1 (RFC 8017 section 5.2.2) and says whether its outcome is em.
func (k *key) opens(signature, em []byte) bool {
	if k.fast != nil {
		x, ok := k.fast.Enter(signature)
		if !ok { // not below the modulus
			return false
		}
		var got [256]byte
		k.fast.ExpPublic(&x, &x, uint(k.e))
		k.fast.Leave(got[:], &x)
		return bytes.Equal(got[:], em)
	}
	s, err := bigmod.NewNat().SetBytes(signature, k.modulus)
	if err != nil { // not below the modulus
		return false
	}
	// Below the modulus, for its first byte is zero: as many bytes are the same number.
	want, err := bigmod.NewNat().SetBytes(em, k.modulus)
	if err != nil {
		return false
	}
	return bigmod.NewNat().ExpShortVarTime(s, uint(k.e), k.modulus).Equal(want) == 1
}

// encode is EMSA-PKCS1-v1_5-ENCODE (RFC 8017 section 9.2); false: it does not fit.
func encode(em []byte, prefix string, sum []byte) bool {
	t := len(em) - len(prefix) - len(sum)
	if t < 2+8+1 {
		return false
	}
	em[0], em[1] = 0, 1
	for i := 2; i < t-1; i++ {
		em[i] = 0xff
	}
	em[t-1] = 0
	copy(em[t:], prefix)
	copy(em[t+len(prefix):], sum)
	return true
}

// prefixOf is the DER encoding of a DigestInfo up to the hash (RFC 8017 section 9.2,
// note 1), "" for a hash that is not taken.
func prefixOf(h crypto.Hash) string {
	switch h {
	case crypto.SHA256:
		return "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
	case crypto.SHA384:
		return "\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"
	case crypto.SHA512:
		return "\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"
	}
	return ""
}
