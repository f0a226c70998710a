package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// functionUID is what a function sees itself run as.
	functionUID = 70000
	// hostUIDs is the first user id of the machine that environments get when Moat is
	// root: one each, in a range that no distribution gives to anybody.
	hostUIDs  = 0x70000000
	hostUIDsN = 1 << 16
	// mappedIDs is how many ids of the machine the shim itself can see the files of.
	mappedIDs = 65536
)

// shimTimeout bounds the building of a sandbox.
const shimTimeout = 20 * time.Second

// plainAttributes makes an unisolated process the leader of a group that can be killed
// as one, and that does not outlive this one.
func plainAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killTree ends a process and what it has started.
func killTree(cmd *exec.Cmd, g *cgroup) {
	if cmd.SysProcAttr != nil && cmd.SysProcAttr.Setpgid {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if g != nil && g.version == "v2" {
		_ = write(g.dirs["pids"], "cgroup.kill", "1")
	}
	_ = cmd.Process.Kill() // the first process of a PID namespace takes all others along
}

// probeIsolation builds a sandbox in which nothing runs.
func probeIsolation(ctx context.Context, h *Host) error {
	l, err := h.startShim(ctx, shimConfig{Probe: true, Network: NetworkNone, APIPort: apiPort, EphemeralMB: 1}, nil)
	if err != nil {
		var iso *IsolationError
		if !errors.As(err, &iso) {
			err = &IsolationError{"starting the shim", err}
		}
		return err
	}
	_ = l.cmd.Wait()
	l.abandon()
	return nil
}

// launchIsolated starts a process in a sandbox.
func (h *Host) launchIsolated(ctx context.Context, spec *Spec, p program, extra map[string]string) (*launched, error) {
	port := apiPort
	if port == h.cfg.EndpointPort {
		port++
	}
	where := layout{task: taskRoot, runtime: runtimeRoot, api: "127.0.0.1:" + strconv.Itoa(port)}
	if len(spec.Layers) > 0 {
		where.layers = []string{layerRoot}
	}
	cfg := shimConfig{
		Network: h.cfg.Network, APIPort: port, Door: h.cfg.EndpointPort,
		Dirs: p.dirs, Package: spec.Package, Layers: spec.Layers, EphemeralMB: max(spec.EphemeralMB, 1), Files: p.files(),
	}
	if h.cfg.Endpoint == nil {
		cfg.Door = 0
	}
	var host *launched
	if h.cfg.Network == NetworkHost {
		var err error
		if host, err = h.listenHost(); err != nil {
			return nil, err
		}
		where.api = host.api.Addr().String() + host.secret
	}
	cfg.Argv = p.command(where, spec)
	if wrapper := extra["AWS_LAMBDA_EXEC_WRAPPER"]; wrapper != "" && p.kind != kindProvided {
		cfg.Argv = append([]string{wrapper}, cfg.Argv...) // "Modifying the runtime environment"
	}
	cfg.Env = p.environment(where, spec, extra)
	l, err := h.startShim(ctx, cfg, spec)
	if host != nil {
		if err != nil {
			_ = host.api.Close()
			return nil, err
		}
		l.api, l.secret = host.api, host.secret
	}
	return l, err
}

// startShim starts this program as the shim, in new namespaces, and returns when it
// has executed what it was told to.
func (h *Host) startShim(ctx context.Context, cfg shimConfig, spec *Spec) (*launched, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	defer ours.Close()
	exe := h.cfg.Executable
	if exe == "" {
		exe = "/proc/self/exe"
	}
	l := &launched{cmd: &exec.Cmd{Path: exe, Args: []string{shimName}, Env: []string{}, ExtraFiles: []*os.File{theirs}, Dir: "/"}}
	h.mu.Lock()
	h.slots++
	slot := h.slots % hostUIDsN
	h.mu.Unlock()
	l.cmd.SysProcAttr, cfg.OwnIDs = isolatedAttributes(cfg.Network, int(slot))
	cfg.UID = functionUID
	cfg.Hosts = etcFiles(cfg.Network)
	if err := l.begin(); err != nil {
		return nil, &IsolationError{"creating namespaces", err}
	}
	_ = theirs.Close()
	if err := h.instruct(ctx, l, ours, cfg, spec); err != nil {
		l.abandon()
		return nil, err
	}
	return l, nil
}

// instruct puts the shim under its limits, tells it what to build and hears how it went.
func (h *Host) instruct(ctx context.Context, l *launched, control *os.File, cfg shimConfig, spec *Spec) error {
	var err error
	if spec != nil {
		if l.group, err = h.groups.create(spec); err != nil {
			return err
		}
		if err = l.group.add(l.cmd.Process.Pid); err != nil {
			return err
		}
	}
	fc, err := net.FileConn(control)
	if err != nil {
		return err
	}
	conn := fc.(*net.UnixConn)
	defer conn.Close()
	deadline := time.Now().Add(shimTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = conn.SetDeadline(deadline)
	orders, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	if _, err := conn.Write(orders); err != nil {
		return fmt.Errorf("instructing the shim: %w", err)
	}
	for {
		buf, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(2*4))
		n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
		if errors.Is(err, io.EOF) || err == nil && n == 0 { // the socket closes when the program is executed
			return h.began(l, cfg)
		}
		if err != nil {
			return &IsolationError{"waiting for the shim", err}
		}
		var m shimMessage
		if err := json.Unmarshal(buf[:n], &m); err != nil {
			return &IsolationError{"hearing the shim", err}
		}
		if m.Error != "" {
			return m.failure(cfg)
		}
		if err := l.listen(oob[:oobn]); err != nil {
			return err
		}
	}
}

// began checks that the shim came as far as it should have.
func (h *Host) began(l *launched, cfg shimConfig) error {
	if cfg.Network == NetworkNone && l.api == nil {
		return &IsolationError{"starting the shim", errors.New("it ended early: does the program call sandbox.RunShim first?")}
	}
	return nil
}

// failure tells what the machine refuses from what the package lacks.
func (m *shimMessage) failure(cfg shimConfig) error {
	var err error = errors.New(m.Error)
	if m.Errno != 0 {
		err = syscall.Errno(m.Errno)
	}
	if m.Step == "executing" {
		return &execError{cfg.Argv[0], err}
	}
	return &IsolationError{m.Step, err}
}

// listen takes the sockets that came with a message.
func (l *launched) listen(oob []byte) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return err
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return err
		}
		for n, fd := range fds {
			unix.CloseOnExec(fd)
			listener, err := fileListener(fd, "listener")
			if err != nil {
				return err
			}
			if n == 0 {
				l.api = listener
			} else {
				l.door = listener
			}
		}
	}
	return nil
}

// isolatedAttributes gives the namespaces of a shim, and whether it has ids to change to.
func isolatedAttributes(network Network, slot int) (*syscall.SysProcAttr, bool) {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
		Setsid:     true,
	}
	if network == NetworkNone {
		attr.Cloneflags |= syscall.CLONE_NEWNET
	}
	if os.Geteuid() == 0 && mapsAllIDs() {
		ids := []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: 0, Size: mappedIDs},
			{ContainerID: functionUID, HostID: hostUIDs + slot, Size: 1},
		}
		attr.UidMappings, attr.GidMappings, attr.GidMappingsEnableSetgroups = ids, slices.Clone(ids), true
		return attr, true
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: functionUID, HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: functionUID, HostID: os.Getegid(), Size: 1}}
	// Executing the shim as anyone but root would lose what the namespace gives it.
	attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_SETPCAP, unix.CAP_DAC_OVERRIDE, unix.CAP_NET_BIND_SERVICE}
	return attr, false
}

// mapsAllIDs says whether the ids for environments exist where this process is; in a
// container that is itself in a user namespace they do not.
func mapsAllIDs() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		var first, outside, count uint64
		if n, _ := fmt.Sscan(line, &first, &outside, &count); n == 3 && first == 0 && count >= hostUIDs+hostUIDsN {
			return true
		}
	}
	return false
}

// etcFiles gives the files of /etc that are made, not shown.
func etcFiles(network Network) map[string][]byte {
	id := strconv.Itoa(functionUID)
	files := map[string][]byte{
		"passwd":        []byte("root:x:0:0:root:/root:/sbin/nologin\nsbx_user1051:x:" + id + ":" + id + "::/home/sbx_user1051:/sbin/nologin\n"),
		"group":         []byte("root:x:0:\nsbx_user1051:x:" + id + ":\n"),
		"hosts":         []byte("127.0.0.1 localhost function\n"),
		"nsswitch.conf": []byte("passwd: files\ngroup: files\nhosts: files\n"),
	}
	if network == NetworkHost {
		files["nsswitch.conf"] = []byte("passwd: files\ngroup: files\nhosts: files dns\n")
		for _, name := range []string{"resolv.conf", "hosts"} {
			if b, err := os.ReadFile("/etc/" + name); err == nil {
				files[name] = b
			}
		}
	}
	return files
}
