package userpool

import (
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// Where only administrators make users, confirming a sign-up tells a stranger nothing
// either; where anybody may sign up, it says what AWS says.
func TestService_ConfirmSignUp_hidesUsers(t *testing.T) {
	t.Parallel()
	for _, closed := range []bool{true, false} {
		h := newHouse(t)
		pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
			in.AdminCreateUserConfig = &api.AdminCreateUserConfigType{AllowAdminCreateUserOnly: wire.Bool(closed)}
		})
		client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.PreventUserExistenceErrors = "ENABLED" }).ClientId
		h.member(pool, "ann@example.com", "email_verified", "true")
		say := func(name string) string {
			_, err := h.c.ConfirmSignUp(t.Context(), &api.ConfirmSignUpRequest{ClientId: client, Username: name, ConfirmationCode: "000000"})
			if e, ok := err.(wire.Exception); ok {
				return e.ErrorCode() + ": " + e.ErrorMessage()
			}
			return "ok"
		}
		ann, nobody := say("ann@example.com"), say("nobody@example.com")
		if closed && ann != nobody {
			t.Errorf("ann gets %q, nobody %q", ann, nobody)
		}
		if want := "NotAuthorizedException: User cannot be confirmed. Current status is CONFIRMED"; !closed && ann != want {
			t.Errorf("got %q, want %q", ann, want)
		}
	}
}

// A generated username that exists is echoed; so is one that does not.
func TestService_imaginaryUser_byGeneratedName(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.PreventUserExistenceErrors = "ENABLED" }).ClientId
	h.member(pool, "ann@example.com", "email_verified", "true")
	a, err := h.srp(pool, client).start("ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{a.ChallengeParameters["USERNAME"], "0f8fad5b-d9cb-469f-a165-70867728950e"} {
		a, err := h.srp(pool, client).start(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.ChallengeParameters["USERNAME"]; got != name {
			t.Errorf("%s is answered with %s", name, got)
		}
	}
}
