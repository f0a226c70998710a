package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes every process whose parent ends before it a child of this one, so
// that what a server leaves behind can be found.
func adoptOrphans() error {
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// family knows which children the tests started; any other child was left behind.
var family = &processes{ours: map[int]bool{}}

type processes struct {
	mu   sync.Mutex
	ours map[int]bool
}

func (p *processes) start(cmd *exec.Cmd) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := cmd.Start()
	if err == nil {
		p.ours[cmd.Process.Pid] = true
	}
	return err
}

func (p *processes) wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.ours, cmd.Process.Pid)
	return err
}

// checkNoneLeft fails the test when a process outlives the server that started it, and
// ends that process.
func (p *processes) checkNoneLeft(t *testing.T) {
	t.Helper()
	err := until(context.Background(), 5*time.Second, func() error { // the test's own context ends before its clean-up
		left := p.left()
		if len(left) == 0 {
			return nil
		}
		return fmt.Errorf("%v", left)
	})
	if err == nil {
		return
	}
	for pid, what := range p.left() {
		t.Errorf("process %d was left behind: %s", pid, what)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// left lists adopted children that still run, with their command lines; ended ones it reaps.
func (p *processes) left() map[int]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[int]string{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return out
	}
	for _, file := range stats {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || p.ours[pid] || parent(file) != os.Getpid() {
			continue
		}
		var status unix.WaitStatus
		if got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); err == nil && got == pid {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err == nil {
			out[pid] = string(bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '}))
		}
	}
	return out
}

// parent reads the fourth field of /proc/PID/stat (proc(5)); the second may hold spaces.
func parent(file string) int {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(b[bytes.LastIndexByte(b, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 2 {
		return 0
	}
	pid, _ := strconv.Atoi(fields[1])
	return pid
}

// The watch itself: a process that its parent leaves behind is found, and ended.
func TestProcesses_LeftBehind(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & echo $!")
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.WaitDelay = time.Millisecond // the sleep keeps the pipe open
	if err := family.start(cmd); err != nil {
		t.Fatal(err)
	}
	_ = family.wait(cmd)
	pid, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if err != nil {
		t.Fatalf("the shell printed %q", out.String())
	}
	if got := family.left()[pid]; got != "sleep 60" {
		t.Errorf("got %q, want the sleep that was left behind", got)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := until(t.Context(), 5*time.Second, func() error {
		if what, there := family.left()[pid]; there {
			return fmt.Errorf("process %d is still there: %s", pid, what)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
