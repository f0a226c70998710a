package main

import "github.com/spf13/cobra"

// newPolicy is the parent of the commands that answer questions about policies; each stands in a
// file of its own, policy_*.go, and is added here.
func newPolicy(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Ask what principals may do, and what they need",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(policyCommands(a)...)
	return cmd
}

// policyCommands are the commands below `moat policy`.
func policyCommands(a *app) []*cobra.Command {
	return []*cobra.Command{newPolicyCan(a), newPolicyWhoCan(a), newPolicySuggest(a)}
}
