package server

import (
	"context"
	"errors"
	"fmt"

	"moat/internal/courier"
	"moat/internal/service/userpool"
)

// newMessenger chooses how messages reach people: the outbox in `moat dev`; else SMTP and
// the webhook as far as they are configured. A medium without either reaches nobody, and
// a flow that must send by it says so.
func newMessenger(cfg *Config, box *outbox) (userpool.Messenger, error) {
	if cfg.Dev {
		return outboxMessenger{box, cfg.Message}, nil
	}
	m := &messenger{}
	var err error
	if cfg.SMTP != "" {
		from := cfg.MailFrom
		if from == "" {
			from = "no-reply@" + hostOnly(cfg.Domain)
		}
		m.mail, err = courier.NewSMTP(courier.SMTPConfig{URL: cfg.SMTP, From: from, Hello: hostOnly(cfg.Domain), Now: cfg.Now})
	} else if cfg.MailFrom != "" {
		err = errors.New("--mail-from names a sender, and no mail server is given; name one with --smtp")
	}
	if err == nil && cfg.SMSWebhook != "" {
		m.text, err = courier.NewWebhook(courier.WebhookConfig{
			URL: cfg.SMSWebhook, Secret: cfg.SMSWebhookSecret, Private: cfg.AllowPrivateTargets, Now: cfg.Now,
		})
	} else if err == nil && cfg.SMSWebhookSecret != "" {
		err = errors.New("--sms-webhook-secret is given, and no webhook; name one with --sms-webhook")
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// outboxMessenger keeps messages instead of sending them.
type outboxMessenger struct {
	box  *outbox
	tell func(Message) // may be nil
}

func (m outboxMessenger) Carries(string) bool { return true }

func (m outboxMessenger) SendCode(ctx context.Context, msg userpool.Message) error {
	kept, err := m.box.keep(ctx, Message{
		Medium: msg.Medium, To: msg.Destination, From: msg.From, ReplyTo: msg.ReplyTo, Pool: msg.PoolID, User: msg.Username, Trigger: msg.Kind,
		Subject: msg.Subject, Text: msg.Body, Code: msg.Code, Link: msg.Link, Password: msg.Password, ExpiresAt: msg.ExpiresAt,
	})
	if err == nil && m.tell != nil {
		m.tell(kept)
	}
	return err
}

// messenger sends for real. Either part may be missing.
type messenger struct {
	mail *courier.SMTP
	text *courier.Webhook
}

func (m *messenger) Carries(medium string) bool {
	if medium == userpool.MediumEmail {
		return m.mail != nil
	}
	return m.text != nil
}

func (m *messenger) SendCode(ctx context.Context, msg userpool.Message) error {
	var err error
	switch {
	case msg.Medium == userpool.MediumEmail && m.mail != nil:
		err = m.mail.Send(ctx, courier.Mail{
			ID: msg.ID, From: msg.From, ReplyTo: msg.ReplyTo, To: msg.Destination, Subject: msg.Subject, HTML: msg.Body,
		})
	case msg.Medium == userpool.MediumEmail:
		err = fmt.Errorf("%w: no mail server is configured; give one with --smtp", courier.ErrFinal)
	case m.text != nil:
		err = m.text.Send(ctx, courier.Text{
			ID: msg.ID, To: msg.Destination, Message: msg.Body, Code: msg.Code, Kind: msg.Kind, Pool: msg.PoolID, PoolName: msg.PoolName, ExpiresAt: msg.ExpiresAt,
		})
	default:
		err = fmt.Errorf("%w: text messages have no way out; give one with --sms-webhook", courier.ErrFinal)
	}
	if errors.Is(err, courier.ErrFinal) {
		return fmt.Errorf("%w: %w", userpool.ErrUndeliverable, err)
	}
	return err
}
