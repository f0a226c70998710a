package userpool

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// triggered makes a pool with triggers, usernames and every flow.
func (h *house) triggered(l api.LambdaConfigType) (poolID, clientID string) {
	h.t.Helper()
	poolID = h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes, in.LambdaConfig = nil, &l })
	return poolID, *h.newClient(poolID, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = append(in.ExplicitAuthFlows, "ALLOW_CUSTOM_AUTH")
	}).ClientId
}

func at(ev map[string]any, path ...string) any {
	var v any = ev
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

type object = map[string]any

func TestTrigger_PreSignUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pre := h.function("pre", func(ev map[string]any) (any, error) {
		if ev["version"] != "1" || ev["triggerSource"] != "PreSignUp_SignUp" || at(ev, "callerContext", "awsSdkVersion") == "" {
			t.Errorf("got event %v", ev)
		}
		switch {
		case at(ev, "request", "validationData", "invite") != "yes":
			return nil, errors.New("Invitation needed")
		case at(ev, "request", "clientMetadata", "odd") == "yes":
			return json.RawMessage(`"text"`), nil
		}
		return object{"autoConfirmUser": true, "autoVerifyEmail": at(ev, "request", "userAttributes", "email") != nil}, nil
	})
	post := h.function("post", func(ev map[string]any) (any, error) {
		if ev["triggerSource"] != "PostConfirmation_ConfirmSignUp" || at(ev, "request", "userAttributes", "cognito:user_status") != "CONFIRMED" {
			t.Errorf("got event %v", ev)
		}
		return object{}, nil
	})
	pool, client := h.triggered(api.LambdaConfigType{PreSignUp: pre, PostConfirmation: post})
	sign := func(name string, metadata map[string]string, data ...api.AttributeType) (*api.SignUpResponse, error) {
		return h.c.SignUp(t.Context(), &api.SignUpRequest{
			ClientId: client, Username: name, Password: wire.String(goodPass), UserAttributes: []api.AttributeType{attr("email", name+"@example.com")},
			ValidationData: data, ClientMetadata: metadata,
		})
	}
	_, err := sign("ann", nil)
	want(t, err, "UserLambdaValidationException", "PreSignUp failed with error Invitation needed.")
	_, err = sign("ann", map[string]string{"odd": "yes"}, attr("invite", "yes"))
	want(t, err, "InvalidLambdaResponseException", "Unrecognizable lambda output")
	out := must[*api.SignUpResponse](t)(sign("ann", nil, attr("invite", "yes")))
	if !out.UserConfirmed || out.CodeDeliveryDetails != nil || h.box.count() != 0 || h.runs(post) != 1 {
		t.Errorf("got %+v, %d messages, %d confirmations", out, h.box.count(), h.runs(post))
	}
	h.mustSignIn(client, "ann")
	u := must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(t.Context(), &api.AdminGetUserRequest{UserPoolId: pool, Username: "ann"}))
	if attributesOf(u.UserAttributes)["email_verified"] != "true" {
		t.Error("the address is not verified")
	}
	before := h.runs(pre)
	_, err = sign("ann", nil, attr("invite", "yes"))
	want(t, err, "UsernameExistsException", "User already exists")
	if h.runs(pre) != before {
		t.Error("the function is asked about a name that is taken")
	}
}

// A trigger that does not exist, or does not let the pool in, refuses.
func TestTrigger_missing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, client := h.triggered(api.LambdaConfigType{PreSignUp: functionARN("gone")})
	_, err := h.c.SignUp(t.Context(), &api.SignUpRequest{ClientId: client, Username: "ann", Password: wire.String(goodPass)})
	want(t, err, "UnexpectedLambdaException", "PreSignUp invocation failed due to error ResourceNotFoundException.")
}

func TestTrigger_Authentication(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	blocked := map[string]bool{}
	pre := h.function("pre", func(ev map[string]any) (any, error) {
		if blocked["pre"] {
			return nil, errors.New("Not today")
		}
		if at(ev, "request", "userNotFound") == true && at(ev, "request", "userAttributes") != nil {
			t.Errorf("attributes of nobody: %v", ev)
		}
		return object{}, nil
	})
	post := h.function("post", func(ev map[string]any) (any, error) {
		if blocked["post"] {
			return nil, errors.New("Sorry")
		}
		if at(ev, "request", "clientMetadata") != nil || at(ev, "request", "newDeviceUsed") != false {
			t.Errorf("got event %v", ev)
		}
		return object{}, nil
	})
	pool, client := h.triggered(api.LambdaConfigType{PreAuthentication: pre, PostAuthentication: post})
	h.member(pool, "ann")
	sign := func(password string) (*api.InitiateAuthResponse, error) {
		return h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{
			AuthFlow: "USER_PASSWORD_AUTH", ClientId: client, AuthParameters: map[string]string{"USERNAME": "ann", "PASSWORD": password},
			ClientMetadata: map[string]string{"tenant": "a"},
		})
	}
	if out := must[*api.InitiateAuthResponse](t)(sign(goodPass)); out.AuthenticationResult == nil || h.runs(pre) != 1 || h.runs(post) != 1 {
		t.Fatalf("got %+v", out)
	}
	_, err := sign("Wrong-horse-77")
	want(t, err, "NotAuthorizedException", "")
	if h.runs(post) != 1 {
		t.Error("the function hears of a failed sign-in as of a whole one")
	}
	blocked["pre"] = true
	_, err = sign(goodPass)
	want(t, err, "UserLambdaValidationException", "PreAuthentication failed with error Not today.")
	_, err = h.srp(pool, client).start("ann")
	want(t, err, "UserLambdaValidationException", "PreAuthentication failed with error Not today.")
	blocked["pre"], blocked["post"] = false, true
	_, err = sign(goodPass)
	want(t, err, "UserLambdaValidationException", "PostAuthentication failed with error Sorry.")
}

func TestTrigger_PreTokenGeneration(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1", "2"} {
		t.Run("V"+version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			sources := []string{}
			f := h.function("token", func(ev map[string]any) (any, error) {
				sources = append(sources, ev["triggerSource"].(string))
				if ev["version"] != version || at(ev, "request", "groupConfiguration", "groupsToOverride") == nil {
					t.Errorf("got event %v", ev)
				}
				set := object{"tier": "gold", "sub": "somebody else", "exp": 99999999999, "cognito:username": "root", "aud": "other", "iss": "x"}
				groups := object{"groupsToOverride": []string{"readers"}, "iamRolesToOverride": []string{"arn:aws:iam::000000000000:role/r"}, "preferredRole": "arn:aws:iam::000000000000:role/r"}
				if version == "1" {
					delete(set, "exp") // version 1 knows text only
					return object{"claimsOverrideDetails": object{"claimsToAddOrOverride": set, "claimsToSuppress": []string{"email", "sub"}, "groupOverrideDetails": groups}}, nil
				}
				set["level"] = 7
				return object{"claimsAndScopeOverrideDetails": object{
					"idTokenGeneration":     object{"claimsToAddOrOverride": set, "claimsToSuppress": []string{"email", "sub"}},
					"accessTokenGeneration": object{"claimsToAddOrOverride": set, "scopesToAdd": []string{"courses/read"}, "scopesToSuppress": []string{scopeAdmin}},
					"groupOverrideDetails":  groups,
				}}, nil
			})
			l := api.LambdaConfigType{PreTokenGeneration: f}
			if version == "2" {
				l = api.LambdaConfigType{PreTokenGenerationConfig: &api.PreTokenGenerationVersionConfigType{LambdaArn: *f, LambdaVersion: "V2_0"}}
			}
			pool, client := h.triggered(l)
			h.member(pool, "ann", "email", "ann@example.com")
			r := h.mustSignIn(client, "ann")
			id, access := h.claims(r.IdToken), h.claims(r.AccessToken)
			if id.String("tier") != "gold" || id.String("email") != "" || id.String("sub") == "somebody else" || id.String("sub") == "" ||
				id.String("cognito:username") != "ann" || id.String("aud") != client || id.String("iss") == "x" {
				t.Errorf("got ID token %v", id)
			}
			if exp, ok := id.Time("exp"); !ok || exp.Sub(h.clock()) > 2*60*60*1e9 {
				t.Errorf("the token lives until %v", exp)
			}
			for _, c := range []interface{ Strings(string) []string }{id, access} {
				if g := c.Strings("cognito:groups"); len(g) != 1 || g[0] != "readers" {
					t.Errorf("got groups %v", g)
				}
			}
			if id.String("cognito:preferred_role") == "" {
				t.Error("no preferred role")
			}
			if version == "1" && (access.String("tier") != "" || access.String("scope") != scopeAdmin) {
				t.Errorf("version 1 changes the access token: %v", access)
			}
			if version == "2" && (access.String("tier") != "gold" || access.String("scope") != "courses/read" || access.String("aud") != "" || access.String("client_id") != client) {
				t.Errorf("got access token %v", access)
			}
			must[*api.InitiateAuthResponse](t)(h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{
				AuthFlow: "REFRESH_TOKEN_AUTH", ClientId: client, AuthParameters: map[string]string{"REFRESH_TOKEN": *r.RefreshToken},
			}))
			if got := strings.Join(sources, " "); got != "TokenGeneration_Authentication TokenGeneration_RefreshTokens" {
				t.Errorf("got sources %s", got)
			}
		})
	}
}

func TestTrigger_CustomMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	f := h.function("message", func(ev map[string]any) (any, error) {
		code, _ := at(ev, "request", "codeParameter").(string)
		switch ev["triggerSource"] {
		case "CustomMessage_SignUp":
			return object{"emailSubject": "Hello", "emailMessage": "Your number: " + code, "smsMessage": "sms " + code}, nil
		case "CustomMessage_AdminCreateUser":
			return object{"emailMessage": "You are {username}, say " + code}, nil
		}
		return object{"emailMessage": "There is no code in here"}, nil
	})
	pool, client := h.triggered(api.LambdaConfigType{CustomMessage: f})
	must[*api.SignUpResponse](t)(h.c.SignUp(t.Context(), &api.SignUpRequest{ClientId: client, Username: "ann", Password: wire.String(goodPass), UserAttributes: []api.AttributeType{attr("email", "ann@example.com")}}))
	if m := h.box.last(t); m.Subject != "Hello" || m.Body != "Your number: "+m.Code {
		t.Errorf("got %+v", m)
	}
	must[*api.ResendConfirmationCodeResponse](t)(h.c.ResendConfirmationCode(t.Context(), &api.ResendConfirmationCodeRequest{ClientId: client, Username: "ann"}))
	if m := h.box.last(t); !strings.Contains(m.Body, m.Code) {
		t.Errorf("a message without its code was sent: %+v", m)
	}
	must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(t.Context(), &api.AdminCreateUserRequest{UserPoolId: pool, Username: "bob", UserAttributes: []api.AttributeType{attr("email", "bob@example.com")}, DesiredDeliveryMediums: []api.DeliveryMediumType{"EMAIL"}}))
	if m := h.box.last(t); m.Body != "You are bob, say "+strings.NewReplacer("&", "&amp;").Replace(m.Password) {
		t.Errorf("got %+v", m)
	}
}

func TestTrigger_UserMigration(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	f := h.function("migrate", func(ev map[string]any) (any, error) {
		switch {
		case ev["userName"] == "ann" && at(ev, "request", "password") == goodPass && ev["triggerSource"] == "UserMigration_Authentication":
			return object{"userAttributes": object{"email": "ann@example.com", "email_verified": "true", "username": "ann"}, "finalUserStatus": "CONFIRMED", "messageAction": "SUPPRESS"}, nil
		case ev["userName"] == "bob" && ev["triggerSource"] == "UserMigration_ForgotPassword":
			return object{"userAttributes": object{"email": "bob@example.com", "email_verified": "true"}, "messageAction": "SUPPRESS"}, nil
		}
		return nil, errors.New("Bad password")
	})
	pool, client := h.triggered(api.LambdaConfigType{UserMigration: f})
	_, err := h.signIn(client, "ann", "Wrong-horse-77")
	want(t, err, "UserNotFoundException", "")
	h.mustSignIn(client, "ann")
	h.mustSignIn(client, "ann")
	if h.runs(f) != 2 {
		t.Errorf("the function ran %d times", h.runs(f))
	}
	if _, err := h.srp(pool, client).signIn("ann", goodPass); err != nil {
		t.Error(err) // with a verifier of his own by now
	}
	_, err = h.c.ForgotPassword(t.Context(), &api.ForgotPasswordRequest{ClientId: client, Username: "eve"})
	want(t, err, "UserNotFoundException", "")
	must[*api.ForgotPasswordResponse](t)(h.c.ForgotPassword(t.Context(), &api.ForgotPasswordRequest{ClientId: client, Username: "bob"}))
	must[*api.ConfirmForgotPasswordResponse](t)(h.c.ConfirmForgotPassword(t.Context(), &api.ConfirmForgotPasswordRequest{
		ClientId: client, Username: "bob", ConfirmationCode: h.box.last(t).Code, Password: goodPass,
	}))
	h.mustSignIn(client, "bob")
}
