package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/service/trail"
)

func newTrail(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trail",
		Short: "Check the audit trail",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTrailVerify(a))
	return cmd
}

func newTrailVerify(a *app) *cobra.Command {
	var data, keyFile string
	cmd := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Check that no line of the audit trail is missing, altered or moved",
		Long: `Reads the files of the trail and checks every line against the one before and against its keyed
hash. Says where a chain breaks, and exits with 1. A running Moat may go on writing meanwhile. The
master key that wrote the trail is needed.

  moat trail verify
  moat trail verify /backup/trail --master-key-file /etc/moat/master.key`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filepath.Join(data, "trail")
			if len(args) == 1 {
				dir = args[0]
			}
			if keyFile == "" && len(args) == 1 && !cmd.Flags().Changed("data") { // where Moat keeps it: beside the trail
				data = filepath.Dir(filepath.Clean(dir))
			}
			if keyFile == "" {
				keyFile = filepath.Join(data, "master.key")
			}
			return a.verifyTrail(dir, keyFile)
		},
	}
	cmd.Flags().StringVar(&data, "data", ".moat", "the data folder, which holds the trail and the master key")
	cmd.Flags().StringVar(&keyFile, "master-key-file", "", "file of the master key (default: master.key beside the trail's folder)")
	return cmd
}

func (a *app) verifyTrail(dir, keyFile string) error {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return fmt.Errorf("the master key that wrote the trail cannot be read (%w); name its file with --master-key-file", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%s does not hold a master key", keyFile)
	}
	rep, err := trail.Verify(dir, key)
	if err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(rep); err != nil {
			return err
		}
	}
	if len(rep.Breaks) > 0 {
		return fmt.Errorf("the trail is not whole. %s", strings.Join(rep.Breaks, "; "))
	}
	if a.json {
		return nil
	}
	fmt.Fprintf(a.stdout, "The trail is whole: %d events in %d lines, %d files, %d chains", rep.Events, rep.Lines, rep.Files, rep.Chains)
	if rep.Events > 0 {
		fmt.Fprintf(a.stdout, ", from %s to %s", rep.From.UTC().Format(time.RFC3339), rep.To.UTC().Format(time.RFC3339))
	}
	fmt.Fprintln(a.stdout, ".")
	if rep.Lost > 0 {
		fmt.Fprintf(a.stdout, "It says itself that %d events could not be written in time.\n", rep.Lost)
	}
	return nil
}
