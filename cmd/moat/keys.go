package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/server"
	"moat/internal/service/userpool"
)

func newKeys(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Rotate the signing keys of user pools",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysRotate(a))
	return cmd
}

func newKeysRotate(a *app) *cobra.Command {
	var flags clientFlags
	var drop bool
	cmd := &cobra.Command{
		Use:   "rotate POOL",
		Short: "Let the next signing key of a user pool sign",
		Long: `Lets the second of a pool's two published keys sign, and publishes another one to come after it.
Tokens that were signed before count until they expire: the old key stays published for a day.

With --drop the old key goes at once, as when somebody else may have it: its tokens are refused from
then on, and users come back with their refresh tokens. Verifiers elsewhere may hold the old key for
as long as they cache the pool's keys.

A pool with the tag moat:signing-algorithm=ES256 gets keys for ES256: after its tag has changed, one rotation
changes what its tokens are signed with.

The caller must be allowed moat:RotateKeys on the pool.

  moat keys rotate us-east-1_a1b2c3d4e`,
		Args: exactArgs("the id of a user pool"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := json.Marshal(server.KeyRotation{Pool: args[0], Drop: drop})
			if err != nil {
				return err
			}
			var out userpool.Rotation
			if err := flags.client(a).rest(cmd.Context(), "moat", http.MethodPost, "/_moat/keys/rotate", body, &out); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(out)
			}
			fmt.Fprintf(a.stdout, "Key %s signs now.\n", out.Signs)
			if out.Until.IsZero() {
				fmt.Fprintf(a.stdout, "Key %s is dropped, and its tokens are refused.\n", out.Old)
			} else {
				fmt.Fprintf(a.stdout, "Key %s stays published until %s.\n", out.Old, out.Until.Format(time.RFC3339))
			}
			return nil
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&drop, "drop", false, "do not publish the old key any more: its tokens are refused at once")
	return cmd
}
