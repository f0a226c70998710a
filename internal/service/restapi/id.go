package restapi

import (
	"io"
	"strings"
)

// Alphabets of identifiers. API Gateway's ids are lower-case letters and digits.
const (
	idAlphabet  = "abcdefghijklmnopqrstuvwxyz0123456789"
	keyAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

const (
	longID   = 10 // APIs, keys
	shortID  = 6  // resources, deployments, authorizers, validators, plans
	keyValue = 40
)

// random draws n characters of an alphabet, evenly.
func (s *Service) random(alphabet string, n int) (string, error) {
	var b strings.Builder
	limit := byte(256 / len(alphabet) * len(alphabet) % 256)
	buf := make([]byte, 64)
	for b.Len() < n {
		if _, err := io.ReadFull(s.cfg.Rand, buf); err != nil {
			return "", err
		}
		for _, c := range buf {
			if (limit == 0 || c < limit) && b.Len() < n {
				b.WriteByte(alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return b.String(), nil
}

// id draws an identifier.
func (s *Service) id(n int) (string, error) { return s.random(idAlphabet, n) }
