package vtl

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/jsonpath"
)

// many are as many parameters as a request can bring.
type many struct{}

func (many) Size() int { return 30000 }

func (many) Parameter(string) (string, bool) { return "", false }

func (many) Parameters(string) *jsonpath.Map {
	m := jsonpath.NewMap(10000)
	for i := range 10000 {
		m.Put(strconv.Itoa(i), "x")
	}
	return m
}

// What a stranger sends cannot make a template of somebody else's work for long.
func TestBounds_of_work(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("a", 5<<20)
	for name, text := range map[string]string{
		"a long text asked often":     "#foreach($i in [1..1000])#foreach($j in [1..1000])#if($s.contains('b'))x#end#end#end",
		"a long text compared often":  "#set($t = $s.concat(''))#foreach($i in [1..1000])#foreach($j in [1..1000])#if($s == $t)#end#end#end",
		"a pattern on a long text":    "#foreach($i in [1..1000])$s.matches('(a|b|ab)*c')#end",
		"a pattern of the caller's":   "$s.matches($p)",
		"a path over a large body":    "#foreach($i in [1..1000])#foreach($j in [1..1000])#if($input.path('$..a'))#end#end#end",
		"a body printed often":        "#foreach($i in [1..1000])#set($x = $input.json('$'))#end",
		"a body asked for often":      "#foreach($i in [1..1000])#foreach($j in [1..1000])#set($x = $input.body)#end#end",
		"parameters asked for often":  "#foreach($i in [1..1000])#foreach($j in [1..1000])#set($x = $input.params())#end#end",
		"a parameter of many":         "#foreach($i in [1..1000])#foreach($j in [1..1000])#set($x = $input.params('a'))#end#end",
		"a text compared by units":    "#foreach($i in [1..1000])#foreach($j in [1..1000])#set($x = $s.compareTo($s))#end#end",
		"a text in single characters": "#foreach($i in [1..1000])#set($x = $s.toCharArray())#end",
		"an encoding repeated":        "#foreach($i in [1..1000])#set($x = $util.urlEncode($s))#end",
		"a replacement that explodes": "#set($t = $s.replace('', $s))",
		"a pattern that explodes":     "#set($t = $s.replaceAll('a', $s))",
	} {
		t.Run(name, func(t *testing.T) {
			tpl := mustCompile(t, text)
			vars := Vars{"s": large, "p": strings.Repeat("(a?){20}", 100), "input": &Input{Params: many{}, Body: []byte("[" + strings.Repeat(`{"a":1},`, 50000) + "0]")}, "util": Util{}}
			began := time.Now()
			_, err := tpl.Render(nil, vars, Limits{})
			var limit *LimitError
			var render *RenderError
			if !errors.As(err, &limit) && !errors.As(err, &render) {
				t.Errorf("got %v", err)
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("took %v", d)
			}

		})
	}
}

func TestInput_too_many_values(t *testing.T) {
	t.Parallel()
	tpl := mustCompile(t, "$input.json('$[0]')")
	var input *InputError
	_, err := tpl.Render(nil, Vars{"input": &Input{Body: []byte("[" + strings.Repeat("[],", 4<<20/3) + "0]")}}, Limits{})
	if !errors.As(err, &input) {
		t.Errorf("got %v", err)
	}
	if out, err := tpl.Render(nil, Vars{"input": &Input{Body: []byte(`["x"]`)}}, Limits{}); err != nil || string(out) != `"x"` {
		t.Errorf("got %s, %v", out, err)
	}
}
