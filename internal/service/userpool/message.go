package userpool

import (
	"context"
	"html"
	"net/mail"
	"strings"
	"time"

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
	MessageRisk       = "RiskNotice" // of a sign-in that looked unusual; it has no code
)

// Media of a [Message].
const (
	MediumEmail = "EMAIL"
	MediumSMS   = "SMS"
)

// Message is a code or an invitation on its way to a person. Code, Link and Password
// are secrets: who receives a Message never logs it.
type Message struct {
	ID          string // the same at each attempt to deliver it
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
	ExpiresAt   time.Time
}

// Messenger delivers messages. Its methods may be called from many goroutines.
type Messenger interface {
	// Carries says whether messages of the medium can be delivered at all.
	Carries(medium string) bool
	// SendCode makes one attempt, and returns when it is over; ctx bounds it. An error
	// that wraps [ErrUndeliverable] is final, after any other the message comes again.
	// No error holds anything of the message.
	SendCode(ctx context.Context, m Message) error
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
		m.From, m.ReplyTo = sender(e), deref(e.ReplyToEmailAddress)
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

// sender is who a pool's mails come from; "" leaves it to the installation. Without
// From, it is the address that the pool's SES identity is for.
func sender(e *api.EmailConfigurationType) string {
	if from := deref(e.From); from != "" {
		return from
	}
	_, identity, _ := strings.Cut(deref(e.SourceArn), ":identity/")
	if strings.Contains(identity, "@") {
		return identity
	}
	return ""
}

// checkEmail refuses senders that no mail could bear.
func checkEmail(e *api.EmailConfigurationType) error {
	if e == nil {
		return nil
	}
	for _, address := range []string{sender(e), deref(e.ReplyToEmailAddress)} {
		if address == "" {
			continue
		}
		if _, err := mail.ParseAddress(address); err != nil {
			return refuse(invalidParameter, "Invalid email address: "+address)
		}
	}
	return nil
}
