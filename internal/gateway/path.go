package gateway

import (
	"errors"
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
