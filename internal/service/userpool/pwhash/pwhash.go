// Package pwhash reads and checks the password hashes of other systems: bcrypt, scrypt
// (Firebase's own use of it included), PBKDF2 and Argon2.
//
// It makes no hashes to keep: Moat keeps SRP verifiers. What a hash asks for is bounded when
// it is read, so that an import cannot make signing in a bomb; that few are checked at once is
// the caller's part. The package does no I/O and holds no state.
package pwhash

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
)

// Limits of what checking one password may cost: about a second of one processor, and
// MaxMemory bytes.
const (
	MaxMemory       = 128 << 20
	maxBcryptCost   = 14
	maxIterations   = 2_000_000 // PBKDF2
	maxScryptWork   = 1 << 21   // N*r*p
	maxArgonWork    = 1 << 19   // KiB of memory times passes
	maxParallelism  = 16
	minSum, maxSum  = 16, 64 // bytes that a hash ends in
	maxSalt         = 256
	maxText         = 2048
	maxPasswordSize = 1024
)

// ErrUnknown says that a text is the hash of no algorithm that this package has.
var ErrUnknown = errors.New("not a hash of bcrypt ($2a$, $2b$, $2y$), scrypt, firebase-scrypt, PBKDF2 or Argon2 (i, id)")

// Hash is a parsed password hash.
type Hash struct {
	algorithm string
	work      func(password []byte) ([]byte, error)
	sum       []byte
}

// Algorithm names the function behind a hash, as "argon2id" or "pbkdf2-sha256".
func (h *Hash) Algorithm() string { return h.algorithm }

// Parse reads a hash in one of these forms (B64 is standard base64, padded or not):
//
//	$2a$|$2b$|$2y$10$...                                bcrypt
//	$argon2id$v=19$m=65536,t=3,p=4$B64$B64              Argon2 (argon2i alike), the PHC string format
//	$scrypt$ln=14,r=8,p=1$B64$B64                       scrypt
//	$pbkdf2-sha256$i=600000$B64$B64                     PBKDF2 (sha1, sha512 alike); passlib's form without "i=" too
//	pbkdf2_sha256$600000$salt$B64                       PBKDF2 as Django writes it: the salt is text
//	$firebase-scrypt$ln=14,r=8$B64$B64$B64$B64          salt separator, signer key, salt, hash
//
// The error says what is wrong, or too costly, without repeating the hash.
func Parse(text string) (*Hash, error) {
	if len(text) > maxText {
		return nil, errors.New("the hash is too long")
	}
	text = strings.TrimPrefix(text, "argon2$") // Django's prefix; the rest is a PHC string without its first $
	if strings.HasPrefix(text, "argon2i") {
		text = "$" + text
	}
	f := strings.Split(text, "$")
	switch {
	case strings.HasPrefix(text, "pbkdf2_") && len(f) == 4:
		return parseDjango(f)
	case len(f) < 4 || f[0] != "":
		return nil, ErrUnknown
	}
	switch f[1] {
	case "2a", "2b", "2y":
		return parseBcrypt(text)
	case "argon2i", "argon2id":
		return parseArgon(f)
	case "scrypt":
		return parseScrypt(f)
	case "firebase-scrypt":
		return parseFirebase(f)
	case "pbkdf2", "pbkdf2-sha1", "pbkdf2-sha256", "pbkdf2-sha512":
		return parsePBKDF2(f)
	}
	return nil, ErrUnknown
}

// Matches says whether a password is the one behind the hash. It takes the time, and the
// memory, that the hash asks for.
func (h *Hash) Matches(password string) bool {
	if len(password) > maxPasswordSize {
		return false
	}
	got, err := h.work([]byte(password))
	return err == nil && subtle.ConstantTimeCompare(got, h.sum) == 1
}

func tooCostly(what string) error {
	return fmt.Errorf("its %s is above what a sign-in may cost here", what)
}
