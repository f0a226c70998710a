//go:build linux

package sandbox

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// attempt is a handler that evaluates each of the strings it is sent, and answers what
// came of it: the value, or the code of the error.
const attempt = `
const fs = require('fs'), net = require('net'), cp = require('child_process'), os = require('os');
exports.handler = async (list) => {
  const out = [];
  for (const text of list) {
    try { out.push(await eval(text)); } catch (e) { out.push('!' + (e.code || e.message)); }
  }
  return out;
};
`

// evaluate gives the answers to a list of JavaScript expressions.
func evaluate(t *testing.T, h *Host, s *Spec, expressions ...string) string {
	t.Helper()
	var quoted []string
	for _, e := range expressions {
		quoted = append(quoted, strconv.Quote(e))
	}
	res := invoke(t, h, s, "["+strings.Join(quoted, ",")+"]")
	if res.FunctionError != "" {
		t.Fatalf("%s\n%s", res.Payload, res.LogTail)
	}
	return string(res.Payload)
}

func TestIsolation_files(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	s := node(t, attempt)
	for _, c := range []struct{ what, expression, want string }{
		{"its package", `fs.readdirSync('/var/task').join()`, `"index.js"`},
		{"a file of the host", fmt.Sprintf(`fs.readFileSync(%q,'utf8')`, secret), `"!ENOENT"`},
		{"its own secrets", `fs.readFileSync('/etc/shadow','utf8')`, `"!ENOENT"`},
		{"root's home", `fs.readdirSync('/root')`, `"!ENOENT"`},
		{"homes", `fs.readdirSync('/home')`, `"!ENOENT"`},
		{"the root", `fs.readdirSync('/').filter(n => !['bin','sbin','lib','lib32','lib64','libx32','usr','etc','dev','proc','tmp','var','opt'].includes(n)).join()`, `""`},
		{"who it is", `fs.readFileSync('/etc/passwd','utf8').split('\n').length`, `3`},
		{"/tmp", `(fs.writeFileSync('/tmp/x','1'), fs.readFileSync('/tmp/x','utf8'))`, `"1"`},
		{"writing its package", `fs.writeFileSync('/var/task/x','1')`, `"!EROFS"`},
		{"writing the root", `fs.writeFileSync('/x','1')`, `"!EROFS"`},
		{"writing the system", `fs.writeFileSync('/usr/bin/x','1')`, `"!EROFS"`},
		{"writing a device", `(fs.writeFileSync('/dev/null','1'), 1)`, `1`},
		{"making a device", `cp.execFileSync('mknod',['/tmp/sda','b','8','0'],{stdio:'ignore'})`, `"!1"`},
		{"a full /tmp", `fs.writeFileSync('/tmp/big', Buffer.alloc(65<<20))`, `"!ENOSPC"`},
		{"the kernel's settings", `fs.writeFileSync('/proc/sys/kernel/hostname','x')`, `"!EACCES"`},
		{"a setuid program", `cp.execFileSync('su',['-c','id'],{stdio:'ignore'})`, `"!1"`},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := evaluate(t, h, s, c.expression)
			if got != "["+c.want+"]" && !(c.want == `"!EROFS"` && got == `["!EACCES"]`) && !(c.want == `"!EACCES"` && got == `["!EROFS"]`) &&
				!(c.want == `"!1"` && strings.HasPrefix(got, `["!`)) {
				t.Errorf("got %s, want [%s]", got, c.want)
			}
		})
	}
}

func TestIsolation_privileges(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := node(t, attempt)
	status := evaluate(t, h, s, `fs.readFileSync('/proc/self/status','utf8')`)
	for _, want := range []string{
		`CapEff:\t0000000000000000`, `CapPrm:\t0000000000000000`, `CapBnd:\t0000000000000000`, `CapAmb:\t0000000000000000`, `CapInh:\t0000000000000000`,
		`NoNewPrivs:\t1`, `Seccomp:\t2`, `Uid:\t70000\t70000\t70000\t70000`, `Gid:\t70000\t70000\t70000\t70000`, `Groups:\t \n`,
	} {
		if !strings.Contains(status, want) && !(os.Geteuid() != 0 && strings.HasPrefix(want, "Groups")) {
			t.Errorf("no %s in %s", want, status)
		}
	}
	for _, e := range []string{
		`cp.execFileSync('unshare',['-U','true'],{stdio:'ignore'})`,
		`cp.execFileSync('mount',['-t','tmpfs','x','/tmp'],{stdio:'ignore'})`,
		`cp.execFileSync('chroot',['/tmp'],{stdio:'ignore'})`,
	} {
		if got := evaluate(t, h, s, e); !strings.HasPrefix(got, `["!`) {
			t.Errorf("%s: %s", e, got)
		}
	}
}

func TestIsolation_processes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := node(t, attempt)
	got := evaluate(t, h, s, `fs.readdirSync('/proc').filter(n => /^\d+$/.test(n)).length`, `process.pid`, fmt.Sprintf(`process.kill(%d, 0)`, os.Getpid()), `os.hostname()`, `Object.keys(process.env).filter(n => /HOME|USER|PATH_|GO/.test(n)).join()`)
	if got != `[1,1,"!ESRCH","function",""]` {
		t.Error(got)
	}
}

func TestIsolation_network(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	served := 4566
	h := newHost(t, func(c *Config) {
		c.EndpointPort = served
		c.Endpoint = func(c net.Conn) {
			defer c.Close()
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmoat")
		}
	})
	s := node(t, attempt)
	get := func(port int) string {
		return fmt.Sprintf(`fetch('http://127.0.0.1:%d/').then(r => r.text(), e => '!' + e.cause.code)`, port)
	}
	got := evaluate(t, h, s, get(served), get(port), `fetch('http://192.0.2.1/').catch(e => '!' + e.cause.code)`, `Object.keys(os.networkInterfaces()).join()`)
	if got != `["moat","!ECONNREFUSED","!ENETUNREACH","lo"]` {
		t.Error(got)
	}
	if got := h.EndpointURL("http://elsewhere"); got != "http://127.0.0.1:4566" {
		t.Error(got)
	}
}

func TestIsolation_hostNetwork(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "host") })}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	h := newHost(t, func(c *Config) { c.Network = NetworkHost })
	s := node(t, attempt)
	api := `process.env.AWS_LAMBDA_RUNTIME_API.replace(/\/.*/, '')`
	got := evaluate(t, h, s, fmt.Sprintf(`fetch('http://%s/').then(r => r.text())`, l.Addr()),
		`fetch('http://' + `+api+` + '/2018-06-01/runtime/invocation/next').then(r => r.status)`)
	if got != `["host",403]` { // the Runtime API is on the host too, but only for who knows its secret
		t.Error(got)
	}
	if got := h.EndpointURL("http://elsewhere"); got != "http://elsewhere" {
		t.Error(got)
	}
}

func TestIsolation_memory(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if !h.caps.Memory {
		t.Skip("no control group limits memory here")
	}
	s := node(t, `exports.handler = async (mb) => { const b = Buffer.alloc(mb << 20, 1); return b.length; }`)
	want(t, invoke(t, h, s, `10`), `10485760`)
	wantError(t, invoke(t, h, s, `400`), "Runtime.ExitError", "signal: killed")
	res := invoke(t, h, s, `10`)
	want(t, res, `10485760`)
	if !res.Cold {
		t.Error("the environment that was killed serves on")
	}
}

func TestIsolation_forkBomb(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := function(t, "python3.11", "bomb.handler", map[string]string{"bomb.py": `
import os, time
def handler(event, context):
    n = 0
    try:
        while n < 5000:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            n += 1
    except OSError as e:
        return [n < 1100, e.errno]
    return "no limit"
`}, func(s *Spec) { s.Timeout = 20 * time.Second; s.MemoryMB = 2048 })
	want(t, invoke(t, h, s, `{}`), `[true, 11]`)
	h.Discard(s.Key)
}

// No process of an environment is left when the host is closed, nor is its control group.
func TestHost_Close(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	s := node(t, `const cp = require('child_process'); exports.handler = async () => { cp.spawn('sleep', ['1000'], {detached: true}).unref(); return 1; }`)
	want(t, invoke(t, h, s, `{}`), `1`)
	var pid int
	var dirs []string
	for e := range h.pools[s.Key].all {
		pid = e.cmd.Process.Pid
		if e.group != nil {
			for _, dir := range e.group.dirs {
				dirs = append(dirs, dir)
			}
		}
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d: %v", pid, err)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
		}
	}
	if _, err := h.Invoke(t.Context(), s, invocation(`{}`)); err != ErrClosed {
		t.Errorf("Invoke after Close: %v", err)
	}
}

// An ordinary user isolates as root does, where user namespaces are allowed.
func TestIsolation_ordinaryUser(t *testing.T) {
	if os.Geteuid() != 0 || os.Getenv("MOAT_SANDBOX_USER") != "" {
		t.Skip("it starts itself as another user")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "user-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	// The test's own binary may be where only root reads.
	program, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "program")
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied, "-test.run=^(TestIsolation_privileges|TestIsolation_network|TestHost_Invoke)$", "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"MOAT_SANDBOX_USER=1", "TMPDIR=" + dir, "PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "--- SKIP") || !strings.Contains(string(out), "--- PASS: TestIsolation_network") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A machine that cannot isolate refuses, unless it is told otherwise.
func TestHost_cannotIsolate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		isolation Isolation
		runs      bool
	}{{IsolationRequire, false}, {IsolationPrefer, true}, {IsolationNone, true}} {
		t.Run(string(c.isolation), func(t *testing.T) {
			t.Parallel()
			h, err := New(Config{Isolation: c.isolation, Executable: "/bin/true", Dir: t.TempDir(), DisableCgroups: true})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			s := node(t, `exports.handler = async () => process.env.LAMBDA_TASK_ROOT === __dirname`)
			res, err := h.Invoke(t.Context(), s, invocation(`{}`))
			if !c.runs {
				var iso *IsolationError
				if !asError(err, &iso) || !strings.Contains(err.Error(), "cannot isolate") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want(t, res, `true`)
		})
	}
}

func TestSeccompProgram(t *testing.T) {
	t.Parallel()
	p, err := seccompProgram()
	if err != nil {
		t.Skip(runtime.GOARCH, err)
	}
	for i, ins := range p {
		if ins.Code&0x07 == 0x05 && (i+1+int(ins.Jt) >= len(p) || i+1+int(ins.Jf) >= len(p)) {
			t.Errorf("instruction %d jumps out of the program", i)
		}
	}
	for _, nr := range refusedCalls() {
		for _, ok := range allowedCalls() {
			if nr == ok {
				t.Errorf("system call %d is both allowed and refused", nr)
			}
		}
	}
}

// A host that is killed takes its functions along. The test starts itself as that host.
func TestHost_killed(t *testing.T) {
	if os.Getenv("MOAT_SANDBOX_VICTIM") != "" {
		h := newHost(t)
		s := node(t, `exports.handler = async () => 1`)
		want(t, invoke(t, h, s, `{}`), `1`)
		for e := range h.pools[s.Key].all {
			fmt.Printf("function %d\n", e.cmd.Process.Pid)
		}
		select {}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestHost_killed$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "MOAT_SANDBOX_VICTIM=1", "TMPDIR="+t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	for scan := bufio.NewScanner(out); pid == 0 && scan.Scan(); {
		_, _ = fmt.Sscanf(scan.Text(), "function %d", &pid)
		if strings.Contains(scan.Text(), "SKIP") {
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if pid == 0 {
		t.Skip("the host did not isolate")
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; alive(pid); tries++ {
		if tries == 500 {
			t.Fatalf("the function %d has outlived its host", pid)
		}
		<-tick.C
	}
}

// alive says whether a process runs; one that only waits to be reaped does not.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(b), ") Z ")
}
