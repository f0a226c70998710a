package storetest

import "syscall"

// childAttr has the kernel stop the server when the test process is killed.
func childAttr(cred *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: cred, Pdeathsig: syscall.SIGINT}
}
