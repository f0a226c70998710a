//go:build linux && !(amd64 || arm64 || riscv64 || loong64)

package http1

import "syscall"

const (
	trapRead   = syscall.SYS_READ
	trapWrite  = syscall.SYS_WRITE
	writeFlags = 0
)
