package sandbox

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The answers of the filter.
const (
	retAllow   = unix.SECCOMP_RET_ALLOW
	retKill    = unix.SECCOMP_RET_KILL_PROCESS
	retRefuse  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	retUnknown = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	retFamily  = unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)
)

// Offsets of struct seccomp_data.
const (
	offNumber = 0
	offArch   = 4
	offArg0   = 16
	offArg1   = 24
	offArg2   = 32
)

// namespaceFlags are the flags of clone that make namespaces: each is a door to parts
// of the kernel that a function has no business with.
const namespaceFlags = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// applySeccomp puts the calling thread, and whatever it will execute, behind the filter.
func applySeccomp() error {
	program, err := seccompProgram()
	if err != nil {
		return err
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return errno
	}
	return nil
}

// seccompProgram writes the filter: what is listed as allowed is allowed, what is listed
// as refused answers EPERM, and everything else, the system calls of tomorrow included,
// answers ENOSYS, upon which programs fall back to an older one.
func seccompProgram() ([]unix.SockFilter, error) {
	if auditArch == 0 {
		return nil, errors.New("there is no filter for " + runtime.GOARCH)
	}
	var p []unix.SockFilter
	load := func(offset uint32) {
		p = append(p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset})
	}
	// unless jumps over the next instructions if the comparison fails.
	when := func(test uint16, k uint32, then ...unix.SockFilter) {
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: k, Jf: uint8(len(then))})
		p = append(p, then...)
	}
	ret := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
	}
	load(offArch)
	p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: auditArch, Jt: 1}, ret(retKill))
	load(offNumber)
	if foreignBit != 0 { // the x32 calls share the architecture of the 64-bit ones
		when(unix.BPF_JSET, foreignBit, ret(retUnknown))
	}
	for _, nr := range allowedCalls() {
		when(unix.BPF_JEQ, uint32(nr), ret(retAllow))
	}
	for _, nr := range refusedCalls() {
		when(unix.BPF_JEQ, uint32(nr), ret(retRefuse))
	}
	arg := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	when(unix.BPF_JEQ, unix.SYS_CLONE,
		arg(offArg0),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: namespaceFlags, Jf: 1},
		ret(retRefuse),
		ret(retAllow))
	when(unix.BPF_JEQ, unix.SYS_IOCTL, // TIOCSTI and TIOCLINUX type into a terminal
		arg(offArg1),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.TIOCSTI, Jt: 1},
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x541c, Jf: 1},
		ret(retRefuse),
		ret(retAllow))
	for _, nr := range []uint32{unix.SYS_SOCKET, unix.SYS_SOCKETPAIR} {
		when(unix.BPF_JEQ, nr, socketFilter(ret, arg)...)
	}
	p = append(p, ret(retUnknown))
	if len(p) > 4096 {
		return nil, fmt.Errorf("the filter has %d instructions", len(p))
	}
	return p, nil
}

// socketFilter allows the families that programs need. AF_VSOCK above all is left out:
// it reaches the machine's own host, and no network namespace confines it.
func socketFilter(ret func(uint32) unix.SockFilter, arg func(uint32) unix.SockFilter) []unix.SockFilter {
	is := func(k uint32, jt, jf uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: jt, Jf: jf}
	}
	return []unix.SockFilter{
		arg(offArg0),
		is(unix.AF_UNIX, 5, 0),
		is(unix.AF_INET, 4, 0),
		is(unix.AF_INET6, 3, 0),
		is(unix.AF_NETLINK, 0, 3),
		arg(offArg2), // of netlink, the list of interfaces and addresses only
		is(unix.NETLINK_ROUTE, 0, 1),
		ret(retAllow),
		ret(retFamily),
	}
}
