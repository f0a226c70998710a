package userpool

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// demandPassword makes the challenge that follows a temporary password.
func (s *Service) demandPassword(st *step, u *User) (answer, error) {
	ch, err := s.newChallenge(api.ChallengeNameTypeNEW_PASSWORD_REQUIRED, &st.client, u)
	if err != nil {
		return answer{}, err
	}
	ch.Known = true
	sealed, err := s.sealChallenge(ch)
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
	session := base64.RawURLEncoding.EncodeToString(sealed)
	return answer{
		name: api.ChallengeNameTypeNEW_PASSWORD_REQUIRED, session: &session,
		params: map[string]string{
			"USER_ID_FOR_SRP": u.Name, "userAttributes": string(attributes), "requiredAttributes": string(required),
		},
	}, nil
}

// newPasswordStep replaces a temporary password and lets the user in. A password
// that the policy refuses does not use the session up.
func (s *Service) newPasswordStep(ctx context.Context, st *step) (answer, error) {
	if st.session == nil {
		return answer{}, refuse(invalidParameter, "Missing required parameter Session")
	}
	name, err := st.param("USERNAME")
	if err != nil {
		return answer{}, err
	}
	password, err := st.param("NEW_PASSWORD")
	if err != nil {
		return answer{}, err
	}
	if err := s.checkSecretHash(&st.client, st.params["SECRET_HASH"], name); err != nil {
		return answer{}, err
	}
	ch, err := s.openChallenge(*st.session, base64.RawURLEncoding.Strict(), api.ChallengeNameTypeNEW_PASSWORD_REQUIRED, &st.client)
	if err != nil {
		return answer{}, err
	}
	if err := checkPassword(st.pool.Settings.Password, password); err != nil {
		return answer{}, err
	}
	u, err := s.challenged(ctx, &ch)
	if err != nil {
		return answer{}, err
	}
	if err := s.checkHistory(&st.pool, &u, password); err != nil {
		return answer{}, err
	}
	pw, err := s.newPassword(st.pool.ID, ch.Name, password)
	if err != nil {
		return answer{}, err
	}
	return s.replaceTemporary(ctx, st, &ch, pw, name)
}

func (s *Service) replaceTemporary(ctx context.Context, st *step, ch *challenge, pw secret, name string) (answer, error) {
	session, err := s.newSession(&st.client)
	if err != nil {
		return answer{}, err
	}
	var u User
	var groups []Group
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := s.spend(tx, ch); err != nil {
			return err
		}
		before, err := s.tables.users.Get(tx, ch.Pool, ch.User)
		if errors.Is(err, store.ErrNotFound) {
			return refuse(notAuthorized, "Invalid session for the user.")
		}
		if err != nil {
			return err
		}
		named, err := s.findUser(tx, &st.pool, name)
		if err != nil || named.Key != before.Key {
			return refuse(notAuthorized, "Invalid session for the user.")
		}
		// The challenge is of the temporary password it followed, and of no later state.
		if before.PasswordID != ch.PasswordID || before.Status != string(api.UserStatusTypeFORCE_CHANGE_PASSWORD) {
			return refuse(notAuthorized, "Invalid session for the user.")
		}
		if _, err := s.hurdle(&before); err != nil {
			return err
		}
		c, err := s.attributesOfChallenge(st, before)
		if err != nil {
			return err
		}
		u = c.user
		u.setPassword(&st.pool, pw)
		u.Status = string(api.UserStatusTypeCONFIRMED)
		if err := s.putUser(tx, &st.pool, &u, false); err != nil {
			return err
		}
		if groups, err = s.groupsOf(tx, &u); err != nil {
			return err
		}
		session.of(&u)
		return s.tables.sessions.Insert(tx, session)
	})
	if err != nil {
		return answer{}, err
	}
	result, err := s.issue(ctx, &st.pool, &st.client, &u, groups, &session, true)
	return answer{result: result, params: map[string]string{}}, err
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
	return c, st.pool.checkRequired(c.user.Attributes)
}
