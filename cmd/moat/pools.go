package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"moat/internal/server"
	"moat/internal/service/userpool"
)

func newPools(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pools",
		Short: "Change what Cognito fixes when a user pool is made",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPoolsChange(a))
	return cmd
}

func newPoolsChange(a *app) *cobra.Command {
	var flags clientFlags
	var require, release, usernames, aliases []string
	var sensitive, dryRun bool
	cmd := &cobra.Command{
		Use:   "change POOL",
		Short: "Change required attributes and sign-in names of a user pool",
		Long: `Changes which attributes users must have, and by what they sign in. All users are checked first: who
lacks a required attribute, shares a name with somebody else, or has one that nobody has proven is
named, and nothing is changed. Otherwise all of it happens at once.

The pool needs the tag moat:allow-schema-changes with the value true, and the caller
cognito-idp:UpdateUserPool and cognito-idp:ListUsers on it. Other writes wait while a large pool is
changed. docs/pools.md says what can be changed, and what speaks against it.

  moat pools change us-east-1_a1b2c3d4e --require name --alias-attributes email --dry-run
  moat pools change us-east-1_a1b2c3d4e --username-attributes email --alias-attributes ""
  moat pools change us-east-1_a1b2c3d4e --case-sensitive=false`,
		Args: exactArgs("the id of a user pool"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := userpool.SchemaChange{Pool: args[0], Required: map[string]bool{}, DryRun: dryRun}
			for _, name := range require {
				in.Required[name] = true
			}
			for _, name := range release {
				if in.Required[name] {
					return fmt.Errorf("%s cannot be required and released at once", name)
				}
				in.Required[name] = false
			}
			given := cmd.Flags().Changed
			if given("username-attributes") {
				in.UsernameAttributes = &usernames
			}
			if given("alias-attributes") {
				in.AliasAttributes = &aliases
			}
			if given("case-sensitive") {
				in.CaseSensitive = &sensitive
			}
			if len(in.Required) == 0 && in.UsernameAttributes == nil && in.AliasAttributes == nil && in.CaseSensitive == nil {
				return errors.New("say what to change; see `moat pools change --help`")
			}
			body, err := json.Marshal(in)
			if err != nil {
				return err
			}
			var out userpool.SchemaAnswer
			if err := flags.client(a).rest(cmd.Context(), "moat", http.MethodPost, server.ChangeSchemaPath, body, &out); err != nil {
				return err
			}
			return a.tellChange(&in, &out)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringSliceVar(&require, "require", nil, "standard attributes that users must have from now on")
	cmd.Flags().StringSliceVar(&release, "release", nil, "standard attributes that users need not have any more")
	cmd.Flags().StringSliceVar(&usernames, "username-attributes", nil, "what stands for the username: email, phone_number, or \"\" for neither")
	cmd.Flags().StringSliceVar(&aliases, "alias-attributes", nil, "what users sign in by beside it: email, phone_number, preferred_username, or \"\"")
	cmd.Flags().BoolVar(&sensitive, "case-sensitive", false, "whether letter case counts in sign-in names")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would happen, and change nothing")
	return cmd
}

// tellChange says what became of a change; conflicts are an error.
func (a *app) tellChange(in *userpool.SchemaChange, out *userpool.SchemaAnswer) error {
	conflicts := len(out.Conflicts) + out.More
	if a.json {
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else {
		for _, c := range out.Conflicts {
			kind, name := "user", c.User
			if c.Client != "" {
				kind, name = "client", c.Client
			}
			fmt.Fprintf(a.stderr, "%s %q %s.\n", kind, name, c.Why)
		}
		if out.More > 0 {
			fmt.Fprintf(a.stderr, "There are %d more conflicts.\n", out.More)
		}
	}
	switch {
	case conflicts > 0:
		return fmt.Errorf("nothing was changed: %s", plural(conflicts, "conflict"))
	case a.json:
	case in.DryRun:
		fmt.Fprintf(a.stdout, "%s would fit; %d of them would be found by other names.\n", plural(out.Users, "user"), out.Reindexed)
	default:
		fmt.Fprintf(a.stdout, "The pool is changed. Of %s %d are found by other names now.\n", plural(out.Users, "user"), out.Reindexed)
	}
	return nil
}
