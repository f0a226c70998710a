package userpool

import (
	"encoding/base64"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"moat/internal/service/userpool/userfile"
	"moat/internal/store"
)

// exportPasskeys unseals the passkeys of a user. They go on working for the same domain.
func (s *Service) exportPasskeys(tx *store.Tx, u *User) ([]userfile.Passkey, error) {
	list, err := s.tables.passkeys.List(tx, store.Query{Prefix: []string{u.Pool, u.Key}})
	if err != nil {
		return nil, err
	}
	var out []userfile.Passkey
	for _, k := range list {
		key, err := s.db.Unseal(sealPasskey, k.Key)
		if err != nil {
			return nil, err
		}
		p := userfile.Passkey{
			ID: k.ID, Domain: k.RelyingParty, Key: key, Counter: k.Counter, Name: k.Name, Transports: k.Transports, Attachment: k.Attachment,
			BackupEligible: k.BackupEligible, BackedUp: k.BackedUp, Created: &k.CreatedAt,
		}
		if !k.UsedAt.IsZero() {
			p.Used = &k.UsedAt
		}
		out = append(out, p)
	}
	return out, nil
}

// importedPasskeys makes the records of a user's passkeys from elsewhere.
func (s *Service) importedPasskeys(u *User, from []userfile.Passkey) ([]Passkey, error) {
	if len(from) > maxPasskeys {
		return nil, refuse(invalidParameter, fmt.Sprintf("A user has at most %d passkeys.", maxPasskeys))
	}
	now, ids := s.time(), map[string]bool{}
	var out []Passkey
	for _, p := range from {
		if id, err := base64.RawURLEncoding.Strict().DecodeString(p.ID); err != nil || len(id) == 0 || len(id) > 1023 || credentialID(id) != p.ID || ids[p.ID] ||
			!partyShape.MatchString(p.Domain) || len(p.Domain) > 127 || !isOffered(p.Key) || p.BackedUp && !p.BackupEligible ||
			len(p.Name) > 256 || len(p.Transports) > 16 || len(p.Attachment) > 32 {
			return nil, refuse(invalidParameter, "This is not a passkey.")
		}
		ids[p.ID] = true
		sealed, err := s.db.Seal(sealPasskey, p.Key)
		if err != nil {
			return nil, err
		}
		k := Passkey{
			Pool: u.Pool, User: u.Key, ID: p.ID, RelyingParty: p.Domain, Key: sealed, Counter: p.Counter, Name: p.Name, Transports: p.Transports,
			Attachment: p.Attachment, BackupEligible: p.BackupEligible, BackedUp: p.BackedUp, CreatedAt: timeOr(p.Created, now),
		}
		if p.Used != nil {
			k.UsedAt = timeOr(p.Used, now)
		}
		out = append(out, k)
	}
	return out, nil
}

// isOffered says whether a COSE_Key is of a kind that registrations offer.
func isOffered(key []byte) bool {
	if len(key) > maxPublicKey {
		return false
	}
	parsed, err := webauthncose.ParsePublicKey(key)
	if err != nil {
		return false
	}
	var alg int64
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		alg = k.Algorithm
	case webauthncose.RSAPublicKeyData:
		alg = k.Algorithm
	}
	for _, p := range credentialParameters() {
		if int64(p.Algorithm) == alg {
			return true
		}
	}
	return false
}

// passkeyTaken says whether one of the passkeys is somebody's in the pool.
func (s *Service) passkeyTaken(tx *store.Tx, keys []Passkey) (bool, error) {
	for _, k := range keys {
		n, err := s.tables.passkeys.Count(tx, store.Query{Index: "credential", Values: []string{k.Pool, k.ID}})
		if err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

func (s *Service) insertPasskeys(tx *store.Tx, keys []Passkey) error {
	for _, k := range keys {
		if err := s.tables.passkeys.Insert(tx, k); err != nil {
			return err
		}
	}
	return nil
}
