//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"syscall"
)

// RunShim returns at once: there is no isolation outside Linux.
func RunShim([]string) {}

func plainAttributes() *syscall.SysProcAttr { return nil }

func killTree(cmd *exec.Cmd, _ *cgroup) { _ = cmd.Process.Kill() }

func probeIsolation(context.Context, *Host) error {
	return &IsolationError{"isolating", errors.New("it needs Linux, and this is " + runtime.GOOS)}
}

func (h *Host) launchIsolated(context.Context, *Spec, program, map[string]string) (*launched, error) {
	return nil, &IsolationError{"isolating", errors.New("it needs Linux, and this is " + runtime.GOOS)}
}
