package iam

import (
	"strings"

	"moat/internal/pure/arn"
	"moat/internal/pure/policy"
	"moat/internal/store"
)

// source is a policy with where it came from.
type source struct {
	kind, owner string // "user", "group" or "role" and the name of who has it
	name        string
	arn         string // of a managed policy, empty for an inline one
	text        string
	hidden      bool // nothing is told of it but its name
}

// title is how the policy simulator calls a policy: a managed one by its name,
// an inline one by whose it is.
func (s *source) title() string {
	if s.arn != "" || s.kind == "" {
		return s.name
	}
	return s.kind + "_" + s.owner + "_" + s.name
}

// grantee is a user, group or role with all its policies: a user with those of
// its groups.
type grantee struct {
	kind, name, path, id, arn string
	tags                      []Tag
	sources                   []source
	boundary                  *source
}

// entityARN splits the ARN of a user, group or role of this account.
func (s *Service) entityARN(text string) (kind, name string, err error) {
	a, err := arn.Parse(text)
	if err != nil || a.Service != "iam" || a.Name() == "" || a.Type() != "user" && a.Type() != "group" && a.Type() != "role" {
		return "", "", invalidInput("Invalid Entity Arn: %s does not clearly define entity type and name.", text)
	}
	if a.Account != s.cfg.Account {
		return "", "", invalidInput("Invalid Policy Source Arn: caller's account %s does not have access to policies in account %s", s.cfg.Account, a.Account)
	}
	return a.Type(), a.Name(), nil
}

// grantee finds whom an ARN names. Its path is part of the name.
func (s *Service) grantee(tx *store.Tx, text string) (grantee, error) {
	kind, name, err := s.entityARN(text)
	if err != nil {
		return grantee{}, err
	}
	h := grantee{kind: kind}
	var p Policies
	var boundary string
	var groups []string
	switch kind {
	case "user":
		u, err := s.getUser(tx, name)
		if err != nil {
			return h, err
		}
		h.name, h.path, h.id, h.tags, p, boundary, groups = u.Name, u.Path, u.ID, u.Tags, u.Policies, u.Boundary, u.Groups
	case "role":
		r, err := s.getRole(tx, name)
		if err != nil {
			return h, err
		}
		h.name, h.path, h.id, h.tags, p, boundary = r.Name, r.Path, r.ID, r.Tags, r.Policies, r.Boundary
	case "group":
		g, err := s.getGroup(tx, name)
		if err != nil {
			return h, err
		}
		h.name, h.path, h.id, p = g.Name, g.Path, g.ID, g.Policies
	}
	if h.arn = s.arn(kind, h.path, h.name); h.arn != text {
		return h, noSuch("The %s with name %s cannot be found.", kind, name)
	}
	if err := s.addSources(tx, &h, kind, h.name, p); err != nil {
		return h, err
	}
	for _, key := range groups {
		g, err := s.t.groups.Get(tx, s.cfg.Account, key)
		if err != nil {
			return h, err
		}
		if err := s.addSources(tx, &h, "group", g.Name, g.Policies); err != nil {
			return h, err
		}
	}
	if boundary == "" {
		return h, nil
	}
	b, err := s.managedSource(tx, boundary)
	h.boundary = &b
	return h, err
}

func (s *Service) addSources(tx *store.Tx, h *grantee, kind, owner string, p Policies) error {
	for _, name := range sortedKeys(p.Inline) {
		h.sources = append(h.sources, source{kind: kind, owner: owner, name: name, text: p.Inline[name]})
	}
	for _, arn := range p.Attached {
		m, err := s.managedSource(tx, arn)
		if err != nil {
			return err
		}
		m.kind, m.owner = kind, owner
		h.sources = append(h.sources, m)
	}
	return nil
}

// managedSource reads the default version of a managed policy.
func (s *Service) managedSource(tx *store.Tx, arn string) (source, error) {
	p, err := s.getPolicy(tx, arn)
	if err != nil {
		return source{}, err
	}
	out := source{name: p.Name, arn: arn}
	if v := p.version(p.Default); v != nil {
		out.text = v.Document
	}
	return out, nil
}

// principal is the grantee as who makes a request: a user with a long-lived key,
// a role in a session of the given name, a group in no one's person.
func (s *Service) principal(h *grantee, session string) policy.Principal {
	keys := policy.Context{}
	for _, t := range h.tags {
		keys.Set("aws:PrincipalTag/"+t.Key, t.Value)
	}
	p := policy.Principal{Kind: policy.PrincipalUser, Account: s.cfg.Account, Context: keys}
	switch h.kind {
	case "user":
		p.ARN, p.ID = h.arn, h.id
		keys.Set("aws:username", h.name)
	case "role":
		p.Kind, p.RoleARN, p.ID = policy.PrincipalAssumedRole, h.arn, h.id+":"+session
		p.ARN = "arn:aws:sts::" + s.cfg.Account + ":assumed-role/" + h.name + "/" + session
	}
	return p
}

// accountOfARN is the account in an ARN, or other where it has none.
func accountOfARN(text, other string) string {
	if a, err := arn.Parse(text); err == nil && a.Account != "" && !strings.ContainsAny(a.Account, "*?") {
		return a.Account
	}
	return other
}
