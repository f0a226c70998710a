package wire

import (
	"regexp"
	"strings"
	"testing"
)

func sentence(check func(*Violations)) string {
	var v Violations
	check(&v)
	return v.String()
}

type tag struct {
	Key   string  `aws:"Key,required"`
	Value *string `aws:"Value"`
	Code  string  `aws:"Code,sensitive"`
}

// The sentences are AWS's own.
func TestViolations(t *testing.T) {
	t.Parallel()
	var (
		name   = &Text{Min: 1, Max: 4, Pattern: `[\w-]+`}
		kind   = &Text{Enum: []string{"x86_64", "arm64"}, NotNull: true}
		secret = &Text{Min: 6, Sensitive: true}
		short  = &Text{Max: 2}
	)
	for _, c := range []struct {
		name  string
		check func(v *Violations)
		want  string
	}{
		{"nothing wrong", func(v *Violations) {
			CheckText(v, "", "Name", "a-b", name)
			CheckOptText(v, "", "Name", nil, name)
			CheckEnum(v, "", "Kind", "", kind)
			CheckTexts(v, "", "Kinds", []string{"arm64"}, kind)
			CheckKeys(v, "", "Tags", map[string]int{"a": 1}, short)
			CheckValues(v, "", "Tags", map[string]string{"a": "b"}, short)
			CheckMin(v, "", "Limit", int32(1), 1)
			CheckMax(v, "", "Limit", 0.5, 1.0)
			CheckSize(v, "", "List", []string{}, 0, 0, 1, false)
			CheckPresent(v, "", "List", true)
		}, ""},
		{"missing", func(v *Violations) { v.Null(Join("", "UserPoolId")) },
			"1 validation error detected: Value null at 'userPoolId' failed to satisfy constraint: Member must not be null"},
		{"too long", func(v *Violations) { CheckText(v, "", "UserPoolId", "abcde", name) },
			"1 validation error detected: Value 'abcde' at 'userPoolId' failed to satisfy constraint: Member must have length less than or equal to 4"},
		{"length counts characters", func(v *Violations) { CheckText(v, "", "N", "äö", short); CheckText(v, "", "M", "äöü", short) },
			"1 validation error detected: Value 'äöü' at 'm' failed to satisfy constraint: Member must have length less than or equal to 2"},
		{"too short and no match", func(v *Violations) { CheckOptText(v, "a.b", "SAMLAssertion", String(""), name) },
			"2 validation errors detected: Value '' at 'a.b.sAMLAssertion' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				`Value '' at 'a.b.sAMLAssertion' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w-]+`},
		{"missing and too short", func(v *Violations) { v.Null("name"); CheckText(v, "", "Name", "", name) },
			"1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null"},
		{"missing, found twice", func(v *Violations) { v.Null("tags"); CheckPresent(v, "", "Tags", false) },
			"1 validation error detected: Value null at 'tags' failed to satisfy constraint: Member must not be null"},
		{"enum", func(v *Violations) { CheckEnum(v, Element("patchOperations", 0), "op", "wrong", kind) },
			"1 validation error detected: Value 'wrong' at 'patchOperations.1.member.op' failed to satisfy constraint: Member must satisfy enum value set: [x86_64, arm64]"},
		{"sensitive", func(v *Violations) { CheckText(v, "", "Password", "hush", secret) },
			"1 validation error detected: Value at 'password' failed to satisfy constraint: Member must have length greater than or equal to 6"},
		{"elements", func(v *Violations) {
			CheckTexts(v, "", "CompatibleArchitectures", []string{"invalidarch", "x86_64"}, kind)
		},
			"1 validation error detected: Value '[invalidarch, x86_64]' at 'compatibleArchitectures' failed to satisfy constraint: Member must satisfy constraint: " +
				"[Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"},
		{"keys", func(v *Violations) { CheckKeys(v, "", "Tags", map[string]string{"abc": "d"}, short) },
			"1 validation error detected: Value '{abc=d}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 2]"},
		{"values", func(v *Violations) { CheckValues(v, "", "Tags", map[string]string{"b": "abc", "a": "d"}, short) },
			"1 validation error detected: Value '{a=d, b=abc}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 2]"},
		{"range", func(v *Violations) { CheckMin(v, "", "Limit", int32(0), 1); CheckMax(v, "", "Weight", 1.5, 1) },
			"2 validation errors detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1; " +
				"Value '1.5' at 'weight' failed to satisfy constraint: Member must have value less than or equal to 1"},
		{"size", func(v *Violations) {
			tags := []tag{{Key: "a", Code: "hush"}, {Key: "b", Value: String("c"), Code: "hush"}}
			CheckSize(v, "", "Tags", tags, len(tags), 0, 1, false)
		},
			"1 validation error detected: Value '[tag(key=a, value=null, code=***Sensitive Data Redacted***), tag(key=b, value=c, code=***Sensitive Data Redacted***)]' " +
				"at 'tags' failed to satisfy constraint: Member must have length less than or equal to 1"},
		{"map entry", func(v *Violations) { CheckText(v, Entry("items", "k"), "Name", "", &Text{Min: 1}) },
			"1 validation error detected: Value '' at 'items.k.member.name' failed to satisfy constraint: Member must have length greater than or equal to 1"},
	} {
		if got := sentence(c.check); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestViolations_longValue(t *testing.T) {
	t.Parallel()
	got := sentence(func(v *Violations) { CheckText(v, "", "X", strings.Repeat("ä", 100_000), &Text{Max: 1}) })
	if len(got) > maxShown+200 {
		t.Errorf("got %d bytes, want about %d", len(got), maxShown)
	}
}

func TestViolations_many(t *testing.T) {
	t.Parallel()
	var v Violations
	for i := range 10_000 {
		CheckText(&v, Element("tags", i), "Key", "", &Text{Min: 1})
	}
	if v.Len() != maxFound {
		t.Errorf("got %d violations, want %d", v.Len(), maxFound)
	}
}

func TestText_Matches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text *Text
		in   string
		want bool
	}{
		{&Text{}, "anything", true},
		{&Text{Pattern: `a|bc`}, "bc", true},
		{&Text{Pattern: `a|bc`}, "ac", false},
		{&Text{Pattern: `a`}, "a\n", false},
		{&Text{Pattern: `[A]`, Expr: `b`}, "b", true},
		{&Text{Pattern: `[A]`, Expr: `b`}, "A", false},
		{&Text{Pattern: `x`, Expr: `[a-z0-9]+`, Not: `[0-9]+\z`}, "12a", true},
		{&Text{Pattern: `x`, Expr: `[a-z0-9]+`, Not: `[0-9]+\z`}, "12", false},
	} {
		if got := c.text.Matches(c.in); got != c.want {
			t.Errorf("%+v matches %q: got %v, want %v", c.text, c.in, got, c.want)
		}
	}
}

func TestExceptions(t *testing.T) {
	t.Parallel()
	e := NotImplemented("cognito-idp", "SignUp")
	if e.HTTPStatus() != 501 || e.ErrorCode() != "NotImplemented" || !strings.Contains(e.ErrorMessage(), "cognito-idp SignUp") {
		t.Errorf("got %d %s %q", e.HTTPStatus(), e.ErrorCode(), e.ErrorMessage())
	}
	e = NotImplementedBecause("lambda", "Invoke", "invocation by event streams is not supported.")
	if e.HTTPStatus() != 501 || !strings.HasSuffix(e.ErrorMessage(), "not supported.") {
		t.Errorf("got %d %q", e.HTTPStatus(), e.ErrorMessage())
	}
}

// FuzzText: a text matches a pattern where the expression matches it from its start to its end.
func FuzzText(f *testing.F) {
	exprs := []string{
		`[\w+]+`, `[\S]+`, `[^\s]+`, `[\p{L}\p{M}\p{S}\p{N}\p{P}]+`, `[A-Za-z0-9-_=.]+`, `[\w+=,.@-]*`, `\d+`, `\w*?`, `[\x{0009}\x{000A}\x{000D}\x{0020}-\x{00FF}]+`,
		`(?i)[a-c]+`, `(?i)k+`, `[^\x00-\x{10FFFF}]*`, `[a]+`, `([\w])+`, `[\w]+|x!`, `\d{12}`, `^[\w\- ]+$`, `[\s\S]*`, `.*`, `(?s).+`,
	}
	texts, plain := make([]*Text, len(exprs)), make([]*regexp.Regexp, len(exprs))
	classes := 0
	for i, e := range exprs {
		texts[i], plain[i] = &Text{Pattern: e}, regexp.MustCompile(`\A(?:`+e+`)\z`)
		if texts[i].Matches(""); texts[i].class != nil {
			classes++
		}
	}
	if classes < 9 {
		f.Errorf("%d classes", classes)
	}
	for _, s := range []string{"", "a", "1example23456789+", "a b", "ä", "aä", "a\xff", "\xffa b", "a\n", "\n", "K\u212a", "012345678901", "x!", "\x7f", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for i, c := range texts {
			if got, want := c.Matches(s), plain[i].MatchString(s); got != want {
				t.Errorf("%q and %s: got %v, want %v", s, c.Pattern, got, want)
			}
		}
		not := Text{Pattern: `[\w]+`, Not: `aws`}
		if got, want := not.Matches(s), plain[13].MatchString(s) && !strings.HasPrefix(s, "aws"); got != want {
			t.Errorf("%q, not with aws: got %v, want %v", s, got, want)
		}
	})
}
