package gateway

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// errPath says that a path has no single reading and is therefore not served.
var errPath = errors.New("gateway: the path is not acceptable")

const (
	maxPath     = 8 << 10
	maxSegments = 256
)

// segment is one part of a request's path: where it stands in the escaped path,
// and the key that the router compares. In the key everything is decoded but "/",
// "\" and "%", so two segments have the same key exactly when they mean the same.
type segment struct {
	start, end int
	key        string
}

// parsePath reads the escaped path below the stage once, for the router, the
// authorizers and the upstream alike. It returns the path with one leading slash.
//
// Refused is what different readers take differently: dot segments in any
// encoding, also behind an encoded slash, a backslash, a path parameter
// ("..;") or a second encoding; control characters, NUL, text that is not UTF-8
// (overlong forms included) and broken percent signs. An encoded slash stays
// encoded: it is data inside of its segment for everybody.
func parsePath(raw string, segs []segment) (string, []segment, error) {
	if raw == "" {
		raw = "/"
	}
	if raw[0] != '/' || len(raw) > maxPath || !plainPath(raw) {
		return "", nil, errPath
	}
	for len(raw) > 1 && raw[1] == '/' { // known from recorded answers: /stage//x is /x
		raw = raw[1:]
	}
	end := len(raw)
	if end > 1 && raw[end-1] == '/' {
		end--
	}
	for at := 1; at < end; {
		next := end
		if i := strings.IndexByte(raw[at:end], '/'); i >= 0 {
			next = at + i
		}
		key, ok := segmentKey(raw[at:next])
		if !ok || len(segs) == maxSegments {
			return "", nil, errPath
		}
		segs = append(segs, segment{at, next, key})
		at = next + 1
	}
	return raw, segs, nil
}

// plainPath reports whether every byte may stand in an escaped path (RFC 3986 section 3.3)
// or is at least harmless there.
func plainPath(raw string) bool {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c <= ' ' || c >= 0x7f || c == '\\' || c == '?' || c == '#':
			return false
		case c == '%':
			if i+2 >= len(raw) || unhex(raw[i+1]) < 0 || unhex(raw[i+2]) < 0 {
				return false
			}
		}
	}
	return true
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func segmentKey(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, !hasDots(s)
	}
	full := make([]byte, 0, len(s))
	key := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '%' {
			full, key = append(full, c), append(key, c)
			continue
		}
		c = byte(unhex(s[i+1])<<4 | unhex(s[i+2]))
		i += 2
		full = append(full, c)
		switch {
		case c < ' ' || c == 0x7f:
			return "", false
		case c == '/':
			key = append(key, "%2F"...)
		case c == '\\':
			key = append(key, "%5C"...)
		case c == '%':
			key = append(key, "%25"...)
		default:
			key = append(key, c)
		}
	}
	if !utf8.Valid(full) || hasDots(string(full)) || hasDots(decodeOnce(string(full))) {
		return "", false
	}
	return string(key), true
}

// decodeOnce decodes what decodes, for readers that decode twice.
func decodeOnce(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex(s[i+1]) >= 0 && unhex(s[i+2]) >= 0 {
			out = append(out, byte(unhex(s[i+1])<<4|unhex(s[i+2])))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

// hasDots reports whether some reader would see a dot segment in s.
func hasDots(s string) bool {
	if strings.IndexByte(s, '.') < 0 {
		return false
	}
	for len(s) > 0 {
		part := s
		if i := strings.IndexAny(s, `/\`); i >= 0 {
			part, s = s[:i], s[i+1:]
		} else {
			s = ""
		}
		if i := strings.IndexByte(part, ';'); i >= 0 {
			part = part[:i]
		}
		if part == "." || part == ".." {
			return true
		}
	}
	return false
}

// ambiguous reports whether a generous reader behind us could take the path for that
// of a resource with other protection, and so get what this one's authorisation did
// not ask about: one that decodes a separator (once or twice), merges slashes or
// strips path parameters. Where a policy decides on the path itself, every other
// resource counts, and below a greedy one every other reading.
func (x *Exchange) ambiguous() bool {
	doubtful := false
	for _, s := range x.segs {
		if s.key == "" || strings.IndexByte(s.key, '%') >= 0 || strings.IndexByte(s.key, ';') >= 0 {
			doubtful = true
			break
		}
	}
	if !doubtful {
		return false
	}
	byPath := x.route.byPath() || x.snap.policy != nil
	for rounds := 1; rounds <= 2; rounds++ {
		other := generous(x.segs, rounds)
		if byPath && x.resource.greedy() && !sameKeys(other, x.segs) {
			return true
		}
		r := x.snap.root.match(other)
		if r == nil || r == x.resource {
			continue
		}
		if rt := r.route(x.Method); rt != nil && (byPath || !rt.covered(x.route)) {
			return true
		}
	}
	return false
}

// byPath reports whether the route's authorisation looks at the path.
func (rt *route) byPath() bool {
	return rt.def.AuthorizationType == "AWS_IAM" || rt.def.AuthorizationType == "CUSTOM"
}

// covered reports whether whoever passed by has proven all that rt asks for.
func (rt *route) covered(by *route) bool {
	if rt.def.APIKeyRequired && !by.def.APIKeyRequired || rt.byPath() {
		return false
	}
	if rt.def.AuthorizationType == "NONE" {
		return true
	}
	return rt.def.AuthorizationType == by.def.AuthorizationType && rt.authorizer == by.authorizer && slices.Equal(rt.scopes, by.scopes)
}

func (r *resource) greedy() bool { return len(r.parts) > 0 && r.parts[len(r.parts)-1].greedy }

// generous reads segments again with everything decoded.
func generous(segs []segment, rounds int) []segment {
	var out []segment
	for _, s := range segs {
		text := s.key
		for range rounds {
			text = decodeOnce(text)
		}
		for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '/' || r == '\\' }) {
			part, _, _ = strings.Cut(part, ";")
			if part != "" {
				out = append(out, segment{key: part})
			}
		}
	}
	return out
}

func sameKeys(a, b []segment) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].key != b[i].key {
			return false
		}
	}
	return true
}
