package userpool

import (
	"context"
	"slices"

	api "moat/internal/wire/cognitoidpapi"
)

// A sign-up can go over into a sign-in: SignUp gives a session, ConfirmSignUp takes it
// with the code and gives another, and USER_AUTH takes that. These are not challenges
// that anybody could answer by name.
const (
	sessionSignedUp  api.ChallengeNameType = "\x00signed up"
	sessionConfirmed api.ChallengeNameType = "\x00confirmed"
)

// signedUpSession is what SignUp gives to a client that may sign in by choice.
func (s *Service) signedUpSession(c *Client, u *User) (*string, error) {
	if !c.allows(api.AuthFlowTypeUSER_AUTH) {
		return nil, nil
	}
	ch, err := s.newChallenge(sessionSignedUp, c, u, attempt{Flow: api.AuthFlowTypeUSER_AUTH})
	if err != nil {
		return nil, err
	}
	ch.ExpiresAt = s.time().Add(signUpCodeLife) // as long as the code that goes with it
	text, err := s.sealSession(&ch)
	return &text, err
}

// confirmedSession is what ConfirmSignUp gives to whoever has begun the sign-up and shown
// the code, and to whoever has shown the code where [Pool.signsInByCode] says so.
func (s *Service) confirmedSession(c *Client, u *User, attribute string) (*string, error) {
	proves := provesEmail
	if attribute == loginPhone {
		proves = provesSMS
	}
	ch, err := s.newChallenge(sessionConfirmed, c, u, attempt{Flow: api.AuthFlowTypeUSER_AUTH}.with(proves))
	if err != nil {
		return nil, err
	}
	text, err := s.sealSession(&ch)
	return &text, err
}

// signsInByCode says whether u could begin a sign-in by choice with a code sent to an
// address of his. Amplify for JavaScript confirms without the session of its sign-up and
// expects to go on; where such a code would not let in, this one does not either.
func (p *Pool) signsInByCode(c *Client, u *User, attribute string) bool {
	if !c.allows(api.AuthFlowTypeUSER_AUTH) {
		return false
	}
	code := api.ChallengeNameTypeEMAIL_OTP
	if attribute == loginPhone {
		code = api.ChallengeNameTypeSMS_OTP
	}
	return attribute != "" && slices.Contains(p.choices(u, false, false), code)
}

// afterSignUp signs in with the session of a confirmed sign-up.
func (s *Service) afterSignUp(ctx context.Context, st *step) (answer, error) {
	ch, u, err := s.resume(ctx, st, sessionConfirmed)
	if err != nil {
		return answer{}, err
	}
	if err := s.preAuthentication(ctx, st, &u, true); err != nil {
		return answer{}, err
	}
	return s.conclude(ctx, st, &proof{user: u, right: true, from: &ch, wrong: errSession()})
}
