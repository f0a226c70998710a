package iam

import (
	"context"
	"slices"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// maxTags is IAM's quota per entity.
const maxTags = 50

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

// reservedTag reports whether a key is AWS's own: only services that act for
// somebody may set it.
func reservedTag(ctx context.Context, key string) bool {
	return strings.HasPrefix(lower(key), "aws:") && wire.CallFrom(ctx).Via == ""
}

// setTags adds tags to those there are, or replaces them. Keys that differ only
// in letter case are one key; the new spelling counts.
func setTags(ctx context.Context, old []Tag, add []iamapi.Tag) ([]Tag, error) {
	out := slices.Clone(old)
	seen := map[string]bool{}
	for _, t := range add {
		key := lower(t.Key)
		switch {
		case reservedTag(ctx, key):
			return nil, invalidInput("Tag keys starting with 'aws:' are reserved for system use: %s", t.Key)
		case seen[key]:
			return nil, invalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[key] = true
		i := slices.IndexFunc(out, func(have Tag) bool { return lower(have.Key) == key })
		if i < 0 {
			out = append(out, Tag{t.Key, t.Value})
			continue
		}
		out[i] = Tag{t.Key, t.Value}
	}
	if len(out) > maxTags {
		return nil, limit("The number of tags has reached the maximum limit.")
	}
	return out, nil
}

// removeTags drops tags; a key that is not there changes nothing.
func removeTags(ctx context.Context, old []Tag, keys []string) ([]Tag, error) {
	out := slices.Clone(old)
	for _, k := range keys {
		if reservedTag(ctx, k) {
			return nil, validation("Tag keys starting with 'aws:' are reserved for system use: %s", k)
		}
		out = slices.DeleteFunc(out, func(t Tag) bool { return lower(t.Key) == lower(k) })
	}
	return out, nil
}

// tagPage is one page of the tags of an entity; list names the entity.
func (s *Service) tagPage(list string, tags []Tag, marker *string, items *int32) ([]iamapi.Tag, *string, *bool, error) {
	tags = slices.Clone(tags)
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	tags, next, truncated, err := page(s, "tags/"+list, tags, func(t *Tag) string { return t.Key }, marker, items)
	return append([]iamapi.Tag{}, tagsOut(tags)...), next, truncated, err
}
