package sigv4

import "net/http"

// values gives the values of a header field whose name is given in lower case.
func (r *Request) values(lower string) []string {
	if r.Header != nil {
		return valuesIn(r.Header, lower)
	}
	var out []string
	for i := range r.Fields {
		if isName(r.Fields[i].Name, lower) {
			out = append(out, r.Fields[i].Value)
		}
	}
	return out
}

// first gives the first value of a header field, and how many there are.
func (r *Request) first(lower string) (value string, n int) {
	if r.Header != nil {
		all := valuesIn(r.Header, lower)
		if len(all) > 0 {
			value = all[0]
		}
		return value, len(all)
	}
	for i := range r.Fields {
		if isName(r.Fields[i].Name, lower) {
			if n++; n == 1 {
				value = r.Fields[i].Value
			}
		}
	}
	return value, n
}

// appendValues writes the values of a header field as the canonical request has them.
func (r *Request) appendValues(b []byte, lower string) []byte {
	n := 0
	add := func(v string) {
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	if r.Header != nil {
		for _, v := range valuesIn(r.Header, lower) {
			add(v)
		}
		return b
	}
	for i := range r.Fields {
		if isName(r.Fields[i].Name, lower) {
			add(r.Fields[i].Value)
		}
	}
	return b
}

// unsignedName gives a field that says something to an AWS service and is not signed,
// in lower case, "" when there is none.
func (r *Request) unsignedName(a *Authorization) string {
	if r.Header != nil {
		for name := range r.Header {
			if lower := needed(a, name); lower != "" {
				return lower
			}
		}
		return ""
	}
	for i := range r.Fields {
		if lower := needed(a, r.Fields[i].Name); lower != "" {
			return lower
		}
	}
	return ""
}

// needed gives the name of a field in lower case if it has to be signed and is not.
func needed(a *Authorization, name string) string {
	const prefix = "x-amz-"
	if len(name) < len(prefix) || !isName(name[:len(prefix)], prefix) || isName(name, "x-amz-user-agent") || a.signs(name) {
		return ""
	}
	return lowered(name)
}

// isName compares a name in any case with one in lower case. Only the letters of ASCII
// have a case: to [strings.EqualFold] some others are the same as these.
func isName(name, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c != lower[i] && (c < 'A' || c > 'Z' || c|0x20 != lower[i]) {
			return false
		}
	}
	return true
}

func lowered(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

// valuesIn finds the values of a header field whose name is given in lower case.
func valuesIn(h http.Header, lower string) []string {
	var name [64]byte
	return h[string(canonicalName(name[:0], lower))]
}

// canonicalName turns x-amz-date into X-Amz-Date, the key in an http.Header.
func canonicalName(b []byte, lower string) []byte {
	upper := true
	for i := 0; i < len(lower); i++ {
		c := lower[i]
		if upper && 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper = c == '-'
		b = append(b, c)
	}
	return b
}
