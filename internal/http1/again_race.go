//go:build linux && race

package http1

import "syscall"

// The race detector is told by package syscall that who reads has seen what who wrote had done.

func readAgain(fd uintptr, p []byte) (int, error) { return again(syscall.Read, fd, p) }

func writeAgain(fd uintptr, p []byte) (int, error) { return again(syscall.Write, fd, p) }

func again(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(int(fd), p)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}
