package userpool

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"

	"moat/internal/store"
)

// tagSigningAlgorithm is the tag by which a pool names the algorithm of its tokens. Cognito
// knows RS256 only; ES256 is Moat's own: signing costs a small part of it.
const tagSigningAlgorithm = "moat:signing-algorithm"

const (
	algorithmRS256 = "RS256"
	algorithmES256 = "ES256"
)

// signingAlgorithm is what the pool's next keys are made for.
func (p *Pool) signingAlgorithm() string {
	if p.Tags[tagSigningAlgorithm] == algorithmES256 {
		return algorithmES256
	}
	return algorithmRS256
}

// algorithm of a key; those that say nothing are older than the choice.
func (k PoolKey) algorithm() string {
	if k.Algorithm == "" {
		return algorithmRS256
	}
	return k.Algorithm
}

// checkSigningAlgorithm refuses a tag that would be taken for something it is not.
func checkSigningAlgorithm(tags map[string]string) error {
	switch v, there := tags[tagSigningAlgorithm]; {
	case !there, v == algorithmRS256, v == algorithmES256:
		return nil
	}
	return refuse(invalidParameter, "The tag "+tagSigningAlgorithm+" is RS256 or ES256.")
}

// setTags replaces the tags of a pool. The key that is to sign next has signed nothing yet:
// where it is for another algorithm than the tags ask for, another one takes its place, and
// the next rotation changes what tokens are signed with.
func (p *Pool) setTags(tags map[string]string) {
	p.Tags = tags
	for len(p.Keys) > 1 && p.Keys[len(p.Keys)-1].algorithm() != p.signingAlgorithm() {
		p.Keys = p.Keys[:len(p.Keys)-1]
	}
}

// generateCurve makes a key for ES256: that takes no time worth a reserve.
func (k *keyring) generateCurve() (PoolKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), k.s.rand)
	if err != nil {
		return PoolKey{}, err
	}
	key, err := k.seal(private)
	key.Algorithm = algorithmES256
	return key, err
}

// firstKeys returns what takes the keys that a new pool begins with, within a transaction:
// one, or none as long as the reserve is empty.
func (k *keyring) firstKeys(p *Pool) (func(*store.Tx) ([]PoolKey, error), error) {
	curve, err := k.generateCurve()
	return func(tx *store.Tx) ([]PoolKey, error) {
		key, err := k.nextKey(tx, p, curve)
		if errors.Is(err, errNoKey) {
			return nil, nil
		}
		return []PoolKey{key}, err
	}, err
}

// nextKey is the next key of a pool: curve, which was just made, or one of the reserve.
func (k *keyring) nextKey(tx *store.Tx, p *Pool, curve PoolKey) (PoolKey, error) {
	if p.signingAlgorithm() == algorithmES256 {
		return curve, nil
	}
	return k.s.takeKey(tx)
}
