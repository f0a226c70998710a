package identitypool

import (
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

func TestGetId(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	tok := h.idToken("alice", nil)
	first := h.id(pool, map[string]string{awsName: tok})
	if !strings.HasPrefix(first, "us-east-1:") {
		t.Errorf("id %s", first)
	}
	if again := h.id(pool, map[string]string{ourName: tok}); again != first {
		t.Errorf("the issuer's name gave %s, AWS's gave %s", again, first)
	}
	if other := h.id(pool, map[string]string{awsName: h.idToken("bob", nil)}); other == first {
		t.Error("two users share an identity")
	}
	if a, b := h.id(pool, nil), h.id(pool, nil); a == b || a == first {
		t.Error("guests share an identity")
	}
	second := h.pool(nil)
	if other := h.id(second, map[string]string{awsName: tok}); other == first {
		t.Error("two pools share an identity")
	}
	_, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: "us-east-1:00000000-0000-0000-0000-000000000000"})
	want(t, "unknown pool", err, "ResourceNotFoundException", "IdentityPool 'us-east-1:00000000-0000-0000-0000-000000000000' not found.")
	closed := h.pool(func(in *api.CreateIdentityPoolInput) { in.AllowUnauthenticatedIdentities = false })
	_, err = h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: closed})
	want(t, "no guests", err, "NotAuthorizedException", "Unauthenticated access is not supported for this identity pool.")
}

func TestLogin_refuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	const unsupported = "Token is not from a supported provider of this identity pool."
	const notID = "Invalid login token. Not a valid OpenId Connect identity token."
	for _, tt := range []struct{ name, provider, token, message string }{
		{"right", awsName, h.idToken("a", nil), ""},
		{"issuer of an imported pool", awsName, h.idToken("a", map[string]any{"iss": "https://" + awsName}), ""},
		{"another provider", "accounts.google.com", h.idToken("a", nil), unsupported},
		{"another pool", "cognito-idp.us-east-1.amazonaws.com/us-east-1_other", h.idToken("a", nil), unsupported},
		{"audience of another client", awsName, h.idToken("a", map[string]any{"aud": "client2"}), unsupported},
		{"no audience", awsName, h.idToken("a", map[string]any{"aud": nil}), unsupported},
		{"two audiences", awsName, h.idToken("a", map[string]any{"aud": []string{clientID, "x"}}), unsupported},
		{"access token", awsName, h.idToken("a", map[string]any{"token_use": "access"}), notID},
		{"no use", awsName, h.idToken("a", map[string]any{"token_use": nil}), notID},
		{"no subject", awsName, h.idToken("", nil), notID},
		{"not a token", awsName, "nonsense", notID},
		{"issuer of another pool", awsName, h.idToken("a", map[string]any{"iss": baseURL + "/us-east-1_other"}), "Invalid login token. Issuer doesn't match providerName"},
		{"no issuer", awsName, h.idToken("a", map[string]any{"iss": nil}), "Invalid login token. Issuer doesn't match providerName"},
		{"foreign signature", awsName, h.signed(stranger(), "a", nil), "Invalid login token. Token signature invalid."},
		{"expired", awsName, h.idToken("a", map[string]any{"exp": h.clock().Unix()}), "Invalid login token. Token expired: 1772600767 >= 1772600767"},
		{"without expiry", awsName, h.idToken("a", map[string]any{"exp": nil}), ""},
	} {
		_, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: map[string]string{tt.provider: tt.token}})
		switch {
		case tt.message == "" && tt.name != "without expiry":
			want(t, tt.name, err, "", "")
		case err == nil:
			t.Errorf("%s: accepted", tt.name)
		default:
			want(t, tt.name, err, "NotAuthorizedException", tt.message)
		}
	}
	// Both names at once must mean one user.
	_, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: map[string]string{awsName: h.idToken("a", nil), ourName: h.idToken("b", nil)}})
	want(t, "two users", err, "NotAuthorizedException", "")
}

func TestServerSideTokenCheck(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(func(in *api.CreateIdentityPoolInput) {
		in.CognitoIdentityProviders[0].ServerSideTokenCheck = wire.Bool(true)
	})
	login := map[string]string{awsName: h.idToken("a", nil)}
	id := h.id(pool, login)
	h.live = false
	want(t, "signed out", h.credentials(id, login), "NotAuthorizedException", "")
	h.live, h.s.cfg.Pools = true, nil
	want(t, "nobody to ask", h.credentials(id, login), "NotAuthorizedException", "")
	h.s.cfg.Pools = h
	want(t, "active", h.credentials(id, login), "", "")
}

func TestGetCredentials(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	login := map[string]string{awsName: h.idToken("alice", nil)}
	id, guest := h.id(pool, login), h.id(pool, nil)

	want(t, "signed in", h.credentials(id, login), "", "")
	if h.last.role != authRole || h.last.policies != nil || h.last.keys.Get("cognito-identity.amazonaws.com:sub")[0] != id ||
		!slices.Equal(h.last.keys.Get("cognito-identity.amazonaws.com:amr"), []string{"authenticated", awsName, awsName + ":CognitoSignIn:alice"}) {
		t.Errorf("signed in: %+v", h.last)
	}
	want(t, "guest", h.credentials(guest, nil), "", "")
	if h.last.role != anonRole || len(h.last.policies) != 2 || !slices.Equal(h.last.keys.Get("cognito-identity.amazonaws.com:amr"), []string{"unauthenticated"}) {
		t.Errorf("guest: %+v", h.last)
	}
	want(t, "identity without its login", h.credentials(id, nil), "NotAuthorizedException", "Access to Identity '"+id+"' is forbidden.")
	want(t, "another's identity", h.credentials(id, map[string]string{awsName: h.idToken("eve", nil)}), "NotAuthorizedException",
		"Logins don't match. Please include at least one valid login for this identity or identity pool.")
	want(t, "expired", func() error { h.advance(2 * time.Hour); return h.credentials(id, login) }(), "NotAuthorizedException", "")
	want(t, "unknown", h.credentials("us-east-1:00000000-0000-0000-0000-000000000000", nil), "ResourceNotFoundException", "Identity 'us-east-1:00000000-0000-0000-0000-000000000000' not found.")

	// A guest who signs in keeps the identity, and it is then no guest's any more.
	signin := map[string]string{ourName: h.idToken("carol", nil)}
	want(t, "guest signs in", h.credentials(guest, signin), "", "")
	want(t, "as a guest again", h.credentials(guest, nil), "NotAuthorizedException", "")
	if again := h.id(pool, signin); again != guest {
		t.Errorf("carol has %s, had %s", again, guest)
	}

	// A pool that no longer lets guests in.
	late := h.id(pool, nil)
	if _, err := h.api.UpdateIdentityPool(h.root, &api.IdentityPool{IdentityPoolId: pool, IdentityPoolName: "people"}); err != nil {
		t.Fatal(err)
	}
	want(t, "guest of a closed pool", h.credentials(late, nil), "NotAuthorizedException", "Unauthenticated access is not supported for this identity pool.")
	want(t, "providers taken away", h.credentials(guest, signin), "NotAuthorizedException", "Identity pool - "+pool+" does not have identity providers configured.")
}

func TestGetCredentials_trust(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.pool(nil)
	login := map[string]string{awsName: h.idToken("alice", nil)}
	id := h.id(pool, login)
	const message = "Invalid identity pool configuration. Check assigned IAM roles for this pool."
	for name, doc := range map[string]string{
		"another pool":        trust("us-east-1:other", "authenticated"),
		"guests only":         trust(pool, "unauthenticated"),
		"another principal":   strings.Replace(trust(pool, "authenticated"), "cognito-identity", "accounts", 1),
		"another identity":    strings.Replace(trust(pool, "authenticated"), `"StringEquals":{`, `"StringEquals":{"cognito-identity.amazonaws.com:sub":"x",`, 1),
		"another user's name": trust(pool, awsName+":CognitoSignIn:bob"),
	} {
		h.trust[authRole] = doc
		want(t, name, h.credentials(id, login), "InvalidIdentityPoolConfigurationException", message)
	}
	h.trust[authRole] = trust(pool, awsName+":CognitoSignIn:alice")
	want(t, "this user", h.credentials(id, login), "", "")
	if _, err := h.api.SetIdentityPoolRoles(h.root, &api.SetIdentityPoolRolesInput{IdentityPoolId: pool, Roles: map[string]string{"unauthenticated": anonRole}}); err != nil {
		t.Fatal(err)
	}
	want(t, "no role", h.credentials(id, login), "InvalidIdentityPoolConfigurationException", message)
}
