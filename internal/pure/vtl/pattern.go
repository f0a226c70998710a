package vtl

import (
	"fmt"
	"regexp"
	"strings"

	"moat/internal/pure/jsonpath"
)

// maxPattern bounds a regular expression: it may come from a request.
const maxPattern = 4096

// compilePattern reads a regular expression of Java's. Look-around, back-references and
// possessive quantifiers, which only a backtracking engine can run, are refused.
func compilePattern(text string) (*regexp.Regexp, error) {
	if len(text) > maxPattern {
		return nil, &LimitError{"uses a regular expression that is too long"}
	}
	re, err := regexp.Compile(javaPattern(text))
	if err != nil {
		return nil, fmt.Errorf("the regular expression %q: %w", text, err)
	}
	return re, nil
}

// javaPattern writes what Java spells differently.
func javaPattern(text string) string {
	if !strings.Contains(text, `\`) && !strings.Contains(text, "(?<") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			switch c := text[i]; c {
			case 'Z':
				b.WriteString(`\n?\z`)
			case 'h':
				b.WriteString(`[ \t]`)
			case 'R':
				b.WriteString(`(?:\r\n|[\n\r])`)
			case 'e':
				b.WriteString(`\x1b`)
			case 'u':
				if i+4 < len(text) {
					b.WriteString(`\x{` + text[i+1:i+5] + `}`)
					i += 4
					continue
				}
				b.WriteString(`\u`)
			case '\'', '"', '/', '#', '@', '%', '&', '!', ':', ';', ',', '<', '>', '=', '~', '`', ' ', '_':
				if c == '_' || c == ' ' {
					b.WriteByte(c)
				} else {
					b.WriteString(`\x` + fmt.Sprintf("%02x", c))
				}
			default:
				b.WriteByte('\\')
				b.WriteByte(c)
			}
		case strings.HasPrefix(text[i:], "(?<") && i+3 < len(text) && text[i+3] != '=' && text[i+3] != '!':
			b.WriteString("(?P<")
			i += 2
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

func wholePattern(text string) string { return `^(?:` + text + `)\z` }

// replace is String.replaceAll and replaceFirst: $n and ${name} in the replacement are
// groups, a backslash makes what follows plain.
func (r *run) replace(s string, re *regexp.Regexp, with string, all bool) (any, error) {
	n := 1
	if all {
		n = maxMatches + 1
	}
	if text, literal := re.LiteralPrefix(); literal && text != "" && all && !strings.ContainsAny(with, `$\`) {
		if err := r.charge(len(s) + strings.Count(s, text)*len(with)); err != nil {
			return nil, err
		}
		return strings.ReplaceAll(s, text, with), nil
	}
	matches := re.FindAllStringSubmatchIndex(s, n)
	if err := r.found(len(matches)); err != nil {
		return nil, err
	}
	var b strings.Builder
	last := 0
	for _, m := range matches {
		b.WriteString(s[last:m[0]])
		if err := expand(&b, s, re, m, with); err != nil {
			return nil, err
		}
		if last = m[1]; b.Len() > r.limits.Memory {
			return nil, r.charge(b.Len())
		}
	}
	b.WriteString(s[last:])
	return b.String(), r.charge(b.Len())
}

// maxMatches bounds how often one pattern matches in one text.
const maxMatches = 1 << 17

func (r *run) found(n int) error {
	if n > maxMatches {
		return &LimitError{"matches a pattern too often"}
	}
	return r.charge(64 * n)
}

func expand(b *strings.Builder, s string, re *regexp.Regexp, m []int, with string) error {
	for i := 0; i < len(with); i++ {
		switch c := with[i]; {
		case c == '\\':
			if i++; i == len(with) {
				return &RenderError{Message: "replaceAll: the replacement ends in a backslash"}
			}
			b.WriteByte(with[i])
		case c == '$':
			group, n := groupOf(re, with[i+1:])
			if group < 0 {
				return &RenderError{Message: "replaceAll: illegal group reference"}
			}
			if from := m[2*group]; from >= 0 {
				b.WriteString(s[from:m[2*group+1]])
			}
			i += n
		default:
			b.WriteByte(c)
		}
	}
	return nil
}

// groupOf reads a group's number (as many digits as make a group that exists) or {name}.
func groupOf(re *regexp.Regexp, text string) (group, n int) {
	if strings.HasPrefix(text, "{") {
		name, _, ok := strings.Cut(text[1:], "}")
		if !ok {
			return -1, 0
		}
		return re.SubexpIndex(name), len(name) + 2
	}
	group = -1
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		next := max(group, 0)*10 + int(text[n]-'0')
		if next > re.NumSubexp() {
			break
		}
		group = next
		n++
	}
	return group, n
}

// split is String.split: without a limit the empty pieces at the end are left out.
func (r *run) split(s, pattern string, a *access, limit int) (any, bool, error) {
	re, err := r.pattern(pattern, s, a.re)
	if err != nil {
		return nil, true, err
	}
	l := &jsonpath.List{}
	last := 0
	matches := re.FindAllStringIndex(s, maxMatches+1)
	if err := r.found(len(matches)); err != nil {
		return nil, true, err
	}
	for _, m := range matches {
		if limit > 0 && len(l.Items) == limit-1 {
			break
		}
		if m[1] == 0 || m[0] == len(s) && m[1] == m[0] { // nothing is left of it, or nothing right of it
			continue
		}
		l.Items = append(l.Items, s[last:m[0]])
		last = m[1]
	}
	l.Items = append(l.Items, s[last:])
	if limit == 0 {
		for len(l.Items) > 1 && l.Items[len(l.Items)-1] == "" {
			l.Items = l.Items[:len(l.Items)-1]
		}
		if len(l.Items) == 1 && l.Items[0] == "" && s != "" {
			l.Items = l.Items[:0]
		}
	}
	return l, true, r.charge(len(s) + 16*len(l.Items))
}
