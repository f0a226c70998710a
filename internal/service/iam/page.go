package iam

import (
	"encoding/base64"
	"net/url"
	"sort"
	"strings"

	"moat/internal/wire"
)

// page cuts one page out of a list that is sorted by name. The marker is the
// sealed name of the last item seen, bound to the list it belongs to: it cannot
// be altered or used for another.
func page[T any](s *Service, list string, items []T, name func(*T) string, marker *string, limit *int32) (out []T, next *string, truncated *bool, err error) {
	start := 0
	if marker != nil && *marker != "" {
		raw, err := base64.StdEncoding.Strict().DecodeString(*marker)
		if err == nil {
			raw, err = s.db.Unseal("iam/marker/"+list, raw)
		}
		if err != nil {
			return nil, nil, nil, validation("Invalid Marker.")
		}
		start = sort.Search(len(items), func(i int) bool { return name(&items[i]) > string(raw) })
	}
	n := 100
	if limit != nil {
		n = int(*limit)
	}
	out = items[start:]
	if len(out) <= n {
		return out, nil, wire.Bool(false), nil
	}
	out = out[:n]
	sealed, err := s.db.Seal("iam/marker/"+list, []byte(name(&out[n-1])))
	if err != nil {
		return nil, nil, nil, err
	}
	return out, wire.String(base64.StdEncoding.EncodeToString(sealed)), wire.Bool(true), nil
}

// escape writes a document as IAM's answers have it: percent-encoded (RFC 3986).
func escape(doc string) string {
	return strings.ReplaceAll(url.QueryEscape(doc), "+", "%20")
}

// path returns the path of an entity, "/" when none was given.
func path(p *string) string {
	if p == nil || *p == "" {
		return "/"
	}
	return *p
}

// hasPath reports whether a path lies under the prefix of a listing.
func hasPath(p string, prefix *string) bool { return strings.HasPrefix(p, path(prefix)) }
