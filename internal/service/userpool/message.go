package userpool

import (
	"context"
	"html"
	"strings"

	api "moat/internal/wire/cognitoidpapi"
)

// Kinds of [Message], named after the occasion.
const (
	MessageSignUp     = "SignUp"
	MessageResend     = "ResendCode"
	MessageRecovery   = "ForgotPassword"
	MessageAttribute  = "VerifyUserAttribute"
	MessageInvitation = "AdminCreateUser"
	MessageSignIn     = "Authentication"
	MessageUpdate     = "UpdateUserAttribute"
)

// Media of a [Message].
const (
	MediumEmail = "EMAIL"
	MediumSMS   = "SMS"
)

// Message is a code or an invitation on its way to a person. Code, Link and Password
// are secrets: who receives a Message never logs it.
type Message struct {
	Kind        string
	PoolID      string
	PoolName    string
	Username    string
	Medium      string // EMAIL or SMS
	Destination string // address or number
	From        string // as the pool wants it; may be empty
	ReplyTo     string
	Subject     string // of an e-mail
	Body        string // text of an SMS, HTML of an e-mail
	Code        string
	Link        string // that confirms a sign-up, in place of the code; it holds the code
	Password    string // temporary password of an invitation
}

// Messenger delivers messages. SendCode is called after the commit that it tells
// of, and may be called from many goroutines. It should hand the message to a queue
// and return: while it runs, the one who asked waits, and a wait tells a stranger
// that there was somebody to send to.
type Messenger interface {
	SendCode(ctx context.Context, m Message) error
}

// post words a message as the pool's function wants it, and delivers it.
func (s *Service) post(ctx context.Context, p *Pool, u *User, m Message, on occasion) error {
	if err := s.customise(ctx, p, u, &m, on); err != nil {
		s.log.Warn("a message was not sent", "kind", m.Kind, "pool", m.PoolID, "medium", m.Medium, "error", err)
		return err
	}
	return s.send(ctx, m)
}

// send delivers m. In flows that a stranger can start the result only reaches the
// log: an answer that depends on delivery would tell who has an account.
func (s *Service) send(ctx context.Context, m Message) error {
	if s.messenger == nil {
		s.log.Warn("no messenger is configured: a message was not sent", "kind", m.Kind, "pool", m.PoolID, "medium", m.Medium)
		return nil
	}
	if err := s.messenger.SendCode(ctx, m); err != nil {
		s.log.Error("a message was not sent", "kind", m.Kind, "pool", m.PoolID, "medium", m.Medium, "error", err)
		return refuse(codeDeliveryFailed, "Failed to send the message.")
	}
	return nil
}

// codeMessage words a message with a code by the pool's templates.
func codeMessage(p *Pool, u *User, kind, medium, destination, code string) Message {
	m := newMessage(p, u, kind, medium, destination)
	m.Code = code
	t := p.Settings.Template
	if t == nil {
		t = &api.VerificationMessageTemplateType{}
	}
	var body string
	if medium == MediumSMS {
		body = first(t.SmsMessage, p.Settings.SmsVerificationMessage, "Your verification code is {####}")
	} else {
		m.Subject = first(t.EmailSubject, p.Settings.EmailVerificationSubject, "Your verification code")
		body = first(t.EmailMessage, p.Settings.EmailVerificationMessage, "Your verification code is {####}")
	}
	m.Body = fill(medium, body, u.Name, code)
	return m
}

// invitation words the message to a user whom an administrator created.
func invitation(p *Pool, u *User, medium, destination, password string) Message {
	m := newMessage(p, u, MessageInvitation, medium, destination)
	m.Password = password
	t := p.Settings.AdminCreateUser.InviteMessageTemplate
	if t == nil {
		t = &api.MessageTemplateType{}
	}
	name := destination
	if len(p.UsernameAttributes) == 0 {
		name = u.Name
	}
	var body string
	if medium == MediumSMS {
		body = first(t.SMSMessage, nil, "Your username is {username} and temporary password is {####}")
	} else {
		m.Subject = first(t.EmailSubject, nil, "Your temporary password")
		body = first(t.EmailMessage, nil, "Your username is {username} and temporary password is {####}")
	}
	m.Body = fill(medium, body, name, password)
	return m
}

func newMessage(p *Pool, u *User, kind, medium, destination string) Message {
	m := Message{Kind: kind, PoolID: p.ID, PoolName: p.Name, Username: u.Name, Medium: medium, Destination: destination}
	if e := p.Settings.Email; e != nil && medium == MediumEmail {
		m.From, m.ReplyTo = deref(e.From), deref(e.ReplyToEmailAddress)
	}
	return m
}

// fill puts the values into a template; in an e-mail, which is HTML, escaped: a
// username is whatever somebody typed into a form.
func fill(medium, body, username, code string) string {
	if medium == MediumEmail {
		username, code = html.EscapeString(username), html.EscapeString(code)
	}
	return strings.NewReplacer("{username}", username, "{####}", code).Replace(body)
}

func first(a, b *string, otherwise string) string {
	for _, p := range []*string{a, b} {
		if p != nil && *p != "" {
			return *p
		}
	}
	return otherwise
}

func deref(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// mask shows just enough of an address for its owner to recognise it.
func mask(destination string) string {
	if name, host, ok := strings.Cut(destination, "@"); ok {
		return firstRune(name) + "***@" + firstRune(host) + "***"
	}
	if len(destination) > 4 {
		return "+" + strings.Repeat("*", len(destination)-5) + destination[len(destination)-4:]
	}
	return "***"
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
