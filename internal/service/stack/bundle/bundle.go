// Package bundle makes the deployment package of a function from the folder with its
// code, building it first where the template's Metadata says how.
//
// The same files give the same package, byte for byte, so that a deployment without a
// change is none. What a build made is kept under a hash of its sources. The package
// runs the build tools of this machine and nothing else; it never touches the folder.
package bundle

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"moat/internal/service/stack"
)

// maxUnzipped is the largest package, unpacked (Lambda quotas).
const maxUnzipped = 250 << 20

// Packager makes deployment packages. It satisfies [stack.Packager] and is safe for concurrent use.
type Packager struct {
	// Cache keeps what builds made. Empty: nothing is kept.
	Cache string
	// Progress is told of each build that really runs; it may be nil.
	Progress func(sentence string)
}

// New returns a Packager that keeps builds in the user's cache folder.
func New(progress func(sentence string)) *Packager {
	p := &Packager{Progress: progress}
	if dir, err := os.UserCacheDir(); err == nil {
		p.Cache = filepath.Join(dir, "moat", "build")
	}
	return p
}

type prebuilt struct{}

// Prebuilt marks a deployment whose folders hold what is to be packaged, built already.
func Prebuilt(ctx context.Context) context.Context { return context.WithValue(ctx, prebuilt{}, true) }

// Package returns the zip of a function's code. An error is a sentence for the template's author.
func (p *Packager) Package(ctx context.Context, dir string, build stack.BuildMethod) ([]byte, error) {
	if ctx.Value(prebuilt{}) != nil {
		return Zip(dir)
	}
	switch build.Name {
	case "", "python3.12", "nodejs20.x": // files as they are
		return Zip(dir)
	case "go1.x", "provided.al2023":
		return p.buildGo(ctx, dir, build)
	case "makefile":
		return p.buildMake(ctx, dir, build)
	}
	return nil, fmt.Errorf("BuildMethod %s is not built in: expected go1.x or makefile, or build it yourself and leave the BuildMethod out", build.Name)
}

// ignored are names that are never part of a package.
func ignored(name string) bool {
	return slices.Contains([]string{".git", ".aws-sam", ".moat", "__pycache__", ".DS_Store"}, name)
}

// Zip packs a folder: names sorted, times fixed, the executable bit kept. Links out of the folder are refused.
func Zip(dir string) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	size := int64(0)
	err = fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != "." && ignored(e.Name()):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			return nil
		}
		n, err := addFile(w, root, path)
		if size += n; err == nil && size > maxUnzipped {
			return errors.New("the code is larger than 250 MB unzipped")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, fmt.Errorf("%s holds no files", dir)
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// addFile adds one file, following links that stay inside the folder.
func addFile(w *zip.Writer, root *os.Root, path string) (int64, error) {
	info, err := root.Stat(path)
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, nil
	}
	h := &zip.FileHeader{Name: filepath.ToSlash(path), Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.SetMode(0o644 | info.Mode()&0o111)
	to, err := w.CreateHeader(h)
	if err != nil {
		return 0, err
	}
	f, err := root.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(to, f)
}

// Unzip unpacks an archive into a folder. No entry leaves the folder, no link is made, and
// what comes out is bounded.
func Unzip(archive []byte, dir string) error {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return fmt.Errorf("the archive is not a zip: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	left := int64(2 * maxUnzipped)
	for _, f := range r.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		if !filepath.IsLocal(f.Name) || !f.Mode().IsRegular() {
			return fmt.Errorf("the archive holds %q, which is not a plain file inside it", f.Name)
		}
		n, err := extract(root, f, left)
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

func extract(root *os.Root, f *zip.File, limit int64) (int64, error) {
	if err := root.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
		return 0, err
	}
	from, err := f.Open()
	if err != nil {
		return 0, err
	}
	defer from.Close()
	to, err := root.OpenFile(f.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644|f.Mode()&0o111)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(to, io.LimitReader(from, limit+1))
	if err == nil && n > limit {
		err = errors.New("the archive unpacks to more than is allowed")
	}
	return n, errors.Join(err, to.Close())
}
