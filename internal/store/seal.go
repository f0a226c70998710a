package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	masterKeySize = 32
	keyIDSize     = 4
	nonceSize     = 12
	sealVersion   = 1
	headerSize    = 1 + keyIDSize
	// maxSealers bounds the memory of sub-keys when purposes name records.
	maxSealers = 512
)

// ErrSealed says that sealed bytes were altered, or sealed for another purpose.
var ErrSealed = errors.New("store: the sealed value does not open")

// keyring holds the master keys, the newest first. Sealed bytes are: version,
// key id, nonce, AES-256-GCM ciphertext; the header and the purpose are
// authenticated, and the key is derived from master key and purpose (RFC 5869).
type keyring struct {
	rand  io.Reader
	keys  []masterKey
	mu    sync.Mutex
	aeads map[string]cipher.AEAD
}

type masterKey struct {
	id    [keyIDSize]byte
	bytes []byte
}

func newKeyring(key []byte, old [][]byte, rand io.Reader) (*keyring, error) {
	ring := &keyring{rand: rand, aeads: map[string]cipher.AEAD{}}
	for _, k := range append([][]byte{key}, old...) {
		id, err := keyID(k)
		if err != nil {
			return nil, err
		}
		ring.keys = append(ring.keys, masterKey{id: [keyIDSize]byte(id), bytes: bytes.Clone(k)})
	}
	return ring, nil
}

// Seal encrypts plain with the newest master key. Only Unseal with the same
// purpose opens it.
func (db *DB) Seal(purpose string, plain []byte) ([]byte, error) {
	return db.keyring.seal(purpose, plain)
}

// Unseal decrypts what Seal made, with whichever of the known master keys sealed
// it. The error is [ErrSealed], or names the key that is missing.
func (db *DB) Unseal(purpose string, sealed []byte) ([]byte, error) {
	return db.keyring.unseal(purpose, sealed)
}

// MACKey returns the key of a keyed hash, derived from the newest master key and the purpose,
// with the id of that master key. It opens nothing that is sealed.
func (db *DB) MACKey(purpose string) (key []byte, masterKeyID string, err error) {
	return MACKey(db.keyring.keys[0].bytes, purpose)
}

// MACKey is [DB.MACKey] for who holds the master key and no database.
func MACKey(master []byte, purpose string) (key []byte, masterKeyID string, err error) {
	id, err := keyID(master)
	if err != nil {
		return nil, "", err
	}
	key, err = hkdf.Key(sha256.New, master, nil, "moat mac "+purpose, sha256.Size)
	return key, hex.EncodeToString(id), err
}

func keyID(master []byte) ([]byte, error) {
	if len(master) != masterKeySize {
		return nil, fmt.Errorf("store: a master key is %d bytes, not %d", masterKeySize, len(master))
	}
	id, err := hkdf.Key(sha256.New, master, nil, "moat key id", keyIDSize)
	if err != nil {
		return nil, fmt.Errorf("store: key id: %w", err)
	}
	return id, nil
}

func (r *keyring) seal(purpose string, plain []byte) ([]byte, error) {
	key := r.keys[0]
	aead, err := r.aead(key, purpose)
	if err != nil {
		return nil, err
	}
	out := make([]byte, headerSize+nonceSize, headerSize+nonceSize+len(plain)+aead.Overhead())
	out[0] = sealVersion
	copy(out[1:], key.id[:])
	nonce := out[headerSize:]
	if _, err := io.ReadFull(r.rand, nonce); err != nil {
		return nil, fmt.Errorf("store: nonce: %w", err)
	}
	return aead.Seal(out, nonce, plain, authenticated(out[:headerSize], purpose)), nil
}

func (r *keyring) unseal(purpose string, sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize+nonceSize || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	id := [keyIDSize]byte(sealed[1:headerSize])
	for _, key := range r.keys {
		if key.id != id {
			continue
		}
		aead, err := r.aead(key, purpose)
		if err != nil {
			return nil, err
		}
		nonce, text := sealed[headerSize:headerSize+nonceSize], sealed[headerSize+nonceSize:]
		plain, err := aead.Open(nil, nonce, text, authenticated(sealed[:headerSize], purpose))
		if err != nil {
			return nil, ErrSealed
		}
		return plain, nil
	}
	return nil, fmt.Errorf("store: the value is sealed with master key %s, which was not given", hex.EncodeToString(id[:]))
}

func (r *keyring) aead(key masterKey, purpose string) (cipher.AEAD, error) {
	name := string(key.id[:]) + purpose
	r.mu.Lock()
	a, ok := r.aeads[name]
	r.mu.Unlock()
	if ok {
		return a, nil
	}
	sub, err := hkdf.Key(sha256.New, key.bytes, nil, "moat seal "+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("store: sub-key: %w", err)
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		return nil, fmt.Errorf("store: cipher: %w", err)
	}
	if a, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("store: cipher: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.aeads) < maxSealers {
		r.aeads[name] = a
	}
	return a, nil
}

func authenticated(header []byte, purpose string) []byte {
	return append(bytes.Clone(header), purpose...)
}
