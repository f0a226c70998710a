package sandbox

import (
	"context"
	_ "embed" // the bootstraps
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"moat/internal/pure/lazyregexp"
)

//go:embed bootstrap/node.cjs
var nodeText []byte

//go:embed bootstrap/python.py
var pythonText []byte

//go:embed bootstrap/cfn-response.cjs
var nodeResponse []byte

//go:embed bootstrap/cfnresponse.py
var pythonResponse []byte

const (
	nodeBootstrap   = "moat-node.cjs"
	pythonBootstrap = "moat-python.py"
)

// files gives what stands in the runtime's folder: the bootstrap, and the module with which
// functions answer a stack.
func (p program) files() map[string][]byte {
	switch p.kind {
	case kindNode:
		return map[string][]byte{nodeBootstrap: nodeText, "node_modules/cfn-response/index.js": nodeResponse}
	case kindPython:
		return map[string][]byte{pythonBootstrap: pythonText, "cfnresponse.py": pythonResponse}
	}
	return nil
}

type kind int

const (
	kindProvided kind = iota
	kindNode
	kindPython
)

// program is what runs the functions of a runtime on this machine.
type program struct {
	kind    kind
	path    string   // of the executable; empty for a custom runtime
	dirs    []string // what it needs besides the system's folders
	version string
}

// runtimeName is a runtime that can run here; everything else is refused by name.
var runtimeName = lazyregexp.New(`^(nodejs[0-9]{1,3}\.x|python3\.[0-9]{1,3}|provided(\.al2|\.al2023)?)$`)

// runtimes finds programs, once each.
type runtimes struct {
	programs map[string]string

	mu    sync.Mutex
	found map[string]*finding
}

// finding is a program that was found, or is being looked for until done is closed.
type finding struct {
	done    chan struct{}
	program program
	err     error
}

// KnownRuntime says whether a runtime of that name is one that a Host runs, if its
// program is installed.
func KnownRuntime(name string) bool { return runtimeName.MatchString(name) }

// Program says what runs a runtime here, such as "v20.20.2" for nodejs22.x: every
// version of Node.js and of Python is run by the one that is installed, python3.N by
// a python3.N if there is one. A RuntimeError says in one sentence why none does.
func (h *Host) Program(ctx context.Context, runtime string) (path, version string, err error) {
	p, err := h.runtimes.resolve(ctx, runtime)
	return p.path, p.version, err
}

// ProgramNow is Program for who cannot wait: asking a program for its version takes as
// long as starting it. The first who asks starts that; until it is done, known is false.
func (h *Host) ProgramNow(runtime string) (path, version string, known bool, err error) {
	f := h.runtimes.look(runtime)
	select {
	case <-f.done:
		return f.program.path, f.program.version, true, f.err
	default:
		return "", "", false, nil
	}
}

func (r *runtimes) resolve(ctx context.Context, name string) (program, error) {
	f := r.look(name)
	select {
	case <-f.done:
		return f.program, f.err
	case <-ctx.Done():
		return program{}, ctx.Err()
	}
}

// look gives what is known of a runtime's program, and begins to look for it if nobody
// did. What was not found is looked for again the next time.
func (r *runtimes) look(name string) *finding {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.found[name]; f != nil {
		return f
	}
	f := &finding{done: make(chan struct{})}
	switch {
	case !KnownRuntime(name):
		f.err = &RuntimeError{name, fmt.Sprintf("The runtime %q is not one that Moat can run: it runs nodejsNN.x, python3.N and provided.", name)}
		close(f.done)
		return f
	case strings.HasPrefix(name, "provided"):
		f.program = program{kind: kindProvided}
		close(f.done)
		return f
	}
	if f.err = r.missing(name); f.err != nil {
		close(f.done)
		return f
	}
	if r.found == nil {
		r.found = map[string]*finding{}
	}
	r.found[name] = f
	go r.search(name, f)
	return f
}

// wait returns when no search is under way.
func (r *runtimes) wait() {
	r.mu.Lock()
	under := slices.Collect(maps.Values(r.found))
	r.mu.Unlock()
	for _, f := range under {
		<-f.done
	}
}

func (r *runtimes) search(name string, f *finding) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if strings.HasPrefix(name, "nodejs") {
		f.program, f.err = r.node(ctx, name)
	} else {
		f.program, f.err = r.python(ctx, name)
	}
	close(f.done)
	if f.err != nil {
		r.mu.Lock()
		delete(r.found, name)
		r.mu.Unlock()
	}
}

// ask runs a program that says where it is and what it is, line by line.
func ask(ctx context.Context, path string, args ...string) ([]string, error) {
	out, err := exec.CommandContext(ctx, path, args...).Output()
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n"), nil
}

// missing says at once that there is no program at all that a search could ask.
func (r *runtimes) missing(name string) error {
	if strings.HasPrefix(name, "nodejs") {
		if _, err := r.find("node"); err != nil {
			return &RuntimeError{name, fmt.Sprintf("The runtime %s needs Node.js, and there is no program \"node\" in PATH.", name)}
		}
		return nil
	}
	for _, candidate := range []string{name, "python3"} {
		if _, err := r.find(candidate); err == nil {
			return nil
		}
	}
	return noPython(name)
}

func noPython(name string) error {
	return &RuntimeError{name, fmt.Sprintf("The runtime %s needs Python, and there is no program %q or \"python3\" in PATH that runs.", name, name)}
}

func (r *runtimes) node(ctx context.Context, name string) (program, error) {
	path, err := r.find("node")
	if err != nil {
		return program{}, err
	}
	said, err := askNode(ctx, path)
	if err != nil || len(said) != 2 {
		return program{}, &RuntimeError{name, fmt.Sprintf("The runtime %s needs Node.js, and %s does not run: %v.", name, path, err)}
	}
	real, err := filepath.EvalSymlinks(said[0])
	if err != nil {
		return program{}, &RuntimeError{name, fmt.Sprintf("The runtime %s needs Node.js, and %s is not readable.", name, said[0])}
	}
	return program{kind: kindNode, path: real, version: said[1], dirs: installation(prefix(real), real)}, nil
}

// askNode asks where Node.js is and what it is. A program that is Node.js itself, and
// not a script that chooses one, says its version without starting its engine.
func askNode(ctx context.Context, path string) ([]string, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil && filepath.Base(real) == "node" && isELF(real) {
		said, err := ask(ctx, real, "--version")
		return append([]string{real}, said...), err
	}
	return ask(ctx, path, "-p", `process.execPath+"\n"+process.version`)
}

// isELF tells a compiled program from a script.
func isELF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "\x7fELF"
}

func (r *runtimes) python(ctx context.Context, name string) (program, error) {
	const question = `import sys; print(getattr(sys,"_base_executable",None) or sys.executable); print(sys.base_prefix); print(sys.base_exec_prefix); print("%d.%d.%d" % sys.version_info[:3])`
	for _, candidate := range []string{name, "python3"} {
		path, err := r.find(candidate)
		if err != nil {
			continue
		}
		said, err := ask(ctx, path, "-I", "-S", "-c", question) // nothing of the user's, and no packages: it answers sooner
		if err != nil || len(said) != 4 {
			continue
		}
		real, err := filepath.EvalSymlinks(said[0])
		if err != nil {
			continue
		}
		minor := strings.Join(strings.SplitN(said[3], ".", 3)[:2], ".")
		dirs := installation(prefix(real), real)
		for _, dir := range said[1:3] {
			dirs = append(dirs, installation(dir, filepath.Join(dir, "lib", "python"+minor))...)
		}
		return program{kind: kindPython, path: real, version: said[3], dirs: dirs}, nil
	}
	return program{}, noPython(name)
}

func (r *runtimes) find(name string) (string, error) {
	if p := r.programs[name]; p != "" {
		return p, nil
	}
	return exec.LookPath(name)
}

// prefix gives the folder of an installation whose program is PREFIX/bin/NAME; a
// program elsewhere brings only its own folder.
func prefix(program string) string {
	dir := filepath.Dir(program)
	if filepath.Base(dir) == "bin" {
		return filepath.Dir(dir)
	}
	return dir
}

// installation gives the folder of an installation, which a function gets to see. One
// that is a person's home, or holds it, is more than that: then only what is needed.
func installation(dir, needed string) []string {
	home, err := os.UserHomeDir()
	if err == nil && within(home, dir) || strings.Count(dir, "/") < 2 && dir != "/usr" {
		return []string{needed}
	}
	return []string{dir}
}

func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// major gives the main version of Node.js, as in nodejs20.
func (p program) major() string {
	m, _, _ := strings.Cut(strings.TrimPrefix(p.version, "v"), ".")
	return m
}

// Where an isolated process finds its package, its layers and its bootstrap.
const (
	taskRoot    = "/var/task"
	layerRoot   = "/opt"
	runtimeRoot = "/var/runtime"
)

// check says in advance that a custom runtime has no program to execute.
func (p program) check(path string) error {
	if p.kind != kindProvided {
		return nil
	}
	fi, err := os.Stat(path)
	if err == nil && (fi.IsDir() || fi.Mode()&0o111 == 0) {
		err = os.ErrPermission
	}
	if err != nil {
		return &execError{path, err}
	}
	return nil
}
