package userpool

import (
	"context"
	"slices"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// preference is what a request says of one second factor.
type preference struct {
	mfa                string
	enabled, preferred *bool
}

func preferences(sms *api.SMSMfaSettingsType, token *api.SoftwareTokenMfaSettingsType, email *api.EmailMfaSettingsType) []preference {
	var out []preference
	if sms != nil {
		out = append(out, preference{mfaSMS, sms.Enabled, sms.PreferredMfa})
	}
	if token != nil {
		out = append(out, preference{mfaTOTP, token.Enabled, token.PreferredMfa})
	}
	if email != nil {
		out = append(out, preference{mfaEmail, email.Enabled, email.PreferredMfa})
	}
	return out
}

// SetUserMFAPreference switches the second factors of the user who asks.
func (s *Service) SetUserMFAPreference(ctx context.Context, in *api.SetUserMFAPreferenceRequest) (*api.SetUserMFAPreferenceResponse, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		u, err := s.tables.users.Get(tx, b.pool.ID, b.user.Key)
		if err != nil {
			return missing(err, userNotFound, "User does not exist.")
		}
		return s.prefer(tx, &b.pool, &u, preferences(in.SMSMfaSettings, in.SoftwareTokenMfaSettings, in.EmailMfaSettings), in.WebAuthnMfaSettings)
	})
	if err != nil {
		return nil, err
	}
	return &api.SetUserMFAPreferenceResponse{}, nil
}

// AdminSetUserMFAPreference switches the second factors of any user.
func (s *Service) AdminSetUserMFAPreference(ctx context.Context, in *api.AdminSetUserMFAPreferenceRequest) (*api.AdminSetUserMFAPreferenceResponse, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		p, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err != nil {
			return err
		}
		return s.prefer(tx, &p, &u, preferences(in.SMSMfaSettings, in.SoftwareTokenMfaSettings, in.EmailMfaSettings), in.WebAuthnMfaSettings)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminSetUserMFAPreferenceResponse{}, nil
}

// prefer applies preferences to a user: one factor at most is preferred, and only what
// can reach the user is switched on.
func (s *Service) prefer(tx *store.Tx, p *Pool, u *User, list []preference, passkey *api.WebAuthnMfaSettingsType) error {
	preferred := 0
	for _, w := range list {
		if wire.Value(w.preferred) {
			preferred++
		}
	}
	if preferred > 1 {
		return refuse(invalidParameter, "Only one MFA method can be set as preferred.")
	}
	for _, w := range list {
		if err := p.switchMFA(u, w); err != nil {
			return err
		}
	}
	if err := p.switchPasskey(u, passkey); err != nil {
		return err
	}
	return s.putUser(tx, p, u, false)
}

func (p *Pool) switchMFA(u *User, w preference) error {
	switch {
	case !wire.Value(w.enabled):
		if wire.Value(w.preferred) {
			return refuse(invalidParameter, "An MFA method that is not enabled cannot be preferred.")
		}
		u.disableMFA(w.mfa)
		return nil
	case !p.Settings.MFA.has(w.mfa):
		return refuse(invalidParameter, w.mfa+" is not enabled for the user pool.")
	case w.mfa == mfaTOTP && u.MFA.Seed == nil:
		return refuse(invalidParameter, "User has not verified software token mfa")
	case !u.isSetUp(w.mfa, false):
		return refuse(invalidParameter, "User does not have delivery config set to turn on "+w.mfa)
	}
	if !slices.Contains(u.MFA.Enabled, w.mfa) {
		u.MFA.Enabled = append(slices.Clone(u.MFA.Enabled), w.mfa)
	}
	switch {
	case wire.Value(w.preferred):
		u.MFA.Preferred = w.mfa
	case u.MFA.Preferred == w.mfa && w.preferred != nil:
		u.MFA.Preferred = ""
	}
	return nil
}

// switchPasskey says whether a passkey stands for both factors of a user. Who loses it
// needs another second factor: the password alone must not do then.
func (p *Pool) switchPasskey(u *User, in *api.WebAuthnMfaSettingsType) error {
	if in != nil {
		if u.MFA.Passkey = wire.Value(in.Enabled); u.MFA.Passkey && !p.passkeyIsMFA() {
			return refuse(invalidParameter, "WEB_AUTHN is not configured as multi-factor authentication for the user pool.")
		}
	}
	if u.MFA.Passkey && len(u.MFA.Enabled) == 0 {
		return refuse(invalidParameter, "WEB_AUTHN as multi-factor authentication requires at least one other MFA method.")
	}
	return nil
}

// mfaSettings are the names of the factors that a user has switched on.
func (u *User) mfaSettings() []string {
	if !u.MFA.Passkey {
		return u.MFA.Enabled
	}
	return append(slices.Clone(u.MFA.Enabled), string(api.AuthFactorTypeWEB_AUTHN))
}

// disableMFA switches a factor off.
func (u *User) disableMFA(mfa string) {
	u.MFA.Enabled = slices.DeleteFunc(slices.Clone(u.MFA.Enabled), func(m string) bool { return m == mfa })
	if u.MFA.Preferred == mfa {
		u.MFA.Preferred = ""
	}
}

func (u *User) preferredMFA() *string {
	if u.MFA.Preferred == "" {
		return nil
	}
	return &u.MFA.Preferred
}

// mfaOptions is the older description of SMS as a second factor.
func (u *User) mfaOptions() []api.MFAOptionType {
	if !slices.Contains(u.MFA.Enabled, mfaSMS) {
		return nil
	}
	return []api.MFAOptionType{{AttributeName: wire.String(loginPhone), DeliveryMedium: api.DeliveryMediumTypeSMS}}
}

// SetUserSettings is the older way to switch SMS as a second factor.
func (s *Service) SetUserSettings(ctx context.Context, in *api.SetUserSettingsRequest) (*api.SetUserSettingsResponse, error) {
	b, err := s.bearer(ctx, in.AccessToken)
	if err != nil {
		return nil, exception(err)
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		u, err := s.tables.users.Get(tx, b.pool.ID, b.user.Key)
		if err != nil {
			return missing(err, userNotFound, "User does not exist.")
		}
		return s.settings(tx, &b.pool, &u, in.MFAOptions)
	})
	if err != nil {
		return nil, err
	}
	return &api.SetUserSettingsResponse{}, nil
}

// AdminSetUserSettings is SetUserSettings for any user.
func (s *Service) AdminSetUserSettings(ctx context.Context, in *api.AdminSetUserSettingsRequest) (*api.AdminSetUserSettingsResponse, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		p, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err != nil {
			return err
		}
		return s.settings(tx, &p, &u, in.MFAOptions)
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminSetUserSettingsResponse{}, nil
}

func (s *Service) settings(tx *store.Tx, p *Pool, u *User, options []api.MFAOptionType) error {
	w := preference{mfa: mfaSMS, enabled: wire.Bool(len(options) > 0)}
	for _, o := range options {
		if o.DeliveryMedium != api.DeliveryMediumTypeSMS || deref(o.AttributeName) != loginPhone {
			return refuse(invalidParameter, "Only SMS to phone_number can be set by this operation.")
		}
	}
	return s.prefer(tx, p, u, []preference{w}, nil)
}
