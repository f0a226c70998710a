// Command cmd writes the generated contracts. Run it by "go generate ./internal/wiregen".
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"moat/internal/wiregen"
)

func main() {
	dir := flag.String("dir", "../wire", "directory of package wire")
	flag.Parse()
	if err := run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files, err := wiregen.Files(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.Content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
