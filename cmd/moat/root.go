package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes, for scripts.
const (
	exitOK      = 0
	exitFailed  = 1 // the command could not do what was asked
	exitUsage   = 2 // the command line is wrong
	exitRefused = 4 // the server answered 4xx
	exitServer  = 5 // the server answered 5xx
)

// exitError carries the exit code of a failure whose sentence was printed or is printed by execute.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// app is what every command needs of its surroundings.
type app struct {
	name   string // as the program was called, for commands to copy
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	getenv func(string) string
	json   bool
}

// execute runs the command line and returns its exit code.
func execute(args []string, a *app) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot(a)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var ee *exitError
	if errors.As(err, &ee) {
		code = ee.code
	} else if first, _, _ := strings.Cut(err.Error(), "\n"); strings.HasPrefix(first, "unknown command ") { // cobra's own words
		code, err = exitUsage, fmt.Errorf("%s; see `moat --help`", first)
	}
	if msg := err.Error(); msg != "" {
		a.fail(code, msg)
	}
	return code
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "moat",
		Short: "A secured API from one template, on one command",
		Long: `Moat keeps your users, identities, policies, APIs and functions behind the wire
protocols of Cognito, IAM, STS, API Gateway, Lambda, SSM and CloudFormation.

  moat dev examples/courses/template.yaml     develop: deploy a template, watch it, see each request
  moat serve                                  run for real: data in a folder, one administrator's key
  moat call /courses --user you@example.com   try a route as somebody
  moat run -- aws sts get-caller-identity     any AWS client, unchanged, with Moat as its AWS

Every flag can also be given as an environment variable: --data is MOAT_DATA.
Exit codes: 0 done, 1 failed, 2 wrong usage, 4 and 5 the server refused or failed (4xx, 5xx).`,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.flagsFromEnvironment(cmd.Flags()) },
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetIn(a.stdin)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON instead of text")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%s; see `%s --help`", err, cmd.CommandPath())
	})
	root.AddCommand(newDev(a), newServe(a), newDeploy(a), newDelete(a), newToken(a), newCall(a), newRun(a),
		newExplain(a), newMetrics(a), newPolicy(a), newTrail(a), newUsers(a), newPools(a), newKeys(a), newVersion(a))
	return root
}

// flagsFromEnvironment sets each flag that was not given from MOAT_NAME, if that is set.
func (a *app) flagsFromEnvironment(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || err != nil || f.Name == "help" {
			return
		}
		name := "MOAT_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v := a.getenv(name)
		if v == "" {
			return
		}
		if e := flags.Set(f.Name, v); e != nil {
			err = usagef("%s=%q: %v", name, v, e)
		}
	})
	return err
}

// exactArgs is cobra.ExactArgs with a sentence that names what is missing.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("`%s` needs %s; see `%s --help`", cmd.CommandPath(), names[len(args)], cmd.CommandPath())
		case len(args) > len(names):
			return usagef("`%s` takes no %q; see `%s --help`", cmd.CommandPath(), args[len(names)], cmd.CommandPath())
		}
		return nil
	}
}
