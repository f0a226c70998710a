package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"moat/internal/service/stack"
)

// buildGo compiles a Go function to the file "bootstrap", as `sam build` does for go1.x. With the flags of
// an ordinary build it finds the standard library compiled where anything else was built.
func (p *Packager) buildGo(ctx context.Context, dir string, build stack.BuildMethod) ([]byte, error) {
	arch := map[string]string{"x86_64": "amd64", "arm64": "arm64"}[build.Architecture]
	if arch == "" {
		return nil, fmt.Errorf("architecture %s is not one of x86_64 and arm64", build.Architecture)
	}
	return p.cached(dir, "go/"+arch, func(out string) error {
		cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-tags=lambda.norpc", "-o", filepath.Join(out, "bootstrap"), ".")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOWORK=off")
		return p.tool(cmd, "Go", "building "+filepath.Base(dir)+" (Go)")
	})
}

// buildMake runs the target build-LOGICALID of the folder's Makefile with ARTIFACTS_DIR set, as `sam build` does.
func (p *Packager) buildMake(ctx context.Context, dir string, build stack.BuildMethod) ([]byte, error) {
	return p.cached(dir, "make/"+build.LogicalID, func(out string) error {
		cmd := exec.CommandContext(ctx, "make", "build-"+build.LogicalID, "ARTIFACTS_DIR="+out)
		cmd.Dir = dir
		return p.tool(cmd, "make", "building "+filepath.Base(dir)+" (make)")
	})
}

// tool runs a build tool; its failure carries what it printed.
func (p *Packager) tool(cmd *exec.Cmd, name, sentence string) error {
	if p.Progress != nil {
		p.Progress(sentence)
	}
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s is needed to build this function and is not on this machine's PATH", name)
	}
	if err != nil {
		return fmt.Errorf("the build failed: %s", strings.TrimSpace(printed.String()))
	}
	return nil
}

// cached returns what a build of these sources made before, or builds.
func (p *Packager) cached(dir, kind string, build func(out string) error) ([]byte, error) {
	sources, err := Zip(dir)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(kind+"\x00"), sources...))
	kept := ""
	if p.Cache != "" {
		kept = filepath.Join(p.Cache, hex.EncodeToString(sum[:])+".zip")
		if b, err := os.ReadFile(kept); err == nil {
			return b, nil
		}
	}
	out, err := os.MkdirTemp("", "moat-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(out)
	if err := build(out); err != nil {
		return nil, err
	}
	made, err := Zip(out)
	if err != nil {
		return nil, err
	}
	if kept != "" { // a cache that cannot be written costs a build, no more
		_ = keep(kept, made)
	}
	return made, nil
}

// keep writes a file whole: nobody reads half of it.
func keep(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
