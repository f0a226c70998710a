package iam

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"moat/internal/issuer"
	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

// foreignIssuer is an OpenID Connect provider on TLS, outside of the house.
func foreignIssuer(t *testing.T, keys ...*token.Key) *httptest.Server {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL, "jwks_uri": s.URL + "/keys"}) // a test
		case "/keys":
			_, _ = w.Write(token.JWKS(keys...)) // a test
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (h *house) oidc(address string, thumbprints []string, clients ...string) string {
	h.t.Helper()
	return *must(h.t)(h.iam.CreateOpenIDConnectProvider(h.root(), &iamapi.CreateOpenIDConnectProviderRequest{Url: address, ClientIDList: clients, ThumbprintList: thumbprints})).(*iamapi.CreateOpenIDConnectProviderResponse).OpenIDConnectProviderArn
}

func (h *house) webTrust(provider, conditions string) string {
	return `{"Effect":"Allow","Principal":{"Federated":"` + provider + `"},"Action":["sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"],"Condition":{` + conditions + `}}`
}

func (h *house) assumeWeb(role, raw string) (*stsapi.AssumeRoleWithWebIdentityResponse, error) {
	return h.sts.AssumeRoleWithWebIdentity(wire.WithCall(h.t.Context(), &wire.Call{Account: account, Region: "us-east-1", Time: h.clock(), SourceIP: "192.0.2.1"}),
		&stsapi.AssumeRoleWithWebIdentityRequest{RoleArn: role, RoleSessionName: "web", WebIdentityToken: raw})
}

func TestAssumeRoleWithWebIdentity_foreign(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := foreignIssuer(t, signer().Key())
	h.s.cfg.Foreign = issuer.New(issuer.Config{Client: s.Client(), Now: h.clock})
	name := strings.TrimPrefix(s.URL, "https://")
	provider := h.oidc(s.URL, nil, "client1")
	role := h.role("web", h.webTrust(provider, `"StringEquals":{"`+name+`:aud":"client1","`+name+`:sub":"u1"}`), allowRead)
	iss := map[string]any{"iss": s.URL}
	with := func(k string, v any) map[string]any {
		m := maps.Clone(iss)
		m[k] = v
		return m
	}
	for what, tt := range map[string]struct {
		raw           string
		code, message string
	}{
		"right":              {h.webToken(signer(), iss), "", ""},
		"another subject":    {h.webToken(signer(), with("sub", "u2")), "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		"another audience":   {h.webToken(signer(), with("aud", "client2")), "InvalidIdentityToken", "Incorrect token audience"},
		"another key":        {h.webToken(newSigner(), iss), "InvalidIdentityToken", ""},
		"over http":          {h.webToken(signer(), with("iss", strings.Replace(s.URL, "https", "http", 1))), "InvalidIdentityToken", ""},
		"with a slash":       {h.webToken(signer(), with("iss", s.URL+"/")), "InvalidIdentityToken", ""},
		"not registered":     {h.webToken(signer(), with("iss", "https://127.0.0.1:1")), "InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://127.0.0.1:1"},
		"audiences, a party": {h.webToken(signer(), map[string]any{"iss": s.URL, "aud": []string{"x", "client1"}, "azp": "client1"}), "", ""},
		"audiences, none":    {h.webToken(signer(), with("aud", []string{"x", "client1"})), "InvalidIdentityToken", ""},
		"party of nobody":    {h.webToken(signer(), map[string]any{"iss": s.URL, "aud": []string{"x", "client1"}, "azp": "y"}), "InvalidIdentityToken", ""},
	} {
		_, err := h.assumeWeb(role, tt.raw)
		want(t, what, err, tt.code, tt.message)
		if (err == nil) != (tt.code == "") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := h.assumeWeb(provider, h.webToken(signer(), iss))
	want(t, "not the ARN of a role", err, "ValidationError", "Request ARN is invalid")
	out, err := h.assumeWeb(role, h.webToken(signer(), iss))
	if err != nil || wire.Value(out.Provider) != provider || wire.Value(out.Audience) != "client1" || wire.Value(out.SubjectFromWebIdentityToken) != "u1" {
		t.Errorf("%+v, %v", out, err)
	}
	if w := h.post(sigv4.Credentials{}, "sts", url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "RoleArn": {role}, "RoleSessionName": {"web"}, "WebIdentityToken": {h.webToken(signer(), iss)}}); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	refusedOn(t, "a named provider", h.post(sigv4.Credentials{}, "sts", url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "RoleArn": {role}, "RoleSessionName": {"web"}, "ProviderId": {"graph.facebook.com"}, "WebIdentityToken": {h.webToken(signer(), iss)}}), 501, "NotImplemented", "")
	must(t)(h.iam.DeleteOpenIDConnectProvider(h.root(), &iamapi.DeleteOpenIDConnectProviderRequest{OpenIDConnectProviderArn: provider}))
	_, err = h.assumeWeb(role, h.webToken(signer(), iss))
	want(t, "provider deleted", err, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for "+s.URL)
}

func TestAssumeRoleWithWebIdentity_thumbprint(t *testing.T) {
	t.Parallel()
	s := foreignIssuer(t, signer().Key())
	sum := sha1.Sum(s.Certificate().Raw)
	for what, tt := range map[string]struct {
		thumbprint    string
		down          bool
		code, message string
	}{
		"known":   {hex.EncodeToString(sum[:]), false, "", ""},
		"unknown": {strings.Repeat("a", 40), false, "InvalidIdentityToken", "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"},
		"down":    {hex.EncodeToString(sum[:]), true, "IDPCommunicationError", ""},
	} {
		h := newHouse(t)
		at := s
		if tt.down {
			at = foreignIssuer(t, signer().Key())
			at.Close()
		}
		h.s.cfg.Foreign = issuer.New(issuer.Config{Client: &http.Client{Transport: &http.Transport{}}, Now: h.clock})
		role := h.role("web", h.webTrust(h.oidc(at.URL, []string{tt.thumbprint}, "client1"), `"StringEquals":{"sts:RoleSessionName":"web"}`), allowRead)
		_, err := h.assumeWeb(role, h.webToken(signer(), map[string]any{"iss": at.URL}))
		want(t, what, err, tt.code, tt.message)
		if (err == nil) != (tt.code == "") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Tags and source identity of a token, nested and flat, and what is neither.
func TestAssumeRoleWithWebIdentity_attributes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.issuers["https://idp.example/pool"] = token.NewKeys(signer().Key())
	provider := h.oidc("https://idp.example/pool", nil, "client1")
	role := h.role("web", h.webTrust(provider, `"StringEquals":{"aws:RequestTag/team":"red","sts:SourceIdentity":"alice"}`), `{"Effect":"Allow","Action":"ssm:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"red","aws:SourceIdentity":"alice"}}}`)
	noTags := h.role("notags", `{"Effect":"Allow","Principal":{"Federated":"`+provider+`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"idp.example/pool:aud":"client1"}}}`, allowRead)
	nested := map[string]any{tagsClaim: map[string]any{"principal_tags": map[string]any{"team": []string{"red"}, "other": "x"}, "transitive_tag_keys": []string{"team"}}, sourceClaim: "alice"}
	flat := map[string]any{tagsClaim + "/principal_tags/team": "red", tagsClaim + "/transitive_tag_keys": []string{"team"}, sourceClaim: "alice"}
	with := func(k string, v any) map[string]any {
		m := maps.Clone(nested)
		m[k] = v
		return m
	}
	for what, tt := range map[string]struct {
		role   string
		claims map[string]any
		code   string
	}{
		"nested":              {role, nested, ""},
		"flat":                {role, flat, ""},
		"no TagSession":       {noTags, nested, "AccessDenied"},
		"another team":        {role, with(tagsClaim, map[string]any{"principal_tags": map[string]any{"team": "blue"}}), "AccessDenied"},
		"no tags":             {role, with(tagsClaim, map[string]any{}), "AccessDenied"},
		"another source":      {role, with(sourceClaim, "bob"), "AccessDenied"},
		"tags no object":      {role, with(tagsClaim, "x"), "InvalidIdentityToken"},
		"tag of two values":   {role, with(tagsClaim, map[string]any{"principal_tags": map[string]any{"team": []string{"red", "blue"}}}), "InvalidIdentityToken"},
		"tag of a number":     {role, with(tagsClaim, map[string]any{"principal_tags": map[string]any{"team": 1}}), "InvalidIdentityToken"},
		"malformed tag":       {role, with(tagsClaim, map[string]any{"principal_tags": map[string]any{"te{am": "x"}}), "InvalidIdentityToken"},
		"malformed source":    {role, with(sourceClaim, "a b"), "InvalidIdentityToken"},
		"source of AWS":       {role, with(sourceClaim, "aws:x"), "InvalidIdentityToken"},
		"source not a string": {role, with(sourceClaim, []string{"alice"}), "InvalidIdentityToken"},
		"transitive unknown":  {role, with(tagsClaim, map[string]any{"principal_tags": map[string]any{"team": "red"}, "transitive_tag_keys": []string{"x"}}), "InvalidParameterValue"},
	} {
		out, err := h.assumeWeb(tt.role, h.webToken(signer(), tt.claims))
		want(t, what, err, tt.code, "")
		if (err == nil) != (tt.code == "") {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil {
			continue
		}
		key := sigv4.Credentials{AccessKeyID: out.Credentials.AccessKeyId, SessionToken: out.Credentials.SessionToken}
		if !h.may(key, "ssm:GetParameter", "*") || wire.Value(out.SourceIdentity) != "alice" {
			t.Errorf("%s: wrong session", what)
		}
	}
}

// The keys of the call count for calls without a signature, too.
func TestAssumeRoleWithWebIdentity_conditions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.issuers["https://idp.example/pool"] = token.NewKeys(signer().Key())
	provider := h.oidc("https://idp.example/pool", nil, "client1")
	i := 0
	for condition, may := range map[string]bool{
		`"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}`:                               true,
		`"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}`:                            false,
		`"StringEquals":{"idp.example/pool:azp":"app"}`:                             true,
		`"StringEquals":{"idp.example/pool:azp":"other"}`:                           false,
		`"StringEquals":{"idp.example/pool:email":"a@example.com"}`:                 true,
		`"ForAnyValue:StringEquals":{"idp.example/pool:amr":"mfa"}`:                 true,
		`"ForAnyValue:StringEquals":{"idp.example/pool:amr":"other"}`:               false,
		`"StringEquals":{"other.example:sub":"u1"}`:                                 false,
		`"DateGreaterThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"}`:              true,
		`"DateGreaterThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}`:              false,
		`"StringEquals":{"aws:FederatedProvider":"arn:aws:iam::1:oidc-provider/x"}`: false,
	} {
		i++
		role := h.role("web"+string(rune('a'+i)), h.webTrust(provider, condition), allowRead)
		_, err := h.assumeWeb(role, h.webToken(signer(), map[string]any{"azp": "app", "email": "a@example.com", "amr": []string{"pwd", "mfa"}}))
		if (err == nil) != may {
			t.Errorf("%s: %v", condition, err)
		}
	}
}

func TestVerifyWebIdentity(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.issuers["https://idp.example/pool"] = token.NewKeys(signer().Key())
	provider := h.oidc("https://idp.example/pool", nil, "client1")
	principal, tok, keys, err := h.s.VerifyWebIdentity(t.Context(), h.webToken(signer(), nil))
	if err != nil || principal != provider || tok.Claims.String("sub") != "u1" || keys.Get("idp.example/pool:aud")[0] != "client1" {
		t.Errorf("%s %v %v", principal, keys, err)
	}
	if _, _, _, err = h.s.VerifyWebIdentity(t.Context(), h.webToken(newSigner(), nil)); err == nil {
		t.Error("a foreign signature")
	}
	_, _, _, err = h.s.VerifyWebIdentity(t.Context(), h.webToken(signer(), map[string]any{"exp": h.clock().Unix() - 5}))
	want(t, "expired", err, "ExpiredTokenException", "Token expired: current date/time 1772600767 must be before the expiration date/time1772600762")
}

// A service is let in for the resource that it acts for, and for this account.
func TestServiceCredentials_source(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const api = "arn:aws:execute-api:us-east-1:000000000000:abc/*"
	for name, tt := range map[string]struct {
		conditions, source, account string
		may                         bool
	}{
		"this API":       {`"ArnLike":{"aws:SourceArn":"` + api + `"}`, "arn:aws:execute-api:us-east-1:000000000000:abc/prod/GET/", "", true},
		"another API":    {`"ArnLike":{"aws:SourceArn":"` + api + `"}`, "arn:aws:execute-api:us-east-1:000000000000:xyz/prod/GET/", "", false},
		"no source":      {`"ArnLike":{"aws:SourceArn":"` + api + `"}`, "", "", false},
		"this account":   {`"StringEquals":{"aws:SourceAccount":"000000000000"}`, "", "", true},
		"other account":  {`"StringEquals":{"aws:SourceAccount":"111111111111"}`, "", "", false},
		"for another":    {`"StringEquals":{"aws:SourceAccount":"000000000000"}`, "", "111111111111", false},
		"a session name": {`"StringEquals":{"sts:RoleSessionName":"elsewhere"}`, "", "", false},
	} {
		role := h.role(strings.ReplaceAll(name, " ", "-"), `{"Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"sts:AssumeRole","Condition":{`+tt.conditions+`}}`, "")
		keys := policy.Context{}
		if tt.source != "" {
			keys.Set("aws:SourceArn", tt.source)
		}
		if tt.account != "" {
			keys.Set("aws:SourceAccount", tt.account)
		}
		if _, _, err := h.s.ServiceCredentials(t.Context(), role, "name", "apigateway.amazonaws.com", keys, 0); (err == nil) != tt.may {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A chain keeps its source identity and its transitive tags, and each role must
// agree to carry them.
func TestAssumeRole_chain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	first := h.role("first", trustAccount, `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	second := h.role("second", `{"Effect":"Allow","Principal":{"AWS":"`+first+`"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}`, `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	third := h.role("third", trustAccount, "")
	plain := h.role("plain", `{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}`, "")
	start := &stsapi.AssumeRoleRequest{RoleArn: first, SourceIdentity: wire.String("alice"), Tags: []stsapi.Tag{{Key: "team", Value: "red"}, {Key: "stays", Value: "1"}}, TransitiveTagKeys: []string{"team"}}
	key, err := h.assume(alice, start)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: plain})
	want(t, "a role that does not let sessions be tagged", err, "AccessDenied", "")
	if err == nil {
		t.Error("chained without sts:TagSession and sts:SetSourceIdentity")
	}
	bare, err := h.assume(alice, &stsapi.AssumeRoleRequest{RoleArn: first})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = h.assume(bare, &stsapi.AssumeRoleRequest{RoleArn: plain}); err != nil {
		t.Errorf("nothing is carried: %v", err)
	}
	_, err = h.assume(bare, &stsapi.AssumeRoleRequest{RoleArn: second})
	want(t, "without the tag", err, "AccessDenied", "")
	for _, role := range []string{second, third} {
		if key, err = h.assume(key, &stsapi.AssumeRoleRequest{RoleArn: role}); err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		c, err := h.s.Credential(t.Context(), key.AccessKeyID, key.SessionToken)
		if err != nil {
			t.Fatal(err)
		}
		k := c.Caller.Context
		if k.Get("aws:SourceIdentity")[0] != "alice" || k.Get("aws:PrincipalTag/team")[0] != "red" || k.Get("aws:PrincipalTag/stays") != nil {
			t.Errorf("%s: %v", role, k)
		}
	}
	// Naming the account's root in a trust policy means the account.
	root := h.role("root", `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole"}`, "")
	if _, err := h.assume(alice, &stsapi.AssumeRoleRequest{RoleArn: root}); err != nil {
		t.Errorf("of the account: %v", err)
	}
	_, err = h.assume(h.user("nobody", ""), &stsapi.AssumeRoleRequest{RoleArn: root})
	want(t, "of the account, without a policy", err, "AccessDenied", "")
	_, err = h.assume(alice, &stsapi.AssumeRoleRequest{RoleArn: root, ProvidedContexts: []stsapi.ProvidedContext{{ProviderArn: wire.String("arn:aws:iam::aws:contextProvider/IdentityCenter"), ContextAssertion: wire.String("assertion")}}})
	want(t, "provided contexts", err, "NotImplemented", "")
}
