package logs

import (
	"slices"
	"strings"

	"moat/internal/wire"
)

// compilePattern compiles a filter pattern (CloudWatch Logs User Guide, "Filter
// pattern syntax"): terms that must all occur, terms of which one must occur
// (?term), terms that must not (-term), or a condition on JSON. A term in quotes
// may hold anything. The empty pattern matches all.
func compilePattern(pattern string) (func(message string) bool, error) {
	pattern = strings.TrimSpace(pattern)
	switch {
	case strings.HasPrefix(pattern, "{"):
		return compileJSON(pattern)
	case strings.HasPrefix(pattern, "["):
		return nil, wire.NotImplementedBecause("logs", "FilterLogEvents", "patterns of space-delimited fields are not supported")
	}
	all, some, none, err := terms(pattern)
	if err != nil {
		return nil, err
	}
	return func(message string) bool {
		contains := func(term string) bool { return strings.Contains(message, term) }
		missing := func(term string) bool { return !contains(term) }
		if slices.ContainsFunc(none, contains) || slices.ContainsFunc(all, missing) {
			return false
		}
		// Beside required terms the optional ones are ignored.
		return len(all) > 0 || len(some) == 0 || slices.ContainsFunc(some, contains)
	}, nil
}

// terms splits a pattern into required, optional and excluded terms.
func terms(pattern string) (all, some, none []string, err error) {
	for rest := pattern; rest != ""; rest = strings.TrimLeft(rest, " \t") {
		list := &all
		switch rest[0] {
		case '?':
			list, rest = &some, rest[1:]
		case '-':
			list, rest = &none, rest[1:]
		case '%':
			return nil, nil, nil, wire.NotImplementedBecause("logs", "FilterLogEvents", "regular expressions in patterns are not supported")
		}
		var term string
		if strings.HasPrefix(rest, `"`) {
			if term, rest, err = quotedTerm(rest); err != nil {
				return nil, nil, nil, err
			}
		} else {
			end := strings.IndexAny(rest, " \t")
			if end < 0 {
				end = len(rest)
			}
			term, rest = rest[:end], rest[end:]
			// AWS wants quotes around a term with other characters.
			if strings.ContainsFunc(term, func(r rune) bool { return !word(r) }) {
				return nil, nil, nil, invalid("Invalid filter pattern")
			}
		}
		if term == "" {
			return nil, nil, nil, invalid("Invalid filter pattern")
		}
		*list = append(*list, term)
	}
	return all, some, none, nil
}

func word(r rune) bool {
	return r == '_' || r == '.' || r == '/' || r == '*' || r == '@' || r == '#' || r == ':' || r == '-' ||
		r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f
}

// quotedTerm reads a term in quotes, in which a backslash makes the next
// character an ordinary one.
func quotedTerm(s string) (term, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", invalid("Invalid filter pattern")
}
