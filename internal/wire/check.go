package wire

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Text holds the constraints of a string shape. Generated code keeps one
// package-level value per shape; making it costs nothing at start-up, since the
// pattern is compiled at its first use.
type Text struct {
	Min, Max  int      // length in characters; Max 0 means no limit
	Pattern   string   // AWS's pattern, as error messages show it
	Expr      string   // the same for Go's regexp, where it differs
	Not       string   // a prefix that the text must not have, where AWS's pattern looks ahead: an expression for Go's regexp
	Enum      []string // allowed values
	Sensitive bool     // error messages do not show the value
	NotNull   bool     // error messages about elements of a list add that these must not be null

	once    sync.Once
	re, not *regexp.Regexp
	class   *[2]uint64 // of ASCII, where the pattern is a class that repeats, such as [\w-]+
}

// Matches tells whether the whole of s satisfies the pattern.
func (c *Text) Matches(s string) bool {
	if c.Pattern == "" {
		return true
	}
	c.once.Do(func() {
		expr := c.Expr
		if expr == "" {
			expr = c.Pattern
		}
		c.re = regexp.MustCompile(`\A(?:` + expr + `)\z`)
		if c.Not != "" {
			c.not = regexp.MustCompile(`\A(?:` + c.Not + `)`)
		}
		c.class = repeated(expr)
	})
	if c.class != nil && c.not == nil && s != "" {
		if n := within(s, c.class); n == len(s) || s[n] < utf8.RuneSelf {
			return n == len(s) // most texts by far, for a tenth of the price
		}
	}
	return c.re.MatchString(s) && (c.not == nil || !c.not.MatchString(s))
}

// repeated returns which ASCII characters an expression of nothing but a repeated class holds,
// nil for any other expression.
func repeated(expr string) *[2]uint64 {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil || re.Op != syntax.OpPlus && re.Op != syntax.OpStar || re.Sub[0].Op != syntax.OpCharClass {
		return nil
	}
	class, bounds := new([2]uint64), re.Sub[0].Rune
	for i := 0; i < len(bounds); i += 2 {
		for r := bounds[i]; r <= min(bounds[i+1], unicode.MaxASCII); r++ {
			class[r>>6] |= 1 << (r & 63)
		}
	}
	return class
}

// within returns how many bytes at the start of s are in a class.
func within(s string, class *[2]uint64) int {
	for i := range len(s) {
		if b := s[i]; b >= utf8.RuneSelf || class[b>>6]>>(b&63)&1 == 0 {
			return i
		}
	}
	return len(s)
}

func (c *Text) allows(s string) bool {
	if c.Enum == nil {
		return true
	}
	for _, e := range c.Enum {
		if e == s {
			return true
		}
	}
	return false
}

// valid tells whether s satisfies every constraint.
func (c *Text) valid(s string) bool {
	return c.fits(s) && c.allows(s) && c.Matches(s)
}

// fits tells whether s is neither too short nor too long.
func (c *Text) fits(s string) bool {
	if len(s) >= utf8.UTFMax*c.Min && (c.Max == 0 || len(s) <= c.Max) {
		return true // whatever its characters are: they need not be counted
	}
	n := utf8.RuneCountInString(s)
	return n >= c.Min && (c.Max == 0 || n <= c.Max)
}

// sentences lists all constraints, as AWS does for the elements of a list.
func (c *Text) sentences() string {
	var all []string
	if c.Max > 0 {
		all = append(all, atMostLong(c.Max))
	}
	if c.Min > 0 {
		all = append(all, atLeastLong(c.Min))
	}
	if c.Pattern != "" {
		all = append(all, mustMatch(c.Pattern))
	}
	if c.Enum != nil {
		all = append(all, mustBeOneOf(c.Enum))
	}
	if c.NotNull {
		all = append(all, "Member must not be null")
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func atMostLong(n int) string {
	return "Member must have length less than or equal to " + strconv.Itoa(n)
}
func atLeastLong(n int) string {
	return "Member must have length greater than or equal to " + strconv.Itoa(n)
}
func mustMatch(p string) string {
	return "Member must satisfy regular expression pattern: " + p
}
func mustBeOneOf(e []string) string {
	return "Member must satisfy enum value set: [" + strings.Join(e, ", ") + "]"
}

// CheckText checks the string member name of the structure at path.
func CheckText[T ~string](v *Violations, path, name string, s T, c *Text) {
	t := string(s)
	if c.valid(t) || v.full() {
		return
	}
	at, value := Join(path, name), quote(t, c.Sensitive)
	n := utf8.RuneCountInString(t)
	if n < c.Min {
		v.add(at, value, atLeastLong(c.Min))
	}
	if c.Max > 0 && n > c.Max {
		v.add(at, value, atMostLong(c.Max))
	}
	if !c.allows(t) {
		v.add(at, value, mustBeOneOf(c.Enum))
	}
	// A text that is far too long is not searched as well: patterns with large
	// repeat counts are slow.
	tooLong := c.Max > 0 && n > c.Max && n > maxShown
	if !tooLong && !c.Matches(t) {
		v.add(at, value, mustMatch(c.Pattern))
	}
}

// CheckOptText is [CheckText] for a member that may be absent.
func CheckOptText(v *Violations, path, name string, s *string, c *Text) {
	if s != nil {
		CheckText(v, path, name, *s, c)
	}
}

// CheckEnum is [CheckText] for an enumeration, whose absent value is "".
func CheckEnum[T ~string](v *Violations, path, name string, s T, c *Text) {
	if s != "" {
		CheckText(v, path, name, s, c)
	}
}

// CheckTexts checks the elements of a list of strings. AWS reports the list as
// a whole, with every constraint of its elements.
func CheckTexts[T ~string](v *Violations, path, name string, list []T, c *Text) {
	for _, s := range list {
		if !c.valid(string(s)) {
			v.add(Join(path, name), quote(list, c.Sensitive), "Member must satisfy constraint: "+c.sentences())
			return
		}
	}
}

// CheckKeys checks the keys of a map.
func CheckKeys[T any](v *Violations, path, name string, m map[string]T, c *Text) {
	for k := range m {
		if !c.valid(k) {
			v.add(Join(path, name), quote(m, c.Sensitive), "Map keys must satisfy constraint: "+c.sentences())
			return
		}
	}
}

// CheckValues checks the values of a map of strings.
func CheckValues[T ~string](v *Violations, path, name string, m map[string]T, c *Text) {
	for _, s := range m {
		if !c.valid(string(s)) {
			v.add(Join(path, name), quote(m, c.Sensitive), "Map value must satisfy constraint: "+c.sentences())
			return
		}
	}
}

// CheckSize checks the number of elements of a list, a map or a blob that has n
// of them; max 0 means no limit. x is shown in the error message.
func CheckSize[T any](v *Violations, path, name string, x T, n, min, max int, sensitive bool) {
	if n < min {
		v.add(Join(path, name), quote(x, sensitive), atLeastLong(min))
	}
	if max > 0 && n > max {
		v.add(Join(path, name), quote(x, sensitive), atMostLong(max))
	}
}

// CheckMin checks that n is at least min.
func CheckMin[T int32 | int64 | float32 | float64](v *Violations, path, name string, n, min T) {
	if !(n >= min) {
		v.add(Join(path, name), quote(n, false), fmt.Sprintf("Member must have value greater than or equal to %v", min))
	}
}

// CheckMax checks that n is at most max.
func CheckMax[T int32 | int64 | float32 | float64](v *Violations, path, name string, n, max T) {
	if !(n <= max) {
		v.add(Join(path, name), quote(n, false), fmt.Sprintf("Member must have value less than or equal to %v", max))
	}
}

// CheckPresent reports a required member that is absent.
func CheckPresent(v *Violations, path, name string, present bool) {
	if !present {
		v.Null(Join(path, name))
	}
}
