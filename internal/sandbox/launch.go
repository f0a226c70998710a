package sandbox

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// apiPort is where the Runtime API listens in a network namespace of its own.
const apiPort = 9001

// launched is a process that has just been started.
type launched struct {
	cmd    *exec.Cmd
	api    net.Listener
	door   net.Listener // of the endpoint; nil if the function reaches it by itself
	output *os.File     // where its output is read
	group  *cgroup
	secret string
}

// layout says where a process finds things.
type layout struct {
	task    string   // LAMBDA_TASK_ROOT
	layers  []string // what is /opt on Lambda
	runtime string   // LAMBDA_RUNTIME_DIR
	api     string   // AWS_LAMBDA_RUNTIME_API
}

// execError: the program of a custom runtime cannot be executed.
type execError struct {
	path string
	err  error
}

func (e *execError) Error() string { return "fork/exec " + e.path + ": " + e.err.Error() }

// launch starts the process of an environment, isolated if the host isolates.
func (h *Host) launch(ctx context.Context, spec *Spec, p program, extra map[string]string) (*launched, error) {
	caps, err := h.Probe(ctx)
	if err != nil {
		return nil, err
	}
	if !caps.Isolated {
		return h.launchPlain(spec, p, extra)
	}
	return h.launchIsolated(ctx, spec, p, extra)
}

// launchPlain starts a process as a child like any other, in the machine's file
// system and network, but with nothing of this process's environment.
func (h *Host) launchPlain(spec *Spec, p program, extra map[string]string) (*launched, error) {
	dir, err := h.bootstrapDir()
	if err != nil {
		return nil, err
	}
	l, err := h.listenHost()
	if err != nil {
		return nil, err
	}
	where := layout{task: spec.Package, layers: spec.Layers, runtime: dir, api: l.api.Addr().String() + l.secret}
	argv := p.command(where, spec)
	if err := p.check(argv[0]); err != nil {
		_ = l.api.Close()
		return nil, err
	}
	l.cmd = &exec.Cmd{Path: argv[0], Args: argv, Dir: spec.Package, Env: p.environment(where, spec, extra)}
	l.cmd.SysProcAttr = plainAttributes()
	if err := l.begin(); err != nil {
		_ = l.api.Close()
		return nil, fmt.Errorf("starting %s: %w", argv[0], err)
	}
	if l.group, err = h.groups.create(spec); err == nil {
		err = l.group.add(l.cmd.Process.Pid)
	}
	if err != nil {
		l.abandon()
		return nil, err
	}
	return l, nil
}

// listenHost opens a Runtime API on the machine's loopback, where any process of the
// machine reaches it: its paths begin with a secret, which the address carries.
func (h *Host) listenHost() (*launched, error) {
	secret, err := h.randomHex(16)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &launched{api: l, secret: "/" + secret}, nil
}

// begin starts the command with its output in a pipe.
func (l *launched) begin() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	l.cmd.Stdout, l.cmd.Stderr = w, w
	if err := l.cmd.Start(); err != nil {
		_ = r.Close()
		return err
	}
	l.output = r
	return nil
}

// abandon ends a process that never became an environment.
func (l *launched) abandon() {
	if l.cmd != nil && l.cmd.Process != nil {
		killTree(l.cmd, l.group)
		_ = l.cmd.Wait()
	}
	if l.api != nil {
		_ = l.api.Close()
	}
	if l.door != nil {
		_ = l.door.Close()
	}
	if l.output != nil {
		_ = l.output.Close()
	}
	l.group.remove()
}

// bootstrapDir gives the folder where unisolated processes find the bootstraps.
func (h *Host) bootstrapDir() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fileDir != "" {
		return h.fileDir, nil
	}
	dir, err := os.MkdirTemp(h.cfg.Dir, "moat-runtime-")
	if err != nil {
		return "", err
	}
	for _, k := range []kind{kindNode, kindPython} {
		for name, text := range (program{kind: k}).files() {
			if err := writeFile(filepath.Join(dir, name), text); err != nil {
				return "", err
			}
		}
	}
	h.fileDir = dir
	return dir, nil
}

func writeFile(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o444)
}

// environment gives the complete environment of a process: the runtime's own
// variables, then extra, then those that nobody may change.
func (p program) environment(where layout, spec *Spec, extra map[string]string) []string {
	env := map[string]string{
		"LANG":               "en_US.UTF-8",
		"TZ":                 ":UTC",
		"PATH":               "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"LAMBDA_RUNTIME_DIR": where.runtime,
	}
	libs := []string{where.task, filepath.Join(where.task, "lib")}
	for _, dir := range where.layers {
		libs = append(libs, filepath.Join(dir, "lib"))
	}
	switch p.kind {
	case kindNode:
		var paths []string
		for _, dir := range where.layers {
			paths = append(paths, filepath.Join(dir, "nodejs", "node"+p.major(), "node_modules"), filepath.Join(dir, "nodejs", "node_modules"))
		}
		env["NODE_PATH"] = strings.Join(append(paths, filepath.Join(where.runtime, "node_modules"), where.runtime, where.task), ":")
		env["PATH"] = filepath.Dir(p.path) + ":" + env["PATH"]
	case kindPython:
		env["PYTHONPATH"] = where.runtime
		env["PATH"] = filepath.Dir(p.path) + ":" + env["PATH"]
	default:
		env["LD_LIBRARY_PATH"] = strings.Join(libs, ":")
	}
	maps.Copy(env, extra)
	env["LAMBDA_TASK_ROOT"] = where.task
	env["AWS_LAMBDA_RUNTIME_API"] = where.api
	env["_HANDLER"] = spec.Handler
	if len(where.layers) > 0 {
		env["MOAT_LAYERS"] = strings.Join(where.layers, ":")
	}
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// command gives the program and its arguments.
func (p program) command(where layout, spec *Spec) []string {
	switch p.kind {
	case kindNode:
		// V8 sees the machine's memory, not the group's: tell it what it may use.
		old := max(spec.MemoryMB*9/10, 64)
		return []string{
			p.path, "--max-old-space-size=" + strconv.Itoa(old),
			"--max-semi-space-size=" + strconv.Itoa(max(spec.MemoryMB/20, 1)),
			"--max-http-header-size=81920",
			filepath.Join(where.runtime, nodeBootstrap),
		}
	case kindPython:
		return []string{p.path, filepath.Join(where.runtime, pythonBootstrap)}
	default:
		if isFile(filepath.Join(spec.Package, "bootstrap")) {
			return []string{filepath.Join(where.task, "bootstrap")}
		}
		for i, dir := range spec.Layers {
			if isFile(filepath.Join(dir, "bootstrap")) {
				return []string{filepath.Join(where.layers[min(i, len(where.layers)-1)], "bootstrap")}
			}
		}
		return []string{filepath.Join(where.task, "bootstrap")}
	}
}

func isFile(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && !fi.IsDir()
}
