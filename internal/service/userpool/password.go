package userpool

import (
	"strings"
	"unicode/utf8"

	"moat/internal/pure/srp"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// checkPassword compares a new password with the pool's policy.
func checkPassword(policy api.PasswordPolicyType, password string) error {
	wrong := func(why string) error {
		return refuse(invalidPassword, "Password did not conform with policy: "+why)
	}
	var lower, upper, digit, symbol bool
	for _, r := range password {
		switch {
		case 'a' <= r && r <= 'z': // Basic Latin alone, as the developer guide says
			lower = true
		case 'A' <= r && r <= 'Z':
			upper = true
		case '0' <= r && r <= '9':
			digit = true
		case strings.ContainsRune("^$*.[]{}()?-\"!@#%&/\\,><':;|_~`+= ", r):
			symbol = true
		}
	}
	switch {
	case utf8.RuneCountInString(password) < int(wire.Value(policy.MinimumLength)):
		return wrong("Password not long enough")
	case wire.Value(policy.RequireLowercase) && !lower:
		return wrong("Password must have lowercase characters")
	case wire.Value(policy.RequireUppercase) && !upper:
		return wrong("Password must have uppercase characters")
	case wire.Value(policy.RequireNumbers) && !digit:
		return wrong("Password must have numeric characters")
	case wire.Value(policy.RequireSymbols) && !symbol:
		return wrong("Password must have symbol characters")
	}
	return nil
}

// identity names a user towards SRP.
func identity(poolID, username string) srp.Identity {
	_, name, _ := strings.Cut(poolID, "_")
	return srp.Identity{Pool: name, User: username}
}

// secret is a new password, ready to be put into a user's record.
type secret struct {
	salt, verifier []byte // verifier is sealed
	id             string
	plain          string // for comparison with the history, within the call
}

// newPassword derives and seals what is kept of a password. It costs an
// exponentiation, so it runs outside of transactions.
func (s *Service) newPassword(poolID, username, password string) (secret, error) {
	salt, err := srp.NewSalt(s.rand)
	if err != nil {
		return secret{}, err
	}
	id, err := s.uuid()
	if err != nil {
		return secret{}, err
	}
	sealed, err := s.db.Seal(sealVerifier, s.srp.Verifier(identity(poolID, username), salt, password))
	return secret{salt: salt, verifier: sealed, id: id, plain: password}, err
}

// setPassword puts a password into u, the old one into the history.
func (u *User) setPassword(p *Pool, n secret) {
	if size := int(wire.Value(p.Settings.Password.PasswordHistorySize)); size > 0 && u.Verifier != nil {
		u.History = append([]OldPassword{{u.Salt, u.Verifier, u.Origin}}, u.History...)
		u.History = u.History[:min(len(u.History), size)]
	} else if size == 0 {
		u.History = nil
	}
	u.Salt, u.Verifier, u.PasswordID = n.salt, n.verifier, n.id
	u.Hash, u.Origin = nil, nil
}

// checkHistory refuses a password that the user had before, as far as the pool
// remembers.
func (s *Service) checkHistory(p *Pool, u *User, password string) error {
	size := int(wire.Value(p.Settings.Password.PasswordHistorySize))
	if size == 0 || u.Verifier == nil {
		return nil
	}
	past := append([]OldPassword{{u.Salt, u.Verifier, u.Origin}}, u.History...)
	for _, old := range past[:min(len(past), size)] {
		verifier, err := s.db.Unseal(sealVerifier, old.Verifier)
		if err != nil {
			return err
		}
		if s.srp.Matches(identityOf(u, old.Origin), old.Salt, verifier, password) {
			return refuse(passwordInHistory, "Password has previously been used.")
		}
	}
	return nil
}

// temporaryPassword makes a password that satisfies any policy.
func (s *Service) temporaryPassword(policy api.PasswordPolicyType) (string, error) {
	// One of each class, then random ones; 14 random characters are over 80 bits.
	out := ""
	for _, alphabet := range []string{"abcdefghijkmnpqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789", "!@#%&?-_"} {
		part, err := s.text(1, alphabet)
		if err != nil {
			return "", err
		}
		out += part
	}
	rest, err := s.text(max(14, int(wire.Value(policy.MinimumLength))-4), "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789")
	return rest + out, err
}
