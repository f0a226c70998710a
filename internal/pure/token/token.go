// Package token reads and verifies JSON Web Tokens (RFC 7519) under RS256, RS384,
// RS512, ES256, ES384 and ES512, and signs them under RS256 and ES256.
//
// It is strict where other readers are generous: the algorithm follows from the
// key and never from the token, a header that points at another key is refused,
// JSON is read case-sensitively and a repeated name is an error. It has no clock:
// callers pass the time to [Token.CheckTime] and compare issuer, audience and use
// themselves.
package token

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"
)

// MaxLength is the length in bytes above which [Parse] refuses a token unread.
const MaxLength = 16 << 10

var (
	// ErrMalformed says that the text is not a JSON Web Token in compact form.
	ErrMalformed = errors.New("token: malformed")
	// ErrUnsupported says that the token asks for something that is not read here, or for another
	// algorithm than its key's.
	ErrUnsupported = errors.New("token: unsupported header")
	// ErrSignature says that the signature was not made with the given key.
	ErrSignature = errors.New("token: wrong signature")
	// ErrExpired says that the time of use is at or after the claim exp.
	ErrExpired = errors.New("token: expired")
	// ErrNotYetValid says that the time of use is before the claim nbf, or that the token comes from the future.
	ErrNotYetValid = errors.New("token: not yet valid")
	// ErrUnknownKey says that the issuer has no key with the token's key id.
	ErrUnknownKey = errors.New("token: unknown key")
)

// b64 is the alphabet of RFC 7515 section 2; Strict refuses the second spelling
// that unused trailing bits would allow, so that a token has one text only.
func b64() *base64.Encoding { return base64.RawURLEncoding.Strict() }

// Token is a parsed token. Nothing in it may be trusted before Verify has returned nil.
type Token struct {
	KeyID  string // header kid
	Type   string // header typ, "" when absent
	Claims Claims

	alg       string // header alg
	signed    string // header and payload as they were sent
	signature []byte
}

// Parse splits and decodes a compact token without verifying it. It fails with
// [ErrMalformed] or [ErrUnsupported]; another algorithm than those of the package, the header
// parameters jwk, jku, x5u and x5c, and critical extensions are unsupported.
func Parse(raw string) (*Token, error) {
	t, payload, err := parse(raw)
	if err != nil {
		return nil, err
	}
	t.Claims, err = decodeObject(payload, 16)
	if err != nil {
		return nil, err
	}
	return t, nil
}

func parse(raw string) (*Token, []byte, error) {
	if len(raw) > MaxLength {
		return nil, nil, ErrMalformed
	}
	first, last, ok := parts(raw)
	if !ok {
		return nil, nil, ErrMalformed
	}
	head, err := decodePart(raw[:first])
	if err != nil {
		return nil, nil, err
	}
	payload, err := decodePart(raw[first+1 : last])
	if err != nil {
		return nil, nil, err
	}
	sig, err := decodePart(raw[last+1:])
	if err != nil {
		return nil, nil, err
	}
	t := &Token{signed: raw[:last], signature: sig}
	if err := t.header(head); err != nil {
		return nil, nil, err
	}
	return t, payload, nil
}

// parts finds the dots of a token: the first and the last, of which a third one between
// them is no letter of either part.
func parts(raw string) (first, last int, ok bool) {
	first, last = strings.IndexByte(raw, '.'), strings.LastIndexByte(raw, '.')
	return first, last, first > 0 && last != first && last != len(raw)-1
}

func decodePart(s string) ([]byte, error) {
	// The decoder skips line breaks, which RFC 7515 does not allow.
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return nil, ErrMalformed
	}
	b, err := b64().DecodeString(s)
	if err != nil {
		return nil, ErrMalformed
	}
	return b, nil
}

func (t *Token) header(raw []byte) error {
	h, err := decodeObject(raw, 4)
	if err != nil {
		return err
	}
	t.alg, _ = h["alg"].(string)
	if schemeOf(t.alg).hash == 0 {
		return ErrUnsupported
	}
	for _, name := range [...]string{"crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"} {
		if _, there := h[name]; there {
			return ErrUnsupported
		}
	}
	var isText [2]bool
	t.KeyID, isText[0] = text(h, "kid")
	t.Type, isText[1] = text(h, "typ")
	if !isText[0] || !isText[1] {
		return ErrMalformed
	}
	return nil
}

// text returns a header parameter, "" when it is absent. One that is there and no
// string is not ok.
func text(h Claims, name string) (s string, ok bool) {
	v, there := h[name]
	if !there {
		return "", true
	}
	s, ok = v.(string)
	return s, ok
}

// Verify checks the signature against k, in k's algorithm, and nothing else. A nil
// key refuses.
func (t *Token) Verify(k *Key) error { return t.verify(k, nil) }

func (t *Token) verify(k *Key, check PKCS1) error {
	if k == nil || k.Public == nil {
		return ErrUnknownKey
	}
	return k.verify(t.alg, []byte(t.signed), t.signature, new([64]byte), check)
}

// VerifyWith finds the token's key in keys and verifies with it. A token without a
// key id is refused: with two keys published, guessing one would be a choice made for the sender.
func (t *Token) VerifyWith(keys KeySet) error { return t.VerifyBy(keys, nil) }

// VerifyBy is VerifyWith where check takes the place of crypto/rsa; nil does not.
func (t *Token) VerifyBy(keys KeySet, check PKCS1) error {
	k, err := keyOf(keys, t.KeyID)
	if err != nil {
		return err
	}
	return t.verify(k, check)
}

func keyOf(keys KeySet, kid string) (*Key, error) {
	if keys == nil || kid == "" {
		return nil, ErrUnknownKey
	}
	k, ok := keys.Key(kid)
	if !ok || k == nil || k.Public == nil {
		return nil, ErrUnknownKey
	}
	return k, nil
}

// Issuer returns the claim iss, "" when it is missing.
func (t *Token) Issuer() string { return t.Claims.String("iss") }

// CheckTime compares the token with the time of use. A token without exp is
// refused with [ErrExpired]; nbf and iat may lie at most a minute ahead.
func (t *Token) CheckTime(now time.Time) error { return checkTime(now, t.Claims.time) }

func checkTime(now time.Time, claim func(name string) (at time.Time, there, ok bool)) error {
	if exp, _, ok := claim("exp"); !ok || !now.Before(exp) {
		return ErrExpired
	}
	for _, name := range [...]string{"nbf", "iat"} {
		if at, there, ok := claim(name); there && (!ok || at.After(now.Add(time.Minute))) {
			return ErrNotYetValid
		}
	}
	return nil
}
