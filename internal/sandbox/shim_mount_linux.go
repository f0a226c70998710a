package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// oldRoot is where the machine's root is until the shim lets go of it.
const oldRoot = "/.machine"

// pivot makes an empty tmpfs the root and keeps the machine's one below oldRoot.
func (s *shim) pivot() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	base := "/tmp"
	if _, err := os.Stat(base); err != nil {
		base = "/run"
	}
	if err := unix.Mount("root", base, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=16m,mode=0755"); err != nil {
		return fmt.Errorf("mounting a tmpfs: %w", err)
	}
	if err := os.Mkdir(base+oldRoot, 0o755); err != nil {
		return err
	}
	if err := unix.PivotRoot(base, base+oldRoot); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	return os.Chdir("/")
}

// bind shows a folder or file of the machine, with all below it, read-only.
func bind(from, to string) error {
	return bindWith(from, to, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
}

func bindWith(from, to string, attributes uint64) error {
	fi, err := os.Stat(oldRoot + from)
	if err != nil {
		return err
	}
	if fi.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
		err = os.WriteFile(to, nil, 0o444)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(oldRoot+from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s: %w", from, err)
	}
	attr := unix.MountAttr{Attr_set: attributes}
	if err := unix.MountSetattr(unix.AT_FDCWD, to, unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("making %s read-only: %w", to, err)
	}
	return nil
}

// system shows the machine's programs and libraries and a minimal /etc.
func (s *shim) system() error {
	if err := bind("/usr", "/usr"); err != nil {
		return err
	}
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/gnu"} {
		fi, err := os.Lstat(oldRoot + dir)
		switch {
		case err != nil:
			continue
		case fi.Mode()&os.ModeSymlink != 0:
			var target string
			if target, err = os.Readlink(oldRoot + dir); err == nil {
				err = os.Symlink(target, dir)
			}
		default:
			err = bind(dir, dir)
		}
		if err != nil {
			return err
		}
	}
	for _, dir := range s.cfg.Dirs {
		if dir == "/" || within(dir, "/usr") || within(dir, "/lib") || within(dir, "/bin") {
			continue
		}
		if _, err := os.Lstat(dir); err == nil && !emptyDir(dir) {
			continue // bound already, as part of another
		}
		if err := bind(dir, dir); err != nil {
			return err
		}
	}
	return s.etc()
}

func emptyDir(path string) bool {
	list, err := os.ReadDir(path)
	return err == nil && len(list) == 0
}

func (s *shim) etc() error {
	if err := os.MkdirAll("/etc", 0o755); err != nil {
		return err
	}
	for name, text := range s.cfg.Hosts {
		if err := os.WriteFile("/etc/"+name, text, 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{
		"ld.so.cache", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "pki/tls/certs", "pki/ca-trust/extracted", "alternatives", "localtime", "mime.types", "services", "protocols",
	} {
		if err := bind("/etc/"+name, "/etc/"+name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

func deviceFiles() []string {
	return []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}
}

func (s *shim) devices() error {
	for _, dev := range deviceFiles() {
		if err := bindWith(dev, dev, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

func (s *shim) processes() error {
	if err := os.Mkdir("/proc", 0o555); err != nil {
		return err
	}
	return unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "")
}

// packages shows the function's code and layers, the bootstraps and an empty /tmp.
func (s *shim) packages() error {
	if s.cfg.Package != "" {
		if err := bind(s.cfg.Package, taskRoot); err != nil {
			return err
		}
	} else if err := os.MkdirAll(taskRoot, 0o755); err != nil {
		return err
	}
	if err := s.layers(); err != nil {
		return err
	}
	if err := os.MkdirAll(runtimeRoot, 0o755); err != nil {
		return err
	}
	for name, text := range s.cfg.Files {
		if err := writeFile(filepath.Join(runtimeRoot, name), text); err != nil {
			return err
		}
	}
	if err := os.Mkdir("/tmp", 0o777); err != nil {
		return err
	}
	size := "size=" + strconv.Itoa(s.cfg.EphemeralMB) + "m,mode=1777"
	if err := unix.Mount("tmp", "/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, size); err != nil {
		return fmt.Errorf("mounting /tmp: %w", err)
	}
	return os.Chdir(taskRoot)
}

// layers shows one layer as /opt, or several on top of each other.
func (s *shim) layers() error {
	switch len(s.cfg.Layers) {
	case 0:
		return os.MkdirAll(layerRoot, 0o755)
	case 1:
		return bind(s.cfg.Layers[0], layerRoot)
	}
	if err := os.MkdirAll(layerRoot, 0o755); err != nil {
		return err
	}
	// Each layer gets a short name of its own first, since the option of overlayfs
	// can hold neither a colon nor many long paths; the first is the topmost.
	var lower []string
	for i := len(s.cfg.Layers) - 1; i >= 0; i-- {
		to := "/.layer/" + strconv.Itoa(i)
		if err := bind(s.cfg.Layers[i], to); err != nil {
			return err
		}
		lower = append(lower, to)
	}
	err := unix.Mount("layers", layerRoot, "overlay", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "lowerdir="+strings.Join(lower, ":"))
	if err != nil {
		return fmt.Errorf("mounting the layers: %w", err)
	}
	return nil
}

// close lets go of the machine's root and makes the new one read-only.
func (s *shim) close() error {
	if err := unix.Unmount(oldRoot, unix.MNT_DETACH); err != nil {
		return err
	}
	if err := os.Remove(oldRoot); err != nil {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	return unix.MountSetattr(unix.AT_FDCWD, "/", 0, &attr)
}
