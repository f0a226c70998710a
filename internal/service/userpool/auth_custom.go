package userpool

import (
	"context"
	"maps"
	"slices"

	"moat/internal/pure/srp"
	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// customStep is one challenge of a CUSTOM_AUTH sign-in, as its functions see it.
type customStep struct {
	Name     string  `json:"challengeName"`
	Result   bool    `json:"challengeResult"`
	Metadata *string `json:"challengeMetadata,omitempty"`
}

type defineRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	Session        []customStep      `json:"session"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
	UserNotFound   bool              `json:"userNotFound"`
}

type defineResponse struct {
	Challenge *string `json:"challengeName"`
	Issue     *bool   `json:"issueTokens"`
	Fail      *bool   `json:"failAuthentication"`
}

type createRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	Challenge      string            `json:"challengeName"`
	Session        []customStep      `json:"session"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
	UserNotFound   bool              `json:"userNotFound"`
}

type createResponse struct {
	Public   map[string]string `json:"publicChallengeParameters"`
	Private  map[string]string `json:"privateChallengeParameters"`
	Metadata *string           `json:"challengeMetadata"`
}

type verifyRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	Private        map[string]string `json:"privateChallengeParameters"`
	Answer         string            `json:"challengeAnswer"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
	UserNotFound   bool              `json:"userNotFound"`
}

type verifyResponse struct {
	Correct *bool `json:"answerCorrect"`
}

// custom is a CUSTOM_AUTH sign-in between two of its steps. Its functions decide about
// somebody unknown as well, where the client must not learn who exists; he never gets
// tokens, whatever they say.
type custom struct {
	user  User
	known bool
	login string
	at    attempt
	a     []byte // SRP: the client's public value, when the sign-in begins with it
}

func (c *custom) attributes() map[string]string {
	if !c.known {
		return map[string]string{}
	}
	return eventAttributes(&c.user)
}

func customSession(at attempt) []customStep {
	if at.Custom == nil {
		return []customStep{}
	}
	return at.Custom
}

// startCustom begins CUSTOM_AUTH, plain or with SRP first.
func (s *Service) startCustom(ctx context.Context, st *step) (answer, error) {
	name, err := st.param("USERNAME")
	if err != nil {
		return answer{}, err
	}
	if err := s.checkSecretHash(&st.client, st.params["SECRET_HASH"], name); err != nil {
		return answer{}, err
	}
	c := custom{login: name, at: attempt{Flow: st.flow}}
	if st.params["SRP_A"] != "" || st.params["CHALLENGE_NAME"] == "SRP_A" {
		text, err := st.param("SRP_A")
		if err != nil {
			return answer{}, err
		}
		if c.a, err = srp.ParsePublic(text); err != nil {
			return answer{}, refuse(invalidParameter, "Invalid value for parameter SRP_A")
		}
		c.at.Custom = []customStep{{Name: "SRP_A", Result: true}}
	}
	if c.user, c.known, err = s.find(ctx, st, name); err != nil {
		return answer{}, err
	}
	if c.known {
		if err := open(&c.user); err != nil {
			return answer{}, err
		}
	}
	if err := s.preAuthentication(ctx, st, &c.user, c.known); err != nil {
		return answer{}, err
	}
	return s.define(ctx, st, &c)
}

// open refuses who may not sign in at all, before functions are asked about him.
func open(u *User) error {
	switch u.Status {
	case string(api.UserStatusTypeUNCONFIRMED):
		return refuse(userNotConfirmed, "User is not confirmed.")
	case string(api.UserStatusTypeRESET_REQUIRED):
		return refuse(passwordResetRequired, "Password reset required for the user")
	}
	if u.Disabled {
		return refuse(notAuthorized, "User is disabled.")
	}
	return nil
}

// offerCustom goes on with CUSTOM_AUTH after a challenge that is not one of its own.
func (s *Service) offerCustom(ctx context.Context, st *step, u *User, at attempt) (answer, error) {
	return s.define(ctx, st, &custom{user: *u, known: true, login: u.Name, at: at})
}

// define asks DefineAuthChallenge what comes next.
func (s *Service) define(ctx context.Context, st *step, c *custom) (answer, error) {
	function := deref(st.pool.lambda().DefineAuthChallenge)
	if function == "" {
		return answer{}, errNoCustom()
	}
	var r defineResponse
	err := s.fire(ctx, &st.pool, call{
		name: "DefineAuthChallenge", source: "Authentication", function: function, user: c.user.Name, on: st.on,
		request:  defineRequest{c.attributes(), customSession(c.at), st.on.metadata, !c.known},
		response: &r,
	})
	if err != nil {
		return answer{}, err
	}
	name := api.ChallengeNameType(deref(r.Challenge))
	switch {
	case r.Fail != nil && *r.Fail:
		return answer{}, errWrongPassword()
	case r.Issue != nil && *r.Issue:
		return s.conclude(ctx, st, &proof{user: c.user, factor: provesCustom, right: c.known, at: &c.at})
	case name == api.ChallengeNameTypeCUSTOM_CHALLENGE:
		return s.create(ctx, st, c)
	case name == api.ChallengeNameTypePASSWORD_VERIFIER && c.a != nil:
		return s.challengeSRP(st, &c.user, c.known, c.login, c.a, c.at)
	case slices.Contains([]string{mfaSMS, mfaTOTP, mfaEmail}, string(name)) && c.known && st.pool.Settings.MFA.has(string(name)) && c.user.isSetUp(string(name), false):
		return s.put(ctx, st, name, &c.user, c.at)
	}
	return answer{}, refuse(lambdaUnreadable, "Unrecognizable lambda output")
}

func errNoCustom() error {
	return refuse(invalidPoolConfiguration, "Custom auth lambda trigger is not configured for the user pool.")
}

// create asks CreateAuthChallenge for a challenge and puts it. What it is compared with
// travels sealed.
func (s *Service) create(ctx context.Context, st *step, c *custom) (answer, error) {
	function := deref(st.pool.lambda().CreateAuthChallenge)
	if function == "" {
		return answer{}, errNoCustom()
	}
	var r createResponse
	err := s.fire(ctx, &st.pool, call{
		name: "CreateAuthChallenge", source: "Authentication", function: function, user: c.user.Name, on: st.on,
		request:  createRequest{c.attributes(), string(api.ChallengeNameTypeCUSTOM_CHALLENGE), customSession(c.at), st.on.metadata, !c.known},
		response: &r,
	})
	if err != nil {
		return answer{}, err
	}
	ch, err := s.newChallenge(api.ChallengeNameTypeCUSTOM_CHALLENGE, &st.client, &c.user, c.at)
	if err != nil {
		return answer{}, err
	}
	ch.Known, ch.Login, ch.Private, ch.Metadata = c.known, c.login, r.Private, deref(r.Metadata)
	params := map[string]string{}
	maps.Copy(params, r.Public)
	params["USERNAME"] = c.user.Name
	out, err := s.offered(ch, params)
	if err == nil && len(*out.session) > maxSession { // nobody could answer it
		err = refuse(lambdaUnreadable, "Unrecognizable lambda output")
	}
	return out, err
}

// takeCustom lets VerifyAuthChallengeResponse judge an answer. A wrong one counts as a
// failed sign-in, whatever the functions make of it.
func (s *Service) takeCustom(ctx context.Context, st *step) (answer, error) {
	given, err := st.param("ANSWER")
	if err != nil {
		return answer{}, err
	}
	function := deref(st.pool.lambda().VerifyAuthChallengeResponse)
	if function == "" {
		return answer{}, errNoCustom()
	}
	c, ch, err := s.resumeCustom(ctx, st)
	if err != nil {
		return answer{}, err
	}
	var r verifyResponse
	err = s.fire(ctx, &st.pool, call{
		name: "VerifyAuthChallengeResponse", source: "Authentication", function: function, user: c.user.Name, on: st.on,
		request:  verifyRequest{c.attributes(), ch.Private, given, st.on.metadata, !c.known},
		response: &r,
	})
	if err != nil {
		return answer{}, err
	}
	right := r.Correct != nil && *r.Correct
	done := customStep{Name: string(ch.Kind), Result: right}
	if ch.Metadata != "" {
		done.Metadata = &ch.Metadata
	}
	c.at.Custom = append(slices.Clone(c.at.Custom), done)
	var verdict error
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		verdict = nil
		// Of many answers at once only the free ones may learn anything.
		locked, err := s.lockedNow(tx, ch.Pool, ch.User)
		if err != nil {
			return err
		}
		if locked {
			verdict = errLocked()
		}
		if err := s.spend(tx, &ch); err != nil || right || locked {
			return err
		}
		if err := s.noteFailure(tx, st, &c.user, provesCustom, c.at); err != nil {
			return err
		}
		return s.failed(tx, ch.Pool, ch.User)
	})
	if err = decided(err, verdict); err != nil {
		return answer{}, err
	}
	return s.define(ctx, st, &c)
}

// resumeCustom opens the challenge that an answer belongs to.
func (s *Service) resumeCustom(ctx context.Context, st *step) (custom, challenge, error) {
	ch, u, err := s.resumeAnybody(ctx, st, api.ChallengeNameTypeCUSTOM_CHALLENGE)
	return custom{user: u, known: ch.Known, login: ch.Login, at: ch.attempt}, ch, err
}
