package userpool

import (
	"context"
	"errors"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// linkShape is the place of a link in a template: {##Verify your address##}.
var linkShape = lazyregexp.New(`\{##([^{}#]*)##\}`)

// confirmsByLink says whether mails to confirm a sign-up carry a link instead of a code.
func (p *Pool) confirmsByLink() bool {
	t := p.Settings.Template
	return t != nil && t.DefaultEmailOption == api.DefaultEmailOptionTypeCONFIRM_WITH_LINK
}

// linkable refuses to send a link that would lead nowhere. It depends on the pool alone,
// so that a refusal tells nothing about anybody.
func (p *Pool) linkable() error {
	if p.confirmsByLink() && slices.Contains(p.Settings.AutoVerified, loginEmail) && p.Domain == "" {
		// AWS's sentence, its slip of the pen included.
		return refuse(invalidParameter, "Cannot perform specific action because there does not exist a valid use pool domain associated with the user pool")
	}
	return nil
}

// confirmationMessage words the message that confirms a sign-up: with a code, or in an
// e-mail with a link where the pool wants that.
func (s *Service) confirmationMessage(p *Pool, u *User, clientID, kind string, to contact, code string) Message {
	m := codeMessage(p, u, kind, to.medium, to.destination, code)
	if to.medium != MediumEmail || !p.confirmsByLink() {
		return m
	}
	t := p.Settings.Template
	m.Link = s.confirmationLink(p, u, clientID, code)
	m.Subject = first(t.EmailSubjectByLink, p.Settings.EmailVerificationSubject, "Your verification link")
	m.Body = fillLink(first(t.EmailMessageByLink, nil, "Please follow the link to verify your email address. {##Verify Email##}"), m.Link)
	m.Body = fill(to.medium, m.Body, u.Name, code)
	return m
}

// confirmationLink is an address below the pool's domain, under the configured base URL:
// nothing that a request brings can turn it elsewhere. Its parameters are AWS's
// (Cognito developer guide, "Customizing email verification messages").
func (s *Service) confirmationLink(p *Pool, u *User, clientID, code string) string {
	q := url.Values{"client_id": {clientID}, "user_name": {u.Name}, "confirmation_code": {code}}
	return s.domainURL(p.Domain) + "/confirmUser?" + q.Encode()
}

// fillLink puts a link into an HTML template. What stands between the marks is the
// template's own HTML.
func fillLink(body, link string) string {
	return linkShape.ReplaceAllStringFunc(body, func(place string) string {
		label := strings.TrimSuffix(strings.TrimPrefix(place, "{##"), "##}")
		return `<a href="` + html.EscapeString(link) + `">` + label + `</a>`
	})
}

// serveConfirmUser answers at the end of a confirmation link. As on AWS, following it
// confirms; a HEAD request, which only looks, does not.
func (s *Service) serveConfirmUser(x *exchange) {
	q := x.r.URL.Query()
	one := func(name string) string {
		if v := q[name]; len(v) == 1 {
			return v[0]
		}
		return ""
	}
	switch x.r.Method {
	case http.MethodGet:
	case http.MethodHead:
		x.page(http.StatusOK, "Confirmation", "Follow the link to confirm your account.")
		return
	default:
		x.w.Header().Set("Allow", "GET, HEAD")
		x.fail(&oauthError{http.StatusMethodNotAllowed, "invalid_request", "The method is not allowed here."})
		return
	}
	err := s.confirmByLink(x.r.Context(), &x.pool, one("client_id"), one("user_name"), one("confirmation_code"))
	var f *fault
	switch {
	case err == nil:
		x.page(http.StatusOK, "Confirmed", "Your registration has been confirmed.")
	case errors.As(err, &f): // one page for every reason: it must not tell who exists
		x.err = &oauthError{http.StatusBadRequest, "invalid_request", f.text}
		x.page(http.StatusBadRequest, "Not confirmed", "This link is wrong, was used already or has expired. Ask for a new one.")
	default:
		s.log.Error("confirming a user by link", "pool", x.pool.ID, "error", err)
		x.err = &oauthError{http.StatusInternalServerError, "server_error", ""}
		x.page(http.StatusInternalServerError, "Not confirmed", "Something went wrong here. Try again later.")
	}
}

// confirmByLink is ConfirmSignUp for who comes by the link. The code is the proof: a
// client's secret is not asked for, since no client is there.
func (s *Service) confirmByLink(ctx context.Context, pool *Pool, clientID, name, given string) error {
	var verdict error
	var p Pool
	var u User
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		c, err := s.clientOf(tx, pool.ID, clientID)
		if err != nil {
			return err
		}
		if p, err = s.pool(tx, c.Pool); err != nil {
			return err
		}
		u, err = s.findUser(tx, &p, name)
		if errors.Is(err, store.ErrNotFound) || (err == nil && u.Status != string(api.UserStatusTypeUNCONFIRMED)) {
			return errCodeExpired()
		}
		if err != nil {
			return err
		}
		var code Code
		if code, verdict, err = s.redeem(tx, p.ID, u.Key, purposeSignUp, given); err != nil || verdict != nil {
			return err
		}
		u.Status = string(api.UserStatusTypeCONFIRMED)
		code.prove(&u)
		return s.putUser(tx, &p, &u, false)
	})
	if err = decided(err, verdict); err != nil {
		return err
	}
	return s.postConfirmation(ctx, &p, &u, "ConfirmSignUp", occasion{client: clientID})
}

// page answers with a small page of fixed text that runs nothing and may not be framed.
func (x *exchange) page(status int, title, text string) {
	x.status = status
	h := x.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the address holds a code
	h.Set("Cache-Control", "no-store")
	x.w.WriteHeader(status)
	_, _ = x.w.Write([]byte("<!doctype html><html lang=\"en\"><title>" + html.EscapeString(title) + "</title><h1>" + html.EscapeString(title) + "</h1><p>" + html.EscapeString(text) + "</p></html>\n")) // the client may be gone
}
