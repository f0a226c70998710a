package logs

import (
	"errors"
	"testing"

	"moat/internal/wire"
)

func TestCompilePattern(t *testing.T) {
	t.Parallel()
	doc := `{"level":"error","n":42,"user":{"name":"ann","tags":["a","b"]},"ok":true,"off":false,"gone":null,"a b":1}`
	for _, c := range []struct {
		pattern, message string
		want             bool
	}{
		{"", "anything", true},
		{"ERROR", "[ERROR 400] bad", true},
		{"ERROR", "error", false},
		{"ERROR bad", "[ERROR 400] bad", true},
		{"ERROR bad", "[ERROR 400] good", false},
		{"?ERROR ?WARN", "a WARN", true},
		{"?ERROR ?WARN", "a INFO", false},
		{"ERROR -bad", "ERROR good", true},
		{"ERROR -bad", "ERROR bad", false},
		{"-bad", "good", true},
		{`"two words"`, "here two words are", true},
		{`"two words"`, "words two", false},
		{`"say \"x\""`, `he said: say "x"`, true},
		{`?"a b" ?c`, "a b", true},
		{`{ $.level = "error" }`, doc, true},
		{`{$.level="warn"}`, doc, false},
		{`{ $.level = err* }`, doc, true},
		{`{ $.level = "*r*o*" }`, doc, true},
		{`{ $.level != "warn" }`, doc, true},
		{`{ $.none != "warn" }`, doc, false},
		{`{ $.n = 42 }`, doc, true},
		{`{ $.n > 41.5 }`, doc, true},
		{`{ $.n < 42 }`, doc, false},
		{`{ $.n <= 42 && $.n >= 42 }`, doc, true},
		{`{ $.n = 4.2e1 }`, doc, true},
		{`{ $.user.name = "ann" }`, doc, true},
		{`{ $.user.tags[1] = "b" }`, doc, true},
		{`{ $.user.tags[2] = "b" }`, doc, false},
		{`{ $["a b"] = 1 }`, doc, true},
		{`{ $.ok IS TRUE }`, doc, true},
		{`{ $.off IS TRUE }`, doc, false},
		{`{ $.off IS FALSE }`, doc, true},
		{`{ $.gone IS NULL }`, doc, true},
		{`{ $.n IS NULL }`, doc, false},
		{`{ $.n IS NOT NULL }`, doc, true},
		{`{ $.none NOT EXISTS }`, doc, true},
		{`{ $.n NOT EXISTS }`, doc, false},
		{`{ $.n = 1 || $.level = "error" && $.ok IS TRUE }`, doc, true},
		{`{ ($.n = 1 || $.level = "error") && $.off IS TRUE }`, doc, false},
		{`{ $.level = "error" }`, "no json", false},
	} {
		match, err := compilePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if got := match(c.message); got != c.want {
			t.Errorf("%s on %s: got %v, want %v", c.pattern, c.message, got, c.want)
		}
	}
	for pattern, code := range map[string]string{
		`"open`: "InvalidParameterException", `a(b`: "InvalidParameterException", "?": "InvalidParameterException", `{ $.a }`: "InvalidParameterException",
		`{ $.a = "x"`: "InvalidParameterException", `{ $.a = "x" } y`: "InvalidParameterException", `{ a = 1 }`: "InvalidParameterException",
		`{ $. = 1 }`: "InvalidParameterException", `{}`: "InvalidParameterException", `{ $.a IS maybe }`: "InvalidParameterException",
		`[a, b]`: "NotImplemented", `%err.*%`: "NotImplemented", `{ $.a = %x% }`: "NotImplemented",
	} {
		_, err := compilePattern(pattern)
		var e wire.Exception
		if !errors.As(err, &e) || e.ErrorCode() != code {
			t.Errorf("%s: got error %v, want %s", pattern, err, code)
		}
	}
}

// FuzzCompilePattern looks for patterns that compile and then do not match the
// same message twice alike, or that crash.
func FuzzCompilePattern(f *testing.F) {
	for _, seed := range []string{`?a "b" -c`, `{ ($.a = 1 || $.b[0] IS NOT NULL) && $["c"] != "x*" }`, "{ $.a NOT EXISTS }"} {
		f.Add(seed, `{"a":1,"b":[2]}`)
	}
	f.Fuzz(func(t *testing.T, pattern, message string) {
		match, err := compilePattern(pattern)
		if (match == nil) == (err == nil) {
			t.Fatalf("got a match %v and error %v", match != nil, err)
		}
		if err == nil && match(message) != match(message) {
			t.Error("the same message matches and does not")
		}
	})
}
