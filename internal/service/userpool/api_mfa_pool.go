package userpool

import (
	"context"
	"slices"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// GetUserPoolMfaConfig answers which second factors a pool has, and whether one is needed.
func (s *Service) GetUserPoolMfaConfig(ctx context.Context, in *api.GetUserPoolMfaConfigRequest) (*api.GetUserPoolMfaConfigResponse, error) {
	var p Pool
	err := s.view(ctx, func(tx *store.Tx) (err error) {
		p, err = s.poolHere(ctx, tx, in.UserPoolId)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := api.GetUserPoolMfaConfigResponse(describeMFA(&p))
	return &out, nil
}

// describeMFA is what Get and Set answer.
func describeMFA(p *Pool) api.SetUserPoolMfaConfigResponse {
	m := &p.Settings.MFA
	out := api.SetUserPoolMfaConfigResponse{MfaConfiguration: m.mode(), EmailMfaConfiguration: m.Email, WebAuthnConfiguration: m.WebAuthn}
	if m.SoftwareToken {
		out.SoftwareTokenMfaConfiguration = &api.SoftwareTokenMfaConfigType{Enabled: wire.Bool(true)}
	}
	if m.SMS {
		out.SmsMfaConfiguration = &api.SmsMfaConfigType{SmsAuthenticationMessage: p.Settings.SmsAuthenticationMessage, SmsConfiguration: p.Settings.Sms}
	}
	return out
}

// mode is OFF until it is set.
func (m *PoolMFA) mode() api.UserPoolMfaType {
	if m.Mode == "" {
		return api.UserPoolMfaTypeOFF
	}
	return api.UserPoolMfaType(m.Mode)
}

// SetUserPoolMfaConfig replaces the second factors of a pool.
func (s *Service) SetUserPoolMfaConfig(ctx context.Context, in *api.SetUserPoolMfaConfigRequest) (*api.SetUserPoolMfaConfigResponse, error) {
	m := PoolMFA{Mode: string(in.MfaConfiguration), Email: in.EmailMfaConfiguration, SMS: in.SmsMfaConfiguration != nil, WebAuthn: in.WebAuthnConfiguration}
	if t := in.SoftwareTokenMfaConfiguration; t != nil {
		m.SoftwareToken = wire.Value(t.Enabled)
	}
	if err := m.check(); err != nil {
		return nil, exception(err)
	}
	if c := in.SmsMfaConfiguration; c != nil && c.SmsConfiguration != nil {
		if err := s.mayPass(ctx, &c.SmsConfiguration.SnsCallerArn); err != nil {
			return nil, err
		}
	}
	var p Pool
	err := s.update(ctx, func(tx *store.Tx) (err error) {
		if p, err = s.poolHere(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		if c := in.SmsMfaConfiguration; c != nil {
			if c.SmsConfiguration != nil {
				p.Settings.Sms = c.SmsConfiguration
			}
			if c.SmsAuthenticationMessage != nil {
				p.Settings.SmsAuthenticationMessage = c.SmsAuthenticationMessage
			}
			if p.Settings.Sms == nil {
				return refuse(invalidParameter, "SMS configuration is required to enable SMS MFA.")
			}
		}
		if m.WebAuthn == nil { // it is no second factor that could be switched off
			m.WebAuthn = p.Settings.MFA.WebAuthn
		}
		p.Settings.MFA, p.ModifiedAt = m, s.time()
		if p.Settings.passkeyOwes() {
			return refuse(invalidParameter, "Cannot set WebAuthn factor configuration to SINGLE_FACTOR if MFA is required and WebAuthn is an allowed first auth factor")
		}
		if err := p.Settings.checkFactors(); err != nil {
			return err
		}
		return s.tables.pools.Put(tx, p)
	})
	if err != nil {
		return nil, err
	}
	out := describeMFA(&p)
	return &out, nil
}

func (m *PoolMFA) check() error {
	any := m.SoftwareToken || m.SMS || m.Email != nil
	switch {
	case m.mode() == api.UserPoolMfaTypeOFF && any:
		return refuse(invalidParameter, "Invalid MFA configuration given, can't turn off MFA and configure an MFA together.")
	case m.mode() != api.UserPoolMfaTypeOFF && !any && m.WebAuthn != nil:
		return refuse(invalidParameter, "Invalid MFA Configuration given. SMS MFA, Email MFA, or Software Token MFA must be enabled.")
	case m.mode() != api.UserPoolMfaTypeOFF && !any:
		return refuse(invalidParameter, "Invalid MFA configuration given, can't disable all MFAs with an MFA configuration of required or optional.")
	}
	if c := m.WebAuthn; c != nil {
		if c.RelyingPartyId != nil && !partyShape.MatchString(*c.RelyingPartyId) {
			return refuse(invalidParameter, "RelyingPartyId must be a domain name, without scheme and port.")
		}
		if c.UserVerification == "" {
			c.UserVerification = api.UserVerificationTypepreferred
		}
	}
	return nil
}

// checkFactors refuses a pool that demands two factors and lets in by a code: who reads
// somebody's mail could then set up the second one himself. Nor does it let in by a
// passkey that is not both of them. The sentences are AWS's.
func (s *PoolSettings) checkFactors() error {
	if s.MFA.mode() == api.UserPoolMfaTypeON && s.passwordless() {
		return refuse(invalidParameter, "Only PASSWORD and WEB_AUTHN (if configured) can be enabled as an auth factor if MFA is enabled")
	}
	if s.passkeyOwes() {
		return refuse(invalidParameter, "WEB_AUTHN cannot be used as an auth factor when MFA is enabled if not configured for MFA.")
	}
	return nil
}

// passkeyOwes says whether a pool that demands two factors would let sign-ins begin with
// a passkey that is but one.
func (s *PoolSettings) passkeyOwes() bool {
	return s.MFA.mode() == api.UserPoolMfaTypeON && slices.Contains(s.firstFactors(), api.AuthFactorTypeWEB_AUTHN) &&
		(s.MFA.WebAuthn == nil || s.MFA.WebAuthn.FactorConfiguration != api.WebAuthnFactorConfigurationTypeMULTI_FACTOR_WITH_USER_VERIFICATION)
}

// updated is the MFA setting of a pool after a creation or an update, which can only
// say how much is needed and that SMS are sent; the other factors stay as they are.
func (m PoolMFA) updated(in *api.UpdateUserPoolRequest) (PoolMFA, error) {
	m.Mode = string(in.MfaConfiguration)
	if m.mode() == api.UserPoolMfaTypeOFF {
		return PoolMFA{Mode: m.Mode, WebAuthn: m.WebAuthn}, nil
	}
	m.SMS = m.SMS && in.SmsConfiguration != nil || in.SmsConfiguration != nil && !m.SoftwareToken && m.Email == nil
	if !m.SMS && !m.SoftwareToken && m.Email == nil {
		return m, refuse(invalidParameter, "SMS configuration and Auto verification for phone_number are required when MFA is required/optional")
	}
	return m, nil
}
