package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// shimName is what the shim is called: no program calls itself so by chance.
const shimName = "moat-sandbox-shim"

// controlFD is the shim's end of its socket to the host.
const controlFD = 3

// shimConfig tells the shim what to build around which program.
type shimConfig struct {
	Argv, Env     []string
	Probe         bool // build everything, execute nothing
	UID           int  // what the function runs as, in its namespace
	OwnIDs        bool // the namespace has root too, so the shim must become UID
	Network       Network
	APIPort, Door int
	Dirs          []string          // bound read-only at their own place
	Package       string            // becomes /var/task
	Layers        []string          // become /opt
	Files         map[string][]byte // in /var/runtime
	EphemeralMB   int
	Hosts         map[string][]byte // files of /etc
}

// shimMessage is what the shim answers.
type shimMessage struct {
	Step, Error string // empty: the sockets come along
	Errno       int
}

// RunShim returns at once unless this process was started to become a function. Every
// program that makes a Host calls it before anything else, with os.Args; it does not
// return then: the process builds its sandbox from the inside and executes the runtime.
func RunShim(args []string) {
	if len(args) == 0 || args[0] != shimName {
		return
	}
	runtime.LockOSThread() // what belongs to a thread must be of the one that executes
	s := &shim{}
	err := s.run()
	if err != nil {
		s.say(err)
	}
	os.Exit(1)
}

type shim struct {
	cfg  shimConfig
	step string
}

func (s *shim) run() error {
	unix.CloseOnExec(controlFD)
	if err := s.receive(); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"setting up the network", s.network},
		{"naming the host", s.hostname},
		{"taking a root of its own", s.pivot},
		{"binding the system", s.system},
		{"mounting devices", s.devices},
		{"mounting processes", s.processes},
		{"binding the package", s.packages},
		{"closing the root", s.close},
		{"applying Landlock", applyLandlock},
		{"limiting resources", s.limits},
		{"dropping privileges", s.drop},
		{"filtering system calls", applySeccomp},
	} {
		s.step = step.name
		if err := step.do(); err != nil {
			return err
		}
	}
	if s.cfg.Probe {
		os.Exit(0)
	}
	s.step = "executing"
	return unix.Exec(s.cfg.Argv[0], s.cfg.Argv, s.cfg.Env)
}

func (s *shim) receive() error {
	s.step = "reading its orders"
	buf := make([]byte, 1<<20)
	n, err := unix.Read(controlFD, buf)
	if err != nil {
		return err
	}
	return json.Unmarshal(buf[:n], &s.cfg)
}

func (s *shim) say(err error) {
	m := shimMessage{Step: s.step, Error: err.Error()}
	if errno, ok := err.(syscall.Errno); ok {
		m.Errno = int(errno)
	}
	if b, err := json.Marshal(m); err == nil {
		_, _ = unix.Write(controlFD, b)
	}
}

// network brings the loopback up, listens on it, and gives the sockets to the host: a
// socket stays in the network it was made in, whoever holds it.
func (s *shim) network() error {
	if s.cfg.Network == NetworkHost {
		return nil
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return err
	}
	var fds []int
	for _, port := range []int{s.cfg.APIPort, s.cfg.Door} {
		if port == 0 {
			continue
		}
		l, err := listenLoopback(port)
		if err != nil {
			return err
		}
		defer unix.Close(l)
		fds = append(fds, l)
	}
	return unix.Sendmsg(controlFD, []byte("{}"), unix.UnixRights(fds...), nil, 0)
}

func listenLoopback(port int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = unix.Listen(fd, 128)
	}
	if err != nil {
		_ = unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

func (s *shim) hostname() error { return unix.Sethostname([]byte("function")) }

func (s *shim) limits() error {
	for _, l := range []struct {
		what     int
		cur, max uint64
	}{
		{unix.RLIMIT_CORE, 0, 0},
		{unix.RLIMIT_NOFILE, 1024, 1024},
		{unix.RLIMIT_NPROC, maxProcesses, maxProcesses},
		{unix.RLIMIT_MEMLOCK, 64 << 10, 64 << 10},
	} {
		if err := unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.cur, Max: l.max}); err != nil {
			return fmt.Errorf("limit %d: %w", l.what, err)
		}
	}
	return nil
}

// drop gives up what the shim could do, for good.
func (s *shim) drop() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	for c := uintptr(0); c < 64; c++ { // beyond the last one the kernel answers EINVAL
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && err != unix.EINVAL {
			return fmt.Errorf("capability %d: %w", c, err)
		}
	}
	if s.cfg.OwnIDs {
		if err := syscall.Setgroups(nil); err != nil {
			return err
		}
		if err := syscall.Setresgid(s.cfg.UID, s.cfg.UID, s.cfg.UID); err != nil {
			return err
		}
		if err := syscall.Setresuid(s.cfg.UID, s.cfg.UID, s.cfg.UID); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	// Nothing that this process was started with reaches the function but its output.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return err
	}
	// Changing the user has cleared this.
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
}
