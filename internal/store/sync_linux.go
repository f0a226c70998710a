package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData returns when what a file holds is on the disk, be its times or not.
func syncData(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
