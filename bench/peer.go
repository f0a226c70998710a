package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// meter tells what the processes of a contender have spent on a processor.
type meter interface {
	cpu() (time.Duration, error)
}

// peer is another proxy in front of the same backend. Its processes are its own program's
// and those that it starts: nginx works in children.
type peer struct {
	name, address string
	cmd           *exec.Cmd
	output        bytes.Buffer
	done          chan struct{}
}

// startPeer runs a program until it answers on its address.
func startPeer(ctx context.Context, dir, name, address, program string, args ...string) (*peer, error) {
	p := &peer{name: name, address: address, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(environment(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is told by its output
		close(p.done)
	}()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.done:
			return nil, fmt.Errorf("%s ended at once: %s", name, &p.output)
		default:
		}
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return p, c.Close()
		}
	}
	p.stop()
	return nil, errors.Join(ctx.Err(), fmt.Errorf("%s does not answer on %s: %s", name, address, &p.output))
}

func (p *peer) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(endWithin):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// cpu sums the processor time of the peer's processes.
func (p *peer) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range family(p.cmd.Process.Pid) {
		d, err := processClock(pid)
		if err != nil {
			if d, err = statTime(pid); err != nil {
				return 0, err
			}
		}
		sum += d
	}
	return sum, nil
}

// family is a process with its children.
func family(pid int) []int {
	out := []int{pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(f) > 1 && f[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			out = append(out, child)
		}
	}
	return out
}

// residents sums a figure of /proc/PID/status (VmHWM: the peak of the memory that was resident) in MiB.
func residents(figure string, pids ...int) float64 {
	sum := 0.0
	for _, pid := range pids {
		kib, _, _ := strings.Cut(field(fmt.Sprintf("/proc/%d/status", pid), figure), " ")
		n, _ := strconv.ParseFloat(kib, 64)
		sum += n / 1024
	}
	return sum
}

// freeAddress is one that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
