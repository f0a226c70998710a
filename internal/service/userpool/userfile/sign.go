package userfile

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is the running digest over the lines of a file, as bytes: each line is hashed behind the
// digest of those before it, so that none can be left out, added, altered or moved.
type Digest [sha256.Size]byte

// NewDigest is the digest before the first line.
func NewDigest() Digest { return sha256.Sum256([]byte("moat users 1\n")) }

// Add returns the digest with one more line, without its end of line.
func (d Digest) Add(line []byte) Digest {
	h := sha256.New()
	h.Write(d[:])
	h.Write(line)
	return Digest(h.Sum(nil))
}

// statement is what the signature of an export says.
func statement(groups, users int, digest []byte) []byte {
	return fmt.Appendf(nil, "moat users 1\ngroups %d\nusers %d\ndigest %s\n", groups, users, hex.EncodeToString(digest))
}

// Sign makes the last line of an export.
func Sign(key ed25519.PrivateKey, groups, users int, d Digest) *End {
	return &End{
		Groups: groups, Users: users, Digest: d[:], Key: EncodeKey(key.Public().(ed25519.PublicKey)),
		Signature: ed25519.Sign(key, statement(groups, users, d[:])),
	}
}

// signed says whether the line is signed by the key that it names.
func (e *End) signed() bool {
	key, err := decodeKey(e.Key)
	return err == nil && ed25519.Verify(key, statement(e.Groups, e.Users, e.Digest), e.Signature)
}

// SignedBy says whether the file was signed by a key, as [EncodeKey] writes it.
func (e *End) SignedBy(key string) error {
	if _, err := decodeKey(key); err != nil {
		return err
	}
	if e.Key != key {
		return fmt.Errorf("the file is signed by %s, not by %s", e.Key, key)
	}
	return nil
}

const keyPrefix = "moat-users-"

// EncodeKey writes the public key of a Moat that signs exports.
func EncodeKey(key ed25519.PublicKey) string {
	return keyPrefix + base64.RawURLEncoding.EncodeToString(key)
}

func decodeKey(text string) (ed25519.PublicKey, error) {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	key, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if !ok || err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%q is not the key of a Moat that signs exports", text)
	}
	return key, nil
}
