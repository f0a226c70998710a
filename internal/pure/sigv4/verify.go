package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"moat/internal/pure/lazyregexp"
)

const mismatchSentence = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

func mismatch(message string) *Error { return &Error{Code: "SignatureDoesNotMatch", Message: message} }

// Verify checks the signature of r, which must be the request that a was parsed
// from. payloadHash is the hash of the body as received (see [PayloadHash]).
//
// It returns nil or an [*Error]: RequestExpired when the request is older or
// newer than [Skew] allows, or past the end of a presigned request;
// SignatureDoesNotMatch otherwise.
func (a Authorization) Verify(r Request, payloadHash, secret string, now time.Time) error {
	return a.VerifyWith(nil, r, payloadHash, secret, now)
}

// VerifyWith is Verify with remembered signing keys.
func (a Authorization) VerifyWith(keys *Keys, r Request, payloadHash, secret string, now time.Time) error {
	if secret == "" || a.Signature == "" {
		return mismatch(mismatchSentence)
	}
	if err := a.checkTime(now.UTC()); err != nil {
		return err
	}
	scope := keyScope{secret, a.Date, a.Region, a.Service}
	key, known := keys.get(scope)
	if !known {
		key = deriveKey(scope)
	}
	single := a.Service == "s3"
	ok := a.matches(&r, &key, payloadHash, single, false)
	if !ok && !single && (strings.Contains(r.Path, "//") || strings.Contains(r.Path, "/.")) {
		// Most signers normalise the path first, some do not.
		ok = a.matches(&r, &key, payloadHash, single, true)
	}
	if !ok {
		canonical := appendCanonical(nil, &r, a.SignedHeaders, payloadHash, single, !single, a.Presigned)
		e := mismatch(mismatchSentence)
		e.CanonicalRequest = redactSecrets(string(canonical))
		e.StringToSign = string(a.appendStringToSign(nil, canonical))
		return e
	}
	if !known {
		keys.put(scope, key) // only now: a forged scope must not crowd out real ones
	}
	return nil
}

func (a *Authorization) checkTime(now time.Time) error {
	late := Skew
	lasts := a.Presigned && a.Expires > 0
	if lasts {
		late = a.Expires
	}
	stamp := func(t time.Time) string { return t.Format(timeLayout) }
	switch {
	case a.Time.After(now.Add(Skew)):
		return expired("Signature not yet current: " + stamp(a.Time) + " is still later than " + stamp(now.Add(Skew)) + " (" + stamp(now) + " + 5 min.)")
	case now.Sub(a.Time) > late && lasts:
		return expired("Signature expired: " + stamp(a.Time.Add(late)) + " is now earlier than " + stamp(now))
	case now.Sub(a.Time) > late:
		return expired("Signature expired: " + stamp(a.Time) + " is now earlier than " + stamp(now.Add(-Skew)) + " (" + stamp(now) + " - 5 min.)")
	}
	return nil
}

func expired(message string) *Error { return &Error{Code: "RequestExpired", Message: message} }

func (a *Authorization) matches(r *Request, key *[sha256.Size]byte, payloadHash string, single, normalize bool) bool {
	var canonical [2048]byte
	c := appendCanonical(canonical[:0], r, a.SignedHeaders, payloadHash, single, normalize, a.Presigned)
	var inner [sha256.BlockSize + 256]byte
	sum := keyedHash(key, a.appendStringToSign(inner[:sha256.BlockSize], c))
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum[:])
	return subtle.ConstantTimeCompare(text[:], []byte(a.Signature)) == 1
}

// keyedHash is HMAC-SHA256 (RFC 2104) of a message that begins after the first
// block of b, which is overwritten. crypto/hmac gives the same and allocates seven
// times, as often as all the rest of a verification.
func keyedHash(key *[sha256.Size]byte, b []byte) [sha256.Size]byte {
	for i := range sha256.BlockSize {
		b[i] = 0x36
	}
	subtle.XORBytes(b, b[:sha256.Size], key[:])
	inner := sha256.Sum256(b)
	var outer [sha256.BlockSize + sha256.Size]byte
	for i := range sha256.BlockSize {
		outer[i] = 0x5c
	}
	subtle.XORBytes(outer[:], outer[:sha256.Size], key[:])
	copy(outer[sha256.BlockSize:], inner[:])
	return sha256.Sum256(outer[:])
}

func (a *Authorization) appendStringToSign(b, canonical []byte) []byte {
	return appendStringToSign(b, canonical, a.stamp, a.Date, a.Region, a.Service)
}

func appendStringToSign(b, canonical []byte, stamp, date, region, service string) []byte {
	b = append(b, Algorithm+"\n"...)
	b = append(b, stamp...)
	b = append(b, '\n')
	b = append(b, date...)
	b = append(b, '/')
	b = append(b, region...)
	b = append(b, '/')
	b = append(b, service...)
	b = append(b, "/"+terminator+"\n"...)
	sum := sha256.Sum256(canonical)
	return hex.AppendEncode(b, sum[:])
}

// Keys remembers signing keys, which change once a day per secret, region and
// service. The zero value is ready; a nil *Keys remembers nothing. It is safe
// for concurrent use and bounded: full, it forgets everything.
type Keys struct {
	mu   sync.RWMutex
	keys map[keyScope][sha256.Size]byte
}

type keyScope struct{ secret, date, region, service string }

const maxKeys = 4096

func (k *Keys) get(scope keyScope) (key [sha256.Size]byte, ok bool) {
	if k == nil {
		return key, false
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok = k.keys[scope]
	return key, ok
}

func (k *Keys) put(s keyScope, key [sha256.Size]byte) {
	if k == nil {
		return
	}
	// The strings of a request may be views of its buffers; keep copies.
	s = keyScope{strings.Clone(s.secret), strings.Clone(s.date), strings.Clone(s.region), strings.Clone(s.service)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || len(k.keys) >= maxKeys {
		k.keys = make(map[keyScope][sha256.Size]byte)
	}
	k.keys[s] = key
}

func deriveKey(s keyScope) (key [sha256.Size]byte) {
	k := mac([]byte("AWS4"+s.secret), s.date)
	k = mac(k, s.region)
	k = mac(k, s.service)
	copy(key[:], mac(k, terminator))
	return key
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

// secretHeader finds what in a canonical request holds secrets of the sender: the
// request is shown to operators, who have no need of them.
var secretHeader = lazyregexp.New(`(?m)^(x-amz-security-token|x-api-key|cookie|authorization)(:).+$|(X-Amz-Security-Token)(=)[^&\n]*`)

func redactSecrets(canonical string) string {
	return secretHeader.ReplaceAllString(canonical, "$1$3$2$4[redacted]")
}
