package userpool

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// challenge is the state between two steps of a sign-in. The client carries it,
// sealed: nothing is stored until it is answered, and then only that it was.
type challenge struct {
	Kind       api.ChallengeNameType
	ID         string
	Pool       string
	Client     string
	User       string // key; of an unknown name, see nobody
	Known      bool
	Name       string // USER_ID_FOR_SRP
	Login      string // what was typed
	PasswordID string
	A, U, B    []byte // SRP: client's public value, scrambler, server's secret
	ExpiresAt  time.Time
}

// newChallenge starts a challenge of the client's validity.
func (s *Service) newChallenge(kind api.ChallengeNameType, c *Client, u *User) (challenge, error) {
	id, err := s.uuid()
	return challenge{
		Kind: kind, ID: id, Pool: c.Pool, Client: c.ID, User: u.Key, Name: u.Name, PasswordID: u.PasswordID,
		ExpiresAt: s.time().Add(c.challengeValidity()),
	}, err
}

// sealChallenge makes the bytes a client carries.
func (s *Service) sealChallenge(ch challenge) ([]byte, error) {
	raw, err := json.Marshal(ch)
	if err != nil {
		return nil, err
	}
	return s.db.Seal(sealChallenge, raw)
}

// openChallenge reads what a client brought back. Whatever does not fit, be it
// altered, of another kind, client or pool, or too late, is refused alike.
func (s *Service) openChallenge(text string, enc *base64.Encoding, kind api.ChallengeNameType, c *Client) (challenge, error) {
	var ch challenge
	if !s.unsealBytes(sealChallenge, text, enc, &ch) || ch.Kind != kind || ch.Client != c.ID || ch.Pool != c.Pool {
		return ch, refuse(notAuthorized, "Invalid session for the user.")
	}
	if !s.time().Before(ch.ExpiresAt) {
		return ch, refuse(notAuthorized, "Invalid session for the user, session is expired.")
	}
	return ch, nil
}

// spend marks a challenge as answered; the second answer is refused.
func (s *Service) spend(tx *store.Tx, ch *challenge) error {
	err := s.tables.spent.Insert(tx, Spent{ID: ch.ID, ExpiresAt: ch.ExpiresAt})
	if errors.Is(err, store.ErrExists) {
		return refuse(notAuthorized, "Invalid session for the user, session can only be used once.")
	}
	return err
}
