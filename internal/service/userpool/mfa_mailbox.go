package userpool

import (
	"context"
	"maps"
	"slices"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// setupMailbox answers MFA_SETUP with an e-mail address, as Amplify does: a code goes there, and
// only when it comes back the address is the user's, proven and his second factor. Like a software
// token it can be set up by who has nothing yet, neither a second factor nor an address.
func (s *Service) setupMailbox(ctx context.Context, st *step, ch *challenge, u User, address string) (answer, error) {
	switch {
	case !st.pool.Settings.MFA.has(mfaEmail):
		return answer{}, refuse(invalidParameter, mfaEmail+" is not enabled for the user pool.")
	case !st.client.mayWrite(loginEmail):
		return answer{}, refuse(notAuthorized, "A client attempted to write unauthorized attribute")
	case !s.lacksMailbox(st, ch.attempt, &u):
		return answer{}, errSession()
	}
	if err := st.pool.checkChanges(&u, map[string]string{loginEmail: address}); err != nil {
		return answer{}, err
	}
	if err := s.db.Update(ctx, func(tx *store.Tx) error { return s.spend(tx, ch) }); err != nil {
		return answer{}, err
	}
	at := ch.attempt
	at.Mailbox = address
	u.Attributes = maps.Clone(u.Attributes)
	u.Attributes[loginEmail] = address
	return s.sendSignInCode(ctx, st, api.ChallengeNameTypeEMAIL_OTP, &choice{user: u, known: true, login: ch.Login}, at)
}

// lacksMailbox says whether an attempt owes a factor that has to be set up, and a mailbox can be it.
func (s *Service) lacksMailbox(st *step, at attempt, u *User) bool {
	owed, err := s.next(&st.pool, u, at, nil)
	return err == nil && owed == api.ChallengeNameTypeMFA_SETUP && u.Attributes[loginEmail] == ""
}

// adoptMailbox makes the mailbox that a code went to the user's, when the code was right.
func (s *Service) adoptMailbox(tx *store.Tx, st *step, at attempt, u *User) (verdict, err error) {
	if !s.lacksMailbox(st, at, u) {
		return errSignInCode(), nil
	}
	u.Attributes[loginEmail], u.Attributes[loginEmail+"_verified"] = at.Mailbox, "true"
	if !slices.Contains(u.MFA.Enabled, mfaEmail) {
		u.MFA.Enabled = append(slices.Clone(u.MFA.Enabled), mfaEmail)
	}
	return nil, s.putUser(tx, &st.pool, u, false)
}
