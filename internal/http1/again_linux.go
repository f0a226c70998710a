//go:build linux && !race

package http1

import (
	"syscall"
	"unsafe"
)

// readAgain is read(2) of a descriptor that does not block. The scheduler is not told: while it
// believes that a thread may block, it looks after it every few microseconds, and starts another.
func readAgain(fd uintptr, p []byte) (int, error) { return again(syscall.SYS_READ, fd, p) }

// writeAgain is write(2) likewise.
func writeAgain(fd uintptr, p []byte) (int, error) { return again(syscall.SYS_WRITE, fd, p) }

func again(trap, fd uintptr, p []byte) (int, error) {
	for {
		n, _, err := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
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
