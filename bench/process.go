package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Times that a process gets.
const (
	readyWithin = 2 * time.Minute // a first start may compile a function
	endWithin   = 30 * time.Second
)

// process is a running Moat.
type process struct {
	cmd    *exec.Cmd
	ready  time.Duration // from exec to the line that says so
	event  readyEvent
	stderr bytes.Buffer
	done   chan struct{} // closed when it has ended
	err    error         // how it ended
}

// readyEvent is what `moat dev --json` and `moat serve --json` print first.
type readyEvent struct {
	Event, Endpoint string
	Administrator   struct{ AccessKeyID, SecretAccessKey string }
}

// start runs `moat ARGS...` until the reader of its lines is satisfied.
func (b *bench) start(ctx context.Context, ready func(line string, e *readyEvent) bool, env []string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(b.binary, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = b.dir, append(environment(), env...), &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	seen := make(chan time.Time, 1)
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.read(out, seen, ready)
	select {
	case at := <-seen:
		p.ready = at.Sub(began)
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("moat %s ended before it was ready: %w\n%s", strings.Join(args, " "), p.err, &p.stderr)
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(readyWithin):
		err = fmt.Errorf("moat %s was not ready within %v", strings.Join(args, " "), readyWithin)
	}
	p.stop()
	return nil, err
}

// read takes all lines: a process whose output nobody reads stands still.
func (p *process) read(out io.Reader, seen chan<- time.Time, ready func(string, *readyEvent) bool) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		at := time.Now()
		if seen != nil && ready(in.Text(), &p.event) {
			seen <- at
			seen = nil
		}
	}
	p.err = p.cmd.Wait()
	if p.err == nil {
		p.err = errors.New("exit code 0")
	}
	close(p.done)
}

// stop ends the process as an operator does, and kills it when that does not help.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(endWithin):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// readyJSON recognises the first line of --json.
func readyJSON(line string, e *readyEvent) bool {
	return json.Unmarshal([]byte(line), e) == nil && e.Event == "ready"
}

// readyText recognises what `moat serve` prints for people: with --json it would print
// a line per request, too, and those would be measured along.
func readyText(line string, e *readyEvent) bool {
	if at, ok := strings.CutPrefix(line, "Moat serves at "); ok {
		e.Endpoint = strings.TrimSpace(at)
	}
	f := strings.Fields(line)
	if len(f) == 2 && f[0] == "AWS_ACCESS_KEY_ID" {
		e.Administrator.AccessKeyID = f[1]
	}
	if len(f) == 2 && f[0] == "AWS_SECRET_ACCESS_KEY" {
		e.Administrator.SecretAccessKey = f[1]
	}
	return e.Administrator.SecretAccessKey != ""
}

// environment is this process's without what would change the server's behaviour.
func environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") && !strings.HasPrefix(kv, "MOAT_") && !strings.HasPrefix(kv, "GOMAXPROCS=") && !strings.HasPrefix(kv, "GOGC=") {
			env = append(env, kv)
		}
	}
	return append(env, "NO_COLOR=1")
}

// cpu is the time that all threads of the process have spent on a processor, in user
// and in kernel mode; the processes of functions are not in it.
func (p *process) cpu() (time.Duration, error) {
	if d, err := processClock(p.cmd.Process.Pid); err == nil {
		return d, nil
	}
	return statTime(p.cmd.Process.Pid)
}

// statTime reads utime and stime of /proc/PID/stat (proc(5)), in ticks of 10 ms.
func statTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name before it may hold spaces
	if len(f) < 13 {
		return 0, errors.New("/proc/PID/stat is not as expected")
	}
	var ticks int64
	for _, field := range f[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// memory reads a figure of /proc/PID/smaps_rollup, such as Rss or Pss, in MiB.
func (p *process) memory(name string) (float64, error) {
	text := field(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid), name)
	kib, _, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(kib)
	if err != nil {
		return 0, fmt.Errorf("the kernel does not say %s: %w", name, err)
	}
	return float64(n) / 1024, nil
}
