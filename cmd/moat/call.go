package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"moat/internal/pure/sigv4"
)

// callFlags say what to send and as whom.
type callFlags struct {
	client  clientFlags
	who     who
	method  string
	data    string
	headers []string
	token   string
	apiKey  string
	signed  bool
	guest   bool
	idPool  string
	include bool
}

func newCall(a *app) *cobra.Command {
	var f callFlags
	cmd := &cobra.Command{
		Use:   "call URL",
		Short: "Call a route as somebody: a token, an API key, or signed credentials",
		Long: `Sends one request and prints the answer's body; status and decision go to standard error.
URL may be a path such as /courses: then it is a path of the stack's API (its output ApiUrl).

  moat call /catalog --api-key KEY
  moat call /courses --user you@example.com                   with an ID token of that user
  moat call /courses -X POST -d '{"title":"Go"}' --scope courses/write
  moat call /progress --signed --user you@example.com         signed by the user's temporary credentials
  moat call /progress --guest                                 signed by a guest's: refused

The exit code is 0 for 2xx and 3xx, 4 for 4xx, 5 for 5xx.`,
		Args: exactArgs("a URL or a path"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.call(cmd.Context(), &f, args[0]) },
	}
	f.client.register(cmd)
	f.who.register(cmd)
	fl := cmd.Flags()
	fl.StringVarP(&f.method, "method", "X", "", "HTTP method (default: GET, or POST with --data)")
	fl.StringVarP(&f.data, "data", "d", "", "body; @FILE reads it from a file, @- from standard input")
	fl.StringArrayVarP(&f.headers, "header", "H", nil, "a header to add, as 'Name: value'")
	fl.StringVar(&f.token, "token", "", "bearer token to send")
	fl.StringVar(&f.apiKey, "api-key", "", "API key to send as x-api-key")
	fl.BoolVar(&f.signed, "signed", false, "sign the request (SigV4): with --user by the user's temporary credentials, else by your access key")
	fl.BoolVar(&f.guest, "guest", false, "sign the request by a guest's temporary credentials")
	fl.StringVar(&f.idPool, "identity-pool", "", "identity pool id (default: the stack's IdentityPoolId)")
	fl.BoolVarP(&f.include, "include", "i", false, "print the answer's status line and headers too")
	return cmd
}

func (a *app) call(ctx context.Context, f *callFlags, target string) error {
	c := f.client.client(a)
	req, body, err := f.request(ctx, a, c, target)
	if err != nil {
		return err
	}
	if err := f.identify(ctx, a, c, req, body); err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if err := a.printAnswer(f, resp, answer); err != nil {
		return err
	}
	switch resp.StatusCode / 100 {
	case 4:
		return &exitError{exitRefused, errors.New("")}
	case 5:
		return &exitError{exitServer, errors.New("")}
	}
	return nil
}

// request builds the request without any proof of who sends it.
func (f *callFlags) request(ctx context.Context, a *app, c *client, target string) (*http.Request, string, error) {
	if strings.HasPrefix(target, "/") {
		outputs, err := c.outputs(ctx, f.who.stack, "ApiUrl")
		if err != nil {
			return nil, "", err
		}
		target = strings.TrimRight(outputs["ApiUrl"], "/") + target
	}
	if !strings.Contains(target, "://") {
		return nil, "", usagef("%q is neither a URL nor a path; a path begins with /", target)
	}
	body, err := readData(f.data, a.stdin)
	if err != nil {
		return nil, "", err
	}
	method := f.method
	if method == "" {
		method = http.MethodGet
		if f.data != "" {
			method = http.MethodPost
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return nil, "", usagef("%q is not a URL: %v", target, err)
	}
	if f.data != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, "", usagef("--header %q is not of the form 'Name: value'", h)
		}
		req.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return req, body, nil
}

func readData(data string, stdin io.Reader) (string, error) {
	switch {
	case data == "@-":
		b, err := io.ReadAll(stdin)
		return string(b), err
	case strings.HasPrefix(data, "@"):
		b, err := os.ReadFile(data[1:])
		return string(b), err
	}
	return data, nil
}

// identify adds the proof: an API key, a token, a signature, or none.
func (f *callFlags) identify(ctx context.Context, a *app, c *client, req *http.Request, body string) error {
	if f.apiKey != "" {
		req.Header.Set("X-Api-Key", f.apiKey)
	}
	switch {
	case f.token != "":
		req.Header.Set("Authorization", f.token)
		return nil
	case f.guest, f.signed:
		return f.sign(ctx, a, c, req, body)
	case f.who.user == "" && f.who.scope == "" && f.who.client == "":
		return nil
	}
	if err := f.who.resolve(ctx, a, c); err != nil {
		return err
	}
	t, err := f.who.tokens(ctx, c)
	if err != nil {
		return err
	}
	chosen, err := t.use(f.who.use)
	req.Header.Set("Authorization", chosen)
	return err
}

func (f *callFlags) sign(ctx context.Context, a *app, c *client, req *http.Request, body string) error {
	signer := c.credentials
	if f.guest || f.who.user != "" {
		if err := f.identityPool(ctx, c); err != nil {
			return err
		}
		idToken := ""
		if !f.guest {
			f.who.use = "id"
			if err := f.who.resolve(ctx, a, c); err != nil {
				return err
			}
			t, err := f.who.tokens(ctx, c)
			if err != nil {
				return err
			}
			idToken = t.IDToken
		}
		var err error
		if signer, err = c.identityCredentials(ctx, f.idPool, f.who.pool, idToken); err != nil {
			return err
		}
	}
	sum := sha256.Sum256([]byte(body))
	r := sigv4.Request{Method: req.Method, Path: req.URL.EscapedPath(), RawQuery: req.URL.RawQuery, Host: req.URL.Host, Header: req.Header}
	sigv4.Sign(&r, hex.EncodeToString(sum[:]), signer, c.region, "execute-api", c.now().UTC())
	return nil
}

func (f *callFlags) identityPool(ctx context.Context, c *client) error {
	if f.idPool != "" {
		return nil
	}
	outputs, err := c.outputs(ctx, f.who.stack, "IdentityPoolId")
	f.idPool = outputs["IdentityPoolId"]
	return err
}

func (a *app) printAnswer(f *callFlags, resp *http.Response, body []byte) error {
	if a.json {
		headers := map[string]string{}
		for name, values := range resp.Header {
			headers[strings.ToLower(name)] = strings.Join(values, ", ")
		}
		return a.printJSON(map[string]any{"status": resp.StatusCode, "headers": headers, "body": string(body)})
	}
	if f.include {
		fmt.Fprintf(a.stdout, "%s %s\n", resp.Proto, resp.Status)
		names := make([]string, 0, len(resp.Header))
		for name := range resp.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(a.stdout, "%s: %s\n", name, strings.Join(resp.Header[name], ", "))
		}
		fmt.Fprintln(a.stdout)
	}
	if _, err := a.stdout.Write(body); err != nil {
		return err
	}
	if len(body) > 0 && body[len(body)-1] != '\n' {
		fmt.Fprintln(a.stdout)
	}
	p := newPalette(a.stderr, a.getenv)
	line := p.status(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	if kind := resp.Header.Get("X-Amzn-Errortype"); kind != "" {
		line += " " + p.dim(kind)
	}
	if id := resp.Header.Get("X-Amzn-Requestid"); id != "" {
		line += " " + p.dim(id)
	}
	fmt.Fprintln(a.stderr, line)
	return nil
}
