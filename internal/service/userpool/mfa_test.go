package userpool

import (
	"encoding/base32"
	"encoding/json"
	"testing"
	"time"

	"moat/internal/pure/totp"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// mfaPool makes a pool with every second factor.
func (h *house) mfaPool(mode api.UserPoolMfaType) (poolID, clientID string) {
	h.t.Helper()
	poolID = h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes = nil
		in.AutoVerifiedAttributes = []api.VerifiedAttributeType{"email", "phone_number"}
	})
	h.setMFA(poolID, mode)
	return poolID, *h.newClient(poolID, nil).ClientId
}

func (h *house) setMFA(poolID string, mode api.UserPoolMfaType) {
	h.t.Helper()
	must[*api.SetUserPoolMfaConfigResponse](h.t)(h.c.SetUserPoolMfaConfig(h.t.Context(), &api.SetUserPoolMfaConfigRequest{
		UserPoolId: poolID, MfaConfiguration: mode,
		SoftwareTokenMfaConfiguration: &api.SoftwareTokenMfaConfigType{Enabled: wire.Bool(true)},
		SmsMfaConfiguration:           &api.SmsMfaConfigType{SmsConfiguration: &api.SmsConfigurationType{SnsCallerArn: "arn:aws:iam::000000000000:role/sms"}},
		EmailMfaConfiguration:         &api.EmailMfaConfigType{Subject: wire.String("Code"), Message: wire.String("It is {####}.")},
	}))
}

// token sets up a software token for a user who is signed in and returns its secret.
func (h *house) token(accessToken *string) []byte {
	h.t.Helper()
	out := must[*api.AssociateSoftwareTokenResponse](h.t)(h.c.AssociateSoftwareToken(h.t.Context(), &api.AssociateSoftwareTokenRequest{AccessToken: accessToken}))
	secret := seedOf(h.t, out.SecretCode)
	must[*api.VerifySoftwareTokenResponse](h.t)(h.c.VerifySoftwareToken(h.t.Context(), &api.VerifySoftwareTokenRequest{
		AccessToken: accessToken, UserCode: h.code(secret), FriendlyDeviceName: wire.String("phone"),
	}))
	h.advance(totp.Period)
	return secret
}

func seedOf(t *testing.T, text *string) []byte {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(deref(text))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// code is what the authenticator app shows now.
func (h *house) code(secret []byte) string { return totp.Code(secret, totp.StepOf(h.clock())) }

// begin sends the password.
func (h *house) begin(clientID, name, password string) *api.InitiateAuthResponse {
	h.t.Helper()
	return must[*api.InitiateAuthResponse](h.t)(h.c.InitiateAuth(h.t.Context(), &api.InitiateAuthRequest{
		AuthFlow: "USER_PASSWORD_AUTH", ClientId: clientID, AuthParameters: map[string]string{"USERNAME": name, "PASSWORD": password},
	}))
}

func (h *house) answer(clientID string, kind api.ChallengeNameType, session *string, params ...string) (*api.RespondToAuthChallengeResponse, error) {
	responses := map[string]string{}
	for i := 0; i < len(params); i += 2 {
		responses[params[i]] = params[i+1]
	}
	return h.c.RespondToAuthChallenge(h.t.Context(), &api.RespondToAuthChallengeRequest{
		ChallengeName: kind, ClientId: clientID, Session: session, ChallengeResponses: responses,
	})
}

func TestService_softwareToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.mfaPool("OPTIONAL")
	other := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann")
	access := h.mustSignIn(client, "ann").AccessToken
	_, err := h.c.SetUserMFAPreference(t.Context(), &api.SetUserMFAPreferenceRequest{AccessToken: *access, SoftwareTokenMfaSettings: &api.SoftwareTokenMfaSettingsType{Enabled: wire.Bool(true)}})
	want(t, err, "InvalidParameterException", "User has not verified software token mfa")
	_, err = h.c.VerifySoftwareToken(t.Context(), &api.VerifySoftwareTokenRequest{AccessToken: access, UserCode: "123456"})
	want(t, err, "SoftwareTokenMFANotFoundException", "")
	secret := h.token(access)
	h.mustSignIn(client, "ann") // set up, and not yet switched on
	must[*api.SetUserMFAPreferenceResponse](t)(h.c.SetUserMFAPreference(t.Context(), &api.SetUserMFAPreferenceRequest{
		AccessToken: *access, SoftwareTokenMfaSettings: &api.SoftwareTokenMfaSettingsType{Enabled: wire.Bool(true), PreferredMfa: wire.Bool(true)},
	}))
	u := must[*api.GetUserResponse](t)(h.c.GetUser(t.Context(), &api.GetUserRequest{AccessToken: *access}))
	if len(u.UserMFASettingList) != 1 || u.UserMFASettingList[0] != mfaTOTP || deref(u.PreferredMfaSetting) != mfaTOTP {
		t.Errorf("got %v, preferred %v", u.UserMFASettingList, u.PreferredMfaSetting)
	}

	first := h.begin(client, "ann", goodPass)
	if first.AuthenticationResult != nil || first.ChallengeName != "SOFTWARE_TOKEN_MFA" || first.ChallengeParameters["FRIENDLY_DEVICE_NAME"] != "phone" {
		t.Fatalf("got %+v", first)
	}
	code := h.code(secret)
	refused := func(clientID, message string, params ...string) {
		t.Helper()
		_, err := h.answer(clientID, "SOFTWARE_TOKEN_MFA", first.Session, params...)
		if err == nil {
			t.Fatal("let in")
		}
		if message != "" && errorMessage(err) != message {
			t.Errorf("got %v, want %s", err, message)
		}
	}
	refused(client, "Invalid code received for user", "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", "000000")
	refused(client, "Invalid code received for user", "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", totp.Code(secret, totp.StepOf(h.clock())-3))
	refused(client, "Missing required parameter SOFTWARE_TOKEN_MFA_CODE", "USERNAME", "ann")
	refused(client, "Missing required parameter USERNAME", "SOFTWARE_TOKEN_MFA_CODE", code)
	refused(client, "Invalid session for the user.", "USERNAME", "eve", "SOFTWARE_TOKEN_MFA_CODE", code)
	refused(other, "Invalid session for the user.", "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", code)
	if _, err := h.answer(client, "SMS_MFA", first.Session, "USERNAME", "ann", "SMS_MFA_CODE", code); err == nil {
		t.Fatal("a session of another challenge was taken")
	}
	// amazon-cognito-identity-js sends the code under both names.
	out := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SOFTWARE_TOKEN_MFA", first.Session, "USERNAME", "ann", "SMS_MFA_CODE", code, "SOFTWARE_TOKEN_MFA_CODE", code))
	h.claims(out.AuthenticationResult.IdToken)

	again := h.begin(client, "ann", goodPass)
	_, err = h.answer(client, "SOFTWARE_TOKEN_MFA", again.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", code)
	want(t, err, "ExpiredCodeException", "Your software token has already been used once.")
	_, err = h.answer(client, "SOFTWARE_TOKEN_MFA", first.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", code)
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	h.advance(totp.Period)
	must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SOFTWARE_TOKEN_MFA", again.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", h.code(secret)))

	late := h.begin(client, "ann", goodPass)
	h.advance(3 * time.Minute)
	_, err = h.answer(client, "SOFTWARE_TOKEN_MFA", late.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", h.code(secret))
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session is expired.")
}

// Somebody who knows the password does not get more guesses at the code by entering
// the password again.
func TestService_softwareToken_guessing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.mfaPool("OPTIONAL")
	h.member(pool, "ann")
	access := h.mustSignIn(client, "ann").AccessToken
	secret := h.token(access)
	must[*api.AdminSetUserMFAPreferenceResponse](t)(h.c.AdminSetUserMFAPreference(t.Context(), &api.AdminSetUserMFAPreferenceRequest{
		UserPoolId: pool, Username: "ann", SoftwareTokenMfaSettings: &api.SoftwareTokenMfaSettingsType{Enabled: wire.Bool(true)},
	}))
	for range freeFailures {
		first := h.begin(client, "ann", goodPass)
		_, err := h.answer(client, "SOFTWARE_TOKEN_MFA", first.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", "000000")
		want(t, err, "CodeMismatchException", "")
	}
	_, err := h.signIn(client, "ann", goodPass)
	want(t, err, "NotAuthorizedException", "Password attempts exceeded")
	h.advance(time.Second)
	first := h.begin(client, "ann", goodPass)
	must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SOFTWARE_TOKEN_MFA", first.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", h.code(secret)))
	if _, err := h.signIn(client, "ann", "Wrong-horse-77"); errorMessage(err) != "Incorrect username or password." {
		t.Errorf("after a whole sign-in the failures are not cleared: %v", err)
	}
}

func TestService_sentCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind             api.ChallengeNameType
		medium, response string
	}{
		{"SMS_MFA", MediumSMS, "SMS_MFA_CODE"},
		{"EMAIL_OTP", MediumEmail, "EMAIL_OTP_CODE"},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			pool, client := h.mfaPool("OPTIONAL")
			h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true", "phone_number", "+4915112345678", "phone_number_verified", "true")
			on := &api.AdminSetUserMFAPreferenceRequest{UserPoolId: pool, Username: "ann"}
			if tt.kind == "SMS_MFA" {
				on.SMSMfaSettings = &api.SMSMfaSettingsType{Enabled: wire.Bool(true)}
			} else {
				on.EmailMfaSettings = &api.EmailMfaSettingsType{Enabled: wire.Bool(true)}
			}
			must[*api.AdminSetUserMFAPreferenceResponse](t)(h.c.AdminSetUserMFAPreference(t.Context(), on))
			first := h.begin(client, "ann", goodPass)
			old := h.box.last(t)
			second := h.begin(client, "ann", goodPass)
			m := h.box.last(t)
			if second.ChallengeName != tt.kind || m.Kind != MessageSignIn || m.Medium != tt.medium || second.ChallengeParameters["CODE_DELIVERY_DELIVERY_MEDIUM"] != tt.medium {
				t.Fatalf("got %+v, sent %+v", second, m)
			}
			_, err := h.answer(client, tt.kind, first.Session, "USERNAME", "ann", tt.response, old.Code)
			want(t, err, "CodeMismatchException", "Invalid code or auth state for the user.")
			_, err = h.answer(client, tt.kind, first.Session, "USERNAME", "ann", tt.response, m.Code)
			want(t, err, "CodeMismatchException", "Invalid code or auth state for the user.")
			_, err = h.answer(client, tt.kind, second.Session, "USERNAME", "ann", tt.response, wrongCode(m.Code))
			want(t, err, "CodeMismatchException", "Invalid code or auth state for the user.")
			out := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, tt.kind, second.Session, "USERNAME", "ann", tt.response, m.Code))
			h.claims(out.AuthenticationResult.IdToken)
			_, err = h.answer(client, tt.kind, second.Session, "USERNAME", "ann", tt.response, m.Code)
			want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
		})
	}
}

func wrongCode(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

func TestService_selectMFA(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.mfaPool("OPTIONAL")
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true", "phone_number", "+4915112345678", "phone_number_verified", "true")
	must[*api.AdminSetUserMFAPreferenceResponse](t)(h.c.AdminSetUserMFAPreference(t.Context(), &api.AdminSetUserMFAPreferenceRequest{
		UserPoolId: pool, Username: "ann", SMSMfaSettings: &api.SMSMfaSettingsType{Enabled: wire.Bool(true)}, EmailMfaSettings: &api.EmailMfaSettingsType{Enabled: wire.Bool(true)},
	}))
	first := h.begin(client, "ann", goodPass)
	var can []string
	if err := json.Unmarshal([]byte(first.ChallengeParameters["MFAS_CAN_CHOOSE"]), &can); err != nil || first.ChallengeName != "SELECT_MFA_TYPE" || len(can) != 2 {
		t.Fatalf("got %+v", first)
	}
	_, err := h.answer(client, "SELECT_MFA_TYPE", first.Session, "USERNAME", "ann", "ANSWER", "SOFTWARE_TOKEN_MFA")
	want(t, err, "InvalidParameterException", "")
	second := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SELECT_MFA_TYPE", first.Session, "USERNAME", "ann", "ANSWER", "EMAIL_OTP"))
	if second.AuthenticationResult != nil || second.ChallengeName != "EMAIL_OTP" {
		t.Fatalf("got %+v", second)
	}
	_, err = h.answer(client, "SELECT_MFA_TYPE", first.Session, "USERNAME", "ann", "ANSWER", "SMS_MFA")
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "EMAIL_OTP", second.Session, "USERNAME", "ann", "EMAIL_OTP_CODE", h.box.last(t).Code))

	must[*api.AdminSetUserMFAPreferenceResponse](t)(h.c.AdminSetUserMFAPreference(t.Context(), &api.AdminSetUserMFAPreferenceRequest{
		UserPoolId: pool, Username: "ann", SMSMfaSettings: &api.SMSMfaSettingsType{Enabled: wire.Bool(true), PreferredMfa: wire.Bool(true)},
	}))
	if third := h.begin(client, "ann", goodPass); third.ChallengeName != "SMS_MFA" {
		t.Errorf("the preferred factor is not asked for: %+v", third)
	}
	_, err = h.c.AdminSetUserMFAPreference(t.Context(), &api.AdminSetUserMFAPreferenceRequest{
		UserPoolId: pool, Username: "ann", SMSMfaSettings: &api.SMSMfaSettingsType{Enabled: wire.Bool(true), PreferredMfa: wire.Bool(true)},
		EmailMfaSettings: &api.EmailMfaSettingsType{Enabled: wire.Bool(true), PreferredMfa: wire.Bool(true)},
	})
	want(t, err, "InvalidParameterException", "")
}

// A pool that demands a second factor makes a user without one set one up.
func TestService_setupMFA(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.mfaPool("ON")
	h.member(pool, "ann")
	first := h.begin(client, "ann", goodPass)
	if first.ChallengeName != "MFA_SETUP" || first.AuthenticationResult != nil {
		t.Fatalf("got %+v", first)
	}
	_, err := h.answer(client, "MFA_SETUP", first.Session, "USERNAME", "ann")
	want(t, err, "SoftwareTokenMFANotFoundException", "")
	stale := h.begin(client, "ann", goodPass) // begun before there was a factor

	set := must[*api.AssociateSoftwareTokenResponse](t)(h.c.AssociateSoftwareToken(t.Context(), &api.AssociateSoftwareTokenRequest{Session: first.Session}))
	secret := seedOf(t, set.SecretCode)
	_, err = h.c.VerifySoftwareToken(t.Context(), &api.VerifySoftwareTokenRequest{Session: set.Session, UserCode: wrongCode(h.code(secret))})
	want(t, err, "EnableSoftwareTokenMFAException", "Code mismatch")
	_, err = h.c.VerifySoftwareToken(t.Context(), &api.VerifySoftwareTokenRequest{Session: first.Session, UserCode: h.code(secret)})
	want(t, err, "SoftwareTokenMFANotFoundException", "")
	ok := must[*api.VerifySoftwareTokenResponse](t)(h.c.VerifySoftwareToken(t.Context(), &api.VerifySoftwareTokenRequest{Session: set.Session, UserCode: h.code(secret)}))
	_, err = h.answer(client, "MFA_SETUP", set.Session, "USERNAME", "ann")
	want(t, err, "SoftwareTokenMFANotFoundException", "")
	out := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "MFA_SETUP", ok.Session, "USERNAME", "ann"))
	h.claims(out.AuthenticationResult.IdToken)

	// The other session cannot replace the factor that there is now.
	if _, err := h.c.AssociateSoftwareToken(t.Context(), &api.AssociateSoftwareTokenRequest{Session: first.Session}); err == nil {
		t.Error("a session that was used up still sets up")
	}
	set = must[*api.AssociateSoftwareTokenResponse](t)(h.c.AssociateSoftwareToken(t.Context(), &api.AssociateSoftwareTokenRequest{Session: stale.Session}))
	_, err = h.c.VerifySoftwareToken(t.Context(), &api.VerifySoftwareTokenRequest{Session: set.Session, UserCode: h.code(seedOf(t, set.SecretCode))})
	want(t, err, "NotAuthorizedException", "Invalid session for the user.")

	h.advance(totp.Period)
	next := h.begin(client, "ann", goodPass)
	if next.ChallengeName != "SOFTWARE_TOKEN_MFA" {
		t.Fatalf("got %+v", next)
	}
	must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SOFTWARE_TOKEN_MFA", next.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", h.code(secret)))
}

// A new password is not the end of a sign-in where a second factor is demanded.
func TestService_newPassword_thenMFA(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.mfaPool("ON")
	temporary := "Temporary-123"
	must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(t.Context(), &api.AdminCreateUserRequest{
		UserPoolId: pool, Username: "ann", TemporaryPassword: &temporary, MessageAction: "SUPPRESS",
		UserAttributes: []api.AttributeType{attr("phone_number", "+4915112345678")},
	}))
	first := h.begin(client, "ann", temporary)
	second := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "NEW_PASSWORD_REQUIRED", first.Session, "USERNAME", "ann", "NEW_PASSWORD", goodPass))
	if second.AuthenticationResult != nil || second.ChallengeName != "SMS_MFA" {
		t.Fatalf("got %+v", second)
	}
	must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "SMS_MFA", second.Session, "USERNAME", "ann", "SMS_MFA_CODE", h.box.last(t).Code))
	u := must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(t.Context(), &api.AdminGetUserRequest{UserPoolId: pool, Username: "ann"}))
	if attributesOf(u.UserAttributes)["phone_number_verified"] != "true" {
		t.Error("the number that the code went to is not proven")
	}
}

func TestService_SetUserPoolMfaConfig_refused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	for name, in := range map[string]*api.SetUserPoolMfaConfigRequest{
		"off with a factor":  {MfaConfiguration: "OFF", SoftwareTokenMfaConfiguration: &api.SoftwareTokenMfaConfigType{Enabled: wire.Bool(true)}},
		"on without factors": {MfaConfiguration: "ON"},
		"token not enabled":  {MfaConfiguration: "OPTIONAL", SoftwareTokenMfaConfiguration: &api.SoftwareTokenMfaConfigType{}},
		"SMS without sender": {MfaConfiguration: "ON", SmsMfaConfiguration: &api.SmsMfaConfigType{}},
	} {
		in.UserPoolId = pool
		_, err := h.c.SetUserPoolMfaConfig(t.Context(), in)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		want(t, err, "InvalidParameterException", "")
	}
	_, err := h.c.SetUserPoolMfaConfig(t.Context(), &api.SetUserPoolMfaConfigRequest{UserPoolId: "eu-central-1_nothing00", MfaConfiguration: "OFF"})
	want(t, err, "ResourceNotFoundException", "")
	h.setMFA(pool, "OPTIONAL")
	p := must[*api.DescribeUserPoolResponse](t)(h.c.DescribeUserPool(t.Context(), &api.DescribeUserPoolRequest{UserPoolId: pool})).UserPool
	if p.MfaConfiguration != "OPTIONAL" {
		t.Errorf("got %s", p.MfaConfiguration)
	}
}

func errorMessage(err error) string {
	if e, ok := err.(wire.Exception); ok {
		return e.ErrorMessage()
	}
	return ""
}
