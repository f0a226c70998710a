package wiregen

import (
	"encoding/json"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"strings"
)

// suite is one entry of a file of AWS's protocol tests: a small model with cases.
type suite struct {
	Metadata Metadata
	Shapes   Ordered[Shape]
	Cases    []struct{ Given ModelOperation }
}

// protocolTests writes the Go types of AWS's protocol test cases, which lie in
// testdata below dir, the directory of package protocoltest.
func protocolTests(dir string) ([]byte, error) {
	w, table := &writer{}, &strings.Builder{}
	for _, kind := range []string{"input", "output"} {
		for _, protocol := range []string{"json", "query", "rest-json", "rest-xml"} {
			doc, err := os.ReadFile(filepath.Join(dir, "testdata", kind, protocol+".json"))
			if err != nil {
				return nil, fmt.Errorf("wiregen: %w", err)
			}
			var suites []suite
			if err := json.Unmarshal(doc, &suites); err != nil {
				return nil, fmt.Errorf("wiregen: %s/%s: %w", kind, protocol, err)
			}
			for i := range suites {
				prefix := exported(kind) + strings.ReplaceAll(protocol, "-", "") + fmt.Sprint(i)
				key := fmt.Sprintf("%s/%s/%d", kind, protocol, i)
				if err := w.suite(&suites[i], prefix, key, table); err != nil {
					return nil, err
				}
			}
		}
	}
	src := Header + "\npackage protocoltest\n\nimport (\n\"reflect\"\n\"time\"\n)\n\n" +
		"func shapes() map[string]messages {\nreturn map[string]messages{\n" + table.String() + "}\n}\n\n" + w.b.String()
	return format.Source([]byte(src))
}

// suite writes the types of one suite, and a row per case to table.
func (w *writer) suite(s *suite, prefix, key string, table *strings.Builder) error {
	m := &Model{Metadata: s.Metadata, Shapes: s.Shapes}
	m.Operations.by = map[string]*ModelOperation{}
	for i := range s.Cases {
		name := fmt.Sprint("Case", i)
		m.Operations.Names = append(m.Operations.Names, name)
		m.Operations.by[name] = &s.Cases[i].Given
	}
	p, err := newPlan(m, m.Operations.Names, prefix)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	w.p = p
	for _, name := range p.enums {
		w.enum(name)
	}
	for _, name := range p.structures {
		w.structure(name)
	}
	w.emptyMessages()
	for i, name := range p.ops {
		fmt.Fprintf(table, "\"%s/%d\": {reflect.TypeFor[%s](), reflect.TypeFor[%s]()},\n", key, i, p.input(name), p.output(name))
	}
	return nil
}
