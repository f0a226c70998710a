//go:build !linux

package store

import "os"

// syncData returns when what a file holds is on the disk.
func syncData(f *os.File) error { return f.Sync() }
