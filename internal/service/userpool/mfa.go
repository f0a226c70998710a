package userpool

import (
	"context"
	"encoding/json"
	"slices"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// Second factors go by the names of their challenges.
const (
	mfaSMS   = string(api.ChallengeNameTypeSMS_MFA)
	mfaTOTP  = string(api.ChallengeNameTypeSOFTWARE_TOKEN_MFA)
	mfaEmail = string(api.ChallengeNameTypeEMAIL_OTP)
)

// factorOf is what the challenge of a second factor proves.
func factorOf(mfa string) factor {
	switch mfa {
	case mfaSMS:
		return provesSMS
	case mfaTOTP:
		return provesTOTP
	case mfaEmail:
		return provesEmail
	}
	return provesNothing
}

// has says whether the pool offers a second factor at all.
func (m *PoolMFA) has(mfa string) bool {
	switch mfa {
	case mfaSMS:
		return m.SMS
	case mfaTOTP:
		return m.SoftwareToken
	case mfaEmail:
		return m.Email != nil
	}
	return false
}

// secondFactor is the challenge that an attempt still owes to the pool's MFA setting;
// "" when it owes none. The first thing proven is the first factor; the second must
// be another one.
func (p *Pool) secondFactor(u *User, at attempt) api.ChallengeNameType {
	mode := p.Settings.MFA.Mode
	if mode != string(api.UserPoolMfaTypeON) && mode != string(api.UserPoolMfaTypeOPTIONAL) || len(at.Proven) == 0 {
		return ""
	}
	if p.passkeyIsMFA() && u.MFA.Passkey && at.has(provesPasskey) && at.has(provesVerification) {
		return ""
	}
	usable := p.secondFactors(u)
	usable = slices.DeleteFunc(usable, func(mfa string) bool { return factorOf(mfa) == at.Proven[0] })
	for _, mfa := range usable {
		if slices.Contains(at.Proven[1:], factorOf(mfa)) {
			return ""
		}
	}
	switch {
	case len(usable) == 1:
		return api.ChallengeNameType(usable[0])
	case slices.Contains(usable, u.MFA.Preferred):
		return api.ChallengeNameType(u.MFA.Preferred)
	case len(usable) > 1:
		return api.ChallengeNameTypeSELECT_MFA_TYPE
	case mode == string(api.UserPoolMfaTypeON):
		return api.ChallengeNameTypeMFA_SETUP
	}
	return ""
}

// secondFactors are those that the user can be asked for. Where the pool demands one,
// what is set up counts even if the user never switched it on, and a user who has
// nothing yet gets codes at the address that the account was made with: the
// alternative would be to let whoever has the password set up a factor of his own.
// An address that a user has switched on counts even when he changed it since: a
// change must not switch the second factor off.
func (p *Pool) secondFactors(u *User) []string {
	var out []string
	if p.Settings.MFA.mode() == api.UserPoolMfaTypeOFF {
		return nil
	}
	on := p.Settings.MFA.Mode == string(api.UserPoolMfaTypeON)
	for _, mfa := range []string{mfaSMS, mfaTOTP, mfaEmail} {
		enabled := slices.Contains(u.MFA.Enabled, mfa)
		if !p.Settings.MFA.has(mfa) || !enabled && !on || !u.isSetUp(mfa, enabled || len(u.MFA.Enabled) == 0) {
			continue
		}
		if enabled || len(u.MFA.Enabled) == 0 {
			out = append(out, mfa)
		}
	}
	return out
}

// isSetUp says whether a factor can reach the user; unproven lets an address count
// that nobody has proven.
func (u *User) isSetUp(mfa string, unproven bool) bool {
	switch mfa {
	case mfaTOTP:
		return u.MFA.Seed != nil
	case mfaSMS:
		return u.Attributes[loginPhone] != "" && (unproven || u.verified(loginPhone))
	case mfaEmail:
		return u.Attributes[loginEmail] != "" && (unproven || u.verified(loginEmail))
	}
	return false
}

// offerChoice asks which second factor it shall be.
func (s *Service) offerChoice(_ context.Context, st *step, u *User, at attempt) (answer, error) {
	ch, err := s.newChallenge(api.ChallengeNameTypeSELECT_MFA_TYPE, &st.client, u, at)
	if err != nil {
		return answer{}, err
	}
	choices, err := json.Marshal(st.pool.secondFactors(u))
	if err != nil {
		return answer{}, err
	}
	return s.offered(ch, map[string]string{"USER_ID_FOR_SRP": u.Name, "MFAS_CAN_CHOOSE": string(choices)})
}

// choose puts the second factor that was chosen. Choosing proves nothing.
func (s *Service) choose(ctx context.Context, st *step) (answer, error) {
	choice, err := st.param("ANSWER")
	if err != nil {
		return answer{}, err
	}
	ch, u, err := s.resume(ctx, st, api.ChallengeNameTypeSELECT_MFA_TYPE)
	if err != nil {
		return answer{}, err
	}
	if !slices.Contains(st.pool.secondFactors(&u), choice) {
		return answer{}, refuse(invalidParameter, "Invalid MFA type: "+choice+" is not one that the user can choose.")
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error { return s.spend(tx, &ch) })
	if err != nil {
		return answer{}, err
	}
	return s.put(ctx, st, api.ChallengeNameType(choice), &u, ch.attempt)
}

// offerSetup lets a user without a second factor set up a software token, in a pool
// that demands one.
func (s *Service) offerSetup(_ context.Context, st *step, u *User, at attempt) (answer, error) {
	ch, err := s.newChallenge(api.ChallengeNameTypeMFA_SETUP, &st.client, u, at)
	if err != nil {
		return answer{}, err
	}
	can := []string{}
	for _, mfa := range []string{mfaSMS, mfaTOTP, mfaEmail} {
		if st.pool.Settings.MFA.has(mfa) {
			can = append(can, mfa)
		}
	}
	list, err := json.Marshal(can)
	if err != nil {
		return answer{}, err
	}
	return s.offered(ch, map[string]string{"USER_ID_FOR_SRP": u.Name, "MFAS_CAN_SETUP": string(list)})
}

// finishSetup ends MFA_SETUP after VerifySoftwareToken saw the first code, or goes on with a
// code to a mailbox.
func (s *Service) finishSetup(ctx context.Context, st *step) (answer, error) {
	ch, u, err := s.resume(ctx, st, api.ChallengeNameTypeMFA_SETUP)
	if err != nil {
		return answer{}, err
	}
	if address := st.params["EMAIL"]; address != "" && !ch.Ready {
		return s.setupMailbox(ctx, st, &ch, u, address)
	}
	if !ch.Ready {
		return answer{}, refuse(softwareTokenNotFound, "Software token MFA has not been set up by the user.")
	}
	return s.conclude(ctx, st, &proof{user: u, factor: provesTOTP, right: true, from: &ch, wrong: errSession()})
}
