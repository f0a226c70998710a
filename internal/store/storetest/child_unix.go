//go:build unix && !linux

package storetest

import "syscall"

func childAttr(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: cred}
}
