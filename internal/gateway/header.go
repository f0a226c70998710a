package gateway

import (
	"strings"

	"moat/internal/http1"
)

// Field is one header field. Names keep the case in which they came.
type Field struct{ Name, Value string }

// get returns the first value of a field, "" when it is absent.
func (x *Exchange) get(name string) string {
	for i := range x.Fields {
		if sameName(x.Fields[i].Name, name) {
			return x.Fields[i].Value
		}
	}
	return ""
}

// sameName reports whether two names of fields are one. They are of ASCII.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// one returns the value of a field that must not be repeated: two values are a
// question of taste for every reader behind us, so ok is false then.
func (x *Exchange) one(name string) (value string, n int) {
	for i := range x.Fields {
		if sameName(x.Fields[i].Name, name) {
			if n++; n == 1 {
				value = x.Fields[i].Value
			}
		}
	}
	return value, n
}

// alias is the form in which servers behind us may confuse names: CGI makes "_" of
// "-", some frameworks read "." alike (the class of CVE-2026-39858).
func alias(name string) string {
	plain := true
	for i := 0; i < len(name); i++ {
		if c := name[i]; c == '_' || c == '.' || 'A' <= c && c <= 'Z' {
			plain = false
		}
	}
	if plain {
		return name
	}
	b := []byte(name)
	for i, c := range b {
		switch {
		case c == '_' || c == '.':
			b[i] = '-'
		case 'A' <= c && c <= 'Z':
			b[i] = c | 0x20
		}
	}
	return string(b)
}

// maxAlias is longer than every name that a rule is about.
const maxAlias = 64

// aliasIn is alias without allocating: the result lives in buf, if it is not name itself.
func aliasIn(buf *[maxAlias]byte, name string) string {
	if len(name) > maxAlias {
		return alias(name)
	}
	plain := true
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '_' || c == '.':
			c, plain = '-', false
		case 'A' <= c && c <= 'Z':
			c, plain = c|0x20, false
		}
		buf[i] = c
	}
	if plain {
		return name
	}
	return view(buf[:len(name)])
}

// ours reports whether a name belongs to the gateway: what a client sends under it,
// or under an alias of it, never reaches an integration.
func ours(alias string) bool {
	switch alias {
	case "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-server",
		"x-forwarded-prefix", "x-forwarded-scheme", "x-forwarded-by", "x-real-ip", "forwarded", "x-amzn-apigateway-api-id",
		"x-amzn-trace-id", "x-amzn-requestid", "x-amz-apigw-id":
		return true
	}
	return false
}

// hopByHop reports whether a field is about one connection only, or makes no sense
// behind us. The list is that of the recorded events: none of them arrives there.
func hopByHop(lower string) bool {
	switch lower {
	case "connection", "content-length", "content-md5", "expect", "max-forwards", "proxy-authenticate", "server",
		"te", "trailer", "transfer-encoding", "upgrade", "www-authenticate",
		"keep-alive", "proxy-connection", "proxy-authorization", "http2-settings":
		return true
	}
	return false
}

// remapped reports whether API Gateway hands an integration's field on as
// x-amzn-Remapped-<name> (known from recorded answers).
func remapped(lower string) bool {
	switch lower {
	case "authorization", "connection", "content-length", "content-md5", "date", "expect", "host", "max-forwards",
		"proxy-authenticate", "server", "trailer", "upgrade", "user-agent", "www-authenticate",
		"x-amzn-requestid", "x-amz-apigw-id":
		return true
	}
	return false
}

// dropped reports whether a field of an integration's answer is not handed on at all.
func dropped(lower string) bool {
	switch lower {
	case "transfer-encoding", "keep-alive", "proxy-connection", "te":
		return true
	}
	return false
}

func validName(s string) bool { return http1.IsToken(s) }

func validValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
