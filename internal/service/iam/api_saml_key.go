package iam

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	"moat/internal/wire/iamapi"
)

// SAMLKey opens assertions that a provider encrypts for us. The key is sealed.
type SAMLKey struct {
	ID      string
	Created time.Time
	Sealed  []byte
}

// maxSAMLKeys lets a key be replaced: the new one is added, then the old one removed.
const maxSAMLKeys = 2

// maxSAMLKeyBits bounds what strangers can make us compute: they need no key of ours
// to send an assertion that has to be opened before it can be refused.
const maxSAMLKeyBits = 4096

// samlKeyPurpose is authenticated with each private key at rest.
func samlKeyPurpose(provider, key string) string { return "iam/saml-key/" + provider + "/" + key }

// parseSAMLKey reads one RSA key in PEM, without a password.
func parseSAMLKey(text string) (*rsa.PrivateKey, error) {
	bad := invalidInput("The private key must be an unencrypted RSA key of 2048 to 4096 bits in PEM format.")
	b, rest := pem.Decode([]byte(text))
	if b == nil || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, bad
	}
	var parsed any
	var err error
	switch b.Type {
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	default:
		return nil, bad
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok || key.N.BitLen() < 2048 || key.N.BitLen() > maxSAMLKeyBits || key.Validate() != nil {
		return nil, bad
	}
	return key, nil
}

// sealSAMLKey checks the private key of a call and seals it; nil when it brings none.
func (s *Service) sealSAMLKey(provider string, text *string) (*SAMLKey, error) {
	if text == nil {
		return nil, nil
	}
	key, err := parseSAMLKey(*text)
	if err != nil {
		return nil, err
	}
	id, err := s.newID("SAMLPK", 26)
	if err != nil {
		return nil, err
	}
	sealed, err := s.db.Seal(samlKeyPurpose(provider, id), x509.MarshalPKCS1PrivateKey(key))
	return &SAMLKey{ID: id, Created: s.now(), Sealed: sealed}, err
}

// setEncryption changes keys and mode of a provider. Required without a key would
// let nobody in: it is refused, whatever leads to it.
func (p *SAMLProvider) setEncryption(add *SAMLKey, remove *string, mode iamapi.AssertionEncryptionModeType) error {
	if remove != nil {
		kept := make([]SAMLKey, 0, len(p.Keys))
		for _, k := range p.Keys {
			if k.ID != *remove {
				kept = append(kept, k)
			}
		}
		if len(kept) == len(p.Keys) {
			return noSuch("The private key with id %s cannot be found.", *remove)
		}
		p.Keys = kept
	}
	if add != nil {
		if len(p.Keys) >= maxSAMLKeys {
			return limit("Cannot exceed quota for PrivateKeysPerSAMLProvider: %d", maxSAMLKeys)
		}
		if p.Keys = append(p.Keys, *add); p.Encryption == "" {
			p.Encryption = string(iamapi.AssertionEncryptionModeTypeAllowed)
		}
	}
	if mode != "" {
		p.Encryption = string(mode)
	}
	if p.mustEncrypt() && len(p.Keys) == 0 {
		return invalidInput("Assertions cannot be required to be encrypted without a private key.")
	}
	return nil
}

func (p *SAMLProvider) mustEncrypt() bool {
	return p.Encryption == string(iamapi.AssertionEncryptionModeTypeRequired)
}

// openSAMLKeys returns the keys of a provider that open its assertions.
func (s *Service) openSAMLKeys(p *SAMLProvider) ([]*rsa.PrivateKey, error) {
	out := make([]*rsa.PrivateKey, 0, len(p.Keys))
	for _, k := range p.Keys {
		der, err := s.db.Unseal(samlKeyPurpose(p.ID, k.ID), k.Sealed)
		if err != nil {
			return nil, err
		}
		key, err := x509.ParsePKCS1PrivateKey(der)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	return out, nil
}

func samlKeysOut(keys []SAMLKey) (out []iamapi.SAMLPrivateKey) {
	for i := range keys {
		out = append(out, iamapi.SAMLPrivateKey{KeyId: &keys[i].ID, Timestamp: &keys[i].Created})
	}
	return out
}
