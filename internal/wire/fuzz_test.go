package wire

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

type flavour string

// everything has a member of each kind.
type everything struct {
	Text     string                `aws:"Text,required"`
	Maybe    *string               `aws:"Maybe"`
	Flavour  flavour               `aws:"Flavour"`
	Small    *int32                `aws:"Small"`
	Big      *int64                `aws:"Big"`
	Yes      *bool                 `aws:"Yes"`
	Float    *float64              `aws:"Float"`
	When     *time.Time            `aws:"When"`
	Stamp    *time.Time            `aws:"Stamp,ts=iso8601"`
	Blob     []byte                `aws:"Blob"`
	Document json.RawMessage       `aws:"Document"`
	List     []string              `aws:"List"`
	Flat     []string              `aws:"Flat,flat,item=Flattened"`
	Map      map[string]string     `aws:"Map"`
	Maps     map[string]everything `aws:"Maps,key=K,value=V"`
	Self     *everything           `aws:"Self"`
	Selves   []everything          `aws:"Selves"`
}

func decodeEverything(data []byte) (*everything, int, error) {
	var ps planner
	var violations Violations
	v := new(everything)
	err := decodeJSON(data, ps.of(reflect.TypeFor[everything]()), reflect.ValueOf(v).Elem(), &violations, "")
	return v, violations.Len(), err
}

// FuzzDecodeJSON: what the decoder takes is JSON, means the same after it was
// written again, and the standard library reads the same text in it.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"Text":"a"}`, `{"Text":null}`, `{"Text":"a","Text":"b"}`, `{"Text":"\u0041\ud83d\ude00\n\/"}`, `{"Text":"\ud83d"}`,
		`{"Small":2147483647,"Big":-9223372036854775808}`, `{"Small":2147483648}`, `{"Small":1e2,"Float":"NaN"}`, `{"Float":"-Infinity"}`,
		`{"When":1.5e9,"Stamp":"2015-01-25T08:00:00.123Z"}`, `{"When":1422172800.123}`, `{"Blob":"Zm9v"}`, `{"Blob":"Zm9"}`,
		`{"Document":{"a":[1,{"b":null}]}}`, `{"List":["a",null],"Flat":[]}`, `{"Map":{"a":"b","a":"c"}}`, `{"Map":{"b":"\u0061\n<","a":null,"":"\u00fc\u2028"}}`, `{"Map":{"a":1}}`, `{"Map":{"a":["b"]}}`, `{"Map":{"a":"b",}}`, `{"Maps":{"a":{"Text":"x"}}}`,
		`{"Self":{"Self":{"Self":{}}},"Selves":[{},{"Text":"y"}]}`, `{"Other":[[[[]]]],"text":1}`, "\ufeff{}", "{\"Text\":\"\x00\"}", `{"Yes":tru}`, `{"Small":01}`, `{"a":1,}`, `[1]`, `"x"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, _, err := decodeEverything(data)
		if err != nil || len(bytes.TrimSpace(data)) == 0 {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("took what is not JSON: %q", data)
		}
		var std map[string]any
		if err := json.Unmarshal(data, &std); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if s, ok := std["Text"].(string); ok && s != v.Text {
			t.Fatalf("%q: text %q, want %q", data, v.Text, s)
		}
		var same struct{ Map map[string]string }
		if _, ok := std["Map"].(map[string]any); ok && len(std) == 1 && (json.Unmarshal(data, &same) != nil || v.Map == nil || !maps.Equal(v.Map, same.Map)) {
			t.Fatalf("%q: map %q, want %q", data, v.Map, same.Map)
		}
		var text bytes.Buffer
		plain := json.NewEncoder(&text)
		plain.SetEscapeHTML(false)
		if err := plain.Encode(v.Map); err != nil || v.Map != nil && string(appendTexts(nil, v.Map)) != strings.TrimSpace(text.String()) {
			t.Fatalf("wrote %s, want %s", appendTexts(nil, v.Map), &text)
		}
		var ps planner
		again := appendJSON(nil, ps.of(reflect.TypeFor[everything]()), reflect.ValueOf(v).Elem())
		if !json.Valid(again) {
			t.Fatalf("wrote what is not JSON: %s", again)
		}
		w, _, err := decodeEverything(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		third := appendJSON(nil, ps.of(reflect.TypeFor[everything]()), reflect.ValueOf(w).Elem())
		if !bytes.Equal(again, third) {
			t.Fatalf("not the same twice:\n%s\n%s", again, third)
		}
	})
}

// FuzzDecodeQuery: the order of parameters means nothing, and what is taken is
// given once.
func FuzzDecodeQuery(f *testing.F) {
	for _, s := range []string{
		"Text=a", "Text=a&Text=b", "List.member.1=a&List.member.2=b", "List.member.2=a", "List.member.0=a", "List.member.1=a&List.x.1=b",
		"List=", "Flattened.1=a&Flattened.10=b&Flattened.9=c", "Map.entry.1.key=a&Map.entry.1.value=b", "Maps.entry.1.K=a&Maps.entry.1.V.Text=b",
		"Self.Self.Self.Text=x", "Selves.member.1.List.member.1=x", "Small=1&Big=-1&Yes=true&Float=1.5&When=2015-01-25T08:00:00Z&Blob=Zm9v",
		"Text.a=b", "Text=%ff", "a.b.c.d=%zz", "Selves.member.1=&Selves.member.1.Text=a", ".=&..=", "List.member.1=a&List=",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if strings.Count(raw, ".") > 500 {
			return
		}
		read := func(params []parameter) (string, error) {
			tree, err := queryTree(params)
			if err != nil {
				return "", err
			}
			var ps planner
			var violations Violations
			v, p := new(everything), ps.of(reflect.TypeFor[everything]())
			if err := decodeQuery(tree, p, reflect.ValueOf(v).Elem(), &violations, ""); err != nil {
				return "", err
			}
			return string(appendJSON(nil, p, reflect.ValueOf(v).Elem())), nil
		}
		params, err := parseParameters(raw)
		if err != nil {
			return
		}
		a, errA := read(params)
		slices.Reverse(params)
		b, errB := read(params)
		if a != b || (errA == nil) != (errB == nil) {
			t.Fatalf("%q: %s %v, reversed %s %v", raw, a, errA, b, errB)
		}
		slices.SortFunc(params, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
		for i := 1; i < len(params); i++ {
			if errA == nil && params[i].name == params[i-1].name {
				t.Fatalf("%q: %s is given twice", raw, params[i].name)
			}
		}
	})
}

// FuzzDecodeXML: no panic, and what was taken survives being written again.
func FuzzDecodeXML(f *testing.F) {
	for _, s := range []string{
		"<a><Text>x</Text></a>", "<a><Text/><List><member>a</member><member/></List></a>", "<!DOCTYPE a><a/>", "<a>", "<a/><b/>",
		"<a><Flattened>1</Flattened><Flattened>2</Flattened></a>", "<a><Map><entry><key>k</key><value>v</value></entry></Map></a>",
		"<a><Self><Self><Text>&lt;&#x41;&unknown;</Text></Self></Self></a>", "<a><Maps><entry><K>k</K><V><Text>x</Text></V></entry></Maps></a>",
		"<a><Small> 1 </Small><Yes>true</Yes><When>2015-01-25T08:00:00Z</When><Blob>Zm9v</Blob></a>", "<x:a><x:Text>t</x:Text></x:a>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ps planner
		var violations Violations
		v, p := new(everything), ps.of(reflect.TypeFor[everything]())
		if err := decodeXML(data, p, reflect.ValueOf(v).Elem(), &violations, ""); err != nil {
			return
		}
		again := appendXMLEnd(appendXML([]byte("<a>"), p, reflect.ValueOf(v).Elem()), "a")
		w := new(everything)
		if err := decodeXML(again, p, reflect.ValueOf(w).Elem(), &violations, ""); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if third := appendXMLEnd(appendXML([]byte("<a>"), p, reflect.ValueOf(w).Elem()), "a"); !bytes.Equal(again, third) {
			t.Fatalf("not the same twice:\n%s\n%s", again, third)
		}
	})
}

// FuzzRoute: a path that matches is rebuilt from its labels, and none of them
// could leave its place.
func FuzzRoute(f *testing.F) {
	for _, s := range []string{
		"/a", "/a/", "/a//", "/a/x/c", "/a/x%2Fy/c", "/a/../c", "/a/%2e%2e/c", "/a/%2E", "/a/x;y", "/a/x%00", "/a/%c0%ae", "/b/x/y/z", "/b/x/../z",
		"/b//x", "/b/x/", "/%61", "/a/x\\y", "/a/%5c", "a", "", "/", "/a/%", "/a/%zz/c", "/a/fixed/c",
	} {
		f.Add(s)
	}
	e := newEndpoint(&API{Protocol: protocolRESTJSON, Operations: []Operation{
		{Name: "Root", Method: "GET", Path: "/a"}, {Name: "Label", Method: "GET", Path: "/a/{x}"}, {Name: "Below", Method: "GET", Path: "/a/{x}/c"},
		{Name: "Fixed", Method: "GET", Path: "/a/fixed/c"}, {Name: "Greedy", Method: "GET", Path: "/b/{rest+}"},
	}})
	f.Fuzz(func(t *testing.T, path string) {
		op, labels := e.routes.match("GET", path, nil)
		if op == nil {
			return
		}
		rebuilt := op.Path
		for name, value := range labels {
			for part := range strings.SplitSeq(value, "/") {
				if op.Name == "Greedy" && (part == "" && !strings.HasSuffix(value, "/") || part == "." || part == "..") {
					t.Fatalf("%q: label %q", path, value)
				}
			}
			if value == "" || value == "." || value == ".." || strings.ContainsRune(value, 0) {
				t.Fatalf("%q: label %q", path, value)
			}
			rebuilt = strings.NewReplacer("{"+name+"}", url.PathEscape(value), "{"+name+"+}", value).Replace(rebuilt)
		}
		have, err := url.PathUnescape(path)
		want, err2 := url.PathUnescape(rebuilt)
		if op.Name == "Greedy" {
			want, err2 = rebuilt, nil
		}
		if err != nil || err2 != nil || strings.TrimSuffix(have, "/") != strings.TrimSuffix(want, "/") {
			t.Fatalf("%q is %s with %v", path, op.Name, labels)
		}
	})
}

// FuzzSplitHeader: a list that is written as a header is read as it was.
func FuzzSplitHeader(f *testing.F) {
	f.Add("a", "b")
	f.Add(`a,"b`, `\`)
	f.Add("", `""`)
	f.Fuzz(func(t *testing.T, a, b string) {
		want := []string{strings.TrimSpace(a), strings.TrimSpace(b)}
		fl := field{plan: &plan{kind: kindList, elem: &plan{kind: kindString}}}
		got := splitHeader(fl.headerValue(reflect.ValueOf(want)))
		if !slices.Equal(got, want) {
			t.Fatalf("%q became %q", want, got)
		}
	})
}
