package userpool

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

const (
	purposeSignUp   = "sign-up"
	purposeRecovery = "recovery"

	signUpCodeLife    = 24 * time.Hour
	recoveryCodeLife  = time.Hour
	attributeCodeLife = 24 * time.Hour

	// Within codeWindow a code may be asked for maxSends times and guessed at
	// maxAttempts times: of a million codes, that opens one in a hundred thousand.
	codeWindow  = time.Hour
	maxSends    = 10
	maxAttempts = 10
)

func purposeAttribute(name string) string { return "attribute " + name }

func errTooMany() error {
	return refuse(limitExceeded, "Attempt limit exceeded, please try after some time.")
}

// drawCode draws a code of six digits and seals it.
func (s *Service) drawCode() (plain string, sealed []byte, err error) {
	if plain, err = s.text(6, "0123456789"); err != nil {
		return "", nil, err
	}
	sealed, err = s.db.Seal(sealCode, []byte(plain))
	return plain, sealed, err
}

// putCode stores a code in place of the one before it. A nil sealed code is one
// that nobody can guess: what a stranger gets who asks for somebody unknown.
func (s *Service) putCode(tx *store.Tx, c Code, life time.Duration) error {
	return s.putCodeOf(tx, c, life, maxSends)
}

// putCodeOf is putCode where another number of codes may be asked for.
func (s *Service) putCodeOf(tx *store.Tx, c Code, life time.Duration, most int) error {
	now := s.time()
	old, err := s.tables.codes.Get(tx, c.Pool, c.User, c.Purpose)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	c.Window = now
	if err == nil && now.Before(old.Window.Add(codeWindow)) {
		c.Window, c.Sent, c.Attempts = old.Window, old.Sent, old.Attempts
	}
	if c.Sent >= most {
		return errTooMany()
	}
	c.Sent++
	c.ExpiresAt = now.Add(life)
	return s.tables.codes.Put(tx, c)
}

// nobodysCode is a code that is as any other to look at, and right for nothing. The address,
// which can be whatever somebody typed, is not kept, but for its length.
func nobodysCode(u *User, purpose string, to contact, sealed []byte) Code {
	return Code{
		Pool: u.Pool, User: u.Key, Purpose: purpose, Sealed: sealed, Nobody: true,
		Attribute: to.attribute, Value: strings.Repeat("x", min(len(to.destination), 64)),
	}
}

// redeem compares a code. A right one is used up and returned. Otherwise verdict
// is the refusal, which must not undo the transaction: the attempt counts.
func (s *Service) redeem(tx *store.Tx, poolID, who, purpose, given string) (c Code, verdict, err error) {
	now := s.time()
	c, err = s.tables.codes.Get(tx, poolID, who, purpose)
	if errors.Is(err, store.ErrNotFound) {
		return c, errCodeExpired(), nil
	}
	if err != nil {
		return c, nil, err
	}
	if !now.Before(c.Window.Add(codeWindow)) {
		c.Window, c.Attempts, c.Sent = now, 0, 0
	}
	if c.Attempts >= maxAttempts {
		return c, errTooMany(), nil
	}
	right := false
	if c.Sealed != nil {
		plain, err := s.db.Unseal(sealCode, c.Sealed)
		if err != nil {
			return c, nil, err
		}
		right = subtle.ConstantTimeCompare(plain, []byte(given)) == 1 && !c.Nobody
	}
	if right && now.Before(c.ExpiresAt) {
		return c, nil, s.tables.codes.Delete(tx, poolID, who, purpose)
	}
	c.Attempts++
	if err := s.tables.codes.Put(tx, c); err != nil {
		return c, nil, err
	}
	if !now.Before(c.ExpiresAt) {
		return c, errCodeExpired(), nil
	}
	return c, refuse(codeMismatch, "Invalid verification code provided, please try again."), nil
}

// fits says whether a code would be right now. It neither counts nor uses it up: redeem decides.
func (s *Service) fits(ctx context.Context, poolID, who, purpose, given string) (bool, error) {
	var c Code
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		c, err = s.tables.codes.Get(tx, poolID, who, purpose)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	now := s.time()
	if err != nil || c.Sealed == nil || !now.Before(c.ExpiresAt) || c.Attempts >= maxAttempts && now.Before(c.Window.Add(codeWindow)) {
		return false, err
	}
	plain, err := s.db.Unseal(sealCode, c.Sealed)
	return err == nil && subtle.ConstantTimeCompare(plain, []byte(given)) == 1, err
}

// prove marks the address that the code went to as verified. An address that was
// changed since stays unproven: this code never reached it.
func (c *Code) prove(u *User) {
	if c.Pending {
		u.Attributes[c.Attribute] = c.Value
	}
	if c.Attribute != "" && u.Attributes[c.Attribute] == c.Value {
		u.Attributes[c.Attribute+"_verified"] = "true"
	}
}

func errCodeExpired() error {
	return refuse(codeExpired, "Invalid code provided, please request a code again.")
}

// contact is where a message can reach a user.
type contact struct{ attribute, medium, destination string }

func (c contact) details() *api.CodeDeliveryDetailsType {
	masked := mask(c.destination)
	return &api.CodeDeliveryDetailsType{AttributeName: &c.attribute, DeliveryMedium: api.DeliveryMediumType(c.medium), Destination: &masked}
}

func contactFor(attribute, destination string) contact {
	medium := MediumEmail
	if attribute == loginPhone {
		medium = MediumSMS
	}
	return contact{attribute, medium, destination}
}

// confirmationContact is where the sign-up code goes: to an attribute that the
// pool verifies, the phone before the mailbox. false: no code is sent.
func (p *Pool) confirmationContact(u *User) (contact, bool) {
	for _, name := range []string{loginPhone, loginEmail} {
		if v := u.Attributes[name]; v != "" && slices.Contains(p.Settings.AutoVerified, name) {
			return contactFor(name, v), true
		}
	}
	return contact{}, false
}

// recoveryContact is where a code to reset a password may go: only to what is
// proven to be the user's, in the order that the pool prefers.
func (p *Pool) recoveryContact(u *User) (contact, error) {
	order := []string{loginPhone, loginEmail}
	var second []string // with the setting, where a second factor goes does not qualify (CreateUserPool, AccountRecoverySetting)
	if r := p.Settings.AccountRecovery; r != nil && len(r.RecoveryMechanisms) > 0 {
		list := slices.Clone(r.RecoveryMechanisms)
		slices.SortFunc(list, func(a, b api.RecoveryOptionType) int { return int(a.Priority) - int(b.Priority) })
		order, second = nil, p.secondFactors(u)
		for _, m := range list {
			switch m.Name {
			case api.RecoveryOptionNameTypeverified_email:
				order = append(order, loginEmail)
			case api.RecoveryOptionNameTypeverified_phone_number:
				order = append(order, loginPhone)
			case api.RecoveryOptionNameTypeadmin_only:
				return contact{}, refuse(notAuthorized, "Contact administrator to reset password.")
			}
		}
	}
	for _, name := range order {
		mfa := mfaEmail
		if name == loginPhone {
			mfa = mfaSMS
		}
		if v := u.Attributes[name]; v != "" && u.verified(name) && !slices.Contains(second, mfa) {
			return contactFor(name, v), nil
		}
	}
	return contact{}, refuse(invalidParameter, "Cannot reset password for the user as there is no registered/verified email or phone_number")
}

// imaginaryContact is the destination shown for somebody who does not exist: the
// same for the same name, and for an address as its owner's would be masked.
func (s *Service) imaginaryContact(p *Pool, name string) contact {
	if isEmail(name) {
		return contactFor(loginEmail, name)
	}
	if isPhone(name) && !slices.Contains(p.Settings.AutoVerified, loginEmail) {
		return contactFor(loginPhone, name)
	}
	b := s.secrets.mac("imaginary contact", p.ID, p.fold(name))
	letter := func(c byte) string { return string('a' + rune(c)%26) }
	return contactFor(loginEmail, letter(b[0])+"@"+letter(b[1]))
}

// imaginaryReach is imaginaryContact for one kind of address.
func (s *Service) imaginaryReach(p *Pool, name, attribute string) contact {
	if attribute == loginEmail || isPhone(name) {
		if to := s.imaginaryContact(p, name); to.attribute == attribute {
			return to
		}
	}
	b := s.secrets.mac("imaginary phone", p.ID, p.fold(name))
	digits := make([]byte, 4)
	for i := range digits {
		digits[i] = '0' + b[i]%10
	}
	return contactFor(loginPhone, "+1555555"+string(digits))
}

// nobody is the key under which codes and failures of an unknown name are kept. No
// user's key begins like it; the name itself, which may be a password typed into
// the wrong field, is not kept.
func (s *Service) nobody(p *Pool, name string) string {
	return "\u0001" + hex.EncodeToString(s.secrets.mac("nobody", p.ID, p.fold(name)))
}
