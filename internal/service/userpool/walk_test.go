package userpool

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"moat/internal/pure/srp"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// trodden is an operation as somebody uses it for the first time: a call that is refused, with code
// and sentence, and then one that works. Bodies are the members of a request; {name} stands for
// what is known by then.
type trodden struct {
	op, bad, code, sentence string
	good                    string
	keep                    []string // name=Path.To.Member of the answer
	before                  func(*visitor)
}

type visitor struct {
	*house
	vars map[string]string
	key  *authenticator
}

func (w *visitor) fill(body string) string {
	body = strings.ReplaceAll(body, "RAW", w.vars["credential"]) // JSON itself
	pairs := []string{}
	for name, value := range w.vars {
		quoted, err := json.Marshal(value)
		if err != nil {
			w.t.Fatal(err)
		}
		pairs = append(pairs, "{"+name+"}", string(quoted[1:len(quoted)-1]))
	}
	return "{" + strings.NewReplacer(pairs...).Replace(body) + "}"
}

func (w *visitor) call(op wire.Operation, body string) (any, error) {
	in, out := op.NewInput(), reflect.New(op.Output).Interface()
	if err := json.Unmarshal([]byte(w.fill(body)), in); err != nil {
		w.t.Fatalf("%s: %v in %s", op.Name, err, w.fill(body))
	}
	return out, w.Invoke(w.t.Context(), "", op.Name, in, out)
}

// take finds a member of an answer; a number names an element of a list.
func (w *visitor) take(op string, out any, path string) string {
	raw, err := json.Marshal(out)
	if err != nil {
		w.t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		w.t.Fatal(err)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[name]
		case []any:
			v = at[0]
		}
	}
	text, ok := v.(string)
	if !ok {
		w.t.Fatalf("%s: no %s in %s", op, path, raw)
	}
	return text
}

func (w *visitor) step(op wire.Operation, s trodden) {
	w.t.Helper()
	if s.before != nil {
		s.before(w)
	}
	_, err := w.call(op, s.bad)
	e, ok := err.(wire.Exception)
	if !ok || e.ErrorCode() != s.code || "{"+e.ErrorMessage()+"}" != w.fill(s.sentence) {
		w.t.Errorf("%s refused: got %v, want %s: %s", s.op, err, s.code, w.fill(s.sentence))
	}
	out, err := w.call(op, s.good)
	if err != nil {
		w.t.Fatalf("%s: %v", s.op, err)
	}
	for _, k := range s.keep {
		name, path, _ := strings.Cut(k, "=")
		w.vars[name] = w.take(s.op, out, path)
	}
}

// Each operation that is built, once refused and once not, as one life of a pool.
func TestWalk(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.stock()
	w := &visitor{house: h, vars: map[string]string{"good": goodPass, "role": logsRole}, key: newAuthenticator(t)}
	operations, trod := map[string]wire.Operation{}, map[string]bool{}
	for _, op := range api.New(h.Service).Operations {
		operations[op.Name] = op
	}
	for _, list := range [][]trodden{walkPool(), walkSignUp(), walkUser(), walkFactors(), walkAdministration(), walkEnd()} {
		for _, s := range list {
			op, ok := operations[s.op]
			if !ok {
				t.Fatalf("there is no operation %s", s.op)
			}
			trod[s.op] = true
			w.step(op, s)
		}
	}
	for name, op := range operations {
		if trod[name] {
			continue
		}
		_, err := op.Call(wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: testRegion}), op.NewInput())
		if e, ok := err.(wire.Exception); !ok || e.ErrorCode() != "NotImplemented" && e.ErrorCode() != "ResourceNotFoundException" {
			t.Errorf("%s was not walked: %v", name, err)
		}
	}
	if len(trod) < 101 {
		t.Errorf("only %d operations were walked", len(trod))
	}
}

const (
	inPool    = `"UserPoolId":"{pool}",`
	noSuch    = `"UserPoolId":"eu-central-1_nobody000",`
	noPool0   = "User pool eu-central-1_nobody000 does not exist."
	notFound0 = "ResourceNotFoundException"
	param     = "InvalidParameterException"
	denied    = "NotAuthorizedException"
)

func walkPool() []trodden {
	return []trodden{
		{op: "CreateUserPool", bad: `"PoolName":"w","AliasAttributes":["email"],"UsernameAttributes":["email"]`, code: param,
			sentence: "Only one of the aliasAttributes or usernameAttributes can be set in a user pool.",
			good: `"PoolName":"walk","AliasAttributes":["email"],"AutoVerifiedAttributes":["email"],"DeviceConfiguration":{},"UserPoolAddOns":{"AdvancedSecurityMode":"AUDIT"},
				"Policies":{"PasswordPolicy":{"MinimumLength":8},"SignInPolicy":{"AllowedFirstAuthFactors":["PASSWORD","WEB_AUTHN"]}}`, keep: []string{"pool=UserPool.Id", "arn=UserPool.Arn"}},
		{op: "DescribeUserPool", bad: noSuch + `"x":0`, code: notFound0, sentence: noPool0, good: inPool + `"x":0`},
		{op: "ListUserPools", bad: `"MaxResults":0`, code: param, sentence: "1 validation error detected: Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1", good: `"MaxResults":60`},
		{op: "AddCustomAttributes", bad: inPool + `"CustomAttributes":[{"Name":"a","Required":true}]`, code: param, sentence: "Required custom attributes are not supported currently.",
			good: inPool + `"CustomAttributes":[{"Name":"plan","AttributeDataType":"String","Mutable":true}]`},
		{op: "TagResource", bad: `"ResourceArn":"{arn}","Tags":{"aws:x":"y"}`, code: param, sentence: "Tag keys cannot start with aws:", good: `"ResourceArn":"{arn}","Tags":{"team":"a"}`},
		{op: "ListTagsForResource", bad: `"ResourceArn":"arn:aws:cognito-idp:eu-central-1:000000000000:userpool/eu-central-1_nobody000"`, code: notFound0, sentence: noPool0, good: `"ResourceArn":"{arn}"`, keep: []string{"team=Tags.team"}},
		{op: "UntagResource", bad: `"ResourceArn":"arn:aws:cognito-idp:eu-central-1:000000000000:userpool/eu-central-1_nobody000","TagKeys":["team"]`, code: notFound0, sentence: noPool0, good: `"ResourceArn":"{arn}","TagKeys":["team"]`},
		{op: "CreateUserPoolDomain", bad: inPool + `"Domain":"my-cognito"`, code: param, sentence: "Domain cannot contain reserved word or invalid characters: my-cognito", good: inPool + `"Domain":"walk"`},
		{op: "UpdateUserPoolDomain", bad: inPool + `"Domain":"other"`, code: param, sentence: "No such domain or user pool exists.", good: inPool + `"Domain":"walk","ManagedLoginVersion":1`},
		{op: "DescribeUserPoolDomain", bad: `"Domain":"UPPER"`, code: param, sentence: "1 validation error detected: Value 'UPPER' at 'domain' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-z0-9](?:[a-z0-9\\-]{0,61}[a-z0-9])?$",
			good: `"Domain":"walk"`, keep: []string{"x=DomainDescription.UserPoolId"}},
		{op: "CreateResourceServer", bad: inPool + `"Identifier":"s","Name":"s","Scopes":[{"ScopeName":"r","ScopeDescription":"r"},{"ScopeName":"r","ScopeDescription":"r"}]`, code: param, sentence: "Duplicate scopes are not allowed: r",
			good: inPool + `"Identifier":"s","Name":"s","Scopes":[{"ScopeName":"r","ScopeDescription":"r"}]`},
		{op: "DescribeResourceServer", bad: inPool + `"Identifier":"t"`, code: notFound0, sentence: "Resource server t does not exist.", good: inPool + `"Identifier":"s"`},
		{op: "UpdateResourceServer", bad: inPool + `"Identifier":"t","Name":"t"`, code: notFound0, sentence: "Resource server t does not exist.", good: inPool + `"Identifier":"s","Name":"t"`},
		{op: "ListResourceServers", bad: inPool + `"NextToken":"x"`, code: param, sentence: "Invalid pagination token.", good: inPool + `"MaxResults":50`},
		{op: "CreateUserPoolClient", bad: inPool + `"ClientName":"c","AllowedOAuthFlows":["client_credentials"],"AllowedOAuthScopes":["s/r"],"AllowedOAuthFlowsUserPoolClient":true`, code: "InvalidOAuthFlowException",
			sentence: "client_credentials flow can not be selected if client does not have a client secret.",
			good:     inPool + `"ClientName":"confidential","GenerateSecret":true`, keep: []string{"confidential=UserPoolClient.ClientId"}},
		{op: "CreateUserPoolClient", bad: inPool + `"ClientName":"c","WriteAttributes":["email_verified"]`, code: param, sentence: "Invalid write attributes specified while creating a client.",
			good: inPool + `"ClientName":"web","ExplicitAuthFlows":["ALLOW_USER_PASSWORD_AUTH","ALLOW_ADMIN_USER_PASSWORD_AUTH","ALLOW_USER_AUTH","ALLOW_REFRESH_TOKEN_AUTH"]`, keep: []string{"client=UserPoolClient.ClientId"}},
		{op: "DescribeUserPoolClient", bad: inPool + `"ClientId":"nobody"`, code: notFound0, sentence: "User pool client nobody does not exist.", good: inPool + `"ClientId":"{client}"`},
		{op: "UpdateUserPoolClient", bad: inPool + `"ClientId":"{confidential}","AccessTokenValidity":25`, code: param, sentence: "Invalid range for token validity. Access token validity must be between 5 minutes and 1 day.",
			good: inPool + `"ClientId":"{confidential}","AccessTokenValidity":1,"ExplicitAuthFlows":["ALLOW_USER_PASSWORD_AUTH"]`},
		{op: "ListUserPoolClients", bad: inPool + `"NextToken":"x"`, code: param, sentence: "Invalid pagination token.", good: inPool + `"MaxResults":1`},
		{op: "AddUserPoolClientSecret", bad: inPool + `"ClientId":"{client}"`, code: param, sentence: "The client was created without a secret and cannot be given one.", good: inPool + `"ClientId":"{confidential}"`, keep: []string{"secretID=ClientSecretDescriptor.ClientSecretId", "secret=ClientSecretDescriptor.ClientSecretValue"}},
		{op: "ListUserPoolClientSecrets", bad: inPool + `"ClientId":"nobody"`, code: notFound0, sentence: "User pool client nobody does not exist.", good: inPool + `"ClientId":"{confidential}"`, keep: []string{"oldSecret=ClientSecrets.0.ClientSecretId"}},
		{op: "DeleteUserPoolClientSecret", bad: inPool + `"ClientId":"{confidential}","ClientSecretId":"{client}--x"`, code: notFound0, sentence: "The client has no secret with this id.", good: inPool + `"ClientId":"{confidential}","ClientSecretId":"{oldSecret}"`},
		{op: "SetRiskConfiguration", bad: inPool + `"RiskExceptionConfiguration":{"BlockedIPRangeList":["10.0.0.0/99"]}`, code: param, sentence: "Invalid IP range: 10.0.0.0/99", good: inPool + `"RiskExceptionConfiguration":{"BlockedIPRangeList":["10.0.0.0/8"]}`},
		{op: "DescribeRiskConfiguration", bad: inPool + `"ClientId":"nobody"`, code: notFound0, sentence: "User pool client nobody does not exist.", good: inPool + `"ClientId":"{client}"`},
		{op: "SetLogDeliveryConfiguration", bad: inPool + `"LogConfigurations":[{"EventSource":"userNotification","LogLevel":"INFO"}]`, code: param, sentence: "The log level of the event source userNotification is ERROR.", good: inPool + `"LogConfigurations":[]`},
		{op: "GetLogDeliveryConfiguration", bad: noSuch + `"x":0`, code: notFound0, sentence: noPool0, good: inPool + `"x":0`},
		{op: "CreateGroup", bad: noSuch + `"GroupName":"g"`, code: notFound0, sentence: noPool0, good: inPool + `"GroupName":"g","Precedence":1`},
		{op: "GetGroup", bad: inPool + `"GroupName":"h"`, code: notFound0, sentence: "Group not found.", good: inPool + `"GroupName":"g"`},
		{op: "UpdateGroup", bad: inPool + `"GroupName":"h"`, code: notFound0, sentence: "Group not found.", good: inPool + `"GroupName":"g","Description":"d"`},
		{op: "ListGroups", bad: inPool + `"NextToken":"x"`, code: param, sentence: "Invalid pagination token.", good: inPool + `"Limit":1`},
	}
}

// sent reads the newest code.
func sent(w *visitor) {
	w.vars["code"] = w.box.last(w.t).Code
	w.vars["wrong"] = wrongCode(w.vars["code"])
}

func walkSignUp() []trodden {
	const ann = `"ClientId":"{client}","Username":"ann",`
	mail := `"UserAttributes":[{"Name":"email","Value":"ann@example.com"}]`
	return []trodden{
		{op: "SignUp", bad: ann + `"Password":"Abc12"`, code: "InvalidPasswordException", sentence: "Password did not conform with policy: Password not long enough", good: ann + `"Password":"{good}",` + mail},
		{op: "ResendConfirmationCode", bad: `"ClientId":"{confidential}","Username":"ann"`, code: denied, sentence: "Client {confidential} is configured with secret but SECRET_HASH was not received", good: ann + `"x":0`},
		{op: "ConfirmSignUp", before: sent, bad: ann + `"ConfirmationCode":"{wrong}"`, code: "CodeMismatchException", sentence: "Invalid verification code provided, please try again.", good: ann + `"ConfirmationCode":"{code}"`},
		{op: "ForgotPassword", bad: `"ClientId":"{client}","Username":"zoe"`, code: "UserNotFoundException", sentence: "Username/client id combination not found.", good: ann + `"x":0`},
		{op: "ConfirmForgotPassword", before: sent, bad: ann + `"ConfirmationCode":"{wrong}","Password":"{good}"`, code: "CodeMismatchException", sentence: "Invalid verification code provided, please try again.", good: ann + `"ConfirmationCode":"{code}","Password":"{good}"`},
		{op: "InitiateAuth", bad: `"ClientId":"{client}","AuthFlow":"USER_PASSWORD_AUTH","AuthParameters":{"USERNAME":"ann","PASSWORD":"wrong"}`, code: denied, sentence: "Incorrect username or password.",
			good: `"ClientId":"{client}","AuthFlow":"USER_PASSWORD_AUTH","AuthParameters":{"USERNAME":"ann","PASSWORD":"{good}"}`,
			keep: []string{"at=AuthenticationResult.AccessToken", "rt=AuthenticationResult.RefreshToken", "device=AuthenticationResult.NewDeviceMetadata.DeviceKey", "group=AuthenticationResult.NewDeviceMetadata.DeviceGroupKey"}},
		{op: "AdminInitiateAuth", bad: inPool + `"ClientId":"{client}","AuthFlow":"USER_PASSWORD_AUTH","AuthParameters":{"USERNAME":"ann","PASSWORD":"{good}"}`, code: param, sentence: "Initiate Auth method not supported.",
			good: inPool + `"ClientId":"{client}","AuthFlow":"USER_AUTH","AuthParameters":{"USERNAME":"ann"}`, keep: []string{"session=Session"}},
		{op: "AdminRespondToAuthChallenge", bad: inPool + `"ClientId":"{client}","ChallengeName":"SELECT_CHALLENGE","Session":"{session}","ChallengeResponses":{"USERNAME":"ann","ANSWER":"SMS_OTP"}`, code: param, sentence: "SMS_OTP is not one of the available challenges.",
			good: inPool + `"ClientId":"{client}","ChallengeName":"SELECT_CHALLENGE","Session":"{session}","ChallengeResponses":{"USERNAME":"ann","ANSWER":"PASSWORD","PASSWORD":"{good}"}`},
		{op: "GetTokensFromRefreshToken", bad: `"ClientId":"{client}","RefreshToken":"eyJ4"`, code: denied, sentence: "Invalid Refresh Token", good: `"ClientId":"{client}","RefreshToken":"{rt}"`},
	}
}

func walkUser() []trodden {
	const me, nobody = `"AccessToken":"{at}",`, `"AccessToken":"e30.e30.e30",`
	invalid := "Invalid Access Token"
	return []trodden{
		{op: "GetUser", bad: nobody + `"x":0`, code: denied, sentence: invalid, good: me + `"x":0`},
		{op: "GetUserAuthFactors", bad: nobody + `"x":0`, code: denied, sentence: invalid, good: me + `"x":0`},
		{op: "UpdateUserAttributes", bad: me + `"UserAttributes":[{"Name":"email_verified","Value":"true"}]`, code: denied, sentence: "A client attempted to write unauthorized attribute", good: me + `"UserAttributes":[{"Name":"custom:plan","Value":"b"}]`},
		{op: "DeleteUserAttributes", bad: me + `"UserAttributeNames":["sub"]`, code: denied, sentence: "A client attempted to write unauthorized attribute", good: me + `"UserAttributeNames":["custom:plan"]`},
		{op: "GetUserAttributeVerificationCode", bad: me + `"AttributeName":"name"`, code: param, sentence: "Invalid attribute name: name. Only email and phone_number can be verified.", good: me + `"AttributeName":"email"`},
		{op: "VerifyUserAttribute", before: sent, bad: me + `"AttributeName":"email","Code":"{wrong}"`, code: "CodeMismatchException", sentence: "Invalid verification code provided, please try again.", good: me + `"AttributeName":"email","Code":"{code}"`},
		{op: "ChangePassword", bad: me + `"PreviousPassword":"wrong","ProposedPassword":"{good}"`, code: denied, sentence: "Incorrect username or password.", good: me + `"PreviousPassword":"{good}","ProposedPassword":"{good}"`},
		{op: "ConfirmDevice", before: func(w *visitor) {
			v := srp.Verifier(srp.Identity{Pool: w.vars["group"], User: w.vars["device"]}, []byte("sixteen bytes ok"), devicePassword)
			w.vars["verifier"] = base64.StdEncoding.EncodeToString(append([]byte{0}, v...))
		}, bad: me + `"DeviceKey":"{device}","DeviceSecretVerifierConfig":{"Salt":"c2FsdA==","PasswordVerifier":"AA=="}`, code: param, sentence: "Invalid device secret verifier config.",
			good: me + `"DeviceKey":"{device}","DeviceSecretVerifierConfig":{"Salt":"c2FsdA==","PasswordVerifier":"{verifier}"}`},
		{op: "GetDevice", bad: me + `"DeviceKey":"eu-central-1_0d9fd4ee-7d1c-4d3e-9d3b-0d4c1c9f6a01"`, code: notFound0, sentence: "Device does not exist.", good: me + `"DeviceKey":"{device}"`},
		{op: "UpdateDeviceStatus", bad: me + `"DeviceKey":"{device}"`, code: param, sentence: "DeviceRememberedStatus is required.", good: me + `"DeviceKey":"{device}","DeviceRememberedStatus":"not_remembered"`},
		{op: "ListDevices", bad: me + `"PaginationToken":"x"`, code: param, sentence: "Invalid pagination token.", good: me + `"Limit":1`, keep: []string{"x=Devices.0.DeviceKey"}},
		{op: "AdminGetDevice", bad: inPool + `"Username":"zoe","DeviceKey":"{device}"`, code: notFound0, sentence: "User does not exist.", good: inPool + `"Username":"ann","DeviceKey":"{device}"`},
		{op: "AdminListDevices", bad: inPool + `"Username":"zoe"`, code: notFound0, sentence: "User does not exist.", good: inPool + `"Username":"ann"`},
		{op: "AdminUpdateDeviceStatus", bad: inPool + `"Username":"zoe","DeviceKey":"{device}","DeviceRememberedStatus":"remembered"`, code: "UserNotFoundException", sentence: "User does not exist.", good: inPool + `"Username":"ann","DeviceKey":"{device}","DeviceRememberedStatus":"not_remembered"`},
	}
}

func walkFactors() []trodden {
	const me = `"AccessToken":"{at}",`
	return []trodden{
		{op: "SetUserPoolMfaConfig", bad: inPool + `"MfaConfiguration":"ON"`, code: param, sentence: "Invalid MFA configuration given, can't disable all MFAs with an MFA configuration of required or optional.",
			good: inPool + `"MfaConfiguration":"OPTIONAL","SoftwareTokenMfaConfiguration":{"Enabled":true},"WebAuthnConfiguration":{"RelyingPartyId":"example.com"}`},
		{op: "GetUserPoolMfaConfig", bad: noSuch + `"x":0`, code: notFound0, sentence: noPool0, good: inPool + `"x":0`, keep: []string{"x=MfaConfiguration"}},
		{op: "AssociateSoftwareToken", bad: `"x":0`, code: param, sentence: "Only one of AccessToken or Session should be provided.", good: me + `"x":0`, keep: []string{"seed=SecretCode"}},
		{op: "VerifySoftwareToken", before: func(w *visitor) {
			seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(w.vars["seed"])
			if err != nil {
				w.t.Fatal(err)
			}
			w.vars["code"] = w.code(seed)
			w.vars["wrong"] = wrongCode(w.vars["code"])
		}, bad: me + `"UserCode":"{wrong}"`, code: "EnableSoftwareTokenMFAException", sentence: "Code mismatch", good: me + `"UserCode":"{code}"`},
		{op: "SetUserMFAPreference", bad: me + `"SMSMfaSettings":{"Enabled":true}`, code: param, sentence: "SMS_MFA is not enabled for the user pool.", good: me + `"SoftwareTokenMfaSettings":{"Enabled":true,"PreferredMfa":true}`},
		{op: "AdminSetUserMFAPreference", bad: inPool + `"Username":"ann","SoftwareTokenMfaSettings":{"PreferredMfa":true}`, code: param, sentence: "An MFA method that is not enabled cannot be preferred.", good: inPool + `"Username":"ann","SoftwareTokenMfaSettings":{"Enabled":false}`},
		{op: "SetUserSettings", bad: me + `"MFAOptions":[{"DeliveryMedium":"EMAIL","AttributeName":"email"}]`, code: param, sentence: "Only SMS to phone_number can be set by this operation.", good: me + `"MFAOptions":[]`},
		{op: "AdminSetUserSettings", bad: inPool + `"Username":"zoe","MFAOptions":[]`, code: "UserNotFoundException", sentence: "User does not exist.", good: inPool + `"Username":"ann","MFAOptions":[]`},
		{op: "StartWebAuthnRegistration", bad: `"AccessToken":"e30.e30.e30"`, code: denied, sentence: "Invalid Access Token", good: me + `"x":0`},
		{op: "CompleteWebAuthnRegistration", before: func(w *visitor) {
			out := must[*api.StartWebAuthnRegistrationResponse](w.t)(w.c.StartWebAuthnRegistration(w.t.Context(), &api.StartWebAuthnRegistrationRequest{AccessToken: w.vars["at"]}))
			w.vars["credential"] = string(w.key.create(out.CredentialCreationOptions))
		}, bad: me + `"Credential":{"id":"x"}`, code: param, sentence: "The credential cannot be read.", good: me + `"Credential":RAW`},
		{op: "ListWebAuthnCredentials", bad: me + `"NextToken":"x"`, code: param, sentence: "Invalid pagination token.", good: me + `"MaxResults":1`, keep: []string{"passkey=Credentials.0.CredentialId"}},
		{op: "DeleteWebAuthnCredential", bad: me + `"CredentialId":"nobody"`, code: notFound0, sentence: "The credential does not exist.", good: me + `"CredentialId":"{passkey}"`},
		{op: "AdminForgetDevice", bad: inPool + `"Username":"ann","DeviceKey":"eu-central-1_0d9fd4ee-7d1c-4d3e-9d3b-0d4c1c9f6a01"`, code: notFound0, sentence: "Device does not exist.", good: inPool + `"Username":"ann","DeviceKey":"{device}"`},
		{op: "InitiateAuth", bad: `"ClientId":"{client}","AuthFlow":"REFRESH_TOKEN_AUTH","AuthParameters":{"REFRESH_TOKEN":"{rt}"}`, code: denied, sentence: "Refresh Token has been revoked", // with its device
			good: `"ClientId":"{client}","AuthFlow":"USER_PASSWORD_AUTH","AuthParameters":{"USERNAME":"ann","PASSWORD":"{good}"}`,
			keep: []string{"at=AuthenticationResult.AccessToken", "rt=AuthenticationResult.RefreshToken", "device=AuthenticationResult.NewDeviceMetadata.DeviceKey", "group=AuthenticationResult.NewDeviceMetadata.DeviceGroupKey"}},
		{op: "ForgetDevice", before: func(w *visitor) {
			w.confirmDevice(wire.String(w.vars["at"]), &api.NewDeviceMetadataType{DeviceKey: wire.String(w.vars["device"]), DeviceGroupKey: wire.String(w.vars["group"])})
		},
			bad: `"DeviceKey":"{device}"`, code: param, sentence: "Missing required parameter AccessToken", good: me + `"DeviceKey":"{device}"`},
		{op: "InitiateAuth", bad: `"ClientId":"{client}","AuthFlow":"USER_SRP_AUTH","AuthParameters":{"USERNAME":"ann","SRP_A":"1"}`, code: param, sentence: "USER_SRP_AUTH is not enabled for the client.",
			good: `"ClientId":"{client}","AuthFlow":"USER_PASSWORD_AUTH","AuthParameters":{"USERNAME":"ann","PASSWORD":"{good}"}`, keep: []string{"at=AuthenticationResult.AccessToken"}},
	}
}

func walkAdministration() []trodden {
	const bob, zoe = inPool + `"Username":"bob",`, inPool + `"Username":"zoe",`
	const gone = "User does not exist."
	list := []trodden{
		{op: "AdminCreateUser", bad: inPool + `"Username":"bob@example.com"`, code: param, sentence: "Username cannot be of email format, since user pool is configured for email alias.",
			good: bob + `"MessageAction":"SUPPRESS","TemporaryPassword":"{good}","UserAttributes":[{"Name":"email","Value":"bob@example.com"},{"Name":"email_verified","Value":"true"}]`},
		{op: "AdminGetUser", bad: zoe + `"x":0`, code: "UserNotFoundException", sentence: gone, good: bob + `"x":0`},
		{op: "InitiateAuth", bad: `"ClientId":"{client}","AuthFlow":"CUSTOM_AUTH","AuthParameters":{"USERNAME":"bob"}`, code: param, sentence: "CUSTOM_AUTH is not enabled for the client.",
			good: `"ClientId":"{client}","AuthFlow":"USER_PASSWORD_AUTH","AuthParameters":{"USERNAME":"bob","PASSWORD":"{good}"}`, keep: []string{"session=Session"}},
		{op: "RespondToAuthChallenge", bad: `"ClientId":"{client}","ChallengeName":"NEW_PASSWORD_REQUIRED","Session":"{session}","ChallengeResponses":{"USERNAME":"ann","NEW_PASSWORD":"{good}2"}`, code: denied, sentence: "Invalid session for the user.",
			good: `"ClientId":"{client}","ChallengeName":"NEW_PASSWORD_REQUIRED","Session":"{session}","ChallengeResponses":{"USERNAME":"bob","NEW_PASSWORD":"{good}2"}`, keep: []string{"bobs=AuthenticationResult.AccessToken", "bobsRefresh=AuthenticationResult.RefreshToken"}},
		{op: "RevokeToken", bad: `"ClientId":"{client}","Token":"{bobs}"`, code: "UnsupportedTokenTypeException", sentence: "Only refresh tokens can be revoked.", good: `"ClientId":"{client}","Token":"{bobsRefresh}"`},
		{op: "GlobalSignOut", bad: `"AccessToken":"{bobs}"`, code: denied, sentence: "Access Token has been revoked", good: `"AccessToken":"{at}"`},
		{op: "AdminSetUserPassword", bad: bob + `"Password":"short"`, code: "InvalidPasswordException", sentence: "Password did not conform with policy: Password not long enough", good: bob + `"Password":"{good}","Permanent":true`},
		{op: "AdminUpdateUserAttributes", bad: bob + `"UserAttributes":[{"Name":"custom:none","Value":"x"}]`, code: param, sentence: "user.custom:none: Attribute does not exist in the schema.\n", good: bob + `"UserAttributes":[{"Name":"custom:plan","Value":"x"}]`},
		{op: "AdminDeleteUserAttributes", bad: bob + `"UserAttributeNames":["sub"]`, code: param, sentence: "user.sub: Attribute cannot be updated.\n", good: bob + `"UserAttributeNames":["custom:plan"]`},
		{op: "ListUsers", bad: inPool + `"Filter":"custom:plan = \"x\""`, code: param, sentence: "Invalid search attribute: custom:plan", good: inPool + `"Filter":"email ^= \"bob\""`, keep: []string{"x=Users.0.Username"}},
		{op: "AdminAddUserToGroup", bad: bob + `"GroupName":"h"`, code: notFound0, sentence: "Group not found.", good: bob + `"GroupName":"g"`},
		{op: "AdminListGroupsForUser", bad: bob + `"NextToken":"x"`, code: param, sentence: "Invalid pagination token.", good: bob + `"x":0`, keep: []string{"x=Groups.0.GroupName"}},
		{op: "ListUsersInGroup", bad: inPool + `"GroupName":"h"`, code: notFound0, sentence: "Group not found.", good: inPool + `"GroupName":"g"`, keep: []string{"x=Users.0.Username"}},
		{op: "AdminListUserAuthEvents", bad: zoe + `"x":0`, code: "UserNotFoundException", sentence: gone, good: bob + `"x":0`, keep: []string{"event=AuthEvents.0.EventId"}},
		{op: "AdminUpdateAuthEventFeedback", bad: bob + `"EventId":"none","FeedbackValue":"Valid"`, code: notFound0, sentence: "The event does not exist.", good: bob + `"EventId":"{event}","FeedbackValue":"Valid"`},
		{op: "UpdateAuthEventFeedback", before: func(w *visitor) {
			var err error
			w.vars["feedback"], err = w.sealJSON(sealFeedback, feedbackToken{Pool: w.vars["pool"], User: "bob", Event: w.vars["event"], ExpiresAt: w.time().Add(feedbackLife)})
			if err != nil {
				w.t.Fatal(err)
			}
		}, bad: inPool + `"Username":"ann","EventId":"{event}","FeedbackToken":"{feedback}","FeedbackValue":"Invalid"`, code: denied, sentence: "Invalid feedback token.",
			good: bob + `"EventId":"{event}","FeedbackToken":"{feedback}","FeedbackValue":"Invalid"`},
		{op: "AdminResetUserPassword", bad: zoe + `"x":0`, code: "UserNotFoundException", sentence: gone, good: bob + `"x":0`},
		{op: "SignUp", bad: `"ClientId":"{client}","Username":"bob","Password":"{good}"`, code: "UsernameExistsException", sentence: "User already exists", good: `"ClientId":"{client}","Username":"cat","Password":"{good}"`},
		{op: "AdminConfirmSignUp", bad: bob + `"x":0`, code: denied, sentence: "User cannot be confirmed. Current status is RESET_REQUIRED", good: inPool + `"Username":"cat"`},
	}
	for _, op := range []string{"AdminDisableUser", "AdminEnableUser", "AdminUserGlobalSignOut"} {
		list = append(list, trodden{op: op, bad: zoe + `"x":0`, code: "UserNotFoundException", sentence: gone, good: bob + `"x":0`})
	}
	return append(list,
		trodden{op: "AdminRemoveUserFromGroup", bad: bob + `"GroupName":"h"`, code: notFound0, sentence: "Group not found.", good: bob + `"GroupName":"g"`},
		trodden{op: "AdminDeleteUser", bad: zoe + `"x":0`, code: "UserNotFoundException", sentence: gone, good: bob + `"x":0`},
	)
}

func walkEnd() []trodden {
	job := func(op string, before func(*visitor)) trodden {
		return trodden{op: op, bad: inPool + `"JobId":"import-0000000000"`, code: notFound0, sentence: "The user import job does not exist.", good: inPool + `"JobId":"{job}"`, before: before}
	}
	return []trodden{
		{op: "GetCSVHeader", bad: noSuch + `"x":0`, code: notFound0, sentence: noPool0, good: inPool + `"x":0`},
		{op: "CreateUserImportJob", bad: noSuch + `"JobName":"j","CloudWatchLogsRoleArn":"{role}"`, code: notFound0, sentence: noPool0, good: inPool + `"JobName":"j","CloudWatchLogsRoleArn":"{role}"`, keep: []string{"job=UserImportJob.JobId", "url=UserImportJob.PreSignedUrl"}},
		job("DescribeUserImportJob", nil),
		{op: "ListUserImportJobs", bad: inPool + `"MaxResults":0`, code: param, sentence: "1 validation error detected: Value '0' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 1", good: inPool + `"MaxResults":1`},
		job("StartUserImportJob", func(w *visitor) {
			if status := w.upload(w.vars["url"], strings.NewReader("cognito:username\nx\n"), nil); status != 200 {
				w.t.Fatal(status)
			}
		}),
		job("StopUserImportJob", nil),
		{op: "InitiateAuth", bad: `"ClientId":"{confidential}","AuthFlow":"USER_PASSWORD_AUTH","AuthParameters":{"USERNAME":"ann","PASSWORD":"{good}","SECRET_HASH":"AAAA"}`, code: denied, sentence: "Unable to verify secret hash for client {confidential}",
			before: func(w *visitor) { w.vars["hash"] = secretHash(w.vars["secret"], "ann", w.vars["confidential"]) },
			good:   `"ClientId":"{confidential}","AuthFlow":"USER_PASSWORD_AUTH","AuthParameters":{"USERNAME":"ann","PASSWORD":"{good}","SECRET_HASH":"{hash}"}`, keep: []string{"at=AuthenticationResult.AccessToken"}},
		{op: "DeleteUser", bad: `"AccessToken":"e30.e30.e30"`, code: denied, sentence: "Invalid Access Token", good: `"AccessToken":"{at}"`},
		{op: "DeleteGroup", bad: inPool + `"GroupName":"h"`, code: notFound0, sentence: "Group not found.", good: inPool + `"GroupName":"g"`},
		{op: "DeleteResourceServer", bad: inPool + `"Identifier":"t"`, code: notFound0, sentence: "Resource server t does not exist.", good: inPool + `"Identifier":"s"`},
		{op: "DeleteUserPoolClient", bad: inPool + `"ClientId":"nobody"`, code: notFound0, sentence: "User pool client nobody does not exist.", good: inPool + `"ClientId":"{client}"`},
		{op: "DeleteUserPoolDomain", bad: inPool + `"Domain":"other"`, code: param, sentence: "No such domain or user pool exists.", good: inPool + `"Domain":"walk"`},
		{op: "UpdateUserPool", bad: inPool + `"UserAttributeUpdateSettings":{"AttributesRequireVerificationBeforeUpdate":["email"]}`, code: param, sentence: "AttributesRequireVerificationBeforeUpdate should be a subset of AutoVerifiedAttributes.", good: inPool + `"DeletionProtection":"ACTIVE"`},
		{op: "UpdateUserPool", bad: noSuch + `"x":0`, code: notFound0, sentence: noPool0, good: inPool + `"DeletionProtection":"INACTIVE"`},
		{op: "DeleteUserPool", bad: noSuch + `"x":0`, code: notFound0, sentence: noPool0, good: inPool + `"x":0`},
	}
}

// Every operation of a user's own refuses the token of one who is gone, in words of its model.
func TestWalk_userGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.Policies.SignInPolicy = &api.SignInPolicyType{AllowedFirstAuthFactors: []api.AuthFactorType{"PASSWORD", "WEB_AUTHN"}}
		in.DeviceConfiguration = &api.DeviceConfigurationType{}
	})
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com")
	token := h.mustSignIn(client, "ann@example.com").AccessToken
	must[*api.AdminDeleteUserOutput](t)(h.c.AdminDeleteUser(t.Context(), &api.AdminDeleteUserRequest{UserPoolId: pool, Username: "ann@example.com"}))
	tried := 0
	for _, op := range api.New(h.Service).Operations {
		in := op.NewInput()
		f := reflect.ValueOf(in).Elem().FieldByName("AccessToken")
		if !f.IsValid() {
			continue
		}
		body := `{"AccessToken":"` + *token + `","AttributeName":"email","Code":"123456","CredentialId":"x","Credential":{},"DeviceKey":"eu-central-1_0d9fd4ee-7d1c-4d3e-9d3b-0d4c1c9f6a01",
			"DeviceRememberedStatus":"remembered","MFAOptions":[],"ProposedPassword":"` + goodPass + `","UserAttributeNames":["name"],"UserAttributes":[],"UserCode":"123456"}`
		if err := json.Unmarshal([]byte(body), in); err != nil {
			t.Fatal(err)
		}
		err := h.Invoke(t.Context(), "", op.Name, in, reflect.New(op.Output).Interface())
		e, ok := err.(wire.Exception)
		if !ok || e.ErrorCode() != denied && e.ErrorCode() != "UserNotFoundException" || e.ErrorMessage() != "User does not exist." {
			t.Errorf("%s: %v", op.Name, err)
		}
		tried++
	}
	if tried < 20 {
		t.Errorf("only %d operations were tried", tried)
	}
}
