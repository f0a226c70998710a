package userpool

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/token"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// oauthHouse is a pool with a domain, scopes and a confidential client.
func oauthHouse(t *testing.T) (h *house, pool, id, secret string) {
	h = newHouse(t)
	ctx := t.Context()
	pool = h.newPoolID(nil)
	must[*api.CreateUserPoolDomainResponse](t)(h.c.CreateUserPoolDomain(ctx, &api.CreateUserPoolDomainRequest{UserPoolId: pool, Domain: "school"}))
	must[*api.CreateResourceServerResponse](t)(h.c.CreateResourceServer(ctx, &api.CreateResourceServerRequest{
		UserPoolId: pool, Identifier: "courses", Name: "courses",
		Scopes: []api.ResourceServerScopeType{{ScopeName: "read", ScopeDescription: "r"}, {ScopeName: "write", ScopeDescription: "w"}},
	}))
	c := h.newClient(pool, func(in *api.CreateUserPoolClientRequest) {
		in.GenerateSecret = wire.Bool(true)
		in.AllowedOAuthFlows, in.AllowedOAuthFlowsUserPoolClient = []api.OAuthFlowType{"client_credentials"}, wire.Bool(true)
		in.AllowedOAuthScopes = []string{"courses/read", "courses/write"}
	})
	return h, pool, *c.ClientId, *c.ClientSecret
}

func (h *house) post(domain, path string, f url.Values, change func(*http.Request)) (*httptest.ResponseRecorder, map[string]any) {
	h.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/_auth/"+domain+path, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeDomain(w, r, domain, path)
	var body map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &body) // an empty body has no fields
	return w, body
}

func TestService_clientCredentials(t *testing.T) {
	t.Parallel()
	h, pool, id, secret := oauthHouse(t)
	inBody := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	w, body := h.post("school", "/oauth2/token", inBody, nil)
	if w.Code != 200 || body["token_type"] != "Bearer" || body["expires_in"] != 3600.0 || body["refresh_token"] != nil || body["id_token"] != nil ||
		w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("got %d %v %v", w.Code, body, w.Header())
	}
	c := h.claims(wire.String(body["access_token"].(string)))
	if c.String("sub") != id || c.String("client_id") != id || c.String("scope") != "courses/read courses/write" || c.String("token_use") != "access" ||
		c.String("username") != "" || c["version"] != json.Number("2") || c.String("iss") != h.issuer(pool) {
		t.Errorf("got %v", c)
	}
	if err := h.TokenLive(t.Context(), c); err != nil {
		t.Error(err)
	}
	if _, err := h.c.GetUser(t.Context(), &api.GetUserRequest{AccessToken: body["access_token"].(string)}); err == nil {
		t.Error("a client's token is a user's")
	}
	basic := func(r *http.Request) { r.SetBasicAuth(id, secret) }
	w, body = h.post("school", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"courses/read"}}, basic)
	if w.Code != 200 || h.claims(wire.String(body["access_token"].(string))).String("scope") != "courses/read" {
		t.Fatalf("got %d %v", w.Code, body)
	}

	with := func(change func(url.Values)) url.Values {
		f := url.Values{}
		for k, v := range inBody {
			f[k] = v
		}
		change(f)
		return f
	}
	public := *h.newClient(pool, nil).ClientId
	tests := map[string]struct {
		form   url.Values
		change func(*http.Request)
		status int
		code   string
	}{
		"wrong secret":       {with(func(f url.Values) { f.Set("client_secret", secret+"x") }), nil, 400, "invalid_client"},
		"part of the secret": {with(func(f url.Values) { f.Set("client_secret", secret[:50]) }), nil, 400, "invalid_client"},
		"no secret":          {with(func(f url.Values) { f.Del("client_secret") }), nil, 400, "invalid_client"},
		"no client":          {with(func(f url.Values) { f.Del("client_id") }), nil, 400, "invalid_request"},
		"unknown client":     {with(func(f url.Values) { f.Set("client_id", "x") }), nil, 400, "invalid_client"},
		"wrong basic":        {url.Values{"grant_type": {"client_credentials"}}, func(r *http.Request) { r.SetBasicAuth(id, "x") }, 400, "invalid_client"},
		"not basic":          {inBody, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 400, "invalid_client"},
		"both ways":          {inBody, basic, 400, "invalid_request"},
		"two identities":     {url.Values{"grant_type": {"client_credentials"}, "client_id": {public}}, basic, 400, "invalid_request"},
		"unknown scope":      {with(func(f url.Values) { f.Set("scope", "courses/delete") }), nil, 400, "invalid_scope"},
		"user scope":         {with(func(f url.Values) { f.Set("scope", scopeAdmin) }), nil, 400, "invalid_scope"},
		"part of a scope":    {with(func(f url.Values) { f.Set("scope", "courses/rea") }), nil, 400, "invalid_scope"},
		"public client":      {url.Values{"grant_type": {"client_credentials"}, "client_id": {public}}, nil, 400, "unauthorized_client"},
		"no grant":           {with(func(f url.Values) { f.Del("grant_type") }), nil, 400, "invalid_request"},
		"password grant":     {with(func(f url.Values) { f.Set("grant_type", "password") }), nil, 400, "unsupported_grant_type"},
		"code":               {with(func(f url.Values) { f.Set("grant_type", "authorization_code"); f.Set("code", "x") }), nil, 400, "invalid_grant"},
		"parameter twice":    {with(func(f url.Values) { f.Add("scope", "courses/read"); f.Add("scope", "courses/write") }), nil, 400, "invalid_request"},
		"json":               {inBody, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, 400, "invalid_request"},
		"in the query":       {url.Values{}, func(r *http.Request) { r.URL.RawQuery = inBody.Encode() }, 400, "invalid_request"},
		"too long":           {with(func(f url.Values) { f.Set("scope", strings.Repeat("x", maxForm)) }), nil, 400, "invalid_request"},
		"get":                {inBody, func(r *http.Request) { r.Method = http.MethodGet }, 405, "invalid_request"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, body := h.post("school", "/oauth2/token", tt.form, tt.change)
			if w.Code != tt.status || body["error"] != tt.code || len(body) != 1 {
				t.Errorf("got %d %v, want %d %s", w.Code, body, tt.status, tt.code)
			}
		})
	}
	other := h.newPoolID(nil)
	must[*api.CreateUserPoolDomainResponse](t)(h.c.CreateUserPoolDomain(t.Context(), &api.CreateUserPoolDomainRequest{UserPoolId: other, Domain: "elsewhere"}))
	if w, body := h.post("elsewhere", "/oauth2/token", inBody, nil); w.Code != 400 || body["error"] != "invalid_client" {
		t.Errorf("at another pool's domain: %d %v", w.Code, body)
	}
	if w, _ := h.post("nowhere", "/oauth2/token", inBody, nil); w.Code != 404 {
		t.Errorf("at no domain: %d", w.Code)
	}
	// A scope that the resource server has lost is granted no longer.
	must[*api.UpdateResourceServerResponse](t)(h.c.UpdateResourceServer(t.Context(), &api.UpdateResourceServerRequest{
		UserPoolId: pool, Identifier: "courses", Name: "courses", Scopes: []api.ResourceServerScopeType{{ScopeName: "read", ScopeDescription: "r"}},
	}))
	_, body = h.post("school", "/oauth2/token", inBody, nil)
	if got := h.claims(wire.String(body["access_token"].(string))).String("scope"); got != "courses/read" {
		t.Errorf("got scope %q", got)
	}
	if _, body := h.post("school", "/oauth2/token", with(func(f url.Values) { f.Set("scope", "courses/write") }), nil); body["error"] != "invalid_scope" {
		t.Errorf("got %v", body)
	}
	if n := len(h.recs); n < len(tests) || h.recs[0].Who != id || h.recs[0].Status != 200 || h.recs[0].Kind != wire.KindOAuth {
		t.Errorf("%d records, the first is %+v", n, h.recs[0])
	}
}

func TestService_oauthRefreshAndRevoke(t *testing.T) {
	t.Parallel()
	h, pool, id, secret := oauthHouse(t)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com")
	r := h.mustSignIn(client, "ann@example.com")
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {client}, "refresh_token": {*r.RefreshToken}}
	w, body := h.post("school", "/oauth2/token", form, nil)
	if w.Code != 200 || body["id_token"] == nil || body["refresh_token"] != nil {
		t.Fatalf("got %d %v", w.Code, body)
	}
	if _, body := h.post("school", "/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {id}, "client_secret": {secret}, "refresh_token": {*r.RefreshToken}}, nil); body["error"] != "invalid_grant" {
		t.Errorf("another client's token: %v", body)
	}
	if w, body := h.post("school", "/oauth2/revoke", url.Values{"client_id": {client}, "token": {*r.AccessToken}}, nil); w.Code != 400 || body["error"] != "unsupported_token_type" {
		t.Errorf("revoking an access token: %d %v", w.Code, body)
	}
	if w, _ := h.post("school", "/oauth2/revoke", url.Values{"client_id": {client}, "token": {*r.RefreshToken}}, nil); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if _, body := h.post("school", "/oauth2/token", form, nil); body["error"] != "invalid_grant" {
		t.Errorf("after revocation: %v", body)
	}
	get := func(authorization string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodGet, "/_auth/school/oauth2/userInfo", nil)
		req.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		h.ServeDomain(w, req, "school", "/oauth2/userInfo")
		return w
	}
	if w := get(""); w.Code != 401 || w.Header().Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
		t.Errorf("without a token: %d %v", w.Code, w.Header())
	}
	if w := get("Bearer " + *r.AccessToken); w.Code != 401 {
		t.Errorf("with a revoked token: %d", w.Code)
	}
	fresh := h.mustSignIn(client, "ann@example.com")
	if w := get("Bearer " + *fresh.AccessToken); w.Code != 403 || !strings.Contains(w.Body.String(), "insufficient_scope") {
		t.Errorf("without openid: %d %s", w.Code, w.Body)
	}
	keys, err := h.keys.of(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	for name, v := range h.claims(fresh.AccessToken) {
		claims[name] = v
	}
	claims["scope"] = "openid email"
	raw, err := sign(keys.signer, claimsOf(claims))
	if err != nil {
		t.Fatal(err)
	}
	if w := get("Bearer " + raw); w.Code != 200 || !strings.Contains(w.Body.String(), "ann@example.com") {
		t.Errorf("with openid: %d %s", w.Code, w.Body)
	}
}

func TestService_ServePool(t *testing.T) {
	t.Parallel()
	h, pool, _, _ := oauthHouse(t)
	get := func(method, id, rest string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServePool(w, httptest.NewRequest(method, "/"+id+rest, nil), id, rest)
		return w
	}
	w := get("GET", pool, "/.well-known/jwks.json")
	set, err := token.ParseJWKS(w.Body.Bytes())
	if err != nil || len(set) == 0 || w.Header().Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("got %d %s: %v", w.Code, w.Body, err)
	}
	w = get("GET", pool, ".well-known/openid-configuration")
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc["issuer"] != h.issuer(pool) || doc["jwks_uri"] != h.issuer(pool)+"/.well-known/jwks.json" || doc["token_endpoint"] != "http://localhost:4566/_auth/school/oauth2/token" {
		t.Errorf("got %v", doc)
	}
	for _, tt := range []struct {
		method, id, rest string
		status           int
	}{
		{"GET", "eu-central-1_AAAAAAAAA", "/.well-known/jwks.json", 404}, {"GET", "../x", "/.well-known/jwks.json", 404},
		{"GET", pool, "/.well-known/other", 404}, {"GET", pool, "/", 404}, {"POST", pool, "/.well-known/jwks.json", 405},
		{"OPTIONS", pool, "/.well-known/jwks.json", 204}, {"HEAD", pool, "/.well-known/jwks.json", 200},
	} {
		if w := get(tt.method, tt.id, tt.rest); w.Code != tt.status {
			t.Errorf("%s %s%s: got %d, want %d", tt.method, tt.id, tt.rest, w.Code, tt.status)
		}
	}
	for _, path := range []string{"/login", "/oauth2/authorize", "/logout"} {
		w := httptest.NewRecorder()
		h.ServeDomain(w, httptest.NewRequest("GET", path, nil), "school", path)
		if w.Code != 501 {
			t.Errorf("%s: got %d", path, w.Code)
		}
	}
	w = httptest.NewRecorder()
	h.ServeDomain(w, httptest.NewRequest("OPTIONS", "/", nil), "school", "/oauth2/token")
	if w.Code != 204 || !strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
}

// With the database gone nothing is let through.
func TestService_failClosed(t *testing.T) {
	t.Parallel()
	h, pool, id, secret := oauthHouse(t)
	client := *h.newClient(pool, nil).ClientId
	h.member(pool, "ann@example.com")
	r := h.mustSignIn(client, "ann@example.com")
	claims := h.claims(r.AccessToken)
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	h.keys.forget()
	ctx := wire.WithCall(t.Context(), &wire.Call{Region: testRegion})
	if _, err := h.Service.GetUser(ctx, &api.GetUserRequest{AccessToken: *r.AccessToken}); err == nil {
		t.Error("GetUser answers")
	}
	if h.TokenLive(ctx, claims) == nil {
		t.Error("the token is live")
	}
	if _, ok := h.KeysOf(h.issuer(pool)); ok {
		t.Error("there are keys")
	}
	if w, _ := h.post("school", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}, nil); w.Code < 500 {
		t.Errorf("the token endpoint answers %d", w.Code)
	}
	_, err := h.Service.InitiateAuth(ctx, &api.InitiateAuthRequest{AuthFlow: "REFRESH_TOKEN_AUTH", ClientId: client, AuthParameters: map[string]string{"REFRESH_TOKEN": *r.RefreshToken}})
	if err == nil {
		t.Error("a refresh succeeds")
	}
	h.advance(time.Second)
}
