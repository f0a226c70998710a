package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func newRun(a *app) *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "run -- COMMAND [ARG...]",
		Short: "Run any program with Moat as its AWS",
		Long: `Runs a program in an environment that makes Moat its AWS: endpoint, credentials, region,
certificate bundle, and an HTTPS proxy on loopback for clients that have no endpoint setting.

The proxy leads AWS's host names (amazonaws.com, amazoncognito.com) to Moat, which answers
with a certificate of its own authority. Every other host it connects through, unread.
The program's exit code is the exit code of this command.

  moat run -- aws sts get-caller-identity
  moat run -- claudia create --region us-east-1 --api-module api --name demo`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("`moat run` needs a command after --, as in `moat run -- aws sts get-caller-identity`")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), flags.client(a), args) },
	}
	flags.register(cmd)
	return cmd
}

// health is what /_moat/health tells a client.
type health struct {
	Status  string `json:"status"`
	Version string `json:"version"`
	Mode    string `json:"mode"`
	Region  string `json:"region"`
	Account string `json:"account"`
}

func (c *client) health(ctx context.Context) (health, error) {
	var h health
	b, err := c.get(ctx, "/_moat/health")
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal(b, &h)
}

func (c *client) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.endpoint+path, nil)
	if err != nil {
		return nil, err
	}
	return c.do(req)
}

func (a *app) run(ctx context.Context, c *client, args []string) error {
	h, err := c.health(ctx)
	if err != nil {
		return err
	}
	if h.Mode != "dev" && c.credentials.AccessKeyID == "test" {
		return usagef("this Moat has no test key; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of its own")
	}
	authority, err := c.get(ctx, "/_moat/ca.pem")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "moat-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ca, bundle, err := writeBundles(dir, authority, a.getenv)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	proxy := &http.Server{Handler: &connectProxy{moat: c.endpoint}}
	defer proxy.Close()
	go proxy.Serve(l)

	return a.child(ctx, args, moatEnvironment(os.Environ(), c, "http://"+l.Addr().String(), ca, bundle))
}

// child runs the program, passes signals on, and hands its exit code up.
func (a *app) child(ctx context.Context, args, env []string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, a.stdin, a.stdout, a.stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := cmd.Run()
	var ee *exec.ExitError
	switch {
	case errors.As(err, &ee) && ee.ExitCode() >= 0:
		return &exitError{ee.ExitCode(), errors.New("")}
	case errors.Is(err, exec.ErrNotFound):
		return &exitError{127, fmt.Errorf("%s: not found on this machine's PATH", args[0])}
	}
	return err
}

// moatEnvironment is base with Moat in the place of AWS.
func moatEnvironment(base []string, c *client, proxy, ca, bundle string) []string {
	set := map[string]string{
		"AWS_ENDPOINT_URL": c.endpoint, "AWS_ACCESS_KEY_ID": c.credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY": c.credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN": c.credentials.SessionToken, "AWS_REGION": c.region, "AWS_DEFAULT_REGION": c.region,
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "", "AWS_DEFAULT_PROFILE": "",
		"AWS_CA_BUNDLE": bundle, "REQUESTS_CA_BUNDLE": bundle, "CURL_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle, "NODE_EXTRA_CA_CERTS": ca,
		"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "localhost,127.0.0.1,::1", "no_proxy": "localhost,127.0.0.1,::1",
	}
	env := slices.DeleteFunc(slices.Clone(base), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		_, ours := set[name]
		return ours || strings.HasPrefix(name, "AWS_ENDPOINT_URL_")
	})
	for name, value := range set {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	slices.Sort(env)
	return env
}

// systemBundles are where Linux distributions keep the system's certificates.
func systemBundles(getenv func(string) string) []string {
	return []string{getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}
}

// writeBundles writes Moat's certificate alone (for Node.js, which adds it) and with the
// system's (for programs whose setting replaces the system's).
func writeBundles(dir string, authority []byte, getenv func(string) string) (ca, bundle string, err error) {
	ca, bundle = filepath.Join(dir, "moat-ca.pem"), filepath.Join(dir, "bundle.pem")
	all := slices.Clone(authority)
	for _, path := range systemBundles(getenv) {
		if system, err := os.ReadFile(path); path != "" && err == nil {
			all = append(append(all, '\n'), system...)
			break
		}
	}
	if err := os.WriteFile(ca, authority, 0o600); err != nil {
		return "", "", err
	}
	return ca, bundle, os.WriteFile(bundle, all, 0o600)
}
