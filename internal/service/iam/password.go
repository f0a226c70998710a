package iam

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// LoginProfile is a user's password. It belongs to the unique id, so that a
// renamed user keeps it.
type LoginProfile struct {
	Account, User string
	Created       time.Time
	Changed       time.Time
	ResetRequired bool
	Secret        []byte // sealed passwords
	Attempts
}

// passwords are the hashes of a profile: the current one first, then those before
// it. They share one salt, so that one hash of a new password tells whether it was
// among them; the whole is sealed.
type passwords struct {
	Salt   []byte
	Hashes [][]byte
}

const (
	saltSize = 16
	// maxHistory is as far as PasswordReusePrevention can look back.
	maxHistory = 24
)

func newLoginTable() *store.Table[LoginProfile] {
	return store.NewTable(store.Schema[LoginProfile]{
		Name: "iam_login_profiles", Key: []string{"account", "username"},
		KeyOf: func(p *LoginProfile) []string { return []string{p.Account, p.User} },
	})
}

// The cost of a password's hash: argon2id with 19 MiB and two passes (OWASP,
// password storage). So many are computed at once, and so many callers wait; who
// comes on top is turned away rather than kept.
const (
	hashPasses, hashMemory, hashThreads, hashSize = 2, 19 * 1024, 1, 32

	hashesAtOnce, hashesWaiting = 2, 32
)

// slowHash computes the hashes of passwords with bounded memory.
type slowHash struct {
	slots   chan struct{}
	waiting atomic.Int32
}

func newSlowHash() *slowHash { return &slowHash{slots: make(chan struct{}, hashesAtOnce)} }

func (h *slowHash) sum(ctx context.Context, password string, salt []byte) ([]byte, error) {
	if h.waiting.Add(1) > hashesWaiting {
		h.waiting.Add(-1)
		return nil, wire.NewError(429, "Throttling", "Rate exceeded")
	}
	defer h.waiting.Add(-1)
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	return argon2.IDKey([]byte(password), salt, hashPasses, hashMemory, hashThreads, hashSize), nil
}

func loginPurpose(userID string) string { return "iam/login/" + userID }

func (s *Service) sealPasswords(userID string, p passwords) ([]byte, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return s.db.Seal(loginPurpose(userID), plain)
}

func (s *Service) passwordsOf(l *LoginProfile) (p passwords, err error) {
	plain, err := s.db.Unseal(loginPurpose(l.User), l.Secret)
	if err == nil {
		err = json.Unmarshal(plain, &p)
	}
	return p, err
}

// current reports whether a hash is that of the current password.
func (p *passwords) current(hash []byte) bool {
	return len(p.Hashes) > 0 && len(hash) == hashSize && subtle.ConstantTimeCompare(p.Hashes[0], hash) == 1
}

// setPassword replaces the password, unless the account's policy forbids to use
// one of the last again.
func (s *Service) setPassword(l *LoginProfile, p passwords, hash []byte, rules *PasswordPolicy) error {
	if rules != nil {
		for _, old := range p.Hashes[:min(len(p.Hashes), int(rules.Reuse))] {
			if bytes.Equal(old, hash) {
				return violation()
			}
		}
	}
	p.Hashes = append([][]byte{hash}, p.Hashes...)
	p.Hashes = p.Hashes[:min(len(p.Hashes), maxHistory)]
	var err error
	l.Secret, err = s.sealPasswords(l.User, p)
	l.Changed = s.now()
	return err
}

// expired reports whether a password is older than the policy allows.
func (r *PasswordPolicy) expired(changed, now time.Time) bool {
	return r != nil && r.MaxAge > 0 && !now.Before(r.rotation(changed))
}

// rotation is when a password expires that was changed then.
func (r *PasswordPolicy) rotation(changed time.Time) time.Time {
	return changed.AddDate(0, 0, int(r.MaxAge))
}

// symbols are what counts as a non-alphanumeric character (IAM user guide, account
// password policy).
const symbols = "!@#$%^&*()_+-=[]{}|'"

const defaultLength = 8

// check applies the account's policy to a password. Without one AWS's default
// counts: eight characters, three of four classes, not the account's own name.
func (a *AccountSettings) check(password string) error {
	upper, lower := strings.ContainsAny(password, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), strings.ContainsAny(password, "abcdefghijklmnopqrstuvwxyz")
	number, symbol := strings.ContainsAny(password, "0123456789"), strings.ContainsAny(password, symbols)
	length, ok := defaultLength, false
	if r := a.Passwords; r != nil {
		length = int(r.MinLength)
		ok = (upper || !r.Upper) && (lower || !r.Lower) && (number || !r.Numbers) && (symbol || !r.Symbols)
	} else {
		classes := 0
		for _, has := range []bool{upper, lower, number, symbol} {
			if has {
				classes++
			}
		}
		ok = classes >= 3
	}
	if !ok || utf8.RuneCountInString(password) < length || password == a.Account || password == a.Alias {
		return violation()
	}
	return nil
}

// noLogin is the answer for a user without a password.
func noLogin(name string) error { return noSuch("Login Profile for User %s cannot be found.", name) }

// loginOf returns a user, the profile and the account's settings.
func (s *Service) loginOf(tx *store.Tx, name string) (u User, l LoginProfile, a AccountSettings, err error) {
	if u, err = s.getUser(tx, name); err != nil {
		return u, l, a, err
	}
	if a, err = s.settings(tx); err != nil {
		return u, l, a, err
	}
	l, err = s.t.logins.Get(tx, s.cfg.Account, u.ID)
	return u, l, a, or(err, noLogin(u.Name), nil)
}

func (s *Service) loginOut(name string, l *LoginProfile) *iamapi.LoginProfile {
	return &iamapi.LoginProfile{UserName: name, CreateDate: l.Created, PasswordResetRequired: wire.Bool(l.ResetRequired)}
}
