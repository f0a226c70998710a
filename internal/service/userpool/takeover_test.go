package userpool

import (
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// A name that somebody chooses must not lead to him who types the address of another: not as a
// username, not as a preferred one, and in no spelling that is compared like it.
func TestTakeover_addressAsName(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes = nil
		in.AliasAttributes = []api.AliasAttributeType{"email", "phone_number", "preferred_username"}
	})
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true", "phone_number", "+15555550100", "phone_number_verified", "true")
	h.member(pool, "mallory")
	at := *h.mustSignIn(client, "mallory").AccessToken
	prefer := func(name string) error {
		_, err := h.c.UpdateUserAttributes(ctx, &api.UpdateUserAttributesRequest{AccessToken: at, UserAttributes: []api.AttributeType{attr("preferred_username", name)}})
		return err
	}
	for _, name := range []string{"ann@example.com", "ANN@example.com", "ann\uff20example.com", "\uff41nn\ufe6bexample.com"} {
		_, err := h.c.SignUp(ctx, &api.SignUpRequest{ClientId: client, Username: name, Password: wire.String(goodPass)})
		want(t, err, "InvalidParameterException", "Username cannot be of email format, since user pool is configured for email alias.")
		_, err = h.c.AdminCreateUser(ctx, &api.AdminCreateUserRequest{UserPoolId: pool, Username: name})
		want(t, err, "InvalidParameterException", "")
		want(t, prefer(name), "InvalidParameterException", "Preferred username cannot be of email format, since user pool is configured for email alias.")
	}
	for _, name := range []string{"+15555550100", "\uff0b15555550100", "+1555555010\uff10"} {
		_, err := h.c.SignUp(ctx, &api.SignUpRequest{ClientId: client, Username: name, Password: wire.String(goodPass)})
		want(t, err, "InvalidParameterException", "Username cannot be of phone number format, since user pool is configured for phone number alias.")
		want(t, prefer(name), "InvalidParameterException", "Preferred username cannot be of phone number format, since user pool is configured for phone number alias.")
	}
	if err := prefer("mal"); err != nil {
		t.Error(err)
	}
	for name, who := range map[string]string{"ann@example.com": "ann", "+15555550100": "ann", "mal": "mallory"} {
		if got := h.claims(h.mustSignIn(client, name).AccessToken).String("username"); got != who {
			t.Errorf("%s is signed in as %s", name, got)
		}
	}
}

// Where addresses are no aliases, usernames may look like them.
func TestTakeover_addressAsName_noAlias(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes, in.AliasAttributes = nil, []api.AliasAttributeType{"preferred_username"}
	})
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com", "preferred_username", "bob@example.com")
	h.mustSignIn(client, "bob@example.com")
}

// Administrators name users by their sub, too. Nobody can register it as a name.
func TestTakeover_subAsName(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes, in.AliasAttributes = nil, []api.AliasAttributeType{"preferred_username"}
	})
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann")
	h.member(pool, "mallory")
	get := func(name string) *api.AdminGetUserResponse {
		return must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(ctx, &api.AdminGetUserRequest{UserPoolId: pool, Username: name}))
	}
	sub := attributesOf(get("ann").UserAttributes)["sub"]
	_, err := h.c.SignUp(ctx, &api.SignUpRequest{ClientId: client, Username: sub, Password: wire.String(goodPass)})
	want(t, err, "UsernameExistsException", "User already exists")
	must[*api.SignUpResponse](t)(h.c.SignUp(ctx, &api.SignUpRequest{ClientId: client, Username: "0d9fd4ee-7d1c-4d3e-9d3b-0d4c1c9f6a01", Password: wire.String(goodPass)}))
	at := *h.mustSignIn(client, "mallory").AccessToken
	must[*api.UpdateUserAttributesResponse](t)(h.c.UpdateUserAttributes(ctx, &api.UpdateUserAttributesRequest{AccessToken: at, UserAttributes: []api.AttributeType{attr("preferred_username", sub)}}))
	if got := get(sub).Username; got != "ann" {
		t.Errorf("the sub of ann leads to %s", got)
	}
	if got := get("0d9fd4ee-7d1c-4d3e-9d3b-0d4c1c9f6a01").Username; got != "0d9fd4ee-7d1c-4d3e-9d3b-0d4c1c9f6a01" {
		t.Errorf("a username leads to %s", got)
	}
}

// Only who has the code learns that a password is an old one: it would tell strangers, as often as
// they ask, which password somebody has.
func TestTakeover_historyOracle(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.Policies.PasswordPolicy.PasswordHistorySize = wire.Int32(3) })
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com", "email_verified", "true")
	confirm := func(code, password string) error {
		_, err := h.c.ConfirmForgotPassword(ctx, &api.ConfirmForgotPasswordRequest{ClientId: client, Username: "ann@example.com", ConfirmationCode: code, Password: password})
		return err
	}
	want(t, confirm("000000", goodPass), "ExpiredCodeException", "")
	must[*api.ForgotPasswordResponse](t)(h.c.ForgotPassword(ctx, &api.ForgotPasswordRequest{ClientId: client, Username: "ann@example.com"}))
	code := h.box.last(t).Code
	for range maxAttempts - 1 {
		want(t, confirm(wrongCode(code), goodPass), "CodeMismatchException", "")
	}
	want(t, confirm(code, goodPass), "PasswordHistoryPolicyViolationException", "")
	if err := confirm(code, goodPass+"x"); err != nil { // the code was not used up
		t.Fatal(err)
	}
	// Nor does the answer tell the code, once there were too many guesses.
	h.advance(codeWindow)
	must[*api.ForgotPasswordResponse](t)(h.c.ForgotPassword(ctx, &api.ForgotPasswordRequest{ClientId: client, Username: "ann@example.com"}))
	code = h.box.last(t).Code
	for range maxAttempts {
		want(t, confirm(wrongCode(code), goodPass), "CodeMismatchException", "")
	}
	want(t, confirm(code, goodPass), "LimitExceededException", "")
}
