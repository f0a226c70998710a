//go:build unix

package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile takes the lock that keeps a second process away from a SQLite file.
// The lock ends with the process, also when it is killed.
func lockFile(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("store: another Moat uses this data folder (%s is locked)", path)
		}
		return nil, errors.Join(err, f.Close())
	}
	return fileLock{f}, nil
}

// fileLock gives its lock back by name: a process that is being started holds every open file for a moment, and with the
// file the lock, which closing it here would leave there.
type fileLock struct{ f *os.File }

func (l fileLock) Close() error {
	return errors.Join(unix.Flock(int(l.f.Fd()), unix.LOCK_UN), l.f.Close())
}
