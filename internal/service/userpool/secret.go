package userpool

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"sync"

	"moat/internal/pure/uuid"
	"moat/internal/store"
)

const (
	sealKey          = "userpool signing key"
	sealVerifier     = "userpool verifier"
	sealClient       = "userpool client secret"
	sealCode         = "userpool code"
	sealService      = "userpool secret"
	sealChallenge    = "userpool challenge 2" // 1: answers were marked elsewhere
	sealPage         = "userpool page"
	sealSeed         = "userpool software token"
	sealPasskey      = "userpool passkey"
	sealRegistration = "userpool passkey registration 2" // as with challenges
	sealForeign      = "userpool foreign hash"
	sealExport       = "userpool export"
)

// secrets holds the service's own key, from which false salts and the
// authenticators of refresh tokens are derived. All nodes of a database share it.
type secrets struct {
	key  []byte
	macs sync.Pool // of *maker
}

// maker makes authenticators under the key, one after the other.
type maker struct {
	hash hash.Hash
	text []byte
}

func (s *Service) openSecrets(ctx context.Context) (*secrets, error) {
	fresh := make([]byte, 32)
	if _, err := io.ReadFull(s.rand, fresh); err != nil {
		return nil, err
	}
	sealed, err := s.db.Seal(sealService, fresh)
	if err != nil {
		return nil, err
	}
	var rec Secret
	err = s.db.View(ctx, func(tx *store.Tx) (err error) {
		rec, err = s.tables.secrets.Get(tx, "service")
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = s.db.Update(ctx, func(tx *store.Tx) error {
			if err := s.tables.secrets.Insert(tx, Secret{Name: "service", Sealed: sealed}); err != nil && !errors.Is(err, store.ErrExists) {
				return err
			}
			var err error
			rec, err = s.tables.secrets.Get(tx, "service")
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	key, err := s.db.Unseal(sealService, rec.Sealed)
	if err != nil {
		return nil, err
	}
	return &secrets{key: key}, nil
}

// mac authenticates parts under a purpose. Parts are length-prefixed: no two
// lists of parts authenticate alike.
func (s *secrets) mac(purpose string, parts ...string) []byte {
	m, _ := s.macs.Get().(*maker)
	if m == nil {
		m = &maker{hash: hmac.New(sha256.New, s.key)}
	}
	defer s.macs.Put(m)
	m.text = appendPart(m.text[:0], purpose)
	for _, p := range parts {
		m.text = appendPart(m.text, p)
	}
	m.hash.Reset()
	m.hash.Write(m.text)
	return m.hash.Sum(make([]byte, 0, sha256.Size))
}

func appendPart(b []byte, p string) []byte {
	return append(append(strconv.AppendInt(b, int64(len(p)), 10), ':'), p...)
}

// derive stretches mac to n bytes.
func (s *secrets) derive(n int, purpose string, parts ...string) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		out = append(out, s.mac(fmt.Sprint(purpose, " ", i), parts...)...)
	}
	return out[:n]
}

// random draws n bytes.
func (s *Service) random(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(s.rand, b)
	return b, err
}

// uuid draws a random UUID.
func (s *Service) uuid() (string, error) {
	b, err := s.random(16)
	if err != nil {
		return "", err
	}
	return uuid.V4([16]byte(b)), nil
}

// timedUUID draws an id that sorts by time.
func (s *Service) timedUUID() (string, error) {
	b, err := s.random(10)
	if err != nil {
		return "", err
	}
	return uuid.V7(s.time(), [10]byte(b)), nil
}

const (
	lowerAlphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	mixedAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// text draws n characters of an alphabet, each equally likely.
func (s *Service) text(n int, alphabet string) (string, error) {
	limit := byte(256 / len(alphabet) * len(alphabet) & 0xff) // 0 means 256
	out := make([]byte, 0, n)
	for len(out) < n {
		b, err := s.random(n)
		if err != nil {
			return "", err
		}
		for _, c := range b {
			if (limit == 0 || c < limit) && len(out) < n {
				out = append(out, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(out), nil
}

// sealJSON makes an opaque, authenticated, URL-safe text of v.
func (s *Service) sealJSON(purpose string, v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	sealed, err := s.db.Seal(purpose, raw)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// unsealJSON reads what sealJSON made; false for anything else.
func (s *Service) unsealJSON(purpose, text string, v any) bool {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return false
	}
	raw, err := s.db.Unseal(purpose, sealed)
	return err == nil && json.Unmarshal(raw, v) == nil
}
