package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"moat/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.RunShim(os.Args) // a function's process, when a script runs one
	testscript.Main(m, map[string]func(){"moat": main})
}

// TestScripts runs the README's commands as scripts, against the program itself.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"start": start},
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			for _, name := range []string{"PATH", "GOPATH", "GOMODCACHE", "GOCACHE"} {
				if v := os.Getenv(name); v != "" && name != "PATH" {
					e.Setenv(name, v)
				}
			}
			return nil
		},
	})
}

// start starts `moat ARGS... --json` in the background, waits for its ready line, sets
// MOAT_ENDPOINT, and one variable for each output of its stacks and the administrator's key.
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: start dev|serve ARGS...")
	}
	path := ts.Getenv("PATH")
	program := ""
	for _, dir := range strings.Split(path, string(os.PathListSeparator)) {
		if _, err := os.Stat(dir + "/moat"); err == nil {
			program = dir + "/moat"
			break
		}
	}
	cmd := exec.Command(program, append(args, "--json", "--listen", "127.0.0.1:0")...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PATH="+path, "NO_COLOR=1")
	cmd.Stderr = ts.Stderr()
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		ts.Fatalf("moat %v ended before it was ready", args)
	}
	go func() { // who prints must not wait for a reader
		_, _ = bufio.NewReader(out).WriteTo(discard{})
	}()
	var ready struct {
		Endpoint string
		Stacks   []struct {
			Name    string
			Outputs map[string]string
		}
		Administrator struct{ AccessKeyId, SecretAccessKey string }
	}
	ts.Check(json.Unmarshal([]byte(line), &ready))
	ts.Setenv("MOAT_ENDPOINT", ready.Endpoint)
	for _, s := range ready.Stacks {
		for name, value := range s.Outputs {
			ts.Setenv(name, value)
		}
	}
	if k := ready.Administrator; k.AccessKeyId != "" {
		ts.Setenv("ADMIN_KEY", k.AccessKeyId)
		ts.Setenv("ADMIN_SECRET", k.SecretAccessKey)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
