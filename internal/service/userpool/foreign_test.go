package userpool

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"moat/internal/service/userpool/pwhash"
	"moat/internal/service/userpool/userfile"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// foreign brings one user with a hash of another system into a pool.
func (h *house) foreign(poolID, name, hash string) {
	h.t.Helper()
	answer := must[*ImportAnswer](h.t)(h.ImportUsers(h.ctx(), &ImportRequest{
		Pool: poolID, Foreign: true, Users: []*userfile.User{{Username: name, Password: &userfile.Password{Hash: hash}}},
	}))
	if r := answer.Users[0]; r.Outcome != ImportCreated || !r.PasswordOnly {
		h.t.Fatalf("got %+v", r)
	}
}

// cheapHash is a hash of a password that costs next to nothing.
func cheapHash(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func (h *house) foreignPool() (poolID, clientID string) {
	h.t.Helper()
	poolID = h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	return poolID, *h.newClient(poolID, func(in *api.CreateUserPoolClientRequest) {
		in.PreventUserExistenceErrors = api.PreventUserExistenceErrorTypesENABLED
		in.ExplicitAuthFlows = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH")
	}).ClientId
}

// Each algorithm signs in with the right password, refuses a wrong one, and is a verifier from
// the first success on.
func TestService_foreignHash(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.foreignPool()
	firebase := pwhash.Firebase{SignerKey: "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==", SaltSeparator: "Bw==", Rounds: 8, MemoryCost: 14}
	for name, c := range map[string]struct{ hash, password string }{
		"bcrypt":   {"$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"},
		"argon2i":  {"$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8", "password"},
		"argon2id": {"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
		"pbkdf2":   {"$pbkdf2-sha1$i=4096$c2FsdA$SwB5AbdlSJq+rUnZJvch0GWkKcE", "password"},
		"firebase": {firebase.Text("42xEC+ixf3L2lw==", "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="), "user1password"},
	} {
		h.foreign(pool, name, c.hash)
		for range 2 {
			_, err := h.signIn(client, name, c.password+"x")
			want(t, err, "NotAuthorizedException", "Incorrect username or password.")
		}
		_, err := h.srp(pool, client).signIn(name, c.password)
		want(t, err, "NotAuthorizedException", "Incorrect username or password.")
		if _, err := h.signIn(client, name, c.password); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out, err := h.srp(pool, client).signIn(name, c.password)
		if err != nil || out.AuthenticationResult == nil {
			t.Errorf("%s: SRP after the first sign-in: %v", name, err)
		}
		err = h.db.View(t.Context(), func(tx *store.Tx) error {
			u, err := h.tables.users.Get(tx, pool, name)
			if u.Hash != nil || u.Verifier == nil {
				t.Errorf("%s: the hash is still there", name)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// Every way of showing the password itself works, and a choice offers no other.
func TestService_foreignHash_flows(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.foreignPool()
	open := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows, in.PreventUserExistenceErrors = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH"), api.PreventUserExistenceErrorTypesLEGACY
	}).ClientId
	for _, name := range []string{"ann", "bob", "eve"} {
		h.foreign(pool, name, cheapHash(t, goodPass))
	}
	admin := func(password string) error {
		_, err := h.c.AdminInitiateAuth(t.Context(), &api.AdminInitiateAuthRequest{
			UserPoolId: pool, ClientId: client, AuthFlow: "ADMIN_USER_PASSWORD_AUTH", AuthParameters: map[string]string{"USERNAME": "ann", "PASSWORD": password},
		})
		return err
	}
	want(t, admin(goodPass+"x"), "NotAuthorizedException", "")
	if err := admin(goodPass); err != nil {
		t.Error(err)
	}
	choice := must[*api.InitiateAuthResponse](t)(h.choose(open, "bob"))
	if !slices.Contains(choice.AvailableChallenges, api.ChallengeNameTypePASSWORD) || slices.Contains(choice.AvailableChallenges, api.ChallengeNameTypePASSWORD_SRP) {
		t.Errorf("offered %v", choice.AvailableChallenges)
	}
	if out, err := h.choose(open, "bob", "PREFERRED_CHALLENGE", "PASSWORD", "PASSWORD", goodPass); err != nil || out.AuthenticationResult == nil {
		t.Errorf("got %+v, %v", out, err)
	}
	choice = must[*api.InitiateAuthResponse](t)(h.choose(open, "bob"))
	if !slices.Contains(choice.AvailableChallenges, api.ChallengeNameTypePASSWORD_SRP) {
		t.Errorf("offered %v", choice.AvailableChallenges)
	}
	// A password that an administrator sets takes the hash's place.
	h.setPassword(pool, "eve", "Second-password-2")
	_, err := h.signIn(client, "eve", goodPass)
	want(t, err, "NotAuthorizedException", "")
	if _, err := h.srp(pool, client).signIn("eve", "Second-password-2"); err != nil {
		t.Error(err)
	}
	// A hash is exported as it is, until it is none.
	h.foreign(pool, "zoe", cheapHash(t, goodPass))
	in := h.request(h.export(pool), pool)
	for _, u := range in.Users {
		if foreign := u.Password.Hash != ""; foreign != (u.Username == "zoe") || foreign == (u.Password.SRP != nil) {
			t.Errorf("%s is exported with %+v", u.Username, u.Password)
		}
	}
}

// A lock holds before and after any hash is computed.
func TestService_foreignHash_lockout(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.foreignPool()
	h.foreign(pool, "ann", cheapHash(t, goodPass))
	for range freeFailures {
		_, err := h.signIn(client, "ann", goodPass+"x")
		want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	}
	_, err := h.signIn(client, "ann", goodPass)
	want(t, err, "NotAuthorizedException", "Password attempts exceeded")
	h.advance(2 * time.Second)
	if _, err := h.signIn(client, "ann", goodPass); err != nil {
		t.Error(err)
	}
}

// When too many hashes wait, the next is refused at once, and is no failed sign-in.
func TestService_foreignHash_shed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.foreignPool()
	h.foreign(pool, "ann", cheapHash(t, goodPass))
	h.member(pool, "bob")
	for range cap(h.slow.present) {
		h.slow.present <- struct{}{}
	}
	for range 2 * freeFailures {
		_, err := h.signIn(client, "ann", goodPass+"x")
		want(t, err, "TooManyRequestsException", "Too many requests")
	}
	h.mustSignIn(client, "bob") // has a verifier
	<-h.slow.present
	h.mustSignIn(client, "ann")
}

// Names of nobody cost what names of users cost: as many of them the time of a hash as of users,
// each name always alike.
func TestService_decoyHash(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client := h.foreignPool()
	slow := func(name string) bool {
		u := User{Pool: pool, Key: name}
		share, err := h.hashShare(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		return h.decoyHash(share, &u) != nil
	}
	share := func() (n int) {
		for i := range 400 {
			name := fmt.Sprint("nobody", i)
			if slow(name) != slow(name) {
				t.Fatal("a name is not always alike")
			}
			if slow(name) {
				n++
			}
		}
		return n
	}
	h.member(pool, "old")
	if n := share(); n != 0 {
		t.Errorf("%d of 400 names cost a hash where no user does", n)
	}
	for _, name := range []string{"ann", "bob", "eve"} {
		h.foreign(pool, name, cheapHash(t, goodPass))
	}
	h.advance(hashShareLife)
	if n := share(); n < 260 || n > 340 { // three of four users
		t.Errorf("%d of 400 names cost a hash, want about 300", n)
	}
	h.mustSignIn(client, "ann")
	h.mustSignIn(client, "bob")
	h.advance(hashShareLife)
	if n := share(); n < 65 || n > 135 {
		t.Errorf("%d of 400 names cost a hash, want about 100", n)
	}
	// Nobody gets in by a decoy, whatever he says.
	for i := range 20 {
		_, err := h.signIn(client, fmt.Sprint("nobody", i), goodPass)
		want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	}
}

// The same foreign file brings the same users; a username attribute finds its place.
func TestService_ImportUsers_foreignAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UserPoolTags = map[string]string{tagDefaultGroup: "everybody"} })
	must[*api.CreateGroupResponse](t)(h.c.CreateGroup(t.Context(), &api.CreateGroupRequest{UserPoolId: pool, GroupName: "everybody"}))
	file := `{"moat":"foreign-users","version":1}
{"user":{"username":"ann@example.com","password":{"hash":"` + cheapHash(t, goodPass) + `"}}}
{"user":{"username":"bob","attributes":{"email":"bob@example.com"}}}
`
	in := h.request(file, pool)
	wantOutcomes(t, must[*ImportAnswer](t)(h.ImportUsers(h.ctx(), in)), "ann@example.com created", "bob invalid")
	wantOutcomes(t, must[*ImportAnswer](t)(h.ImportUsers(h.ctx(), in)), "ann@example.com present", "bob invalid")
	client := *h.newClient(pool, nil).ClientId
	claims := h.claims(h.mustSignIn(client, "ann@example.com").IdToken)
	if claims["email"] != "ann@example.com" || claims["cognito:username"] != claims["sub"] || fmt.Sprint(claims["cognito:groups"]) != "[everybody]" || claims["email_verified"] != false {
		t.Errorf("got %v", claims)
	}
	// Parameters of Firebase stand in the first line, and are needed there.
	answer := must[*ImportAnswer](t)(h.ImportUsers(h.ctx(), &ImportRequest{Pool: pool, Foreign: true, Users: []*userfile.User{
		{Username: "eve@example.com", Password: &userfile.Password{Firebase: &userfile.FirebaseHash{Hash: "aGFzaA==", Salt: "c2FsdA=="}}},
	}}))
	if answer.Users[0].Outcome != ImportInvalid {
		t.Errorf("got %+v", answer.Users[0])
	}
	var e wire.Exception
	if _, err := h.ImportUsers(h.ctx(), &ImportRequest{Pool: pool, Users: []*userfile.User{nil}}); !errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
}
