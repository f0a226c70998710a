package e2e

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	idp "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"
)

// says checks the sentence of an error.
func says(t *testing.T, what string, err error, sentence string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), sentence) {
		t.Errorf("%s: got %v, want %q", what, err, sentence)
	}
}

// as is a class of the SDK's errors.
func as[E error](t *testing.T, what string, err error) { t.Helper(); failsAs[E](t, what, err) }

// refusal is a call that must fail.
type refusal struct {
	what     string
	err      error
	class    func(*testing.T, string, error)
	sentence string
}

func checkRefusals(t *testing.T, list []refusal) {
	t.Helper()
	for _, r := range list {
		r.class(t, r.what, r.err)
		says(t, r.what, r.err, r.sentence)
	}
}

// failure drops what a call gave beside its error.
func failure[T any](_ T, err error) error { return err }

// userPoolErrors: each error of the directory arrives as the class that the SDK for Go has for it.
func userPoolErrors(t *testing.T, d *directory) {
	p := d.people(t, idp.CreateUserPoolInput{
		PoolName: aws.String("errors"), AliasAttributes: []types.AliasAttributeType{types.AliasAttributeTypeEmail},
		Policies: &types.UserPoolPolicyType{PasswordPolicy: &types.PasswordPolicyType{MinimumLength: aws.Int32(12), RequireUppercase: true, RequireNumbers: true, PasswordHistorySize: aws.Int32(2)}},
	})
	d.factors(t, p, types.UserPoolMfaTypeOptional, false)
	d.member(t, p, "otto", membersPassword, map[string]string{"name": "Otto"})
	checkRefusals(t, signUpErrors(t, d, p))
	checkRefusals(t, signInErrors(t, d, p))
	checkRefusals(t, accountErrors(t, d, p))
	checkRefusals(t, administrationErrors(t, d, p))
}

func signUpErrors(t *testing.T, d *directory, p people) []refusal {
	t.Helper()
	ctx := t.Context()
	signUp := func(name, email, password string) error {
		return failure(d.users.SignUp(ctx, &idp.SignUpInput{ClientId: &p.client, Username: &name, Password: &password, UserAttributes: []types.AttributeType{
			{Name: aws.String("email"), Value: &email}, {Name: aws.String("name"), Value: &name},
		}}))
	}
	confirm := func(name, code string) error {
		return failure(d.users.ConfirmSignUp(ctx, &idp.ConfirmSignUpInput{ClientId: &p.client, Username: &name, ConfirmationCode: &code}))
	}
	if err := signUp("nina", "nina@example.com", membersPassword); err != nil {
		t.Fatal(err)
	}
	if err := signUp("twin", "otto@example.com", membersPassword); err != nil {
		t.Fatal(err)
	}
	twins, err := d.code(ctx, "otto@example.com")
	if err != nil {
		t.Fatal(err)
	}
	list := []refusal{
		{"short password", signUp("x", "x@example.com", "Short-1"), as[*types.InvalidPasswordException], "Password did not conform with policy: Password not long enough"},
		{"password without a capital", signUp("x", "x@example.com", "correct-horse-7"), as[*types.InvalidPasswordException], "Password did not conform with policy: Password must have uppercase characters"},
		{"password without a digit", signUp("x", "x@example.com", "Correct-Horse-Battery"), as[*types.InvalidPasswordException], "Password did not conform with policy: Password must have numeric characters"},
		{"name taken", signUp("otto", "o@example.com", membersPassword), as[*types.UsernameExistsException], "User already exists"},
		{"name that is an address", signUp("x@example.com", "x@example.com", membersPassword), as[*types.InvalidParameterException], "Username cannot be of email format, since user pool is configured for email alias."},
		{"address taken", confirm("twin", twins), as[*types.AliasExistsException], "An account with the email already exists."},
		{"wrong code", confirm("nina", "000000x"), as[*types.CodeMismatchException], "Invalid verification code provided, please try again."},
		{"code of nobody", confirm("nobody", "123456"), as[*types.ExpiredCodeException], "Invalid code provided, please request a code again."},
		{"not confirmed", failure(d.signIn(ctx, p.client, user{email: "nina", password: membersPassword})), as[*types.UserNotConfirmedException], "User is not confirmed."},
	}
	// A code is sent ten times an hour: once with the sign-up, and nine times again.
	for range 9 {
		if _, err = d.users.ResendConfirmationCode(ctx, &idp.ResendConfirmationCodeInput{ClientId: &p.client, Username: aws.String("nina")}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = d.users.ResendConfirmationCode(ctx, &idp.ResendConfirmationCodeInput{ClientId: &p.client, Username: aws.String("nina")})
	return append(list, refusal{"a code once more", err, as[*types.LimitExceededException], "Attempt limit exceeded, please try after some time."})
}

func signInErrors(t *testing.T, d *directory, p people) []refusal {
	t.Helper()
	ctx := t.Context()
	begin := func(flow types.AuthFlowType, params map[string]string) error {
		return failure(d.users.InitiateAuth(ctx, &idp.InitiateAuthInput{ClientId: &p.client, AuthFlow: flow, AuthParameters: params}))
	}
	answer := func(challenge types.ChallengeNameType, session string, params map[string]string) error {
		return failure(d.users.RespondToAuthChallenge(ctx, &idp.RespondToAuthChallengeInput{ClientId: &p.client, ChallengeName: challenge, Session: &session, ChallengeResponses: params}))
	}
	d.member(t, p, "lost", membersPassword, map[string]string{"name": "Lost"})
	d.member(t, p, "gone", membersPassword, map[string]string{"name": "Gone"})
	name := aws.String("lost")
	if _, err := d.users.AdminResetUserPassword(ctx, &idp.AdminResetUserPasswordInput{UserPoolId: &p.pool, Username: name}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.users.AdminDisableUser(ctx, &idp.AdminDisableUserInput{UserPoolId: &p.pool, Username: aws.String("gone")}); err != nil {
		t.Fatal(err)
	}
	password := func(name, password string) map[string]string {
		return map[string]string{"USERNAME": name, "PASSWORD": password}
	}
	return []refusal{
		{"wrong password", begin(types.AuthFlowTypeUserPasswordAuth, password("otto", "Wrong-Horse-7-Battery")), as[*types.NotAuthorizedException], "Incorrect username or password."},
		{"unknown user", begin(types.AuthFlowTypeUserPasswordAuth, password("nobody", membersPassword)), as[*types.NotAuthorizedException], "Incorrect username or password."},
		{"disabled user", begin(types.AuthFlowTypeUserPasswordAuth, password("gone", membersPassword)), as[*types.NotAuthorizedException], "User is disabled."},
		{"password reset", begin(types.AuthFlowTypeUserPasswordAuth, password("lost", membersPassword)), as[*types.PasswordResetRequiredException], "Password reset required for the user"},
		{"no password", begin(types.AuthFlowTypeUserPasswordAuth, map[string]string{"USERNAME": "otto"}), as[*types.InvalidParameterException], "Missing required parameter PASSWORD"},
		{"an administrator's flow", begin(types.AuthFlowTypeAdminUserPasswordAuth, password("otto", membersPassword)), as[*types.InvalidParameterException], "Initiate Auth method not supported."},
		{"no functions", begin(types.AuthFlowTypeCustomAuth, map[string]string{"USERNAME": "otto"}), as[*types.InvalidUserPoolConfigurationException], "Custom auth lambda trigger is not configured for the user pool."},
		{"garbage for a refresh token", begin(types.AuthFlowTypeRefreshTokenAuth, map[string]string{"REFRESH_TOKEN": "garbage"}), as[*types.NotAuthorizedException], "Invalid Refresh Token"},
		{"garbage for a session", answer(types.ChallengeNameTypeSoftwareTokenMfa, strings.Repeat("garbage", 5), map[string]string{"USERNAME": "otto", "SOFTWARE_TOKEN_MFA_CODE": "123456"}), as[*types.NotAuthorizedException], "Invalid session for the user."},
		{"unknown client", failure(d.signIn(ctx, "0000000000000000000000000a", user{email: "otto", password: membersPassword})), as[*types.ResourceNotFoundException], "User pool client 0000000000000000000000000a does not exist."},
	}
}

func accountErrors(t *testing.T, d *directory, p people) []refusal {
	t.Helper()
	ctx := t.Context()
	tok, err := d.signIn(ctx, p.client, user{email: "otto", password: membersPassword})
	if err != nil {
		t.Fatal(err)
	}
	verify := func(code string) error {
		return failure(d.users.VerifySoftwareToken(ctx, &idp.VerifySoftwareTokenInput{AccessToken: &tok.access, UserCode: &code}))
	}
	change := func(old, fresh string) error {
		return failure(d.users.ChangePassword(ctx, &idp.ChangePasswordInput{AccessToken: &tok.access, PreviousPassword: &old, ProposedPassword: &fresh}))
	}
	update := func(name, value string) error {
		return failure(d.users.UpdateUserAttributes(ctx, &idp.UpdateUserAttributesInput{AccessToken: &tok.access, UserAttributes: []types.AttributeType{{Name: &name, Value: &value}}}))
	}
	early := verify("123456")
	if _, err := d.users.AssociateSoftwareToken(ctx, &idp.AssociateSoftwareTokenInput{AccessToken: &tok.access}); err != nil {
		t.Fatal(err)
	}
	return []refusal{
		{"no token associated", early, as[*types.SoftwareTokenMFANotFoundException], "Software token MFA has not been associated."},
		{"wrong token code", verify("000000"), as[*types.EnableSoftwareTokenMFAException], "Code mismatch"},
		{"token preferred, unverified", failure(d.users.SetUserMFAPreference(ctx, &idp.SetUserMFAPreferenceInput{AccessToken: &tok.access, SoftwareTokenMfaSettings: &types.SoftwareTokenMfaSettingsType{Enabled: true}})), as[*types.InvalidParameterException], "User has not verified software token mfa"},
		{"wrong old password", change("Wrong-Horse-7-Battery", "Another-Horse-8-Battery"), as[*types.NotAuthorizedException], "Incorrect username or password."},
		{"the same password", change(membersPassword, membersPassword), as[*types.PasswordHistoryPolicyViolationException], ""},
		{"unknown attribute", update("custom:shoe", "42"), as[*types.InvalidParameterException], "custom:shoe: Attribute does not exist in the schema."},
		{"a name too long", update("name", strings.Repeat("n", 2049)), as[*types.InvalidParameterException], "Member must have length less than or equal to 2048"},
		{"verify what was not sent", failure(d.users.VerifyUserAttribute(ctx, &idp.VerifyUserAttributeInput{AccessToken: &tok.access, AttributeName: aws.String("email"), Code: aws.String("123456")})), as[*types.ExpiredCodeException], "Invalid code provided, please request a code again."},
		{"altered access token", failure(d.users.GetUser(ctx, &idp.GetUserInput{AccessToken: aws.String(tok.access[:len(tok.access)-4])})), as[*types.NotAuthorizedException], ""},
		{"an ID token", failure(d.users.GetUser(ctx, &idp.GetUserInput{AccessToken: &tok.id})), as[*types.NotAuthorizedException], "Invalid Access Token"},
		{"an access token revoked", failure(d.users.RevokeToken(ctx, &idp.RevokeTokenInput{ClientId: &p.client, Token: &tok.access})), as[*types.UnsupportedTokenTypeException], ""},
		{"a device where none are tracked", failure(d.users.ConfirmDevice(ctx, &idp.ConfirmDeviceInput{AccessToken: &tok.access, DeviceKey: aws.String(region + "_00000000-0000-0000-0000-000000000000")})), as[*types.InvalidUserPoolConfigurationException], ""},
		{"recovery with no code", failure(d.users.ConfirmForgotPassword(ctx, &idp.ConfirmForgotPasswordInput{ClientId: &p.client, Username: aws.String("otto"), ConfirmationCode: aws.String("123456"), Password: aws.String("Another-Horse-8-Battery")})), as[*types.ExpiredCodeException], "Invalid code provided, please request a code again."},
	}
}

func administrationErrors(t *testing.T, d *directory, p people) []refusal {
	t.Helper()
	ctx, nobody, otto := t.Context(), aws.String("nobody"), aws.String("otto")
	group := &idp.CreateGroupInput{UserPoolId: &p.pool, GroupName: aws.String("readers")}
	if _, err := d.users.CreateGroup(ctx, group); err != nil {
		t.Fatal(err)
	}
	client := func(change func(*idp.CreateUserPoolClientInput)) error {
		in := idp.CreateUserPoolClientInput{UserPoolId: &p.pool, ClientName: aws.String("more"), AllowedOAuthFlowsUserPoolClient: true, AllowedOAuthFlows: []types.OAuthFlowType{types.OAuthFlowTypeClientCredentials}, GenerateSecret: true}
		change(&in)
		return failure(d.users.CreateUserPoolClient(ctx, &in))
	}
	create := func(in idp.AdminCreateUserInput) error {
		in.UserPoolId = &p.pool
		return failure(d.users.AdminCreateUser(ctx, &in))
	}
	filter := func(f string) error {
		return failure(d.users.ListUsers(ctx, &idp.ListUsersInput{UserPoolId: &p.pool, Filter: &f}))
	}
	return []refusal{
		{"unknown user", failure(d.users.AdminGetUser(ctx, &idp.AdminGetUserInput{UserPoolId: &p.pool, Username: nobody})), as[*types.UserNotFoundException], "User does not exist."},
		{"unknown pool", failure(d.users.DescribeUserPool(ctx, &idp.DescribeUserPoolInput{UserPoolId: aws.String(region + "_nothing00")})), as[*types.ResourceNotFoundException], "User pool us-east-1_nothing00 does not exist."},
		{"user again", create(idp.AdminCreateUserInput{Username: otto}), as[*types.UsernameExistsException], "User account already exists"},
		{"address again", create(idp.AdminCreateUserInput{Username: aws.String("olga"), UserAttributes: []types.AttributeType{
			{Name: aws.String("email"), Value: aws.String("otto@example.com")}, {Name: aws.String("email_verified"), Value: aws.String("true")},
		}}), as[*types.UsernameExistsException], "An account with the email already exists."},
		{"invitation of a member", create(idp.AdminCreateUserInput{Username: otto, MessageAction: types.MessageActionTypeResend}), as[*types.UnsupportedUserStateException], "Resend not possible. User status is not FORCE_CHANGE_PASSWORD"},
		{"weak password", failure(d.users.AdminSetUserPassword(ctx, &idp.AdminSetUserPasswordInput{UserPoolId: &p.pool, Username: otto, Password: aws.String("weakling")})), as[*types.InvalidPasswordException], "Password did not conform with policy: Password not long enough"},
		{"group again", failure(d.users.CreateGroup(ctx, group)), as[*types.GroupExistsException], "A group with the name already exists."},
		{"unknown group", failure(d.users.AdminAddUserToGroup(ctx, &idp.AdminAddUserToGroupInput{UserPoolId: &p.pool, Username: otto, GroupName: aws.String("writers")})), as[*types.ResourceNotFoundException], "Group not found."},
		{"unknown scope", client(func(in *idp.CreateUserPoolClientInput) { in.AllowedOAuthScopes = []string{"courses/fly"} }), as[*types.ScopeDoesNotExistException], ""},
		{"flows that exclude each other", client(func(in *idp.CreateUserPoolClientInput) {
			in.AllowedOAuthFlows = append(in.AllowedOAuthFlows, types.OAuthFlowTypeCode)
			in.CallbackURLs = []string{"https://example.com"}
		}), as[*types.InvalidOAuthFlowException], ""},
		{"a filter that says nothing", filter("name"), as[*types.InvalidParameterException], ""},
		{"a filter on what cannot be searched", filter(`custom:team = "red"`), as[*types.InvalidParameterException], ""},
	}
}
