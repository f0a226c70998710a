package userpool

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"moat/internal/store"
)

const (
	sealLetter = "userpool letter"

	// letterLease is how long a letter belongs to who works on it: longer than one
	// attempt can take. After a crash it is free again.
	letterLease = 2 * time.Minute

	letterWaits = "waiting"
)

// Letter is a message that waits until it is delivered. A user has one per purpose, as
// of codes: the newest code is the only one that counts, so an older one is not worth
// sending any more.
type Letter struct {
	Pool, User, Purpose string
	ID                  string
	Blank               bool      // to somebody who does not exist: stored and taken up like any other, never delivered
	Due                 time.Time // of the next attempt
	Tries               int
	ExpiresAt           time.Time // of the code or password in it
	Sealed              []byte    // letterText
}

// letterText is what a letter hides.
type letterText struct {
	Message  Message
	Client   string            `json:",omitempty"`
	Metadata map[string]string `json:",omitempty"`
	Worded   bool              `json:",omitempty"` // the pool's function had its say
	Purpose  string            `json:",omitempty"` // in place of the message's own
}

func newLetterTable() *store.Table[Letter] {
	return store.NewTable(store.Schema[Letter]{
		Name: "userpool_letters", Key: []string{"pool", "username", "purpose"},
		KeyOf:   func(l *Letter) []string { return []string{l.Pool, l.User, l.Purpose} },
		Expires: func(l *Letter) time.Time { return l.ExpiresAt.Add(codeWindow) },
		Indexes: []store.Index[Letter]{{
			Name: "due", Columns: []string{"state", "due"},
			Of: func(l *Letter) [][]string {
				return [][]string{{letterWaits, fmt.Sprintf("%015d", max(l.Due.UnixMilli(), 0))}}
			},
		}},
	})
}

// putSentCode stores a code and the letter that carries it, at once: a code that counts
// is on its way, whatever happens next. [Service.posted] follows the commit. For a code
// that nobody can guess the work is the same, up to the moment of delivery: the letter has
// nobody to go to.
func (s *Service) putSentCode(tx *store.Tx, c Code, life time.Duration, m Message, on occasion) error {
	if err := s.putCode(tx, c, life); err != nil {
		return err
	}
	m.ExpiresAt = s.time().Add(life)
	text := letterText{Message: m, Client: on.client, Metadata: on.metadata}
	if c.Network != "" { // no later one replaces it
		text.Purpose = c.Purpose
	}
	return s.putLetter(tx, c.User, text, c.Sealed == nil || c.Nobody)
}

func (s *Service) putLetter(tx *store.Tx, user string, text letterText, blank bool) error {
	id, err := s.text(24, mixedAlphabet)
	if err != nil {
		return err
	}
	text.Message.ID = id
	plain, err := json.Marshal(text)
	if err != nil {
		return err
	}
	l := Letter{
		Pool: text.Message.PoolID, User: user, Purpose: cmp.Or(text.Purpose, text.Message.purpose()), ID: id, Blank: blank, Due: s.time(), ExpiresAt: text.Message.ExpiresAt,
	}
	if s.prompt {
		l.Due = l.Due.Add(letterLease) // the request delivers it itself
	}
	if l.Sealed, err = s.db.Seal(sealLetter, plain); err != nil {
		return err
	}
	return s.tables.letters.Put(tx, l)
}

// purpose is that of the code which the message carries.
func (m *Message) purpose() string {
	attribute := loginEmail
	if m.Medium == MediumSMS {
		attribute = loginPhone
	}
	switch m.Kind {
	case MessageSignUp, MessageResend:
		return purposeSignUp
	case MessageRecovery:
		return purposeRecovery
	case MessageSignIn:
		return purposeSignIn(attribute)
	case MessageInvitation:
		return "invitation"
	case MessageRisk:
		return "risk"
	}
	return purposeAttribute(attribute)
}

// post words a message as the pool's function wants it, and sees that it is delivered.
// An error is one of the function, or says that nobody could deliver it.
func (s *Service) post(ctx context.Context, p *Pool, u *User, m Message, on occasion) error {
	var err error
	if p.customSender(m.Medium) == "" {
		if err = s.postable(&m); err == nil {
			err = s.customise(ctx, p, u, &m, on)
		}
	}
	if err != nil {
		s.log.Warn("a message was not sent", "kind", m.Kind, "pool", m.PoolID, "medium", m.Medium, "error", err)
		return err
	}
	m.ExpiresAt = s.time().Add(m.life())
	if m.Kind == MessageInvitation {
		m.ExpiresAt = p.temporaryUntil(s.time())
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		return s.putLetter(tx, u.Key, letterText{Message: m, Client: on.client, Metadata: on.metadata, Worded: true}, false)
	})
	if err != nil {
		return err
	}
	s.posted(ctx, p, u.Key, m.purpose())
	return nil
}

// postable says whether there is anybody who delivers such messages.
func (s *Service) postable(m *Message) error {
	if s.messenger == nil || s.messenger.Carries(m.Medium) {
		return nil
	}
	s.log.Warn("messages of this medium have no way out", "pool", m.PoolID, "medium", m.Medium)
	return refuse(codeDeliveryFailed, "Failed to send the message.")
}

// life is how long the code in a message counts.
func (m *Message) life() time.Duration {
	switch m.Kind {
	case MessageSignUp, MessageResend:
		return signUpCodeLife
	case MessageRecovery:
		return recoveryCodeLife
	}
	return attributeCodeLife
}

// posted sees to a letter after the commit that stored it. How long that takes must not
// tell a stranger whether there was somebody to write to: it only wakes the postman,
// unless the service is to deliver before it answers.
func (s *Service) posted(ctx context.Context, p *Pool, user, purpose string) {
	if !s.prompt {
		s.postman.nudge()
		return
	}
	var l Letter
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		l, err = s.tables.letters.Get(tx, p.ID, user, purpose)
		return err
	})
	switch {
	case err == nil && !l.Blank:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), triggerTime)
		defer cancel()
		s.postman.carry(ctx, l)
	case err != nil && !errors.Is(err, store.ErrNotFound):
		s.log.Error("a message waits for its next attempt", "pool", p.ID, "error", err)
	}
}
