package userpool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"moat/internal/service/userpool/userfile"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// ctx is the context of a call in the house's region.
func (h *house) ctx() context.Context {
	return wire.WithCall(h.t.Context(), &wire.Call{Account: "000000000000", Region: h.region})
}

// export gives out a pool's users as a file.
func (h *house) export(poolID string) string {
	h.t.Helper()
	var out strings.Builder
	in := ExportRequest{Pool: poolID}
	for {
		page := must[*ExportPage](h.t)(h.ExportUsers(h.ctx(), in))
		for _, line := range page.Lines {
			out.WriteString(line + "\n")
		}
		if in.Next = page.Next; in.Next == "" {
			return out.String()
		}
	}
}

// request reads a file, to its signed end, into one request.
func (h *house) request(file, poolID string) *ImportRequest {
	h.t.Helper()
	r := must[*userfile.Reader](h.t)(userfile.Open(strings.NewReader(file)))
	in := &ImportRequest{Pool: poolID, Foreign: r.Header.Moat == userfile.KindForeign, Firebase: r.Header.Firebase}
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			h.t.Fatal(err)
		}
		if line.Group != nil {
			in.Groups = append(in.Groups, line.Group)
		} else {
			in.Users = append(in.Users, line.User)
		}
	}
	if poolID == "" {
		in.Create, in.Pool = r.Header.Pool, r.Header.Pool.ID
	}
	return in
}

// outcomes are an answer in short: "name outcome".
func outcomes(a *ImportAnswer) []string {
	var out []string
	for _, r := range append(slices.Clone(a.Groups), a.Users...) {
		out = append(out, r.Name+" "+r.Outcome)
	}
	return out
}

func wantOutcomes(t *testing.T, a *ImportAnswer, want ...string) {
	t.Helper()
	if got := outcomes(a); !slices.Equal(got, want) {
		t.Errorf("got %q (%+v), want %q", got, a.Users, want)
	}
}

// populated is a pool with a user of every kind; it returns ann's TOTP secret.
func (h *house) populated() (poolID string, secret []byte) {
	h.t.Helper()
	poolID, client := h.mfaPool("OPTIONAL")
	t := h.t
	h.member(poolID, "ann", "email", "ann@example.com", "email_verified", "true", "given_name", "Ann <&> Ä")
	h.member(poolID, "bob")
	access := h.mustSignIn(client, "ann").AccessToken
	secret = h.token(access)
	must[*api.SetUserMFAPreferenceResponse](t)(h.c.SetUserMFAPreference(t.Context(), &api.SetUserMFAPreferenceRequest{
		AccessToken: *access, SoftwareTokenMfaSettings: &api.SoftwareTokenMfaSettingsType{Enabled: wire.Bool(true), PreferredMfa: wire.Bool(true)},
	}))
	must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(t.Context(), &api.AdminCreateUserRequest{
		UserPoolId: poolID, Username: "tim", TemporaryPassword: wire.String(goodPass), MessageAction: api.MessageActionTypeSUPPRESS,
	}))
	must[*api.CreateGroupResponse](t)(h.c.CreateGroup(t.Context(), &api.CreateGroupRequest{UserPoolId: poolID, GroupName: "staff", Precedence: wire.Int32(3)}))
	must[*api.AdminAddUserToGroupOutput](t)(h.c.AdminAddUserToGroup(t.Context(), &api.AdminAddUserToGroupRequest{UserPoolId: poolID, Username: "ann", GroupName: "staff"}))
	must[*api.AdminDisableUserResponse](t)(h.c.AdminDisableUser(t.Context(), &api.AdminDisableUserRequest{UserPoolId: poolID, Username: "bob"}))
	return poolID, secret
}

// plain is a user's record without what sealing and storing make anew.
func (h *house) plain(poolID, key string) string {
	h.t.Helper()
	var out string
	err := h.db.View(h.t.Context(), func(tx *store.Tx) error {
		u, err := h.tables.users.Get(tx, poolID, key)
		if err != nil {
			return err
		}
		line, err := h.exportUser(tx, &u)
		if err != nil {
			return err
		}
		raw, err := json.Marshal(line)
		out = string(raw) + fmt.Sprint(u.Logins)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// Users move to another Moat, which keeps the id of their pool: everything works as before.
func TestService_ExportUsers_samePool(t *testing.T) {
	t.Parallel()
	from, to := newHouse(t), newHouse(t)
	poolID, secret := from.populated()
	file := from.export(poolID)
	to.at = from.clock()
	to.stock()
	answer := must[*ImportAnswer](t)(to.ImportUsers(to.ctx(), from.request(file, "")))
	wantOutcomes(t, answer, "staff created", "ann created", "bob created", "tim created")
	for _, key := range []string{"ann", "bob", "tim"} {
		if got, want := to.plain(poolID, key), from.plain(poolID, key); got != want {
			t.Errorf("%s came in as\n%s, want\n%s", key, got, want)
		}
	}
	client := *to.newClient(poolID, nil).ClientId
	out := must[*api.RespondToAuthChallengeResponse](t)(to.srp(poolID, client).signIn("ann", goodPass))
	if out.ChallengeName != "SOFTWARE_TOKEN_MFA" {
		t.Fatalf("got %+v", out)
	}
	if _, err := to.srp(poolID, client).signIn("ann", goodPass+"x"); err == nil {
		t.Error("a wrong password is let in")
	}
	_, err := to.answer(client, "SOFTWARE_TOKEN_MFA", out.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", wrongCode(to.code(secret)))
	want(t, err, "CodeMismatchException", "")
	out = must[*api.RespondToAuthChallengeResponse](t)(to.answer(client, "SOFTWARE_TOKEN_MFA", out.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", to.code(secret)))
	claims := to.claims(out.AuthenticationResult.IdToken)
	if was := subOf(from, poolID, "ann"); claims["sub"] != was || fmt.Sprint(claims["cognito:groups"]) != "[staff]" || claims["email"] != "ann@example.com" {
		t.Errorf("got %v, the sub was %s", claims, was)
	}
	_, err = to.signIn(client, "bob", goodPass)
	want(t, err, "NotAuthorizedException", "User is disabled.")
	if out := to.begin(client, "tim", goodPass); out.ChallengeName != "NEW_PASSWORD_REQUIRED" {
		t.Errorf("got %+v", out)
	}
	if again := to.export(poolID); strings.Count(again, "\n") != strings.Count(file, "\n") {
		t.Error("the export of the import has other lines")
	}
}

func subOf(h *house, poolID, name string) string {
	h.t.Helper()
	u := must[*api.AdminGetUserResponse](h.t)(h.c.AdminGetUser(h.t.Context(), &api.AdminGetUserRequest{UserPoolId: poolID, Username: name}))
	return attributesOf(u.UserAttributes)["sub"]
}

// In a pool of another id SRP cannot work, until the password was shown once.
func TestService_ImportUsers_otherPool(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	from := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes = nil
		in.Policies.PasswordPolicy.PasswordHistorySize = wire.Int32(2)
	})
	h.member(from, "ann")
	h.setPassword(from, "ann", "Second-password-2")
	into := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes, in.UsernameConfiguration = nil, &api.UsernameConfigurationType{CaseSensitive: false}
		in.Policies.PasswordPolicy.PasswordHistorySize = wire.Int32(3)
	})
	in := h.request(h.export(from), into)
	answer := must[*ImportAnswer](t)(h.ImportUsers(h.ctx(), in))
	wantOutcomes(t, answer, "ann created")
	if !answer.Users[0].PasswordOnly {
		t.Error("the answer does not say that SRP cannot work yet")
	}
	client := *h.newClient(into, nil).ClientId
	_, err := h.srp(into, client).signIn("ann", "Second-password-2")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	_, err = h.signIn(client, "ann", goodPass)
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	if _, err := h.srp(into, client).signIn("ann", "Second-password-2"); err == nil {
		t.Error("a wrong password renewed the verifier")
	}
	if r := must[*api.AuthenticationResultType](t)(h.signIn(client, "ann", "Second-password-2")); r == nil {
		t.Fatal("no tokens")
	}
	out := must[*api.RespondToAuthChallengeResponse](t)(h.srp(into, client).signIn("ann", "Second-password-2"))
	if out.AuthenticationResult == nil {
		t.Fatalf("got %+v", out)
	}
	// The history of the other pool still counts.
	_, err = h.c.ChangePassword(t.Context(), &api.ChangePasswordRequest{AccessToken: *out.AuthenticationResult.AccessToken, PreviousPassword: wire.String("Second-password-2"), ProposedPassword: goodPass})
	want(t, err, "PasswordHistoryPolicyViolationException", "")
	_, err = h.c.ChangePassword(t.Context(), &api.ChangePasswordRequest{AccessToken: *out.AuthenticationResult.AccessToken, PreviousPassword: wire.String("Second-password-2"), ProposedPassword: "Third-password-3"})
	if err != nil {
		t.Error(err)
	}
}

func (h *house) setPassword(poolID, name, password string) {
	h.t.Helper()
	must[*api.AdminSetUserPasswordResponse](h.t)(h.c.AdminSetUserPassword(h.t.Context(), &api.AdminSetUserPasswordRequest{
		UserPoolId: poolID, Username: name, Password: password, Permanent: wire.Bool(true),
	}))
}

// An import can be sent again: who is there stays as he is by now.
func TestService_ImportUsers_again(t *testing.T) {
	t.Parallel()
	from, to := newHouse(t), newHouse(t)
	poolID, _ := from.populated()
	in := from.request(from.export(poolID), "")
	to.at = from.clock()
	to.stock()
	dry := *in
	dry.DryRun = true
	wantOutcomes(t, must[*ImportAnswer](t)(to.ImportUsers(to.ctx(), &dry)), "staff created", "ann created", "bob created", "tim created")
	_, err := to.c.DescribeUserPool(t.Context(), &api.DescribeUserPoolRequest{UserPoolId: poolID})
	want(t, err, "ResourceNotFoundException", "")
	must[*ImportAnswer](t)(to.ImportUsers(to.ctx(), in))
	to.setPassword(poolID, "tim", "Second-password-2")
	before := to.plain(poolID, "tim")
	wantOutcomes(t, must[*ImportAnswer](t)(to.ImportUsers(to.ctx(), in)), "staff present", "ann present", "bob present", "tim present")
	if to.plain(poolID, "tim") != before {
		t.Error("the second import changed a user")
	}
}

// What speaks against one user keeps him out, says why, and lets the others in.
func TestService_ImportUsers_conflicts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UsernameAttributes, in.AliasAttributes = nil, []api.AliasAttributeType{"email"}
	})
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	const sub = "0d9fd4ee-7d1c-4d3e-9d3b-0d4c1c9f6a0"
	user := func(n int, name string, change func(*userfile.User)) *userfile.User {
		u := &userfile.User{Username: name, Sub: fmt.Sprint(sub, n), Status: "CONFIRMED"}
		if change != nil {
			change(u)
		}
		return u
	}
	mine := subOf(h, pool, "ann")
	for _, c := range []struct {
		name    string
		user    *userfile.User
		outcome string
		why     string
	}{
		{"username", user(1, "ann", nil), ImportConflict, "Another user has the username."},
		{"sub", user(1, "eve", func(u *userfile.User) { u.Sub = mine }), ImportConflict, "Another user signs in with the same sub."},
		{"alias", user(1, "eve", func(u *userfile.User) {
			u.Attributes = map[string]string{"email": "ann@example.com", "email_verified": "true"}
		}), ImportConflict, "Another user signs in with the same email."},
		{"no sub", user(1, "eve", func(u *userfile.User) { u.Sub = "" }), ImportInvalid, "A sub is a UUID in lower case."},
		{"no name", user(1, "", nil), ImportInvalid, "A username has 1 to 128 letters, marks, digits, signs and punctuation."},
		{"a space in the name", user(1, "e ve", nil), ImportInvalid, ""},
		{"broken name", user(1, "e\xffve", nil), ImportInvalid, ""},
		{"status", user(1, "eve", func(u *userfile.User) { u.Status = "ROOT" }), ImportInvalid, "There is no status ROOT with which a user can come in."},
		{"attribute", user(1, "eve", func(u *userfile.User) { u.Attributes = map[string]string{"custom:x": "y"} }), ImportInvalid, ""},
		{"sub as attribute", user(1, "eve", func(u *userfile.User) { u.Attributes = map[string]string{"sub": mine} }), ImportInvalid, ""},
		{"group", user(1, "eve", func(u *userfile.User) { u.Groups = []string{"admins"} }), ImportInvalid, "There is no group admins."},
		{"verifier", user(1, "eve", func(u *userfile.User) {
			u.Password = &userfile.Password{SRP: &userfile.Verifier{Pool: "x", User: "eve", Salt: make([]byte, 16), Verifier: make([]byte, 384)}}
		}), ImportInvalid, "This is not an SRP verifier."},
		{"hash", user(1, "eve", func(u *userfile.User) { u.Password = &userfile.Password{Hash: "$1$abc$def"} }), ImportInvalid, ""},
		{"costly hash", user(1, "eve", func(u *userfile.User) {
			u.Password = &userfile.Password{Hash: "$2b$31$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"}
		}), ImportInvalid, ""},
		{"factor", user(1, "eve", func(u *userfile.User) { u.MFA = &userfile.MFA{Enabled: []string{"PIGEON_MFA"}} }), ImportInvalid, "There is no second factor PIGEON_MFA."},
		{"factor without a secret", user(1, "eve", func(u *userfile.User) { u.MFA = &userfile.MFA{Enabled: []string{mfaTOTP}} }), ImportInvalid, ""},
	} {
		other := user(2, "zoe", nil)
		answer := must[*ImportAnswer](t)(h.ImportUsers(h.ctx(), &ImportRequest{Pool: pool, Users: []*userfile.User{c.user, other}}))
		if got := answer.Users[0]; got.Outcome != c.outcome || c.why != "" && got.Why != c.why || got.Why == "" {
			t.Errorf("%s: got %+v, want %s: %s", c.name, got, c.outcome, c.why)
		}
		if o := answer.Users[1].Outcome; o != ImportCreated && o != ImportPresent {
			t.Errorf("%s: the other user: %s", c.name, o)
		}
	}
	_, err := h.c.AdminGetUser(t.Context(), &api.AdminGetUserRequest{UserPoolId: pool, Username: "eve"})
	want(t, err, "UserNotFoundException", "")
	if in := (&ImportRequest{Pool: pool, Users: make([]*userfile.User, MaxImportUsers+1)}); true {
		_, err := h.ImportUsers(h.ctx(), in)
		want(t, err, "InvalidParameterException", "")
	}
	_, err = h.ImportUsers(h.ctx(), &ImportRequest{Pool: "eu-central-1_Nothing00", Users: []*userfile.User{user(1, "eve", nil)}})
	want(t, err, "ResourceNotFoundException", "")
	_, err = h.ExportUsers(h.ctx(), ExportRequest{Pool: pool, Next: "forged"})
	want(t, err, "InvalidParameterException", "")
}

// A page token is good for its own pool only, and pages add up to the whole pool.
func TestService_ExportUsers_pages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, other := h.newPoolID(nil), h.newPoolID(nil)
	var batch []*userfile.User
	for i := range exportUsers + 10 {
		batch = append(batch, &userfile.User{Username: fmt.Sprintf("user%d@example.com", i)})
		if len(batch) == MaxImportUsers || i == exportUsers+9 {
			must[*ImportAnswer](t)(h.ImportUsers(h.ctx(), &ImportRequest{Pool: pool, Foreign: true, Users: batch}))
			batch = nil
		}
	}
	first := must[*ExportPage](t)(h.ExportUsers(h.ctx(), ExportRequest{Pool: pool}))
	if first.Users != exportUsers || first.Next == "" {
		t.Fatalf("the first page has %d users", first.Users)
	}
	_, err := h.ExportUsers(h.ctx(), ExportRequest{Pool: other, Next: first.Next})
	want(t, err, "InvalidParameterException", "Invalid pagination token.")
	r := must[*userfile.Reader](t)(userfile.Open(strings.NewReader(h.export(pool))))
	n := 0
	for {
		if _, err = r.Next(); err != nil {
			break
		}
		n++
	}
	if !errors.Is(err, io.EOF) || n != exportUsers+10 || r.End.Users != n {
		t.Errorf("%d users, %v", n, err)
	}
	h.region = "us-east-1"
	_, err = h.ExportUsers(h.ctx(), ExportRequest{Pool: pool})
	want(t, err, "ResourceNotFoundException", "")
}
