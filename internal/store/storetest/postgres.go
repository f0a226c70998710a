//go:build unix

package storetest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// StartPostgres starts a PostgreSQL server of its own on a socket in a temporary
// folder, stops it when the test ends, and returns its address. Where PostgreSQL
// is not installed the test fails, unless MOAT_TEST_WITHOUT_POSTGRES is set: then
// it is skipped.
func StartPostgres(t testing.TB) string {
	t.Helper()
	bin := postgresFolder()
	if bin == "" {
		if os.Getenv("MOAT_TEST_WITHOUT_POSTGRES") != "" {
			t.Skip("PostgreSQL is not installed")
		}
		t.Fatal("PostgreSQL is not installed: `make test` installs it; set MOAT_TEST_WITHOUT_POSTGRES=1 to test without it")
	}
	dir, err := os.MkdirTemp("", "moatpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	cred := serverUser(t, dir)
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D", data)
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: cred}
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	serve(t, exec.Command(filepath.Join(bin, "postgres"), "-D", data,
		"-c", "listen_addresses=", "-c", "unix_socket_directories="+dir, "-c", "max_connections=200"), dir, cred)
	return "postgres://postgres@/postgres?host=" + url.QueryEscape(dir)
}

// postgresFolder returns where the newest server's programs are, or "".
func postgresFolder() string {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err == nil && len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func version(path string) int {
	n, err := strconv.Atoi(strings.Split(path, "/")[4])
	if err != nil {
		return 0
	}
	return n
}

// serverUser gives dir to the user that the server runs as; PostgreSQL refuses to
// run as root.
func serverUser(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("PostgreSQL does not run as root, and there is no user postgres: %v", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		t.Fatalf("user postgres has the ids %s and %s", u.Uid, u.Gid)
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}
}

// serve starts the server, waits until it answers and stops it with the test.
func serve(t testing.TB, cmd *exec.Cmd, dir string, cred *syscall.Credential) {
	t.Helper()
	cmd.Dir = dir
	cmd.SysProcAttr = childAttr(cred)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	var log bytes.Buffer // read after ended
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(io.TeeReader(out, &log))
		for announced := false; lines.Scan(); {
			if !announced && strings.Contains(lines.Text(), "ready to accept connections") {
				announced = true
				close(ready)
			}
		}
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // fast shutdown
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Signal(syscall.SIGQUIT)
			<-ended
		}
	})
	select {
	case <-ready:
	case <-ended:
		t.Fatalf("postgres ended:\n%s", log.String())
	case <-time.After(time.Minute):
		t.Fatal("postgres was not ready within a minute")
	}
}

// NewSchema makes an empty schema on a server and returns its address, which
// serves as a database of its own.
func NewSchema(t testing.TB, server string) string {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	name := "t" + strings.ToLower(rand.Text())
	if _, err := conn.Exec(ctx, "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	return server + "&search_path=" + name
}
