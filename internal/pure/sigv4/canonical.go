package sigv4

import (
	"slices"
	"strings"
)

const upperHex = "0123456789ABCDEF"

// appendCanonical writes the canonical request. normalize asks for the form of
// the path without dot segments and doubled slashes.
func appendCanonical(b []byte, r *Request, signed, payloadHash string, singlePath, normalize, skipSignature bool) []byte {
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = appendPath(b, r.Path, singlePath, normalize)
	b = append(b, '\n')
	b = appendQuery(b, r.RawQuery, skipSignature)
	b = append(b, '\n')
	for from := 0; from <= len(signed); {
		h := nameAt(signed, from)
		from += len(h) + 1
		b = append(b, h...)
		b = append(b, ':')
		if h == "host" {
			b = appendTrimmed(b, r.Host)
		} else {
			b = r.appendValues(b, h)
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(b, signed...)
	b = append(b, '\n')
	return append(b, payloadHash...)
}

// appendTrimmed writes a header value without outer spaces, runs of inner
// spaces made one.
func appendTrimmed(b []byte, v string) []byte {
	v = trim(v)
	doubled := false
	for i := 1; i < len(v) && !doubled; i++ {
		doubled = v[i] == ' ' && v[i-1] == ' '
	}
	if !doubled {
		return append(b, v...)
	}
	space := false
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c == ' ' && space {
			continue
		}
		space = c == ' '
		b = append(b, c)
	}
	return b
}

// trim takes blanks from both ends.
func trim(v string) string {
	for v != "" && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for v != "" && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	return v
}

// appendPath writes the canonical path: each byte of the path as sent that is
// not unreserved is percent-encoded, so that an escape is encoded twice. S3
// alone (single) keeps the escapes of the sender and encodes what is raw.
func appendPath(b []byte, path string, single, normalize bool) []byte {
	if path == "" {
		return append(b, '/')
	}
	if normalize {
		path = Normalize(path)
	}
	plain := 0
	for plain < len(path) && (path[plain] == '/' || unreserved(path[plain])) {
		plain++
	}
	b, path = append(b, path[:plain]...), path[plain:]
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '/' || unreserved(c):
			b = append(b, c)
		case single && c == '%' && i+2 < len(path) && isHex(path[i+1]) && isHex(path[i+2]):
			v := unhex(path[i+1])<<4 | unhex(path[i+2])
			if i += 2; unreserved(v) {
				b = append(b, v)
			} else {
				b = append(b, '%', upperHex[v>>4], upperHex[v&15])
			}
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b
}

// Normalize removes dot segments and doubled slashes from an escaped path,
// keeping a final slash (RFC 3986 section 5.2.4, on the path as sent).
func Normalize(path string) string {
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	var out []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for _, s := range segments {
		switch s {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, s)
		}
	}
	p := "/" + strings.Join(out, "/")
	if last := segments[len(segments)-1]; len(out) > 0 && last == "" {
		p += "/"
	}
	return p
}

// param is one canonical query parameter, as offsets into a buffer.
type param struct{ name, value string }

// appendQuery writes the canonical query: every name and value decoded and
// encoded again, in the order of the encoded names, then values. A plus sign
// means a space, as every reader of a query string takes it.
func appendQuery(b []byte, raw string, skipSignature bool) []byte {
	if raw == "" {
		return b
	}
	var few [16]param
	params := few[:0]
	for piece := range strings.SplitSeq(raw, "&") {
		if piece == "" {
			continue
		}
		k, v, _ := strings.Cut(piece, "=")
		k = recode(k)
		if skipSignature && k == "X-Amz-Signature" {
			continue
		}
		params = append(params, param{k, recode(v)})
	}
	slices.SortFunc(params, func(x, y param) int {
		if c := strings.Compare(x.name, y.name); c != 0 {
			return c
		}
		return strings.Compare(x.value, y.value)
	})
	for i, p := range params {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b
}

// recode decodes and encodes one part of a query, without a copy when it is
// canonical already.
func recode(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		if !unreserved(s[i]) {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		if unreserved(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
