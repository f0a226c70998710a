package userpool

import (
	"context"
	"errors"
	"testing"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// fading is the context of a client that goes away after so many looks at it.
type fading struct {
	context.Context
	looks int
}

func (f *fading) Err() error {
	if f.looks--; f.looks < 0 {
		return context.Canceled
	}
	return f.Context.Err()
}

// A guess is told what it was only when it is counted, whenever the database fails or the client shuts down its side
// of the connection, which does not keep it from reading.
func TestLockout_toldIsCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	client := *h.newClient(pool, nil).ClientId
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: testRegion})
	h.member(pool, "ann")
	signedIn := h.mustSignIn(client, "ann")
	c := h.srp(pool, client)
	wrong := "Wrong-horse-77"
	for name, guess := range map[string]func(context.Context) error{
		"SRP": func(ctx context.Context) error {
			begun, err := c.start("ann")
			if err != nil {
				t.Fatal(err)
			}
			_, err = h.RespondToAuthChallenge(ctx, &api.RespondToAuthChallengeRequest{
				ChallengeName: "PASSWORD_VERIFIER", ClientId: client, ChallengeResponses: c.proof(begun.ChallengeParameters, wrong),
			})
			return err
		},
		"password": func(ctx context.Context) error {
			_, err := h.InitiateAuth(ctx, &api.InitiateAuthRequest{
				AuthFlow: "USER_PASSWORD_AUTH", ClientId: client, AuthParameters: map[string]string{"USERNAME": "ann", "PASSWORD": wrong},
			})
			return err
		},
		"another password": func(ctx context.Context) error {
			_, err := h.ChangePassword(ctx, &api.ChangePasswordRequest{AccessToken: *signedIn.AccessToken, PreviousPassword: &wrong, ProposedPassword: wrong})
			return err
		},
	} {
		told := false
		for looks := 0; !told && looks < 200; looks++ {
			err := guess(&fading{ctx, looks})
			var said *api.NotAuthorizedException
			told = errors.As(err, &said)
			counted := 0
			if err := h.db.Update(t.Context(), func(tx *store.Tx) error {
				l, err := h.tables.lockouts.Take(tx, pool, "ann")
				counted = l.Failures
				if errors.Is(err, store.ErrNotFound) {
					return nil
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if told && counted != 1 || !told && counted != 0 && !errors.Is(err, context.Canceled) {
				t.Errorf("%s, after %d looks: told %v, counted %d", name, looks, err, counted)
			}
		}
		if !told {
			t.Errorf("%s: never told", name)
		}
	}
}

// A sign-in that the last function refuses leaves no session, be the client there or not.
func TestDiscard_clientGone(t *testing.T) {
	t.Parallel()
	for name, goes := range map[string]bool{"stays": false, "goes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			ctx, leave := context.WithCancel(wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: testRegion}))
			defer leave()
			pool, client := h.triggered(api.LambdaConfigType{PostAuthentication: h.function("post", func(map[string]any) (any, error) {
				if goes {
					leave()
				}
				return nil, errors.New("Sorry")
			})})
			h.member(pool, "ann")
			c := h.srp(pool, client)
			begun := must[*api.InitiateAuthResponse](t)(c.start("ann"))
			answer := &api.RespondToAuthChallengeRequest{
				ChallengeName: "PASSWORD_VERIFIER", ClientId: client, ChallengeResponses: c.proof(begun.ChallengeParameters, goodPass),
			}
			_, err := h.RespondToAuthChallenge(ctx, answer)
			want(t, err, "UserLambdaValidationException", "PostAuthentication failed with error Sorry.")
			if err := h.db.View(t.Context(), func(tx *store.Tx) error {
				left, err := h.tables.sessions.List(tx, store.Query{Limit: 10})
				if len(left) != 1 || left[0].User != "" || !left[0].Revoked {
					t.Errorf("left are %+v", left)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
