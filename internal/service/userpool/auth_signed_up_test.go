package userpool

import (
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// A client that confirms without the session of its sign-up goes on to a sign-in only
// where the code alone would begin one.
func TestService_ConfirmSignUp_withoutSession(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		first []api.AuthFactorType
		flows []api.ExplicitAuthFlowsType
		gives bool
	}{
		"codes begin sign-ins":     {[]api.AuthFactorType{"PASSWORD", "EMAIL_OTP"}, []api.ExplicitAuthFlowsType{"ALLOW_USER_AUTH"}, true},
		"passwords alone do":       {[]api.AuthFactorType{"PASSWORD"}, []api.ExplicitAuthFlowsType{"ALLOW_USER_AUTH"}, false},
		"codes to phones do":       {[]api.AuthFactorType{"PASSWORD", "SMS_OTP"}, []api.ExplicitAuthFlowsType{"ALLOW_USER_AUTH"}, false},
		"not by choice, on client": {[]api.AuthFactorType{"PASSWORD", "EMAIL_OTP"}, []api.ExplicitAuthFlowsType{"ALLOW_USER_PASSWORD_AUTH"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
				in.UsernameAttributes, in.AutoVerifiedAttributes = nil, []api.VerifiedAttributeType{"email"}
				in.Policies.SignInPolicy = &api.SignInPolicyType{AllowedFirstAuthFactors: row.first}
			})
			client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.ExplicitAuthFlows = row.flows }).ClientId
			must[*api.SignUpResponse](t)(h.c.SignUp(t.Context(), &api.SignUpRequest{
				ClientId: client, Username: "ann", Password: wire.String(goodPass), UserAttributes: []api.AttributeType{attr("email", "ann@example.com")},
			}))
			out := must[*api.ConfirmSignUpResponse](t)(h.c.ConfirmSignUp(t.Context(), &api.ConfirmSignUpRequest{ClientId: client, Username: "ann", ConfirmationCode: h.box.last(t).Code}))
			if (out.Session != nil) != row.gives {
				t.Fatalf("got a session: %v, want %v", out.Session != nil, row.gives)
			}
			if !row.gives {
				return
			}
			in := &api.InitiateAuthRequest{AuthFlow: "USER_AUTH", ClientId: client, Session: out.Session, AuthParameters: map[string]string{"USERNAME": "ann"}}
			h.claims(must[*api.InitiateAuthResponse](t)(h.c.InitiateAuth(t.Context(), in)).AuthenticationResult.IdToken)
			_, err := h.c.InitiateAuth(t.Context(), in)
			want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
		})
	}
}
