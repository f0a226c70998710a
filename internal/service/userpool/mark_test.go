package userpool

import (
	"errors"
	"sync"
	"testing"

	"moat/internal/pure/token"
	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// begunByAnn begins a sign-in and returns what answers it with a password.
func begunByAnn(t *testing.T, password string) (h *house, pool string, c *srpClient, proof map[string]string) {
	t.Helper()
	h = newHouse(t)
	pool = h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	h.member(pool, "ann")
	c = h.srp(pool, *h.newClient(pool, nil).ClientId)
	begun := must[*api.InitiateAuthResponse](t)(c.start("ann"))
	return h, pool, c, c.proof(begun.ChallengeParameters, password)
}

// Of many answers to one challenge at once one is the answer: one session, one count of what was wrong.
func TestChallenge_answeredAtOnce(t *testing.T) {
	t.Parallel()
	for name, password := range map[string]string{"right": goodPass, "wrong": "Wrong-horse-77"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, pool, c, proof := begunByAnn(t, password)
			var all sync.WaitGroup
			var mu sync.Mutex
			said := map[string]int{}
			for range 16 {
				all.Go(func() {
					_, err := c.finish(proof)
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						said["let in"]++
						return
					}
					said[err.Error()]++
				})
			}
			all.Wait()
			first := "let in"
			if name == "wrong" {
				first = "NotAuthorizedException: Incorrect username or password."
			}
			if said[first] != 1 || said["NotAuthorizedException: Invalid session for the user, session can only be used once."] != 15 {
				t.Errorf("said %v", said)
			}
			err := h.db.View(t.Context(), func(tx *store.Tx) error {
				left, err := h.tables.sessions.List(tx, store.Query{Limit: 10})
				if len(left) != 1 || (left[0].User == "ann") != (name == "right") {
					t.Errorf("left are %+v", left)
				}
				l, none := h.tables.lockouts.Get(tx, pool, "ann")
				if name == "wrong" && l.Failures != 1 || name == "right" && !errors.Is(none, store.ErrNotFound) {
					t.Errorf("counted %+v", l)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The mark of an answer is nobody's session: were there a refresh token of it, or an access token, they would be worth
// nothing, and no call would change it.
func TestMark_isNoSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { yes := true; in.EnableTokenRevocation = &yes }).ClientId
	h.member(pool, "ann")
	c := h.srp(pool, client)
	begun := must[*api.InitiateAuthResponse](t)(c.start("ann"))
	_, err := c.finish(c.proof(begun.ChallengeParameters, "Wrong-horse-77"))
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	marks := func() (left []Session) {
		t.Helper()
		err := h.db.View(t.Context(), func(tx *store.Tx) (err error) {
			left, err = h.tables.sessions.List(tx, store.Query{Limit: 10})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	before := marks()
	if len(before) != 1 || before[0].User+before[0].Pool+before[0].Client+before[0].Sub != "" {
		t.Fatalf("left are %+v", before)
	}
	mark := before[0]
	mark.Pool, mark.Client = pool, client
	refresh, err := h.refreshToken(&mark)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{
		AuthFlow: "REFRESH_TOKEN_AUTH", ClientId: client, AuthParameters: map[string]string{"REFRESH_TOKEN": refresh},
	})
	want(t, err, "NotAuthorizedException", "Invalid Refresh Token")
	must[*api.RevokeTokenResponse](t)(h.c.RevokeToken(t.Context(), &api.RevokeTokenRequest{ClientId: client, Token: refresh}))
	out := h.mustSignIn(client, "ann")
	err = h.db.View(t.Context(), func(tx *store.Tx) error {
		p, err := h.lookPool(tx, pool)
		if err != nil {
			return err
		}
		claims := token.Claims{}
		for name, v := range h.claims(out.AccessToken) {
			claims[name] = v
		}
		if _, err := h.live(tx, &p, claims); err != nil {
			t.Errorf("the token as it is: %v", err)
		}
		claims["origin_jti"] = mark.ID
		_, err = h.live(tx, &p, claims)
		want(t, exception(err), "NotAuthorizedException", "Access Token has been revoked")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	must[*api.GlobalSignOutResponse](t)(h.c.GlobalSignOut(t.Context(), &api.GlobalSignOutRequest{AccessToken: *out.AccessToken}))
	again := h.mustSignIn(client, "ann")
	if _, err := h.c.DeleteUser(t.Context(), &api.DeleteUserRequest{AccessToken: *again.AccessToken}); err != nil {
		t.Fatal(err)
	}
	if left := marks(); len(left) != 1 || left[0] != before[0] {
		t.Errorf("was %+v, left are %+v", before, left)
	}
}

// A challenge is of one user: who has his name after him does not take it over, though nothing marks it as answered.
func TestChallenge_userMadeAnew(t *testing.T) {
	t.Parallel()
	h, pool, c, proof := begunByAnn(t, goodPass)
	must[*api.RespondToAuthChallengeResponse](t)(c.finish(proof))
	if _, err := h.c.AdminDeleteUser(t.Context(), &api.AdminDeleteUserRequest{UserPoolId: pool, Username: "ann"}); err != nil {
		t.Fatal(err)
	}
	h.member(pool, "ann")
	_, err := c.finish(proof)
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
}
