package userpool

import (
	"context"
	"slices"

	"moat/internal/pure/srp"
	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// firstFactors are what the pool lets a choice-based sign-in begin with.
func (s *PoolSettings) firstFactors() []api.AuthFactorType {
	if s.SignIn != nil && len(s.SignIn.AllowedFirstAuthFactors) > 0 {
		return s.SignIn.AllowedFirstAuthFactors
	}
	return []api.AuthFactorType{api.AuthFactorTypePASSWORD}
}

// passwordless says whether users of the pool can do without a password. A passkey is
// not enough: it can only be registered by who is signed in.
func (s *PoolSettings) passwordless() bool {
	return slices.ContainsFunc(s.firstFactors(), func(f api.AuthFactorType) bool {
		return f == api.AuthFactorTypeEMAIL_OTP || f == api.AuthFactorTypeSMS_OTP
	})
}

func (p *Pool) passwordless() bool { return p.Settings.passwordless() }

// codeLetsIn says whether a code that is sent to an address may be the first thing that
// u proves. Who has a second factor begins with the password: a code would be the same
// factor once more, or would leave the password out (Cognito developer guide, "Adding
// MFA to a user pool", prerequisites).
func (p *Pool) codeLetsIn(u *User, attribute string) bool {
	switch p.Settings.MFA.mode() {
	case api.UserPoolMfaTypeOFF:
		return u.reaches(attribute)
	case api.UserPoolMfaTypeOPTIONAL:
		return u.reaches(attribute) && len(p.secondFactors(u)) == 0
	}
	return false
}

// choices are the challenges that a choice-based sign-in of u can begin with. A client
// that must not learn who exists is offered the same for everybody: what cannot be
// done for the user then fails like a wrong answer. passkey says whether there are any
// to ask for.
func (p *Pool) choices(u *User, passkey, everything bool) []api.ChallengeNameType {
	var out []api.ChallengeNameType
	for _, f := range p.Settings.firstFactors() {
		switch f {
		case api.AuthFactorTypePASSWORD:
			if everything || u.hasPassword() {
				out = append(out, api.ChallengeNameTypePASSWORD)
			}
			if everything || u.Verifier != nil && u.Origin == nil {
				out = append(out, api.ChallengeNameTypePASSWORD_SRP)
			}
		case api.AuthFactorTypeEMAIL_OTP:
			if everything || p.codeLetsIn(u, loginEmail) {
				out = append(out, api.ChallengeNameTypeEMAIL_OTP)
			}
		case api.AuthFactorTypeSMS_OTP:
			if everything || p.codeLetsIn(u, loginPhone) {
				out = append(out, api.ChallengeNameTypeSMS_OTP)
			}
		case api.AuthFactorTypeWEB_AUTHN:
			if passkey {
				out = append(out, api.ChallengeNameTypeWEB_AUTHN)
			}
		}
	}
	return out
}

// reaches says whether an address is the user's by proof.
func (u *User) reaches(attribute string) bool {
	return u.Attributes[attribute] != "" && u.verified(attribute)
}

// choice is a choice-based sign-in between two of its steps.
type choice struct {
	user  User
	known bool
	login string
	from  *challenge // the SELECT_CHALLENGE that was answered; nil at the beginning
}

func (c *choice) at(st *step) attempt {
	if c.from != nil {
		return c.from.attempt
	}
	return attempt{Flow: st.flow, Device: st.params["DEVICE_KEY"]}
}

// startChoice begins USER_AUTH: with the preferred challenge where it can be had, and
// else by asking which it shall be.
func (s *Service) startChoice(ctx context.Context, st *step) (answer, error) {
	name, err := st.param("USERNAME")
	if err != nil {
		return answer{}, err
	}
	if err := s.checkSecretHash(&st.client, st.params["SECRET_HASH"], name); err != nil {
		return answer{}, err
	}
	if deref(st.session) != "" {
		return s.afterSignUp(ctx, st)
	}
	c := choice{login: name}
	if c.user, c.known, err = s.find(ctx, st, name); err != nil {
		return answer{}, err
	}
	if err := s.preAuthentication(ctx, st, &c.user, c.known); err != nil {
		return answer{}, err
	}
	can, err := s.choicesFor(ctx, &st.pool, &c.user, st.client.hidesUsers())
	if err != nil {
		return answer{}, err
	}
	if preferred := api.ChallengeNameType(st.params["PREFERRED_CHALLENGE"]); slices.Contains(can, preferred) && st.brings(preferred) {
		out, err := s.chosen(ctx, st, &c, preferred)
		if out.result == nil {
			out.available = can
		}
		return out, err
	}
	if len(can) == 0 {
		return answer{}, refuse(notAuthorized, "No available challenges for the user.")
	}
	ch, err := s.newChallenge(api.ChallengeNameTypeSELECT_CHALLENGE, &st.client, &c.user, c.at(st))
	if err != nil {
		return answer{}, err
	}
	ch.Known, ch.Login = c.known, c.login
	params := map[string]string{"USERNAME": c.user.Name}
	if slices.Contains(can, api.ChallengeNameTypeWEB_AUTHN) { // the choice can bring the signature along
		if params[credentialOptions], err = s.askForPasskey(ctx, st, &c.user, &ch); err != nil {
			return answer{}, err
		}
	}
	out, err := s.offered(ch, params)
	out.available = can
	return out, err
}

// brings says whether a request carries what a challenge begins with.
func (st *step) brings(kind api.ChallengeNameType) bool {
	switch kind {
	case api.ChallengeNameTypePASSWORD:
		return st.params["PASSWORD"] != ""
	case api.ChallengeNameTypePASSWORD_SRP:
		return st.params["SRP_A"] != ""
	}
	return true
}

// takeChoice goes on with the challenge that was chosen; the answer carries its first
// step already, where that is a password, a public value or a passkey's signature.
func (s *Service) takeChoice(ctx context.Context, st *step) (answer, error) {
	kind, err := st.param("ANSWER")
	if err != nil {
		return answer{}, err
	}
	return s.answerSelection(ctx, st, api.ChallengeNameType(kind))
}

// takePassword and takeSRP answer SELECT_CHALLENGE by the name of what they bring.
func (s *Service) takePassword(ctx context.Context, st *step) (answer, error) {
	return s.answerSelection(ctx, st, api.ChallengeNameTypePASSWORD)
}

func (s *Service) takeSRP(ctx context.Context, st *step) (answer, error) {
	return s.answerSelection(ctx, st, api.ChallengeNameTypePASSWORD_SRP)
}

// answerSelection reads the SELECT_CHALLENGE that a choice answers.
func (s *Service) answerSelection(ctx context.Context, st *step, kind api.ChallengeNameType) (answer, error) {
	ch, u, err := s.resumeAnybody(ctx, st, api.ChallengeNameTypeSELECT_CHALLENGE)
	if err != nil {
		return answer{}, err
	}
	can, err := s.choicesFor(ctx, &st.pool, &u, st.client.hidesUsers())
	if err != nil {
		return answer{}, err
	}
	if !slices.Contains(can, kind) {
		return answer{}, refuse(invalidParameter, string(kind)+" is not one of the available challenges.")
	}
	return s.chosen(ctx, st, &choice{user: u, known: ch.Known, login: ch.Login, from: &ch}, kind)
}

// chosen begins a challenge. One that only asks uses its SELECT_CHALLENGE up; with a
// password that is what conclude does.
func (s *Service) chosen(ctx context.Context, st *step, c *choice, kind api.ChallengeNameType) (answer, error) {
	if kind == api.ChallengeNameTypePASSWORD {
		password, err := st.param("PASSWORD")
		if err != nil {
			return answer{}, err
		}
		right, err := s.matches(ctx, &c.user, password)
		if err != nil {
			return answer{}, err
		}
		renew, err := s.renewal(&c.user, password, c.known && right)
		if err != nil {
			return answer{}, err
		}
		leaked, err := s.leaked(&st.threat, api.EventFilterTypeSIGN_IN, password)
		if err != nil {
			return answer{}, err
		}
		at := c.at(st)
		return s.conclude(ctx, st, &proof{user: c.user, factor: provesPassword, right: c.known && right, from: c.from, at: &at, leaked: leaked, effect: renew})
	}
	if kind == api.ChallengeNameTypeWEB_AUTHN && c.from != nil && st.params["CREDENTIAL"] != "" {
		given, err := assertion(st)
		if err != nil {
			return answer{}, err
		}
		return s.provePasskey(ctx, st, c.from, c.user, given)
	}
	var a []byte
	if kind == api.ChallengeNameTypePASSWORD_SRP {
		text, err := st.param("SRP_A")
		if err != nil {
			return answer{}, err
		}
		if a, err = srp.ParsePublic(text); err != nil {
			return answer{}, refuse(invalidParameter, "Invalid value for parameter SRP_A")
		}
	}
	if c.from != nil {
		if err := s.db.Update(ctx, func(tx *store.Tx) error { return s.spend(tx, c.from) }); err != nil {
			return answer{}, err
		}
	}
	if kind == api.ChallengeNameTypePASSWORD_SRP {
		return s.challengeSRP(st, &c.user, c.known, c.login, a, c.at(st))
	}
	if kind == api.ChallengeNameTypeWEB_AUTHN {
		return s.challengePasskey(ctx, st, c, c.at(st))
	}
	return s.sendSignInCode(ctx, st, kind, c, c.at(st))
}

// resumeAnybody is resume for a challenge that somebody unknown may have got, too.
func (s *Service) resumeAnybody(ctx context.Context, st *step, kind api.ChallengeNameType) (challenge, User, error) {
	ch, err := s.resumable(st, kind)
	if err != nil {
		return ch, User{}, err
	}
	if ch.Known {
		return s.resume(ctx, st, kind)
	}
	u := s.imaginaryUser(&st.pool, ch.Login)
	name, err := st.param("USERNAME")
	if err != nil {
		return ch, u, err
	}
	if err := s.checkSecretHash(&st.client, st.params["SECRET_HASH"], name); err != nil {
		return ch, u, err
	}
	if name != ch.Name && name != ch.Login {
		return ch, u, errSession()
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if err := s.unspent(tx, &ch); err != nil {
			return err
		}
		return s.locked(tx, ch.Pool, ch.User)
	})
	return ch, u, err
}
