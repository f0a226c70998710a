package wire

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"moat/internal/wire/protocoltest"
)

// TestConformance_input decodes every request of AWS's protocol cases.
func TestConformance_input(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{protocolJSON, protocolQuery, protocolRESTJSON, protocolRESTXML} {
		cases, err := protocoltest.Cases("input", protocol)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				testInputCase(t, c)
			})
		}
	}
}

// TestConformance_output encodes every response of AWS's protocol cases.
func TestConformance_output(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{protocolJSON, protocolQuery, protocolRESTJSON, protocolRESTXML} {
		cases, err := protocoltest.Cases("output", protocol)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				testOutputCase(t, c)
			})
		}
	}
}

func caseOperation(c protocoltest.Case) (*Pipeline, *operation) {
	api := &API{
		Package: "caseapi", Endpoint: "case", Signing: "case", Protocol: c.Protocol, TargetPrefix: c.TargetPrefix,
		JSONVersion: c.JSONVersion, Version: c.Version,
		Operations: []Operation{{
			Name: c.Operation, Method: c.Method, Path: c.Path, Status: 200, ResultWrapper: c.ResultWrapper,
			Input: c.Input, Output: c.Output,
			NewInput: func() any { return reflect.New(c.Input).Interface() },
		}},
	}
	p := New(Config{APIs: []*API{api}})
	return p, p.ends[0].ops[c.Operation]
}

func testInputCase(t *testing.T, c protocoltest.Case) {
	contract := c.Input
	c.Input = withPayload(c)
	p, op := caseOperation(c)
	r := httptest.NewRequest(c.Method, c.Serialized.URI, strings.NewReader(c.Serialized.Body))
	for k, v := range c.Serialized.Headers {
		r.Header.Set(k, v)
	}
	x := &exchange{p: p, r: r, end: p.ends[0], call: &Call{}, limit: 1 << 20}
	x.message.header = r.Header
	var err error
	if x.message.params, err = parseParameters(r.URL.RawQuery); err != nil {
		t.Fatal(err)
	}
	switch c.Protocol {
	case protocolJSON: // the cases give no target to some
		err, x.op = x.readBody(), op
	case protocolQuery:
		err = x.identifyQuery()
	default:
		if err = x.identifyREST(); err == nil {
			err = x.readBody()
		}
	}
	if err != nil {
		t.Fatalf("identify: %v", err)
	}
	if err := x.decode(); err != nil {
		t.Fatalf("decode: %v", err)
	}
	if c.Description == "Header whitespace" { // HTTP itself drops it
		c.Params = trimmed(t, c.Params)
	}
	want, err := protocoltest.Fill(contract, c.Params)
	if err != nil {
		t.Fatal(err)
	}
	got := reflect.ValueOf(x.in).Convert(reflect.PointerTo(contract)).Interface()
	if diff := cmp.Diff(want, got, cmp.Comparer(sameJSON), cmp.FilterPath(isToken4, cmp.Ignore()), cmp.FilterPath(isPayload(c), cmp.Comparer(sameOrEmpty))); diff != "" {
		t.Errorf("%s: decoded %s %q:\n(-want +got)\n%s", c.Description, c.Serialized.URI, c.Serialized.Body, diff)
	}
}

// trimmed drops the white space around every name and text of a JSON document.
func trimmed(t *testing.T, doc json.RawMessage) json.RawMessage {
	var x any
	if err := json.Unmarshal(doc, &x); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(trim(x))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func trim(x any) any {
	switch x := x.(type) {
	case string:
		return strings.TrimSpace(x)
	case map[string]any:
		out := map[string]any{}
		for k, v := range x {
			out[strings.TrimSpace(k)] = trim(v)
		}
		return out
	}
	return x
}

// withPayload returns the input type of a case, with the payload member that some
// cases name beside the shape instead of in it.
func withPayload(c protocoltest.Case) reflect.Type {
	beside := (c.Description == "Blob payload" || c.Description == "Structure payload" || c.Description == "String payload") && c.Protocol == protocolRESTJSON
	if !beside || hasOption(c.Input.Field(0).Tag.Get("aws"), "payload") {
		return c.Input
	}
	f := c.Input.Field(0)
	f.Tag = reflect.StructTag(`aws:"foo,payload"`)
	return reflect.StructOf([]reflect.StructField{f})
}

// isToken4 finds members that clients fill in by themselves.
func isToken4(p cmp.Path) bool { return p.Last().String() == ".Token" }

// sameJSON compares what the cases hold as JSON in a string.
func sameJSON(a, b string) bool {
	var x, y any
	if strings.HasPrefix(a, "{") && json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil {
		return reflect.DeepEqual(x, y)
	}
	return a == b
}

// isPayload finds payload structures: a client sends {} for an absent one.
func isPayload(c protocoltest.Case) func(cmp.Path) bool {
	return func(p cmp.Path) bool {
		f, ok := p.Last().(cmp.StructField)
		if !ok || len(p) < 3 {
			return false
		}
		sf, _ := c.Input.FieldByName(f.Name())
		return hasOption(sf.Tag.Get("aws"), "payload") && sf.Type.Kind() == reflect.Pointer && sf.Type.Elem().Kind() == reflect.Struct
	}
}

func sameOrEmpty(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.IsNil() != y.IsNil() {
		return (x.IsNil() || x.Elem().IsZero()) && (y.IsNil() || y.Elem().IsZero())
	}
	return reflect.DeepEqual(a, b)
}

func testOutputCase(t *testing.T, c protocoltest.Case) {
	p, op := caseOperation(c)
	out, err := protocoltest.Fill(c.Output, c.Result)
	if err != nil {
		t.Fatal(err)
	}
	a := p.planner.encode(op, out, op.end.api.Protocol, "request-id", nil)
	if want := max(c.Response.Status, 200); a.status != want {
		t.Errorf("status %d, want %d", a.status, want)
	}
	for k, v := range c.Response.Headers {
		if got, _ := a.get(http.CanonicalHeaderKey(k)); got != v && k != "Content-Length" {
			t.Errorf("header %s is %q, want %q", k, got, v)
		}
	}
	switch {
	case strings.HasPrefix(strings.TrimSpace(c.Response.Body), "<"):
		want, got := xmlTree(t, c.Response.Body), xmlTree(t, string(a.body))
		if c.ResultWrapper == "" && len(want.Children) == 1 && want.Children[0].Name == "OperationNameResult" {
			want = element{Children: want.Children[0].Children} // a wrapper that the case does not declare
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s\n(-want +got)\n%s", c.Description, a.body, diff)
		}
	case strings.Contains(c.Description, "Ignores") || strings.Contains(c.Description, "unmodeled"):
		// what a client ignores a server does not send
	default:
		compareJSON(t, c, string(a.body))
	}
}

func compareJSON(t *testing.T, c protocoltest.Case, got string) {
	var x, y any
	if c.Response.Body == "" && (got == "" || got == "{}") {
		return
	}
	if json.Unmarshal([]byte(c.Response.Body), &x) != nil {
		if got != c.Response.Body {
			t.Errorf("%s: body %q, want %q", c.Description, got, c.Response.Body)
		}
		return
	}
	if err := json.Unmarshal([]byte(got), &y); err != nil {
		t.Fatalf("%s: %v: %s", c.Description, err, got)
	}
	if diff := cmp.Diff(withoutNull(x, y), y); diff != "" {
		t.Errorf("%s: body %s\n(-want +got)\n%s", c.Description, got, diff)
	}
}

// sameTime takes a timestamp in either form: clients read both, whatever the
// model says.
func sameTime(a, b any) bool {
	s, ok := a.(string)
	t, isTime := parseTime(s, timeISO8601)
	return ok && isTime && len(s) > 10 && b == float64(t.Unix())
}

// withoutNull replaces the nulls of a list by the zero value that stands for them
// in Go: contracts hold elements as values.
func withoutNull(want, got any) any {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for k := range w {
			if w[k] = withoutNull(w[k], g[k]); sameTime(w[k], g[k]) {
				w[k] = g[k]
			}
		}
	case []any:
		g, _ := got.([]any)
		for i := range w {
			if w[i] == nil && i < len(g) && (g[i] == "" || reflect.DeepEqual(g[i], map[string]any{})) {
				w[i] = g[i]
			}
			if i < len(g) {
				w[i] = withoutNull(w[i], g[i])
			}
		}
	}
	return want
}

// element is a piece of XML without what clients do not look at: the order of
// siblings of different names, white space, the request id and the root's name.
type element struct {
	Name     string
	Text     string
	Attrs    []string
	Children []element
}

func xmlTree(t *testing.T, doc string) element {
	t.Helper()
	n, err := parseXML([]byte(doc))
	if err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
	e := normal(n)
	e.Name, e.Attrs = "", nil
	return e
}

func normal(n *xmlNode) element {
	e := element{Name: n.name}
	if len(n.children) == 0 {
		e.Text = strings.TrimSpace(string(n.text))
	}
	for k, v := range n.attributes {
		e.Attrs = append(e.Attrs, k+"="+v)
	}
	slices.Sort(e.Attrs)
	for _, c := range n.children {
		if c.name != "ResponseMetadata" && c.name != "RequestId" && c.name != "requestId" {
			e.Children = append(e.Children, normal(c))
		}
	}
	slices.SortStableFunc(e.Children, func(a, b element) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 || a.Name != "entry" && a.Name != "Map" {
			return c
		}
		return strings.Compare(a.Children[0].Text, b.Children[0].Text) // maps have no order
	})
	return e
}
