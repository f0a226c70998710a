package userpool

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"moat/internal/pure/srp"
	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// timestampForm is how clients write the time that they sign. The day has no zero.
const timestampForm = "Mon Jan 2 15:04:05 MST 2006"

// startSRP answers the client's public value with ours. It proves nothing yet and
// stores nothing; the secret block carries all that the second step needs.
func (s *Service) startSRP(ctx context.Context, st *step) (answer, error) {
	name, err := st.param("USERNAME")
	if err != nil {
		return answer{}, err
	}
	text, err := st.param("SRP_A")
	if err != nil {
		return answer{}, err
	}
	a, err := srp.ParsePublic(text)
	if err != nil {
		return answer{}, refuse(invalidParameter, "Invalid value for parameter SRP_A")
	}
	if err := s.checkSecretHash(&st.client, st.params["SECRET_HASH"], name); err != nil {
		return answer{}, err
	}
	u, known, err := s.find(ctx, st, name)
	if err != nil {
		return answer{}, err
	}
	if err := s.preAuthentication(ctx, st, &u, known); err != nil {
		return answer{}, err
	}
	return s.challengeSRP(st, &u, known, name, a, attempt{Flow: st.flow})
}

// challengeSRP makes the challenge in answer to the public value a.
func (s *Service) challengeSRP(st *step, u *User, known bool, name string, a []byte, at attempt) (answer, error) {
	verifier, _, err := s.verifier(u)
	if err != nil {
		return answer{}, err
	}
	b, err := srp.NewSecret(s.rand)
	if err != nil {
		return answer{}, err
	}
	public, err := s.srp.Public(verifier, b)
	if err != nil {
		return answer{}, err
	}
	ch, err := s.newChallenge(api.ChallengeNameTypePASSWORD_VERIFIER, &st.client, u, at)
	if err != nil {
		return answer{}, err
	}
	ch.Known, ch.Login, ch.A, ch.U, ch.B = known, name, a, srp.Scramble(a, public), b
	block, err := s.sealChallenge(&ch)
	if err != nil {
		return answer{}, err
	}
	return answer{name: api.ChallengeNameTypePASSWORD_VERIFIER, params: map[string]string{
		"SALT":            srp.Hex(u.Salt),
		"SECRET_BLOCK":    base64.StdEncoding.EncodeToString(block),
		"SRP_B":           srp.Hex(public),
		"USERNAME":        u.Name,
		"USER_ID_FOR_SRP": u.Name,
	}}, nil
}

// proveSRP checks the client's proof that it knows the password.
func (s *Service) proveSRP(ctx context.Context, st *step) (answer, error) {
	c, err := st.claim()
	if err != nil {
		return answer{}, err
	}
	if err := s.checkSecretHash(&st.client, st.params["SECRET_HASH"], c.name); err != nil {
		return answer{}, err
	}
	ch, err := s.openChallenge(c.block, api.ChallengeNameTypePASSWORD_VERIFIER, &st.client)
	if err != nil {
		return answer{}, err
	}
	if c.name != ch.Name && c.name != ch.Login {
		return answer{}, errWrongPassword()
	}
	u, err := s.challenged(ctx, st, &ch)
	if err != nil {
		return answer{}, err
	}
	right, err := s.proven(&ch, &u, &c)
	if err != nil {
		return answer{}, err
	}
	return s.conclude(ctx, st, &proof{user: u, factor: provesPassword, right: right && ch.Known && u.PasswordID == ch.PasswordID, from: &ch})
}

// challenged reads the user of a challenge; who was imaginary, or is gone, is imaginary. What
// it returns is shared.
func (s *Service) challenged(ctx context.Context, st *step, ch *challenge) (User, error) {
	u := User{Pool: ch.Pool, Key: ch.User, Name: ch.Name}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		read := s.tables.users.Look
		if st.client.hidesUsers() { // as in find
			read = s.tables.users.Get
		}
		found, err := read(tx, ch.Pool, ch.User)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		u = found
		return err
	})
	return u, err
}

// proven compares the client's signature with the one that the session key makes.
func (s *Service) proven(ch *challenge, u *User, c *claim) (bool, error) {
	verifier, real, err := s.verifier(u)
	if err != nil {
		return false, err
	}
	key, err := s.srp.Key(ch.A, ch.U, verifier, ch.B)
	if err != nil {
		return false, err
	}
	return c.proves(key, identity(ch.Pool, ch.Name)) && real, nil
}

// claim is the second step of SRP, of a user or of a device.
type claim struct {
	name, timestamp, signature string
	block                      []byte // nil, which no challenge is, if it was not of the standard alphabet
}

// claim reads the parameters of that step.
func (st *step) claim() (c claim, err error) {
	var block string
	for _, p := range []struct {
		to   *string
		name string
	}{{&c.name, "USERNAME"}, {&block, "PASSWORD_CLAIM_SECRET_BLOCK"}, {&c.signature, "PASSWORD_CLAIM_SIGNATURE"}, {&c.timestamp, "TIMESTAMP"}} {
		if *p.to, err = st.param(p.name); err != nil {
			return c, err
		}
	}
	if at, err := time.Parse(timestampForm, c.timestamp); err != nil || at.Location() != time.UTC {
		return c, refuse(invalidParameter, "TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english.")
	}
	if c.block, err = base64.StdEncoding.Strict().DecodeString(block); err != nil {
		c.block = nil
	}
	return c, nil
}

// proves compares the signature with the one that the session key makes.
func (c *claim) proves(key []byte, id srp.Identity) bool {
	given, err := base64.StdEncoding.DecodeString(c.signature)
	return err == nil && subtle.ConstantTimeCompare(srp.Proof(key, id, c.block, c.timestamp), given) == 1
}
