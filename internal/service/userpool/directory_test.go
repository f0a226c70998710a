package userpool

import (
	"fmt"
	"strings"
	"testing"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

func attributeOf(kind api.AttributeDataType, name string) api.SchemaAttributeType {
	return api.SchemaAttributeType{Name: &name, AttributeDataType: kind, Mutable: wire.Bool(true)}
}

// Each type of attribute takes what it should and refuses its neighbour.
func TestPool_schema(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	number, text := attributeOf("Number", "age"), attributeOf("String", "plan")
	number.NumberAttributeConstraints = &api.NumberAttributeConstraintsType{MinValue: wire.String("6"), MaxValue: wire.String("99")}
	text.StringAttributeConstraints = &api.StringAttributeConstraintsType{MinLength: wire.String("2"), MaxLength: wire.String("4")}
	hidden := attributeOf("String", "score")
	hidden.DeveloperOnlyAttribute = wire.Bool(true)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes = nil
		in.Schema = []api.SchemaAttributeType{
			number, text, attributeOf("Boolean", "member"), attributeOf("DateTime", "since"), hidden, {Name: wire.String("seat")}, attributeOf("String", "email_verified"),
		}
	})
	h.member(pool, "ann", "name", "Ann")
	set := func(a ...api.AttributeType) error {
		_, err := h.c.AdminUpdateUserAttributes(ctx, &api.AdminUpdateUserAttributesRequest{UserPoolId: pool, Username: "ann", UserAttributes: a})
		return err
	}
	for _, tt := range []struct{ name, good, bad, why string }{
		{"custom:age", "6", "5", "Number must be no less than 6"},
		{"custom:age", "99", "100", "Number must be no more than 99"},
		{"custom:age", "7", "7.5", "Number must be a whole number"},
		{"custom:plan", "ab", "a", "String must be no shorter than 2 characters"},
		{"custom:plan", "äöüß", "abcde", "String must be no longer than 4 characters"},
		{"custom:member", "true", "yes", "Boolean must be either true or false"},
		{"custom:since", "2026-11-20T12:00:00Z", "yesterday", "DateTime must be in the format of RFC 3339"},
		{"name", strings.Repeat("n", 2048), strings.Repeat("n", 2049), "1 validation error detected"},
		{"custom:email_verified", "anything", strings.Repeat("n", 2049), "1 validation error detected"},
		{"birthdate", "2001-02-03", "2001-2-3", "String must be no shorter than 10 characters"},
		{"dev:custom:score", "1", strings.Repeat("n", 2049), "1 validation error detected"},
	} {
		if err := set(attr(tt.name, tt.good)); err != nil {
			t.Errorf("%s = %.20q: %v", tt.name, tt.good, err)
		}
		err := set(attr(tt.name, tt.bad))
		if err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s = %.20q: got %v, want %s", tt.name, tt.bad, err, tt.why)
		}
	}
	// All mistakes are told at once; an attribute that cannot change cannot be set later either.
	want(t, set(attr("custom:none", "1"), attr("custom:seat", "1"), attr("custom:age", "1")), "InvalidParameterException",
		"user.custom:age: Number must be no less than 6\nuser.custom:none: Attribute does not exist in the schema.\nuser.custom:seat: Attribute cannot be updated.\n")
	_, err := h.c.AdminCreateUser(ctx, &api.AdminCreateUserRequest{UserPoolId: pool, Username: "eve", UserAttributes: []api.AttributeType{attr("custom:x", "1"), attr("custom:y", "1")}})
	want(t, err, "InvalidParameterException", "Attributes did not conform to the schema: custom:x: Attribute does not exist in the schema.\ncustom:y: Attribute does not exist in the schema.\n")
	if _, err := h.c.AdminCreateUser(ctx, &api.AdminCreateUserRequest{UserPoolId: pool, Username: "eve", MessageAction: "SUPPRESS", UserAttributes: []api.AttributeType{attr("custom:seat", "1")}}); err != nil {
		t.Errorf("an unchangeable attribute is set at creation: %v", err)
	}
	client := *h.newClient(pool, nil).ClientId
	at := *h.mustSignIn(client, "ann").AccessToken
	got := attributesOf(must[*api.GetUserResponse](t)(h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: at})).UserAttributes)
	if _, seen := got["dev:custom:score"]; seen || got["custom:member"] != "true" {
		t.Errorf("the user sees %v", got)
	}
	_, err = h.c.UpdateUserAttributes(ctx, &api.UpdateUserAttributesRequest{AccessToken: at, UserAttributes: []api.AttributeType{attr("dev:custom:score", "9")}})
	want(t, err, "NotAuthorizedException", "A client attempted to write unauthorized attribute")
}

// A custom attribute added later is there for everybody; what limits AWS knows, hold.
func TestService_AddCustomAttributes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(nil)
	h.member(pool, "ann@example.com")
	add := func(list ...api.SchemaAttributeType) error {
		_, err := h.c.AddCustomAttributes(ctx, &api.AddCustomAttributesRequest{UserPoolId: pool, CustomAttributes: list})
		return err
	}
	if err := add(attributeOf("String", "tier")); err != nil {
		t.Fatal(err)
	}
	_, err := h.c.AdminUpdateUserAttributes(ctx, &api.AdminUpdateUserAttributesRequest{UserPoolId: pool, Username: "ann@example.com", UserAttributes: []api.AttributeType{attr("custom:tier", "gold")}})
	if err != nil {
		t.Error(err)
	}
	long, required := attributeOf("String", "long"), attributeOf("String", "needed")
	long.StringAttributeConstraints = &api.StringAttributeConstraintsType{MaxLength: wire.String("2049")}
	required.Required = wire.Bool(true)
	for name, a := range map[string]api.SchemaAttributeType{"longer than values can be": long, "required": required, "name of 21 characters": attributeOf("String", strings.Repeat("n", 21))} {
		if err := add(a); err == nil {
			t.Errorf("%s: added", name)
		}
	}
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	yes := wire.Bool(true)
	strict := api.PasswordPolicyType{MinimumLength: wire.Int32(8), RequireLowercase: yes, RequireUppercase: yes, RequireNumbers: yes, RequireSymbols: yes}
	for password, why := range map[string]string{
		"Aa1!aaaa": "", "Aa1! aaa": "", "Aa1 aaaa": "",
		"Aa1!aaa": "Password not long enough", "AA1!AAAA": "Password must have lowercase characters", "aa1!aaaa": "Password must have uppercase characters",
		"Aaa!aaaa": "Password must have numeric characters", "Aa1aaaaa": "Password must have symbol characters",
		"AA1!éééé": "Password must have lowercase characters", "ÄÄaaaa1!": "Password must have uppercase characters", "Aa!aaaa٣": "Password must have numeric characters",
	} {
		err := checkPassword(strict, password)
		if why == "" {
			if err != nil {
				t.Errorf("%q: %v", password, err)
			}
			continue
		}
		if !is(err, invalidPassword) || err.Error() != "Password did not conform with policy: "+why {
			t.Errorf("%q: got %v, want %s", password, err, why)
		}
	}
}

func TestService_ListUsers_filter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	h.member(pool, "ann", "name", `A\n "x"`, "given_name", "Ann", "family_name", "Lee", "preferred_username", "annie", "email", "ann@example.com", "phone_number", "+491511")
	h.member(pool, "Bob", "name", "Bob", "email", "bob@example.com")
	must[*api.AdminDisableUserResponse](t)(h.c.AdminDisableUser(ctx, &api.AdminDisableUserRequest{UserPoolId: pool, Username: "Bob"}))
	sub := attributesOf(must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(ctx, &api.AdminGetUserRequest{UserPoolId: pool, Username: "ann"})).UserAttributes)["sub"]
	for filter, who := range map[string]string{
		`username = "ann"`: "ann", `username = "bob"`: "", `username ^= "B"`: "Bob", `"username" = "ann"`: "ann", `username="ann"`: "ann",
		`email = "ann@example.com"`: "ann", `email ^= "bob"`: "Bob", `phone_number ^= "+4915"`: "ann", `given_name = "Ann"`: "ann", `family_name ^= "L"`: "ann",
		`preferred_username = "annie"`: "ann", `sub = "` + sub + `"`: "ann", `sub ^= "` + sub[:9] + `"`: "ann",
		`cognito:user_status = "confirmed"`: "Bob ann", `cognito:user_status ^= "Conf"`: "Bob ann", `status = "Enabled"`: "ann", `status = "Disabled"`: "Bob", `status = "enabled"`: "",
		`name = "A\\n \"x\""`: "ann", `name ^= "A\\"`: "ann", `name = "A\n"`: "", `  name  ^=  "Bo"  `: "Bob",
	} {
		out := must[*api.ListUsersResponse](t)(h.c.ListUsers(ctx, &api.ListUsersRequest{UserPoolId: pool, Filter: &filter}))
		var got []string
		for _, u := range out.Users {
			got = append(got, *u.Username)
		}
		if strings.Join(got, " ") != who {
			t.Errorf("%s: got %v, want %q", filter, got, who)
		}
	}
	for filter, message := range map[string]string{
		`foo`: "Error while parsing filter.", `username="`: "Error while parsing filter.", `username=`: "Error while parsing filter.", `email ^= ""x"`: "Error while parsing filter.",
		`"email = "x"`: "Error while parsing filter.", `email = 'x'`: "Error while parsing filter.", `email ^ = "x"`: "Error while parsing filter.",
		`custom:foo = "bar"`: "Invalid search attribute: custom:foo", `EMAIL = "x"`: "Invalid search attribute: EMAIL", `enabled = "true"`: "Invalid search attribute: enabled",
	} {
		_, err := h.c.ListUsers(ctx, &api.ListUsersRequest{UserPoolId: pool, Filter: &filter})
		want(t, err, "InvalidParameterException", message)
	}
}

func TestService_defaultGroup(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UserPoolTags = map[string]string{tagDefaultGroup: "User"} })
	client := *h.newClient(pool, nil).ClientId
	groups := func(name string) int {
		t.Helper()
		return len(must[*api.AdminListGroupsForUserResponse](t)(h.c.AdminListGroupsForUser(ctx, &api.AdminListGroupsForUserRequest{UserPoolId: pool, Username: name})).Groups)
	}
	h.member(pool, "early@example.com") // before there is such a group
	must[*api.CreateGroupResponse](t)(h.c.CreateGroup(ctx, &api.CreateGroupRequest{UserPoolId: pool, GroupName: "User"}))
	h.member(pool, "ann@example.com")
	must[*api.SignUpResponse](t)(h.c.SignUp(ctx, signUpRequest(client, "bob@example.com", goodPass)))
	if groups("early@example.com") != 0 || groups("ann@example.com") != 1 || groups("bob@example.com") != 1 {
		t.Error("new users, and they alone, join the group")
	}
	if got := h.claims(h.mustSignIn(client, "ann@example.com").AccessToken)["cognito:groups"]; got == nil {
		t.Error("the token names no group")
	}
	must[*api.AdminRemoveUserFromGroupOutput](t)(h.c.AdminRemoveUserFromGroup(ctx, &api.AdminRemoveUserFromGroupRequest{UserPoolId: pool, GroupName: "User", Username: "ann@example.com"}))
	h.mustSignIn(client, "ann@example.com")
	if groups("ann@example.com") != 0 {
		t.Error("who was taken out of the group is back")
	}
}

// A large pool is not counted each time; what it is said to have follows.
func TestService_estimate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	add := func(from, to int) {
		t.Helper()
		err := h.db.Update(t.Context(), func(tx *store.Tx) error {
			for i := from; i < to; i++ {
				id := fmt.Sprint(i)
				if err := h.tables.users.Insert(tx, User{Pool: pool, Key: id, Name: id, Sub: id}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	said := func() int32 {
		t.Helper()
		return *must[*api.DescribeUserPoolResponse](t)(h.c.DescribeUserPool(t.Context(), &api.DescribeUserPoolRequest{UserPoolId: pool})).UserPool.EstimatedNumberOfUsers
	}
	add(0, 10)
	if n := said(); n != 10 {
		t.Errorf("%d users", n)
	}
	add(10, exactUsers+5)
	if n := said(); n != exactUsers+5 {
		t.Errorf("%d users", n)
	}
	add(exactUsers+5, exactUsers+6)
	if n := said(); n != exactUsers+5 {
		t.Errorf("counted anew: %d users", n)
	}
	h.advance(estimateLife)
	if n := said(); n != exactUsers+6 {
		t.Errorf("%d users", n)
	}
}

func TestService_linkProvider(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	someone := api.ProviderUserIdentifierType{ProviderName: wire.String("Google"), ProviderAttributeName: wire.String("Cognito_Subject"), ProviderAttributeValue: wire.String("1")}
	_, err := h.c.AdminLinkProviderForUser(t.Context(), &api.AdminLinkProviderForUserRequest{UserPoolId: "eu-central-1_abc", DestinationUser: &someone, SourceUser: &someone})
	want(t, err, "NotImplemented", "")
	_, err = h.c.AdminDisableProviderForUser(t.Context(), &api.AdminDisableProviderForUserRequest{UserPoolId: "eu-central-1_abc", User: &someone})
	want(t, err, "NotImplemented", "")
}
