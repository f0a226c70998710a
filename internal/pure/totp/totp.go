// Package totp makes and checks time-based one-time passwords (RFC 6238): six
// digits, SHA-1, a new code every 30 seconds, as authenticator apps take them.
//
// It keeps no state. That no code counts twice is for the caller to see to: [Match]
// tells which step of time a code belongs to, and the caller refuses every step that
// is not later than the last one it accepted.
package totp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"
)

const (
	// Period is how long a code is shown.
	Period = 30 * time.Second
	// SecretSize is the length of a shared secret in bytes (RFC 4226 section 4
	// recommends 20).
	SecretSize = 20

	digits = 6
	modulo = 1_000_000
)

// StepOf is the number of the period that t lies in, counted from 1970.
func StepOf(t time.Time) int64 { return t.Unix() / int64(Period/time.Second) }

// Code is the code of a step.
func Code(secret []byte, step int64) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	m := hmac.New(sha1.New, secret)
	m.Write(counter[:])
	sum := m.Sum(nil)
	offset := sum[len(sum)-1] & 0x0f // dynamic truncation, RFC 4226 section 5.3
	n := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", digits, n%modulo)
}

// Match looks for a code among the steps around now, at most skew before and after
// it, and returns the step it belongs to. Only steps later than after are looked at:
// a code that was accepted once, and every older one, matches no more. An empty
// secret matches nothing.
func Match(secret []byte, code string, now time.Time, skew int, after int64) (step int64, ok bool) {
	if len(secret) == 0 || len(code) != digits {
		return 0, false
	}
	at := StepOf(now)
	for s := at - int64(skew); s <= at+int64(skew); s++ {
		if subtle.ConstantTimeCompare([]byte(Code(secret, s)), []byte(code)) == 1 && s > after && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}
