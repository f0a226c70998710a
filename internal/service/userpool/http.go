package userpool

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
)

// maxForm bounds the body of a request to the OAuth endpoints.
const maxForm = 64 << 10

// cors lets any page read an answer. Nothing here relies on cookies, so that gives
// a page no more than its server could fetch.
func cors(w http.ResponseWriter) { w.Header().Set("Access-Control-Allow-Origin", "*") }

// preflight answers an OPTIONS request.
func preflight(w http.ResponseWriter, methods string) {
	h := w.Header()
	cors(w)
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Amz-Date, X-Amz-Security-Token, X-Amz-User-Agent, X-Api-Key")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	writeRaw(w, status, raw)
}

func writeRaw(w http.ResponseWriter, status int, raw []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // the client may be gone
}

// ServePool answers below a pool's issuer. rest is the path behind the pool's id:
// the two documents under .well-known, nothing else.
func (s *Service) ServePool(w http.ResponseWriter, r *http.Request, poolID, rest string) {
	rest = "/" + strings.TrimLeft(rest, "/")
	switch {
	case rest != "/.well-known/jwks.json" && rest != "/.well-known/openid-configuration":
		writeJSON(w, http.StatusNotFound, map[string]string{"message": "Not found"})
		return
	case r.Method == http.MethodOptions:
		preflight(w, "GET, HEAD, OPTIONS")
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		writeJSON(w, http.StatusMethodNotAllowed, map[string]string{"message": "Method not allowed"})
		return
	}
	cors(w)
	if !isPoolID(poolID) {
		writeJSON(w, http.StatusNotFound, map[string]string{"message": noPool("")})
		return
	}
	keys, err := s.keys.of(r.Context(), poolID)
	if is(err, notFound) {
		writeJSON(w, http.StatusNotFound, map[string]string{"message": err.Error()})
		return
	}
	if err != nil {
		s.log.Error("reading the keys of a user pool", "pool", poolID, "error", err)
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"message": "The keys cannot be read now."})
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	if rest == "/.well-known/jwks.json" {
		writeRaw(w, http.StatusOK, keys.jwks)
		return
	}
	s.serveConfiguration(w, r, poolID, keys)
}

// serveConfiguration answers with the OpenID Provider metadata (OpenID Connect
// Discovery section 3). A pool without a domain has no OAuth endpoints to name.
func (s *Service) serveConfiguration(w http.ResponseWriter, r *http.Request, poolID string, keys *poolKeys) {
	var p Pool
	if err := s.db.View(r.Context(), func(tx *store.Tx) (err error) { p, err = s.pool(tx, poolID); return err }); err != nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"message": "The pool cannot be read now."})
		return
	}
	issuer := s.issuer(poolID)
	doc := map[string]any{
		"issuer": issuer, "jwks_uri": issuer + "/.well-known/jwks.json",
		"id_token_signing_alg_values_supported": keys.algorithms,
		"response_types_supported":              []string{"code", "token"},
		"scopes_supported":                      []string{"openid", "email", "phone", "profile"},
		"subject_types_supported":               []string{"public"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	}
	if p.Domain != "" {
		base := s.domainURL(p.Domain)
		doc["authorization_endpoint"] = base + "/oauth2/authorize"
		doc["token_endpoint"] = base + "/oauth2/token"
		doc["userinfo_endpoint"] = base + "/oauth2/userInfo"
		doc["revocation_endpoint"] = base + "/oauth2/revoke"
		doc["end_session_endpoint"] = base + "/logout"
	}
	writeJSON(w, http.StatusOK, doc)
}

// domainURL is where a prefix domain is served.
func (s *Service) domainURL(domain string) string { return s.baseURL + "/_auth/" + domain }

// exchange is one request to the OAuth endpoints, as its record tells of it.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	pool   Pool
	status int
	who    string
	err    *oauthError
}

// ServeDomain answers the OAuth endpoints of the pool that has the domain. path is
// what follows the domain.
func (s *Service) ServeDomain(w http.ResponseWriter, r *http.Request, domain, path string) {
	started := s.now()
	x := &exchange{w: w, r: r}
	path = "/" + strings.TrimLeft(path, "/")
	id, err := s.uuid()
	if err != nil {
		s.log.Error("no randomness for a request id", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("X-Amzn-RequestId", id)
	s.serveOAuth(x, domain, path)
	rec := wire.Record{
		Time: started, RequestID: id, Kind: wire.KindOAuth, Method: r.Method, Path: r.URL.EscapedPath(), Service: "cognito-idp",
		Operation: path, Account: x.pool.Account, Region: x.pool.Region, Host: r.Host, UserAgent: r.UserAgent(),
		Who: x.who, Status: x.status, Step: "encode", Latency: s.now().Sub(started),
	}
	rec.SourceIP, _, _ = net.SplitHostPort(r.RemoteAddr)
	if x.err != nil {
		rec.Step, rec.ErrorCode, rec.Grounds = "grant", x.err.code, x.err.description
	}
	s.record(rec)
}

func (s *Service) serveOAuth(x *exchange, domain, path string) {
	handlers := map[string]struct {
		methods string
		serve   func(*exchange)
	}{
		"/oauth2/token":    {"POST, OPTIONS", s.serveToken},
		"/oauth2/revoke":   {"POST, OPTIONS", s.serveRevoke},
		"/oauth2/userInfo": {"GET, POST, OPTIONS", s.serveUserInfo},
	}
	var poolID string
	err := s.db.View(x.r.Context(), func(tx *store.Tx) error {
		d, err := s.tables.domains.Look(tx, strings.ToLower(domain))
		if err != nil {
			return missing(err, notFound, "There is no such domain.")
		}
		poolID = d.Pool
		x.pool, err = s.lookPool(tx, poolID)
		return err
	})
	if err != nil {
		if !is(err, notFound) {
			s.log.Error("reading a domain", "error", err)
			x.fail(&oauthError{http.StatusServiceUnavailable, "temporarily_unavailable", ""})
			return
		}
		x.fail(&oauthError{http.StatusNotFound, "not_found", err.Error()})
		return
	}
	h, ok := handlers[path]
	switch {
	case !ok:
		s.servePage(x, path)
	case x.r.Method == http.MethodOptions:
		x.status = http.StatusNoContent
		preflight(x.w, h.methods)
	case !strings.Contains(h.methods, x.r.Method):
		x.w.Header().Set("Allow", h.methods)
		x.fail(&oauthError{http.StatusMethodNotAllowed, "invalid_request", "The method is not allowed here."})
	default:
		cors(x.w)
		h.serve(x)
	}
}

// servePage answers where login pages would be: they are not there yet, and say so.
func (s *Service) servePage(x *exchange, path string) {
	switch path {
	case "/confirmUser", "/confirmUser/":
		s.serveConfirmUser(x)
		return
	case "/login", "/signup", "/forgotPassword", "/oauth2/authorize", "/oauth2/idpresponse", "/logout", "/saml2/idpresponse", "/saml2/logout":
		x.status = http.StatusNotImplemented
		x.err = &oauthError{x.status, "not_implemented", "login pages are not available yet"}
		h := x.w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		x.w.WriteHeader(x.status)
		_, _ = x.w.Write([]byte("<!doctype html><html lang=\"en\"><title>Not implemented</title><h1>Not implemented</h1><p>Moat has no login pages yet. Sign in through the API (InitiateAuth), or get a client's token from oauth2/token.</p></html>\n")) // the client may be gone
		return
	}
	x.fail(&oauthError{http.StatusNotFound, "not_found", "There is nothing at this address."})
}

// reply answers with JSON that must not be kept.
func (x *exchange) reply(v any) {
	x.status = http.StatusOK
	h := x.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	writeJSON(x.w, x.status, v)
}

// fail answers with an error of RFC 6749 section 5.2: the code alone, as Cognito
// does. The reason stands in the record, for operators.
func (x *exchange) fail(e *oauthError) {
	x.status, x.err = e.status, e
	x.w.Header().Set("Cache-Control", "no-store")
	writeJSON(x.w, e.status, map[string]string{"error": e.code})
}
