//go:build !linux

package main

import (
	"errors"
	"time"
)

func processClock(int) (time.Duration, error) {
	return 0, errors.New("the CPU clock of another process is known on Linux only")
}

func flushDisks() {}

func forget(string) error { return errors.New("the kernel is asked to forget a file on Linux only") }

func threadClock() (time.Duration, error) {
	return 0, errors.New("the CPU clock of a thread is known on Linux only")
}
