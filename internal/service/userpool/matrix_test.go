package userpool

import (
	"reflect"
	"strings"
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// What a person or client of one pool holds is worth nothing to another pool, where
// somebody of the same name and address lives. (TestService_otherPool tries the operations
// that name a pool.)
func TestService_otherPool_credentials(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	setUp := func() (pool, client string) {
		pool = h.newPoolID(func(in *api.CreateUserPoolRequest) { in.MfaConfiguration = "OFF" })
		client = *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
			in.ExplicitAuthFlows = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH")
		}).ClientId
		return pool, client
	}
	poolA, a := setUp()
	_, b := setUp()
	h.member(poolA, "ann@example.com", "email_verified", "true")
	signedUp := func(client string) (code string, session *string) {
		out := must[*api.SignUpResponse](t)(h.c.SignUp(ctx, signUpRequest(client, "eve@example.com", goodPass)))
		return h.box.last(t).Code, out.Session
	}
	codeA, sessionA := signedUp(a)
	codeB, _ := signedUp(b)
	r := h.mustSignIn(a, "ann@example.com")
	srpA := h.srp(poolA, a)
	begun := must[*api.InitiateAuthResponse](t)(srpA.start("ann@example.com"))
	proof := srpA.proof(begun.ChallengeParameters, goodPass)
	must[*api.ForgotPasswordResponse](t)(h.c.ForgotPassword(ctx, &api.ForgotPasswordRequest{ClientId: a, Username: "ann@example.com"}))
	reset := h.box.last(t).Code
	if codeA == codeB { // one chance in a million: then the code of one is that of the other
		t.Skip("both codes are the same")
	}
	for name, try := range map[string]func() error{
		"a password": func() error { _, err := h.signIn(b, "ann@example.com", goodPass); return err },
		"a generated username": func() error {
			_, err := h.signIn(b, h.claims(r.AccessToken).String("username"), goodPass)
			return err
		},
		"a refresh token": func() error {
			_, err := h.c.InitiateAuth(ctx, &api.InitiateAuthRequest{AuthFlow: "REFRESH_TOKEN_AUTH", ClientId: b, AuthParameters: map[string]string{"REFRESH_TOKEN": *r.RefreshToken}})
			return err
		},
		"a refresh token, the newer way": func() error {
			_, err := h.c.GetTokensFromRefreshToken(ctx, &api.GetTokensFromRefreshTokenRequest{ClientId: b, RefreshToken: *r.RefreshToken})
			return err
		},
		"an answer": func() error {
			_, err := h.c.RespondToAuthChallenge(ctx, &api.RespondToAuthChallengeRequest{ChallengeName: "PASSWORD_VERIFIER", ClientId: b, ChallengeResponses: proof})
			return err
		},
		"a sign-up code": func() error {
			_, err := h.c.ConfirmSignUp(ctx, &api.ConfirmSignUpRequest{ClientId: b, Username: "eve@example.com", ConfirmationCode: codeA})
			return err
		},
		"a sign-up session": func() error {
			_, err := h.c.ConfirmSignUp(ctx, &api.ConfirmSignUpRequest{ClientId: b, Username: "eve@example.com", ConfirmationCode: codeB, Session: sessionA})
			return err
		},
		"a recovery code": func() error {
			_, err := h.c.ConfirmForgotPassword(ctx, &api.ConfirmForgotPasswordRequest{ClientId: b, Username: "ann@example.com", ConfirmationCode: reset, Password: goodPass + "x"})
			return err
		},
	} {
		if try() == nil {
			t.Errorf("%s of one pool is taken by the other", name)
		}
	}
	_, _ = h.c.RevokeToken(ctx, &api.RevokeTokenRequest{ClientId: b, Token: *r.RefreshToken}) // which is no error, and does nothing
	must[*api.GetTokensFromRefreshTokenResponse](t)(h.c.GetTokensFromRefreshToken(ctx, &api.GetTokensFromRefreshTokenRequest{ClientId: a, RefreshToken: *r.RefreshToken}))
	must[*api.ConfirmSignUpResponse](t)(h.c.ConfirmSignUp(ctx, &api.ConfirmSignUpRequest{ClientId: a, Username: "eve@example.com", ConfirmationCode: codeA}))
	if _, err := srpA.finish(proof); err != nil {
		t.Errorf("the twin that must pass: %v", err)
	}
	must[*api.DeleteUserPoolOutput](t)(h.c.DeleteUserPool(ctx, &api.DeleteUserPoolRequest{UserPoolId: poolA}))
	tried := 0
	for _, op := range api.New(h.Service).Operations {
		in := op.NewInput()
		f := reflect.ValueOf(in).Elem().FieldByName("AccessToken")
		switch {
		case !f.IsValid():
			continue
		case f.Kind() == reflect.String:
			f.SetString(*r.AccessToken)
		default:
			f.Set(reflect.ValueOf(r.AccessToken))
		}
		err := h.Invoke(ctx, "", op.Name, in, reflect.New(op.Output).Interface())
		if e, ok := err.(wire.Exception); !ok || (e.ErrorCode() == "InvalidParameterException") != strings.Contains(e.ErrorMessage(), "validation error") {
			t.Errorf("%s with a token of a pool that is gone: %v", op.Name, err)
		}
		tried++
	}
	if tried < 15 {
		t.Errorf("only %d operations were tried", tried)
	}
}
