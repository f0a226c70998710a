package userpool

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

func TestService_srp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com", "email_verified", "true")

	out, err := h.srp(pool, client).signIn("ann@example.com", goodPass)
	if err != nil {
		t.Fatal(err)
	}
	r := out.AuthenticationResult
	if r == nil || *r.TokenType != "Bearer" || *r.ExpiresIn != 3600 || deref(r.RefreshToken) == "" || out.ChallengeParameters == nil {
		t.Fatalf("got %+v", out)
	}
	h.claims(r.IdToken)
	_, err = h.srp(pool, client).signIn("ann@example.com", "Wrong-horse-77")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	_, err = h.srp(pool, client).signIn("nobody@example.com", goodPass)
	want(t, err, "UserNotFoundException", "User does not exist.")
}

func TestService_srp_badAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	other := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com")
	h.member(pool, "eve@example.com")
	eve, err := h.srp(pool, client).start("eve@example.com")
	if err != nil {
		t.Fatal(err)
	}
	type answers = map[string]string
	tests := map[string]struct {
		change        func(c *srpClient, a answers)
		code, message string
	}{
		"no signature":  {func(_ *srpClient, a answers) { delete(a, "PASSWORD_CLAIM_SIGNATURE") }, "InvalidParameterException", "Missing required parameter PASSWORD_CLAIM_SIGNATURE"},
		"empty block":   {func(_ *srpClient, a answers) { a["PASSWORD_CLAIM_SECRET_BLOCK"] = "" }, "InvalidParameterException", ""},
		"garbage block": {func(_ *srpClient, a answers) { a["PASSWORD_CLAIM_SECRET_BLOCK"] = "AAAA" }, "NotAuthorizedException", ""},
		"altered block": {func(_ *srpClient, a answers) {
			a["PASSWORD_CLAIM_SECRET_BLOCK"] = flip(a["PASSWORD_CLAIM_SECRET_BLOCK"])
		}, "NotAuthorizedException", ""},
		"other's block": {func(_ *srpClient, a answers) {
			a["PASSWORD_CLAIM_SECRET_BLOCK"] = eve.ChallengeParameters["SECRET_BLOCK"]
		}, "NotAuthorizedException", ""},
		"altered signature":    {func(_ *srpClient, a answers) { a["PASSWORD_CLAIM_SIGNATURE"] = flip(a["PASSWORD_CLAIM_SIGNATURE"]) }, "NotAuthorizedException", "Incorrect username or password."},
		"signature not base64": {func(_ *srpClient, a answers) { a["PASSWORD_CLAIM_SIGNATURE"] = "%" }, "NotAuthorizedException", ""},
		"empty-key signature": {func(_ *srpClient, a answers) {
			a["PASSWORD_CLAIM_SIGNATURE"] = base64.StdEncoding.EncodeToString(make([]byte, 32))
		}, "NotAuthorizedException", ""},
		"other timestamp":     {func(_ *srpClient, a answers) { a["TIMESTAMP"] = "Fri Nov 20 12:00:01 UTC 2026" }, "NotAuthorizedException", ""},
		"timestamp form":      {func(_ *srpClient, a answers) { a["TIMESTAMP"] = "2026-11-20T12:00:00Z" }, "InvalidParameterException", "TIMESTAMP format should be EEE MMM d HH:mm:ss z yyyy in english."},
		"timestamp in a zone": {func(_ *srpClient, a answers) { a["TIMESTAMP"] = "Fri Nov 20 12:00:00 CET 2026" }, "InvalidParameterException", ""},
		"other user":          {func(_ *srpClient, a answers) { a["USERNAME"] = eve.ChallengeParameters["USERNAME"] }, "NotAuthorizedException", ""},
		"other client":        {func(c *srpClient, _ answers) { c.clientID = other }, "NotAuthorizedException", "Invalid session for the user."},
		"too late":            {func(c *srpClient, _ answers) { c.h.advance(3 * time.Minute) }, "NotAuthorizedException", "Invalid session for the user, session is expired."},
		"password set meantime": {func(c *srpClient, _ answers) {
			_, err := c.h.c.AdminSetUserPassword(t.Context(), &api.AdminSetUserPasswordRequest{UserPoolId: pool, Username: "ann@example.com", Password: goodPass, Permanent: wire.Bool(true)})
			if err != nil {
				t.Fatal(err)
			}
		}, "NotAuthorizedException", "Incorrect username or password."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			must[*api.AdminSetUserPasswordResponse](t)(h.c.AdminSetUserPassword(t.Context(), &api.AdminSetUserPasswordRequest{UserPoolId: pool, Username: "ann@example.com", Password: goodPass, Permanent: wire.Bool(true)}))
			c := h.srp(pool, client)
			out, err := c.start("ann@example.com")
			if err != nil {
				t.Fatal(err)
			}
			a := c.proof(out.ChallengeParameters, goodPass)
			tt.change(c, a)
			_, err = c.finish(a)
			want(t, err, tt.code, tt.message)
		})
	}
	for name, a := range map[string]string{"zero": "0", "modulus": strings.Repeat("F", 768), "not hex": "xyz"} {
		_, err := h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{AuthFlow: "USER_SRP_AUTH", ClientId: client, AuthParameters: answers{"USERNAME": "ann@example.com", "SRP_A": a}})
		if err == nil {
			t.Errorf("SRP_A %s accepted", name)
		}
	}
}

// flip changes one character in the middle of a base64 text.
func flip(s string) string {
	b := []byte(s)
	i := len(b) / 2
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

func TestService_srp_replay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com")
	c := h.srp(pool, client)
	out, err := c.start("ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	a := c.proof(out.ChallengeParameters, goodPass)
	const parallel = 8
	var wg sync.WaitGroup
	results := make(chan error, parallel)
	for range parallel {
		wg.Go(func() { _, err := c.finish(a); results <- err })
	}
	wg.Wait()
	close(results)
	accepted := 0
	for err := range results {
		if err == nil {
			accepted++
			continue
		}
		want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	}
	if accepted != 1 {
		t.Errorf("a challenge was answered %d times", accepted)
	}
}

func TestService_flowsEnforced(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	h.member(pool, "ann@example.com")
	none := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = []api.ExplicitAuthFlowsType{"ALLOW_CUSTOM_AUTH"}
	}).ClientId
	old := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = []api.ExplicitAuthFlowsType{"ADMIN_NO_SRP_AUTH"}
	}).ClientId
	all := *h.newClient(pool, nil).ClientId
	password := map[string]string{"USERNAME": "ann@example.com", "PASSWORD": goodPass}
	tests := map[string]struct {
		client        string
		flow          api.AuthFlowType
		admin         bool
		params        map[string]string
		code, message string
	}{
		"password, not allowed":  {none, "USER_PASSWORD_AUTH", false, password, "InvalidParameterException", "USER_PASSWORD_AUTH flow not enabled for this client"},
		"password, allowed":      {all, "USER_PASSWORD_AUTH", false, password, "", ""},
		"srp, not allowed":       {none, "USER_SRP_AUTH", false, map[string]string{"USERNAME": "ann@example.com", "SRP_A": "2"}, "InvalidParameterException", "USER_SRP_AUTH is not enabled for the client."},
		"srp, by an old flow":    {old, "USER_SRP_AUTH", false, map[string]string{"USERNAME": "ann@example.com", "SRP_A": "2"}, "", ""},
		"admin, not allowed":     {none, "ADMIN_USER_PASSWORD_AUTH", true, password, "InvalidParameterException", "Auth flow not enabled for this client"},
		"admin, allowed":         {all, "ADMIN_USER_PASSWORD_AUTH", true, password, "", ""},
		"admin, old name":        {old, "ADMIN_NO_SRP_AUTH", true, password, "", ""},
		"admin flow, not signed": {all, "ADMIN_USER_PASSWORD_AUTH", false, password, "InvalidParameterException", "Initiate Auth method not supported."},
		"refresh, not allowed":   {none, "REFRESH_TOKEN_AUTH", false, map[string]string{"REFRESH_TOKEN": "x"}, "InvalidParameterException", "Auth flow not enabled for this client"},
		"custom, not allowed":    {all, "CUSTOM_AUTH", false, password, "InvalidParameterException", "CUSTOM_AUTH is not enabled for the client."},
		"choice, not allowed":    {all, "USER_AUTH", false, password, "InvalidParameterException", "USER_AUTH is not enabled for the client."},
		"no username":            {all, "USER_PASSWORD_AUTH", false, map[string]string{"PASSWORD": goodPass}, "InvalidParameterException", "Missing required parameter USERNAME"},
		"no password":            {all, "USER_PASSWORD_AUTH", false, map[string]string{"USERNAME": "ann@example.com"}, "InvalidParameterException", "Missing required parameter PASSWORD"},
		"no client":              {"nobody", "USER_PASSWORD_AUTH", false, password, "ResourceNotFoundException", "User pool client nobody does not exist."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err error
			if tt.admin {
				_, err = h.c.AdminInitiateAuth(t.Context(), &api.AdminInitiateAuthRequest{UserPoolId: pool, ClientId: tt.client, AuthFlow: tt.flow, AuthParameters: tt.params})
			} else {
				_, err = h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{ClientId: tt.client, AuthFlow: tt.flow, AuthParameters: tt.params})
			}
			if tt.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			want(t, err, tt.code, tt.message)
		})
	}
}

func TestService_secretHash(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(nil)
	h.member(pool, "ann@example.com")
	client := h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.GenerateSecret = wire.Bool(true) })
	id, secret := *client.ClientId, *client.ClientSecret
	auth := func(hash string) error {
		params := map[string]string{"USERNAME": "ann@example.com", "PASSWORD": goodPass}
		if hash != "" {
			params["SECRET_HASH"] = hash
		}
		_, err := h.c.InitiateAuth(ctx, &api.InitiateAuthRequest{AuthFlow: "USER_PASSWORD_AUTH", ClientId: id, AuthParameters: params})
		return err
	}
	want(t, auth(""), "NotAuthorizedException", "Client "+id+" is configured with secret but SECRET_HASH was not received")
	for name, hash := range map[string]string{
		"another user": secretHash(secret, "eve@example.com", id), "another client": secretHash(secret, "ann@example.com", "x"),
		"another secret": secretHash("x", "ann@example.com", id), "not base64": "***", "truncated": secretHash(secret, "ann@example.com", id)[:40],
	} {
		if err := auth(hash); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			want(t, err, "NotAuthorizedException", "Unable to verify secret hash for client "+id)
		}
	}
	if err := auth(secretHash(secret, "ann@example.com", id)); err != nil {
		t.Error(err)
	}
	c := h.srp(pool, id)
	_, err := c.signIn("ann@example.com", goodPass)
	want(t, err, "NotAuthorizedException", "")
	c = h.srp(pool, id)
	c.secret = secret
	if _, err := c.signIn("ann@example.com", goodPass); err != nil {
		t.Error(err)
	}
	_, err = h.c.SignUp(ctx, signUpRequest(id, "b@example.com", goodPass))
	want(t, err, "NotAuthorizedException", "")
	in := signUpRequest(id, "b@example.com", goodPass)
	in.SecretHash = wire.String(secretHash(secret, "b@example.com", id))
	must[*api.SignUpResponse](t)(h.c.SignUp(ctx, in))

	// Two secrets at once while rotating.
	added := must[*api.AddUserPoolClientSecretResponse](t)(h.c.AddUserPoolClientSecret(ctx, &api.AddUserPoolClientSecretRequest{UserPoolId: pool, ClientId: id}))
	if err := auth(secretHash(*added.ClientSecretDescriptor.ClientSecretValue, "ann@example.com", id)); err != nil {
		t.Error(err)
	}
	list := must[*api.ListUserPoolClientSecretsResponse](t)(h.c.ListUserPoolClientSecrets(ctx, &api.ListUserPoolClientSecretsRequest{UserPoolId: pool, ClientId: id}))
	must[*api.DeleteUserPoolClientSecretResponse](t)(h.c.DeleteUserPoolClientSecret(ctx, &api.DeleteUserPoolClientSecretRequest{UserPoolId: pool, ClientId: id, ClientSecretId: *list.ClientSecrets[0].ClientSecretId}))
	if err := auth(secretHash(secret, "ann@example.com", id)); err == nil {
		t.Error("the deleted secret still works")
	}
}

func TestService_newPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.Schema = []api.SchemaAttributeType{{Name: wire.String("name"), Required: wire.Bool(true)}}
	})
	client := *h.newClient(pool, nil).ClientId
	other := *h.newClient(pool, nil).ClientId
	temporary := "Temporary-123"
	must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(ctx, &api.AdminCreateUserRequest{
		UserPoolId: pool, Username: "ann@example.com", TemporaryPassword: &temporary, MessageAction: "SUPPRESS",
	}))
	first, err := h.srp(pool, client).signIn("ann@example.com", temporary)
	if err != nil {
		t.Fatal(err)
	}
	if first.ChallengeName != "NEW_PASSWORD_REQUIRED" || first.AuthenticationResult != nil || first.Session == nil || len(*first.Session) > 2048 {
		t.Fatalf("got %+v", first)
	}
	var required []string
	var shown map[string]string
	if json.Unmarshal([]byte(first.ChallengeParameters["requiredAttributes"]), &required) != nil || len(required) != 1 || required[0] != "userAttributes.name" {
		t.Errorf("got %s", first.ChallengeParameters["requiredAttributes"])
	}
	if json.Unmarshal([]byte(first.ChallengeParameters["userAttributes"]), &shown) != nil || shown["email"] != "ann@example.com" {
		t.Errorf("got %s", first.ChallengeParameters["userAttributes"])
	}
	name := first.ChallengeParameters["USER_ID_FOR_SRP"]
	respond := func(clientID string, params map[string]string) (*api.RespondToAuthChallengeResponse, error) {
		return h.c.RespondToAuthChallenge(ctx, &api.RespondToAuthChallengeRequest{
			ChallengeName: "NEW_PASSWORD_REQUIRED", ClientId: clientID, Session: first.Session, ChallengeResponses: params,
		})
	}
	good := map[string]string{"USERNAME": name, "NEW_PASSWORD": goodPass, "userAttributes.name": "Ann"}
	with := func(k, v string) map[string]string {
		out := map[string]string{}
		for a, b := range good {
			out[a] = b
		}
		out[k] = v
		return out
	}
	tests := map[string]struct {
		client string
		params map[string]string
		code   string
	}{
		"weak password":      {client, with("NEW_PASSWORD", "short"), "InvalidPasswordException"},
		"no password":        {client, with("NEW_PASSWORD", ""), "InvalidParameterException"},
		"attribute missing":  {client, map[string]string{"USERNAME": name, "NEW_PASSWORD": goodPass}, "InvalidParameterException"},
		"verified by itself": {client, with("userAttributes.email_verified", "true"), "NotAuthorizedException"},
		"another address":    {client, with("userAttributes.email", "eve@example.com"), "NotAuthorizedException"},
		"another client":     {other, good, "NotAuthorizedException"},
		"another user":       {client, with("USERNAME", "eve"), "NotAuthorizedException"},
	}
	for label, tt := range tests {
		_, err := respond(tt.client, tt.params)
		if err == nil {
			t.Fatalf("%s: accepted", label)
		}
		want(t, err, tt.code, "")
	}
	out, err := respond(client, good)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.claims(out.AuthenticationResult.IdToken).String("name"); got != "Ann" {
		t.Errorf("got name %q", got)
	}
	_, err = respond(client, good)
	want(t, err, "NotAuthorizedException", "Invalid session for the user, session can only be used once.")
	h.mustSignIn(client, "ann@example.com")
	_, err = h.signIn(client, "ann@example.com", temporary)
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
}

func TestService_newPassword_expired(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	temporary := "Temporary-123"
	create := &api.AdminCreateUserRequest{UserPoolId: pool, Username: "ann@example.com", TemporaryPassword: &temporary}
	must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(t.Context(), create))
	if m := h.box.last(t); m.Password != temporary || m.Kind != MessageInvitation || !strings.Contains(m.Body, temporary) {
		t.Errorf("got %+v", m)
	}
	h.advance(7*24*time.Hour - time.Second)
	if r, err := h.signIn(client, "ann@example.com", temporary); err != nil || r != nil {
		t.Errorf("got %v, %v, want a challenge", r, err)
	}
	h.advance(time.Second)
	_, err := h.signIn(client, "ann@example.com", temporary)
	want(t, err, "NotAuthorizedException", "Temporary password has expired and must be reset by an administrator.")
	create.MessageAction = "RESEND"
	must[*api.AdminCreateUserResponse](t)(h.c.AdminCreateUser(t.Context(), create))
	if _, err := h.signIn(client, "ann@example.com", temporary); err != nil {
		t.Error(err)
	}
	create.MessageAction = "SUPPRESS"
	_, err = h.c.AdminCreateUser(t.Context(), create)
	want(t, err, "UsernameExistsException", "")
}

func TestService_lockout(t *testing.T) {
	t.Parallel()
	for _, hidden := range []bool{false, true} {
		h := newHouse(t)
		ctx := t.Context()
		pool := h.newPoolID(nil)
		client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
			if hidden {
				in.PreventUserExistenceErrors = "ENABLED"
			}
		}).ClientId
		h.member(pool, "ann@example.com")
		tokens := h.mustSignIn(client, "ann@example.com")
		for i := range freeFailures {
			var err error
			if i%2 == 0 { // one counter for all flows
				_, err = h.signIn(client, "ann@example.com", "wrong")
			} else {
				_, err = h.srp(pool, client).signIn("ann@example.com", "wrong")
			}
			want(t, err, "NotAuthorizedException", "Incorrect username or password.")
		}
		_, err := h.signIn(client, "ann@example.com", goodPass)
		want(t, err, "NotAuthorizedException", "Password attempts exceeded")
		_, err = h.srp(pool, client).start("ann@example.com")
		want(t, err, "NotAuthorizedException", "Password attempts exceeded")
		// Who is signed in stays so.
		must[*api.GetUserResponse](t)(h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: *tokens.AccessToken}))
		must[*api.InitiateAuthResponse](t)(h.c.InitiateAuth(ctx, &api.InitiateAuthRequest{AuthFlow: "REFRESH_TOKEN_AUTH", ClientId: client, AuthParameters: map[string]string{"REFRESH_TOKEN": *tokens.RefreshToken}}))
		h.advance(time.Second)
		_, err = h.signIn(client, "ann@example.com", "wrong")
		want(t, err, "NotAuthorizedException", "Incorrect username or password.")
		h.advance(time.Second) // now it is two
		_, err = h.signIn(client, "ann@example.com", goodPass)
		want(t, err, "NotAuthorizedException", "Password attempts exceeded")
		h.advance(time.Second)
		h.mustSignIn(client, "ann@example.com")
		_, err = h.signIn(client, "ann@example.com", "wrong")
		want(t, err, "NotAuthorizedException", "Incorrect username or password.") // counted anew
	}
}

// A challenge that was started before the lock is refused after it.
func TestService_lockout_startedBefore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com")
	c := h.srp(pool, client)
	started, err := c.start("ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	for range freeFailures {
		_, err := h.signIn(client, "ann@example.com", "wrong")
		want(t, err, "NotAuthorizedException", "")
	}
	_, err = c.finish(c.proof(started.ChallengeParameters, goodPass))
	want(t, err, "NotAuthorizedException", "Password attempts exceeded")
}

func TestService_lockout_parallel(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com")
	var wg sync.WaitGroup
	var mu sync.Mutex
	told := 0
	for range 20 {
		wg.Go(func() {
			_, err := h.signIn(client, "ann@example.com", "wrong")
			mu.Lock()
			defer mu.Unlock()
			if e, ok := err.(wire.Exception); ok && e.ErrorMessage() == "Incorrect username or password." {
				told++
			}
		})
	}
	wg.Wait()
	if told != freeFailures {
		t.Errorf("%d parallel guesses were judged, want %d", told, freeFailures)
	}
}

// Known and unknown names get the same answers, step by step.
func TestService_PreventUserExistenceErrors(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.PreventUserExistenceErrors = "ENABLED" }).ClientId
	h.member(pool, "ann@example.com", "email_verified", "true")
	h.member(pool, "una@example.com") // address unproven: no code can be sent
	names := []string{"ann@example.com", "una@example.com", "nobody@example.com"}

	say := func(err error) string {
		if e, ok := err.(wire.Exception); ok {
			return e.ErrorCode() + ": " + e.ErrorMessage()
		}
		return "ok"
	}
	same := func(what string, f func(name string) string) {
		t.Helper()
		first := f(names[0])
		for _, name := range names[1:] {
			if got := f(name); got != first {
				t.Errorf("%s: %s gets %q, %s gets %q", what, names[0], first, name, got)
			}
		}
	}
	same("password", func(name string) string { _, err := h.signIn(client, name, "wrong"); return say(err) })
	same("srp", func(name string) string { _, err := h.srp(pool, client).signIn(name, "wrong"); return say(err) })
	shapes := map[string][2]string{}
	for _, name := range names {
		a, err := h.srp(pool, client).start(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := h.srp(pool, client).start(name)
		if err != nil {
			t.Fatal(err)
		}
		pa, pb := a.ChallengeParameters, b.ChallengeParameters
		if pa["SALT"] != pb["SALT"] || pa["USERNAME"] != pb["USERNAME"] || pa["SRP_B"] == pb["SRP_B"] || len(pa["SALT"]) != 32 {
			t.Errorf("%s: %v, then %v", name, pa, pb)
		}
		if len(pa["USERNAME"]) != 36 || pa["USERNAME"] != pa["USER_ID_FOR_SRP"] {
			t.Errorf("%s: username %q", name, pa["USERNAME"])
		}
		shapes[name] = [2]string{pa["SALT"], pa["USERNAME"]}
	}
	if shapes[names[0]] == shapes[names[2]] {
		t.Error("two people have the same salt")
	}
	same("forgot", func(name string) string {
		out, err := h.c.ForgotPassword(ctx, &api.ForgotPasswordRequest{ClientId: client, Username: name})
		if err != nil {
			return say(err)
		}
		d := out.CodeDeliveryDetails
		return *d.AttributeName + string(d.DeliveryMedium) + (*d.Destination)[1:]
	})
	same("confirm forgot", func(name string) string {
		_, err := h.c.ConfirmForgotPassword(ctx, &api.ConfirmForgotPasswordRequest{ClientId: client, Username: name, ConfirmationCode: "abc", Password: "Another-horse-8"})
		return say(err)
	})
	same("resend", func(name string) string {
		out, err := h.c.ResendConfirmationCode(ctx, &api.ResendConfirmationCodeRequest{ClientId: client, Username: name})
		if err != nil {
			return say(err)
		}
		return (*out.CodeDeliveryDetails.Destination)[1:]
	})
	if n := h.box.count(); n != 1 {
		t.Errorf("%d messages were sent, want 1", n)
	}
	// The lock, too: five failures shut everybody out alike.
	for i := range 4 {
		same("failure "+string(rune('1'+i)), func(name string) string { _, err := h.signIn(client, name, "wrong"); return say(err) })
	}
}

func TestService_disabledUser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com")
	r := h.mustSignIn(client, "ann@example.com")
	refresh := func() error {
		_, err := h.c.GetTokensFromRefreshToken(ctx, &api.GetTokensFromRefreshTokenRequest{ClientId: client, RefreshToken: *r.RefreshToken})
		return err
	}
	if err := refresh(); err != nil {
		t.Fatal(err)
	}
	claims := h.claims(r.IdToken)
	if err := h.TokenLive(ctx, claims); err != nil {
		t.Fatal(err)
	}
	must[*api.AdminDisableUserResponse](t)(h.c.AdminDisableUser(ctx, &api.AdminDisableUserRequest{UserPoolId: pool, Username: "ann@example.com"}))
	if refresh() == nil || h.TokenLive(ctx, claims) == nil {
		t.Error("a disabled user goes on")
	}
	_, err := h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: *r.AccessToken})
	want(t, err, "NotAuthorizedException", "User is disabled.")
	_, err = h.signIn(client, "ann@example.com", goodPass)
	want(t, err, "NotAuthorizedException", "User is disabled.")
	_, err = h.signIn(client, "ann@example.com", "wrong")
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	must[*api.AdminEnableUserResponse](t)(h.c.AdminEnableUser(ctx, &api.AdminEnableUserRequest{UserPoolId: pool, Username: "ann@example.com"}))
	if refresh() == nil || h.TokenLive(ctx, claims) == nil {
		t.Error("tokens from before are alive again")
	}
	h.mustSignIn(client, "ann@example.com")
}
