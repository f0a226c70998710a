package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/pure/sigv4"
	"moat/internal/server"
	"moat/internal/service/stack"
)

// defaultTemplate is what `moat dev` deploys when it is there and nothing else is named.
const defaultTemplate = "template.yaml"

type devFlags struct {
	serverFlags
	parameters []string
	content    string
	noWatch    bool
	noDemo     bool
}

func newDev(a *app) *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev [TEMPLATE...]",
		Short: "Develop: deploy templates, watch them, see each request",
		Long: `Runs a Moat for one person on one machine and deploys the templates into it (template.yaml, if
it is there and none is named). Saving a template or a handler's file deploys it anew, without
dropping a request. The access key test/test is root; codes that would be sent are shown and kept at
/_moat/outbox; everything else is enforced as in production.

The first stack is named after its template's folder; further ones after folder and file. Where
a template has a parameter ContentUrl and a folder content/ stands beside it, that folder is
served as an ordinary web service and its address given as ContentUrl.

  moat dev examples/courses/template.yaml
  moat dev --json template.yaml               one JSON object per line: ready, then each request`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.dev(cmd.Context(), &f, args) },
	}
	f.register(cmd, "000000000000", "prefer")
	fl := cmd.Flags()
	fl.StringArrayVar(&f.parameters, "parameter", nil, "a template parameter, as Name=Value; may be given more than once")
	fl.StringVar(&f.content, "content", "", "folder to serve as the template's ordinary web service (default: content/ beside the template)")
	fl.BoolVar(&f.noWatch, "no-watch", false, "do not deploy anew when a file is saved")
	fl.BoolVar(&f.noDemo, "no-demo-user", false, "do not make a demonstration user")
	return cmd
}

// devSession is one run of `moat dev`.
type devSession struct {
	app       *app
	flags     *devFlags
	server    *server.Server
	client    *client
	palette   palette
	lines     *requestLines
	templates []devTemplate
	values    map[string]string // template parameters of the command line
	started   time.Time
	mu        sync.Mutex // one deployment at a time
}

// devTemplate is a template with the stack it becomes.
type devTemplate struct{ file, dir, stack string }

func (a *app) dev(ctx context.Context, f *devFlags, args []string) error {
	d := &devSession{app: a, flags: f, palette: newPalette(a.stdout, a.getenv), started: time.Now()}
	if !isLoopback(f.listen) {
		return usagef("`moat dev` listens on loopback only, and %s is not; its root key is known to all. Use `moat serve`", f.listen)
	}
	var err error
	if d.templates, err = devTemplates(args); err != nil {
		return err
	}
	if d.values, err = parseParameters(f.parameters); err != nil {
		return err
	}
	cfg, err := f.config(a)
	if err != nil {
		return err
	}
	for _, e := range cfg.VPCEndpoints {
		if !isLoopback(e.Listen) {
			return usagef("`moat dev` listens on loopback only, and %s of %s is not. Use `moat serve`", e.Listen, e.ID)
		}
	}
	d.lines = &requestLines{app: a, palette: d.palette, muted: true}
	cfg.Dev, cfg.Record, cfg.Message = true, d.lines.print, d.lines.message
	if cfg.Now, err = clock(a.getenv); err != nil {
		return err
	}
	if d.server, err = server.New(ctx, cfg); err != nil {
		return err
	}
	defer d.server.Close()
	d.client = &client{
		endpoint: d.server.BaseURL(), region: f.region, credentials: sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"},
		now: cfg.Now, http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{}},
	}
	return d.run(ctx)
}

// clock is the machine's, moved by MOAT_CLOCK_OFFSET: a test sees tokens expire without waiting.
func clock(getenv func(string) string) (func() time.Time, error) {
	text := getenv("MOAT_CLOCK_OFFSET")
	if text == "" {
		return time.Now, nil
	}
	offset, err := time.ParseDuration(text)
	if err != nil {
		return nil, usagef("MOAT_CLOCK_OFFSET=%q is not a duration such as 2h", text)
	}
	return func() time.Time { return time.Now().Add(offset) }, nil
}

// devTemplates checks the named files and names their stacks.
func devTemplates(args []string) ([]devTemplate, error) {
	if len(args) == 0 && fileExists(defaultTemplate) {
		args = []string{defaultTemplate}
	}
	var out []devTemplate
	for i, file := range args {
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		if !fileExists(path) {
			return nil, usagef("there is no template %s", file)
		}
		t := devTemplate{file: file, dir: filepath.Dir(path), stack: stackName(filepath.Base(filepath.Dir(path)))}
		if i > 0 {
			t.stack += "-" + stackName(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
		}
		out = append(out, t)
	}
	return out, nil
}

// stackName makes of a folder's name one that CloudFormation takes: letters, digits and hyphens.
func stackName(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0:
			b.WriteByte('-')
		}
	}
	name := strings.TrimRight(b.String(), "-")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "stack" + name
	}
	return name
}

func parseParameters(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range list {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usagef("--parameter %q is not of the form Name=Value", p)
		}
		out[name] = value
	}
	return out, nil
}

func (d *devSession) run(ctx context.Context) error {
	content, err := d.serveContent()
	if err != nil {
		return err
	}
	if content != nil {
		defer content.Close()
	}
	var stacks []stackOutputs
	for _, t := range d.templates {
		res, err := d.deploy(ctx, t)
		if err != nil {
			return err
		}
		stacks = append(stacks, stackOutputs{Name: t.stack, Outputs: res.Outputs})
	}
	if err := d.printReady(ctx, stacks); err != nil {
		return err
	}
	if !d.flags.noWatch && len(d.templates) > 0 {
		stop, err := d.watch(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	return d.server.Run(ctx)
}

// deploy deploys one template.
func (d *devSession) deploy(ctx context.Context, t devTemplate) (stack.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	body, err := os.ReadFile(t.file)
	if err != nil {
		return stack.Result{}, err
	}
	values := map[string]string{}
	for name, value := range d.values {
		if strings.Contains(string(body), name) {
			values[name] = value
		}
	}
	return d.server.Deploy(ctx, stack.DeployInput{Name: t.stack, Template: body, File: t.file, Dir: t.dir, Beyond: true, Parameters: values, Progress: d.progress})
}

// progress shows failures as they happen; what succeeds is summed up at the end.
func (d *devSession) progress(e stack.Event) {
	if d.app.json || !strings.HasSuffix(e.Status, "_FAILED") {
		return
	}
	fmt.Fprintf(d.app.stderr, "  %s %s: %s\n", e.LogicalID, e.Status, e.Reason)
}

// printReady tells the person, or the program, where everything is. The lines of requests follow.
func (d *devSession) printReady(ctx context.Context, stacks []stackOutputs) error {
	took := time.Since(d.started)
	if d.app.json {
		return d.lines.begin(func() error { return d.printReadyJSON(stacks) })
	}
	var text bytes.Buffer // making it asks the server, which is none of the lines
	w, p := &text, d.palette
	fmt.Fprintf(w, "%s at %s  %s\n", p.bold("Moat is ready"), d.server.BaseURL(), p.dim(fmt.Sprintf("(%d ms, data in %s)", took.Milliseconds(), d.flags.data)))
	printEndpoints(w, d.server.VPCEndpoints())
	if len(stacks) == 0 {
		fmt.Fprintf(w, "\n  No template is deployed. Name one: moat dev TEMPLATE\n  Access key test, secret test: %s run -- aws sts get-caller-identity\n\n", d.app.name)
	}
	for _, s := range stacks {
		inv, err := d.client.inventory(ctx, s)
		if err != nil {
			return err
		}
		demo, err := d.demo(ctx, inv)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "\n  %s\n", p.bold(s.Name))
		table(w, p, inv.rows(d.client.endpoint, demo))
		printTries(w, p, inv.tries(d.app.name, d.client.endpoint, demo))
	}
	return d.lines.begin(func() error {
		_, err := text.WriteTo(d.app.stdout)
		return err
	})
}

func (d *devSession) printReadyJSON(stacks []stackOutputs) error {
	list := []map[string]any{}
	for _, s := range stacks {
		list = append(list, map[string]any{"name": s.Name, "outputs": s.Outputs})
	}
	event := map[string]any{"event": "ready", "endpoint": d.server.BaseURL(), "stacks": list}
	if ends := d.server.VPCEndpoints(); len(ends) > 0 {
		event["vpcEndpoints"] = ends
	}
	return d.app.printJSON(event)
}

// demo makes the demonstration user of a stack's pool, where the pool takes one.
func (d *devSession) demo(ctx context.Context, inv *inventory) (demoUser, error) {
	if d.flags.noDemo || inv.Pool == "" {
		return demoUser{}, nil
	}
	u, err := d.client.ensureDemo(ctx, d.flags.data, inv.Pool)
	var refused *apiError
	if errors.As(err, &refused) {
		fmt.Fprintf(d.app.stderr, "no demonstration user: %s\n", refused)
		return demoUser{}, nil
	}
	return u, err
}

// serveContent serves the folder content/ beside the first template as the ordinary web
// service that a template's ContentUrl names, unless the parameter is given.
func (d *devSession) serveContent() (*http.Server, error) {
	dir := d.flags.content
	if dir == "" && len(d.templates) > 0 {
		dir = filepath.Join(d.templates[0].dir, "content")
	}
	if _, given := d.values["ContentUrl"]; given || dir == "" || !fileExists(dir) {
		return nil, nil
	}
	l, err := d.listenContent()
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: http.FileServerFS(os.DirFS(dir)), ReadHeaderTimeout: 10 * time.Second}
	go s.Serve(l)
	d.values["ContentUrl"] = "http://" + l.Addr().String()
	return s, nil
}

// listenContent takes the address of the last run again when it is free: a stage that was
// deployed then still points at it, and a changed parameter alone does not deploy a SAM API
// anew, on AWS as here.
func (d *devSession) listenContent() (net.Listener, error) {
	file := filepath.Join(d.flags.data, "content-address")
	if b, err := os.ReadFile(file); err == nil {
		if last := strings.TrimSpace(string(b)); isLoopback(last) {
			if l, err := net.Listen("tcp", last); err == nil {
				return l, nil
			}
		}
	}
	l, err := listenLoopback()
	if err != nil {
		return nil, err
	}
	return l, os.WriteFile(file, []byte(l.Addr().String()+"\n"), 0o600)
}
