package document

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParse_KeepsTheOrder(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		`{"b":1,"a":{"z":null,"y":[true,"x",1.50]},"200":"o\/k \ud83d\ude00"}`,
		"b: 1\na:\n  z: null\n  y: [true, x, 1.50]\n200: \"o/k \U0001F600\"\n",
	} {
		v, err := Parse([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		want := `{"b":1,"a":{"z":null,"y":[true,"x",1.50]},"200":"o/k ` + "\U0001F600" + `"}`
		if got := string(Compact(v)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestParseYAML_Scalars(t *testing.T) {
	t.Parallel()
	v, err := Parse([]byte("date: 2017-01-01\nhex: 0x1F\nid: 012345678901\nyes: yes\nnone: ~\nbool: True\nbase: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nagain: *b\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"date":"2017-01-01","hex":31,"id":"012345678901","yes":"yes","none":null,"bool":true,"base":{"x":1,"y":2},"use":{"y":3,"x":1},"again":{"x":1,"y":2}}`
	if got := string(Compact(v)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPretty(t *testing.T) {
	t.Parallel()
	v, err := Parse([]byte(`{"a":{"b":[],"c":{},"d":["x",{"e":1}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"a\" : {\n    \"b\" : [ ],\n    \"c\" : { },\n    \"d\" : [ \"x\", {\n      \"e\" : 1\n    } ]\n  }\n}"
	if got := string(Pretty(v)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if want, got := "---\na:\n  b: []\n  c: {}\n  d:\n  - \"x\"\n  - e: 1\n", string(YAML(v)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 9; i++ {
		n, p := string(rune('0'+i)), string(rune('0'+i-1))
		bomb += "a" + n + ": &a" + n + " [" + strings.Repeat("*a"+p+",", 9) + "*a" + p + "]\n"
	}
	for name, doc := range map[string]string{
		"deep JSON": strings.Repeat("[", 100_000), "deep YAML": strings.Repeat("- ", 5_000) + "x",
		"aliases": bomb, "aliases of a long text": "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a,", 100) + "]", "an alias of itself": "a: &a [*a]\n", "many values": "[" + strings.Repeat("1,", MaxValues) + "1]",
		"many in YAML": "a: [" + strings.Repeat("b,", 2*MaxValues) + "b]",
	} {
		if _, err := Parse([]byte(doc)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got %v, want it too large", name, err)
		}
	}
	for name, doc := range map[string]string{
		"a member twice": `{"a":1,"a":2}`, "a member twice, YAML": "a: 1\na: 2\n", "nothing": "", "half": `{"a":`, "text behind": `{"a":1} x`, "a tab": "\ta: 1",
	} {
		if v, err := Parse([]byte(doc)); err == nil {
			t.Errorf("%s: got %s, want it refused", name, Compact(v))
		}
	}
}

// What is written reads as what it was.
func FuzzRoundTrip(f *testing.F) {
	f.Add(`{"a":[1,"x: y",{"b":null,"true":[[1],[]],"- c":"#\n\t"}],"":"\u0085\u2028"}`)
	f.Add("a: {b: [1, 2]}\nc: |\n  text\n  more\n")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse([]byte(s))
		if err != nil {
			return
		}
		for name, b := range map[string][]byte{"compact": Compact(v), "pretty": Pretty(v)} {
			if again, err := ParseJSON(b); err != nil || !reflect.DeepEqual(again, v) {
				t.Fatalf("%s: %v: got %s, want %s", name, err, Compact(again), Compact(v))
			}
		}
		if again, err := ParseYAML(YAML(v)); err != nil || !reflect.DeepEqual(again, v) {
			t.Fatalf("YAML: %v: got %s, want %s of\n%s", err, Compact(again), Compact(v), YAML(v))
		}
	})
}
