package userpool

import (
	"context"
	"errors"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// signInCode describes a challenge that is answered by a code which was sent.
type signInCode struct {
	proves    factor
	attribute string
	response  string // under which the answer comes
}

func signInCodeOf(kind api.ChallengeNameType) signInCode {
	switch kind {
	case api.ChallengeNameTypeSMS_MFA:
		return signInCode{provesSMS, loginPhone, "SMS_MFA_CODE"}
	case api.ChallengeNameTypeEMAIL_OTP:
		return signInCode{provesEmail, loginEmail, "EMAIL_OTP_CODE"}
	case api.ChallengeNameTypeSMS_OTP:
		return signInCode{provesSMS, loginPhone, "SMS_OTP_CODE"}
	}
	return signInCode{}
}

func purposeSignIn(attribute string) string { return "sign-in " + attribute }

func errSignInCode() error { return refuse(codeMismatch, "Invalid code or auth state for the user.") }

// signInLimit is a limit of codes in the words of operations whose model has no
// LimitExceededException.
func signInLimit(err error) error {
	if is(err, limitExceeded) {
		return refuse(tooManyRequests, err.Error())
	}
	return err
}

// askCode sends a code to a user who owes it.
func (s *Service) askCode(kind api.ChallengeNameType) func(context.Context, *step, *User, attempt) (answer, error) {
	return func(ctx context.Context, st *step, u *User, at attempt) (answer, error) {
		return s.sendSignInCode(ctx, st, kind, &choice{user: *u, known: true, login: u.Name}, at)
	}
}

// sendSignInCode sends a code for a sign-in. The newest is the only one that counts, and
// it answers only the challenge that it was sent for. Who has no such address, or does
// not exist, gets a challenge that nobody can answer: the caller has decided that he
// must not learn which.
func (s *Service) sendSignInCode(ctx context.Context, st *step, kind api.ChallengeNameType, c *choice, at attempt) (answer, error) {
	how, u := signInCodeOf(kind), &c.user
	ch, err := s.newChallenge(kind, &st.client, u, at)
	if err != nil {
		return answer{}, err
	}
	ch.Known, ch.Login = c.known, c.login
	plain, sealed, err := s.drawCode()
	if err != nil {
		return answer{}, err
	}
	to := contactFor(how.attribute, u.Attributes[how.attribute])
	reachable := c.known && to.destination != "" && (len(at.Proven) > 0 || at.Flow == api.AuthFlowTypeCUSTOM_AUTH && u.reaches(how.attribute) || st.pool.codeLetsIn(u, how.attribute))
	if !reachable {
		to, sealed = s.imaginaryReach(&st.pool, c.login, how.attribute), nil
	}
	code := Code{
		Pool: u.Pool, User: u.Key, Purpose: purposeSignIn(how.attribute), Sealed: sealed,
		Attribute: how.attribute, Value: to.destination, For: ch.ID,
	}
	if opens(&at) {
		code.Purpose, code.Network = purposeOpening(how.attribute, ch.ID), s.network(ctx, st)
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		m := signInMessage(&st.pool, u, to, plain)
		if code.Network != "" {
			return s.putOpening(tx, st, code, st.client.challengeValidity(), m)
		}
		return s.putSentCode(tx, code, st.client.challengeValidity(), m, st.on)
	})
	if err != nil {
		return answer{}, signInLimit(err)
	}
	s.posted(ctx, &st.pool, code.User, code.Purpose)
	return s.offered(ch, map[string]string{
		"USER_ID_FOR_SRP": u.Name, "CODE_DELIVERY_DELIVERY_MEDIUM": to.medium, "CODE_DELIVERY_DESTINATION": mask(to.destination),
	})
}

// takeCode compares such a code. A wrong one may be given again, each counted as a
// failed sign-in and as a guess at the code. A right one shows that the address is
// the user's.
func (s *Service) takeCode(kind api.ChallengeNameType) func(context.Context, *step) (answer, error) {
	how := signInCodeOf(kind)
	return func(ctx context.Context, st *step) (answer, error) {
		given, err := st.param(how.response)
		if err != nil {
			return answer{}, err
		}
		ch, u, err := s.resumeAnybody(ctx, st, kind)
		if err != nil {
			return answer{}, err
		}
		pr := &proof{user: u, factor: how.proves, right: ch.Known, from: &ch, retry: true, wrong: errSignInCode()}
		pr.effect = func(tx *store.Tx, u *User) (verdict, err error) {
			if opens(&ch.attempt) && !st.pool.codeLetsIn(u, how.attribute) {
				return errSignInCode(), nil // a second factor has been set up since
			}
			purpose := purposeSignIn(how.attribute)
			if opens(&ch.attempt) {
				purpose = purposeOpening(how.attribute, ch.ID)
			}
			sent, err := s.tables.codes.Get(tx, u.Pool, u.Key, purpose)
			if errors.Is(err, store.ErrNotFound) || err == nil && sent.For != ch.ID {
				return errSignInCode(), nil
			}
			if err != nil {
				return nil, err
			}
			var code Code
			if opens(&ch.attempt) {
				code, verdict, err = s.redeemOpening(tx, u, &sent, given)
			} else {
				code, verdict, err = s.redeem(tx, u.Pool, u.Key, purpose, given)
			}
			owner := u.Attributes[how.attribute]
			if ch.Mailbox != "" && how.attribute == loginEmail {
				owner = ch.Mailbox
			}
			switch verdict = signInLimit(verdict); {
			case is(verdict, codeMismatch),
				verdict == nil && sent.Value != owner,                                        // it went to an address that was replaced since
				opens(&ch.attempt) && st.client.hidesUsers() && is(verdict, tooManyRequests): // nobody has no code that could be guessed at too often
				verdict = errSignInCode()
			}
			if err == nil && verdict == nil && ch.Mailbox != "" && how.attribute == loginEmail {
				return s.adoptMailbox(tx, st, ch.attempt, u)
			}
			if err != nil || verdict != nil || u.verified(how.attribute) {
				return verdict, err
			}
			code.prove(u)
			return nil, s.putUser(tx, &st.pool, u, false)
		}
		return s.conclude(ctx, st, pr)
	}
}

// signInMessage words a code for a sign-in by the pool's templates.
func signInMessage(p *Pool, u *User, to contact, code string) Message {
	m := newMessage(p, u, MessageSignIn, to.medium, to.destination)
	m.Code = code
	var body string
	if to.medium == MediumSMS {
		body = first(p.Settings.SmsAuthenticationMessage, nil, "Your authentication code is {####}.")
	} else {
		t := p.Settings.MFA.Email
		if t == nil {
			t = &api.EmailMfaConfigType{}
		}
		m.Subject = first(t.Subject, nil, "Your authentication code")
		body = first(t.Message, nil, "Your authentication code is {####}")
	}
	m.Body = fill(to.medium, body, u.Name, code)
	return m
}
