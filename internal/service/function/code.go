package function

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Limits of a package (Lambda quotas).
const (
	maxUnzipped = 262144000
	maxZipped   = 52428800
	maxEntries  = 100000
)

// codeStore keeps packages in a folder: HASH.zip as it came, which is what counts, and
// HASH/ unpacked, which can be made again.
type codeStore struct{ dir string }

// put keeps a package and gives its hash. It is on disk when put returns.
func (c codeStore) put(archive []byte) (sum string, err error) {
	if len(archive) > maxZipped {
		return "", invalid(fmt.Sprintf("Zipped size must be smaller than %d bytes", maxZipped))
	}
	h := sha256.Sum256(archive)
	sum = base64.StdEncoding.EncodeToString(h[:])
	if _, err := os.Stat(c.path(sum) + ".zip"); err == nil {
		_, err := c.tree(sum)
		return sum, err
	}
	if err := c.unpack(sum, archive); err != nil {
		return "", err
	}
	return sum, c.save(c.path(sum)+".zip", archive)
}

// path gives where a package is, without ending. The hash is always one of ours.
func (c codeStore) path(sum string) string {
	b, err := base64.StdEncoding.DecodeString(sum)
	if err != nil || len(b) != sha256.Size {
		return filepath.Join(c.dir, "invalid")
	}
	return filepath.Join(c.dir, hex.EncodeToString(b))
}

// save writes a file so that it is either wholly there or not at all.
func (c codeStore) save(name string, data []byte) error {
	f, err := os.CreateTemp(c.dir, ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone already when all went well
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(c.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// read gives a package as it came.
func (c codeStore) read(sum string) ([]byte, error) { return os.ReadFile(c.path(sum) + ".zip") }

// tree gives the folder of a package, unpacking it if it is not there.
func (c codeStore) tree(sum string) (string, error) {
	dir := c.path(sum)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	archive, err := c.read(sum)
	if err != nil {
		return "", fmt.Errorf("the code package of the function is missing: %w", err)
	}
	return dir, c.unpack(sum, archive)
}

// unpack makes the folder of a package.
func (c codeStore) unpack(sum string, archive []byte) error {
	tmp, err := os.MkdirTemp(c.dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := unzip(archive, tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	err = os.Rename(tmp, c.path(sum))
	if errors.Is(err, fs.ErrExist) || errors.Is(err, os.ErrExist) {
		return nil // somebody else was faster
	}
	if _, gone := os.Stat(c.path(sum)); err != nil && gone == nil {
		return nil
	}
	return err
}

func badZip() error {
	return invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
}

// unzip unpacks an archive into an empty folder. Nothing is written outside of it,
// whatever the names and links of the archive say; modes are reduced to what every
// user may do, since the function runs as another one.
func unzip(archive []byte, dir string) error {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return badZip()
	}
	if len(r.File) == 0 {
		return invalid("Uploaded file must be a non-empty zip")
	}
	if len(r.File) > maxEntries {
		return invalid("The uploaded file has too many entries.")
	}
	root, err := os.OpenRoot(dir) // refuses every path that leads out
	if err != nil {
		return err
	}
	defer root.Close()
	left := int64(maxUnzipped)
	for _, f := range r.File {
		if err := extract(root, f, &left); err != nil {
			return err
		}
	}
	return nil
}

// extract unpacks one entry, and counts its bytes as they come: what the archive says
// about its sizes is not believed.
func extract(root *os.Root, f *zip.File, left *int64) error {
	name := strings.TrimSuffix(f.Name, "/")
	if name == "" || name == "." {
		return nil
	}
	if f.Flags&1 != 0 || strings.ContainsAny(name, "\\\x00") || !filepath.IsLocal(filepath.FromSlash(name)) {
		return badZip()
	}
	name = path.Clean(name)
	mode := f.Mode()
	if mode.IsDir() || strings.HasSuffix(f.Name, "/") {
		return zipError(root.MkdirAll(name, 0o755))
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return zipError(err)
	}
	in, err := f.Open()
	if err != nil {
		return badZip()
	}
	defer in.Close()
	switch {
	case mode&fs.ModeSymlink != 0:
		return link(root, name, in)
	case !mode.IsRegular():
		return badZip()
	}
	perm := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		perm = 0o755
	}
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return zipError(err)
	}
	n, err := io.Copy(out, io.LimitReader(in, *left+1))
	if e := out.Close(); err == nil {
		err = e
	}
	if *left -= n; *left < 0 {
		return invalid(fmt.Sprintf("Unzipped size must be smaller than %d bytes", maxUnzipped))
	}
	return zipError(err)
}

// link makes a symbolic link, if it stays within the package.
func link(root *os.Root, name string, in io.Reader) error {
	target, err := io.ReadAll(io.LimitReader(in, 4097))
	if err != nil || len(target) == 0 || len(target) > 4096 {
		return badZip()
	}
	to := string(target)
	if path.IsAbs(to) || strings.ContainsAny(to, "\\\x00") || !filepath.IsLocal(path.Join(path.Dir(name), to)) {
		return badZip()
	}
	return zipError(root.Symlink(to, name))
}

// zipError tells a package that cannot be unpacked from a disk that cannot be written.
func zipError(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, os.ErrClosed):
		return err
	case errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrAlgorithm),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, fs.ErrExist):
		return badZip()
	case errors.As(err, &p) || errors.As(err, &l): // a name too long, a file where a folder must be, a way out
		return badZip()
	}
	if strings.Contains(err.Error(), "flate:") {
		return badZip()
	}
	return err
}

// sweep removes packages that no record names any more and that are older than age.
func (c codeStore) sweep(used map[string]bool, now time.Time, age time.Duration) error {
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	keep := map[string]bool{}
	for sum := range used {
		keep[filepath.Base(c.path(sum))] = true
	}
	for _, e := range list {
		fi, err := e.Info()
		if err != nil || keep[strings.TrimSuffix(e.Name(), ".zip")] || now.Sub(fi.ModTime()) < age {
			continue
		}
		if err := os.RemoveAll(filepath.Join(c.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// pack makes a package of a folder: the same files give the same bytes. What is never
// part of a function, version control above all, stays out.
func pack(dir string) ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		if e.IsDir() && (e.Name() == ".git" || e.Name() == ".aws-sam") {
			return filepath.SkipDir
		}
		return packEntry(w, dir, p, e)
	})
	if err == nil {
		err = w.Close()
	}
	return buf.Bytes(), err
}

func packEntry(w *zip.Writer, dir, p string, e fs.DirEntry) error {
	name, err := filepath.Rel(dir, p)
	if err != nil || e.IsDir() {
		return err
	}
	fi, err := e.Info()
	if err != nil {
		return err
	}
	h := &zip.FileHeader{Name: filepath.ToSlash(name), Method: zip.Deflate}
	h.SetMode(fi.Mode() & (fs.ModeSymlink | fs.ModePerm))
	out, err := w.CreateHeader(h)
	if err != nil {
		return err
	}
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(p)
		if err != nil {
			return err
		}
		_, err = out.Write([]byte(to))
		return err
	case !fi.Mode().IsRegular():
		return fmt.Errorf("%s is neither a file nor a folder", p)
	}
	f, err := os.Open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}
