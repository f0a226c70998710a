//go:build !unix

package trail

import (
	"io"
	"os"
)

// lockFile opens the lock file; this system has no lock that ends with the process, so a second
// process is not kept away from a chain.
func lockFile(path string) (io.Closer, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }
