//go:build amd64 || arm64 || riscv64 || loong64

package http1

import "syscall"

// What sockets are read and written by: recvfrom and sendto pass by what read and write do for files.
const (
	trapRead   = syscall.SYS_RECVFROM
	trapWrite  = syscall.SYS_SENDTO
	writeFlags = syscall.MSG_NOSIGNAL
)
