package jsonpath

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

const store = `{"store":{"book":[
 {"category":"reference","author":"Rees","title":"Sayings","price":8.95},
 {"category":"fiction","author":"Waugh","title":"Sword","price":12.99},
 {"category":"fiction","author":"Melville","title":"Moby Dick","isbn":"0-553-21311-3","price":8.99},
 {"category":"fiction","author":"Tolkien","title":"Rings","isbn":"0-395-19395-8","price":22.99}],
 "bicycle":{"color":"red","price":19.95}},"expensive":10,"n":null,"x-y":{"a b":1},"arr":[1,2,3,[4]],"s":"5","set":["a","b"]}`

func TestFind(t *testing.T) {
	t.Parallel()
	root, err := Parse([]byte(store))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"$.expensive":                                 `10`,
		"expensive":                                   `10`,
		"$['expensive']":                              `10`,
		`$["expensive"]`:                              `10`,
		"$.n":                                         `null`,
		"$.x-y['a b']":                                `1`,
		"$.store.book[0].title":                       `"Sayings"`,
		"$.store.book[-1].title":                      `"Rings"`,
		"$.store.book[0,2].author":                    `["Rees","Melville"]`,
		"$.store.book[:2].author":                     `["Rees","Waugh"]`,
		"$.store.book[1:3].author":                    `["Waugh","Melville"]`,
		"$.store.book[-2:].author":                    `["Melville","Tolkien"]`,
		"$.store.book[:-3].author":                    `["Rees"]`,
		"$.store.book[5:].author":                     `[]`,
		"$.store.book[*].author":                      `["Rees","Waugh","Melville","Tolkien"]`,
		"$..author":                                   `["Rees","Waugh","Melville","Tolkien"]`,
		"$.store..price":                              `[8.95,12.99,8.99,22.99,19.95]`,
		"$..book[2].title":                            `["Moby Dick"]`,
		"$..nothing":                                  `[]`,
		"$.store.bicycle.*":                           `["red",19.95]`,
		"$.store.bicycle['color','price']":            `{"color":"red","price":19.95}`,
		"$.store.book.length()":                       `4`,
		"$.store.length()":                            `2`,
		"$..book.length()":                            `1`,
		"$.arr.size()":                                `4`,
		"$.store.bicycle.keys()":                      `["color","price"]`,
		"$.arr.first()":                               `1`,
		"$.arr.max()":                                 `3.0`,
		"$.arr.min()":                                 `1.0`,
		"$.arr.sum()":                                 `6.0`,
		"$.arr.avg()":                                 `2.0`,
		"$..book[?(@.isbn)].title":                    `["Moby Dick","Rings"]`,
		"$..book[?(!@.isbn)].title":                   `["Sayings","Sword"]`,
		"$.store.book[?(@.price < 10)].title":         `["Sayings","Moby Dick"]`,
		"$..book[?(@.price <= $['expensive'])].title": `["Sayings","Moby Dick"]`,
		"$.store.book[?(@.category == 'fiction' && @.price > 20)].title":     `["Rings"]`,
		"$.store.book[?(@.author == 'Rees' || @.author == \"Waugh\")].title": `["Sayings","Sword"]`,
		"$.store.book[?(@.author =~ /.*VILLE/i)].title":                      `["Moby Dick"]`,
		"$.store.book[?(@.author in ['Rees','Tolkien'])].title":              `["Sayings","Rings"]`,
		"$.store.book[?(@.author nin ['Rees','Tolkien'])].title":             `["Sword","Moby Dick"]`,
		"$.store.book[?(@.title contains 'ing')].title":                      `["Sayings","Rings"]`,
		"$.store.book[?(@.title size 5)].title":                              `["Sword","Rings"]`,
		"$.store.book[?((@.price > 20 || @.price < 8.96) && @.title)].title": `["Sayings","Rings"]`,
		"$.arr[?(@ > 1)]":                            `[2,3]`,
		"$[?(@ == 5)]":                               `[]`,
		"$.store[?(@.color == 'red')]":               `[]`,
		"$.store.bicycle[?(@.color == 'red')].price": `[19.95]`,
		"$.store.book[?(@.isbn != null)].title":      `["Sayings","Sword","Moby Dick","Rings"]`,
		"$..[?(@.color)].price":                      `[19.95]`,
	} {
		p, err := Compile(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		v, err := p.Find(root)
		got, _ := AppendJSON(nil, v, 1<<20)
		if err != nil || string(got) != want {
			t.Errorf("%s\n got %s, %v\nwant %s", path, got, err, want)
		}
	}
}

func TestFind_nothing(t *testing.T) {
	t.Parallel()
	root, _ := Parse([]byte(store))
	for _, path := range []string{"$.zip", "$.zip.zap", "$.expensive.x", "$.arr.x", "$.arr[9]", "$.arr[-9]", "$.store[0]", "$.s.first()"} {
		p, err := Compile(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if v, err := p.Find(root); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v, %v", path, v, err)
		}
	}
}

func TestCompile_malformed(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "$.", "$..", "$[", "$[]", "$['a", "$['a'", "$[a]", "$.a(", "$.a()", "$.length(1)", "$[?]", "$[?(", "$[?(@.a ==)]", "$[?(1)]",
		"$[?(@.a =~ 1)]", "$[?(@.a =~ /(/)]", "$[1:2", "$[:]", "$[99999999999]", "$ x", "$.a b"} {
		if p, err := Compile(path); err == nil {
			t.Errorf("%s compiles to %+v", path, p)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	var limit *LimitError
	if _, err := Parse([]byte(strings.Repeat("[", 100000))); !errors.As(err, &limit) {
		t.Errorf("deep document: %v", err)
	}
	if _, err := Parse([]byte(strings.Repeat("9", 5000))); !errors.As(err, &limit) {
		t.Errorf("long number: %v", err)
	}
	if _, err := Compile("$" + strings.Repeat(".a", 3000)); !errors.As(err, &limit) {
		t.Errorf("long path: %v", err)
	}
	if _, err := Compile("$[?(" + strings.Repeat("(", 1000) + "@.a" + strings.Repeat(")", 1000) + ")]"); !errors.As(err, &limit) {
		t.Errorf("deep filter: %v", err)
	}
	deep, err := Parse([]byte(strings.Repeat(`{"a":[`, 200) + strings.Repeat("]}", 200)))
	if err != nil {
		t.Fatal(err)
	}
	p, _ := Compile("$" + strings.Repeat("..*", 30))
	if _, err := p.Find(deep); !errors.As(err, &limit) {
		t.Errorf("much work: %v", err)
	}
	l := NewList()
	l.Items = append(l.Items, l)
	if _, err := AppendText(nil, l, 1<<30); !errors.As(err, &limit) {
		t.Errorf("a list in itself: %v", err)
	}
}

func TestParse_and_print(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"z":1,"a":{"y":2,"b":3},"z":9}`:                             `{"z":9,"a":{"y":2,"b":3}}`,
		` [ 1.0 , 1e3, -0.5, 123456789012345678901234567890, 1.50 ] `: `[1.0,1000.0,-0.5,123456789012345678901234567890,1.5]`,
		`"\u0041\ud83d\ude00\n\/\ud800"`:                              `"A😀\n/` + "\ufffd" + `"`,
		`[12345678901234567.123, 1E400]`:                              `[12345678901234567.123,1E400]`,
		`[true,false,null,"",{},[]]`:                                  `[true,false,null,"",{},[]]`,
		"\"\\u0001\u2028\"":                                           `"\u0001\u2028"`,
	} {
		v, err := Parse([]byte(text))
		got, _ := AppendJSON(nil, v, 1<<20)
		if err != nil || string(got) != want {
			t.Errorf("%s\n got %s, %v\nwant %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "{", "[", `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[1 2]`, `{a:1}`, `'a'`, "01", "-", "1.", "1e", `"a`, `"\x"`, `"\u12"`, "\"\n\"", "tru", "1 2", "NaN"} {
		if v, err := Parse([]byte(text)); err == nil {
			t.Errorf("%q is read as %v", text, v)
		}
	}
}

func TestMap_keeps_order(t *testing.T) {
	t.Parallel()
	m := new(Map)
	for i := range 40 {
		m.Put(strings.Repeat("k", i+1), int64(i))
	}
	m.Delete("kk")
	m.Put("k", "first")
	m.Put("kk", "last")
	if k, v := m.At(0); k != "k" || v != "first" {
		t.Errorf("got %s=%v", k, v)
	}
	if k, _ := m.At(m.Len() - 1); k != "kk" {
		t.Errorf("got %s last", k)
	}
	if v, ok := m.Get(strings.Repeat("k", 40)); !ok || v != int64(39) {
		t.Errorf("got %v, %v", v, ok)
	}
}

// What encoding/json reads we read, and mean the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(store))
	f.Add([]byte(`[1e5,"\ud83d\ude00",{"a":[null]}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Parse(text)
		var limit *LimitError
		if errors.As(err, &limit) {
			return
		}
		if (err == nil) != json.Valid(text) {
			t.Fatalf("%q: %v", text, err)
		}
		if err != nil {
			return
		}
		again, err := AppendJSON(nil, v, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		w, err := Parse(again)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, again, err)
		}
		third, _ := AppendJSON(nil, w, 1<<30)
		if string(third) != string(again) {
			t.Fatalf("%q became %q, then %q", text, again, third)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, p := range []string{"$.a[0]..b[?(@.c == 1 && $.d)]", "$['a','b'][1:2].length()", "$[?(@ =~ /x/i)]"} {
		f.Add(p)
	}
	root, err := Parse([]byte(store))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Compile(text)
		if err != nil {
			return
		}
		v, err := p.Find(root)
		if _, isList := v.(*List); err == nil && !p.Definite() && p.function == "" && !isList {
			t.Fatalf("%q gives %v", text, v)
		}
	})
}
