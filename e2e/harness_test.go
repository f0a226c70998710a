package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyWithin = 60 * time.Second // a first start compiles the example's Go function
	endWithin   = 15 * time.Second
	region      = "us-east-1"
	account     = "000000000000"
)

func TestMain(m *testing.M) {
	if err := adoptOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, "the tests cannot watch for processes that are left behind:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// moatBinary is the program under test.
func moatBinary() string {
	path := os.Getenv("MOAT_BIN")
	if path == "" {
		path = "../bin/moat"
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// environment is this process's without what would reach another AWS or another Moat.
func environment(extra ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") && !strings.HasPrefix(kv, "MOAT_") {
			env = append(env, kv)
		}
	}
	return append(append(env, "AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=", "NO_COLOR=1"), extra...)
}

// requestEvent is the line that `moat dev --json` prints for a request.
type requestEvent struct {
	Event, RequestID, Kind, Method, Path, Operation, Who, Step, Grounds, Error string
	Status                                                                     int
}

// readyEvent is the first line of `moat dev --json` and `moat serve --json`.
type readyEvent struct {
	Event, Endpoint string
	Stacks          []struct {
		Name    string
		Outputs map[string]string
	}
	Administrator struct{ AccessKeyID, SecretAccessKey string }
}

// server is a running `moat dev` or `moat serve`.
type server struct {
	cmd      *exec.Cmd
	endpoint string
	ready    readyEvent
	client   *http.Client
	done     chan struct{} // closed when the process has ended

	mu       sync.Mutex
	requests map[string]requestEvent // by request id
	lines    []string                // all of standard output
	stderr   bytes.Buffer
	waitErr  error
}

// launch starts `moat ARGS...` and waits until it is ready. When the process ends before
// that, the error carries its exit code and what it said.
func launch(args []string, env ...string) (*server, error) {
	s := &server{
		cmd: exec.Command(moatBinary(), args...), done: make(chan struct{}), requests: map[string]requestEvent{},
		client: &http.Client{
			Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	s.cmd.Env = environment(env...)
	s.cmd.Stderr = &lockedWriter{&s.mu, &s.stderr}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := family.start(s.cmd); err != nil {
		return nil, err
	}
	ready := make(chan readyEvent, 1)
	go s.read(stdout, ready)
	select {
	case s.ready = <-ready:
		s.endpoint = s.ready.Endpoint
		return s, nil
	case <-s.done:
		return nil, fmt.Errorf("moat %s ended before it was ready: %v\n%s", strings.Join(args, " "), s.waitErr, s.errors())
	case <-time.After(readyWithin):
		s.kill()
		return nil, fmt.Errorf("moat %s was not ready within %v\n%s", strings.Join(args, " "), readyWithin, s.errors())
	}
}

// start launches a server that the test ends, checking that it ends cleanly and leaves
// no process behind.
func start(t *testing.T, args []string, env ...string) *server {
	t.Helper()
	s, err := launch(args, env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(t) })
	return s
}

func (s *server) read(stdout io.Reader, ready chan<- readyEvent) {
	in := bufio.NewScanner(stdout)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		s.line(in.Bytes(), ready)
	}
	s.waitErr = family.wait(s.cmd)
	close(s.done)
}

func (s *server) line(line []byte, ready chan<- readyEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, string(line))
	var kind struct{ Event string }
	if json.Unmarshal(line, &kind) != nil {
		return
	}
	switch kind.Event {
	case "ready":
		var e readyEvent
		if json.Unmarshal(line, &e) == nil {
			select {
			case ready <- e:
			default:
			}
		}
	case "request":
		var e requestEvent
		if json.Unmarshal(line, &e) == nil {
			s.requests[e.RequestID] = e
		}
	}
}

// event finds the line of a request, which may be printed a moment after its answer.
func (s *server) event(ctx context.Context, requestID string) (requestEvent, error) {
	var e requestEvent
	err := until(ctx, 5*time.Second, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		var ok bool
		if e, ok = s.requests[requestID]; !ok {
			return fmt.Errorf("no line was printed for request %q", requestID)
		}
		return nil
	})
	return e, err
}

// errors is what the server wrote to standard error.
func (s *server) errors() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// output is what the server wrote to standard output.
func (s *server) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// stop ends the server as an operator does and fails the test unless it ends well. It may
// be called more than once.
func (s *server) stop(t *testing.T) {
	t.Helper()
	s.client.CloseIdleConnections()
	select {
	case <-s.done: // by an earlier stop or kill
		return
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	select {
	case <-s.done:
		if s.waitErr != nil {
			t.Errorf("the server ended with %v\n%s", s.waitErr, s.errors())
		}
	case <-time.After(endWithin):
		t.Errorf("the server did not end within %v of SIGTERM", endWithin)
		s.kill()
	}
	if t.Failed() {
		t.Logf("standard error of the server:\n%s", s.errors())
	}
	family.checkNoneLeft(t)
}

// kill ends the server without warning (SIGKILL) and waits until it is gone.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
	s.client.CloseIdleConnections()
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstandard output: %s\nstandard error: %s", r.code, r.stdout, r.stderr)
}

// command runs a program to its end.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, env, 5*time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := family.start(cmd); err != nil {
		return result{}, err
	}
	err := family.wait(cmd)
	r := result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) && r.code >= 0 {
		err = nil
	}
	return r, err
}

// moat runs a command of the binary to its end.
func moat(t *testing.T, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := command(ctx, "", env, moatBinary(), args...)
	if err != nil {
		t.Fatalf("moat %s: %v\n%s", strings.Join(args, " "), err, r)
	}
	return r
}

// until calls f until it gives no error; the last error is returned when time is up.
func until(ctx context.Context, limit time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
