package userpool

import (
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

func TestService_UpdateUserAttributes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.Schema = []api.SchemaAttributeType{{Name: wire.String("seat")}, {Name: wire.String("plan"), Mutable: wire.Bool(true)}}
	})
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.WriteAttributes = []string{"email", "name", "custom:seat"}
	}).ClientId
	h.member(pool, "ann@example.com", "email_verified", "true", "custom:seat", "1", "name", "Ann")
	h.member(pool, "eve@example.com", "email_verified", "true")
	at := *h.mustSignIn(client, "ann@example.com").AccessToken
	update := func(a ...api.AttributeType) error {
		_, err := h.c.UpdateUserAttributes(ctx, &api.UpdateUserAttributesRequest{AccessToken: at, UserAttributes: a})
		return err
	}
	read := func() map[string]string {
		return attributesOf(must[*api.GetUserResponse](t)(h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: at})).UserAttributes)
	}
	want(t, update(attr("email_verified", "true")), "NotAuthorizedException", "A client attempted to write unauthorized attribute")
	want(t, update(attr("sub", "x")), "NotAuthorizedException", "")
	want(t, update(attr("custom:plan", "pro")), "NotAuthorizedException", "")
	want(t, update(attr("custom:seat", "2")), "InvalidParameterException", "user.custom:seat: Attribute cannot be updated.\n")
	want(t, update(attr("custom:none", "2")), "InvalidParameterException", "")
	want(t, update(attr("email", "eve@example.com")), "AliasExistsException", "An account with the given email already exists.")
	want(t, update(attr("email", "nonsense")), "InvalidParameterException", "Invalid email address format.")
	want(t, update(attr("email", "")), "InvalidParameterException", "")
	if a := read(); a["email"] != "ann@example.com" || a["email_verified"] != "true" || a["name"] != "Ann" {
		t.Fatalf("a refused change changed %v", a)
	}
	if err := update(attr("name", "Anna"), attr("email", "anna@example.com")); err != nil {
		t.Fatal(err)
	}
	if a := read(); a["email"] != "anna@example.com" || a["email_verified"] != "false" || a["name"] != "Anna" {
		t.Errorf("got %v", a)
	}
	m := h.box.last(t)
	if m.Destination != "anna@example.com" || m.Kind != MessageUpdate {
		t.Errorf("got %+v", m)
	}
	verify := func(code string) error {
		_, err := h.c.VerifyUserAttribute(ctx, &api.VerifyUserAttributeRequest{AccessToken: at, AttributeName: "email", Code: code})
		return err
	}
	want(t, verify("nonsense"), "CodeMismatchException", "")
	must[*api.GetUserAttributeVerificationCodeResponse](t)(h.c.GetUserAttributeVerificationCode(ctx, &api.GetUserAttributeVerificationCodeRequest{AccessToken: at, AttributeName: "email"}))
	if m.Code != h.box.last(t).Code {
		want(t, verify(m.Code), "CodeMismatchException", "")
	}
	if err := verify(h.box.last(t).Code); err != nil {
		t.Fatal(err)
	}
	if a := read(); a["email_verified"] != "true" {
		t.Errorf("got %v", a)
	}
	must[*api.DeleteUserAttributesResponse](t)(h.c.DeleteUserAttributes(ctx, &api.DeleteUserAttributesRequest{AccessToken: at, UserAttributeNames: []string{"name"}}))
	if _, there := read()["name"]; there {
		t.Error("the attribute is still there")
	}
}

// A code for an address that was replaced meanwhile proves nothing.
func TestService_VerifyUserAttribute_staleCode(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.AutoVerifiedAttributes = nil; in.UsernameAttributes = nil })
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "eve", "email", "eve@example.com")
	at := *h.mustSignIn(client, "eve").AccessToken
	must[*api.GetUserAttributeVerificationCodeResponse](t)(h.c.GetUserAttributeVerificationCode(ctx, &api.GetUserAttributeVerificationCodeRequest{AccessToken: at, AttributeName: "email"}))
	code := h.box.last(t).Code
	must[*api.UpdateUserAttributesResponse](t)(h.c.UpdateUserAttributes(ctx, &api.UpdateUserAttributesRequest{AccessToken: at, UserAttributes: []api.AttributeType{attr("email", "ann@example.com")}}))
	_, _ = h.c.VerifyUserAttribute(ctx, &api.VerifyUserAttributeRequest{AccessToken: at, AttributeName: "email", Code: code})
	got := must[*api.GetUserResponse](t)(h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: at}))
	if a := attributesOf(got.UserAttributes); a["email_verified"] != "false" {
		t.Errorf("a stranger's address counts as proven: %v", a)
	}
}

func TestService_proofBeforeUpdate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UserAttributeUpdateSettings = &api.UserAttributeUpdateSettingsType{AttributesRequireVerificationBeforeUpdate: []api.VerifiedAttributeType{"email"}}
	})
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com", "email_verified", "true")
	h.member(pool, "eve@example.com")
	at := *h.mustSignIn(client, "ann@example.com").AccessToken
	_, err := h.c.UpdateUserAttributes(ctx, &api.UpdateUserAttributesRequest{AccessToken: at, UserAttributes: []api.AttributeType{attr("email", "eve@example.com")}})
	want(t, err, "AliasExistsException", "")
	must[*api.UpdateUserAttributesResponse](t)(h.c.UpdateUserAttributes(ctx, &api.UpdateUserAttributesRequest{AccessToken: at, UserAttributes: []api.AttributeType{attr("email", "new@example.com")}}))
	_, err = h.signIn(client, "new@example.com", goodPass)
	want(t, err, "UserNotFoundException", "")
	h.mustSignIn(client, "ann@example.com")
	must[*api.VerifyUserAttributeResponse](t)(h.c.VerifyUserAttribute(ctx, &api.VerifyUserAttributeRequest{AccessToken: at, AttributeName: "email", Code: h.box.last(t).Code}))
	h.mustSignIn(client, "new@example.com")
	_, err = h.signIn(client, "ann@example.com", goodPass)
	want(t, err, "UserNotFoundException", "")
}

func TestService_ChangePassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.Policies.PasswordPolicy.PasswordHistorySize = wire.Int32(2) })
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com")
	at := *h.mustSignIn(client, "ann@example.com").AccessToken
	change := func(from, to string) error {
		_, err := h.c.ChangePassword(ctx, &api.ChangePasswordRequest{AccessToken: at, PreviousPassword: &from, ProposedPassword: to})
		return err
	}
	want(t, change("wrong", "Another-horse-8"), "NotAuthorizedException", "Incorrect username or password.")
	want(t, change(goodPass, "short"), "InvalidPasswordException", "")
	want(t, change(goodPass, goodPass), "PasswordHistoryPolicyViolationException", "")
	if err := change(goodPass, "Another-horse-8"); err != nil {
		t.Fatal(err)
	}
	want(t, change("Another-horse-8", goodPass), "PasswordHistoryPolicyViolationException", "")
	if err := change("Another-horse-8", "Third-horse-900"); err != nil {
		t.Fatal(err)
	}
	if err := change("Third-horse-900", goodPass); err != nil { // forgotten by now
		t.Fatal(err)
	}
	h.mustSignIn(client, "ann@example.com")
	for range freeFailures {
		want(t, change("wrong", "Another-horse-8"), "NotAuthorizedException", "Incorrect username or password.")
	}
	want(t, change(goodPass, "Another-horse-8"), "NotAuthorizedException", "Password attempts exceeded")
}

// Who has no password shows none when he gives himself one; who has one shows it.
func TestService_ChangePassword_first(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.Policies.SignInPolicy = &api.SignInPolicyType{AllowedFirstAuthFactors: []api.AuthFactorType{"PASSWORD", "EMAIL_OTP"}}
	})
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH")
	}).ClientId
	must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(ctx, &api.AdminCreateUserRequest{UserPoolId: pool, Username: "ann@example.com", UserAttributes: []api.AttributeType{attr("email_verified", "true")}}))
	out := must[*api.InitiateAuthResponse](t)(h.c.InitiateAuth(ctx, &api.InitiateAuthRequest{AuthFlow: "USER_AUTH", ClientId: client, AuthParameters: map[string]string{"USERNAME": "ann@example.com", "PREFERRED_CHALLENGE": "EMAIL_OTP"}}))
	in := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "EMAIL_OTP", out.Session, "USERNAME", "ann@example.com", "EMAIL_OTP_CODE", h.box.last(t).Code))
	change := func(from *string, to string) error {
		_, err := h.c.ChangePassword(ctx, &api.ChangePasswordRequest{AccessToken: *in.AuthenticationResult.AccessToken, PreviousPassword: from, ProposedPassword: to})
		return err
	}
	want(t, change(wire.String("guess"), goodPass), "NotAuthorizedException", "Incorrect username or password.")
	want(t, change(nil, "short"), "InvalidPasswordException", "")
	if err := change(nil, goodPass); err != nil {
		t.Fatal(err)
	}
	h.mustSignIn(client, "ann@example.com")
	want(t, change(nil, goodPass+"x"), "NotAuthorizedException", "Incorrect username or password.")
}
