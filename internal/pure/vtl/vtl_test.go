package vtl

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func mustCompile(t testing.TB, text string) *Template {
	t.Helper()
	tpl, err := Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	return tpl
}

func TestParseError_says_where(t *testing.T) {
	_, err := Compile("a\n  #if(true)")
	var parse *ParseError
	if !errors.As(err, &parse) || parse.Line != 2 || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v", err)
	}
}

func TestCompile_too_large(t *testing.T) {
	var limit *LimitError
	if _, err := Compile(strings.Repeat("x", MaxTemplate+1)); !errors.As(err, &limit) {
		t.Errorf("got %v", err)
	}
	if _, err := Compile(strings.Repeat("x", MaxTemplate)); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestTemplate_Constant(t *testing.T) {
	if text, ok := mustCompile(t, `{"statusCode": 200}`).Constant(); !ok || text != `{"statusCode": 200}` {
		t.Errorf("got %q, %v", text, ok)
	}
	if _, ok := mustCompile(t, `{"statusCode": $a}`).Constant(); ok {
		t.Error("a template with a reference is not constant")
	}
}

// Render appends, and its limits count only what it appended.
func TestTemplate_Render_appends(t *testing.T) {
	tpl := mustCompile(t, "$a$a")
	out, err := tpl.Render([]byte("before "), Vars{"a": "xy"}, Limits{Output: 4})
	if err != nil || string(out) != "before xyxy" {
		t.Errorf("got %q, %v", out, err)
	}
	var limit *LimitError
	if _, err := tpl.Render([]byte("before "), Vars{"a": "xy"}, Limits{Output: 3}); !errors.As(err, &limit) {
		t.Errorf("got %v", err)
	}
}

func TestTemplate_Render_at_once(t *testing.T) {
	tpl := mustCompile(t, `#macro(m $x)<$x>#end#set($s="")#foreach($i in $l)#set($s="$s$i")#m($i)#end$s#evaluate('#set($new=1)$new')`)
	done := make(chan string)
	for range 8 {
		go func() {
			var out []byte
			for range 100 {
				out, _ = tpl.Render(out[:0], Vars{"l": NewTestList(3)}, Limits{})
			}
			done <- string(out)
		}()
	}
	for range 8 {
		if got := <-done; got != "<0><1><2>0121" {
			t.Errorf("got %q", got)
		}
	}
}

func TestTemplate_Render_allocations(t *testing.T) {
	tpl := mustCompile(t, `{"id": "$id", "method": "$m", #if($flag)"x": 1#{else}"x": 2#end}`)
	vars := Vars{"id": "abc", "m": "GET", "flag": true}
	out := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { out, _ = tpl.Render(out[:0], vars, Limits{}) }); n > 2 {
		t.Errorf("%v allocations; there are at most 2", n)
	}
}

// Nothing that a stranger or an author writes may panic or run for long.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"$a.b($c)[1]", `#set($x = {"a": [1..3], "b": "$a"})$x`, "#foreach($i in $l)#if($i > 1)#break#end#end", `\\#end \$a $!{b.c}`,
		"#macro(m $a)$a#end#m('x')", "#evaluate($s)#define($d)#stop#end", `$s.replaceAll("(a)", "$1").split(",")`, "$input.json('$..a[?(@.b == 1)]')"} {
		f.Add(s, `{"a":[{"b":1}]}`)
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		tpl, err := Compile(text)
		if err != nil {
			return
		}
		vars := Vars{"a": "x", "s": body, "l": NewTestList(4), "input": &Input{Body: []byte(body)}, "util": Util{}}
		limits := Limits{Steps: 20000, Output: 1 << 16, Memory: 1 << 20}
		began := time.Now()
		out, err := tpl.Render(nil, vars, limits)
		if err == nil && len(out) > limits.Output+MaxTemplate {
			t.Errorf("%d bytes", len(out))
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

func BenchmarkRender_passthrough(b *testing.B) {
	tpl := mustCompile(b, `{"body-json" : $input.json('$'), "params" : {
#foreach($type in $input.params().keySet())
    #set($params = $input.params().get($type))
"$type" : {
    #foreach($paramName in $params.keySet())
    "$paramName" : "$util.escapeJavaScript($params.get($paramName))"
        #if($foreach.hasNext),#end
    #end
}
    #if($foreach.hasNext),#end
#end
}}`)
	b.ReportAllocs()
	out := make([]byte, 0, 4096)
	for b.Loop() {
		in := &Input{Body: []byte(`{"name": "Ann", "tags": ["a", "b"]}`)}
		var err error
		if out, err = tpl.Render(out[:0], Vars{"input": in, "util": Util{}}, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
