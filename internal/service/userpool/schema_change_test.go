package userpool

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

func changeable(in *api.CreateUserPoolRequest) {
	in.UsernameAttributes, in.AutoVerifiedAttributes = nil, nil
	in.UsernameConfiguration = &api.UsernameConfigurationType{CaseSensitive: true}
	in.UserPoolTags = map[string]string{tagSchemaChanges: "true"}
}

// change makes a change that is to succeed.
func (h *house) change(in SchemaChange) *SchemaAnswer {
	h.t.Helper()
	out := must[*SchemaAnswer](h.t)(h.ChangeSchema(h.t.Context(), &in))
	if !out.Changed || len(out.Conflicts) > 0 {
		h.t.Fatalf("got %+v", out)
	}
	return out
}

// conflicts makes a change that is to change nothing.
func (h *house) conflicts(in SchemaChange, wants ...string) {
	h.t.Helper()
	before := h.everybody(in.Pool)
	out := must[*SchemaAnswer](h.t)(h.ChangeSchema(h.t.Context(), &in))
	var got []string
	for _, c := range out.Conflicts {
		got = append(got, c.User+c.Client+" "+c.Why)
	}
	if out.Changed || !slices.Equal(got, wants) {
		h.t.Errorf("got %q, want %q", got, wants)
	}
	if after := h.everybody(in.Pool); after != before {
		h.t.Errorf("half done: %s after %s", after, before)
	}
}

// everybody is the pool and its users, as far as a change could change them.
func (h *house) everybody(pool string) (out string) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), func(tx *store.Tx) error {
		p, err := h.pool(tx, pool)
		if err != nil {
			return err
		}
		out = fmt.Sprint(p.UsernameAttributes, p.AliasAttributes, p.CaseSensitive, p.required(), p.ModifiedAt)
		users, err := h.tables.users.List(tx, store.Query{Prefix: []string{pool}})
		for _, u := range users {
			out += fmt.Sprint(u.Key, u.Logins)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

func (h *house) canSignIn(client, name string) bool {
	_, err := h.signIn(client, name, goodPass)
	return err == nil
}

func TestChangeSchema_switch(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const off = "The user pool does not allow this: it needs the tag moat:allow-schema-changes with the value true."
	for _, tags := range []map[string]string{nil, {tagSchemaChanges: "false"}, {tagSchemaChanges: "TRUE"}, {tagSchemaChanges: ""}} {
		pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UserPoolTags = tags })
		_, err := h.ChangeSchema(t.Context(), &SchemaChange{Pool: pool, Required: map[string]bool{"name": true}})
		want(t, err, "InvalidParameterException", off)
	}
	_, err := h.ChangeSchema(t.Context(), &SchemaChange{Pool: testRegion + "_nothing"})
	want(t, err, "ResourceNotFoundException", "")
	pool := h.newPoolID(changeable)
	for _, in := range []SchemaChange{
		{Required: map[string]bool{"custom:age": true}},
		{Required: map[string]bool{"sub": false}},
		{Required: map[string]bool{"email_verified": true}},
		{Required: map[string]bool{"nothing": true}},
		{UsernameAttributes: &[]string{"preferred_username"}},
		{UsernameAttributes: &[]string{"email", "email"}},
		{AliasAttributes: &[]string{"name"}},
		{AliasAttributes: &[]string{""}},
		{AliasAttributes: &[]string{"email"}, UsernameAttributes: &[]string{"email"}},
	} {
		in.Pool = pool
		_, err := h.ChangeSchema(t.Context(), &in)
		want(t, err, "InvalidParameterException", "")
	}
}

func TestChangeSchema_required(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(changeable)
	client := h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.WriteAttributes = []string{"email"} })
	h.member(pool, "ann", "name", "Ann")
	h.member(pool, "bob")
	require := SchemaChange{Pool: pool, Required: map[string]bool{"name": true}}
	h.conflicts(require, *client.ClientId+" may not write all required attributes", "bob has no name")
	must[*api.UpdateUserPoolClientResponse](t)(h.c.UpdateUserPoolClient(t.Context(), &api.UpdateUserPoolClientRequest{UserPoolId: pool, ClientId: *client.ClientId, WriteAttributes: []string{"email", "name"}}))
	must[*api.AdminUpdateUserAttributesResponse](t)(h.c.AdminUpdateUserAttributes(t.Context(), &api.AdminUpdateUserAttributesRequest{UserPoolId: pool, Username: "bob", UserAttributes: []api.AttributeType{attr("name", "Bob")}}))
	require.DryRun = true
	if out := must[*SchemaAnswer](t)(h.ChangeSchema(t.Context(), &require)); out.Changed || out.Users != 2 || len(out.Conflicts) != 0 {
		t.Errorf("got %+v", out)
	}
	require.DryRun = false
	h.change(require)
	sign := func(name string, attributes ...api.AttributeType) error {
		_, err := h.c.SignUp(t.Context(), &api.SignUpRequest{ClientId: *client.ClientId, Username: name, Password: ptr(goodPass), UserAttributes: attributes})
		return err
	}
	want(t, sign("eve"), "InvalidParameterException", "")
	if err := sign("eve", attr("name", "Eve")); err != nil {
		t.Error(err)
	}
	h.change(SchemaChange{Pool: pool, Required: map[string]bool{"name": false}})
	if err := sign("sam"); err != nil {
		t.Error(err)
	}
}

func TestChangeSchema_aliases(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(changeable)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true", "preferred_username", "annie")
	h.member(pool, "bob", "email", "ann@example.com", "email_verified", "true", "preferred_username", "ann")
	h.member(pool, "eve@example.com")
	h.member(pool, "sam", "email", "sam@example.com")
	h.conflicts(SchemaChange{Pool: pool, AliasAttributes: &[]string{"email", "preferred_username"}},
		"bob shares the email with another user", "bob shares the username or preferred_username with another user", "eve@example.com has a username that looks like an address")
	if h.canSignIn(client, "ann@example.com") || h.canSignIn(client, "annie") {
		t.Error("an alias without a change")
	}
	must[*api.AdminDeleteUserOutput](t)(h.c.AdminDeleteUser(t.Context(), &api.AdminDeleteUserRequest{UserPoolId: pool, Username: "eve@example.com"}))
	must[*api.AdminUpdateUserAttributesResponse](t)(h.c.AdminUpdateUserAttributes(t.Context(), &api.AdminUpdateUserAttributesRequest{UserPoolId: pool, Username: "bob", UserAttributes: []api.AttributeType{
		attr("email_verified", "false"), attr("preferred_username", "bobby"),
	}}))
	if out := h.change(SchemaChange{Pool: pool, AliasAttributes: &[]string{"email", "preferred_username"}}); out.Users != 3 || out.Reindexed != 2 {
		t.Errorf("got %+v", out)
	}
	for name, may := range map[string]bool{"ann": true, "ann@example.com": true, "annie": true, "bobby": true, "bob": true, "sam@example.com": false, "ANN": false} {
		if h.canSignIn(client, name) != may {
			t.Errorf("%s signs in: %v", name, !may)
		}
	}
	// A name that is somebody's now is nobody else's.
	_, err := h.c.SignUp(t.Context(), &api.SignUpRequest{ClientId: client, Username: "annie", Password: ptr(goodPass)})
	want(t, err, "UsernameExistsException", "")
	h.change(SchemaChange{Pool: pool, AliasAttributes: &[]string{}})
	if h.canSignIn(client, "ann@example.com") || !h.canSignIn(client, "ann") {
		t.Error("aliases do not go")
	}
}

func TestChangeSchema_usernameAttributes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(changeable)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	h.member(pool, "bob", "email", "bob@example.com") // whose mailbox that is, nobody knows
	h.member(pool, "sam", "phone_number", "+4915112345678", "phone_number_verified", "true")
	h.conflicts(SchemaChange{Pool: pool, UsernameAttributes: &[]string{"email"}}, "bob has an unverified email", "sam has no email")
	must[*api.AdminUpdateUserAttributesResponse](t)(h.c.AdminUpdateUserAttributes(t.Context(), &api.AdminUpdateUserAttributesRequest{UserPoolId: pool, Username: "bob", UserAttributes: []api.AttributeType{attr("email_verified", "true")}}))
	h.change(SchemaChange{Pool: pool, UsernameAttributes: &[]string{"email", "phone_number"}})
	for _, name := range []string{"ann", "ann@example.com", "bob@example.com", "+4915112345678", "sam"} {
		if !h.canSignIn(client, name) {
			t.Errorf("%s does not sign in", name)
		}
	}
	_, err := h.c.SignUp(t.Context(), &api.SignUpRequest{ClientId: client, Username: "eve", Password: ptr(goodPass)})
	want(t, err, "InvalidParameterException", "Username should be either an email or a phone number.")
	_, err = h.c.SignUp(t.Context(), &api.SignUpRequest{ClientId: client, Username: "ann@example.com", Password: ptr(goodPass)})
	want(t, err, "UsernameExistsException", "")
	h.member(pool, "zoe@example.com", "email_verified", "true")
	// Who has a generated username must keep a name.
	h.conflicts(SchemaChange{Pool: pool, UsernameAttributes: &[]string{}}, h.subOf(pool, "zoe@example.com")+" would have no name to sign in with but the generated one")
	h.change(SchemaChange{Pool: pool, UsernameAttributes: &[]string{}, AliasAttributes: &[]string{"email"}})
	if !h.canSignIn(client, "zoe@example.com") || h.canSignIn(client, "+4915112345678") {
		t.Error("aliases in place of username attributes")
	}
}

func (h *house) subOf(pool, name string) string {
	h.t.Helper()
	out := must[*api.AdminGetUserResponse](h.t)(h.c.AdminGetUser(h.t.Context(), &api.AdminGetUserRequest{UserPoolId: pool, Username: name}))
	for _, a := range out.UserAttributes {
		if a.Name == "sub" {
			return *a.Value
		}
	}
	return ""
}

func TestChangeSchema_case(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		changeable(in)
		in.UsernameAttributes = []api.UsernameAttributeType{"email"}
	})
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "Ann@example.com")
	h.member(pool, "ann@example.com")
	other := h.subOf(pool, "ann@example.com")
	off, on := false, true
	first := h.subOf(pool, "Ann@example.com")
	h.conflicts(SchemaChange{Pool: pool, CaseSensitive: &off}, max(first, other)+" shares the email with another user")
	must[*api.AdminDeleteUserOutput](t)(h.c.AdminDeleteUser(t.Context(), &api.AdminDeleteUserRequest{UserPoolId: pool, Username: other}))
	if h.canSignIn(client, "ann@example.com") {
		t.Error("letter case does not count")
	}
	h.change(SchemaChange{Pool: pool, CaseSensitive: &off})
	if !h.canSignIn(client, "ANN@example.com") {
		t.Error("letter case counts")
	}
	_, err := h.c.SignUp(t.Context(), &api.SignUpRequest{ClientId: client, Username: "aNN@example.com", Password: ptr(goodPass)})
	want(t, err, "UsernameExistsException", "")
	h.change(SchemaChange{Pool: pool, CaseSensitive: &on})
	if h.canSignIn(client, "ANN@example.com") || !h.canSignIn(client, "Ann@example.com") {
		t.Error("letter case does not count again")
	}
	// A username in capitals is the key of everything that somebody has.
	plain := h.newPoolID(changeable)
	h.member(plain, "Ann")
	h.member(plain, "bob")
	h.conflicts(SchemaChange{Pool: plain, CaseSensitive: &off}, "Ann has a username that would be another one where letter case counts differently")
}

// A pool of more than a page, with more conflicts than an answer names.
func TestChangeSchema_many(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(changeable)
	const n = schemaPage + 7
	p := Pool{ID: pool, CaseSensitive: true}
	err := h.db.Update(t.Context(), func(tx *store.Tx) error {
		for i := range n {
			u, err := h.newUser(&p, fmt.Sprintf("u%04d", i), map[string]string{"email": fmt.Sprintf("u%d@example.com", i), "email_verified": "true"})
			if err != nil {
				return err
			}
			if u.Status = "CONFIRMED"; i%4 == 0 {
				delete(u.Attributes, "email")
			}
			u.Logins = p.logins(&u)
			if err := h.tables.users.Insert(tx, u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out := must[*SchemaAnswer](t)(h.ChangeSchema(t.Context(), &SchemaChange{Pool: pool, Required: map[string]bool{"email": true}}))
	if out.Users != n || len(out.Conflicts) != maxConflicts || out.More != (n+3)/4-maxConflicts || out.Changed {
		t.Errorf("%d users, %d conflicts and %d more", out.Users, len(out.Conflicts), out.More)
	}
	if out := h.change(SchemaChange{Pool: pool, AliasAttributes: &[]string{"email"}}); out.Users != n || out.Reindexed != n-(n+3)/4 {
		t.Errorf("got %+v", out)
	}
	if !strings.Contains(h.everybody(pool), "{email u505@example.com}") {
		t.Error("the second page was left out")
	}
}

// Who was read before the change is not stored by the rules of then.
func TestChangeSchema_meanwhile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(changeable)
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	var p Pool
	var u User
	read := func(tx *store.Tx) (err error) {
		if p, err = h.pool(tx, pool); err == nil {
			u, err = h.findUser(tx, &p, "ann")
		}
		return err
	}
	put := func() error {
		return h.db.Update(t.Context(), func(tx *store.Tx) error { return h.putUser(tx, &p, &u, false) })
	}
	mustDo(t, h.db.View(t.Context(), read))
	mustDo(t, put())
	h.change(SchemaChange{Pool: pool, AliasAttributes: &[]string{"email"}})
	if put() == nil {
		t.Error("stored without her alias")
	}
	mustDo(t, h.db.View(t.Context(), read))
	mustDo(t, put())
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A name that folds into the form of an address would hide whoever has that address.
func TestChangeSchema_foldedAddress(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(changeable)
	h.member(pool, "ann\uff20example.com")
	h.member(pool, "bob", "preferred_username", "\uff0b15555550100")
	h.conflicts(SchemaChange{Pool: pool, AliasAttributes: &[]string{"email", "phone_number", "preferred_username"}},
		"ann\uff20example.com has a username that looks like an address", "bob has a preferred_username that looks like an address")
	h.change(SchemaChange{Pool: pool, AliasAttributes: &[]string{"preferred_username"}})
}
