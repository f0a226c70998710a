package vtl

import (
	"encoding/base64"
	"net/url"
	"strings"
	"unicode/utf8"

	"moat/internal/pure/jsonpath"
)

// Util is $util (API Gateway Developer Guide, "$util variables").
type Util struct{}

// Property gives nothing: $util has only methods.
func (Util) Property(string) (any, bool) { return nil, false }

// String is empty: the object itself says nothing.
func (Util) String() string { return "" }

// Call gives the methods.
func (Util) Call(name string, args []any) (any, bool, error) {
	if len(args) != 1 {
		return nil, false, nil
	}
	s, ok := args[0].(string)
	if !ok { // any value has a text
		b, err := jsonpath.AppendText(nil, args[0], DefaultLimits().Output)
		if err != nil {
			return nil, true, err
		}
		s = string(b)
	}
	switch name {
	case "escapeJavaScript":
		return escapeJavaScript(s), true, nil
	case "parseJson":
		v, err := jsonpath.Parse([]byte(s))
		if err != nil {
			return nil, true, &RenderError{"$util.parseJson: " + err.Error(), err}
		}
		return v, true, nil
	case "urlEncode":
		return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "~", "%7E"), "%2A", "*"), true, nil
	case "urlDecode":
		out, err := url.QueryUnescape(s)
		if err != nil {
			return nil, true, &RenderError{"$util.urlDecode: " + err.Error(), err}
		}
		return strings.ToValidUTF8(out, "\ufffd"), true, nil
	case "base64Encode":
		return base64.StdEncoding.EncodeToString([]byte(s)), true, nil
	case "base64Decode":
		out, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			if out, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "=")); err != nil {
				return nil, true, &RenderError{"$util.base64Decode: " + err.Error(), err}
			}
		}
		return strings.ToValidUTF8(string(out), "\ufffd"), true, nil
	}
	return nil, false, nil
}

// escapeJavaScript escapes as Apache Commons Lang does: quotes of both kinds, "/", the
// backslash, controls, and what is not ASCII.
func escapeJavaScript(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c >= ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '/'
	}
	if plain {
		return s
	}
	b := make([]byte, 0, len(s)+len(s)/8+8)
	for _, c := range s {
		switch {
		case c == '"' || c == '\'' || c == '\\' || c == '/':
			b = append(b, '\\', byte(c))
		case c == '\b':
			b = append(b, `\b`...)
		case c == '\f':
			b = append(b, `\f`...)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c >= ' ' && c < 0x7f:
			b = append(b, byte(c))
		default:
			b = appendUnits(b, c)
		}
	}
	return string(b)
}

const upperHex = "0123456789ABCDEF"

func appendUnits(b []byte, c rune) []byte {
	for _, u := range units(string(utf8.AppendRune(nil, c))) {
		b = append(b, '\\', 'u', upperHex[u>>12], upperHex[u>>8&15], upperHex[u>>4&15], upperHex[u&15])
	}
	return b
}
