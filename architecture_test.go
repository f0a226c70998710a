// Package moat_test keeps the shape of the house: which package may import which,
// that each package says what it owns, and that generated files are current.
package moat_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers lists the folders below internal/ (and cmd), lowest first. A package imports
// only packages of lower layers; "*" stands for any folder name. The first pattern that
// matches decides, so wire/*api stands before wire.
var layers = [][]string{
	{"pure/*"},
	{"outbound"},
	{"store", "issuer", "courier", "saml", "saml/samltest", "http1", "pkcs1", "wire", "wire/protocoltest", "store/storetest"},
	{"wire/*api", "gateway", "sandbox", "wiregen"},
	{"service/*"},
	{"console", "server"},
	{"moattest"},
	{"cmd"},
}

// family lists the folders whose packages belong together and may import each other:
// a service's own parts, the generator's parts, the pure packages, and a package with its tests' support.
var families = []string{"pure", "store", "wiregen", "sandbox", "gateway", "saml", "service/*", "wire/protocoltest", "cmd", "server", "wire"}

const module = "moat/"

type pkg struct {
	path    string // relative to the module, "internal/x"
	files   []*ast.File
	imports map[string]token.Position // module-relative paths
	doc     bool
}

func TestArchitecture_Layers(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		from := layerOf(p.path)
		if from < 0 {
			t.Errorf("%s stands in no layer; add it to the list in architecture_test.go or move it", p.path)
			continue
		}
		for to, pos := range p.imports {
			if sameFamily(p.path, to) {
				continue
			}
			if l := layerOf(to); l < 0 || l >= from {
				t.Errorf("%s: %s imports %s, which is not of a lower layer", pos, p.path, to)
			}
		}
	}
}

func TestArchitecture_PackageComments(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if !p.doc {
			t.Errorf("%s has no package comment that says what it owns", p.path)
		}
	}
}

// Pure packages depend on the standard library only, and do no I/O.
func TestArchitecture_PureIsPure(t *testing.T) {
	t.Parallel()
	forbidden := []string{"os", "net", "os/exec", "database/sql", "log", "log/slog", "io/ioutil"}
	for _, p := range packages(t) {
		if !strings.HasPrefix(p.path, "internal/pure/") {
			continue
		}
		for _, f := range p.files {
			for _, spec := range f.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				if slices.Contains(forbidden, path) {
					t.Errorf("%s imports %s: pure packages do no I/O", p.path, path)
				}
				if strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
					t.Errorf("%s imports %s: pure packages use the standard library only", p.path, path)
				}
			}
		}
	}
}

func TestArchitecture_NoInit(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, f := range p.files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init function", p.path)
				}
			}
		}
	}
}

// XML signatures are checked by versions whose known holes are closed: CVE-2026-33487
// (a signature bypass of goxmldsig) ends with 1.6.0.
func TestArchitecture_Pins(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, pin := range []string{"github.com/russellhaering/goxmldsig v1.6.1", "github.com/beevik/etree v1.8.1"} {
		if !strings.Contains(string(raw), "\t"+pin+"\n") {
			t.Errorf("go.mod does not have %s; look at the advisories before it is changed", pin)
		}
	}
	if strings.Contains(string(raw), "crewjam/saml") {
		t.Error("go.mod has crewjam/saml, which brings a goxmldsig with a hole")
	}
}

// The layer rule itself must be able to fail.
func TestArchitecture_RuleRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to string }{
		{"internal/service/iam", "internal/service/userpool"},
		{"internal/pure/arn", "internal/store"},
		{"internal/gateway", "internal/service/restapi"},
		{"internal/wire", "internal/wire/iamapi"},
		{"internal/wire/iamapi", "internal/gateway"},
	} {
		if sameFamily(c.from, c.to) || layerOf(c.to) < layerOf(c.from) {
			t.Errorf("%s importing %s would not be refused", c.from, c.to)
		}
	}
}

func layerOf(path string) int {
	rel := strings.TrimPrefix(path, "internal/")
	for i := len(layers) - 1; i >= 0; i-- {
		for _, pattern := range layers[i] {
			if covers(pattern, rel) {
				return i
			}
		}
	}
	return -1
}

// covers reports whether pattern names rel or a folder above it; a star ends no path segment early.
func covers(pattern, rel string) bool {
	ps, rs := strings.Split(pattern, "/"), strings.Split(rel, "/")
	if len(rs) < len(ps) {
		return false
	}
	for i, p := range ps {
		if ok, _ := filepath.Match(p, rs[i]); !ok {
			return false
		}
	}
	return true
}

func sameFamily(a, b string) bool {
	ra, rb := strings.TrimPrefix(a, "internal/"), strings.TrimPrefix(b, "internal/")
	for _, f := range families {
		if !covers(f, ra) || !covers(f, rb) {
			continue
		}
		if f == "wire" { // wire's own tests' support, never the generated contracts
			return strings.HasPrefix(ra, "wire/protocoltest") || strings.HasPrefix(rb, "wire/protocoltest")
		}
		n := strings.Count(f, "/") + 1
		if strings.Join(strings.Split(ra, "/")[:n], "/") == strings.Join(strings.Split(rb, "/")[:n], "/") {
			return true
		}
	}
	return false
}

// packages parses every non-test Go file below internal and cmd.
func packages(t *testing.T) []*pkg {
	t.Helper()
	byPath := map[string]*pkg{}
	fset := token.NewFileSet()
	for _, root := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "testdata" || d.Name() == "models") {
				return filepath.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return nil
			}
			return addFile(byPath, fset, file)
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if len(byPath) < 5 {
		t.Fatalf("only %d packages found: the walk is broken", len(byPath))
	}
	var all []*pkg
	for _, p := range byPath {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return all
}

func addFile(byPath map[string]*pkg, fset *token.FileSet, file string) error {
	f, err := parser.ParseFile(fset, file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse %s: %w", file, err)
	}
	dir := filepath.ToSlash(filepath.Dir(file))
	p := byPath[dir]
	if p == nil {
		p = &pkg{path: dir, imports: map[string]token.Position{}}
		byPath[dir] = p
	}
	p.files = append(p.files, f)
	p.doc = p.doc || f.Doc != nil
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if rel, ok := strings.CutPrefix(path, module); ok {
			p.imports[rel] = fset.Position(spec.Pos())
		}
	}
	return nil
}
