package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fails runs `moat ARGS...`, which must end at once with an exit code and one sentence that
// holds all of the words.
func fails(t *testing.T, env []string, code int, words string, args ...string) {
	t.Helper()
	r := moat(t, env, args...)
	said := strings.TrimSuffix(r.stderr, "\n")
	if r.code != code || !strings.HasPrefix(said, "moat: ") || strings.Contains(said, "\n") {
		t.Errorf("moat %s: want exit code %d and one sentence, got %s", strings.Join(args, " "), code, r)
	}
	for word := range strings.SplitSeq(words, "|") {
		if !strings.Contains(said, word) {
			t.Errorf("moat %s: want a sentence with %q, got %s", strings.Join(args, " "), word, r)
		}
	}
}

// TestStart has starts fail: each says why in one sentence.
func TestStart(t *testing.T) {
	t.Parallel()
	env := environment()
	any := func(args ...string) []string {
		return append([]string{"--listen", "127.0.0.1:0", "--data", t.TempDir()}, args...)
	}
	t.Run("port in use", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		at := l.Addr().String()
		for _, mode := range []string{"dev", "serve"} {
			fails(t, env, 1, at+"|in use", mode, "--listen", at, "--data", t.TempDir())
		}
	})
	t.Run("wrong master key", func(t *testing.T) { t.Parallel(); wrongMasterKey(t) })
	t.Run("newer data folder", func(t *testing.T) { t.Parallel(); newerLayout(t) })
	t.Run("data folder in use", func(t *testing.T) {
		t.Parallel()
		data := t.TempDir()
		start(t, []string{"serve", "--json", "--listen", "127.0.0.1:0", "--data", data})
		fails(t, env, 1, "another", "serve", "--listen", "127.0.0.1:0", "--data", data)
	})
	t.Run("data folder that cannot be", func(t *testing.T) {
		t.Parallel()
		fails(t, env, 1, "/proc/nothing", "serve", "--listen", "127.0.0.1:0", "--data", "/proc/nothing")
	})
	t.Run("missing runtime", func(t *testing.T) { t.Parallel(); missingRuntime(t) })
	for name, row := range map[string]struct {
		words string
		args  []string
	}{
		"dev for everybody": {"loopback", []string{"dev", "--listen", "0.0.0.0:0"}},
		"unknown command":   {"nothing", []string{"nothing"}},
		"unknown flag":      {"--nothing", []string{"dev", "--nothing"}},
		"account":           {"--account|twelve digits", append([]string{"serve", "--account", "1"}, any()...)},
		"region":            {"--region", append([]string{"serve", "--region", "here"}, any()...)},
		"listen":            {"--listen", []string{"serve", "--listen", "nowhere"}},
		"no such template":  {"nothing.yaml", append([]string{"dev"}, any("nothing.yaml")...)},
		"deploy without":    {"template", []string{"deploy"}},
		"run without":       {"command", []string{"run"}},
		"parameter":         {"Name=Value", append([]string{"dev"}, any("--parameter", "x", "testdata/small/template.yaml")...)},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); fails(t, env, 2, row.words, row.args...) })
	}
	t.Run("a folder for a template", func(t *testing.T) {
		t.Parallel()
		fails(t, env, 1, "testdata/small|directory", append([]string{"dev"}, any("testdata/small")...)...)
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		for _, args := range [][]string{{"call", "/courses"}, {"run", "--", "true"}, {"deploy", "testdata/small/template.yaml"}, {"delete", "small"}, {"token", "--scope", "x"}} {
			fails(t, environment("MOAT_ENDPOINT=http://127.0.0.1:1"), 1, "no Moat answers at http://127.0.0.1:1", args...)
		}
	})
}

// serveOnce makes a data folder as an installation leaves it.
func serveOnce(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	s := start(t, []string{"serve", "--json", "--listen", "127.0.0.1:0", "--data", data})
	s.stop(t)
	return data
}

func wrongMasterKey(t *testing.T) {
	data := serveOnce(t)
	args := []string{"serve", "--listen", "127.0.0.1:0", "--data", data}
	file := filepath.Join(data, "master.key")
	if err := os.WriteFile(file, []byte(strings.Repeat("0f", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, environment(), 1, "master key", args...)
	if err := os.WriteFile(file, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, environment(), 1, "master key|64", args...)
	fails(t, environment(), 1, "master key|/nothing", append(args, "--master-key-file", "/nothing")...)
}

// newerLayout marks a database as a later Moat would.
func newerLayout(t *testing.T) {
	data := serveOnce(t)
	files, err := filepath.Glob(filepath.Join(data, "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("want one database in %s, got %v, %v", data, files, err)
	}
	const script = `import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
assert db.execute("UPDATE moat_meta SET value = '99' WHERE name = 'layout'").rowcount == 1
db.commit()`
	r, err := command(t.Context(), "", environment(), tool(t, "python3"), "-c", script, files[0])
	if err != nil || r.code != 0 {
		t.Fatalf("%v: %s", err, r)
	}
	fails(t, environment(), 1, "newer Moat|99", "serve", "--listen", "127.0.0.1:0", "--data", data)
}

// missingRuntime: without Node.js a function that needs it does not run, and the operator
// is told why.
func missingRuntime(t *testing.T) {
	s := start(t, []string{"dev", "--json", "--listen", "127.0.0.1:0", "--data", t.TempDir(), "testdata/faults/template.yaml"}, "PATH=/nothing")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.ready.Stacks[0].Outputs["ApiUrl"]+"/good", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := s.check(t, req, want{status: 500, body: internalError, errorType: "InternalServerErrorException"})
	e, err := s.event(t.Context(), a.header.Get("X-Amzn-Requestid"))
	if err != nil || !strings.Contains(e.Grounds, `The runtime nodejs20.x needs Node.js, and there is no program "node" in PATH.`) {
		t.Errorf("the operator is told %q, %v", e.Grounds, err)
	}
}
