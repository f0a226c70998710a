package userpool

import (
	"context"
	"encoding/json"
	"strings"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// demandPassword makes the challenge that follows a temporary password.
func (s *Service) demandPassword(_ context.Context, st *step, u *User, at attempt) (answer, error) {
	ch, err := s.newChallenge(api.ChallengeNameTypeNEW_PASSWORD_REQUIRED, &st.client, u, at)
	if err != nil {
		return answer{}, err
	}
	shown := map[string]string{}
	for name, value := range u.Attributes {
		if st.client.mayRead(name) {
			shown[name] = value
		}
	}
	attributes, err := json.Marshal(shown)
	if err != nil {
		return answer{}, err
	}
	required, err := json.Marshal(st.pool.missingRequired(u))
	if err != nil {
		return answer{}, err
	}
	return s.offered(ch, map[string]string{
		"USER_ID_FOR_SRP": u.Name, "userAttributes": string(attributes), "requiredAttributes": string(required),
	})
}

// newPasswordStep replaces a temporary password and goes on. A password that the
// policy refuses does not use the session up.
func (s *Service) newPasswordStep(ctx context.Context, st *step) (answer, error) {
	if _, err := s.resumable(st, api.ChallengeNameTypeNEW_PASSWORD_REQUIRED); err != nil {
		return answer{}, err
	}
	password, err := st.param("NEW_PASSWORD")
	if err != nil {
		return answer{}, err
	}
	ch, u, err := s.resume(ctx, st, api.ChallengeNameTypeNEW_PASSWORD_REQUIRED)
	if err != nil {
		return answer{}, err
	}
	if err := checkPassword(st.pool.Settings.Password, password); err != nil {
		return answer{}, err
	}
	if _, err := s.checkLeaked(&st.threat, api.EventFilterTypePASSWORD_CHANGE, password); err != nil {
		return answer{}, err
	}
	if err := s.checkHistory(&st.pool, &u, password); err != nil {
		return answer{}, err
	}
	pw, err := s.newPassword(st.pool.ID, ch.Name, password)
	if err != nil {
		return answer{}, err
	}
	return s.conclude(ctx, st, &proof{user: u, right: true, from: &ch, newPassword: true, wrong: errSession(), effect: func(tx *store.Tx, u *User) (verdict, err error) {
		// The challenge is of the temporary password it followed, and of no later state.
		if u.Status != string(api.UserStatusTypeFORCE_CHANGE_PASSWORD) {
			return nil, errSession()
		}
		if _, err := s.next(&st.pool, u, ch.attempt, nil); err != nil {
			return nil, err
		}
		c, err := s.attributesOfChallenge(st, *u)
		if err != nil {
			return nil, err
		}
		*u = c.user
		u.setPassword(&st.pool, pw)
		u.Status = string(api.UserStatusTypeCONFIRMED)
		return nil, s.putUser(tx, &st.pool, u, false)
	}})
}

// attributesOfChallenge applies what the user adds to his profile with the new
// password. What an administrator has put there stays.
func (s *Service) attributesOfChallenge(st *step, u User) (change, error) {
	attributes := map[string]string{}
	for param, value := range st.params {
		name, ok := strings.CutPrefix(param, "userAttributes.")
		if !ok {
			continue
		}
		if _, known := st.pool.attribute(name); known && !st.client.mayWrite(name) {
			return change{}, refuse(notAuthorized, "A client attempted to write unauthorized attribute")
		}
		if old := u.Attributes[name]; (name == loginEmail || name == loginPhone) && old != "" && old != value {
			return change{}, refuse(notAuthorized, "Cannot modify an already provided "+name)
		}
		attributes[name] = value
	}
	c, err := st.pool.applyAttributes(u, attributes, false)
	if err != nil {
		return c, err
	}
	return c, told(conformity, st.pool.lacking(c.user.Attributes))
}
