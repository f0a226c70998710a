package bundle

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/service/stack"
)

func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestZip_SameFilesSameBytes(t *testing.T) {
	t.Parallel()
	files := map[string]string{"index.mjs": "export {}", "lib/a.mjs": "1", ".git/config": "secret"}
	one, err := Zip(write(t, t.TempDir(), files))
	if err != nil {
		t.Fatal(err)
	}
	two, err := Zip(write(t, t.TempDir(), files))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, two) {
		t.Error("the same files give two packages")
	}
	if bytes.Contains(one, []byte(".git")) {
		t.Error(".git is in the package")
	}
	out := t.TempDir()
	if err := Unzip(one, out); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(out, "lib/a.mjs")); err != nil || string(b) != "1" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestZip_Refuses(t *testing.T) {
	t.Parallel()
	if _, err := Zip(t.TempDir()); err == nil {
		t.Error("an empty folder became a package")
	}
	dir := write(t, t.TempDir(), map[string]string{"a": "1"})
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if z, err := Zip(dir); err == nil {
		t.Errorf("a link out of the folder was followed: %d bytes", len(z))
	}
}

func TestUnzip_RefusesEscapes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../evil", "/etc/evil", "a/../../evil"} {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Unzip(b.Bytes(), t.TempDir()); err == nil {
			t.Errorf("%s was unpacked", name)
		}
	}
}

func TestPackage_BuildsGoOnce(t *testing.T) {
	t.Parallel()
	dir := write(t, t.TempDir(), map[string]string{"go.mod": "module x\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() {}\n"})
	builds := 0
	p := &Packager{Cache: t.TempDir(), Progress: func(string) { builds++ }}
	build := stack.BuildMethod{Name: "go1.x", LogicalID: "F", Architecture: "x86_64"}
	for range 2 {
		z, err := p.Package(t.Context(), dir, build)
		if err != nil {
			t.Fatal(err)
		}
		r, err := zip.NewReader(bytes.NewReader(z), int64(len(z)))
		if err != nil || len(r.File) != 1 || r.File[0].Name != "bootstrap" || r.File[0].Mode()&0o111 == 0 {
			t.Fatalf("got %v, %v; want one executable named bootstrap", r, err)
		}
	}
	if builds != 1 {
		t.Errorf("built %d times, want once", builds)
	}
}

func TestPackage_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := &Packager{}
	dir := write(t, t.TempDir(), map[string]string{"go.mod": "module x\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() { nothing() }\n"})
	_, err := p.Package(t.Context(), dir, stack.BuildMethod{Name: "go1.x", Architecture: "x86_64"})
	if err == nil || !strings.Contains(err.Error(), "main.go:3:") {
		t.Errorf("got %v, want the compiler's own line", err)
	}
	if _, err := p.Package(t.Context(), dir, stack.BuildMethod{Name: "esbuild"}); err == nil || !strings.Contains(err.Error(), "esbuild") {
		t.Errorf("got %v", err)
	}
}
