package http1

import (
	"bytes"
	"net/netip"
	"strings"
	"unsafe"
)

// Request is one request. Its strings are views of the connection's buffer: they end with
// the handler, unless [Request.Own] was called before they were kept.
type Request struct {
	Method string
	// Target is the target as it was sent; Path and RawQuery are its parts, escaped.
	Target, Path, RawQuery string
	// Host is the only Host, or that of the absolute form, which must say the same.
	Host  string
	Minor int // HTTP/1.Minor
	// Fields is the header without Host, Transfer-Encoding, Trailer and Upgrade.
	Fields []Field
	// Length is that of the body; -1 when it comes in chunks.
	Length int64
	// Body is never nil. It may be read until the handler returns.
	Body *Body

	RemoteAddr string     // ip:port of the connection
	Remote     netip.Addr // its address

	head   head
	raw    []byte // what the views look at
	expect bool
}

const maxMethod = 32

// parseRequest reads one head from the start of b; an empty line before it is skipped
// (RFC 9112, section 2.2). n is its length, 0 without an error: there is more to come.
func parseRequest(b []byte, lim *Limits, r *Request) (n int, err *Error) {
	pos := 0
	if len(b) > 0 && b[0] == '\r' {
		if len(b) == 1 {
			return 0, nil
		}
		if b[1] != '\n' {
			return 0, errStartLine
		}
		pos = 2
	}
	i := bytes.IndexByte(b[pos:], '\n')
	if i < 0 {
		return 0, partialLine(b[pos:], lim)
	}
	if i == 0 || b[pos+i-1] != '\r' {
		return 0, errBareLF
	}
	if err := r.startLine(b[pos:pos+i-1], lim); err != nil {
		return 0, err
	}
	fields, next, err := r.head.parseFields(b, pos+i+1, lim, r.Fields[:0], false)
	r.Fields = fields
	if err != nil {
		return 0, err
	}
	if next == 0 && len(b) >= lim.Head || next > lim.Head {
		return 0, errHeadLarge
	}
	if next == 0 {
		return 0, nil
	}
	r.raw = b[:next]
	return next, r.settle()
}

// partialLine refuses a first line early that cannot become one.
func partialLine(b []byte, lim *Limits) *Error {
	n := tokenLen(b)
	switch {
	case n == len(b) && n <= maxMethod:
		return nil
	case n == 0 || n > maxMethod || b[n] != ' ':
		return errMethod
	case len(b) > n+1+lim.URI+len(" HTTP/1.1\r"):
		return errTargetLong
	}
	return nil
}

func (r *Request) startLine(line []byte, lim *Limits) *Error {
	n := tokenLen(line)
	if n == 0 || n > maxMethod || n == len(line) || line[n] != ' ' {
		if n > 0 && n <= maxMethod {
			return errStartLine
		}
		return errMethod
	}
	r.Method = method(line[:n])
	rest := line[n+1:]
	n = bytes.IndexByte(rest, ' ')
	if n <= 0 {
		if len(rest) > lim.URI {
			return errTargetLong
		}
		return errStartLine
	}
	target, version := rest[:n], rest[n+1:]
	if len(target) > lim.URI {
		return errTargetLong
	}
	minor, err := parseVersion(version, errStartLine)
	if err != nil {
		return err
	}
	if !validTarget(target) {
		return errTarget
	}
	r.Minor, r.Target = minor, view(target)
	return nil
}

// parseVersion reads "HTTP/1.1" or "HTTP/1.0".
func parseVersion(b []byte, malformed *Error) (minor int, err *Error) {
	if len(b) != 8 || string(b[:5]) != "HTTP/" || !isDigit(b[5]) || b[6] != '.' || !isDigit(b[7]) {
		return 0, malformed
	}
	if b[5] != '1' || b[7] > '1' {
		return 0, errVersion
	}
	return int(b[7] - '0'), nil
}

// method gives the usual ones without looking at the buffer.
func method(b []byte) string {
	switch string(b) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "HEAD":
		return "HEAD"
	case "DELETE":
		return "DELETE"
	case "PATCH":
		return "PATCH"
	case "OPTIONS":
		return "OPTIONS"
	}
	return view(b)
}

// settle checks what no single line shows: framing, Host, the form of the target.
func (r *Request) settle() *Error {
	h := &r.head
	if err := h.framed(r.Minor); err != nil {
		return err
	}
	r.Length = max(h.length, 0)
	if h.coding {
		r.Length = -1
	}
	if h.hosts > 1 || h.hosts == 0 && r.Minor == 1 || h.hosts == 1 && !validHost(h.host) {
		return errHost
	}
	r.Host = h.host
	r.expect = h.expect && r.Minor == 1 && r.Length != 0
	return r.form()
}

// form tells the forms of a target apart (RFC 9112, section 3.2).
func (r *Request) form() *Error {
	t := r.Target
	switch {
	case r.Method == "CONNECT":
		return errConnect
	case t[0] == '/':
	case t == "*":
		if r.Method != "OPTIONS" {
			return errTargetForm
		}
	default:
		const scheme = "http://"
		if len(t) < len(scheme) || !Is(t[:len(scheme)], scheme) {
			return errTargetForm
		}
		t = t[len(scheme):]
		end := strings.IndexAny(t, "/?")
		if end < 0 {
			end = len(t)
		}
		if host := t[:end]; !validHost(host) {
			return errHost
		} else if r.head.hosts == 1 && !strings.EqualFold(host, r.Host) {
			return errHostDiffers
		} else {
			r.Host = host
		}
		if t = t[end:]; t == "" {
			t = "/"
		} else if t[0] == '?' {
			r.Path, r.RawQuery = "/", t[1:]
			return nil
		}
	}
	r.Path, r.RawQuery = t, ""
	if i := strings.IndexByte(t, '?'); i >= 0 {
		r.Path, r.RawQuery = t[:i], t[i+1:]
	}
	return nil
}

// ValidHost reports whether a client of this package can ask a host, with a port or without.
func ValidHost(s string) bool { return validHost(s) }

// validHost reports whether s is a host name or address with or without a port. It is
// narrower than a URI's host: no escapes and no sub-delimiters, which no name has.
func validHost(s string) bool {
	host, port := s, ""
	if len(s) > 0 && s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		addr, err := netip.ParseAddr(s[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return false
		}
		host, port = "x", s[end+1:]
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
	}
	if port != "" && !validPort(port) {
		return false
	}
	for i := 0; i < len(host); i++ {
		if c := host[i]; !isAlpha(c) && !isDigit(c) && c != '-' && c != '.' && c != '_' && c != '~' {
			return false
		}
	}
	return host != "" && len(host) <= 255
}

func validPort(s string) bool {
	if s[0] != ':' || len(s) < 2 || len(s) > 6 {
		return false
	}
	n := 0
	for _, c := range []byte(s[1:]) {
		if !isDigit(c) {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

// Own copies the head once and makes every string of the request a part of the copy, so
// that they may be kept; so it does with others that may be parts of the head.
func (r *Request) Own(others ...*string) {
	if len(r.raw) == 0 {
		return
	}
	from := uintptr(unsafe.Pointer(&r.raw[0]))
	text := string(r.raw)
	own := func(s *string) {
		if len(*s) == 0 {
			return
		}
		if at := uintptr(unsafe.Pointer(unsafe.StringData(*s))) - from; at < uintptr(len(text)) {
			*s = text[at : at+uintptr(len(*s))]
		}
	}
	for _, s := range []*string{&r.Method, &r.Target, &r.Path, &r.RawQuery, &r.Host, &r.head.host, &r.head.trailer} {
		own(s)
	}
	for i := range r.Fields {
		own(&r.Fields[i].Name)
		own(&r.Fields[i].Value)
	}
	for _, s := range others {
		own(s)
	}
	r.raw = nil
}

// Get returns the value of the first field of a name, which is given in lower case.
func (r *Request) Get(lower string) string { return Get(r.Fields, lower) }
