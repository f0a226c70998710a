package userpool

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"moat/internal/store"
)

func invalidRequest(why string) *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_request", why}
}

func invalidClient(why string) *oauthError {
	return &oauthError{http.StatusBadRequest, "invalid_client", why}
}

// form reads a request's form. A parameter that comes twice is refused (RFC 6749
// section 3.2), and so is one in the query, where it would end up in logs.
func form(x *exchange) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("The body must be a form.")
	}
	x.r.Body = http.MaxBytesReader(x.w, x.r.Body, maxForm)
	if err := x.r.ParseForm(); err != nil {
		return nil, invalidRequest("The form cannot be read.")
	}
	for name, values := range x.r.PostForm {
		if len(values) > 1 {
			return nil, invalidRequest("The parameter " + name + " comes twice.")
		}
	}
	return x.r.PostForm, nil
}

// authenticate finds the client of a request and checks its secret, from the
// Authorization header or from the body, not from both (RFC 6749 section 2.3).
func (s *Service) authenticate(x *exchange, f url.Values) (Client, error) {
	id, secret := f.Get("client_id"), f.Get("client_secret")
	if header := x.r.Header.Get("Authorization"); header != "" {
		user, password, ok := x.r.BasicAuth()
		if !ok {
			return Client{}, invalidClient("The Authorization header is not Basic.")
		}
		name, err := url.QueryUnescape(user) // section 2.3.1: both are form-encoded
		if err != nil {
			return Client{}, invalidClient("The client id cannot be read.")
		}
		if password, err = url.QueryUnescape(password); err != nil {
			return Client{}, invalidClient("The client secret cannot be read.")
		}
		if secret != "" || (id != "" && id != name) {
			return Client{}, invalidRequest("The client identifies itself twice.")
		}
		id, secret = name, password
	}
	if id == "" {
		return Client{}, invalidRequest("client_id is missing.")
	}
	x.who = id
	var c Client
	err := s.db.View(x.r.Context(), func(tx *store.Tx) (err error) {
		c, err = s.lookClient(tx, x.pool.ID, id)
		return err
	})
	if is(err, notFound) {
		return c, invalidClient("The pool has no such client.")
	}
	if err != nil {
		return c, err
	}
	ok, err := s.checkSecret(&c, secret)
	if err == nil && !ok {
		err = invalidClient("The client secret is missing or wrong.")
	}
	return c, err
}

// serveToken is the token endpoint.
func (s *Service) serveToken(x *exchange) {
	reply, err := s.token(x)
	if err != nil {
		o := oauth(err)
		if o.status >= 500 {
			s.log.Error("the token endpoint failed", "pool", x.pool.ID, "error", err)
		}
		x.fail(o)
		return
	}
	x.reply(reply)
}

// tokenReply is RFC 6749 section 5.1 with the ID token of OpenID Connect.
type tokenReply struct {
	IDToken      string `json:"id_token,omitempty"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	ExpiresIn    int64  `json:"expires_in"`
	TokenType    string `json:"token_type"`
}

func (s *Service) token(x *exchange) (*tokenReply, error) {
	f, err := form(x)
	if err != nil {
		return nil, err
	}
	grant := f.Get("grant_type")
	if grant == "" {
		return nil, invalidRequest("grant_type is missing.")
	}
	c, err := s.authenticate(x, f)
	if err == nil {
		err = s.admitExchange(x, &c)
	}
	if err != nil {
		return nil, err
	}
	switch grant {
	case "client_credentials":
		return s.clientCredentials(x, &c, f.Get("scope"))
	case "refresh_token":
		text := f.Get("refresh_token")
		if text == "" {
			return nil, invalidRequest("refresh_token is missing.")
		}
		out, err := s.refresh(x.r.Context(), &x.pool, &c, text, occasion{client: c.ID}, nil)
		if err != nil {
			return nil, err
		}
		return &tokenReply{
			IDToken: deref(out.IdToken), AccessToken: deref(out.AccessToken), RefreshToken: deref(out.RefreshToken),
			ExpiresIn: int64(*out.ExpiresIn), TokenType: "Bearer",
		}, nil
	case "authorization_code":
		// No code is issued while there are no login pages, so none can be right.
		return nil, &oauthError{http.StatusBadRequest, "invalid_grant", "No authorization codes are issued yet."}
	}
	return nil, &oauthError{http.StatusBadRequest, "unsupported_grant_type", "The grant type is not known."}
}

// clientCredentials issues an access token to the client itself.
func (s *Service) clientCredentials(x *exchange, c *Client, asked string) (*tokenReply, error) {
	if !c.Settings.AllowedFlowsEnabled || !slices.Contains(c.Settings.AllowedFlows, "client_credentials") || len(c.Secrets) == 0 {
		return nil, &oauthError{http.StatusBadRequest, "unauthorized_client", "The client may not use the client_credentials grant."}
	}
	var scopes []string
	err := s.db.View(x.r.Context(), func(tx *store.Tx) (err error) {
		scopes, err = s.customScopes(tx, x.pool.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	granted, err := grantScopes(c.Settings.AllowedScopes, scopes, asked)
	if err != nil {
		return nil, err
	}
	keys, err := s.keys.of(x.r.Context(), x.pool.ID)
	if err != nil {
		return nil, err
	}
	jti, err := s.uuid()
	if err != nil {
		return nil, err
	}
	changes, err := s.preClientToken(x.r.Context(), &x.pool, granted, occasion{client: c.ID})
	if err != nil {
		return nil, err
	}
	now, life := s.time(), c.accessValidity()
	says := claims{
		{"sub", c.ID}, {"client_id", c.ID}, {"iss", s.issuer(x.pool.ID)}, {"token_use", "access"}, {"version", int64(2)},
		{"scope", strings.Join(granted, " ")}, {"jti", jti},
		{"auth_time", now.Unix()}, {"iat", now.Unix()}, {"exp", now.Add(life).Unix()},
	}
	changes.access.apply(&says, c.ID)
	access, err := sign(keys.signer, says)
	return &tokenReply{AccessToken: access, ExpiresIn: int64(life / time.Second), TokenType: "Bearer"}, err
}

// grantScopes gives what was asked for, or everything the client may have. A scope
// counts only while a resource server defines it.
func grantScopes(allowed, defined []string, asked string) ([]string, error) {
	var may []string
	for _, name := range allowed {
		if slices.Contains(defined, name) {
			may = append(may, name)
		}
	}
	want := may
	if asked != "" {
		want = strings.Fields(asked)
	}
	var out []string
	for _, name := range want {
		if !slices.Contains(may, name) {
			return nil, &oauthError{http.StatusBadRequest, "invalid_scope", "The client may not have the scope " + name + "."}
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return nil, &oauthError{http.StatusBadRequest, "invalid_scope", "There is no scope to grant."}
	}
	return out, nil
}

// serveRevoke is the revocation endpoint (RFC 7009).
func (s *Service) serveRevoke(x *exchange) {
	err := s.revocation(x)
	if err == nil {
		x.status = http.StatusOK
		x.w.WriteHeader(x.status)
		return
	}
	switch {
	case is(err, unsupportedTokenType):
		err = &oauthError{http.StatusBadRequest, "unsupported_token_type", err.Error()}
	case is(err, unsupportedOperation):
		err = invalidRequest(err.Error())
	}
	x.fail(oauth(err))
}

func (s *Service) revocation(x *exchange) error {
	f, err := form(x)
	if err != nil {
		return err
	}
	c, err := s.authenticate(x, f)
	if err != nil {
		return err
	}
	text := f.Get("token")
	if text == "" {
		return invalidRequest("token is missing.")
	}
	return s.revoke(x.r.Context(), &c, text)
}

// serveUserInfo answers with the claims of the token's user (OpenID Connect Core
// section 5.3). The token needs the scope openid, as on AWS.
func (s *Service) serveUserInfo(x *exchange) {
	reply, err := s.userInfo(x)
	if err == nil {
		x.reply(reply)
		return
	}
	o := oauth(err)
	if o.code == "insufficient_scope" || o.code == "invalid_token" {
		x.w.Header().Set("WWW-Authenticate", `Bearer error="`+o.code+`"`)
	}
	x.fail(o)
}

func (s *Service) userInfo(x *exchange) (map[string]any, error) {
	scheme, raw, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || raw == "" {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_token", "There is no bearer token."}
	}
	b, err := s.accessToken(x.r.Context(), raw)
	var f *fault
	if errors.As(err, &f) {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_token", f.text}
	}
	if err != nil {
		return nil, err
	}
	if b.pool.ID != x.pool.ID {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_token", "The token is of another pool."}
	}
	x.who = b.user.Name
	if !slices.Contains(strings.Fields(b.claims.String("scope")), "openid") {
		return nil, &oauthError{http.StatusForbidden, "insufficient_scope", "The token lacks the scope openid."}
	}
	out := map[string]any{"sub": b.user.Sub, "username": b.user.Name}
	for name, value := range b.user.Attributes {
		if b.client.mayRead(name) {
			out[name] = value
		}
	}
	return out, nil
}
