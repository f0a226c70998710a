package userpool

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/srp"
	"moat/internal/pure/uuid"
	"moat/internal/service/userpool/pwhash"
	"moat/internal/service/userpool/userfile"
	api "moat/internal/wire/cognitoidpapi"
)

// subShape is the form of a sub, which is used as a key and in tokens elsewhere.
var subShape = lazyregexp.New(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// arrival is a user on his way into a pool, with what stands in tables of its own.
type arrival struct {
	user     User
	passkeys []Passkey
	devices  []Device
}

// arriving makes the records of a user from elsewhere. A fault says what is wrong with him.
func (s *Service) arriving(p *Pool, in *ImportRequest, from *userfile.User) (a arrival, err error) {
	if a.user, err = s.imported(p, in, from); err != nil {
		return a, err
	}
	if a.passkeys, err = s.importedPasskeys(&a.user, from.Passkeys); err != nil {
		return a, err
	}
	a.devices, err = s.importedDevices(&a.user, from.Devices)
	return a, err
}

// imported makes the record of the user himself.
func (s *Service) imported(p *Pool, in *ImportRequest, from *userfile.User) (User, error) {
	now := s.time()
	u := User{
		Pool: p.ID, Name: from.Username, Sub: from.Sub, Disabled: from.Disabled, Status: from.Status, Attributes: maps.Clone(from.Attributes),
		CreatedAt: timeOr(from.Created, now), ModifiedAt: timeOr(from.Modified, now),
	}
	if u.Attributes == nil {
		u.Attributes = map[string]string{}
	}
	if err := s.nameImported(p, in, &u); err != nil {
		return u, err
	}
	if u.Status == "" {
		u.Status = string(api.UserStatusTypeCONFIRMED)
	}
	if !importable(u.Status) {
		return u, refuse(invalidParameter, "There is no status "+u.Status+" with which a user can come in.")
	}
	if err := p.checkImported(&u, in.Foreign); err != nil {
		return u, err
	}
	if err := s.importPassword(in, &u, from.Password); err != nil {
		return u, err
	}
	if err := s.importMFA(&u, from.MFA); err != nil {
		return u, err
	}
	var err error
	u.PasswordID, err = s.uuid()
	u.Logins = p.logins(&u)
	return u, err
}

// nameImported gives a user his username and sub. An export keeps both. Of a foreign user who
// brings no sub, it is derived from the name, so that the same file brings the same user again.
func (s *Service) nameImported(p *Pool, in *ImportRequest, u *User) error {
	if !isName(u.Name) {
		return refuse(invalidParameter, "A username has 1 to 128 letters, marks, digits, signs and punctuation.")
	}
	if u.Sub == "" && in.Foreign {
		u.Sub = uuid.V4([16]byte(s.secrets.derive(16, "imported sub", p.ID, p.fold(u.Name))))
	}
	if !subShape.MatchString(u.Sub) {
		return refuse(invalidParameter, "A sub is a UUID in lower case.")
	}
	switch {
	case len(p.UsernameAttributes) > 0 && !subShape.MatchString(u.Name):
		if !in.Foreign {
			return refuse(invalidParameter, "The pool gives usernames itself: the user must have a UUID for one.")
		}
		kind, err := p.usernameKind(u.Name)
		if err != nil {
			return err
		}
		if given, there := u.Attributes[kind]; there && given != u.Name {
			return refuse(invalidParameter, "Username and "+kind+" must be the same.")
		}
		u.Attributes[kind], u.Name = u.Name, u.Sub
	case len(p.UsernameAttributes) == 0:
		if err := p.checkUsername(u.Name); err != nil {
			return err
		}
	}
	if !p.CaseSensitive {
		u.Name = strings.ToLower(u.Name)
	}
	u.Key = p.fold(u.Name)
	return nil
}

// checkImported compares attributes with the pool's schema. What an export has is not required to
// be complete: attributes may have become required after the user was made.
func (p *Pool) checkImported(u *User, foreign bool) error {
	if _, given := u.Attributes["sub"]; given {
		return refuse(invalidParameter, "The sub is no attribute here: it has its own member.")
	}
	if foreign {
		markUnverified(u)
	}
	return p.checkNew(u.Attributes, foreign)
}

// importPassword seals what a password is checked with. nil: the user has none.
func (s *Service) importPassword(in *ImportRequest, u *User, from *userfile.Password) (err error) {
	if u.Salt, err = srp.NewSalt(s.rand); err != nil || from == nil { // who has no verifier shows a salt like everybody
		return err
	}
	if from.TemporaryUntil != nil {
		u.TemporaryUntil = from.TemporaryUntil.UTC()
	}
	text := from.Hash
	if f := from.Firebase; f != nil {
		if in.Firebase == nil {
			return refuse(invalidParameter, "The first line has no Firebase parameters.")
		}
		if text != "" {
			return refuse(invalidParameter, "A password has one hash.")
		}
		text = in.Firebase.Text(f.Salt, f.Hash)
	}
	switch {
	case text != "" && from.SRP != nil:
		return refuse(invalidParameter, "A password has a hash or a verifier, not both.")
	case text != "":
		if _, err := pwhash.Parse(text); err != nil {
			return refuse(invalidParameter, "The password hash cannot be used: "+err.Error()+".")
		}
		if u.Hash, err = s.db.Seal(sealForeign, []byte(text)); err != nil {
			return err
		}
	case from.SRP != nil:
		old, err := s.importVerifier(u, from.SRP)
		if err != nil {
			return err
		}
		u.Salt, u.Verifier, u.Origin = old.Salt, old.Verifier, old.Origin
	}
	if len(from.History) > maxHistory {
		return refuse(invalidParameter, fmt.Sprintf("A history has at most %d passwords.", maxHistory))
	}
	for i := range from.History {
		old, err := s.importVerifier(u, &from.History[i])
		if err != nil {
			return err
		}
		u.History = append(u.History, old)
	}
	return nil
}

// maxHistory is the longest PasswordHistorySize.
const maxHistory = 24

// importVerifier seals a verifier. One that was made for another identity keeps it.
func (s *Service) importVerifier(u *User, v *userfile.Verifier) (OldPassword, error) {
	if !srp.ValidVerifier(v.Verifier) || len(v.Salt) < 8 || len(v.Salt) > 64 || v.User == "" || len(v.Pool)+len(v.User) > 1024 {
		return OldPassword{}, refuse(invalidParameter, "This is not an SRP verifier.")
	}
	out := OldPassword{Salt: v.Salt}
	if id := (srp.Identity{Pool: v.Pool, User: v.User}); id != identity(u.Pool, u.Name) {
		out.Origin = &Origin{Pool: v.Pool, User: v.User}
	}
	var err error
	out.Verifier, err = s.db.Seal(sealVerifier, v.Verifier)
	return out, err
}

// importMFA seals a second factor. The last code that was used stays used.
func (s *Service) importMFA(u *User, from *userfile.MFA) (err error) {
	if from == nil {
		return nil
	}
	for _, mfa := range append(slices.Clone(from.Enabled), from.Preferred) {
		if mfa != "" && factorOf(mfa) == provesNothing || mfa == "" && slices.Contains(from.Enabled, mfa) {
			return refuse(invalidParameter, "There is no second factor "+mfa+".")
		}
	}
	u.MFA = UserMFA{Enabled: from.Enabled, Preferred: from.Preferred, Passkey: from.Passkey}
	if from.Passkey && len(from.Enabled) == 0 {
		return refuse(invalidParameter, "A passkey stands for both factors only beside another second factor.")
	}
	if t := from.TOTP; t != nil {
		if len(t.Seed) < 10 || len(t.Seed) > 128 || len(t.Name) > 1024 {
			return refuse(invalidParameter, "This is not the secret of a software token.")
		}
		u.MFA.LastStep, u.MFA.Device = t.LastStep, t.Name
		u.MFA.Seed, err = s.db.Seal(sealSeed, t.Seed)
	}
	if slices.Contains(from.Enabled, mfaTOTP) && u.MFA.Seed == nil {
		return refuse(invalidParameter, "SOFTWARE_TOKEN_MFA is enabled and has no secret.")
	}
	return err
}

func timeOr(t *time.Time, or time.Time) time.Time {
	if t == nil {
		return or
	}
	return t.UTC().Truncate(time.Millisecond)
}
