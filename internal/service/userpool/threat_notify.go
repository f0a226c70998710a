package userpool

import (
	"context"
	"html"
	"strings"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// notifyRisk tells a user of a sign-in that looked unusual, as the configuration words
// it. It is a letter like any other: one that cannot be sent fails no sign-in. It goes
// to a proven address only.
func (s *Service) notifyRisk(ctx context.Context, st *step, out *concluded) {
	n := st.threat.config.Takeover.NotifyConfiguration
	u := &out.user
	if n == nil || !u.reaches(loginEmail) {
		return
	}
	template := n.NoActionEmail
	switch out.action {
	case api.AccountTakeoverEventActionTypeBLOCK:
		template = n.BlockEmail
	case api.AccountTakeoverEventActionTypeMFA_IF_CONFIGURED, api.AccountTakeoverEventActionTypeMFA_REQUIRED:
		template = n.MfaEmail
	}
	if template == nil {
		template = &api.NotifyEmailType{}
	}
	m := newMessage(&st.pool, u, MessageRisk, MediumEmail, u.Attributes[loginEmail])
	m.From, m.ReplyTo = first(n.From, &m.From, ""), first(n.ReplyTo, &m.ReplyTo, "")
	m.Subject = first(&template.Subject, nil, "A sign-in to your account looked unusual")
	m.ExpiresAt = s.time().Add(feedbackLife)
	body := deref(template.HtmlBody)
	if body == "" && deref(template.TextBody) != "" {
		body = "<pre>" + html.EscapeString(deref(template.TextBody)) + "</pre>"
	}
	if body == "" {
		body = "A sign-in as {username} from {ip-address} with {device-name} at {login-time} looked unusual. If it was not you, change your password."
	}
	token, err := s.sealJSON(sealFeedback, feedbackToken{Pool: u.Pool, User: u.Key, Event: out.event.ID, ExpiresAt: m.ExpiresAt})
	if err != nil {
		s.log.Error("a notice of an unusual sign-in was not written", "pool", u.Pool, "error", err)
		return
	}
	m.Body = fillNotice(body, u, &out.event, token)
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		return s.putLetter(tx, u.Key, letterText{Message: m, Worded: true}, false)
	})
	if err != nil {
		s.log.Error("a notice of an unusual sign-in was not stored", "pool", u.Pool, "error", err)
		return
	}
	s.posted(ctx, &st.pool, u.Key, m.purpose())
}

// fillNotice puts the facts into a template (Cognito API reference, NotifyEmailType).
// Where an address lies is not known. {feedback-token} and {event-id} are ours: with
// them an app can offer what the one-click links do on AWS, for which there is no page.
func fillNotice(body string, u *User, e *AuthEvent, token string) string {
	const unknown = "unknown"
	or := func(s string) string {
		if s == "" {
			return unknown
		}
		return html.EscapeString(s)
	}
	return strings.NewReplacer(
		"{username}", html.EscapeString(u.Name), "{ip-address}", or(e.Address), "{device-name}", or(e.Agent), "{city}", unknown, "{country}", unknown,
		"{login-time}", e.At.Format("2006-01-02 15:04:05 UTC"), "{one-click-link-valid}", "", "{one-click-link-invalid}", "",
		"{feedback-token}", html.EscapeString(token), "{event-id}", e.ID,
	).Replace(body)
}
