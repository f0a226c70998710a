package stack

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"moat/internal/service/stack/template"
)

// packageBucket marks code that was packaged from a local folder; it is no possible
// name of a bucket, and the handler of functions takes it only in a local deployment.
const packageBucket = "package:local"

// each calls f for every function of a template whose code is a local path.
func each(root *template.Value, f func(id string, v *template.Value, property string, resource *template.Value)) {
	global := root.At("Globals", "Function", "CodeUri")
	if local(global) {
		f("", global, "Globals.Function.CodeUri", root.At("Globals", "Function"))
	}
	for _, r := range root.Get("Resources").Entries() {
		p := r.Value.Get("Properties")
		switch r.Value.Get("Type").Str() {
		case "AWS::Serverless::Function":
			if c := p.Get("CodeUri"); local(c) {
				f(r.Key, c, "Properties.CodeUri", r.Value)
			}
		case "AWS::Lambda::Function":
			if c := p.Get("Code"); local(c) {
				f(r.Key, c, "Properties.Code", r.Value)
			}
		}
	}
}

func local(v *template.Value) bool {
	return v.Is(template.String) && !strings.HasPrefix(v.Text, "s3://")
}

// packages replaces the local folders with the code of functions by packages.
func (s *Service) packages(ctx context.Context, root *template.Value, src *source) error {
	type job struct {
		v, resource  *template.Value
		id, property string
		key          string
	}
	var jobs []*job
	runtime := root.At("Globals", "Function", "Architectures")
	each(root, func(id string, v *template.Value, property string, r *template.Value) {
		jobs = append(jobs, &job{v: v, resource: r, id: id, property: property})
	})
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, j := range jobs {
		if src.dir == "" || s.cfg.Packager == nil {
			return &template.Error{Pos: j.v.Pos, LogicalID: j.id, Property: j.property, Message: "the local path " + j.v.Text + " is not available here: expected InlineCode, or deploy with moat deploy"}
		}
		group.Go(func() error {
			path, err := src.within(j.v.Text)
			if err == nil {
				j.key, err = s.pack(ctx, path, buildMethod(j.id, j.resource, runtime))
			}
			if err != nil {
				return &template.Error{Pos: j.v.Pos, LogicalID: j.id, Property: j.property, Message: err.Error()}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, j := range jobs {
		pos := j.v.Pos
		if strings.HasSuffix(j.property, ".Code") {
			*j.v = *template.NewMap("S3Bucket", packageBucket, "S3Key", j.key)
		} else {
			*j.v = *template.NewMap("Bucket", packageBucket, "Key", j.key)
		}
		j.v.Pos = pos
	}
	return nil
}

func buildMethod(id string, resource, global *template.Value) BuildMethod {
	b := BuildMethod{Name: resource.At("Metadata", "BuildMethod").Str(), LogicalID: id, Architecture: "x86_64"}
	arch := resource.At("Properties", "Architectures")
	if arch == nil {
		arch = global
	}
	if a := arch.Elements(); len(a) > 0 && a[0].Str() != "" {
		b.Architecture = a[0].Str()
	}
	return b
}

// pack makes a package of a folder (or takes a zip as it is) and keeps it.
func (s *Service) pack(ctx context.Context, path string, build BuildMethod) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("no such folder: %s", path)
	}
	var archive []byte
	if info.IsDir() {
		archive, err = s.cfg.Packager.Package(ctx, path, build)
	} else if strings.HasSuffix(path, ".zip") || strings.HasSuffix(path, ".jar") {
		archive, err = os.ReadFile(path)
	} else {
		archive, err = zipFile(path)
	}
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(archive)
	key := hex.EncodeToString(sum[:])
	return key, s.keepPackage(key, archive)
}

func (s *Service) keepPackage(key string, archive []byte) error {
	if s.cfg.PackageDir == "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.packaged[key] = archive
		return nil
	}
	path := filepath.Join(s.cfg.PackageDir, key+".zip")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(s.cfg.PackageDir, 0o700); err != nil {
		return err
	}
	return writeWhole(path, archive)
}

// writeWhole writes a file so that nobody ever sees a part of it.
func writeWhole(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone after the rename
	if _, err := f.Write(content); err != nil {
		f.Close() //nolint:errcheck,gosec // the write's error counts
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// packageOf returns a kept package.
func (s *Service) packageOf(key string) ([]byte, error) {
	if b, err := hex.DecodeString(key); err != nil || len(b) != sha256.Size {
		return nil, fmt.Errorf("%q is no package", key)
	}
	if s.cfg.PackageDir != "" {
		archive, err := os.ReadFile(filepath.Join(s.cfg.PackageDir, key+".zip"))
		if err != nil {
			return nil, fmt.Errorf("the package %s of a former deployment is gone", key[:12])
		}
		return archive, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	archive, ok := s.packaged[key]
	if !ok {
		return nil, fmt.Errorf("the package %s of a former deployment is gone", key[:12])
	}
	return archive, nil
}

// zipFile packs one file, as it is.
func zipFile(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return zipOf(map[string][]byte{filepath.Base(path): content})
}

// zipOf packs files so that the same files give the same bytes.
func zipOf(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range sortedKeys(files) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
		h.SetMode(0o644)
		f, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(files[name]); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// inlinePackage makes a package of a function's text, in the file that the runtime's
// handler "index.*" stands for.
func inlinePackage(text, runtime string) ([]byte, error) {
	switch {
	case strings.HasPrefix(runtime, "nodejs"):
		return zipOf(map[string][]byte{"index.js": []byte(text)})
	case strings.HasPrefix(runtime, "python"):
		return zipOf(map[string][]byte{"index.py": []byte(text)})
	}
	return nil, fmt.Errorf("ZipFile can only be used with the runtimes nodejs and python")
}
