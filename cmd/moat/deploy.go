package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"moat/internal/server"
	"moat/internal/service/stack"
	"moat/internal/service/stack/bundle"
)

func newDeploy(a *app) *cobra.Command {
	var flags clientFlags
	var name string
	var parameters []string
	cmd := &cobra.Command{
		Use:   "deploy TEMPLATE",
		Short: "Deploy a template to a running Moat",
		Long: `Builds the template's functions on this machine, sends them with the template, and shows what
happens. The stack is created or updated; if anything fails it is put back as it was.

  moat deploy examples/courses/template.yaml
  moat deploy reports.yaml --stack reports --parameter UserPoolId=/courses/UserPoolId`,
		Args: exactArgs("a template"),
		RunE: func(cmd *cobra.Command, args []string) error {
			values, err := parseParameters(parameters)
			if err != nil {
				return err
			}
			return a.deploy(cmd.Context(), flags.client(a), args[0], name, values)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&name, "stack", "", "name of the stack (default: the template's folder)")
	cmd.Flags().StringArrayVar(&parameters, "parameter", nil, "a template parameter, as Name=Value; may be given more than once")
	return cmd
}

func (a *app) deploy(ctx context.Context, c *client, file, name string, values map[string]string) error {
	templates, err := devTemplates([]string{file})
	if err != nil {
		return err
	}
	t := templates[0]
	if name == "" {
		name = t.stack
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	code, err := a.packFolders(ctx, body, t)
	if err != nil {
		return err
	}
	in := server.Deployment{Stack: name, File: file, Template: string(body), Parameters: values, Code: code}
	var last server.DeploymentEvent
	err = c.deploy(ctx, in, func(e server.DeploymentEvent) {
		last = e
		a.printDeployment(e)
	})
	if err != nil {
		return err
	}
	if last.Event == "failed" || last.Event == "" {
		return errors.New(last.Message)
	}
	return a.printOutputs(name, last)
}

// packFolders builds every local folder of a template and packs them by their paths.
func (a *app) packFolders(ctx context.Context, body []byte, t devTemplate) ([]byte, error) {
	folders, err := stack.LocalFolders(body, t.file)
	if err != nil || len(folders) == 0 {
		return nil, err
	}
	packager := bundle.New(func(sentence string) { fmt.Fprintln(a.stderr, sentence) })
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	packed := map[string]bool{}
	for _, f := range folders {
		path := filepath.ToSlash(filepath.Clean(f.Path))
		if packed[path] {
			continue
		}
		packed[path] = true
		if !filepath.IsLocal(path) {
			return nil, fmt.Errorf("%s: %s: the code folder %s is not below the template's folder", t.file, f.LogicalID, f.Path)
		}
		z, err := packager.Package(ctx, filepath.Join(t.dir, path), f.Build)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", t.file, f.LogicalID, err)
		}
		if err := moveInto(w, path, z); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// moveInto copies the entries of a package below a path.
func moveInto(w *zip.Writer, path string, pack []byte) error {
	r, err := zip.NewReader(bytes.NewReader(pack), int64(len(pack)))
	if err != nil {
		return err
	}
	for _, f := range r.File {
		h := f.FileHeader
		h.Name = path + "/" + f.Name
		from, err := f.OpenRaw()
		if err != nil {
			return err
		}
		to, err := w.CreateRaw(&h)
		if err != nil {
			return err
		}
		if _, err := io.Copy(to, from); err != nil {
			return err
		}
	}
	return nil
}

// deploy sends a deployment and calls fn for each line of the answer.
func (c *client) deploy(ctx context.Context, in server.Deployment, fn func(server.DeploymentEvent)) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/_moat/deploy", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	c.sign(req, "moat", body)
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return err
		}
		return parseAPIError(resp, answer)
	}
	return server.ReadDeploymentEvents(resp.Body, fn)
}

func (a *app) printDeployment(e server.DeploymentEvent) {
	switch {
	case e.Event != "progress":
	case a.json:
		_ = a.printJSON(e)
	case strings.HasSuffix(e.Status, "_FAILED"):
		fmt.Fprintf(a.stderr, "%-24s %s  %s\n", e.Status, e.LogicalID, e.Message)
	case strings.HasSuffix(e.Status, "_COMPLETE"):
		fmt.Fprintf(a.stderr, "%-24s %s\n", e.Status, e.LogicalID)
	}
}

func (a *app) printOutputs(name string, e server.DeploymentEvent) error {
	if a.json {
		return a.printJSON(map[string]any{"event": e.Event, "stack": name, "status": e.Status, "outputs": e.Outputs})
	}
	what := "is deployed"
	if e.Event == "unchanged" {
		what = "was deployed already; nothing changed"
	}
	fmt.Fprintf(a.stdout, "Stack %s %s.\n", name, what)
	table(a.stdout, newPalette(a.stdout, a.getenv), sortedRows(e.Outputs))
	return nil
}

func newDelete(a *app) *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "delete STACK",
		Short: "Delete a stack from a running Moat",
		Long:  "Deletes a stack with everything it made, in reverse order, and waits for the end.\n\n  moat delete courses",
		Args:  exactArgs("a stack's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.delete(cmd.Context(), flags.client(a), args[0])
		},
	}
	flags.register(cmd)
	return cmd
}

// delete deletes a stack by the API and waits until it is gone.
func (a *app) delete(ctx context.Context, c *client, name string) error {
	if _, err := c.describeStacks(ctx, name); err != nil {
		return err
	}
	if err := c.query(ctx, "cloudformation", "2010-05-15", "DeleteStack", url.Values{"StackName": {name}}, nil); err != nil {
		return err
	}
	for {
		status, reason, err := c.stackStatus(ctx, name)
		var gone *apiError
		switch {
		case errors.As(err, &gone) && gone.Code == "ValidationError", status == "DELETE_COMPLETE":
			if a.json {
				return a.printJSON(map[string]string{"event": "deleted", "stack": name})
			}
			_, err := fmt.Fprintf(a.stdout, "Stack %s is deleted.\n", name)
			return err
		case err != nil:
			return err
		case status == "DELETE_FAILED":
			return fmt.Errorf("stack %s could not be deleted: %s", name, reason)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (c *client) stackStatus(ctx context.Context, name string) (status, reason string, err error) {
	var answer struct {
		Stacks []struct{ StackStatus, StackStatusReason string } `xml:"DescribeStacksResult>Stacks>member"`
	}
	err = c.query(ctx, "cloudformation", "2010-05-15", "DescribeStacks", url.Values{"StackName": {name}}, &answer)
	if len(answer.Stacks) > 0 {
		status, reason = answer.Stacks[0].StackStatus, answer.Stacks[0].StackStatusReason
	}
	return status, reason, err
}
