package userpool

import (
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// Who has nothing yet, in a pool that demands a second factor, can name a mailbox; it becomes his
// when its code comes back, and not before.
func TestService_setupMailbox(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool, client := h.mfaPool("ON")
	h.member(pool, "ann")
	email := func() map[string]string {
		return attributesOf(must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(ctx, &api.AdminGetUserRequest{UserPoolId: pool, Username: "ann"})).UserAttributes)
	}
	first := h.begin(client, "ann", goodPass)
	stale := h.begin(client, "ann", goodPass)
	_, err := h.answer(client, "MFA_SETUP", first.Session, "USERNAME", "ann", "EMAIL", "nobody")
	want(t, err, "InvalidParameterException", "Invalid email address format.")
	second := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "MFA_SETUP", first.Session, "USERNAME", "ann", "EMAIL", "ann@example.com"))
	if second.ChallengeName != "EMAIL_OTP" || second.AuthenticationResult != nil || second.ChallengeParameters["CODE_DELIVERY_DESTINATION"] != "a***@e***" {
		t.Fatalf("got %+v", second)
	}
	if got := email(); got["email"] != "" {
		t.Errorf("an unproven mailbox is the user's: %v", got)
	}
	_, err = h.answer(client, "MFA_SETUP", first.Session, "USERNAME", "ann", "EMAIL", "eve@example.com")
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	code := h.box.last(t).Code
	if to := h.box.last(t).Destination; to != "ann@example.com" {
		t.Errorf("the code went to %s", to)
	}
	_, err = h.answer(client, "EMAIL_OTP", second.Session, "USERNAME", "ann", "EMAIL_OTP_CODE", wrongCode(code))
	want(t, err, "CodeMismatchException", "")
	// Another set-up begins meanwhile; its end must not replace the factor that there is by then.
	other := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "MFA_SETUP", stale.Session, "USERNAME", "ann", "EMAIL", "eve@example.com"))
	evil := h.box.last(t).Code
	_, err = h.answer(client, "EMAIL_OTP", second.Session, "USERNAME", "ann", "EMAIL_OTP_CODE", evil)
	want(t, err, "CodeMismatchException", "")
	done := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "EMAIL_OTP", other.Session, "USERNAME", "ann", "EMAIL_OTP_CODE", evil))
	h.claims(done.AuthenticationResult.IdToken)
	if got := email(); got["email"] != "eve@example.com" || got["email_verified"] != "true" {
		t.Errorf("got %v", got)
	}
	_, err = h.answer(client, "EMAIL_OTP", second.Session, "USERNAME", "ann", "EMAIL_OTP_CODE", code)
	want(t, err, "CodeMismatchException", "")
	next := h.begin(client, "ann", goodPass)
	if next.ChallengeName != "EMAIL_OTP" {
		t.Fatalf("got %+v", next)
	}
	must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, "EMAIL_OTP", next.Session, "USERNAME", "ann", "EMAIL_OTP_CODE", h.box.last(t).Code))
}

// A pool without codes by e-mail, and a client that may not write the address, do not let it in.
func TestService_setupMailbox_refused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool, client := h.mfaPool("ON")
	h.member(pool, "ann")
	begun := h.begin(client, "ann", goodPass)
	must[*api.SetUserPoolMfaConfigResponse](t)(h.c.SetUserPoolMfaConfig(ctx, &api.SetUserPoolMfaConfigRequest{UserPoolId: pool, MfaConfiguration: "ON", SoftwareTokenMfaConfiguration: &api.SoftwareTokenMfaConfigType{Enabled: wire.Bool(true)}}))
	_, err := h.answer(client, "MFA_SETUP", begun.Session, "USERNAME", "ann", "EMAIL", "ann@example.com")
	want(t, err, "InvalidParameterException", "EMAIL_OTP is not enabled for the user pool.")
	h.setMFA(pool, "ON")
	strict := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.WriteAttributes = []string{"name"} }).ClientId
	begun = h.begin(strict, "ann", goodPass)
	_, err = h.answer(strict, "MFA_SETUP", begun.Session, "USERNAME", "ann", "EMAIL", "ann@example.com")
	want(t, err, "NotAuthorizedException", "A client attempted to write unauthorized attribute")
	if h.box.count() != 0 {
		t.Error("a code was sent")
	}
}
