package userpool

import (
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

func signUpRequest(clientID, name, password string, attributes ...api.AttributeType) *api.SignUpRequest {
	return &api.SignUpRequest{ClientId: clientID, Username: name, Password: &password, UserAttributes: attributes}
}

func TestService_SignUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.Schema = []api.SchemaAttributeType{{Name: wire.String("name"), Required: wire.Bool(true)}}
	})
	client := *h.newClient(pool, nil).ClientId

	out, err := h.c.SignUp(ctx, signUpRequest(client, "ann@example.com", goodPass, attr("name", "Ann")))
	if err != nil {
		t.Fatal(err)
	}
	d := out.CodeDeliveryDetails
	if out.UserConfirmed || *d.AttributeName != "email" || d.DeliveryMedium != "EMAIL" || *d.Destination != "a***@e***" {
		t.Errorf("got %+v %+v", out, d)
	}
	m := h.box.last(t)
	if len(m.Code) != 6 || m.Destination != "ann@example.com" || !strings.Contains(m.Body, m.Code) {
		t.Errorf("got message %+v", m)
	}
	_, err = h.signIn(client, "ann@example.com", goodPass)
	want(t, err, "UserNotConfirmedException", "User is not confirmed.")
	_, err = h.srp(pool, client).signIn("ann@example.com", goodPass)
	want(t, err, "UserNotConfirmedException", "User is not confirmed.")
	_, err = h.signIn(client, "ann@example.com", "Wrong-horse-77")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")

	confirm := func(code string) error {
		_, err := h.c.ConfirmSignUp(ctx, &api.ConfirmSignUpRequest{ClientId: client, Username: "ann@example.com", ConfirmationCode: code})
		return err
	}
	wrong := "000000"
	if m.Code == wrong {
		wrong = "111111"
	}
	want(t, confirm(wrong), "CodeMismatchException", "Invalid verification code provided, please try again.")
	if err := confirm(m.Code); err != nil {
		t.Fatal(err)
	}
	want(t, confirm(m.Code), "NotAuthorizedException", "User cannot be confirmed. Current status is CONFIRMED")
	h.mustSignIn(client, "ann@example.com")
	got, err := h.c.AdminGetUser(ctx, &api.AdminGetUserRequest{UserPoolId: pool, Username: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if a := attributesOf(got.UserAttributes); a["email_verified"] != "true" || a["sub"] != out.UserSub || got.Username != out.UserSub {
		t.Errorf("got %v", a)
	}
}

func TestService_SignUp_refused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.Schema = []api.SchemaAttributeType{
			{Name: wire.String("name"), Required: wire.Bool(true)},
			{Name: wire.String("plan"), StringAttributeConstraints: &api.StringAttributeConstraintsType{MaxLength: wire.String("4")}},
			{Name: wire.String("age"), AttributeDataType: "Number", NumberAttributeConstraints: &api.NumberAttributeConstraintsType{MinValue: wire.String("6")}},
		}
	})
	client := *h.newClient(pool, nil).ClientId
	narrow := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.WriteAttributes = []string{"email", "name"}
	}).ClientId
	closed := *h.newClient(h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.AdminCreateUserConfig = &api.AdminCreateUserConfigType{AllowAdminCreateUserOnly: wire.Bool(true)}
	}), nil).ClientId
	name := attr("name", "Ann")
	if _, err := h.c.SignUp(t.Context(), signUpRequest(client, "taken@example.com", goodPass, name)); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		in            *api.SignUpRequest
		code, message string
	}{
		"short":             {signUpRequest(client, "a@example.com", "Short-1", name), "InvalidPasswordException", "Password did not conform with policy: Password not long enough"},
		"no upper case":     {signUpRequest(client, "a@example.com", "correct-horse-7", name), "InvalidPasswordException", "Password did not conform with policy: Password must have uppercase characters"},
		"no number":         {signUpRequest(client, "a@example.com", "Correct-horse-x", name), "InvalidPasswordException", "Password did not conform with policy: Password must have numeric characters"},
		"not an email":      {signUpRequest(client, "ann", goodPass, name), "InvalidParameterException", "Username should be an email."},
		"taken":             {signUpRequest(client, "taken@example.com", goodPass, name), "UsernameExistsException", "An account with the given email already exists."},
		"required":          {signUpRequest(client, "a@example.com", goodPass), "InvalidParameterException", "Attributes did not conform to the schema: name: The attribute is required\n"},
		"too long":          {signUpRequest(client, "a@example.com", goodPass, name, attr("custom:plan", "abcde")), "InvalidParameterException", "Attributes did not conform to the schema: custom:plan: String must be no longer than 4 characters\n"},
		"too small":         {signUpRequest(client, "a@example.com", goodPass, name, attr("custom:age", "5")), "InvalidParameterException", ""},
		"unknown attribute": {signUpRequest(client, "a@example.com", goodPass, name, attr("custom:x", "1")), "InvalidParameterException", ""},
		"verified":          {signUpRequest(client, "a@example.com", goodPass, name, attr("email_verified", "true")), "NotAuthorizedException", "A client attempted to write unauthorized attribute"},
		"sub":               {signUpRequest(client, "a@example.com", goodPass, name, attr("sub", "1")), "NotAuthorizedException", "A client attempted to write unauthorized attribute"},
		"not writable":      {signUpRequest(narrow, "a@example.com", goodPass, name, attr("custom:plan", "pro")), "NotAuthorizedException", "A client attempted to write unauthorized attribute"},
		"bad phone":         {signUpRequest(client, "a@example.com", goodPass, name, attr("phone_number", "0123")), "InvalidParameterException", "Invalid phone number format."},
		"twice":             {signUpRequest(client, "a@example.com", goodPass, name, name), "InvalidParameterException", ""},
		"closed pool":       {signUpRequest(closed, "a@example.com", goodPass), "NotAuthorizedException", "SignUp is not permitted for this user pool"},
		"unknown client":    {signUpRequest("nobody", "a@example.com", goodPass), "ResourceNotFoundException", "User pool client nobody does not exist."},
		"no password":       {&api.SignUpRequest{ClientId: client, Username: "a@example.com"}, "InvalidParameterException", ""},
	}
	for label, tt := range tests {
		t.Run(label, func(t *testing.T) {
			_, err := h.c.SignUp(t.Context(), tt.in)
			want(t, err, tt.code, tt.message)
		})
	}
	ok := signUpRequest(client, "b@example.com", goodPass, name, attr("custom:plan", "free"), attr("custom:age", "6"), attr("phone_number", "+4915112345678"))
	if _, err := h.c.SignUp(t.Context(), ok); err != nil {
		t.Errorf("the twin that must pass: %v", err)
	}
}

func TestService_SignUp_mailServerDown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	client := *h.newClient(h.newPoolID(nil), nil).ClientId
	h.box.fail = true
	if _, err := h.c.SignUp(t.Context(), signUpRequest(client, "ann@example.com", goodPass)); err != nil {
		t.Fatalf("a sign-up was lost: %v", err)
	}
	h.box.fail = false
	_, err := h.c.ResendConfirmationCode(t.Context(), &api.ResendConfirmationCodeRequest{ClientId: client, Username: "ann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.c.ConfirmSignUp(t.Context(), &api.ConfirmSignUpRequest{ClientId: client, Username: "ann@example.com", ConfirmationCode: h.box.last(t).Code})
	if err != nil {
		t.Error(err)
	}
}

func TestService_ConfirmSignUp_limits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	client := *h.newClient(h.newPoolID(nil), nil).ClientId
	must[*api.SignUpResponse](t)(h.c.SignUp(ctx, signUpRequest(client, "ann@example.com", goodPass)))
	confirm := func(code string) error {
		_, err := h.c.ConfirmSignUp(ctx, &api.ConfirmSignUpRequest{ClientId: client, Username: "ann@example.com", ConfirmationCode: code})
		return err
	}
	for range maxAttempts {
		want(t, confirm("x"), "CodeMismatchException", "")
	}
	right := h.box.last(t).Code
	want(t, confirm(right), "LimitExceededException", "Attempt limit exceeded, please try after some time.")
	// A new code does not bring new attempts.
	must[*api.ResendConfirmationCodeResponse](t)(h.c.ResendConfirmationCode(ctx, &api.ResendConfirmationCodeRequest{ClientId: client, Username: "ann@example.com"}))
	want(t, confirm(h.box.last(t).Code), "LimitExceededException", "")
	h.advance(codeWindow)
	want(t, confirm(right), "CodeMismatchException", "") // replaced
	h.advance(signUpCodeLife)
	want(t, confirm(h.box.last(t).Code), "ExpiredCodeException", "Invalid code provided, please request a code again.")
	must[*api.ResendConfirmationCodeResponse](t)(h.c.ResendConfirmationCode(ctx, &api.ResendConfirmationCodeRequest{ClientId: client, Username: "ann@example.com"}))
	if err := confirm(h.box.last(t).Code); err != nil {
		t.Error(err)
	}
}

func TestService_ResendConfirmationCode_limit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	client := *h.newClient(h.newPoolID(nil), nil).ClientId
	must[*api.SignUpResponse](t)(h.c.SignUp(t.Context(), signUpRequest(client, "ann@example.com", goodPass)))
	resend := func() error {
		_, err := h.c.ResendConfirmationCode(t.Context(), &api.ResendConfirmationCodeRequest{ClientId: client, Username: "ann@example.com"})
		return err
	}
	for range maxSends - 1 {
		if err := resend(); err != nil {
			t.Fatal(err)
		}
	}
	want(t, resend(), "LimitExceededException", "")
	h.advance(codeWindow)
	if err := resend(); err != nil {
		t.Error(err)
	}
}

func TestService_aliases(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes = nil
		in.AliasAttributes = []api.AliasAttributeType{"email", "preferred_username"}
		in.UsernameConfiguration = &api.UsernameConfigurationType{CaseSensitive: false}
	})
	client := *h.newClient(pool, nil).ClientId
	_, err := h.c.SignUp(ctx, signUpRequest(client, "ann@example.com", goodPass))
	want(t, err, "InvalidParameterException", "Username cannot be of email format, since user pool is configured for email alias.")

	signUp := func(name string) string {
		must[*api.SignUpResponse](t)(h.c.SignUp(ctx, signUpRequest(client, name, goodPass, attr("email", "ann@example.com"))))
		return h.box.last(t).Code
	}
	confirm := func(name, code string, force bool) error {
		_, err := h.c.ConfirmSignUp(ctx, &api.ConfirmSignUpRequest{ClientId: client, Username: name, ConfirmationCode: code, ForceAliasCreation: &force})
		return err
	}
	first, second := signUp("Ann"), signUp("eve")
	_, err = h.signIn(client, "ann@example.com", goodPass)
	want(t, err, "UserNotFoundException", "User does not exist.") // unproven: no alias
	if err := confirm("ann", first, false); err != nil {
		t.Fatal(err)
	}
	h.mustSignIn(client, "ANN@example.com")
	h.mustSignIn(client, "aNN")
	want(t, confirm("eve", second, false), "AliasExistsException", "An account with the email already exists.")
	sub := h.claims(h.mustSignIn(client, "ann@example.com").IdToken).String("cognito:username")
	if sub != "ann" {
		t.Errorf("got username %q", sub)
	}
	if err := confirm("eve", second, true); err != nil { // proven by her: the alias moves
		t.Fatal(err)
	}
	if got := h.claims(h.mustSignIn(client, "ann@example.com").IdToken).String("cognito:username"); got != "eve" {
		t.Errorf("the alias leads to %q", got)
	}
	got := must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(ctx, &api.AdminGetUserRequest{UserPoolId: pool, Username: "ann"}))
	if attributesOf(got.UserAttributes)["email_verified"] != "false" {
		t.Error("the former owner is still verified")
	}
	// Neither a username nor a preferred username leads to two people.
	_, err = h.c.AdminUpdateUserAttributes(ctx, &api.AdminUpdateUserAttributesRequest{UserPoolId: pool, Username: "eve", UserAttributes: []api.AttributeType{attr("preferred_username", "ANN")}})
	want(t, err, "AliasExistsException", "")
	_, err = h.c.SignUp(ctx, signUpRequest(client, "ANN", goodPass))
	want(t, err, "UsernameExistsException", "User already exists")
	h.advance(time.Second)
}

func TestService_ForgotPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com")
	forgot := func() error {
		_, err := h.c.ForgotPassword(ctx, &api.ForgotPasswordRequest{ClientId: client, Username: "ann@example.com"})
		return err
	}
	want(t, forgot(), "InvalidParameterException", "Cannot reset password for the user as there is no registered/verified email or phone_number")
	must[*api.AdminUpdateUserAttributesResponse](t)(h.c.AdminUpdateUserAttributes(ctx, &api.AdminUpdateUserAttributesRequest{UserPoolId: pool, Username: "ann@example.com", UserAttributes: []api.AttributeType{attr("email_verified", "true")}}))
	if err := forgot(); err != nil {
		t.Fatal(err)
	}
	code := h.box.last(t).Code
	confirm := func(code, password string) error {
		_, err := h.c.ConfirmForgotPassword(ctx, &api.ConfirmForgotPasswordRequest{ClientId: client, Username: "ann@example.com", ConfirmationCode: code, Password: password})
		return err
	}
	want(t, confirm(code, "short"), "InvalidPasswordException", "")
	want(t, confirm("wrong", "Another-horse-8"), "CodeMismatchException", "")
	if err := confirm(code, "Another-horse-8"); err != nil {
		t.Fatal(err)
	}
	want(t, confirm(code, "Another-horse-9"), "ExpiredCodeException", "")
	_, err := h.signIn(client, "ann@example.com", goodPass)
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	if _, err := h.signIn(client, "ann@example.com", "Another-horse-8"); err != nil {
		t.Error(err)
	}
	_, err = h.c.ForgotPassword(ctx, &api.ForgotPasswordRequest{ClientId: client, Username: "nobody@example.com"})
	want(t, err, "UserNotFoundException", "Username/client id combination not found.")

	must[*api.AdminResetUserPasswordResponse](t)(h.c.AdminResetUserPassword(ctx, &api.AdminResetUserPasswordRequest{UserPoolId: pool, Username: "ann@example.com"}))
	_, err = h.signIn(client, "ann@example.com", "Another-horse-8")
	want(t, err, "PasswordResetRequiredException", "Password reset required for the user")
	if err := confirm(h.box.last(t).Code, "Third-horse-900"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.signIn(client, "ann@example.com", "Third-horse-900"); err != nil {
		t.Error(err)
	}
}

// A code proves the address it went to. Changing the address in between must not
// make a stranger's address count as proven.
func TestService_ForgotPassword_addressChanged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	tokens := h.mustSignIn(client, "ann")
	must[*api.ForgotPasswordResponse](t)(h.c.ForgotPassword(ctx, &api.ForgotPasswordRequest{ClientId: client, Username: "ann"}))
	code := h.box.last(t).Code
	must[*api.UpdateUserAttributesResponse](t)(h.c.UpdateUserAttributes(ctx, &api.UpdateUserAttributesRequest{AccessToken: *tokens.AccessToken, UserAttributes: []api.AttributeType{attr("email", "victim@example.com")}}))
	_, err := h.c.ConfirmForgotPassword(ctx, &api.ConfirmForgotPasswordRequest{ClientId: client, Username: "ann", ConfirmationCode: code, Password: "Another-horse-8"})
	if err == nil {
		t.Error("the code outlived the address")
	}
	got := must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(ctx, &api.AdminGetUserRequest{UserPoolId: pool, Username: "ann"}))
	if a := attributesOf(got.UserAttributes); a["email"] != "victim@example.com" || a["email_verified"] != "false" {
		t.Errorf("got %v", a)
	}
}
