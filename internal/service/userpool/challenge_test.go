package userpool

import (
	"errors"
	"strings"
	"testing"

	api "moat/internal/wire/cognitoidpapi"
)

// Whatever comes of an answer, the same challenge takes no second one: the mark of it is the session that began, and
// has to outlast whatever becomes of that.
func TestChallenge_answeredOnce(t *testing.T) {
	t.Parallel()
	const once = "Invalid session for the user, session can only be used once."
	for name, test := range map[string]struct {
		wrong, fails bool // a wrong answer comes first; the function at the end refuses
		after        func(t *testing.T, h *house, pool, client string, out *api.RespondToAuthChallengeResponse)
	}{
		"after a session":     {},
		"after a wrong one":   {wrong: true},
		"after a function":    {fails: true},
		"session revoked":     {after: revokeSession},
		"signed out of all":   {after: signOutOfAll},
		"another sign-in":     {after: signInAgain},
		"the client signs in": {after: refreshSession},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			fail := test.fails
			post := h.function("post", func(map[string]any) (any, error) {
				if fail {
					return nil, errors.New("Sorry")
				}
				return object{}, nil
			})
			pool, client := h.triggered(api.LambdaConfigType{PostAuthentication: post})
			h.member(pool, "ann")
			c := h.srp(pool, client)
			begun, err := c.start("ann")
			if err != nil {
				t.Fatal(err)
			}
			right := c.proof(begun.ChallengeParameters, goodPass)
			first := right
			if test.wrong {
				first = c.proof(begun.ChallengeParameters, "Wrong-horse-77")
			}
			out, err := c.finish(first)
			switch {
			case test.wrong:
				want(t, err, "NotAuthorizedException", "Incorrect username or password.")
			case test.fails:
				want(t, err, "UserLambdaValidationException", "PostAuthentication failed with error Sorry.")
			case err != nil || out.AuthenticationResult == nil:
				t.Fatalf("the first answer: %v", err)
			}
			if test.after != nil {
				test.after(t, h, pool, client, out)
			}
			fail = false
			_, err = c.finish(right)
			want(t, err, "NotAuthorizedException", once)
			if next, err := c.start("ann"); err != nil {
				t.Error(err)
			} else if out, err := c.finish(c.proof(next.ChallengeParameters, goodPass)); err != nil || out.AuthenticationResult == nil {
				t.Errorf("another challenge: %v", err)
			}
		})
	}
}

func revokeSession(t *testing.T, h *house, _, client string, out *api.RespondToAuthChallengeResponse) {
	must[*api.RevokeTokenResponse](t)(h.c.RevokeToken(t.Context(), &api.RevokeTokenRequest{ClientId: client, Token: *out.AuthenticationResult.RefreshToken}))
}

func signOutOfAll(t *testing.T, h *house, _, _ string, out *api.RespondToAuthChallengeResponse) {
	must[*api.GlobalSignOutResponse](t)(h.c.GlobalSignOut(t.Context(), &api.GlobalSignOutRequest{AccessToken: *out.AuthenticationResult.AccessToken}))
}

func signInAgain(t *testing.T, h *house, pool, client string, _ *api.RespondToAuthChallengeResponse) {
	c := h.srp(pool, client)
	begun, err := c.start("ann")
	if err == nil {
		_, err = c.finish(c.proof(begun.ChallengeParameters, goodPass))
	}
	if err != nil {
		t.Error(err)
	}
}

// refreshSession sees that the session which has its challenge's name is one like others.
func refreshSession(t *testing.T, h *house, _, client string, out *api.RespondToAuthChallengeResponse) {
	re := must[*api.InitiateAuthResponse](t)(h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{
		AuthFlow: "REFRESH_TOKEN_AUTH", ClientId: client, AuthParameters: map[string]string{"REFRESH_TOKEN": *out.AuthenticationResult.RefreshToken},
	}))
	if strings.Count(*re.AuthenticationResult.AccessToken, ".") != 2 {
		t.Error("no token")
	}
}
