package vtl

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/pure/jsonpath"
)

// testCase is a file of testdata: aws/ holds what AWS itself rendered, own/ what its
// documentation and Velocity's say.
type testCase struct {
	Template  string          `json:"template"`
	Variables json.RawMessage `json:"variables"`
	// Body and the parameters make $input.
	Body       *string `json:"body"`
	Parameters struct {
		Path        json.RawMessage `json:"path"`
		Querystring json.RawMessage `json:"querystring"`
		Header      json.RawMessage `json:"header"`
	} `json:"parameters"`
	Want string `json:"want"`
	// Error is "parse", "render", "input" or "limit" when nothing is rendered.
	Error string `json:"error"`
	// Fold compares with runs of white space as one blank: so the case was recorded.
	Fold bool `json:"fold"`
}

type params map[string]*jsonpath.Map

func (p params) Parameter(name string) (string, bool) {
	for _, place := range []string{"path", "querystring", "header"} {
		if v, ok := p[place].Get(name); ok {
			s, ok := v.(string)
			return s, ok
		}
	}
	return "", false
}

func (p params) Parameters(place string) *jsonpath.Map { return p[place] }

func object(t *testing.T, raw json.RawMessage) *jsonpath.Map {
	if len(raw) == 0 {
		return new(jsonpath.Map)
	}
	v, err := jsonpath.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v.(*jsonpath.Map)
}

func (c *testCase) variables(t *testing.T) Vars {
	vars := Vars{"util": Util{}}
	m := object(t, c.Variables)
	for i := range m.Len() {
		k, v := m.At(i)
		vars[k] = v
	}
	if c.Body != nil {
		vars["input"] = &Input{Body: []byte(*c.Body), Params: params{"path": object(t, c.Parameters.Path),
			"querystring": object(t, c.Parameters.Querystring), "header": object(t, c.Parameters.Header)}}
	}
	return vars
}

func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) < 200 {
		t.Fatalf("%d cases, %v; there are at least 200", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".json"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c testCase
			d := json.NewDecoder(bytes.NewReader(text))
			d.DisallowUnknownFields()
			if err := d.Decode(&c); err != nil {
				t.Fatal(err)
			}
			c.run(t)
		})
	}
}

func (c *testCase) run(t *testing.T) {
	tpl, err := Compile(c.Template)
	var got []byte
	if err == nil {
		got, err = tpl.Render(nil, c.variables(t), Limits{})
	}
	if kind := errorKind(err); kind != c.Error {
		t.Fatalf("template %q: error %v (%s), want %q", c.Template, err, kind, c.Error)
	}
	if err != nil {
		return
	}
	text, want := string(got), c.Want
	if c.Fold {
		text, want = strings.Join(strings.Fields(text), " "), strings.Join(strings.Fields(want), " ")
	}
	if text != want {
		t.Errorf("template %q\n got %q\nwant %q", c.Template, text, want)
	}
}

func errorKind(err error) string {
	var parse *ParseError
	var render *RenderError
	var input *InputError
	var limit *LimitError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &limit):
		return "limit"
	case errors.As(err, &input):
		return "input"
	case errors.As(err, &render):
		return "render"
	case errors.As(err, &parse):
		return "parse"
	}
	return "other: " + err.Error()
}
