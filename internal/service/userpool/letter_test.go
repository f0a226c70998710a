package userpool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// letterHouse is a house whose letters wait for the postman.
func letterHouse(t *testing.T) (h *house, pool, client string) {
	t.Helper()
	h = newHouse(t)
	h.prompt = false
	pool = h.newPoolID(nil)
	client = *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.PreventUserExistenceErrors = "ENABLED" }).ClientId
	return h, pool, client
}

// round lets the postman do what is due, and returns how many attempts that were.
func (h *house) round() int {
	h.t.Helper()
	batch, _, err := h.postman.claim(h.t.Context(), postmanHands)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, l := range batch {
		h.postman.carry(h.t.Context(), l)
	}
	return len(batch)
}

func (h *house) lettersLeft() (list []Letter) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), func(tx *store.Tx) (err error) {
		list, err = h.tables.letters.List(tx, store.Query{})
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

func (h *house) mustSignUp(client, name string) {
	h.t.Helper()
	must[*api.SignUpResponse](h.t)(h.c.SignUp(h.t.Context(), signUpRequest(client, name, goodPass)))
}

func (h *house) mustResend(client, name string) {
	h.t.Helper()
	must[*api.ResendConfirmationCodeResponse](h.t)(h.c.ResendConfirmationCode(h.t.Context(), &api.ResendConfirmationCodeRequest{ClientId: client, Username: name}))
}

// A mail server that is down loses no message: it is tried again, each time later, and
// a restart changes nothing about it.
func TestPostman_triesAgainAcrossRestarts(t *testing.T) {
	t.Parallel()
	h, _, client := letterHouse(t)
	h.box.fail = true
	h.mustSignUp(client, "ann@example.com")
	if n := h.round(); n != 1 {
		t.Fatalf("%d attempts, want 1", n)
	}
	for pause := firstPause; pause < 10*time.Minute; pause *= 2 {
		h.advance(pause - time.Second)
		if n := h.round(); n != 0 {
			t.Fatalf("tried again before %s", pause)
		}
		h.advance(time.Second)
		if n := h.round(); n != 1 {
			t.Fatalf("%d attempts after %s, want 1", n, pause)
		}
	}
	h.open(h.db)
	h.prompt = false
	h.box.fail = false
	h.advance(longestPause)
	if n := h.round(); n != 1 || h.box.count() != 1 {
		t.Fatalf("%d attempts and %d messages after the restart", n, h.box.count())
	}
	m := h.box.last(t)
	_, err := h.c.ConfirmSignUp(t.Context(), &api.ConfirmSignUpRequest{ClientId: client, Username: "ann@example.com", ConfirmationCode: m.Code})
	if err != nil {
		t.Error(err)
	}
	if left := h.lettersLeft(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	if sent, lost := h.Deliveries(); sent != 1 || lost != 0 {
		t.Errorf("delivered %d, undelivered %d", sent, lost)
	}
}

// What a program had in hand when it was killed is free again after the lease.
func TestPostman_crash(t *testing.T) {
	t.Parallel()
	h, _, client := letterHouse(t)
	h.mustSignUp(client, "ann@example.com")
	if batch, _, err := h.postman.claim(t.Context(), 1); err != nil || len(batch) != 1 {
		t.Fatal(batch, err)
	}
	h.open(h.db)
	h.prompt = false
	h.advance(letterLease - time.Second)
	if n := h.round(); n != 0 {
		t.Error("another node took what is being delivered")
	}
	h.advance(time.Second)
	if n := h.round(); n != 1 || h.box.count() != 1 {
		t.Errorf("%d attempts, %d messages after the lease", n, h.box.count())
	}
}

// A message is dropped when the code in it no longer counts, and counted.
func TestPostman_givesUpWhenTheCodeExpires(t *testing.T) {
	t.Parallel()
	h, _, client := letterHouse(t)
	h.box.fail = true
	h.mustSignUp(client, "ann@example.com")
	h.round()
	h.advance(signUpCodeLife - time.Minute) // the next pause would end later
	h.round()
	if left := h.lettersLeft(); len(left) != 1 {
		t.Fatalf("dropped early: %d left", len(left))
	}
	h.advance(time.Minute)
	h.box.fail = false
	h.round()
	if sent, lost := h.Deliveries(); sent != 0 || lost != 1 || h.box.count() != 0 || len(h.lettersLeft()) != 0 {
		t.Errorf("delivered %d, undelivered %d, %d left", sent, lost, len(h.lettersLeft()))
	}
}

// A letter on the way holds nothing that a reader of the database could use.
func TestPostman_lettersAreSealed(t *testing.T) {
	t.Parallel()
	h, _, client := letterHouse(t)
	h.mustSignUp(client, "ann@example.com")
	left := h.lettersLeft()
	if len(left) != 1 {
		t.Fatalf("%d letters", len(left))
	}
	h.round()
	for _, secret := range []string{h.box.last(t).Code, "ann@example.com", "Your verification code"} {
		if bytes.Contains(left[0].Sealed, []byte(secret)) {
			t.Errorf("%q can be read", secret)
		}
	}
	changed := left[0]
	changed.ID = "another"
	if _, err := h.postman.deliver(t.Context(), &changed); !errors.Is(err, ErrUndeliverable) {
		t.Errorf("the text of another letter: %v", err)
	}
}

// The newest code is the only one that counts, so it is the only one that is sent, even
// when it comes while the older one is being tried.
func TestPostman_newCodeReplacesTheOldLetter(t *testing.T) {
	t.Parallel()
	h, _, client := letterHouse(t)
	h.mustSignUp(client, "ann@example.com")
	old, _, err := h.postman.claim(t.Context(), 1)
	if err != nil || len(old) != 1 {
		t.Fatal(old, err)
	}
	h.mustResend(client, "ann@example.com")
	h.postman.carry(t.Context(), old[0])
	if n := h.round(); n != 1 {
		t.Fatalf("the new letter went with the old one")
	}
	_, err = h.c.ConfirmSignUp(t.Context(), &api.ConfirmSignUpRequest{ClientId: client, Username: "ann@example.com", ConfirmationCode: h.box.last(t).Code})
	if err != nil {
		t.Error(err)
	}
}

func TestPostman_finalErrorsAndGoneUsers(t *testing.T) {
	t.Parallel()
	h, pool, client := letterHouse(t)
	h.messenger = messengerFunc(func(Message) error { return fmt.Errorf("%w: 550 no such mailbox", ErrUndeliverable) })
	h.mustSignUp(client, "ann@example.com")
	h.round()
	if _, lost := h.Deliveries(); lost != 1 || len(h.lettersLeft()) != 0 {
		t.Errorf("undelivered %d, %d left", lost, len(h.lettersLeft()))
	}
	h.messenger = h.box
	h.mustSignUp(client, "bob@example.com")
	claimed, _, err := h.postman.claim(t.Context(), 1)
	if err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	must[*api.AdminDeleteUserOutput](t)(h.c.AdminDeleteUser(t.Context(), &api.AdminDeleteUserRequest{UserPoolId: pool, Username: "bob@example.com"}))
	if left := h.lettersLeft(); len(left) != 0 {
		t.Errorf("the letter of a deleted user is left")
	}
	h.postman.carry(t.Context(), claimed[0])
	if h.box.count() != 0 {
		t.Error("a deleted user was written to")
	}
}

// What is written for somebody unknown is what is written for somebody known; only the
// postman passes it by.
func TestPostman_nobodyCostsTheSame(t *testing.T) {
	t.Parallel()
	h, pool, client := letterHouse(t)
	h.member(pool, "ann@example.com", "email_verified", "true")
	sizes := map[string]int{}
	for _, name := range []string{"ann@example.com", "eve@example.com"} {
		before := len(h.lettersLeft())
		must[*api.ForgotPasswordResponse](t)(h.c.ForgotPassword(t.Context(), &api.ForgotPasswordRequest{ClientId: client, Username: name}))
		left := h.lettersLeft()
		if len(left) != before+1 {
			t.Fatalf("%d letters for %s", len(left)-before, name)
		}
		for _, l := range left {
			if l.Blank == (name == "eve@example.com") {
				sizes[name] = len(l.Sealed)
			}
		}
	}
	if a, b := sizes["ann@example.com"], sizes["eve@example.com"]; a == 0 || a-b > 40 || b-a > 40 {
		t.Errorf("letters of %d and %d bytes", a, b)
	}
	if n := h.round(); n != 2 || h.box.count() != 1 {
		t.Errorf("%d letters taken up, %d messages, want two and one", n, h.box.count())
	}
	if left := h.lettersLeft(); len(left) != 0 {
		t.Errorf("%d letters are left", len(left))
	}
}

// How long a delivery takes is nothing that the one who asked can see.
func TestPostman_nobodyWaits(t *testing.T) {
	t.Parallel()
	h, pool, client := letterHouse(t)
	arrived, release := make(chan Message), make(chan struct{})
	h.messenger = messengerFunc(func(m Message) error { arrived <- m; <-release; return nil })
	h.member(pool, "bob@example.com", "email_verified", "true")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.postman.run(ctx) }()
	h.mustSignUp(client, "ann@example.com")
	must[*api.ForgotPasswordResponse](t)(h.c.ForgotPassword(t.Context(), &api.ForgotPasswordRequest{ClientId: client, Username: "bob@example.com"}))
	got := map[string]bool{(<-arrived).Destination: true, (<-arrived).Destination: true}
	if !got["ann@example.com"] || !got["bob@example.com"] {
		t.Errorf("got %v", got)
	}
	cancel()
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left := h.lettersLeft(); len(left) != 0 {
		t.Errorf("%d letters are left after an orderly end", len(left))
	}
}

// Where nobody can deliver a medium, who asks for a message with a right to know is told.
func TestService_post_mediumThatNobodyCarries(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com", "phone_number", "+4915112345678")
	tokens := h.mustSignIn(client, "ann@example.com")
	ask := func(name string) error {
		_, err := h.c.GetUserAttributeVerificationCode(t.Context(), &api.GetUserAttributeVerificationCodeRequest{AccessToken: *tokens.AccessToken, AttributeName: name})
		return err
	}
	h.messenger = mailOnly{h.box}
	want(t, ask("phone_number"), "CodeDeliveryFailureException", "Failed to send the message.")
	if err := ask("email"); err != nil {
		t.Errorf("the twin that must pass: %v", err)
	}
	if m := h.box.last(t); m.Medium != MediumEmail || m.ID == "" || !m.ExpiresAt.Equal(h.clock().Add(attributeCodeLife)) {
		t.Errorf("got %+v", m)
	}
}

type messengerFunc func(Message) error

func (f messengerFunc) Carries(string) bool                         { return true }
func (f messengerFunc) SendCode(_ context.Context, m Message) error { return f(m) }

type mailOnly struct{ Messenger }

func (mailOnly) Carries(medium string) bool { return medium == MediumEmail }
