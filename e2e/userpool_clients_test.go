package e2e

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

func selfService(t *testing.T, d *directory) {
	p := d.people(t, idp.CreateUserPoolInput{PoolName: aws.String("self-service"), AliasAttributes: []types.AliasAttributeType{types.AliasAttributeTypeEmail}})
	r := runScript(t, d.courses, "cij-self.mjs", p.settings())
	r.signUp(t)
	r.account(t)
	r.sessions(t)
}

const (
	wrongCode     = "Invalid verification code provided, please try again."
	spentCode     = "Invalid code provided, please request a code again."
	wrongPassword = "Incorrect username or password."
	weakPassword  = "Password did not conform with policy: Password must have uppercase characters"
	unknownName   = "custom:shoe: Attribute does not exist in the schema."
	missingName   = "Attributes did not conform to the schema: name: The attribute is required"
	wrongMFACode  = "Invalid code or auth state for the user."
	usedSession   = "Invalid session for the user, session can only be used once."
	revokedAccess = "Access Token has been revoked"
)

func (r report) signUp(t *testing.T) {
	t.Helper()
	r.refused(t, "sign-up, no name", "InvalidParameterException", missingName)
	r.refused(t, "sign-up, weak password", "InvalidPasswordException", weakPassword)
	r.refused(t, "sign-up, unknown attribute", "InvalidParameterException", unknownName)
	r.ok(t, "sign-up", map[string]string{"confirmed": "false"})
	r.refused(t, "sign-up again", "UsernameExistsException", "User already exists")
	r.refused(t, "sign-in, not confirmed", "UserNotConfirmedException", "User is not confirmed.")
	r.ok(t, "resend", map[string]string{"AttributeName": "email", "DeliveryMedium": "EMAIL", "Destination": "a***@e***"})
	r.refused(t, "confirm, wrong code", "CodeMismatchException", wrongCode)
	r.refused(t, "confirm, unknown user", "ExpiredCodeException", spentCode)
	r.gives(t, "confirm", "SUCCESS")
	r.ok(t, "sign-up, address taken", map[string]string{"confirmed": "false"})
	r.refused(t, "confirm, address taken", "AliasExistsException", "An account with the email already exists.")
	r.gives(t, "forgot", "inputVerificationCode")
	r.gives(t, "forgot, unknown user", "inputVerificationCode")
	r.refused(t, "reset, wrong code", "CodeMismatchException", wrongCode)
	r.refused(t, "reset, weak password", "InvalidPasswordException", weakPassword)
	r.gives(t, "reset", "SUCCESS")
	r.refused(t, "reset, code again", "ExpiredCodeException", spentCode)
	r.refused(t, "sign-in, old password", "NotAuthorizedException", wrongPassword)
	r.gives(t, "plain", "")
	r.refused(t, "plain, wrong password", "NotAuthorizedException", wrongPassword)
	r.gives(t, "by address", "ann")
}

func (r report) account(t *testing.T) {
	t.Helper()
	r.ok(t, "attributes", map[string]string{"custom_team": "red", "email": "ann@example.com", "email_verified": "true", "name": "Ann"})
	r.gives(t, "user data", "ann")
	r.gives(t, "update", "SUCCESS")
	r.refused(t, "update, unknown attribute", "InvalidParameterException", unknownName)
	r.refused(t, "update, sub", "NotAuthorizedException", "A client attempted to write unauthorized attribute")
	r.ok(t, "updated", map[string]string{"custom_team": "blue", "name": "Annie"})
	r.gives(t, "delete attribute", "SUCCESS")
	r.refused(t, "delete attribute, required", "InvalidParameterException", "user.name: The attribute is required")
	r.ok(t, "deleted", map[string]string{"team": ""})
	r.gives(t, "move", "SUCCESS")
	r.ok(t, "moved", map[string]string{"email": "ann.moved@example.com", "email_verified": "false"})
	r.gives(t, "verification code", "inputVerificationCode")
	r.refused(t, "verification code, name", "InvalidParameterException", "")
	r.refused(t, "verify, wrong code", "CodeMismatchException", wrongCode)
	r.gives(t, "verify", "SUCCESS")
	r.refused(t, "verify, code again", "ExpiredCodeException", spentCode)
	r.ok(t, "verified", map[string]string{"email": "ann.moved@example.com", "email_verified": "true"})
	r.refused(t, "text messages, no number", "InvalidParameterException", "")
	r.gives(t, "text messages, off", "SUCCESS")
	r.refused(t, "change password, wrong one", "NotAuthorizedException", wrongPassword)
	r.refused(t, "change password, weak one", "InvalidPasswordException", weakPassword)
	r.gives(t, "change password", "SUCCESS")
}

func (r report) sessions(t *testing.T) {
	t.Helper()
	r.gives(t, "refresh", "ann.moved@example.com")
	r.refused(t, "refresh, garbage", "NotAuthorizedException", "Invalid Refresh Token")
	r.refused(t, "revoke, access token", "UnsupportedTokenTypeException", "")
	r.ok(t, "revoke, garbage", nil)
	r.ok(t, "revoke", nil)
	r.refused(t, "refresh, revoked", "NotAuthorizedException", "Refresh Token has been revoked")
	r.refused(t, "attributes, revoked", "NotAuthorizedException", revokedAccess)
	r.gives(t, "sign out everywhere", "SUCCESS")
	r.refused(t, "attributes, signed out", "NotAuthorizedException", revokedAccess)
	r.refused(t, "delete, signed out", "NotAuthorizedException", revokedAccess)
	r.gives(t, "delete", "SUCCESS")
	r.refused(t, "sign-in, deleted", "NotAuthorizedException", wrongPassword)
	r.refused(t, "custom, no functions", "InvalidUserPoolConfigurationException", "Custom auth lambda trigger is not configured for the user pool.")
}

func secondFactors(t *testing.T, d *directory) {
	p := d.people(t, idp.CreateUserPoolInput{PoolName: aws.String("factors")})
	strict := d.people(t, idp.CreateUserPoolInput{PoolName: aws.String("strict")})
	d.factors(t, p, types.UserPoolMfaTypeOptional, true)
	d.factors(t, strict, types.UserPoolMfaTypeOn, false)
	d.member(t, p, "fresh", "", nil)
	d.member(t, p, "sms", membersPassword, phone("+15550100"))
	d.member(t, p, "token", membersPassword, phone("+15550101"))
	d.member(t, strict, "strict", membersPassword, nil)
	config := p.settings()
	config["strictPool"], config["strictClient"] = strict.pool, strict.client
	r := runScript(t, d.courses, "cij-mfa.mjs", config)
	r.ok(t, "new password wanted", map[string]string{"what": "newPasswordRequired", "email": "fresh@example.com", "required": "name"})
	r.refused(t, "new password, weak", "InvalidPasswordException", weakPassword)
	r.refused(t, "new password, no name", "InvalidParameterException", missingName)
	r.gives(t, "new password", "fresh")
	r.refused(t, "temporary password again", "NotAuthorizedException", wrongPassword)
	r.ok(t, "profile", map[string]string{"name": "Fresh", "email_verified": "true"})

	r.gives(t, "text messages", "SUCCESS")
	r.ok(t, "text messages, options", map[string]string{"AttributeName": "phone_number", "DeliveryMedium": "SMS"})
	r.ok(t, "text code wanted", map[string]string{"what": "mfaRequired", "medium": "SMS", "to": "+****0100"})
	r.refused(t, "text code, wrong", "CodeMismatchException", wrongMFACode)
	r.gives(t, "text code", "sms")
	r.refused(t, "text code, again", "NotAuthorizedException", usedSession)
	r.gives(t, "text messages, off", "SUCCESS")
	r.gives(t, "text messages, none", "")

	r.refused(t, "token preferred, none", "InvalidParameterException", "User has not verified software token mfa")
	r.refused(t, "token verified, none", "SoftwareTokenMFANotFoundException", "")
	r.refused(t, "token verified, wrong code", "EnableSoftwareTokenMFAException", "Code mismatch")
	r.gives(t, "token verified", "SUCCESS")
	r.gives(t, "token preferred", "SUCCESS")
	r.ok(t, "token wanted", map[string]string{"what": "totpRequired", "name": "phone"})
	r.refused(t, "token code, wrong", "CodeMismatchException", "Invalid code received for user")
	r.gives(t, "token code", "token")
	r.refused(t, "token code, again", "ExpiredCodeException", "Your software token has already been used once.")

	r.gives(t, "both", "SUCCESS")
	r.ok(t, "both wanted", map[string]string{"what": "selectMFAType", "choices": "SMS_MFA,SOFTWARE_TOKEN_MFA"})
	r.refused(t, "both, e-mail", "InvalidParameterException", "")
	r.gives(t, "both, text message", "mfaRequired")
	r.refused(t, "both, code of another user", "CodeMismatchException", wrongMFACode)
	r.gives(t, "both, code", "token")

	r.ok(t, "setup wanted", map[string]string{"what": "mfaSetup", "can": "SOFTWARE_TOKEN_MFA"})
	r.refused(t, "setup, wrong code", "EnableSoftwareTokenMFAException", "Code mismatch")
	r.gives(t, "setup", "strict")
	r.gives(t, "after setup", "totpRequired")
}

// phone is a number that is proven.
func phone(number string) map[string]string {
	return map[string]string{"phone_number": number, "phone_number_verified": "true"}
}

func devices(t *testing.T, d *directory) {
	p := d.people(t, idp.CreateUserPoolInput{PoolName: aws.String("devices"), DeviceConfiguration: &types.DeviceConfigurationType{ChallengeRequiredOnNewDevice: true, DeviceOnlyRememberedOnUserPrompt: true}})
	d.factors(t, p, types.UserPoolMfaTypeOn, true)
	d.member(t, p, "dora", membersPassword, phone("+15550102"))
	r := runScript(t, d.courses, "cij-device.mjs", p.settings())
	const gone = "Device does not exist."
	r.gives(t, "first sign-in", "mfaRequired")
	r.refused(t, "first code, wrong", "CodeMismatchException", wrongMFACode)
	r.ok(t, "first code", map[string]string{"confirm": "true"})
	r.ok(t, "devices", map[string]string{"count": "1", "same": "true"})
	r.gives(t, "device", "not_remembered")
	r.gives(t, "code, not remembered", "mfaRequired")
	r.gives(t, "remember", "SUCCESS")
	r.ok(t, "refresh", map[string]string{"session": "true"})
	r.ok(t, "remembered", map[string]string{"what": "", "same": "true", "device": "true"})
	r.refused(t, "remembered, wrong password", "NotAuthorizedException", wrongPassword)
	r.gives(t, "another browser", "mfaRequired")
	r.refused(t, "stolen key", "NotAuthorizedException", wrongPassword)
	r.gives(t, "not remembered", "SUCCESS")
	r.gives(t, "not remembered, sign-in", "mfaRequired")
	r.refused(t, "forget, unknown device", "ResourceNotFoundException", gone)
	r.gives(t, "forget", "SUCCESS")
	r.refused(t, "forgotten", "ResourceNotFoundException", gone)
	r.refused(t, "forgotten, attributes", "NotAuthorizedException", revokedAccess)
	r.ok(t, "forgotten, sign-in", map[string]string{"what": "mfaRequired", "key": ""})
	r.ok(t, "forget own", map[string]string{"said": "SUCCESS", "key": ""})
}

// withCustom is a pool whose functions put challenges of their own.
func withCustom(t *testing.T, d *directory, name string) people {
	t.Helper()
	p := d.people(t, idp.CreateUserPoolInput{PoolName: &name, LambdaConfig: &types.LambdaConfigType{
		DefineAuthChallenge: &d.triggers, CreateAuthChallenge: &d.triggers, VerifyAuthChallengeResponse: &d.triggers,
	}})
	d.letIn(t, d.triggers, "cognito-idp.amazonaws.com", p.arn)
	return p
}

func customSignIn(t *testing.T, d *directory) {
	p := withCustom(t, d, "custom")
	d.member(t, p, "cleo", membersPassword, nil)
	d.member(t, p, "carl", membersPassword, nil)
	r := runScript(t, d.courses, "cij-custom.mjs", p.settings())
	r.ok(t, "asked", map[string]string{"what": "customChallenge", "question": "The word of cleo?", "word": ""})
	r.ok(t, "wrong word", map[string]string{"what": "customChallenge", "tries": "1"})
	r.gives(t, "right word", "cleo")
	r.refused(t, "right word, again", "NotAuthorizedException", usedSession)
	r.refused(t, "three wrong words", "NotAuthorizedException", wrongPassword)
	r.refused(t, "unknown user", "NotAuthorizedException", wrongPassword)
	r.refused(t, "another's session", "NotAuthorizedException", "Invalid session for the user.")
	r.gives(t, "after a password", "customChallenge")
	r.gives(t, "after a password, right word", "cleo")
	r.refused(t, "after a wrong password", "NotAuthorizedException", wrongPassword)
}

func amplifyAuth(t *testing.T, d *directory) {
	p := d.people(t, idp.CreateUserPoolInput{
		PoolName: aws.String("amplify"), UsernameAttributes: []types.UsernameAttributeType{types.UsernameAttributeTypeEmail},
		DeviceConfiguration: &types.DeviceConfigurationType{DeviceOnlyRememberedOnUserPrompt: true},
		Policies:            &types.UserPoolPolicyType{SignInPolicy: &types.SignInPolicyType{AllowedFirstAuthFactors: []types.AuthFactorType{types.AuthFactorTypePassword, types.AuthFactorTypeEmailOtp}}},
	})
	d.factors(t, p, types.UserPoolMfaTypeOptional, false)
	strict := d.people(t, idp.CreateUserPoolInput{PoolName: aws.String("amplify-strict")})
	d.factors(t, strict, types.UserPoolMfaTypeOn, false)
	d.member(t, strict, "tess", "", nil)
	custom := withCustom(t, d, "amplify-custom")
	d.member(t, custom, "cora", membersPassword, nil)
	config := p.settings()
	config["strictPool"], config["strictClient"], config["customPool"], config["customClient"] = strict.pool, strict.client, custom.pool, custom.client
	r := runScript(t, d.courses, "amplify-auth.mjs", config)
	r.amplifySignUp(t)
	r.amplifySignIn(t)
	r.amplifyAccount(t)
	r.amplifyChallenges(t)
}

func (r report) amplifySignUp(t *testing.T) {
	t.Helper()
	r.refused(t, "sign-up, weak password", "InvalidPasswordException", weakPassword)
	r.gives(t, "sign-up", "CONFIRM_SIGN_UP")
	r.gives(t, "sign-in, not confirmed", "CONFIRM_SIGN_UP")
	r.gives(t, "resend", "EMAIL")
	r.refused(t, "confirm, wrong code", "CodeMismatchException", wrongCode)
	r.gives(t, "confirm", "COMPLETE_AUTO_SIGN_IN")
	r.gives(t, "auto sign-in", "DONE")
	r.gives(t, "auto sign-in, who", "amy@example.com")
	r.refused(t, "auto sign-in, again", "AutoSignInException", "")
	r.gives(t, "confirm elsewhere", "DONE")
}

func (r report) amplifySignIn(t *testing.T) {
	t.Helper()
	r.refused(t, "srp, wrong password", "NotAuthorizedException", wrongPassword)
	r.gives(t, "srp", "DONE")
	r.refused(t, "srp, twice", "UserAlreadyAuthenticatedException", "")
	r.gives(t, "plain", "DONE")
	r.ok(t, "choice", map[string]string{"signInStep": "CONTINUE_SIGN_IN_WITH_FIRST_FACTOR_SELECTION", "availableChallenges": `["PASSWORD","PASSWORD_SRP","EMAIL_OTP"]`})
	r.gives(t, "choice, password asked", "CONFIRM_SIGN_IN_WITH_PASSWORD")
	r.gives(t, "choice, password", "DONE")
	r.refused(t, "choice, not one of them", "InvalidParameterException", "SMS_OTP is not one of the available challenges.")
	r.gives(t, "preferred password", "DONE")
	r.refused(t, "preferred password, wrong", "NotAuthorizedException", wrongPassword)
	r.gives(t, "preferred srp", "DONE")
	r.refused(t, "preferred srp, wrong", "NotAuthorizedException", wrongPassword)
	r.ok(t, "mailed code asked", map[string]string{"signInStep": "CONFIRM_SIGN_IN_WITH_EMAIL_CODE", "codeDeliveryDetails.destination": "a***@e***"})
	r.refused(t, "mailed code, wrong", "CodeMismatchException", wrongMFACode)
	r.gives(t, "mailed code", "DONE")
	r.refused(t, "mailed code, unknown user", "CodeMismatchException", wrongMFACode)
}

func (r report) amplifyAccount(t *testing.T) {
	t.Helper()
	r.ok(t, "attributes", map[string]string{"email": "amy@example.com", "email_verified": "true", "name": "Amy"})
	r.gives(t, "update", "true")
	r.refused(t, "update, sub", "NotAuthorizedException", "A client attempted to write unauthorized attribute")
	r.ok(t, "refresh", map[string]string{"same": "true", "fresh": "true"})
	r.gives(t, "refresh, altered", "false") // the library signs out where a refresh is refused
	r.refused(t, "refresh, altered, signed out", "UserUnAuthenticatedException", "")
	r.refused(t, "change password, wrong one", "NotAuthorizedException", wrongPassword)
	r.ok(t, "remember", nil)
	r.gives(t, "devices", "true")
	r.gives(t, "remembered", "DONE")
	r.ok(t, "forget device", nil)
	r.refused(t, "forgotten", "NotAuthorizedException", revokedAccess)
	r.refused(t, "token, wrong code", "EnableSoftwareTokenMFAException", "Code mismatch")
	r.ok(t, "token", nil)
	r.ok(t, "token preferred", nil)
	r.ok(t, "preference", map[string]string{"preferred": "TOTP", "enabled": `["TOTP"]`})
	r.gives(t, "token asked", "CONFIRM_SIGN_IN_WITH_TOTP_CODE")
	r.refused(t, "token code, wrong", "CodeMismatchException", "Invalid code received for user")
	r.gives(t, "token code", "DONE")
	r.ok(t, "sign out everywhere", nil)
	r.refused(t, "signed out", "UserUnAuthenticatedException", "")
	r.gives(t, "recovery", "CONFIRM_RESET_PASSWORD_WITH_CODE")
	r.refused(t, "recovery, wrong code", "CodeMismatchException", wrongCode)
	r.ok(t, "recovery, done", nil)
	r.refused(t, "delete, nobody", "UserUnAuthenticatedException", "")
	r.gives(t, "recovered", "DONE")
	r.ok(t, "delete", nil)
	r.refused(t, "deleted", "NotAuthorizedException", wrongPassword)
}

func (r report) amplifyChallenges(t *testing.T) {
	t.Helper()
	r.ok(t, "temporary", map[string]string{"signInStep": "CONFIRM_SIGN_IN_WITH_NEW_PASSWORD_REQUIRED", "missingAttributes": `["name"]`})
	r.ok(t, "setup", map[string]string{"step": "CONTINUE_SIGN_IN_WITH_TOTP_SETUP"})
	r.refused(t, "setup, wrong code", "EnableSoftwareTokenMFAException", "Code mismatch")
	r.gives(t, "setup, done", "DONE")
	r.gives(t, "custom", "CONFIRM_SIGN_IN_WITH_CUSTOM_CHALLENGE")
	r.gives(t, "custom, wrong word", "CONFIRM_SIGN_IN_WITH_CUSTOM_CHALLENGE")
	r.gives(t, "custom, right word", "DONE")
	r.gives(t, "custom after srp", "CONFIRM_SIGN_IN_WITH_CUSTOM_CHALLENGE")
	r.gives(t, "custom after srp, right word", "DONE")
	r.refused(t, "custom after srp, wrong password", "NotAuthorizedException", wrongPassword)
}
