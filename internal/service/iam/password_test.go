package iam

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

func TestAccountAlias(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	aliases := func() []string {
		return must(t)(h.iam.ListAccountAliases(ctx, &iamapi.ListAccountAliasesRequest{})).(*iamapi.ListAccountAliasesResponse).AccountAliases
	}
	if l := aliases(); len(l) != 0 {
		t.Errorf("%v", l)
	}
	must(t)(h.iam.CreateAccountAlias(ctx, &iamapi.CreateAccountAliasRequest{AccountAlias: "first"}))
	must(t)(h.iam.CreateAccountAlias(ctx, &iamapi.CreateAccountAliasRequest{AccountAlias: "my-company"}))
	if l := aliases(); len(l) != 1 || l[0] != "my-company" {
		t.Errorf("%v", l)
	}
	_, err := h.iam.CreateAccountAlias(ctx, &iamapi.CreateAccountAliasRequest{AccountAlias: "my-company"})
	want(t, "again", err, "EntityAlreadyExists", "The account alias my-company already exists.")
	_, err = h.iam.DeleteAccountAlias(ctx, &iamapi.DeleteAccountAliasRequest{AccountAlias: "first"})
	want(t, "not it", err, "NoSuchEntity", "The account alias with name first cannot be found.")
	for _, bad := range []string{"UPPER", "-a-", "a--b", "ab-", "a", "a_b", strings.Repeat("a", 64)} {
		_, err := h.iam.CreateAccountAlias(ctx, &iamapi.CreateAccountAliasRequest{AccountAlias: bad})
		want(t, bad, err, "ValidationError", "")
	}
	must(t)(h.iam.DeleteAccountAlias(ctx, &iamapi.DeleteAccountAliasRequest{AccountAlias: "my-company"}))
	if l := aliases(); len(l) != 0 {
		t.Errorf("%v", l)
	}
}

func TestPasswordPolicy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	const missing = "The Password Policy with domain name 000000000000 cannot be found."
	_, err := h.iam.GetAccountPasswordPolicy(ctx, &iamapi.GetAccountPasswordPolicyInput{})
	want(t, "none", err, "NoSuchEntity", missing)
	_, err = h.iam.DeleteAccountPasswordPolicy(ctx, &iamapi.DeleteAccountPasswordPolicyInput{})
	want(t, "delete none", err, "NoSuchEntity", missing)
	must(t)(h.iam.UpdateAccountPasswordPolicy(ctx, &iamapi.UpdateAccountPasswordPolicyRequest{MaxPasswordAge: wire.Int32(30), RequireNumbers: wire.Bool(true)}))
	must(t)(h.iam.UpdateAccountPasswordPolicy(ctx, &iamapi.UpdateAccountPasswordPolicyRequest{RequireSymbols: wire.Bool(true)}))
	p := must(t)(h.iam.GetAccountPasswordPolicy(ctx, &iamapi.GetAccountPasswordPolicyInput{})).(*iamapi.GetAccountPasswordPolicyResponse).PasswordPolicy
	if *p.MinimumPasswordLength != 6 || *p.RequireNumbers || !*p.RequireSymbols || *p.ExpirePasswords || p.MaxPasswordAge != nil || p.PasswordReusePrevention != nil {
		t.Errorf("%+v", p)
	}
	for _, bad := range []iamapi.UpdateAccountPasswordPolicyRequest{{MinimumPasswordLength: wire.Int32(5)}, {MaxPasswordAge: wire.Int32(0)}, {PasswordReusePrevention: wire.Int32(25)}} {
		_, err := h.iam.UpdateAccountPasswordPolicy(ctx, &bad)
		want(t, "out of range", err, "ValidationError", "")
	}
	must(t)(h.iam.DeleteAccountPasswordPolicy(ctx, &iamapi.DeleteAccountPasswordPolicyInput{}))
	_, err = h.iam.GetAccountPasswordPolicy(ctx, &iamapi.GetAccountPasswordPolicyInput{})
	want(t, "deleted", err, "NoSuchEntity", missing)
}

func TestPasswordPolicy_check(t *testing.T) {
	t.Parallel()
	all := &PasswordPolicy{MinLength: 6, Symbols: true, Numbers: true, Upper: true, Lower: true}
	for _, tt := range []struct {
		rules    *PasswordPolicy
		password string
		ok       bool
	}{
		{nil, "Abcdef12", true}, {nil, "abcdef12", false}, {nil, "Abc12!x", false}, {nil, "abcdef1!", true}, {nil, "my-Alias1", false},
		{all, "aB1!xx", true}, {all, "aB1!x", false}, {all, "ab1!xx", false}, {all, "AB1!XX", false}, {all, "aBc!xx", false}, {all, "aB1xxx", false}, {all, "aB1ßxx", false},
		{&PasswordPolicy{MinLength: 6}, "aaaaaa", true},
	} {
		a := AccountSettings{Account: account, Alias: "my-Alias1", Passwords: tt.rules}
		if err := a.check(tt.password); (err == nil) != tt.ok {
			t.Errorf("%q under %+v: %v", tt.password, tt.rules, err)
		}
	}
}

func (h *house) change(key sigv4.Credentials, old, password string) error {
	_, err := h.iam.ChangePassword(h.as(key), &iamapi.ChangePasswordRequest{OldPassword: old, NewPassword: password})
	return err
}

func TestLoginProfile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	key := h.user("alice", "")
	name := wire.String("alice")
	create := &iamapi.CreateLoginProfileRequest{UserName: name, Password: wire.String("Correct-Horse-1"), PasswordResetRequired: wire.Bool(true)}
	_, err := h.iam.CreateLoginProfile(ctx, &iamapi.CreateLoginProfileRequest{UserName: name, Password: wire.String("short")})
	want(t, "too short", err, "PasswordPolicyViolation", "Password does not conform to the account password policy.")
	_, err = h.iam.GetLoginProfile(ctx, &iamapi.GetLoginProfileRequest{UserName: name})
	want(t, "none", err, "NoSuchEntity", "Login Profile for User alice cannot be found.")
	must(t)(h.iam.CreateLoginProfile(ctx, create))
	_, err = h.iam.CreateLoginProfile(ctx, create)
	want(t, "twice", err, "EntityAlreadyExists", "Login Profile for user alice already exists.")
	if p := must(t)(h.iam.GetLoginProfile(ctx, &iamapi.GetLoginProfileRequest{UserName: name})).(*iamapi.GetLoginProfileResponse).LoginProfile; !*p.PasswordResetRequired || p.UserName != "alice" {
		t.Errorf("%+v", p)
	}
	// Users change their own password by their policies, or by the account's.
	want(t, "not allowed", h.change(key, "Correct-Horse-1", "Battery-Staple-2"), "AccessDenied", "")
	must(t)(h.iam.UpdateAccountPasswordPolicy(ctx, &iamapi.UpdateAccountPasswordPolicyRequest{AllowUsersToChangePassword: wire.Bool(true), PasswordReusePrevention: wire.Int32(2), MinimumPasswordLength: wire.Int32(8)}))
	want(t, "wrong old", h.change(key, "correct-horse-1", "Battery-Staple-2"), "AccessDenied", "The old password was incorrect.")
	want(t, "against the policy", h.change(key, "Correct-Horse-1", "short"), "PasswordPolicyViolation", "")
	want(t, "the same", h.change(key, "Correct-Horse-1", "Correct-Horse-1"), "PasswordPolicyViolation", "")
	if err := h.change(key, "Correct-Horse-1", "Battery-Staple-2"); err != nil {
		t.Fatal(err)
	}
	if p := must(t)(h.iam.GetLoginProfile(ctx, &iamapi.GetLoginProfileRequest{UserName: name})).(*iamapi.GetLoginProfileResponse).LoginProfile; *p.PasswordResetRequired {
		t.Error("still to be reset")
	}
	want(t, "the one before", h.change(key, "Battery-Staple-2", "Correct-Horse-1"), "PasswordPolicyViolation", "")
	want(t, "the old one", h.change(key, "Correct-Horse-1", "Third-3-Third"), "AccessDenied", "The old password was incorrect.")
	// A renamed user keeps the password; one that is two back may come again.
	must(t)(h.iam.UpdateUser(ctx, &iamapi.UpdateUserRequest{UserName: "alice", NewUserName: wire.String("alicia")}))
	if err := h.change(key, "Battery-Staple-2", "Third-3-Third"); err != nil {
		t.Fatal(err)
	}
	if err := h.change(key, "Third-3-Third", "Correct-Horse-1"); err != nil {
		t.Error(err)
	}
	want(t, "root", func() error {
		_, err := h.iam.ChangePassword(ctx, &iamapi.ChangePasswordRequest{OldPassword: "x", NewPassword: "y"})
		return err
	}(), "InvalidUserType", "")
	_, err = h.iam.DeleteUser(ctx, &iamapi.DeleteUserRequest{UserName: "alicia"})
	want(t, "user with a password", err, "DeleteConflict", "Cannot delete entity, must delete login profile first.")
	must(t)(h.iam.DeleteLoginProfile(ctx, &iamapi.DeleteLoginProfileRequest{UserName: wire.String("alicia")}))
	want(t, "deleted", h.change(key, "Correct-Horse-1", "Fourth-4-Fourth"), "NoSuchEntity", "")
}

// TestChangePassword_guessing: after five failures the right one waits as well; an
// administrator's new password ends it.
func TestChangePassword_guessing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	key := h.user("alice", `{"Effect":"Allow","Action":"iam:ChangePassword","Resource":"arn:aws:iam::*:user/${aws:username}"}`)
	must(t)(h.iam.CreateLoginProfile(ctx, &iamapi.CreateLoginProfileRequest{UserName: wire.String("alice"), Password: wire.String("Correct-Horse-1")}))
	for i := range 6 {
		want(t, "wrong", h.change(key, "wrong"+strconv.Itoa(i), "Battery-Staple-2"), "AccessDenied", "The old password was incorrect.")
	}
	want(t, "right, but too early", h.change(key, "Correct-Horse-1", "Battery-Staple-2"), "AccessDenied", "The old password was incorrect.")
	h.advance(2 * time.Second)
	if err := h.change(key, "Correct-Horse-1", "Battery-Staple-2"); err != nil {
		t.Error(err)
	}
	// An expired password, where the policy is hard.
	must(t)(h.iam.UpdateAccountPasswordPolicy(ctx, &iamapi.UpdateAccountPasswordPolicyRequest{MaxPasswordAge: wire.Int32(30), HardExpiry: wire.Bool(true)}))
	h.advance(31 * 24 * time.Hour)
	want(t, "expired", h.change(key, "Battery-Staple-2", "Correct-Horse-3"), "AccessDenied", "")
	must(t)(h.iam.UpdateLoginProfile(ctx, &iamapi.UpdateLoginProfileRequest{UserName: "alice", Password: wire.String("Correct-Horse-4")}))
	if err := h.change(key, "Correct-Horse-4", "Correct-Horse-5"); err != nil {
		t.Error(err)
	}
	_, err := h.iam.UpdateLoginProfile(ctx, &iamapi.UpdateLoginProfileRequest{UserName: "bob", Password: wire.String("Correct-Horse-4")})
	want(t, "no user", err, "NoSuchEntity", "The user with name bob cannot be found.")
}
