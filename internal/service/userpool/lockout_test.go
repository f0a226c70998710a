package userpool

import (
	"errors"
	"testing"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// lockedHouse is a house in which everything can be guessed at.
type lockedHouse struct {
	*house
	pool, client string
	tokens       *api.AuthenticationResultType
	device       *api.NewDeviceMetadataType
}

func newLockedHouse(t *testing.T) *lockedHouse {
	t.Helper()
	h := newHouse(t)
	l := &lockedHouse{house: h}
	define := h.function("define", func(ev map[string]any) (any, error) {
		return object{"challengeName": "CUSTOM_CHALLENGE"}, nil
	})
	create := h.function("create", func(map[string]any) (any, error) {
		return object{"privateChallengeParameters": object{"word": "moat"}}, nil
	})
	verify := h.function("verify", func(ev map[string]any) (any, error) {
		return object{"answerCorrect": at(ev, "request", "challengeAnswer") == "moat"}, nil
	})
	l.pool = h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes, in.AliasAttributes = nil, []api.AliasAttributeType{"email"}
		in.AutoVerifiedAttributes = []api.VerifiedAttributeType{"email", "phone_number"}
		in.Policies.SignInPolicy = &api.SignInPolicyType{AllowedFirstAuthFactors: []api.AuthFactorType{"PASSWORD", "EMAIL_OTP", "SMS_OTP"}}
		in.DeviceConfiguration = &api.DeviceConfigurationType{DeviceOnlyRememberedOnUserPrompt: wire.Bool(false), ChallengeRequiredOnNewDevice: wire.Bool(false)}
		in.LambdaConfig = &api.LambdaConfigType{DefineAuthChallenge: define, CreateAuthChallenge: create, VerifyAuthChallengeResponse: verify}
	})
	l.client = *h.newClient(l.pool, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH", "ALLOW_CUSTOM_AUTH")
	}).ClientId
	h.member(l.pool, "ann", "email", "ann@example.com", "email_verified", "true", "phone_number", "+4915112345678", "phone_number_verified", "true")
	l.tokens = h.mustSignIn(l.client, "ann")
	l.device = l.tokens.NewDeviceMetadata
	h.confirmDevice(l.tokens.AccessToken, l.device)
	return l
}

// second makes the user owe one second factor and returns its challenge.
func (l *lockedHouse) second(in api.AdminSetUserMFAPreferenceRequest) *api.InitiateAuthResponse {
	l.t.Helper()
	l.setMFA(l.pool, "OPTIONAL")
	l.token(l.tokens.AccessToken)
	in.UserPoolId, in.Username = l.pool, "ann"
	must[*api.AdminSetUserMFAPreferenceResponse](l.t)(l.c.AdminSetUserMFAPreference(l.t.Context(), &in))
	return l.begin(l.client, "ann", goodPass)
}

// TestLockout_everywhere guesses by one way only, and finds every other way closed, under
// every name, for as long as the lock lasts; but not the session that was there before.
func TestLockout_everywhere(t *testing.T) {
	t.Parallel()
	code := func(l *lockedHouse, first *api.InitiateAuthResponse, name string) func() error {
		return func() error {
			_, err := l.answer(l.client, first.ChallengeName, first.Session, "USERNAME", "ann", name, wrongCode(l.box.last(l.t).Code))
			return err
		}
	}
	chosen := func(l *lockedHouse, kind string) *api.InitiateAuthResponse {
		return must[*api.InitiateAuthResponse](l.t)(l.choose(l.client, "ann", "PREFERRED_CHALLENGE", kind))
	}
	ways := map[string]func(*lockedHouse) func() error{
		"password, by an alias": func(l *lockedHouse) func() error {
			return func() error { _, err := l.signIn(l.client, "ann@example.com", "Wrong-horse-77"); return err }
		},
		"SRP": func(l *lockedHouse) func() error {
			return func() error {
				_, err := l.srp(l.pool, l.client).signIn("ann", "Wrong-horse-77")
				return err
			}
		},
		"chosen password": func(l *lockedHouse) func() error {
			return func() error {
				_, err := l.choose(l.client, "ann", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", "Wrong-horse-77")
				return err
			}
		},
		"EMAIL_OTP": func(l *lockedHouse) func() error { return code(l, chosen(l, "EMAIL_OTP"), "EMAIL_OTP_CODE") },
		"SMS_OTP":   func(l *lockedHouse) func() error { return code(l, chosen(l, "SMS_OTP"), "SMS_OTP_CODE") },
		"SOFTWARE_TOKEN_MFA": func(l *lockedHouse) func() error {
			first := l.second(api.AdminSetUserMFAPreferenceRequest{SoftwareTokenMfaSettings: &api.SoftwareTokenMfaSettingsType{Enabled: wire.Bool(true)}})
			return func() error {
				_, err := l.answer(l.client, "SOFTWARE_TOKEN_MFA", first.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", "000000")
				return err
			}
		},
		"SMS_MFA": func(l *lockedHouse) func() error {
			return code(l, l.second(api.AdminSetUserMFAPreferenceRequest{SMSMfaSettings: &api.SMSMfaSettingsType{Enabled: wire.Bool(true)}}), "SMS_MFA_CODE")
		},
		"EMAIL_OTP as second factor": func(l *lockedHouse) func() error {
			return code(l, l.second(api.AdminSetUserMFAPreferenceRequest{EmailMfaSettings: &api.EmailMfaSettingsType{Enabled: wire.Bool(true)}}), "EMAIL_OTP_CODE")
		},
		"CUSTOM_CHALLENGE": func(l *lockedHouse) func() error {
			session := must[*api.InitiateAuthResponse](l.t)(l.custom(l.client, "ann")).Session
			return func() error {
				out, err := l.answer(l.client, "CUSTOM_CHALLENGE", session, "USERNAME", "ann", "ANSWER", "wall")
				if err != nil {
					return err
				}
				session = out.Session
				return errors.New("asked again")
			}
		},
		"device": func(l *lockedHouse) func() error {
			return func() error {
				first, err := l.beginOn(l.client, "ann", *l.device.DeviceKey)
				if err != nil {
					return err
				}
				_, err = l.deviceSignIn(l.client, "ann", l.device, first.Session, "another secret")
				return err
			}
		},
		"ChangePassword": func(l *lockedHouse) func() error {
			return func() error {
				return l.change("Wrong-horse-77", "New-horse-number-8")
			}
		},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLockedHouse(t)
			fail := way(l)
			// Begun before the lock.
			srp := l.srp(l.pool, l.client)
			begun := must[*api.InitiateAuthResponse](t)(srp.start("ann"))
			custom := must[*api.InitiateAuthResponse](t)(l.custom(l.client, "ann"))
			for i := range freeFailures {
				if err := fail(); err == nil || isLockedErr(err) {
					t.Fatalf("wrong answer %d: %v", i+1, err)
				}
			}
			closed := func(what string, err error) {
				t.Helper()
				if !isLockedErr(err) {
					t.Errorf("%s while locked: %v", what, err)
				}
			}
			_, err := l.signIn(l.client, "ann", goodPass)
			closed("password", err)
			_, err = l.signIn(l.client, "ann@example.com", goodPass)
			closed("password by alias", err)
			_, err = srp.finish(srp.proof(begun.ChallengeParameters, goodPass))
			closed("SRP begun before", err)
			_, err = l.srp(l.pool, l.client).signIn("ann", goodPass)
			closed("SRP", err)
			_, err = l.choose(l.client, "ann")
			closed("choice", err)
			_, err = l.answer(l.client, "CUSTOM_CHALLENGE", custom.Session, "USERNAME", "ann", "ANSWER", "moat")
			closed("custom challenge begun before", err)
			closed("ChangePassword", l.change(goodPass, "New-horse-number-8"))
			// What would be wrong with a new password tells nothing about the old one.
			closed("ChangePassword with a bad one", l.change(goodPass, "x"))
			if _, err := l.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{AuthFlow: "REFRESH_TOKEN_AUTH", ClientId: l.client, AuthParameters: map[string]string{"REFRESH_TOKEN": *l.tokens.RefreshToken}}); err != nil {
				t.Errorf("a refresh while locked: %v", err)
			}
			l.advance(time.Second)
			if _, err := l.signIn(l.client, "ann", goodPass); err != nil {
				t.Errorf("after the lock: %v", err)
			}
		})
	}
}

func isLockedErr(err error) bool {
	var e wire.Exception
	return errors.As(err, &e) && e.ErrorCode() == "NotAuthorizedException" && e.ErrorMessage() == "Password attempts exceeded"
}

func (l *lockedHouse) change(from, to string) error {
	_, err := l.c.ChangePassword(l.t.Context(), &api.ChangePasswordRequest{AccessToken: *l.tokens.AccessToken, PreviousPassword: &from, ProposedPassword: to})
	return err
}

// TestLockout_durations: from one second, doubled by each failure, to about 15 minutes.
func TestLockout_durations(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann")
	for range freeFailures - 1 {
		_, err := h.signIn(client, "ann", "Wrong-horse-77")
		want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	}
	for _, lock := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
		lock *= time.Second
		_, err := h.signIn(client, "ann", "Wrong-horse-77")
		want(t, err, "NotAuthorizedException", "Incorrect username or password.")
		h.advance(lock - time.Millisecond)
		_, err = h.signIn(client, "ann", goodPass)
		want(t, err, "NotAuthorizedException", "Password attempts exceeded")
		h.advance(time.Millisecond)
	}
	h.mustSignIn(client, "ann")
	// Success clears the count: five more are free.
	for range freeFailures - 1 {
		_, err := h.signIn(client, "ann", "Wrong-horse-77")
		want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	}
	h.mustSignIn(client, "ann")
}
