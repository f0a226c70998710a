package userpool

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// open begins a sign-in by a code from an address.
func (h *house) openFrom(ip, client, name string) (*api.InitiateAuthResponse, error) {
	h.ip = ip
	return h.choose(client, name, "PREFERRED_CHALLENGE", "EMAIL_OTP")
}

func (h *house) answerCode(client, name string, session *string, code string) (*api.RespondToAuthChallengeResponse, error) {
	return h.answer(client, "EMAIL_OTP", session, "USERNAME", name, "EMAIL_OTP_CODE", code)
}

// A stranger who asks for codes in somebody's name, and guesses at them, keeps nobody out who
// comes from another network.
func TestOpeningCode_strangers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, quiet := h.choicePool()
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	const home, stranger = "192.0.2.7", "203.0.113.9"
	first := must[*api.InitiateAuthResponse](t)(h.openFrom(home, client, "ann"))
	code := h.box.last(t).Code
	var held *api.InitiateAuthResponse
	for range maxSends {
		held = must[*api.InitiateAuthResponse](t)(h.openFrom(stranger, client, "ann"))
	}
	_, err := h.openFrom(stranger, client, "ann")
	want(t, err, "TooManyRequestsException", "Attempt limit exceeded, please try after some time.")
	_, err = h.openFrom("203.0.113.200", quiet, "ann") // the same network, by another client
	want(t, err, "TooManyRequestsException", "")
	// Whose challenge was first has the code that was sent for it; it is nobody else's.
	_, err = h.answerCode(client, "ann", held.Session, code)
	want(t, err, "CodeMismatchException", "Invalid code or auth state for the user.")
	out := must[*api.RespondToAuthChallengeResponse](t)(h.answerCode(client, "ann", first.Session, code))
	h.claims(out.AuthenticationResult.IdToken)
	_, err = h.answerCode(client, "ann", first.Session, code)
	want(t, err, "NotAuthorizedException", "")

	h.advance(codeWindow)
	must[*api.InitiateAuthResponse](t)(h.openFrom(stranger, client, "ann"))
}

func isCode(err error, code string) bool {
	e, ok := err.(wire.Exception)
	return ok && e.ErrorCode() == code
}

// A network has so many guesses, however many codes they are at.
func TestOpeningCode_guesses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.choicePool()
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	wrong := 0
	for range maxSends {
		held := must[*api.InitiateAuthResponse](t)(h.openFrom("203.0.113.9", client, "ann"))
		for range 2 {
			_, err := h.answerCode(client, "ann", held.Session, wrongCode(h.box.last(t).Code))
			if isCode(err, "CodeMismatchException") {
				wrong++
			}
			h.clearLock(pool, "ann")
		}
	}
	if wrong != maxAttempts {
		t.Errorf("%d guesses", wrong)
	}
}

// clearLock takes away what wrong answers have brought besides.
func (h *house) clearLock(pool, who string) {
	h.t.Helper()
	mustDo(h.t, h.db.Update(h.t.Context(), func(tx *store.Tx) error { return h.clearFailures(tx, pool, who) }))
}

// Many networks together get only so many codes sent, and a network from which she signed in by
// one is not held to that. What a quiet client is told is always the same.
func TestOpeningCode_manyNetworks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, quiet := h.choicePool()
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	const home = "2001:db8:1:2::7"
	first := must[*api.InitiateAuthResponse](t)(h.openFrom(home, client, "ann"))
	must[*api.RespondToAuthChallengeResponse](t)(h.answerCode(client, "ann", first.Session, h.box.last(t).Code))
	for i := range maxOpenings - 1 {
		must[*api.InitiateAuthResponse](t)(h.openFrom(fmt.Sprintf("203.0.%d.9", i), client, "ann"))
		must[*api.InitiateAuthResponse](t)(h.openFrom(fmt.Sprintf("203.0.%d.9", i), quiet, "nobody"))
	}
	must[*api.InitiateAuthResponse](t)(h.openFrom("203.0.99.9", quiet, "nobody"))
	sent := h.box.count()
	if sent != maxOpenings {
		t.Fatalf("%d messages", sent)
	}
	_, err := h.openFrom("198.51.100.1", client, "ann")
	want(t, err, "TooManyRequestsException", "")
	ann := must[*api.InitiateAuthResponse](t)(h.openFrom("198.51.100.1", quiet, "ann"))
	nobody := must[*api.InitiateAuthResponse](t)(h.openFrom("198.51.100.1", quiet, "nobody"))
	if ann.ChallengeName != "EMAIL_OTP" || nobody.ChallengeName != "EMAIL_OTP" || h.box.count() != sent {
		t.Errorf("%s and %s, %d messages", ann.ChallengeName, nobody.ChallengeName, h.box.count())
	}
	_, err = h.answerCode(quiet, "ann", ann.Session, "123456")
	want(t, err, "CodeMismatchException", "")
	_, err = h.answerCode(quiet, "nobody", nobody.Session, "123456")
	want(t, err, "CodeMismatchException", "")
	for _, c := range []string{client, quiet} {
		again := must[*api.InitiateAuthResponse](t)(h.openFrom("2001:db8:1:2:ffff::1", c, "ann"))
		must[*api.RespondToAuthChallengeResponse](t)(h.answerCode(c, "ann", again.Session, h.box.last(t).Code))
	}
	h.advance(codeWindow)
	next := must[*api.InitiateAuthResponse](t)(h.openFrom("198.51.100.1", quiet, "ann"))
	must[*api.RespondToAuthChallengeResponse](t)(h.answerCode(quiet, "ann", next.Session, h.box.last(t).Code))
}

// Addresses that are blocked get nothing at all, at no operation by which strangers begin.
func TestThreat_blockedEverywhere(t *testing.T) {
	t.Parallel()
	for _, mode := range []api.AdvancedSecurityModeType{"ENFORCED", "AUDIT"} {
		h, pool, client := guarded(t, mode)
		h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, RiskExceptionConfiguration: &api.RiskExceptionConfigurationType{BlockedIPRangeList: []string{"203.0.113.0/24"}}})
		h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
		tokens := h.mustSignIn(client, "ann")
		calls := map[string]func() error{
			"ForgotPassword": func() error {
				return second(h.c.ForgotPassword(t.Context(), &api.ForgotPasswordRequest{ClientId: client, Username: "ann"}))
			},
			"ResendConfirmationCode": func() error {
				return second(h.c.ResendConfirmationCode(t.Context(), &api.ResendConfirmationCodeRequest{ClientId: client, Username: "ann"}))
			},
			"ConfirmSignUp": func() error {
				return second(h.c.ConfirmSignUp(t.Context(), &api.ConfirmSignUpRequest{ClientId: client, Username: "ann", ConfirmationCode: "123456"}))
			},
			"ConfirmForgotPassword": func() error {
				return second(h.c.ConfirmForgotPassword(t.Context(), &api.ConfirmForgotPasswordRequest{ClientId: client, Username: "ann", ConfirmationCode: "123456", Password: goodPass}))
			},
			"GetTokensFromRefreshToken": func() error {
				return second(h.c.GetTokensFromRefreshToken(t.Context(), &api.GetTokensFromRefreshTokenRequest{ClientId: client, RefreshToken: *tokens.RefreshToken}))
			},
			"InitiateAuth": func() error { return second(h.signIn(client, "ann", goodPass)) },
		}
		for name, call := range calls {
			for ip, blocked := range map[string]bool{"203.0.113.9": mode == "ENFORCED", "::ffff:203.0.113.9": mode == "ENFORCED", "203.0.114.9": false} {
				h.ip = ip
				err := call()
				if got := err != nil && err.Error() == "NotAuthorizedException: Request not allowed due to security reasons."; got != blocked {
					t.Errorf("%s, %s from %s: %v", mode, name, ip, err)
				}
			}
		}
	}
}

func TestThreat_blockedAtDomain(t *testing.T) {
	t.Parallel()
	h, pool, id, secret := oauthHouse(t)
	must[*api.UpdateUserPoolResponse](t)(h.c.UpdateUserPool(t.Context(), &api.UpdateUserPoolRequest{UserPoolId: pool, UserPoolAddOns: &api.UserPoolAddOnsType{AdvancedSecurityMode: "ENFORCED"}}))
	h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, RiskExceptionConfiguration: &api.RiskExceptionConfigurationType{BlockedIPRangeList: []string{"203.0.113.0/24"}}})
	for address, status := range map[string]int{"203.0.113.9:1234": http.StatusBadRequest, "[::ffff:203.0.113.9]:1234": http.StatusBadRequest, "203.0.114.9:1234": http.StatusOK} {
		w, body := h.post("school", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}, func(r *http.Request) {
			r.RemoteAddr = address
			r.Header.Set("X-Forwarded-For", "198.51.100.1") // which nobody believes
		})
		if w.Code != status || (body["access_token"] != nil) != (status == http.StatusOK) {
			t.Errorf("from %s: %d %v", address, w.Code, body)
		}
	}
}

// Who guesses too often must not learn by it that there is somebody.
func TestOpeningCode_guessesAtNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, _, quiet := h.choicePool()
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	h.member(pool, "bob") // who has no address
	var told [3][]string
	for i, name := range []string{"ann", "bob", "nobody"} {
		held := must[*api.InitiateAuthResponse](t)(h.openFrom("203.0.113.9", quiet, name))
		for range 14 {
			_, err := h.answerCode(quiet, name, held.Session, wrongCode(h.box.last(t).Code))
			told[i] = append(told[i], err.Error())
			h.clearLock(pool, map[string]string{"ann": "ann", "bob": "bob"}[name])
			h.clearLock(pool, h.nobody(&Pool{ID: pool, CaseSensitive: true}, name))
		}
	}
	for i := range told[1:] {
		if !slices.Equal(told[0], told[i+1]) {
			t.Errorf("told %q and %q", told[0], told[i+1])
		}
	}
}

// A code that went to an address which was changed since lets nobody in.
func TestOpeningCode_addressChanged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool, client, _ := h.choicePool()
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	held := must[*api.InitiateAuthResponse](t)(h.openFrom("203.0.113.9", client, "ann"))
	code := h.box.last(t).Code
	must[*api.AdminUpdateUserAttributesResponse](t)(h.c.AdminUpdateUserAttributes(t.Context(), &api.AdminUpdateUserAttributesRequest{
		UserPoolId: pool, Username: "ann", UserAttributes: []api.AttributeType{attr("email", "new@example.com"), attr("email_verified", "true")},
	}))
	_, err := h.answerCode(client, "ann", held.Session, code)
	want(t, err, "CodeMismatchException", "Invalid code or auth state for the user.")
	held = must[*api.InitiateAuthResponse](t)(h.openFrom("203.0.113.9", client, "ann"))
	must[*api.RespondToAuthChallengeResponse](t)(h.answerCode(client, "ann", held.Session, h.box.last(t).Code))
}
