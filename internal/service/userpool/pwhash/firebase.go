package pwhash

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/scrypt"
)

// Firebase is what the export of Firebase Authentication says of the hashes of a whole project
// (console: Password hash parameters). All of it is base64 but the numbers.
type Firebase struct {
	SignerKey     string `json:"signerKey"`
	SaltSeparator string `json:"saltSeparator"`
	Rounds        int    `json:"rounds"`
	MemoryCost    int    `json:"memCost"`
}

// Text writes the hash of one user of the project, as [Parse] reads it.
func (f *Firebase) Text(salt, hash string) string {
	return fmt.Sprintf("$firebase-scrypt$ln=%d,r=%d$%s$%s$%s$%s", f.MemoryCost, f.Rounds, f.SaltSeparator, f.SignerKey, salt, hash)
}

// parseFirebase reads a hash of github.com/firebase/scrypt: the project's signer key, encrypted by
// AES-256 in counter mode under the first 32 bytes of what scrypt derives from the password.
func parseFirebase(f []string) (*Hash, error) {
	if len(f) != 7 {
		return nil, errFields
	}
	n, r, p, err := scryptCost(f[2])
	if err != nil {
		return nil, err
	}
	separator, err := decode(f[3])
	if err != nil || len(separator) > maxSalt {
		return nil, errors.New("its salt separator is not base64")
	}
	signer, err := decode(f[4])
	if err != nil || len(signer) < minSum || len(signer) > 4*maxSum {
		return nil, errors.New("its signer key is not base64 of 16 bytes and more")
	}
	salt, err := decode(f[5])
	if err != nil || len(salt) == 0 || len(salt) > maxSalt {
		return nil, errors.New("its salt is not base64 of 1 to 256 bytes")
	}
	sum, err := decode(f[6])
	if err != nil || len(sum) != len(signer) {
		return nil, errors.New("its hash is not base64 of as many bytes as its signer key")
	}
	salt = append(salt, separator...)
	return &Hash{algorithm: "firebase-scrypt", sum: sum, work: func(password []byte) ([]byte, error) {
		key, err := scrypt.Key(password, salt, n, r, p, 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		out := make([]byte, len(signer))
		cipher.NewCTR(block, make([]byte, aes.BlockSize)).XORKeyStream(out, signer)
		return out, nil
	}}, nil
}

// Specimen is a hash of the same cost that no password is known of: what is checked in place of
// somebody who does not exist.
func Specimen(h *Hash) *Hash {
	return &Hash{algorithm: h.algorithm, work: h.work, sum: nil}
}

// Encode writes bytes as the forms of [Parse] have them.
func Encode(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }
