// Package srp computes both sides of the Secure Remote Password protocol as
// Amazon Cognito speaks it: SRP-6a over the 3072-bit group of RFC 5054, SHA-256,
// and a session key derived under the label "Caldera Derived Key".
//
// The package holds no state and reads no clock. All arithmetic with secrets, be they exponents or verifiers, is
// done in a time that does not depend on them.
package srp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
)

const (
	// Size is the length in bytes of a group element: verifiers and public values.
	Size = 384
	// SecretSize is the length in bytes of an ephemeral secret.
	SecretSize = 32
	// SaltSize is the length in bytes of a salt.
	SaltSize = 16
)

var (
	// ErrPublic says that the other side's public value is not a usable group element (RFC 5054 section 2.5.4).
	ErrPublic = errors.New("srp: illegal public value")
	// ErrVerifier says that a verifier is not a group element.
	ErrVerifier = errors.New("srp: illegal verifier")
	// ErrSecret says that a secret is not of the length of [NewSecret].
	ErrSecret = errors.New("srp: illegal secret")
)

// Identity names a user towards the protocol: the part of the pool's id after
// its first underscore, and the name that the server calls USER_ID_FOR_SRP.
type Identity struct {
	Pool, User string
}

// NewSalt returns a random salt. Its first bit is clear, so that clients which
// read it as a signed or unsigned number and pad it or not agree on its bytes.
func NewSalt(random io.Reader) ([]byte, error) {
	salt := make([]byte, SaltSize)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, err
	}
	salt[0] = salt[0]&0x7f | 0x40
	return salt, nil
}

// NewSecret returns a random ephemeral secret of 256 bits, twice the strength of the group.
func NewSecret(random io.Reader) ([]byte, error) {
	b := make([]byte, SecretSize)
	_, err := io.ReadFull(random, b)
	return b, err
}

// Verifier derives what a server keeps in place of a password: g to the power of x. It is for who derives one,
// as a device does; a [Server] does it faster.
func Verifier(id Identity, salt []byte, password string) []byte {
	f := newField()
	v, x := f.two(), privateKey(id, salt, password)
	f.exp(&v, &v, x[:])
	return f.leave(&v)
}

// ValidVerifier says whether bytes from elsewhere can be a verifier: a group element of [Size]
// bytes, and none of 0, 1 and N-1, by which a session key would be known to everybody.
func ValidVerifier(verifier []byte) bool {
	v, n, one := new(big.Int).SetBytes(verifier), modulus(), big.NewInt(1)
	return len(verifier) == Size && v.Cmp(one) > 0 && v.Cmp(n.Sub(n, one)) < 0
}

// ParsePublic reads a public value as clients send it: hexadecimal, not always
// padded. Zero modulo N would fix the session key, so it is refused, and so is
// anything not below N.
func ParsePublic(text string) ([]byte, error) {
	var digits [2*Size + 2]byte
	if text == "" || len(text) > len(digits) {
		return nil, ErrPublic
	}
	padding := digits[:len(digits)-len(text)]
	for i := range padding {
		padding[i] = '0'
	}
	copy(digits[len(padding):], text)
	n := make([]byte, Size+1)
	if _, err := hex.Decode(n, digits[:]); err != nil {
		return nil, ErrPublic
	}
	above, n := n[0], n[1:]
	if above != 0 || allZero(n) || bytes.Compare(n, modulusBytes()) >= 0 {
		return nil, ErrPublic
	}
	return n, nil
}

// Proof is the signature over a challenge: HMAC of pool, user, secret block and
// timestamp under the session key.
func Proof(key []byte, id Identity, block []byte, timestamp string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id.Pool))
	mac.Write([]byte(id.User))
	mac.Write(block)
	mac.Write([]byte(timestamp))
	return mac.Sum(nil)
}

// Hex writes bytes as a server sends numbers: no padding beyond whole bytes.
func Hex(b []byte) string {
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return hex.EncodeToString(b)
}

// privateKey is x = H(padHex(salt) | H(pool | user | ":" | password)).
func privateKey(id Identity, salt []byte, password string) (x [SecretSize]byte) {
	inner := sha256.New()
	inner.Write([]byte(id.Pool))
	inner.Write([]byte(id.User))
	inner.Write([]byte(":"))
	inner.Write([]byte(password))
	outer := sha256.New()
	outer.Write(pad(salt))
	outer.Write(inner.Sum(nil))
	outer.Sum(x[:0])
	return x
}

// Scramble returns u = H(padHex(A) | padHex(B)), all that a server must remember
// of its public value.
func Scramble(a, b []byte) []byte {
	h := sha256.New()
	h.Write(pad(a))
	h.Write(pad(b))
	return h.Sum(nil)
}

// derive is HKDF with salt u, one block, cut to 16 bytes.
func derive(u, s []byte) []byte {
	extract := hmac.New(sha256.New, pad(u))
	extract.Write(pad(s))
	expand := hmac.New(sha256.New, extract.Sum(nil))
	expand.Write([]byte("Caldera Derived Key\x01"))
	return expand.Sum(nil)[:16]
}

// pad writes a number as Java's BigInteger does: minimal length, and a zero byte
// in front where the highest bit would read as a sign.
func pad(b []byte) []byte {
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) == 0 || b[0] < 0x80 {
		return b
	}
	return append([]byte{0}, b...)
}

func allZero(b []byte) bool {
	var any byte
	for _, v := range b {
		any |= v
	}
	return any == 0
}
