package wiregen

// File is one generated file.
type File struct {
	Path    string // below the directory of package wire, with slashes
	Content []byte
}

// Files returns everything that is generated, in a fixed order.
func Files() ([]File, error) {
	var files []File
	for _, a := range APIs() {
		m, err := a.Load()
		if err != nil {
			return nil, err
		}
		src, err := Generate(a, m)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: a.Package + "/api.gen.go", Content: src})
	}
	return files, nil
}
