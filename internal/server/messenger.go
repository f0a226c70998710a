package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/url"
	"time"

	"moat/internal/service/userpool"
)

// newMessenger chooses how codes reach people: the outbox in `moat dev`, SMTP where it is
// configured, else nobody can be reached and a flow that must send says so.
func newMessenger(cfg *Config, box *outbox) (userpool.Messenger, error) {
	if cfg.Dev {
		return outboxMessenger{box}, nil
	}
	if cfg.SMTP == "" {
		return noMessenger{}, nil
	}
	u, err := url.Parse(cfg.SMTP)
	if err != nil || u.Scheme != "smtp" || u.Port() == "" {
		return nil, errors.New("--smtp is not of the form smtp://user:password@host:port")
	}
	from := cfg.MailFrom
	if from == "" {
		from = "no-reply@" + hostOnly(cfg.Domain)
	}
	return &smtpMessenger{server: u, from: from, now: cfg.Now}, nil
}

type outboxMessenger struct{ box *outbox }

func (m outboxMessenger) Carries(string) bool { return true }

func (m outboxMessenger) SendCode(ctx context.Context, msg userpool.Message) error {
	return m.box.keep(ctx, Message{
		Medium: msg.Medium, To: msg.Destination, Pool: msg.PoolID, User: msg.Username, Trigger: msg.Kind, Code: msg.Code, Password: msg.Password, Text: msg.Body,
	})
}

// noMessenger refuses: a code that nobody can receive must not look sent.
type noMessenger struct{}

func (noMessenger) Carries(string) bool { return false }

func (noMessenger) SendCode(context.Context, userpool.Message) error {
	return fmt.Errorf("%w: no mail server is configured; give one with --smtp", userpool.ErrUndeliverable)
}

// smtpMessenger sends mails by SMTP with STARTTLS where the server has it (RFC 5321, RFC 3207).
type smtpMessenger struct {
	server *url.URL
	from   string
	now    func() time.Time
}

func (m *smtpMessenger) Carries(medium string) bool { return medium == userpool.MediumEmail }

func (m *smtpMessenger) SendCode(_ context.Context, msg userpool.Message) error {
	if msg.Medium != userpool.MediumEmail {
		return fmt.Errorf("%w: no sender of text messages is configured", userpool.ErrUndeliverable)
	}
	from := m.from
	if msg.From != "" {
		from = msg.From
	}
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return fmt.Errorf("the sender %q is not an address: %w", from, err)
	}
	to, err := mail.ParseAddress(msg.Destination)
	if err != nil {
		return fmt.Errorf("the recipient is not an address: %w", err)
	}
	var auth smtp.Auth
	if password, ok := m.server.User.Password(); ok {
		auth = smtp.PlainAuth("", m.server.User.Username(), password, m.server.Hostname())
	}
	body, err := m.compose(sender, to, msg)
	if err != nil {
		return err
	}
	return m.deliver(auth, sender.Address, to.Address, body)
}

// mailTimeout bounds one delivery; [smtp.SendMail] itself would wait for ever.
const mailTimeout = 30 * time.Second

func (m *smtpMessenger) deliver(auth smtp.Auth, from, to string, body []byte) error {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(m.server.Hostname(), m.server.Port()), mailTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(mailTimeout)); err != nil {
		return err
	}
	c, err := smtp.NewClient(conn, m.server.Hostname())
	if err != nil {
		return err
	}
	if ok, _ := c.Extension("STARTTLS"); ok {
		if err := c.StartTLS(&tls.Config{ServerName: m.server.Hostname(), MinVersion: tls.VersionTLS12}); err != nil {
			return err
		}
	}
	if auth != nil { // it refuses to send a password in the clear to another machine
		if err := c.Auth(auth); err != nil {
			return err
		}
	}
	if err := c.Mail(from); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// compose writes the mail (RFC 5322). Addresses come from the parser, the subject is encoded:
// nothing a user wrote can add a header.
func (m *smtpMessenger) compose(from, to *mail.Address, msg userpool.Message) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\n", from, to, encodedWord(msg.Subject), m.now().Format(time.RFC1123Z))
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(msg.Body)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// encodedWord is text as a header may carry it (RFC 2047).
func encodedWord(s string) string { return mime.QEncoding.Encode("utf-8", s) }
