package gateway

import (
	"net/url"
	"strings"
)

// pair is one parameter of a query string, decoded.
type pair struct{ name, value string }

// query decodes the query string in order, once. A piece that does not decode is kept as
// it stands, so that it is neither lost nor turned into another one. Nobody may change it.
func (x *Exchange) query() []pair {
	if x.RawQuery == "" || x.params != nil {
		return x.params
	}
	out := make([]pair, 0, strings.Count(x.RawQuery, "&")+1)
	for piece := range strings.SplitSeq(x.RawQuery, "&") {
		if piece == "" {
			continue
		}
		k, v, _ := strings.Cut(piece, "=")
		out = append(out, pair{unquery(k), unquery(v)})
	}
	x.params = out
	return out
}

func unquery(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// queryValue returns the last value of a parameter, as AWS's events have it.
func (x *Exchange) queryValue(name string) (value string, ok bool) {
	for _, p := range x.query() {
		if p.name == name {
			value, ok = p.value, true
		}
	}
	return value, ok
}
