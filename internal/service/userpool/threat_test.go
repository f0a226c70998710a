package userpool

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/totp"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// guarded is a pool with threat protection and a client.
func guarded(t *testing.T, mode api.AdvancedSecurityModeType) (h *house, pool, client string) {
	t.Helper()
	h = newHouse(t)
	pool = h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.UserPoolAddOns = &api.UserPoolAddOnsType{AdvancedSecurityMode: mode}
		in.Policies.PasswordPolicy = &api.PasswordPolicyType{MinimumLength: wire.Int32(8)}
		in.UsernameAttributes = nil
	})
	client = *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = append(in.ExplicitAuthFlows, "ALLOW_USER_AUTH", "ALLOW_CUSTOM_AUTH")
		in.PreventUserExistenceErrors = "ENABLED"
	}).ClientId
	return h, pool, client
}

func (h *house) setRisk(in *api.SetRiskConfigurationRequest) {
	h.t.Helper()
	must[*api.SetRiskConfigurationResponse](h.t)(h.c.SetRiskConfiguration(h.t.Context(), in))
}

func takeover(action api.AccountTakeoverEventActionType, notify bool) *api.AccountTakeoverRiskConfigurationType {
	a := &api.AccountTakeoverActionType{EventAction: action, Notify: notify}
	return &api.AccountTakeoverRiskConfigurationType{
		Actions: &api.AccountTakeoverActionsType{LowAction: a, MediumAction: a, HighAction: a},
		NotifyConfiguration: &api.NotifyConfigurationType{
			SourceArn: "arn:aws:ses:eu-central-1:000000000000:identity/example.com", From: wire.String("guard@example.com"),
			BlockEmail: &api.NotifyEmailType{Subject: "Blocked", TextBody: wire.String("{username} {ip-address} {event-id} {feedback-token}")},
		},
	}
}

func compromised(action api.CompromisedCredentialsEventActionType, filter ...api.EventFilterType) *api.CompromisedCredentialsRiskConfigurationType {
	return &api.CompromisedCredentialsRiskConfigurationType{Actions: &api.CompromisedCredentialsActionsType{EventAction: action}, EventFilter: filter}
}

// from signs in by a server that says where the user is.
func (h *house) from(pool, client, name, password, address, agent string) (*api.AdminInitiateAuthResponse, error) {
	h.advance(time.Second) // events of one millisecond have no order
	return h.c.AdminInitiateAuth(h.t.Context(), &api.AdminInitiateAuthRequest{
		UserPoolId: pool, ClientId: client, AuthFlow: "ADMIN_USER_PASSWORD_AUTH", AuthParameters: map[string]string{"USERNAME": name, "PASSWORD": password},
		ContextData: &api.ContextDataType{IpAddress: address, ServerName: "app", ServerPath: "/", HttpHeaders: []api.HttpHeader{{HeaderName: wire.String("user-agent"), HeaderValue: &agent}}},
	})
}

func (h *house) events(pool, name string) []api.AuthEventType {
	h.t.Helper()
	return must[*api.AdminListUserAuthEventsResponse](h.t)(h.c.AdminListUserAuthEvents(h.t.Context(), &api.AdminListUserAuthEventsRequest{UserPoolId: pool, Username: name})).AuthEvents
}

func TestThreat_leakedPasswords(t *testing.T) {
	t.Parallel()
	const leaked, fine = "Password2024!", "Riddle-of-steel-4"
	for _, tt := range []struct {
		mode    api.AdvancedSecurityModeType
		action  api.CompromisedCredentialsEventActionType
		filter  []api.EventFilterType
		refused bool
	}{
		{"ENFORCED", "BLOCK", nil, true},
		{"ENFORCED", "BLOCK", []api.EventFilterType{"SIGN_UP", "PASSWORD_CHANGE"}, true},
		{"ENFORCED", "BLOCK", []api.EventFilterType{"SIGN_IN"}, false},
		{"ENFORCED", "NO_ACTION", nil, false},
		{"AUDIT", "BLOCK", nil, false},
	} {
		t.Run(fmt.Sprint(tt.mode, tt.action, tt.filter), func(t *testing.T) {
			t.Parallel()
			h, pool, client := guarded(t, tt.mode)
			h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, CompromisedCredentialsRiskConfiguration: compromised(tt.action, tt.filter...)})
			check := func(what string, err error, refused bool) {
				t.Helper()
				if refused {
					want(t, err, "InvalidPasswordException", "Provided password cannot be used for security reasons.")
				} else if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
			signUp := func(name, password string) error {
				_, err := h.c.SignUp(t.Context(), &api.SignUpRequest{ClientId: client, Username: name, Password: &password, UserAttributes: []api.AttributeType{attr("email", name+"@example.com")}})
				return err
			}
			check("sign-up", signUp("ann", leaked), tt.refused)
			check("sign-up", signUp("bob", fine), false)
			h.member(pool, "cid", "email", "cid@example.com", "email_verified", "true")
			token := h.mustSignIn(client, "cid").AccessToken
			change := func(from, to string) error {
				_, err := h.c.ChangePassword(t.Context(), &api.ChangePasswordRequest{AccessToken: *token, PreviousPassword: &from, ProposedPassword: to})
				return err
			}
			check("change", change(goodPass, leaked), tt.refused)
			h.member(pool, "dot", "email", "dot@example.com", "email_verified", "true")
			must[*api.ForgotPasswordResponse](t)(h.c.ForgotPassword(t.Context(), &api.ForgotPasswordRequest{ClientId: client, Username: "dot"}))
			recover := func(to string) error {
				_, err := h.c.ConfirmForgotPassword(t.Context(), &api.ConfirmForgotPasswordRequest{ClientId: client, Username: "dot", Password: to, ConfirmationCode: h.box.last(t).Code})
				return err
			}
			check("recovery", recover(leaked), tt.refused)
			if tt.refused {
				check("change", change(goodPass, fine), false)
				check("recovery", recover(fine), false)
			}
			temporary := "Temporary-9x"
			must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(t.Context(), &api.AdminCreateUserRequest{UserPoolId: pool, Username: "eve", TemporaryPassword: &temporary, MessageAction: "SUPPRESS"}))
			out := must[*api.InitiateAuthResponse](t)(h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{AuthFlow: "USER_PASSWORD_AUTH", ClientId: client, AuthParameters: map[string]string{"USERNAME": "eve", "PASSWORD": temporary}}))
			_, err := h.answer(client, "NEW_PASSWORD_REQUIRED", out.Session, "USERNAME", "eve", "NEW_PASSWORD", leaked)
			check("new password", err, tt.refused)
			if tt.refused {
				_, err = h.answer(client, "NEW_PASSWORD_REQUIRED", out.Session, "USERNAME", "eve", "NEW_PASSWORD", fine)
				check("new password", err, false)
			}
		})
	}
}

func TestThreat_leakedSignIn(t *testing.T) {
	t.Parallel()
	h, pool, client := guarded(t, "ENFORCED")
	set := func(password string) {
		must[*api.AdminSetUserPasswordResponse](t)(h.c.AdminSetUserPassword(t.Context(), &api.AdminSetUserPasswordRequest{UserPoolId: pool, Username: "ann", Password: password, Permanent: wire.Bool(true)}))
	}
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	set("Welcome@123")
	h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, CompromisedCredentialsRiskConfiguration: compromised("BLOCK", "SIGN_UP")})
	must[*api.AuthenticationResultType](t)(h.signIn(client, "ann", "Welcome@123"))
	h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, CompromisedCredentialsRiskConfiguration: compromised("BLOCK", "SIGN_IN")})
	_, err := h.signIn(client, "ann", "Wrong-horse-77")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	h.advance(time.Second)
	_, err = h.signIn(client, "ann", "Welcome@123")
	want(t, err, "PasswordResetRequiredException", "")
	u := must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(t.Context(), &api.AdminGetUserRequest{UserPoolId: pool, Username: "ann"}))
	if u.UserStatus != "RESET_REQUIRED" {
		t.Errorf("status %s", u.UserStatus)
	}
	e := h.events(pool, "ann")[0]
	if !*e.EventRisk.CompromisedCredentialsDetected || e.EventRisk.RiskDecision != "Block" || e.EventResponse != "Fail" {
		t.Errorf("event %+v %+v", e, *e.EventRisk)
	}
	set(goodPass)
	h.mustSignIn(client, "ann")
}

// TestThreat_unusual signs in as usual, then from elsewhere with something else.
func TestThreat_unusual(t *testing.T) {
	t.Parallel()
	const home, away = "192.0.2.10", "203.0.113.99"
	for _, tt := range []struct {
		mode   api.AdvancedSecurityModeType
		action api.AccountTakeoverEventActionType
		mfa    bool // a software token is set up, and not switched on
		end    string
	}{
		{"ENFORCED", "NO_ACTION", false, "tokens"},
		{"ENFORCED", "BLOCK", true, "refused"},
		{"AUDIT", "BLOCK", true, "tokens"},
		{"ENFORCED", "MFA_IF_CONFIGURED", false, "tokens"},
		{"ENFORCED", "MFA_IF_CONFIGURED", true, "SOFTWARE_TOKEN_MFA"},
		{"ENFORCED", "MFA_REQUIRED", false, "refused"},
		{"ENFORCED", "MFA_REQUIRED", true, "SOFTWARE_TOKEN_MFA"},
	} {
		t.Run(fmt.Sprint(tt.mode, tt.action, tt.mfa), func(t *testing.T) {
			t.Parallel()
			h, pool, client := guarded(t, tt.mode)
			h.member(pool, "ann")
			h.setMFA(pool, "OPTIONAL")
			h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, AccountTakeoverRiskConfiguration: takeover(tt.action, true)})
			usual := func() *api.AuthenticationResultType {
				t.Helper()
				out, err := h.from(pool, client, "ann", goodPass, home, "phone")
				if err != nil || out.AuthenticationResult == nil {
					t.Fatalf("a usual sign-in: %v %v", out, err)
				}
				return out.AuthenticationResult
			}
			secret := []byte(nil)
			first := usual()
			if tt.mfa {
				secret = h.token(first.AccessToken)
				h.advance(totp.Period)
			}
			usual()
			out, err := h.from(pool, client, "ann", goodPass, away, "laptop")
			e := h.events(pool, "ann")[0]
			if e.EventRisk.RiskLevel != "Medium" || *e.EventContextData.IpAddress != away || *e.EventContextData.DeviceName != "laptop" {
				t.Errorf("level %s of %+v", e.EventRisk.RiskLevel, e.EventContextData)
			}
			switch tt.end {
			case "tokens":
				if err != nil || out.AuthenticationResult == nil || e.EventResponse != "Pass" || e.EventRisk.RiskDecision != "AccountTakeover" {
					t.Fatalf("%v %v %+v", out, err, e.EventRisk)
				}
			case "refused":
				want(t, err, "NotAuthorizedException", "Unable to login because of security reasons.")
				if e.EventResponse != "Fail" || e.EventRisk.RiskDecision != "Block" {
					t.Errorf("event %+v %+v", e, e.EventRisk)
				}
			default:
				if err != nil || string(out.ChallengeName) != tt.end || out.AuthenticationResult != nil {
					t.Fatalf("%v %v", out, err)
				}
				_, err = h.answer(client, out.ChallengeName, out.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", "000000")
				want(t, err, "CodeMismatchException", "")
				h.advance(totp.Period)
				end := must[*api.RespondToAuthChallengeResponse](t)(h.answer(client, out.ChallengeName, out.Session, "USERNAME", "ann", "SOFTWARE_TOKEN_MFA_CODE", h.code(secret)))
				if end.AuthenticationResult == nil {
					t.Fatalf("no tokens after the second factor: %+v", end)
				}
				e = h.events(pool, "ann")[0]
				if e.EventResponse != "Pass" || len(e.ChallengeResponses) != 3 || e.ChallengeResponses[1].ChallengeName != "Mfa" || e.ChallengeResponses[1].ChallengeResponse != "Failure" {
					t.Errorf("event %+v", e)
				}
			}
			usual()
		})
	}
}

func TestThreat_notice(t *testing.T) {
	t.Parallel()
	h, pool, client := guarded(t, "ENFORCED")
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true")
	h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, AccountTakeoverRiskConfiguration: takeover("BLOCK", true)})
	if _, err := h.from(pool, client, "ann", goodPass, "192.0.2.10", "phone"); err != nil {
		t.Fatal(err)
	}
	_, err := h.from(pool, client, "ann", goodPass, "203.0.113.99", "laptop")
	want(t, err, "NotAuthorizedException", "Unable to login because of security reasons.")
	m := h.box.last(t)
	if m.Kind != MessageRisk || m.Subject != "Blocked" || m.From != "guard@example.com" || m.Destination != "ann@example.com" {
		t.Fatalf("message %s %q from %s", m.Kind, m.Subject, m.From)
	}
	words := strings.Fields(strings.NewReplacer("<pre>", "", "</pre>", "").Replace(m.Body))
	if len(words) != 4 || words[0] != "ann" || words[1] != "203.0.113.99" || words[2] != *h.events(pool, "ann")[0].EventId {
		t.Fatalf("body %q", m.Body)
	}
	say := func(user, event, token string, value api.FeedbackValueType) error {
		_, err := h.c.UpdateAuthEventFeedback(t.Context(), &api.UpdateAuthEventFeedbackRequest{UserPoolId: pool, Username: user, EventId: event, FeedbackToken: token, FeedbackValue: value})
		return err
	}
	h.member(pool, "bob")
	want(t, say("ann", words[2], words[3]+"A", "Valid"), "NotAuthorizedException", "")
	want(t, say("bob", words[2], words[3], "Valid"), "NotAuthorizedException", "")
	want(t, say("ann", *h.events(pool, "ann")[1].EventId, words[3], "Valid"), "NotAuthorizedException", "")
	if err := say("ann", words[2], words[3], "Valid"); err != nil {
		t.Fatal(err)
	}
	// It was the user: the same is not unusual any more.
	if out, err := h.from(pool, client, "ann", goodPass, "203.0.113.99", "laptop"); err != nil || out.AuthenticationResult == nil {
		t.Fatalf("%v %v", out, err)
	}
	h.advance(feedbackLife)
	want(t, say("ann", words[2], words[3], "Invalid"), "NotAuthorizedException", "")
	_, err = h.c.AdminUpdateAuthEventFeedback(t.Context(), &api.AdminUpdateAuthEventFeedbackRequest{UserPoolId: pool, Username: "ann", EventId: "nothing", FeedbackValue: "Invalid"})
	want(t, err, "ResourceNotFoundException", "")
	for _, e := range h.events(pool, "ann") {
		if *e.EventContextData.IpAddress == "203.0.113.99" {
			must[*api.AdminUpdateAuthEventFeedbackResponse](t)(h.c.AdminUpdateAuthEventFeedback(t.Context(), &api.AdminUpdateAuthEventFeedbackRequest{UserPoolId: pool, Username: "ann", EventId: *e.EventId, FeedbackValue: "Invalid"}))
		}
	}
	_, err = h.from(pool, client, "ann", goodPass, "203.0.113.99", "laptop")
	want(t, err, "NotAuthorizedException", "Unable to login because of security reasons.")
}

// TestThreat_spray: sign-ins of many users fail from one network; what succeeds from there is unusual.
func TestThreat_spray(t *testing.T) {
	t.Parallel()
	h, pool, client := guarded(t, "ENFORCED")
	h.member(pool, "ann")
	h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, AccountTakeoverRiskConfiguration: takeover("BLOCK", false)})
	for i := range manyUsers {
		_, err := h.from(pool, client, fmt.Sprint("nobody", i), "Wrong-horse-77", fmt.Sprint("198.51.100.", i), "script")
		if err == nil {
			t.Fatal("somebody unknown is let in")
		}
	}
	_, err := h.from(pool, client, "ann", goodPass, "198.51.100.77", "script")
	want(t, err, "NotAuthorizedException", "Unable to login because of security reasons.")
	if out, err := h.from(pool, client, "ann", goodPass, "192.0.2.1", "phone"); err != nil || out.AuthenticationResult == nil {
		t.Fatalf("from elsewhere: %v", err)
	}
	h.advance(recently)
	h.member(pool, "bob")
	if out, err := h.from(pool, client, "bob", goodPass, "198.51.100.77", "phone"); err != nil || out.AuthenticationResult == nil {
		t.Fatalf("an hour later: %v", err)
	}
}

func TestThreat_addresses(t *testing.T) {
	t.Parallel()
	h, pool, client := guarded(t, "ENFORCED")
	h.member(pool, "ann")
	h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, AccountTakeoverRiskConfiguration: takeover("BLOCK", false), RiskExceptionConfiguration: &api.RiskExceptionConfigurationType{
		BlockedIPRangeList: []string{"203.0.113.0/24", "2001:db8::/32"}, SkippedIPRangeList: []string{"198.51.100.7/32"},
	}})
	// In this order: the first whole sign-in makes its address the usual one.
	for _, address := range []string{"192.0.2.1", "203.0.113.200", "::ffff:203.0.113.1", "2001:db8::5", "198.51.100.7"} {
		_, err := h.from(pool, client, "ann", goodPass, address, "phone")
		if address != "192.0.2.1" && address != "198.51.100.7" {
			want(t, err, "NotAuthorizedException", "Request not allowed due to security reasons.")
		} else if err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	// What a user says of his address counts from no public client.
	_, err := h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{AuthFlow: "USER_PASSWORD_AUTH", ClientId: client, AuthParameters: map[string]string{"USERNAME": "ann", "PASSWORD": goodPass}, UserContextData: &api.UserContextDataType{IpAddress: wire.String("203.0.113.1")}})
	if err != nil && strings.Contains(err.Error(), "Request not allowed") {
		t.Errorf("the address that a public client tells is believed")
	}
	_, err = h.c.SetRiskConfiguration(t.Context(), &api.SetRiskConfigurationRequest{UserPoolId: pool, RiskExceptionConfiguration: &api.RiskExceptionConfigurationType{BlockedIPRangeList: []string{"nowhere"}}})
	want(t, err, "InvalidParameterException", "")
}

func TestThreat_configuration(t *testing.T) {
	t.Parallel()
	h, pool, client := guarded(t, "ENFORCED")
	h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, CompromisedCredentialsRiskConfiguration: compromised("BLOCK")})
	h.setRisk(&api.SetRiskConfigurationRequest{UserPoolId: pool, ClientId: &client, CompromisedCredentialsRiskConfiguration: compromised("NO_ACTION")})
	other := *h.newClient(pool, nil).ClientId
	for id, action := range map[string]api.CompromisedCredentialsEventActionType{"": "BLOCK", client: "NO_ACTION", other: "BLOCK"} {
		in := &api.DescribeRiskConfigurationRequest{UserPoolId: pool}
		if id != "" {
			in.ClientId = &id
		}
		got := must[*api.DescribeRiskConfigurationResponse](t)(h.c.DescribeRiskConfiguration(t.Context(), in)).RiskConfiguration
		if got.CompromisedCredentialsRiskConfiguration.Actions.EventAction != action || deref(got.UserPoolId) != pool {
			t.Errorf("client %q: %+v", id, got.CompromisedCredentialsRiskConfiguration.Actions)
		}
	}
	foreign := *h.newClient(h.newPoolID(nil), nil).ClientId
	_, err := h.c.DescribeRiskConfiguration(t.Context(), &api.DescribeRiskConfigurationRequest{UserPoolId: pool, ClientId: &foreign})
	want(t, err, "ResourceNotFoundException", "")
	a := takeover("BLOCK", true)
	a.NotifyConfiguration = nil
	_, err = h.c.SetRiskConfiguration(t.Context(), &api.SetRiskConfigurationRequest{UserPoolId: pool, AccountTakeoverRiskConfiguration: a})
	want(t, err, "InvalidParameterException", "")
	off := h.newPoolID(nil)
	_, err = h.c.SetRiskConfiguration(t.Context(), &api.SetRiskConfigurationRequest{UserPoolId: off, CompromisedCredentialsRiskConfiguration: compromised("BLOCK")})
	want(t, err, "UserPoolAddOnNotEnabledException", "")
	_, err = h.c.AdminListUserAuthEvents(t.Context(), &api.AdminListUserAuthEventsRequest{UserPoolId: off, Username: "ann"})
	want(t, err, "UserPoolAddOnNotEnabledException", "")
	_, err = h.c.GetSigningCertificate(t.Context(), &api.GetSigningCertificateRequest{UserPoolId: pool})
	want(t, err, "NotImplemented", "")
}

func TestThreat_events(t *testing.T) {
	t.Parallel()
	h, pool, client := guarded(t, "AUDIT")
	h.member(pool, "ann")
	for range 7 {
		h.advance(time.Second)
		h.mustSignIn(client, "ann")
	}
	var seen []string
	in := &api.AdminListUserAuthEventsRequest{UserPoolId: pool, Username: "ann", MaxResults: wire.Int32(3)}
	for {
		out := must[*api.AdminListUserAuthEventsResponse](t)(h.c.AdminListUserAuthEvents(t.Context(), in))
		for i, e := range out.AuthEvents {
			if e.EventType != "SignIn" || i > 0 && e.CreationDate.After(*out.AuthEvents[i-1].CreationDate) {
				t.Errorf("event %+v", e)
			}
			seen = append(seen, *e.EventId)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if len(seen) != 7 {
		t.Errorf("%d events", len(seen))
	}
	in.NextToken = wire.String("AAAA")
	_, err := h.c.AdminListUserAuthEvents(t.Context(), in)
	want(t, err, "InvalidParameterException", "")
	// A flood of failures is bounded, and pushes out no sign-in that succeeded.
	u := User{Pool: pool, Key: "ann", Sub: "x"}
	err = h.db.Update(context.Background(), func(tx *store.Tx) error {
		for range maxEvents + 10 {
			e, err := h.newEvent(&threat{}, &u, api.EventTypeSignIn, client)
			if err != nil {
				return err
			}
			e.Response = "Fail"
			if err := h.keep(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	count := map[api.EventResponseType]int{}
	in.NextToken, in.MaxResults = nil, nil
	for {
		out := must[*api.AdminListUserAuthEventsResponse](t)(h.c.AdminListUserAuthEvents(t.Context(), in))
		for _, e := range out.AuthEvents {
			count[e.EventResponse]++
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if count["Pass"] != 7 || count["Fail"] != maxEvents {
		t.Errorf("kept %v", count)
	}
}
