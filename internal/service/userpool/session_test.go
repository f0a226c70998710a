package userpool

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/pure/token"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

func TestService_claims(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		in.Schema = []api.SchemaAttributeType{{Name: wire.String("plan"), Mutable: wire.Bool(true)}, {Name: wire.String("note")}}
	})
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.ReadAttributes = []string{"email", "email_verified", "address", "custom:plan"}
		in.AccessTokenValidity, in.IdTokenValidity = wire.Int32(10), wire.Int32(20)
		in.TokenValidityUnits = &api.TokenValidityUnitsType{AccessToken: "minutes", IdToken: "minutes"}
	}).ClientId
	h.member(pool, "ann@example.com", "email_verified", "true", "address", "Hill 1", "custom:plan", "pro", "custom:note", "secret", "name", "Ann")
	role := func(name string) *string { return wire.String("arn:aws:iam::000000000000:role/" + name) }
	for _, g := range []api.CreateGroupRequest{
		{GroupName: "User", Precedence: wire.Int32(5), RoleArn: role("user")},
		{GroupName: "Admin", Precedence: wire.Int32(1), RoleArn: role("admin")},
		{GroupName: "Chat"},
	} {
		g.UserPoolId = pool
		must[*api.CreateGroupResponse](t)(h.c.CreateGroup(ctx, &g))
		must[*api.AdminAddUserToGroupOutput](t)(h.c.AdminAddUserToGroup(ctx, &api.AdminAddUserToGroupRequest{UserPoolId: pool, GroupName: g.GroupName, Username: "ann@example.com"}))
	}
	r := h.mustSignIn(client, "ann@example.com")
	if *r.ExpiresIn != 600 {
		t.Errorf("ExpiresIn is %d", *r.ExpiresIn)
	}
	now := h.clock().Unix()
	id, access := h.claims(r.IdToken), h.claims(r.AccessToken)
	check := func(c token.Claims, want map[string]any) {
		t.Helper()
		rest := maps.Clone(c)
		for name, v := range want {
			got, _ := json.Marshal(c[name])
			exp, _ := json.Marshal(v)
			if string(got) != string(exp) {
				t.Errorf("%s: got %s, want %s", name, got, exp)
			}
			delete(rest, name)
		}
		for _, name := range []string{"sub", "jti", "origin_jti", "event_id"} {
			if len(c.String(name)) != 36 {
				t.Errorf("%s: got %v", name, c[name])
			}
			delete(rest, name)
		}
		if len(rest) > 0 {
			t.Errorf("unexpected claims %v", rest)
		}
	}
	groups := []string{"Admin", "User", "Chat"}
	check(id, map[string]any{
		"iss": "http://localhost:4566/" + pool, "aud": client, "token_use": "id", "auth_time": now, "iat": now, "exp": now + 1200,
		"cognito:username": id.String("sub"), "cognito:groups": groups, "cognito:roles": []string{*role("admin"), *role("user")},
		"cognito:preferred_role": *role("admin"), "email": "ann@example.com", "email_verified": true,
		"address": map[string]string{"formatted": "Hill 1"}, "custom:plan": "pro",
	})
	check(access, map[string]any{
		"iss": "http://localhost:4566/" + pool, "client_id": client, "token_use": "access", "auth_time": now, "iat": now, "exp": now + 600,
		"username": id.String("sub"), "cognito:groups": groups, "scope": "aws.cognito.signin.user.admin",
	})
	if id.String("origin_jti") != access.String("origin_jti") || id.String("jti") == access.String("jti") {
		t.Error("the identifiers of the two tokens do not fit")
	}
	got := must[*api.GetUserResponse](t)(h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: *r.AccessToken}))
	if a := attributesOf(got.UserAttributes); a["custom:note"] != "" || a["name"] != "" || a["custom:plan"] != "pro" {
		t.Errorf("the client reads %v", a)
	}
	h.advance(time.Minute)
	again := must[*api.GetTokensFromRefreshTokenResponse](t)(h.c.GetTokensFromRefreshToken(ctx, &api.GetTokensFromRefreshTokenRequest{ClientId: client, RefreshToken: *r.RefreshToken}))
	next := h.claims(again.AuthenticationResult.IdToken)
	at, _ := next.Time("auth_time")
	iat, _ := next.Time("iat")
	if at.Unix() != now || iat.Unix() != now+60 || next.String("origin_jti") != id.String("origin_jti") || again.AuthenticationResult.RefreshToken != nil {
		t.Errorf("after a refresh: %v", next)
	}
	h.advance(9 * time.Minute)
	_, err := h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: *r.AccessToken})
	want(t, err, "NotAuthorizedException", "Access Token has expired")
}

func TestService_refresh(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	other := *h.newClient(pool, nil).ClientId
	elsewhere := *h.newClient(h.newPoolID(nil), nil).ClientId
	h.member(pool, "ann@example.com")
	good := *h.mustSignIn(client, "ann@example.com").RefreshToken
	refresh := func(clientID, text string) error {
		_, err := h.c.InitiateAuth(t.Context(), &api.InitiateAuthRequest{AuthFlow: "REFRESH_TOKEN_AUTH", ClientId: clientID, AuthParameters: map[string]string{"REFRESH_TOKEN": text}})
		return err
	}
	if err := refresh(client, good); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ client, text string }{
		"another client":      {other, good},
		"client of elsewhere": {elsewhere, good},
		"lower case":          {client, strings.ToLower(good)},
		"upper case":          {client, strings.ToUpper(good)},
		"longer":              {client, good + "A"},
		"padded":              {client, good + "=="},
		"an access token":     {client, *h.mustSignIn(client, "ann@example.com").AccessToken},
		"nothing in it":       {client, base64.RawURLEncoding.EncodeToString(make([]byte, refreshTokenSize))},
	} {
		if err := refresh(tt.client, tt.text); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			want(t, err, "NotAuthorizedException", "Invalid Refresh Token")
		}
	}
	for i := 1; i < len(good); i++ {
		if refresh(client, good[:i]) == nil || refresh(client, good[i:]) == nil {
			t.Fatalf("a part of a token is accepted (%d)", i)
		}
	}
	h.advance(30*24*time.Hour - time.Second)
	if err := refresh(client, good); err != nil {
		t.Error(err)
	}
	h.advance(time.Second)
	want(t, refresh(client, good), "NotAuthorizedException", "Refresh Token has expired")
}

func TestService_rotation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = []api.ExplicitAuthFlowsType{"ALLOW_USER_PASSWORD_AUTH"}
		in.RefreshTokenRotation = &api.RefreshTokenRotationType{Feature: "ENABLED", RetryGracePeriodSeconds: wire.Int32(10)}
	}).ClientId
	h.member(pool, "ann@example.com")
	refresh := func(text string) (string, error) {
		out, err := h.c.GetTokensFromRefreshToken(t.Context(), &api.GetTokensFromRefreshTokenRequest{ClientId: client, RefreshToken: text})
		if err != nil {
			return "", err
		}
		return *out.AuthenticationResult.RefreshToken, nil
	}
	first := h.mustSignIn(client, "ann@example.com")
	second, err := refresh(*first.RefreshToken)
	if err != nil || second == *first.RefreshToken {
		t.Fatalf("got %q, %v", second, err)
	}
	h.advance(9 * time.Second)
	retry, err := refresh(*first.RefreshToken) // the answer was lost: the same successor
	if err != nil || retry != second {
		t.Fatalf("got %q, %v", retry, err)
	}
	h.advance(time.Second)
	_, err = refresh(*first.RefreshToken)
	want(t, err, "RefreshTokenReuseException", "")
	_, err = refresh(second) // stolen: the whole family is gone
	want(t, err, "NotAuthorizedException", "Refresh Token has been revoked")
	if h.TokenLive(t.Context(), h.claims(first.AccessToken)) == nil {
		t.Error("the access token of a stolen family lives")
	}
}

func TestService_rotation_race(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.ExplicitAuthFlows = []api.ExplicitAuthFlowsType{"ALLOW_USER_PASSWORD_AUTH"}
		in.RefreshTokenRotation = &api.RefreshTokenRotationType{Feature: "ENABLED", RetryGracePeriodSeconds: wire.Int32(0)}
	}).ClientId
	h.member(pool, "ann@example.com")
	text := *h.mustSignIn(client, "ann@example.com").RefreshToken
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 100 {
		wg.Go(func() {
			_, err := h.c.GetTokensFromRefreshToken(t.Context(), &api.GetTokensFromRefreshTokenRequest{ClientId: client, RefreshToken: text})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d refreshes of one token succeeded", won)
	}
}

func TestService_RevokeToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "moat.db")
	key := make([]byte, 32)
	open := func() *store.DB {
		db, err := store.Open(ctx, store.Config{Path: path, MasterKey: key, Now: h.clock})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	h.open(db)
	pool := h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	other := *h.newClient(pool, nil).ClientId
	never := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.EnableTokenRevocation = wire.Bool(false) }).ClientId
	h.member(pool, "ann@example.com")
	kept, gone := h.mustSignIn(client, "ann@example.com"), h.mustSignIn(client, "ann@example.com")
	refresh := func(text *string) error {
		_, err := h.c.GetTokensFromRefreshToken(ctx, &api.GetTokensFromRefreshTokenRequest{ClientId: client, RefreshToken: *text})
		return err
	}
	revoke := func(clientID, text string) error {
		_, err := h.c.RevokeToken(ctx, &api.RevokeTokenRequest{ClientId: clientID, Token: text})
		return err
	}
	want(t, revoke(client, *gone.AccessToken), "UnsupportedTokenTypeException", "")
	want(t, revoke(never, *gone.RefreshToken), "UnsupportedOperationException", "")
	if err := revoke(other, *gone.RefreshToken); err != nil { // not its token: nothing happens
		t.Error(err)
	}
	if err := refresh(gone.RefreshToken); err != nil {
		t.Fatalf("another client revoked it: %v", err)
	}
	if err := revoke(client, *gone.RefreshToken); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open() // revoked stays revoked
	defer func() { _ = db.Close() }()
	h.open(db)
	want(t, refresh(gone.RefreshToken), "NotAuthorizedException", "Refresh Token has been revoked")
	_, err := h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: *gone.AccessToken})
	want(t, err, "NotAuthorizedException", "Access Token has been revoked")
	if h.TokenLive(ctx, h.claims(gone.IdToken)) == nil {
		t.Error("the ID token lives")
	}
	if err := refresh(kept.RefreshToken); err != nil {
		t.Errorf("the twin that must pass: %v", err)
	}
	must[*api.GlobalSignOutResponse](t)(h.c.GlobalSignOut(ctx, &api.GlobalSignOutRequest{AccessToken: *kept.AccessToken}))
	want(t, refresh(kept.RefreshToken), "NotAuthorizedException", "Refresh Token has been revoked")
	fresh := h.mustSignIn(client, "ann@example.com") // at the same instant
	if err := refresh(fresh.RefreshToken); err != nil {
		t.Error(err)
	}
	must[*api.AdminUserGlobalSignOutResponse](t)(h.c.AdminUserGlobalSignOut(ctx, &api.AdminUserGlobalSignOutRequest{UserPoolId: pool, Username: "ann@example.com"}))
	want(t, refresh(fresh.RefreshToken), "NotAuthorizedException", "Refresh Token has been revoked")
}

// Every way in which an access token can be wrong for self-service.
func TestService_bearer_attacks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool, foreign := h.newPoolID(nil), h.newPoolID(nil)
	client := *h.newClient(pool, nil).ClientId
	foreignClient := *h.newClient(foreign, nil).ClientId
	h.member(pool, "ann@example.com")
	h.member(foreign, "ann@example.com")
	r := h.mustSignIn(client, "ann@example.com")
	keys, err := h.keys.of(ctx, pool)
	if err != nil {
		t.Fatal(err)
	}
	foreignKeys, err := h.keys.of(ctx, foreign)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(k *token.SigningKey, change func(c map[string]any)) string {
		c := map[string]any{}
		for name, v := range h.claims(r.AccessToken) {
			c[name] = v
		}
		change(c)
		raw, err := sign(k, claimsOf(c))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	der, err := x509.MarshalPKIXPublicKey(keys.signer.Key().Public)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(*r.AccessToken, ".")
	head := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	hs := head(`{"alg":"HS256","kid":"`+keys.signer.ID+`"}`) + "." + parts[1]
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(hs))
	tests := map[string]string{
		"id token":             *r.IdToken,
		"refresh token":        *r.RefreshToken,
		"none":                 head(`{"alg":"none"}`) + "." + parts[1] + ".",
		"hs256":                hs + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"altered":              parts[0] + "." + flip(parts[1]) + "." + parts[2],
		"cut":                  (*r.AccessToken)[:len(*r.AccessToken)-2],
		"signed elsewhere":     forge(foreignKeys.signer, func(map[string]any) {}),
		"issuer elsewhere":     forge(keys.signer, func(c map[string]any) { c["iss"] = h.issuer(foreign) }),
		"unknown issuer":       forge(keys.signer, func(c map[string]any) { c["iss"] = "https://evil.example" }),
		"no issuer":            forge(keys.signer, func(c map[string]any) { delete(c, "iss") }),
		"no expiry":            forge(keys.signer, func(c map[string]any) { delete(c, "exp") }),
		"no scope":             forge(keys.signer, func(c map[string]any) { delete(c, "scope") }),
		"similar scope":        forge(keys.signer, func(c map[string]any) { c["scope"] = scopeAdmin + "x" }),
		"client elsewhere":     forge(keys.signer, func(c map[string]any) { c["client_id"] = foreignClient }),
		"no session":           forge(keys.signer, func(c map[string]any) { c["origin_jti"] = "00000000-0000-4000-8000-000000000000" }),
		"another user's":       forge(keys.signer, func(c map[string]any) { c["username"] = "eve" }),
		"another sub":          forge(keys.signer, func(c map[string]any) { c["sub"] = "00000000-0000-4000-8000-000000000000" }),
		"of a client, no user": forge(keys.signer, func(c map[string]any) { delete(c, "username"); c["sub"] = client }),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: raw}); err == nil {
				t.Error("accepted")
			}
			if _, err := h.c.ChangePassword(ctx, &api.ChangePasswordRequest{AccessToken: raw, PreviousPassword: wire.String(goodPass), ProposedPassword: "Another-horse-8"}); err == nil {
				t.Error("accepted by ChangePassword")
			}
		})
	}
	for _, iss := range []string{h.issuer(pool), "https://cognito-idp." + testRegion + ".amazonaws.com/" + pool} {
		raw := forge(keys.signer, func(c map[string]any) { c["iss"] = iss })
		if _, err := h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: raw}); err != nil {
			t.Errorf("the twin that must pass (%s): %v", iss, err)
		}
	}
	must[*api.DeleteUserPoolClientOutput](t)(h.c.DeleteUserPoolClient(ctx, &api.DeleteUserPoolClientRequest{UserPoolId: pool, ClientId: client}))
	_, err = h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: *r.AccessToken})
	want(t, err, "NotAuthorizedException", "Invalid Access Token")
}

// A deleted user's tokens do not become those of who takes the name next.
func TestService_nameTakenAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.UsernameAttributes = nil })
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann")
	r := h.mustSignIn(client, "ann")
	must[*api.DeleteUserOutput](t)(h.c.DeleteUser(ctx, &api.DeleteUserRequest{AccessToken: *r.AccessToken}))
	h.member(pool, "ann")
	_, err := h.c.GetUser(ctx, &api.GetUserRequest{AccessToken: *r.AccessToken})
	want(t, err, "UserNotFoundException", "User does not exist.")
	_, err = h.c.GetTokensFromRefreshToken(ctx, &api.GetTokensFromRefreshTokenRequest{ClientId: client, RefreshToken: *r.RefreshToken})
	want(t, err, "NotAuthorizedException", "Invalid Refresh Token")
	if h.TokenLive(ctx, h.claims(r.IdToken)) == nil {
		t.Error("the ID token lives")
	}
}
