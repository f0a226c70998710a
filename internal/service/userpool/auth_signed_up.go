package userpool

import (
	"context"

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
	text, err := s.sealJSON(sealChallenge, ch)
	return &text, err
}

// confirmedSession is what ConfirmSignUp gives for that session: whoever has it has
// begun the sign-up and shown the code.
func (s *Service) confirmedSession(before *challenge, c *Client, u *User, attribute string) (*string, error) {
	proves := provesEmail
	if attribute == loginPhone {
		proves = provesSMS
	}
	ch, err := s.newChallenge(sessionConfirmed, c, u, before.attempt.with(proves))
	if err != nil {
		return nil, err
	}
	text, err := s.sealJSON(sealChallenge, ch)
	return &text, err
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
