package wiregen

import (
	"fmt"
	"regexp"
	"strings"
)

// translation says in Go's terms what a pattern of a model means: the text
// matches expr as a whole, and has no prefix that matches not.
type translation struct{ expr, not string }

// translations lists the patterns that Go's regexp cannot express, because they
// look ahead or behind.
func translations() map[string]translation {
	return map[string]translation{
		// Must not end in a dot.
		`^[0-9A-Za-z\.\-_]*(?<!\.)$`: {expr: `(?:[0-9A-Za-z.\-_]*[0-9A-Za-z\-_])?`},
		`[0-9A-Za-z\.\-_]*(?<!\.)`:   {expr: `(?:[0-9A-Za-z.\-_]*[0-9A-Za-z\-_])?`},
		// No two hyphens in a row.
		`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`: {expr: `[a-z0-9][a-z0-9-]{1,61}[a-z0-9]`, not: `.*--`},
		// Not a number.
		`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`:              {expr: `[a-zA-Z0-9-_]+`, not: `[0-9]+\z`},
		`((?!^\d+$)^[0-9a-zA-Z-_]+$)`:               {expr: `[0-9a-zA-Z-_]+`, not: `[0-9]+\z`},
		`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`: {expr: `[_a-zA-Z0-9][^$]*`, not: `system\.`},
		// Not only white space.
		`^(?!\s*$).+`: {expr: `.+`, not: `\s*\z`},
	}
}

var unicodeEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

// translate returns what Go's regexp needs to know of a pattern; an empty expr
// means that the pattern serves as it stands.
func translate(pattern string) (translation, error) {
	if t, ok := translations()[pattern]; ok {
		return t, nil
	}
	expr := unicodeEscape.ReplaceAllString(pattern, `\x{$1}`)
	if strings.Contains(expr, "&&") {
		return translation{}, fmt.Errorf("wiregen: pattern %q intersects classes", pattern)
	}
	if _, err := regexp.Compile(`\A(?:` + expr + `)\z`); err != nil {
		return translation{}, fmt.Errorf("wiregen: pattern %q needs a translation: %w", pattern, err)
	}
	if expr == pattern {
		expr = ""
	}
	return translation{expr: expr}, nil
}

// Expression is translate for those who make texts: what the whole text matches, and what
// no prefix of it may match, "" for nothing.
func Expression(pattern string) (expr, not string, err error) {
	t, err := translate(pattern)
	if t.expr == "" {
		t.expr = pattern
	}
	return t.expr, t.not, err
}
