package pwhash

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"

	"moat/internal/pure/lazyregexp"
)

var bcryptShape = lazyregexp.New(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// parseBcrypt reads a hash of Provos and Mazières' bcrypt. Like every implementation it looks at
// the first 72 bytes of a password only.
func parseBcrypt(text string) (*Hash, error) {
	if !bcryptShape.MatchString(text) {
		return nil, errors.New("it is not 22 characters of salt and 31 of hash behind a cost of two digits")
	}
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil || cost < bcrypt.MinCost {
		return nil, errors.New("its cost is not a number of 4 and more")
	}
	if cost > maxBcryptCost {
		return nil, tooCostly(fmt.Sprintf("cost of %d (at most %d)", cost, maxBcryptCost))
	}
	right := []byte{1}
	return &Hash{algorithm: "bcrypt", sum: right, work: func(password []byte) ([]byte, error) {
		return right, bcrypt.CompareHashAndPassword([]byte(text), password)
	}}, nil
}

// parseArgon reads an Argon2 hash of version 1.3 (RFC 9106) in the PHC string format.
func parseArgon(f []string) (*Hash, error) {
	if len(f) != 6 {
		return nil, errFields
	}
	if f[2] != "v=19" {
		return nil, errors.New("its version of Argon2 is not 19")
	}
	p, err := parameters(f[3], []string{"m", "t", "p"})
	if err != nil {
		return nil, err
	}
	m, t, lanes := p["m"], p["t"], p["p"]
	switch {
	case lanes < 1 || t < 1 || m < 8*lanes: // RFC 9106 section 3.1
		return nil, errors.New("its parameters are below the least that Argon2 has")
	case lanes > maxParallelism:
		return nil, tooCostly(fmt.Sprintf("parallelism of %d (at most %d)", lanes, maxParallelism))
	case m > MaxMemory>>10:
		return nil, tooCostly(fmt.Sprintf("memory of %d KiB (at most %d)", m, MaxMemory>>10))
	case m*t > maxArgonWork:
		return nil, tooCostly(fmt.Sprintf("memory times passes of %d (at most %d)", m*t, maxArgonWork))
	}
	salt, sum, err := saltAndSum(f[4], f[5])
	if err != nil {
		return nil, err
	}
	key := argon2.IDKey
	if f[1] == "argon2i" {
		key = argon2.Key
	}
	return &Hash{algorithm: f[1], sum: sum, work: func(password []byte) ([]byte, error) {
		return key(password, salt, uint32(t), uint32(m), uint8(lanes), uint32(len(sum))), nil
	}}, nil
}

// scryptCost reads and bounds the parameters of scrypt (RFC 7914).
func scryptCost(text string) (n, r, p int, err error) {
	given, err := parameters(text, []string{"ln", "r"}, "p")
	if err != nil {
		return 0, 0, 0, err
	}
	ln, r := given["ln"], given["r"]
	if p = 1; strings.Contains(text, "p=") {
		p = given["p"]
	}
	if ln < 1 || r < 1 || p < 1 {
		return 0, 0, 0, errors.New("its parameters are below the least that scrypt has")
	}
	if ln > 20 || r > 64 || p > maxParallelism || 128*r<<ln > MaxMemory || r*p<<ln > maxScryptWork {
		return 0, 0, 0, tooCostly(fmt.Sprintf("work (at most %d MiB of memory, and N*r*p of %d)", MaxMemory>>20, maxScryptWork))
	}
	return 1 << ln, r, p, nil
}

func parseScrypt(f []string) (*Hash, error) {
	if len(f) != 5 {
		return nil, errFields
	}
	n, r, p, err := scryptCost(f[2])
	if err != nil {
		return nil, err
	}
	salt, sum, err := saltAndSum(f[3], f[4])
	if err != nil {
		return nil, err
	}
	return &Hash{algorithm: "scrypt", sum: sum, work: func(password []byte) ([]byte, error) {
		return scrypt.Key(password, salt, n, r, p, len(sum))
	}}, nil
}

// parsePBKDF2 reads $pbkdf2-DIGEST$i=N$salt$hash (RFC 8018). The least a salt and a hash must
// have is what other systems really wrote, not what one would choose today.
func parsePBKDF2(f []string) (*Hash, error) {
	if len(f) != 5 {
		return nil, errFields
	}
	digest := strings.TrimPrefix(strings.TrimPrefix(f[1], "pbkdf2"), "-")
	if digest == "" {
		digest = "sha1" // passlib's name for it
	}
	cost := f[2]
	if !strings.Contains(cost, "=") {
		cost = "i=" + cost
	}
	given, err := parameters(cost, []string{"i"}, "l")
	if err != nil {
		return nil, err
	}
	salt, sum, err := saltAndSum(f[3], f[4])
	if err != nil {
		return nil, err
	}
	if l, said := given["l"]; said && l != len(sum) {
		return nil, errors.New("its length is not the one that it says")
	}
	return newPBKDF2(digest, given["i"], salt, sum)
}

// parseDjango reads pbkdf2_DIGEST$N$salt$hash.
func parseDjango(f []string) (*Hash, error) {
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return nil, errors.New("its iterations are not a number")
	}
	if f[2] == "" || len(f[2]) > maxSalt {
		return nil, errors.New("its salt is not 1 to 256 bytes")
	}
	sum, err := readSum(f[3])
	if err != nil {
		return nil, err
	}
	return newPBKDF2(strings.TrimPrefix(f[0], "pbkdf2_"), n, []byte(f[2]), sum)
}

func newPBKDF2(digest string, iterations int, salt, sum []byte) (*Hash, error) {
	if iterations < 1 {
		return nil, errors.New("it has no iterations")
	}
	if iterations > maxIterations {
		return nil, tooCostly(fmt.Sprintf("%d iterations (at most %d)", iterations, maxIterations))
	}
	var h func() hash.Hash
	switch digest {
	case "sha1":
		h = sha1.New
	case "sha256":
		h = sha256.New
	case "sha512":
		h = sha512.New
	default:
		return nil, ErrUnknown
	}
	// Every block of output costs all the iterations again.
	if blocks := (len(sum) + h().Size() - 1) / h().Size(); iterations*blocks > maxIterations {
		return nil, tooCostly(fmt.Sprintf("%d iterations for each of %d blocks (at most %d)", iterations, blocks, maxIterations))
	}
	return &Hash{algorithm: "pbkdf2-" + digest, sum: sum, work: func(password []byte) ([]byte, error) {
		return pbkdf2.Key(h, string(password), salt, iterations, len(sum))
	}}, nil
}
