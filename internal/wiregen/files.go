package wiregen

import "path/filepath"

// File is one generated file.
type File struct {
	Path    string // below the directory of package wire, with slashes
	Content []byte
}

// Files returns everything that is generated, in a fixed order. wireDir is the
// directory of package wire, below which the protocol test cases lie.
func Files(wireDir string) ([]File, error) {
	var files []File
	for _, a := range APIs() {
		m, err := a.Load()
		if err != nil {
			return nil, err
		}
		t, err := a.Authorization()
		if err != nil {
			return nil, err
		}
		src, err := Generate(a, m, t)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: a.Package + "/api.gen.go", Content: src})
	}
	src, err := protocolTests(filepath.Join(wireDir, "protocoltest"))
	if err != nil {
		return nil, err
	}
	return append(files, File{Path: "protocoltest/shapes.gen.go", Content: src}), nil
}
