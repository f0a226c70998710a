package userpool

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

func byLink(in *api.CreateUserPoolRequest) {
	in.VerificationMessageTemplate = &api.VerificationMessageTemplateType{
		DefaultEmailOption: "CONFIRM_WITH_LINK", EmailMessageByLink: wire.String("Dear {username}, {##prove it##}!"), EmailSubjectByLink: wire.String("Prove it"),
	}
}

// follow requests the link of a mail, below whatever domain.
func (h *house) follow(method, domain, link string, change func(*http.Request)) *httptest.ResponseRecorder {
	h.t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		h.t.Fatal(err)
	}
	_, path, _ := strings.Cut(strings.TrimPrefix(u.Path, "/_auth/"), "/")
	r := httptest.NewRequest(method, "/"+path+"?"+u.RawQuery, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeDomain(w, r, domain, "/"+path)
	return w
}

func TestService_confirmByLink(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(byLink)
	client := h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.GenerateSecret = wire.Bool(true) })
	signUp := func(name string) error {
		in := signUpRequest(*client.ClientId, name, goodPass)
		in.SecretHash = wire.String(secretHash(*client.ClientSecret, name, *client.ClientId))
		_, err := h.c.SignUp(ctx, in)
		return err
	}
	want(t, signUp("ann@example.com"), "InvalidParameterException", "Cannot perform specific action because there does not exist a valid use pool domain associated with the user pool")
	must[*api.CreateUserPoolDomainResponse](t)(h.c.CreateUserPoolDomain(ctx, &api.CreateUserPoolDomainRequest{UserPoolId: pool, Domain: "school"}))
	other := h.newPoolID(nil)
	must[*api.CreateUserPoolDomainResponse](t)(h.c.CreateUserPoolDomain(ctx, &api.CreateUserPoolDomainRequest{UserPoolId: other, Domain: "other"}))
	if err := signUp("ann@example.com"); err != nil {
		t.Fatal(err)
	}
	m := h.box.last(t)
	status := func() api.UserStatusType {
		t.Helper()
		return must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(ctx, &api.AdminGetUserRequest{UserPoolId: pool, Username: "ann@example.com"})).UserStatus
	}
	if m.Subject != "Prove it" || !strings.HasPrefix(m.Link, "http://localhost:4566/_auth/school/confirmUser?") || !strings.Contains(m.Body, `<a href="`+html.EscapeString(m.Link)+`">prove it</a>!`) {
		t.Fatalf("got %+v", m)
	}
	q, _ := url.Parse(m.Link)
	if v := q.Query(); v.Get("client_id") != *client.ClientId || v.Get("confirmation_code") != m.Code || v.Get("user_name") != m.Username {
		t.Errorf("got parameters %v", v)
	}
	wrong := strings.Replace(m.Link, "confirmation_code="+m.Code, "confirmation_code=000000", 1)
	for name, tt := range map[string]struct {
		method, domain, link string
		status               int
	}{
		"looked at only":      {"HEAD", "school", m.Link, 200},
		"posted":              {"POST", "school", m.Link, 405},
		"of another pool":     {"GET", "other", m.Link, 400},
		"wrong code":          {"GET", "school", wrong, 400},
		"no code":             {"GET", "school", strings.Replace(m.Link, "confirmation_code", "x", 1), 400},
		"two codes":           {"GET", "school", wrong + "&confirmation_code=" + m.Code, 400},
		"somebody else":       {"GET", "school", strings.Replace(m.Link, "user_name=", "user_name=x", 1), 400},
		"of no client":        {"GET", "school", strings.Replace(m.Link, "client_id=", "client_id=x", 1), 400},
		"of nobody's domains": {"GET", "none", m.Link, 404},
	} {
		if w := h.follow(tt.method, tt.domain, tt.link, nil); w.Code != tt.status {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.status)
		}
		if s := status(); s != "UNCONFIRMED" {
			t.Fatalf("%s: the user is %s", name, s)
		}
	}
	if w := h.follow("GET", "school", m.Link, nil); w.Code != 200 || status() != "CONFIRMED" || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the link: %d %s", w.Code, w.Body)
	}
	if w := h.follow("GET", "school", m.Link, nil); w.Code != 400 {
		t.Errorf("the link works twice: %d", w.Code)
	}
}

// What a request says of the host it came to reaches no mail.
func TestService_confirmByLink_resent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(byLink)
	client := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.PreventUserExistenceErrors = "ENABLED" }).ClientId
	resend := func(name string) error {
		_, err := h.c.ResendConfirmationCode(ctx, &api.ResendConfirmationCodeRequest{ClientId: client, Username: name})
		return err
	}
	want(t, resend("nobody@example.com"), "InvalidParameterException", "") // the same for all: it tells nothing
	must[*api.CreateUserPoolDomainResponse](t)(h.c.CreateUserPoolDomain(ctx, &api.CreateUserPoolDomainRequest{UserPoolId: pool, Domain: "school"}))
	must[*api.SignUpResponse](t)(h.c.SignUp(ctx, signUpRequest(client, "ann@example.com", goodPass)))
	first := h.box.last(t).Link
	if err := resend("ann@example.com"); err != nil {
		t.Fatal(err)
	}
	second := h.box.last(t).Link
	evil := func(r *http.Request) {
		r.Host = "evil.example"
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("Forwarded", "host=evil.example")
	}
	if first != second {
		if w := h.follow("GET", "school", first, evil); w.Code != 400 {
			t.Errorf("a replaced link works: %d", w.Code)
		}
	}
	h.advance(25 * time.Hour)
	if w := h.follow("GET", "school", second, evil); w.Code != 400 || strings.Contains(w.Body.String(), "evil") {
		t.Errorf("an old link works: %d %s", w.Code, w.Body)
	}
	if err := resend("ann@example.com"); err != nil {
		t.Fatal(err)
	}
	m := h.box.last(t)
	if !strings.HasPrefix(m.Link, "http://localhost:4566/") {
		t.Errorf("got link %s", m.Link)
	}
	if w := h.follow("GET", "school", m.Link, evil); w.Code != 200 {
		t.Errorf("a new link: %d", w.Code)
	}
}

// A function that words the mail may put the link where it wants.
func TestService_confirmByLink_customMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	arn := h.function("words", func(ev map[string]any) (any, error) {
		place := ev["request"].(map[string]any)["linkParameter"].(string)
		return map[string]any{"emailMessage": "Go " + place, "emailSubject": "Hello"}, nil
	})
	pool := h.newPoolID(func(in *api.CreateUserPoolRequest) {
		byLink(in)
		in.LambdaConfig = &api.LambdaConfigType{CustomMessage: arn}
	})
	client := *h.newClient(pool, nil).ClientId
	must[*api.CreateUserPoolDomainResponse](t)(h.c.CreateUserPoolDomain(ctx, &api.CreateUserPoolDomainRequest{UserPoolId: pool, Domain: "school"}))
	must[*api.SignUpResponse](t)(h.c.SignUp(ctx, signUpRequest(client, "ann@example.com", goodPass)))
	m := h.box.last(t)
	if m.Body != `Go <a href="`+html.EscapeString(m.Link)+`">Click Here</a>` || m.Subject != "Hello" {
		t.Errorf("got %+v", m)
	}
}
