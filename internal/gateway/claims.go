package gateway

import (
	"encoding/json"
	"slices"
	"strings"

	"moat/internal/pure/jsonstring"
	"moat/internal/pure/token"
)

// claimSet is what integrations and logs get to know of a token.
type claimSet struct {
	text map[string]string // claims as API Gateway makes strings of them
	json []byte            // the same as a JSON object
}

// maxClaims is the length of a token whose claims are remembered at most: with as many as
// there is room for, it bounds the memory that they take.
const maxClaims = 4 << 10

// claimSet gives the claims of the token that authorised the request. They are made when
// somebody asks for them: most routes are forwarded, and pass on the token itself.
func (x *Exchange) claimSet() *claimSet {
	if x.told != nil {
		return x.told
	}
	if got, ok := x.g.claims.get(&x.bearerSum, x.start); ok {
		x.told = *got
		return x.told
	}
	x.told = new(claimSet)
	t, err := token.Parse(x.bearer)
	if err != nil { // it was verified: cannot be
		return x.told
	}
	x.told.text = make(map[string]string, len(t.Claims))
	for name, v := range t.Claims {
		x.told.text[name] = claimText(t.Claims, name, v)
	}
	x.told.json = appendStrings(nil, x.told.text)
	if expires, ok := t.Claims.Time("exp"); ok && len(x.bearer) <= maxClaims {
		x.g.claims.put(&x.bearerSum, x.told, expires, x.start)
	}
	return x.told
}

// claimText makes a string of a claim as API Gateway does for a user pool authorizer
// (known from published events): exp and iat as Java prints a date, other numbers and
// booleans as they stand, lists joined by commas, objects as JSON.
func claimText(c token.Claims, name string, v any) string {
	if name == "exp" || name == "iat" {
		if t, ok := c.Time(name); ok {
			return t.Format("Mon Jan 02 15:04:05 UTC 2006")
		}
	}
	list, ok := v.([]any)
	if !ok {
		return plainText(v)
	}
	parts := make([]string, len(list))
	for i, item := range list {
		parts[i] = plainText(item)
	}
	return strings.Join(parts, ",")
}

func plainText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number: // of a token that was read: valid as it stands
		return string(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// appendStrings writes a map as a JSON object in the order of its names; null for none.
func appendStrings(b []byte, in map[string]string) []byte {
	if len(in) == 0 {
		return append(b, "null"...)
	}
	names, size := make([]string, 0, len(in)), 1
	for name, v := range in {
		names = append(names, name)
		size += len(name) + len(v) + len(`"":"",`)
	}
	slices.Sort(names)
	b = slices.Grow(b, size)
	sep := byte('{')
	for _, name := range names {
		b = append(b, sep)
		b = append(jsonstring.Append(b, name), ':')
		b = jsonstring.Append(b, in[name])
		sep = ','
	}
	return append(b, '}')
}
