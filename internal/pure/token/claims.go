package token

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// Claims is the decoded payload: strings, [json.Number], bool, nil, []any and map[string]any.
type Claims map[string]any

// String returns a claim that is a JSON string, else "".
func (c Claims) String(name string) string {
	s, _ := c[name].(string)
	return s
}

// Time returns a NumericDate claim (RFC 7519 section 2). A number outside of the
// years 0 to 9999 is no time.
func (c Claims) Time(name string) (time.Time, bool) {
	n, ok := c[name].(json.Number)
	if !ok {
		return time.Time{}, false
	}
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return time.Unix(i, 0).UTC(), i >= 0 && i < maxNumericDate
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f >= maxNumericDate {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0).UTC(), true
}

// time is Time, which also tells a claim that is no time from one that is not there.
func (c Claims) time(name string) (at time.Time, there, ok bool) {
	_, there = c[name]
	at, ok = c.Time(name)
	return at, there, ok
}

const maxNumericDate = 253402300800 // 1 January 10000

// Strings returns a claim that is a string or an array of strings; nil for
// anything else, so that a malformed audience matches nothing.
func (c Claims) Strings(name string) []string {
	switch v := c[name].(type) {
	case string:
		return []string{v}
	case []any:
		out := make([]string, 0, len(v))
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil
			}
			out = append(out, s)
		}
		return out
	}
	return nil
}
