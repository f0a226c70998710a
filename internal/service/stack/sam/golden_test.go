package sam

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"moat/internal/service/stack/template"
)

// The golden pairs are templates of AWS's serverless-application-model (Apache-2.0, see
// testdata/golden/NOTICE) with what AWS's translator makes of them. Lists are compared
// as sets there, and here.
//
// testdata/mismatches.txt lists the pairs that do not come out alike yet. The test
// checks both ways: a listed pair that passes fails the test.
func TestTransform_golden(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SAM_GOLDEN")
	if dir == "" {
		dir = "testdata/golden"
	}
	inputs, err := filepath.Glob(filepath.Join(dir, "input", "*.yaml"))
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no golden templates in %s: %v", dir, err)
	}
	listed := mismatches(t)
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			diff := compareGolden(t, input, filepath.Join(dir, "output", name+".json"))
			switch {
			case diff != "" && !listed[name]:
				t.Errorf("unlike AWS's expansion (-want +got):\n%s", diff)
			case diff == "" && listed[name]:
				t.Errorf("passes, but stands in testdata/mismatches.txt: remove it there")
			}
		})
	}
}

func mismatches(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("testdata/mismatches.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, line := range strings.Split(string(b), "\n") {
		if name, _, _ := strings.Cut(line, " "); name != "" && !strings.HasPrefix(name, "#") {
			out[name] = true
		}
	}
	return out
}

func compareGolden(t *testing.T, input, output string) string {
	t.Helper()
	body, err := os.ReadFile(input)
	if err != nil {
		t.Fatal(err)
	}
	root, err := template.ParseValue(body, filepath.Base(input))
	if err != nil {
		return err.Error()
	}
	got, err := Transform(Input{Root: root, Parameters: goldenParameters(t, root), Region: "ap-southeast-1"})
	if err != nil {
		var es template.Errors
		if !errors.As(err, &es) {
			t.Errorf("error is a %T", err)
		}
		return err.Error()
	}
	want, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	return cmp.Diff(normal(t, want), normal(t, got.JSON()))
}

// goldenParameters are the defaults; SAM replaces what has a value and leaves the rest.
func goldenParameters(t *testing.T, root *template.Value) map[string]template.ParameterValue {
	t.Helper()
	out := map[string]template.ParameterValue{}
	section := root.Get("Parameters")
	for _, name := range section.Keys() {
		d := section.At(name, "Default")
		if d == nil {
			continue
		}
		v := d.Clone()
		if typ := section.At(name, "Type").Str(); typ == "CommaDelimitedList" || strings.HasPrefix(typ, "List<") {
			text, _ := d.Scalar()
			v = template.NewList()
			for _, s := range strings.Split(text, ",") {
				v.Items = append(v.Items, template.NewString(strings.TrimSpace(s)))
			}
		}
		out[name] = template.ParameterValue{Value: v}
	}
	return out
}

func normal(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return sortLists(v)
}

func sortLists(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = sortLists(v[k])
		}
	case []any:
		for i := range v {
			v[i] = sortLists(v[i])
		}
		sort.Slice(v, func(i, j int) bool { return asJSON(v[i]) < asJSON(v[j]) })
	}
	return v
}

func asJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
