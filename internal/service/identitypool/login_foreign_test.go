package identitypool

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

const googleApp, googlePhone = "123-web.apps.googleusercontent.com", "123-phone.apps.googleusercontent.com"

// worldly is a pool that takes sign-ins of everybody.
func (h *house) worldly() string {
	h.world.issuers = []string{"https://accounts.google.com", "https://www.facebook.com", "https://limited.facebook.com", "https://appleid.apple.com", "https://www.amazon.com", "https://idp.example"}
	h.world.oidc[oidcARN] = &OIDCProvider{Clients: []string{"app1", "app2"}}
	return h.pool(func(in *api.CreateIdentityPoolInput) {
		in.SupportedLoginProviders = map[string]string{"accounts.google.com": googleApp, "graph.facebook.com": "7700", "appleid.apple.com": "org.example.app", "www.amazon.com": "amzn1.application.x"}
		in.OpenIdConnectProviderARNs = []string{oidcARN}
		in.SamlProviderARNs = []string{samlARN}
	})
}

func (h *house) foreign(claims map[string]any) string {
	all := map[string]any{"token_use": nil}
	maps.Copy(all, claims)
	return h.signed(stranger(), "u1", all)
}

func TestLogin_foreign(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.worldly()
	const unsupported = "Token is not from a supported provider of this identity pool."
	const wrongIssuer = "Invalid login token. Issuer doesn't match providerName"
	for _, tt := range []struct {
		name, provider string
		claims         map[string]any
		message        string
		amr            []string
	}{
		{"google", "accounts.google.com", map[string]any{"iss": "https://accounts.google.com", "aud": googleApp, "azp": googleApp}, "", []string{"authenticated", "accounts.google.com", "accounts.google.com:" + googleApp + ":u1"}},
		{"google's short issuer", "accounts.google.com", map[string]any{"iss": "accounts.google.com", "aud": googleApp}, "", nil},
		{"google, its phone client", "accounts.google.com", map[string]any{"iss": "https://accounts.google.com", "aud": googleApp, "azp": googlePhone}, "", nil},
		{"google, another project's client", "accounts.google.com", map[string]any{"iss": "https://accounts.google.com", "aud": googleApp, "azp": "124-web.apps.googleusercontent.com"}, unsupported, nil},
		{"google, for another server", "accounts.google.com", map[string]any{"iss": "https://accounts.google.com", "aud": "123-other.apps.googleusercontent.com", "azp": googleApp}, unsupported, nil},
		{"google, no audience", "accounts.google.com", map[string]any{"iss": "https://accounts.google.com", "aud": nil}, unsupported, nil},
		{"google, two audiences", "accounts.google.com", map[string]any{"iss": "https://accounts.google.com", "aud": []string{googleApp, "x"}, "azp": googleApp}, unsupported, nil},
		{"google, by another issuer", "accounts.google.com", map[string]any{"iss": "https://idp.example", "aud": googleApp}, wrongIssuer, nil},
		{"facebook, limited login", "graph.facebook.com", map[string]any{"iss": "https://limited.facebook.com", "aud": "7700"}, "", []string{"authenticated", "graph.facebook.com", "graph.facebook.com:7700:u1"}},
		{"facebook", "graph.facebook.com", map[string]any{"iss": "https://www.facebook.com", "aud": "7700"}, "", nil},
		{"facebook, another application", "graph.facebook.com", map[string]any{"iss": "https://www.facebook.com", "aud": "7701"}, unsupported, nil},
		{"facebook, not an issuer of its own", "graph.facebook.com", map[string]any{"iss": "https://graph.facebook.com", "aud": "7700"}, wrongIssuer, nil},
		{"apple", "appleid.apple.com", map[string]any{"iss": "https://appleid.apple.com", "aud": "org.example.app"}, "", nil},
		{"apple, expired", "appleid.apple.com", map[string]any{"iss": "https://appleid.apple.com", "aud": "org.example.app", "exp": 1772600766}, "Invalid login token. Token expired: 1772600767 >= 1772600766", nil},
		{"apple, issued tomorrow", "appleid.apple.com", map[string]any{"iss": "https://appleid.apple.com", "aud": "org.example.app", "iat": 1772700000}, "Invalid login token. Token is not valid yet.", nil},
		{"apple, valid tomorrow", "appleid.apple.com", map[string]any{"iss": "https://appleid.apple.com", "aud": "org.example.app", "nbf": 1772700000}, "Invalid login token. Token is not valid yet.", nil},
		{"amazon", "www.amazon.com", map[string]any{"iss": "https://www.amazon.com", "aud": "amzn1.application.x"}, "", nil},
		{"twitter", "api.twitter.com", map[string]any{"iss": "https://api.twitter.com", "aud": "x"}, unsupported, nil},
		{"openid connect", "idp.example", map[string]any{"iss": "https://idp.example", "aud": "app2"}, "", []string{"authenticated", "idp.example", oidcARN + ":OIDC:u1"}},
		{"openid connect, azp", "idp.example", map[string]any{"iss": "https://idp.example", "aud": []string{"app1", "app2"}, "azp": "app1"}, "", nil},
		{"openid connect, azp of another", "idp.example", map[string]any{"iss": "https://idp.example", "aud": "app1", "azp": "app3"}, unsupported, nil},
		{"openid connect, empty azp", "idp.example", map[string]any{"iss": "https://idp.example", "aud": "app1", "azp": ""}, unsupported, nil},
		{"openid connect, another client", "idp.example", map[string]any{"iss": "https://idp.example", "aud": "app3"}, unsupported, nil},
		{"openid connect, two clients, no azp", "idp.example", map[string]any{"iss": "https://idp.example", "aud": []string{"app1", "app2"}}, unsupported, nil},
		{"openid connect, access token", "idp.example", map[string]any{"iss": "https://idp.example", "aud": "app1", "token_use": "access"}, "Invalid login token. Not a valid OpenId Connect identity token.", nil},
		{"openid connect, http", "idp.example", map[string]any{"iss": "http://idp.example", "aud": "app1"}, wrongIssuer, nil},
		{"openid connect, not of the pool", "other.example", map[string]any{"iss": "https://other.example", "aud": "app1"}, unsupported, nil},
	} {
		login := map[string]string{tt.provider: h.foreign(tt.claims)}
		out, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: login})
		if tt.message != "" {
			want(t, tt.name, err, "NotAuthorizedException", tt.message)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		want(t, tt.name, h.credentials(*out.IdentityId, login), "", "")
		if got := h.last.keys.Get("cognito-identity.amazonaws.com:amr"); tt.amr != nil && !slices.Equal(got, tt.amr) {
			t.Errorf("%s: amr %v", tt.name, got)
		}
	}
	// Opaque tokens cannot be verified, and that is what is said.
	for name, message := range map[string]string{
		"graph.facebook.com":  "Invalid login token. Access tokens of graph.facebook.com are opaque and cannot be verified here; an OpenID Connect token is needed.",
		"www.amazon.com":      "Invalid login token. Access tokens of www.amazon.com are opaque and cannot be verified here; an OpenID Connect token is needed.",
		"accounts.google.com": "Invalid login token. Not a valid OpenId Connect identity token.",
	} {
		_, err := h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: map[string]string{name: "Atza|opaque"}})
		want(t, name, err, "NotAuthorizedException", message)
	}
}

// A provider's key on a curve signs in ES256, and in nothing else.
func TestLogin_foreignES256(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.worldly()
	good := h.foreign(map[string]any{"iss": "https://idp.example", "aud": "app1"})
	payload := strings.Split(good, ".")[1]
	for what, header := range map[string]string{"right": `{"alg":"ES256","kid":"ec"}`, "another algorithm": `{"alg":"ES384","kid":"ec"}`, "RSA": `{"alg":"RS256","kid":"ec"}`, "another key": `{"alg":"ES256","kid":"k1"}`} {
		text := b64(header) + "." + payload
		sum := sha256.Sum256([]byte(text))
		r, s, err := ecdsa.Sign(rand.Reader, curve(), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		raw := text + "." + b64(string(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)))
		_, err = h.api.GetId(h.anon, &api.GetIdInput{IdentityPoolId: pool, Logins: map[string]string{"idp.example": raw}})
		if what == "right" {
			want(t, what, err, "", "")
		} else if want(t, what, err, "NotAuthorizedException", ""); err == nil {
			t.Errorf("%s: let in", what)
		}
	}
}

// What vanishes signs nobody in any more, and what cannot be asked neither.
func TestLogin_foreignGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.worldly()
	login := map[string]string{"idp.example": h.foreign(map[string]any{"iss": "https://idp.example", "aud": "app1"})}
	id := h.id(pool, login)
	want(t, "there", h.credentials(id, login), "", "")
	h.world.oidc[oidcARN].Clients = []string{"app2"}
	want(t, "client removed", h.credentials(id, login), "NotAuthorizedException", "Token is not from a supported provider of this identity pool.")
	h.world.oidc[oidcARN].Clients = nil
	want(t, "no clients", h.credentials(id, login), "NotAuthorizedException", "Token is not from a supported provider of this identity pool.")
	h.world.oidc[oidcARN].Clients = []string{"app1"}
	h.world.down = true
	want(t, "issuer down", h.credentials(id, login), "ExternalServiceException", "")
	h.world.down = false
	want(t, "issuer up", h.credentials(id, login), "", "")
	h.s.cfg.Foreign = nil
	want(t, "nothing is fetched", h.credentials(id, login), "NotAuthorizedException", "Invalid login token. Couldn't verify signed token.")
	h.s.cfg.Foreign = h.world
	delete(h.world.oidc, oidcARN)
	want(t, "provider deleted", h.credentials(id, login), "NotAuthorizedException", "Token is not from a supported provider of this identity pool.")
}

func TestLogin_SAML(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.worldly()
	other := "arn:aws:iam::000000000000:role/other"
	h.trust[other] = h.trust[authRole]
	h.world.saml["good"] = Assertion{Subject: "ann", Attributes: map[string][]string{
		samlRoles: {mapped + "," + samlARN, samlARN + "," + other, authRole + ",arn:aws:iam::000000000000:saml-provider/elsewhere"}, "dept": {"eng"}, "cognito:preferred_role": {authRole},
	}}
	h.world.saml["nobody"] = Assertion{}
	login := map[string]string{samlARN: "good"}
	id := h.id(pool, login)
	want(t, "signed in", h.credentials(id, login), "", "")
	if got := h.last.keys.Get("cognito-identity.amazonaws.com:amr"); !slices.Equal(got, []string{"authenticated", samlARN, samlARN + ":SAML:ann"}) {
		t.Errorf("amr %v", got)
	}
	want(t, "not signed", h.credentials(id, map[string]string{samlARN: "bad"}), "NotAuthorizedException", "Invalid login token. The assertion is not signed.")
	want(t, "no subject", h.credentials(id, map[string]string{samlARN: "nobody"}), "NotAuthorizedException", "")
	want(t, "another provider", h.credentials(id, map[string]string{"arn:aws:iam::000000000000:saml-provider/elsewhere": "good"}), "NotAuthorizedException", "")
	_, err := h.api.SetIdentityPoolRoles(h.root, &api.SetIdentityPoolRolesInput{IdentityPoolId: pool, Roles: map[string]string{"authenticated": authRole},
		RoleMappings: map[string]api.RoleMapping{samlARN: {Type: "Token", AmbiguousRoleResolution: "Deny"}}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "two roles", h.credentials(id, login), "NotAuthorizedException", "")
	for role, ok := range map[string]bool{mapped: true, other: true, authRole: false} {
		h.last = call{}
		_, err := h.api.GetCredentialsForIdentity(h.anon, &api.GetCredentialsForIdentityInput{IdentityId: id, Logins: login, CustomRoleArn: &role})
		if (err == nil) != ok || ok && h.last.role != role {
			t.Errorf("%s: %q, %v", role, h.last.role, err)
		}
	}
}

func TestPoolProviders(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.worldly()
	p, err := h.api.DescribeIdentityPool(h.root, &api.DescribeIdentityPoolInput{IdentityPoolId: pool})
	if err != nil || len(p.SupportedLoginProviders) != 4 || len(p.OpenIdConnectProviderARNs) != 1 || len(p.SamlProviderARNs) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, tt := range []struct {
		name   string
		change func(*api.IdentityPool)
		code   string
	}{
		{"twitter", func(p *api.IdentityPool) { p.SupportedLoginProviders = map[string]string{"api.twitter.com": "k;s"} }, "NotImplemented"},
		{"unknown social provider", func(p *api.IdentityPool) { p.SupportedLoginProviders = map[string]string{"idp.example": "x"} }, "InvalidParameterException"},
		{"another account's provider", func(p *api.IdentityPool) {
			p.OpenIdConnectProviderARNs = []string{"arn:aws:iam::111111111111:oidc-provider/idp.example"}
		}, "InvalidParameterException"},
		{"a SAML provider for OpenID Connect", func(p *api.IdentityPool) { p.OpenIdConnectProviderARNs = []string{samlARN} }, "InvalidParameterException"},
		{"every SAML provider", func(p *api.IdentityPool) { p.SamlProviderARNs = []string{"arn:aws:iam::000000000000:saml-provider/*"} }, "InvalidParameterException"},
		{"not a user pool", func(p *api.IdentityPool) {
			p.CognitoIdentityProviders = []api.CognitoIdentityProvider{{ProviderName: wire.String("idp.example"), ClientId: wire.String("x")}}
		}, "InvalidParameterException"},
		{"51 clients", func(p *api.IdentityPool) {
			p.CognitoIdentityProviders = slices.Repeat([]api.CognitoIdentityProvider{{ProviderName: wire.String(awsName), ClientId: wire.String("x")}}, 51)
		}, "LimitExceededException"},
		{"a reserved tag", func(p *api.IdentityPool) { p.IdentityPoolTags = map[string]string{"aws:x": "1"} }, "InvalidParameterException"},
		{"developer named as google", func(p *api.IdentityPool) { p.DeveloperProviderName = wire.String("accounts.google.com") }, "InvalidParameterException"},
		{"developer named as another", func(p *api.IdentityPool) {
			p.OpenIdConnectProviderARNs, p.DeveloperProviderName = []string{oidcARN}, wire.String("idp.example")
		}, "InvalidParameterException"},
	} {
		in := &api.IdentityPool{IdentityPoolId: pool, IdentityPoolName: "people"}
		tt.change(in)
		_, err := h.api.UpdateIdentityPool(h.root, in)
		want(t, tt.name, err, tt.code, "")
	}
}
