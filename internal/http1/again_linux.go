//go:build linux && !race

package http1

import (
	"syscall"
	"unsafe"
)

// readAgain reads from a socket that does not block. The scheduler is not told: while it
// believes that a thread may block, it looks after it every few microseconds, and starts another.
func readAgain(fd uintptr, p []byte) (int, error) { return again(trapRead, fd, p, 0) }

// writeAgain writes to one likewise.
func writeAgain(fd uintptr, p []byte) (int, error) { return again(trapWrite, fd, p, writeFlags) }

func again(trap, fd uintptr, p []byte, flags uintptr) (int, error) {
	for {
		n, _, err := syscall.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		switch err {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, syscall.EAGAIN // the constant costs no allocation
		default:
			return 0, err
		}
	}
}
