package userpool

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// Who is not there costs what who is there costs: by their times nobody can tell the two apart.
// Kinds take turns, so that whatever else the machine does happens to both.
//
// How far they are apart is the probability that an answer about somebody takes longer than one
// about nobody (Mann and Whitney's U): 0.5 where they are the same, 0 or 1 where each answer tells.
// Work that is left out for nobody makes it about 0.9 on a busy machine, and more on a quiet one.
func TestService_PreventUserExistenceErrors_time(t *testing.T) {
	t.Parallel()
	const people = 24
	h := newHouse(t)
	h.prompt = false // messages leave after the answer, as where strangers are
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.PreventUserExistenceErrors = "ENABLED" }).ClientId
	name := func(kind, i int) string { return fmt.Sprintf("%s%02d@example.com", [...]string{"ann", "nob"}[kind], i) }
	for i := range people {
		h.member(pool, name(0, i), "email_verified", "true")
	}
	unconfirmed := func(kind, i int) string { return fmt.Sprintf("%s%02d@example.org", [...]string{"ann", "nob"}[kind], i) }
	for i := range people {
		must[*api.SignUpResponse](t)(h.c.SignUp(t.Context(), &api.SignUpRequest{
			ClientId: client, Username: unconfirmed(0, i), Password: wire.String(goodPass),
			UserAttributes: []api.AttributeType{{Name: "email", Value: wire.String(unconfirmed(0, i))}},
		}))
	}
	type asked struct {
		rounds int // twice two wrong answers lock nobody
		near   float64
		name   func(kind, i int) string
		ask    func(name string) error
	}
	for what, a := range map[string]asked{
		"password": {2, 0.3, name, func(name string) error { _, err := h.signIn(client, name, "wrong"); return err }},
		"SRP, begun": {2, 0.3, name, func(name string) error {
			if _, err := h.srp(pool, client).start(name); err != nil {
				return err
			}
			return errWrongPassword()
		}},
		"SRP, answered": {2, 0.3, name, func(name string) error { _, err := h.srp(pool, client).signIn(name, "wrong"); return err }},
		"forgot": {8, 0.15, name, func(name string) error {
			if _, err := h.c.ForgotPassword(t.Context(), &api.ForgotPasswordRequest{ClientId: client, Username: name}); err != nil {
				return err
			}
			return errWrongPassword()
		}},
		"resend": {8, 0.15, unconfirmed, func(name string) error {
			if _, err := h.c.ResendConfirmationCode(t.Context(), &api.ResendConfirmationCodeRequest{ClientId: client, Username: name}); err != nil {
				return err
			}
			return errWrongPassword()
		}},
	} {
		var took [2][]time.Duration
		for round := range a.rounds {
			for i := range people {
				for turn := range 2 {
					kind := (turn + round + i) % 2
					began := time.Now()
					if err := a.ask(a.name(kind, i)); err == nil {
						t.Fatalf("%s: %s is let in", what, a.name(kind, i))
					}
					took[kind] = append(took[kind], time.Since(began))
				}
			}
		}
		longer := 0.0
		for _, a := range took[0] {
			for _, b := range took[1] {
				switch {
				case a > b:
					longer++
				case a == b:
					longer += 0.5
				}
			}
		}
		for _, s := range took {
			slices.Sort(s)
		}
		p := longer / float64(len(took[0])*len(took[1]))
		t.Logf("%s: somebody %v, nobody %v (medians), longer for somebody: %.2f", what, took[0][len(took[0])/2], took[1][len(took[1])/2], p)
		if p < 0.5-a.near || p > 0.5+a.near {
			t.Errorf("%s: somebody %v, nobody %v (medians): %.2f of the times tell them apart", what, took[0][len(took[0])/2], took[1][len(took[1])/2], p)
		}
	}
}
