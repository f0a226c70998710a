package iam

import (
	"encoding/base64"
	"net/url"
	"sort"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/iamapi"
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

func tagsOut(tags []Tag) []iamapi.Tag {
	if len(tags) == 0 {
		return nil
	}
	out := make([]iamapi.Tag, len(tags))
	for i, t := range tags {
		out[i] = iamapi.Tag{Key: t.Key, Value: t.Value}
	}
	return out
}

// maxTags is IAM's quota.
const maxTags = 50

// setTags adds tags to those there are, or replaces them.
func setTags(old []Tag, add []iamapi.Tag) ([]Tag, error) {
	out := append([]Tag(nil), old...)
	seen := map[string]bool{}
	for _, t := range add {
		if seen[lower(t.Key)] {
			return nil, invalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[lower(t.Key)] = true
		replaced := false
		for i := range out {
			if lower(out[i].Key) == lower(t.Key) {
				out[i], replaced = Tag{t.Key, t.Value}, true
			}
		}
		if !replaced {
			out = append(out, Tag{t.Key, t.Value})
		}
	}
	if len(out) > maxTags {
		return nil, limit("The number of tags has reached the maximum limit.")
	}
	return out, nil
}

func removeTags(old []Tag, keys []string) []Tag {
	var out []Tag
	for _, t := range old {
		keep := true
		for _, k := range keys {
			keep = keep && lower(k) != lower(t.Key)
		}
		if keep {
			out = append(out, t)
		}
	}
	return out
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
