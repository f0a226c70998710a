package main

import (
	"archive/zip"
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of the loads of this chapter.
const (
	warmCalls = 2000
	warmTime  = 3 * time.Second
	coldCalls = 7
)

//go:embed handlers/index.js
var nodeHandler []byte

//go:embed handlers/app.py
var pythonHandler []byte

// handler is a function to be called: it answers a constant.
type handler struct {
	name, runtime, entry, file string
	code                       []byte
}

// measureFunctions answers what a call of a function costs through the API.
func measureFunctions(ctx context.Context, b *bench, r *rig) error {
	goHandler, err := buildHandler(ctx, b.dir)
	if err != nil {
		return err
	}
	handlers := []handler{
		{"node", "nodejs20.x", "index.handler", "index.js", nodeHandler},
		{"python", "python3.12", "app.handler", "app.py", pythonHandler},
		{"go", "provided.al2023", "bootstrap", "bootstrap", goHandler},
	}
	a, err := r.functionAPI(ctx, handlers)
	if err != nil {
		return err
	}
	g := group{
		Title: "Function calls",
		How: fmt.Sprintf("`GET` of a route with a function that answers a constant, one connection. Cold: a new execution environment, %d times after a change of the configuration. "+
			"CPU is the server's alone, without the function's process.", coldCalls),
	}
	for _, h := range handlers {
		line, err := r.measureFunction(ctx, a, h)
		if err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
		g.Rows = append(g.Rows, line)
	}
	b.report.Groups = append(b.report.Groups, g)
	return nil
}

func (r *rig) measureFunction(ctx context.Context, a *api, h handler) (row, error) {
	raw := request{method: http.MethodGet, path: a.path(h.name)}.raw(r.host)
	if err := r.until(ctx, raw, http.StatusOK); err != nil {
		return row{}, err
	}
	do := func(c *conn, _ int) error {
		_, err := c.exchange(raw, http.StatusOK)
		return err
	}
	warm, err := load{conns: 1, count: warmCalls, limit: warmTime, settle: logged, do: do}.run(ctx, r.process, r.address)
	if err != nil {
		return row{}, err
	}
	var cold []float64
	for i := range coldCalls {
		in := map[string]any{"Environment": map[string]any{"Variables": map[string]string{"ROUND": strconv.Itoa(i)}}}
		if err := r.aws.rest(ctx, "lambda", http.MethodPut, "/2015-03-31/functions/"+h.name+"/configuration", in, nil); err != nil {
			return row{}, err
		}
		o, err := load{conns: 1, count: 1, limit: time.Minute, do: do}.run(ctx, r.process, r.address)
		if err != nil {
			return row{}, err
		}
		cold = append(cold, o.took[0]/1000)
	}
	slices.Sort(cold)
	return row{Name: h.name + " (" + h.runtime + ")", Figures: []figure{
		{"warm calls", "", float64(warm.count)}, {"warm p50", "ms", quantile(warm.took, 0.5) / 1000}, {"warm p99", "ms", quantile(warm.took, 0.99) / 1000},
		{"warm CPU", "us", warm.cpuMicros()}, {"cold median", "ms", quantile(cold, 0.5)}, {"cold min", "ms", cold[0]}, {"cold max", "ms", cold[len(cold)-1]},
	}}, nil
}

// functionAPI creates the functions and an API with a route for each.
func (r *rig) functionAPI(ctx context.Context, handlers []handler) (*api, error) {
	role, err := r.functionRole(ctx)
	if err != nil {
		return nil, err
	}
	a, err := r.newAPI(ctx, "bench-function")
	if err != nil {
		return nil, err
	}
	for _, h := range handlers {
		if err := r.addFunction(ctx, a, h, role); err != nil {
			return nil, fmt.Errorf("%s: %w", h.name, err)
		}
	}
	return a, a.deploy(ctx)
}

// functionRole is the role of all functions, made when the first is.
func (r *rig) functionRole(ctx context.Context) (arn string, err error) {
	if r.role != "" {
		return r.role, nil
	}
	var made struct {
		ARN string `xml:"CreateRoleResult>Role>Arn"`
	}
	err = r.aws.query(ctx, "iam", "2010-05-08", "CreateRole", map[string]string{
		"RoleName":                 "bench-function",
		"AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`,
	}, &made)
	r.role = made.ARN
	return r.role, err
}

// addFunction creates a function, lets API Gateway call it, and makes a route for it.
func (r *rig) addFunction(ctx context.Context, a *api, h handler, role string) error {
	arn, err := r.createFunction(ctx, a, h, role)
	if err != nil {
		return err
	}
	return a.get(ctx, h.name, map[string]any{"authorizationType": "NONE"}, map[string]any{
		"type": "AWS_PROXY", "httpMethod": "POST", "uri": invocation(arn),
	})
}

// invocation is how an API names a function that it calls.
func invocation(function string) string {
	return "arn:aws:apigateway:" + region + ":lambda:path/2015-03-31/functions/" + function + "/invocations"
}

// createFunction makes a function that an API may call.
func (r *rig) createFunction(ctx context.Context, a *api, h handler, role string) (arn string, err error) {
	code, err := packed(h.file, h.code)
	if err != nil {
		return "", err
	}
	var made struct{ FunctionArn string }
	err = r.aws.rest(ctx, "lambda", http.MethodPost, "/2015-03-31/functions", map[string]any{
		"FunctionName": h.name, "Runtime": h.runtime, "Handler": h.entry, "Role": role, "Timeout": 10, "MemorySize": 256, "Code": map[string]any{"ZipFile": code},
	}, &made)
	if err != nil {
		return "", err
	}
	account := strings.Split(made.FunctionArn, ":")[4]
	return made.FunctionArn, r.aws.rest(ctx, "lambda", http.MethodPost, "/2015-03-31/functions/"+h.name+"/policy", map[string]any{
		"StatementId": "api", "Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com",
		"SourceArn": "arn:aws:execute-api:" + region + ":" + account + ":" + a.id + "/*",
	}, nil)
}

// packed makes a deployment package of one executable file.
func packed(name string, content []byte) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o755)
	f, err := w.CreateHeader(h)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(content); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// buildHandler compiles the Go function.
func buildHandler(ctx context.Context, dir string) ([]byte, error) {
	out := filepath.Join(dir, "bootstrap")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./bench/handlers/bootstrap")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the Go function could not be built (run this from the top of the repository): %w: %s", err, text)
	}
	return os.ReadFile(out)
}
