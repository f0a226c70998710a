package server

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"moat/internal/service/userpool"
)

func TestNewMessenger(t *testing.T) {
	t.Parallel()
	const mail, hook, secret = "smtp://mail.example.com", "https://sms.example.com", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	for name, tt := range map[string]struct {
		cfg        Config
		mail, text bool
		refused    bool
	}{
		"nothing":                  {},
		"mail":                     {cfg: Config{SMTP: mail}, mail: true},
		"text":                     {cfg: Config{SMSWebhook: hook, SMSWebhookSecret: secret}, text: true},
		"both":                     {cfg: Config{SMTP: mail, MailFrom: "a@example.com", SMSWebhook: hook, SMSWebhookSecret: secret}, mail: true, text: true},
		"no mail server":           {cfg: Config{SMTP: "mail.example.com:25"}, refused: true},
		"sender without a server":  {cfg: Config{MailFrom: "a@example.com"}, refused: true},
		"webhook without a secret": {cfg: Config{SMSWebhook: hook}, refused: true},
		"secret without a webhook": {cfg: Config{SMSWebhookSecret: secret}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			tt.cfg.Domain, tt.cfg.Now, tt.cfg.Log = "localhost:4566", time.Now, slog.New(slog.DiscardHandler)
			m, err := newMessenger(&tt.cfg, nil)
			if (err != nil) != tt.refused {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				return
			}
			for medium, carried := range map[string]bool{userpool.MediumEmail: tt.mail, userpool.MediumSMS: tt.text} {
				if m.Carries(medium) != carried {
					t.Errorf("carries %s: %t", medium, !carried)
				}
				if carried {
					continue
				}
				if err := m.SendCode(t.Context(), userpool.Message{Medium: medium, Destination: "a@example.com"}); !errors.Is(err, userpool.ErrUndeliverable) {
					t.Errorf("%s that nobody carries: %v", medium, err)
				}
			}
		})
	}
}
