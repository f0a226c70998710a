package userpool

import (
	"encoding/base64"
	"errors"
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// challenge is the state between two steps of a sign-in. The client carries it,
// sealed: nothing is stored until it is answered, and then only that it was,
// or the session that began with it.
type challenge struct {
	attempt
	Kind       api.ChallengeNameType
	ID         string
	Pool       string
	Client     string
	User       string // key; of an unknown name, see nobody
	Known      bool
	Name       string // USER_ID_FOR_SRP
	Login      string // what was typed
	PasswordID string
	Sub        string
	Private    map[string]string // CUSTOM_CHALLENGE: what the answer is compared with
	Metadata   string            // CUSTOM_CHALLENGE: its name for the functions
	Seed       []byte            // MFA_SETUP: the secret that the user is about to put into an app
	Ready      bool              // MFA_SETUP: a code of it was seen
	A, U, B    []byte            // SRP: client's public value, scrambler, server's secret
	Nonce      []byte            // WEB_AUTHN, SELECT_CHALLENGE: what the authenticator signs
	ExpiresAt  time.Time
}

// maxSession is how long a session can be that comes back. AWS says 2048 and keeps what a function
// has told elsewhere; here it travels with the session.
const maxSession = 16 << 10

// newChallenge starts a challenge of the client's validity.
func (s *Service) newChallenge(kind api.ChallengeNameType, c *Client, u *User, at attempt) (challenge, error) {
	id, err := s.timedUUID()
	return challenge{
		attempt: at, Kind: kind, ID: id, Pool: c.Pool, Client: c.ID, User: u.Key, Name: u.Name, PasswordID: u.PasswordID, Sub: u.Sub,
		Known: true, ExpiresAt: s.time().Add(c.challengeValidity()),
	}, err
}

// sealChallenge makes the bytes a client carries.
func (s *Service) sealChallenge(ch *challenge) ([]byte, error) {
	raw, err := ch.append(make([]byte, 0, 1024))
	if err != nil {
		return nil, err
	}
	return s.db.Seal(sealChallenge, raw)
}

// sealSession is sealChallenge for what travels as a session.
func (s *Service) sealSession(ch *challenge) (string, error) {
	sealed, err := s.sealChallenge(ch)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// unsealChallenge reads what sealChallenge made; false for anything else.
func (s *Service) unsealChallenge(sealed []byte) (ch challenge, ok bool) {
	raw, err := s.db.Unseal(sealChallenge, sealed)
	return ch, err == nil && ch.read(raw)
}

// openChallenge reads what a client brought back. Whatever does not fit, be it
// altered, of another kind, client or pool, or too late, is refused alike.
func (s *Service) openChallenge(sealed []byte, kind api.ChallengeNameType, c *Client) (challenge, error) {
	ch, ok := s.unsealChallenge(sealed)
	if !ok || ch.Kind != kind || ch.Client != c.ID || ch.Pool != c.Pool {
		return ch, errSession()
	}
	return ch, s.inTime(&ch)
}

func (s *Service) inTime(ch *challenge) error {
	if !s.time().Before(ch.ExpiresAt) {
		return refuse(notAuthorized, "Invalid session for the user, session is expired.")
	}
	return nil
}

// openSession is openChallenge for what travels as a session.
func (s *Service) openSession(text string, kind api.ChallengeNameType, c *Client) (challenge, error) {
	return s.openChallenge(sealedIn(text), kind, c)
}

// sealedIn is what a session holds; nil, which nothing that is sealed is, for anything else.
func sealedIn(session string) []byte {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(session)
	if err != nil {
		return nil
	}
	return sealed
}

func errSession() error { return refuse(notAuthorized, "Invalid session for the user.") }

func errSpent() error {
	return refuse(notAuthorized, "Invalid session for the user, session can only be used once.")
}

// unspent refuses a challenge that was answered before.
func (s *Service) unspent(tx *store.Tx, ch *challenge) error {
	_, err := s.tables.sessions.Get(tx, ch.ID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = errSpent()
	}
	return err
}

// spend marks a challenge as answered; the second answer is refused.
func (s *Service) spend(tx *store.Tx, ch *challenge) error {
	return s.begin(tx, answered(ch.ID, ch.ExpiresAt))
}

// begin stores what came of a challenge, be it no more than the mark of [answered].
func (s *Service) begin(tx *store.Tx, x Session) error {
	err := s.tables.sessions.Insert(tx, x)
	if errors.Is(err, store.ErrExists) {
		return errSpent()
	}
	return err
}

// answered is the mark of a challenge with which no session began. It speaks for nobody.
func answered(id string, until time.Time) Session {
	return Session{ID: id, ExpiresAt: until, Revoked: true}
}
