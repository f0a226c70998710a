package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func newUsers(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "users",
		Short: "Bring users out of a pool and into one, with their passwords",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUsersExport(a), newUsersImport(a))
	return cmd
}

// secretFile reads the first line of a file that holds a passphrase; "-" is standard input.
func (a *app) secretFile(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	text, err := a.wholeFile(name)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(text, "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("%s holds no passphrase", name)
	}
	return line, nil
}

func (a *app) wholeFile(name string) (string, error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	return string(text), err
}

// carriesSecrets refuses an endpoint to which the way is neither encrypted nor within this machine:
// what passwords are checked with goes over it.
func (c *client) carriesSecrets() error {
	u, err := url.Parse(c.endpoint)
	if err != nil {
		return err
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	if u.Scheme == "https" || host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback() {
		return nil
	}
	return usagef("%s is not encrypted: what passwords are checked with would be read on the way; use https", c.endpoint)
}

// sentence is the server's own sentence where it has one, with the exit code of its status.
func sentence(err error) error {
	var refused *apiError
	var exit *exitError
	if errors.As(err, &refused) && refused.Code == "" && errors.As(err, &exit) {
		return &exitError{exit.code, errors.New(refused.Message)}
	}
	return err
}

// progress shows how far something has come, on a terminal, in one line that is written anew.
type progress struct {
	w    io.Writer
	on   bool
	what string
}

func (a *app) progress(what string) *progress {
	f, ok := a.stderr.(*os.File)
	if !ok || a.json || a.getenv("TERM") == "dumb" {
		return &progress{}
	}
	info, err := f.Stat()
	return &progress{w: f, what: what, on: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p *progress) at(n int) {
	if p.on {
		fmt.Fprintf(p.w, "\r%s %d users", p.what, n)
	}
}

func (p *progress) end() {
	if p.on {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", len(p.what)+20))
	}
}

// plural is a count with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
