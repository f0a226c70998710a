//go:build !unix

package store

import (
	"fmt"
	"io"
	"os"
)

// lockFile opens the lock file; this system has no lock that ends with the
// process, so a second process is not kept away.
func lockFile(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return f, nil
}
