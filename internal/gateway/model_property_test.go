package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// values draws JSON documents of few kinds, so that schemas and documents meet.
func values(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 5
		if depth > 0 {
			kinds = 7
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.SampledFrom([]string{"", "a", "b", "ab", "äö", "a@b.de", "1.2.3.4"}).Draw(t, "text")
		case 3, 4:
			return json.Number(rapid.SampledFrom([]string{"0", "1", "1.0", "2", "-1", "0.5", "1e2", "3.5", "100"}).Draw(t, "number"))
		case 5:
			return rapid.SliceOfN(values(depth-1), 0, 3).Draw(t, "list")
		}
		return rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "x-c"}), values(depth-1), 0, 3).Draw(t, "object")
	})
}

// schemas draws schemas of draft 4.
func schemas(depth int) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		s := map[string]any{}
		number := func(name string) {
			s[name] = json.Number(rapid.SampledFrom([]string{"0", "1", "2", "2.5"}).Draw(t, name))
		}
		size := func(name string) { s[name] = json.Number(rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, name)) }
		names := func(label string) []any {
			var out []any
			for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "x-c"}), 1, 2, rapid.ID).Draw(t, label) {
				out = append(out, n)
			}
			return out
		}
		inner := func(label string) map[string]any { return schemas(depth-1).Draw(t, label) }
		several := func(label string) []any {
			var out []any
			for _, one := range rapid.SliceOfN(schemas(depth-1), 1, 3).Draw(t, label) {
				out = append(out, one)
			}
			return out
		}
		flat := []func(){
			func() {
				s["type"] = rapid.SampledFrom([]any{"object", "array", "string", "number", "integer", "boolean", "null", []any{"string", "null"}, []any{"integer", "object"}}).Draw(t, "type")
			},
			func() {
				s["enum"] = rapid.SliceOfNDistinct(values(1), 1, 3, func(v any) string { return string(appendValue(nil, v, true)) }).Draw(t, "enum")
			},
			func() { number("minimum"); s["exclusiveMinimum"] = rapid.Bool().Draw(t, "exclusive") },
			func() { number("maximum"); s["exclusiveMaximum"] = rapid.Bool().Draw(t, "exclusive") },
			func() {
				s["multipleOf"] = json.Number(rapid.SampledFrom([]string{"1", "0.5", "2", "3"}).Draw(t, "multipleOf"))
			},
			func() { size("minLength") }, func() { size("maxLength") }, func() { size("minItems") }, func() { size("maxItems") },
			func() { size("minProperties") }, func() { size("maxProperties") },
			func() { s["uniqueItems"] = rapid.Bool().Draw(t, "unique") },
			func() { s["pattern"] = rapid.SampledFrom([]string{"^a", "b$", "ä"}).Draw(t, "pattern") },
			func() { s["format"] = rapid.SampledFrom([]string{"email", "ipv4", "unheard-of"}).Draw(t, "format") },
			func() { s["required"] = names("required") },
			func() { s["additionalProperties"] = rapid.Bool().Draw(t, "additional") },
			func() { s["dependencies"] = map[string]any{"a": names("dependency")} },
		}
		deep := []func(){
			func() { s["properties"] = map[string]any{"a": inner("a"), "b": inner("b")} },
			func() { s["patternProperties"] = map[string]any{"^x-": inner("pattern property")} },
			func() { s["additionalProperties"] = inner("additional") },
			func() { s["dependencies"] = map[string]any{"b": inner("dependency")} },
			func() { s["items"] = inner("items") },
			func() { s["items"], s["additionalItems"] = several("tuple"), rapid.Bool().Draw(t, "more") },
			func() { s["items"], s["additionalItems"] = several("tuple"), inner("more") },
			func() { s["allOf"] = several("all") }, func() { s["anyOf"] = several("any") }, func() { s["oneOf"] = several("one") },
			func() { s["not"] = inner("not") },
			func() { s["$ref"] = "#/definitions/d" },
		}
		if depth > 0 {
			flat = append(flat, deep...)
		}
		for range rapid.IntRange(0, 3).Draw(t, "keywords") {
			flat[rapid.IntRange(0, len(flat)-1).Draw(t, "keyword")]()
		}
		return s
	})
}

// TestSchemaCheck_oracle: what our walk says of a document is what the library that
// compiled the schema says of it.
func TestSchemaCheck_oracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		root := schemas(2).Draw(t, "schema")
		root["definitions"] = map[string]any{"d": schemas(0).Draw(t, "definition")}
		text, err := json.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newModelSet(apiID, map[string]string{"M": string(text)}).schema("test", "M")
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		doc := values(3).Draw(t, "document")
		c := schemaCheck{budget: 1_000_000}
		c.visit(s, doc, 0)
		want := s.Validate(doc)
		if (len(c.found) == 0) != (want == nil) || c.budget < 0 {
			t.Fatalf("schema %s\ndocument %s\nours %s\nlibrary %v", text, appendValue(nil, doc, false), strings.Join(c.found, "; "), want)
		}
	})
}
