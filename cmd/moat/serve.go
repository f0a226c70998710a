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
  moat serve --database postgres://moat@db/moat --master-key-file /etc/moat/master.key`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), &f) },
	}
	f.register(cmd, "000000000000", "require")
	fl := cmd.Flags()
	fl.StringVar(&f.smtp, "smtp", "", "smtp://user:password@host:port that sends mails with codes")
	fl.StringVar(&f.mailFrom, "mail-from", "", "sender of those mails (default: no-reply@DOMAIN)")
	fl.BoolVar(&f.allowPrivate, "allow-private-targets", false, "let HTTP integrations reach private and loopback addresses")
	return cmd
}

func (a *app) serve(ctx context.Context, f *serverFlags) error {
	cfg, err := f.config(a)
	if err != nil {
		return err
	}
	cfg.SMTP, cfg.MailFrom, cfg.AllowPrivateTargets = f.smtp, f.mailFrom, f.allowPrivate
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
		if created {
			event["administrator"] = map[string]string{"AccessKeyId": key, "SecretAccessKey": secret}
		}
		return a.printJSON(event)
	}
	fmt.Fprintf(a.stdout, "Moat serves at %s\n", s.BaseURL())
	if created {
		fmt.Fprintf(a.stdout, "\nThe administrator's access key, shown this once:\n\n")
		table(a.stdout, palette{}, [][2]string{{"AWS_ACCESS_KEY_ID", key}, {"AWS_SECRET_ACCESS_KEY", secret}})
		fmt.Fprintln(a.stdout)
	}
	return nil
}
