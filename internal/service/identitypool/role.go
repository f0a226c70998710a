package identitypool

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/token"
)

// chooseRole finds the role of an identity: its provider's role mapping first,
// then the pool's role for those who signed in or did not.
func chooseRole(who *signedIn, custom *string) (string, error) {
	p, id := &who.pool, who.identity.ID
	kind := "authenticated"
	if who.guest() {
		kind = "unauthenticated"
	}
	for _, pr := range who.proofs {
		m, ok := p.mapping(pr)
		if !ok {
			continue
		}
		role := m.role(pr.claims, custom)
		switch {
		case role != "":
			return role, nil
		case custom != nil || m.Ambiguous != "AuthenticatedRole":
			return "", forbidden(id)
		}
	}
	if custom != nil {
		return "", forbidden(id)
	}
	role := p.Roles[kind]
	if role == "" {
		return "", badConfiguration()
	}
	return role, nil
}

func (p *Pool) mapping(pr proof) (Mapping, bool) {
	for _, key := range pr.mappings {
		if m, ok := p.Mappings[key]; ok {
			return m, true
		}
	}
	return Mapping{}, false
}

// role is the one that claims lead to, "" when that is none or not clear. A
// custom role must be one of those that the claims lead to.
func (m *Mapping) role(claims token.Claims, custom *string) string {
	var roles []string
	preferred := ""
	if m.Type == "Token" {
		roles = claims.Strings("cognito:roles")
		preferred = claims.String("cognito:preferred_role")
	} else {
		for _, r := range m.Rules {
			if r.matches(claims) {
				roles = append(roles, r.Role)
			}
		}
		if len(roles) > 0 {
			preferred = roles[0] // rules count in their order
		}
	}
	switch {
	case custom != nil && (slices.Contains(roles, *custom) || preferred != "" && *custom == preferred):
		return *custom
	case custom != nil:
		return ""
	case preferred == "" && len(roles) == 1:
		return roles[0]
	}
	return preferred
}

func (r *Rule) matches(claims token.Claims) bool {
	values := claimValues(claims, r.Claim)
	switch r.Match {
	case "Equals":
		return slices.Contains(values, r.Value)
	case "NotEqual":
		return len(values) > 0 && !slices.Contains(values, r.Value)
	case "Contains":
		return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, r.Value) })
	case "StartsWith":
		return slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, r.Value) })
	}
	return false
}

// claimValues are the values of a claim as texts; nil for what has none.
func claimValues(claims token.Claims, name string) []string {
	switch v := claims[name].(type) {
	case bool:
		return []string{map[bool]string{true: "true", false: "false"}[v]}
	case json.Number:
		return []string{v.String()}
	}
	return claims.Strings(name)
}

// defaultTags is the map that UseDefaults means (developer guide, "Using
// attributes for access control").
func defaultTags() map[string]string { return map[string]string{"client": "aud", "username": "sub"} }

// sessionTags are the principal tags of a session.
func sessionTags(who *signedIn) (map[string]string, error) {
	if who.own != nil {
		return who.own.tags, nil
	}
	return principalTags(&who.pool, who.proofs)
}

// principalTags are the session tags that a pool makes of claims. A claim that is
// missing, or has several values, makes no tag.
func principalTags(p *Pool, proofs []proof) (map[string]string, error) {
	out := map[string]string{}
	for _, pr := range proofs {
		m := p.tagMap(pr)
		tags := m.Tags
		if m.Defaults {
			tags = defaultTags()
		}
		for tag, claim := range tags {
			if v := claimValues(pr.claims, claim); len(v) == 1 {
				out[tag] = v[0]
			}
		}
	}
	return out, checkSessionTags(out)
}

func (p *Pool) tagMap(pr proof) TagMap {
	for _, key := range append([]string{pr.Provider}, pr.mappings...) {
		if m, ok := p.TagMaps[key]; ok {
			return m
		}
	}
	return TagMap{}
}

var tagText = lazyregexp.New(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// checkSessionTags holds STS's rules on session tags (API reference, Tag). A tag
// that is not allowed refuses the call: left out, a Deny by it would not apply.
func checkSessionTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalidParameter("A session cannot have more than %d principal tags.", maxTags)
	}
	folded := make(map[string]bool, len(tags))
	for k, v := range tags {
		low := strings.ToLower(k)
		if folded[low] { // to STS they are one (IAM user guide, "Pass session tags in AWS STS")
			return invalidParameter("The principal tag %s is there twice: session tags do not differ by case.", k)
		}
		folded[low] = true
		if k == "" || utf8.RuneCountInString(k) > 128 || utf8.RuneCountInString(v) > 256 || !tagText.MatchString(k) || !tagText.MatchString(v) ||
			strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalidParameter("The principal tag %s is not a valid session tag.", k)
		}
	}
	return nil
}
