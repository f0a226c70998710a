package iam

import (
	"slices"
	"strings"
	"unicode/utf8"

	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/policy"
)

// maxSessionTags bounds the tags of a session, inherited ones included (IAM user
// guide, "Pass session tags in AWS STS").
const maxSessionTags = 50

// transitiveKey carries the names of the tags that go on to the next role.
const transitiveKey = "\x00transitive"

// attributes are what a call, a web identity or an assertion gives to a session
// besides its policies.
type attributes struct {
	tags       []Tag
	transitive []string // names of tags that go on to the next role
	source     string   // source identity
}

// carried checks the attributes and returns the keys that the session carries:
// its own, and what the session in from passes on. needed are the actions that
// must be allowed beside assuming the role, for what is inherited too.
func (a *attributes) carried(from policy.Context) (keys policy.Context, needed []string, err error) {
	keys = policy.Context{}
	seen := map[string]bool{}
	for _, t := range a.tags {
		switch {
		case seen[lower(t.Key)]:
			return nil, nil, invalidParameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		case strings.HasPrefix(lower(t.Key), "aws:"):
			return nil, nil, invalidParameter("Tag keys that begin with aws: are reserved for system use.")
		}
		seen[lower(t.Key)] = true
		keys.Set("aws:PrincipalTag/"+t.Key, t.Value)
	}
	for _, k := range a.transitive {
		if !seen[lower(k)] {
			return nil, nil, invalidParameter("The specified transitive tag key must be included in the requested tags.")
		}
	}
	inherited := from.Get(transitiveKey)
	for _, key := range inherited {
		if seen[lower(key)] {
			return nil, nil, invalidParameter("One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
		keys.Set("aws:PrincipalTag/"+key, from.Get("aws:PrincipalTag/"+key)...)
	}
	if n := len(a.tags) + len(inherited); n > maxSessionTags {
		return nil, nil, validation("1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to %d", maxSessionTags)
	} else if n > 0 {
		needed = append(needed, "sts:TagSession")
	}
	keys.Set(transitiveKey, append(slices.Clone(inherited), a.transitive...)...)
	source := from.Get("aws:SourceIdentity")
	if a.source != "" {
		if len(source) > 0 && source[0] != a.source {
			return nil, nil, accessDenied("The source identity of a session cannot be changed.")
		}
		source = []string{a.source}
	}
	if keys.Set("aws:SourceIdentity", source...); len(source) > 0 {
		needed = append(needed, "sts:SetSourceIdentity")
	}
	return keys, needed, nil
}

// setKeys sets the condition keys that trust policies ask for.
func (a *attributes) setKeys(keys policy.Context) {
	names := make([]string, len(a.tags))
	for i, t := range a.tags {
		keys.Set("aws:RequestTag/"+t.Key, t.Value)
		names[i] = t.Key
	}
	keys.Set("aws:TagKeys", names...)
	keys.Set("sts:TransitiveTagKeys", a.transitive...)
	if a.source != "" {
		keys.Set("sts:SourceIdentity", a.source)
	}
}

// tagText is what tags are made of (STS API reference, data type Tag). How long they are is
// counted: an expression that repeats this class 256 times takes megabytes.
var tagText = lazyregexp.New(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// validTag reports whether a tag is 1 to 128 characters by at most 256 of them.
func validTag(key, value string) bool {
	return key != "" && utf8.RuneCountInString(key) <= 128 && utf8.RuneCountInString(value) <= 256 && tagText.MatchString(key) && tagText.MatchString(value)
}

// checkForm refuses tags that a token or an assertion gives in a form in which no
// call could give them.
func (a *attributes) checkForm() error {
	for _, t := range a.tags {
		if !validTag(t.Key, t.Value) {
			return invalidToken("The session tag %q is malformed.", t.Key)
		}
	}
	if len(a.tags) > maxSessionTags || len(a.transitive) > maxSessionTags {
		return invalidToken("There are more than %d session tags.", maxSessionTags)
	}
	return nil
}
