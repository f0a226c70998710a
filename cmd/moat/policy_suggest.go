package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/service/trail"
)

func newPolicySuggest(a *app) *cobra.Command {
	var flags clientFlags
	var since time.Duration
	var generalise, refused bool
	cmd := &cobra.Command{
		Use:   "suggest PRINCIPAL",
		Short: "Write the least policy that a principal's recorded calls need",
		Long: `Reads the calls of a user or a role (of all its sessions) in the audit trail and prints the least
policy that allows them: their actions, on the resources they named. What was refused is left out
unless it is asked for. A principal is a name, user/NAME, role/NAME, root or an ARN, which may be
that of somebody deleted. Whoever asks needs cloudtrail:LookupEvents.

  moat policy suggest ada
  moat policy suggest arn:aws:iam::000000000000:role/reports --since 720h --generalise`,
		Args: exactArgs("a principal"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"principal": {args[0]}, "since": {time.Now().Add(-since).UTC().Format(time.RFC3339)}}
			if generalise {
				q.Set("generalise", "true")
			}
			if refused {
				q.Set("refused", "true")
			}
			var out trail.Suggestion
			if err := flags.client(a).own(cmd.Context(), "/_moat/policy/suggest?"+q.Encode(), &out); err != nil {
				return err
			}
			return a.printSuggestion(out)
		},
	}
	flags.register(cmd)
	fl := cmd.Flags()
	fl.DurationVar(&since, "since", 24*time.Hour, "how far back to look; the trail answers for 90 days")
	fl.BoolVar(&generalise, "generalise", false, "write * for the last part of each resource's name")
	fl.BoolVar(&refused, "refused", false, "include what was refused: whoever could try calls in the principal's name then has a say")
	return cmd
}

func (a *app) printSuggestion(s trail.Suggestion) error {
	if len(s.Document) == 0 || string(s.Document) == "null" {
		return fmt.Errorf("the trail has no calls of %s since %s that needed a permission", s.Principal, s.Since.Format(time.RFC3339))
	}
	if a.json {
		return a.printJSON(s)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, s.Document, "", "  "); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, visible(out.String()))
	fmt.Fprintf(a.stderr, "From %d calls of %s since %s", s.Events, s.Principal, s.Since.Format(time.RFC3339))
	if s.Refused > 0 {
		fmt.Fprintf(a.stderr, ", %d of them refused", s.Refused)
	}
	fmt.Fprintln(a.stderr, ".")
	return nil
}
