package token

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// PKCS1 checks an RSASSA-PKCS1-v1_5 signature (RFC 8017 section 8.2.2) of a message that
// has this hash; nil says that it is right. [rsa.VerifyPKCS1v15] is one.
type PKCS1 func(public *rsa.PublicKey, h crypto.Hash, sum, signature []byte) error

// Scanner reads tokens by the rules of [Parse] and builds nothing of their claims: each
// is cut out of the payload when it is asked for. It is for who verifies many tokens and
// wants few claims of each. The zero value is ready; it reads one token after the other
// and keeps its memory.
type Scanner struct {
	// Check replaces crypto/rsa where it is set.
	Check PKCS1

	text      []byte // the token
	signed    int    // length of what is signed
	payload   []byte
	signature []byte
	sum       [64]byte

	head     string // the header as it was sent, of which these were read
	alg, kid string

	members []member // of the payload, when it is plain
	claims  Claims   // else
}

// member is a claim of a plain payload: where its name and its value begin and end.
// The value is that of a string without its quotes, else what stands there.
type member struct {
	name, nameEnd, from, to int

	kind byte // '"', '0' for a number, '[' for a list of strings, 'x' for true, false and null
}

// maxMembers bounds the claims that are compared one by one.
const maxMembers = 40

// Read reads a token without verifying it; it fails as [Parse] does. Nothing in it may be
// trusted before Verify has returned nil.
func (s *Scanner) Read(raw string) error {
	err := s.read(raw)
	if err != nil { // whoever goes on regardless finds no key
		s.head, s.kid, s.members, s.claims = "", "", s.members[:0], nil
	}
	return err
}

func (s *Scanner) read(raw string) error {
	if len(raw) > MaxLength {
		return ErrMalformed
	}
	first, last, ok := parts(raw)
	if !ok {
		return ErrMalformed
	}
	s.text, s.signed = append(s.text[:0], raw...), last
	if s.payload, ok = appendPart(s.payload[:0], s.text[first+1:last]); !ok {
		return ErrMalformed
	}
	if s.signature, ok = appendPart(s.signature[:0], s.text[last+1:]); !ok {
		return ErrMalformed
	}
	if err := s.header(raw[:first]); err != nil {
		return err
	}
	s.members, s.claims = s.members[:0], nil
	if s.plain() {
		return nil
	}
	var err error
	s.members = s.members[:0]
	s.claims, err = decodeObject(s.payload, 16)
	return err
}

// header reads a header, which mostly is the one before: an issuer's tokens have but one per key.
func (s *Scanner) header(head string) error {
	if head == s.head {
		return nil
	}
	raw, err := decodePart(head)
	if err != nil {
		return err
	}
	var t Token
	if err := t.header(raw); err != nil {
		return err
	}
	s.head, s.alg, s.kid = strings.Clone(head), t.alg, t.KeyID
	return nil
}

// appendPart decodes a part of a token.
func appendPart(b, part []byte) ([]byte, bool) {
	// The decoder skips line breaks, which RFC 7515 does not allow.
	if bytes.IndexByte(part, '\n') >= 0 || bytes.IndexByte(part, '\r') >= 0 {
		return b, false
	}
	b, err := b64().AppendDecode(b, part)
	return b, err == nil
}

// plain finds the members of a payload of the kind that issuers write: without spaces,
// escapes, fractions and objects. What else there is, and what is wrong, is left to
// decodeObject, whose word is the last: whatever is plain, it reads alike.
func (s *Scanner) plain() bool {
	b := s.payload
	if len(b) < 2 || b[0] != '{' || !utf8.Valid(b) {
		return false
	}
	if b[1] == '}' {
		return len(b) == 2
	}
	for at := 1; ; at++ {
		end := plainString(b, at)
		if end < 0 || end >= len(b) || b[end] != ':' || len(s.members) == maxMembers || s.find(b[at+1:end-1]) != nil {
			return false
		}
		m := member{name: at + 1, nameEnd: end - 1, from: end + 1}
		if at = m.read(b); at < 0 || at >= len(b) {
			return false
		}
		s.members = append(s.members, m)
		if b[at] == '}' {
			return at == len(b)-1
		}
		if b[at] != ',' {
			return false
		}
	}
}

// read finds the end of a member's value and returns what comes behind it, -1 for a value
// that is not plain.
func (m *member) read(b []byte) int {
	if m.from >= len(b) {
		return -1
	}
	rest := b[m.from:]
	switch c := rest[0]; {
	case c == '"':
		end := plainString(b, m.from)
		m.kind, m.from, m.to = '"', m.from+1, end-1
		return end
	case c == '[':
		m.kind, m.to = '[', plainList(b, m.from)
	case '0' <= c && c <= '9':
		n := 1
		for n < len(rest) && '0' <= rest[n] && rest[n] <= '9' {
			n++
		}
		if c == '0' && n > 1 || n > 18 {
			return -1
		}
		m.kind, m.to = '0', m.from+n
	case bytes.HasPrefix(rest, []byte("true")), bytes.HasPrefix(rest, []byte("null")):
		m.kind, m.to = 'x', m.from+4
	case bytes.HasPrefix(rest, []byte("false")):
		m.kind, m.to = 'x', m.from+5
	default:
		return -1
	}
	return m.to
}

// plainString returns what comes behind a string without escapes, -1 when there is none at from.
func plainString(b []byte, from int) int {
	if from >= len(b) || b[from] != '"' {
		return -1
	}
	for i := from + 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < 0x20 || c == '\\':
			return -1
		}
	}
	return -1
}

// plainList returns what comes behind a list of plain strings, -1 when there is none at from.
func plainList(b []byte, from int) int {
	at := from + 1
	if at < len(b) && b[at] == ']' {
		return at + 1
	}
	for {
		at = plainString(b, at)
		if at < 0 || at >= len(b) {
			return -1
		}
		switch b[at] {
		case ']':
			return at + 1
		case ',':
			at++
		default:
			return -1
		}
	}
}

func (s *Scanner) find(name []byte) *member {
	for i := range s.members {
		if m := &s.members[i]; bytes.Equal(s.payload[m.name:m.nameEnd], name) {
			return m
		}
	}
	return nil
}

// KeyID is the header parameter kid.
func (s *Scanner) KeyID() string { return s.kid }

// String returns a claim that is a JSON string, else "".
func (s *Scanner) String(name string) string {
	if s.claims != nil {
		return s.claims.String(name)
	}
	if m := s.find([]byte(name)); m != nil && m.kind == '"' {
		return string(s.payload[m.from:m.to])
	}
	return ""
}

// Strings returns a claim as [Claims.Strings] does.
func (s *Scanner) Strings(name string) []string {
	if s.claims != nil {
		return s.claims.Strings(name)
	}
	m := s.find([]byte(name))
	switch {
	case m == nil:
		return nil
	case m.kind == '"':
		return []string{string(s.payload[m.from:m.to])}
	case m.kind == '[':
		out := []string{}
		for at := m.from + 1; at < m.to-1; at++ {
			end := plainString(s.payload, at)
			out = append(out, string(s.payload[at+1:end-1]))
			at = end
		}
		return out
	}
	return nil
}

// Time returns a claim as [Claims.Time] does.
func (s *Scanner) Time(name string) (time.Time, bool) {
	at, _, ok := s.time(name)
	return at, ok
}

func (s *Scanner) time(name string) (at time.Time, there, ok bool) {
	if s.claims != nil {
		return s.claims.time(name)
	}
	m := s.find([]byte(name))
	if m == nil || m.kind != '0' {
		return time.Time{}, m != nil, false
	}
	i, err := strconv.ParseInt(string(s.payload[m.from:m.to]), 10, 64)
	return time.Unix(i, 0).UTC(), true, err == nil && i < maxNumericDate
}

// CheckTime compares the token with the time of use as [Token.CheckTime] does.
func (s *Scanner) CheckTime(now time.Time) error { return checkTime(now, s.time) }

// Verify finds the token's key in keys, as [Token.VerifyWith] does, checks the signature
// and returns the key.
func (s *Scanner) Verify(keys KeySet) (*Key, error) {
	k, err := keyOf(keys, s.kid)
	if err != nil {
		return nil, err
	}
	if err := k.verify(s.alg, s.text[:s.signed], s.signature, &s.sum, s.Check); err != nil {
		return nil, err
	}
	return k, nil
}
