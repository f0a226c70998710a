package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"moat/internal/server"
	"moat/internal/wire"
)

func newServe(a *app) *cobra.Command {
	var f serverFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run Moat for real",
		Long: `Serves what is in the data folder (or in the database). At first start it creates the
administrator's access key and shows it once; nothing else is accepted until there are
more principals. Functions run only where the machine can isolate them.

  moat serve --data /var/lib/moat --base-url https://moat.example.com --domain moat.example.com
  moat serve --database postgres://moat@db/moat --master-key-file /etc/moat/master.key

Codes and invitations of user pools go out by e-mail and SMS, each where it is configured; a
medium that is not reaches nobody, and the log says so. Messages wait in the database and are
tried again until their code expires.

  MOAT_SMTP=smtp://user:password@mail.example.com:587    STARTTLS is demanded
  MOAT_SMTP=smtps://user:password@mail.example.com:465   TLS from the first byte
  MOAT_SMTP=smtp://127.0.0.1:25?tls=none                 in the clear

The SMS webhook gets {"id","to","message","code","kind","pool","poolName","expiresAt"} by POST,
signed as Standard Webhooks describes (headers webhook-id, webhook-timestamp and
webhook-signature). Make its secret with: echo whsec_$(openssl rand -base64 32)`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), &f) },
	}
	f.register(cmd, "000000000000", "require")
	fl := cmd.Flags()
	fl.StringVar(&f.smtp, "smtp", "", "mail server, as smtp://user:password@host:port or smtps://...; better given as MOAT_SMTP, which no list of processes shows")
	fl.StringVar(&f.mailFrom, "mail-from", "", "sender of mails where a pool's EmailConfiguration names none (default: no-reply@DOMAIN)")
	fl.StringVar(&f.smsWebhook, "sms-webhook", "", "https://... that gets each text message by POST")
	fl.StringVar(&f.smsWebhookSecret, "sms-webhook-secret", "", "secret that signs those requests, whsec_...; better given as MOAT_SMS_WEBHOOK_SECRET")
	fl.BoolVar(&f.allowPrivate, "allow-private-targets", false, "let HTTP integrations and the SMS webhook reach private and loopback addresses")
	return cmd
}

func (a *app) serve(ctx context.Context, f *serverFlags) error {
	cfg, err := f.config(a)
	if err != nil {
		return err
	}
	cfg.SMTP, cfg.MailFrom, cfg.AllowPrivateTargets = f.smtp, f.mailFrom, f.allowPrivate
	cfg.SMSWebhook, cfg.SMSWebhookSecret = f.smsWebhook, f.smsWebhookSecret
	lines := &requestLines{app: a, palette: newPalette(a.stdout, a.getenv)}
	cfg.Record = func(r wire.Record) {
		if a.json {
			lines.print(r)
		}
	}
	s, err := server.New(ctx, cfg)
	if err != nil {
		return err
	}
	key, secret, created, err := s.Administrator(ctx)
	if err != nil {
		s.Close()
		return err
	}
	if err := a.printServing(s, key, secret, created); err != nil {
		s.Close()
		return err
	}
	return s.Run(ctx)
}

func (a *app) printServing(s *server.Server, key, secret string, created bool) error {
	if a.json {
		event := map[string]any{"event": "ready", "endpoint": s.BaseURL(), "stacks": []any{}}
		if ends := s.VPCEndpoints(); len(ends) > 0 {
			event["vpcEndpoints"] = ends
		}
		if created {
			event["administrator"] = map[string]string{"AccessKeyId": key, "SecretAccessKey": secret}
		}
		return a.printJSON(event)
	}
	fmt.Fprintf(a.stdout, "Moat serves at %s\n", s.BaseURL())
	printEndpoints(a.stdout, s.VPCEndpoints())
	if created {
		fmt.Fprintf(a.stdout, "\nThe administrator's access key, shown this once:\n\n")
		table(a.stdout, palette{}, [][2]string{{"AWS_ACCESS_KEY_ID", key}, {"AWS_SECRET_ACCESS_KEY", secret}})
		fmt.Fprintln(a.stdout)
	}
	return nil
}
