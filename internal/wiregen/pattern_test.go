package wiregen

import (
	"slices"
	"testing"

	"moat/internal/wire"
)

// Each translated pattern accepts and refuses what Java's would.
func TestTranslate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ accept, refuse []string }{
		`^[0-9A-Za-z\.\-_]*(?<!\.)$`:                {[]string{"", "a", "a.b-c_D9", ".a", "-"}, []string{".", "a.", "a b", "a..", "é"}},
		`[0-9A-Za-z\.\-_]*(?<!\.)`:                  {[]string{"", "bucket", "a.b"}, []string{"bucket.", "a/b"}},
		`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`: {[]string{"abc", "a-b", "a-b-c", "a1-2b"}, []string{"ab", "a--b", "-ab", "ab-", "aBc", "a-b--c"}},
		`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`:              {[]string{"live", "1a", "a1", "-", "1-2"}, []string{"", "1", "123", "a.b", "$LATEST"}},
		`((?!^\d+$)^[0-9a-zA-Z-_]+$)`:               {[]string{"live", "1a"}, []string{"", "1", "$LATEST"}},
		`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`: {[]string{"orders", "system", "systems.x", "_x y", "9"}, []string{"", "system.users", "a$b", "-a", "$a"}},
		`^(?!\s*$).+`:                               {[]string{"a", " a", "a "}, []string{"", " ", "\t "}},
	}
	for pattern := range translations() {
		if _, ok := tests[pattern]; !ok {
			t.Errorf("no test of the translation of %s", pattern)
		}
	}
	tests[`[\u0009\u000A\u000D\u0020-\u00FF]+`] = struct{ accept, refuse []string }{[]string{"a b\n\tÿ"}, []string{"", "\x00", "Ā"}}
	tests[`(\u002F)|(\u002F[\u0021-\u007E]+\u002F)`] = struct{ accept, refuse []string }{[]string{"/", "/a/", "/a/b/"}, []string{"", "/a", "a/", "/a b/"}}
	tests[`[\w-]+_[0-9a-zA-Z]+`] = struct{ accept, refuse []string }{[]string{"eu-west-1_Ab1"}, []string{"eu-west-1", "_", "a_b_", "a_b\n"}}
	for pattern, c := range tests {
		tr, err := translate(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		text := &wire.Text{Pattern: pattern, Expr: tr.expr, Not: tr.not}
		for _, s := range slices.Concat(c.accept, c.refuse) {
			if got, want := text.Matches(s), slices.Contains(c.accept, s); got != want {
				t.Errorf("%s on %q: got %v, want %v", pattern, s, got, want)
			}
		}
	}
}
