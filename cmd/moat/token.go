package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newToken(a *app) *cobra.Command {
	var flags clientFlags
	var w who
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Get an ID or access token for a user or a client",
		Long: `Signs in by the real flows and prints the token alone, for use in scripts: SRP or password for
a user, client credentials at the pool's token endpoint for a client.

  moat token --user you@example.com --password-stdin          an ID token
  moat token --user you@example.com --use access              an access token (MOAT_PASSWORD set)
  moat token --scope courses/write                            an access token of the confidential client
  curl -H "Authorization: $(moat token --scope courses/write)" URL`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := flags.client(a)
			if err := w.resolve(cmd.Context(), a, c); err != nil {
				return err
			}
			t, err := w.tokens(cmd.Context(), c)
			if err != nil {
				return err
			}
			chosen, err := t.use(w.use)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"token": chosen, "use": w.use, "expires": t.expiry(c.now()).UTC().Format(time.RFC3339), "tokens": t})
			}
			_, err = fmt.Fprintln(a.stdout, chosen)
			return err
		},
	}
	flags.register(cmd)
	w.register(cmd)
	return cmd
}
