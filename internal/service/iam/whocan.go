package iam

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"moat/internal/pure/arn"
	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire/iamapi"
)

// ResourcePolicy is the policy of a resource of another service. Without a text
// there is none; a role's trust policy is found here.
type ResourcePolicy struct {
	Name, Text string
	Options    []policy.Option
	// Hidden: who asks may not read the policy. It decides, but of its statements
	// and conditions nothing is told.
	Hidden bool
}

// ErrNoPrincipal says in one sentence that a name means no principal, or more
// than one.
type ErrNoPrincipal struct{ message string }

func (e *ErrNoPrincipal) Error() string { return e.message }

// FindPrincipal gives the ARN of a user, a role or the root of the account: by
// its ARN, by "user/ada" or "role/deploy", by "root", or by a name alone when it
// means one. The ARN of a role's session means the role.
func (s *Service) FindPrincipal(ctx context.Context, name string) (found string, err error) {
	if name == "root" || name == s.arn("root", "", "") {
		return s.arn("root", "", ""), nil
	}
	kinds := []string{"user", "role"}
	short := name
	if a, err := arn.Parse(name); err == nil {
		if a.Account != s.cfg.Account {
			return "", &ErrNoPrincipal{fmt.Sprintf("%s is of another account; this one is %s", name, s.cfg.Account)}
		}
		short = a.Resource
		if rest, ok := strings.CutPrefix(short, "assumed-role/"); ok {
			role, _, _ := strings.Cut(rest, "/")
			short = "role/" + role
		}
	}
	if kind, _, ok := strings.Cut(short, "/"); ok && kind != "" {
		kinds, short = []string{kind}, short[strings.LastIndexByte(short, '/')+1:]
	}
	var all []string
	for _, kind := range kinds {
		var e *entity
		switch kind {
		case "user":
			e, err = s.user(ctx, short)
		case "role":
			e, err = s.role(ctx, short)
		}
		if err != nil {
			return "", err
		}
		if e != nil {
			all = append(all, e.arn)
		}
	}
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(all) > 1:
		return "", &ErrNoPrincipal{fmt.Sprintf("%s is a user and a role; say user/%s or role/%s", name, name, name)}
	}
	return "", &ErrNoPrincipal{fmt.Sprintf("there is no user or role %s; `aws iam list-users` and `aws iam list-roles` name them", name)}
}

// inquire prepares questions about a user, a role or the root.
func (s *Service) inquire(tx *store.Tx, principal string) (*inquiry, error) {
	q := &inquiry{keys: policy.Context{}}
	now := s.cfg.Now()
	q.keys.Set("aws:CurrentTime", now.UTC().Format(time.RFC3339))
	q.keys.Set("aws:EpochTime", strconv.FormatInt(now.Unix(), 10))
	if principal == s.arn("root", "", "") {
		q.who = policy.Principal{Kind: policy.PrincipalRoot, ARN: principal, Account: s.cfg.Account, ID: s.cfg.Account}
		if err := q.add(policy.KindIdentity, source{name: "account root", text: rootPolicy}); err != nil {
			return nil, err
		}
		return q, s.addGuardrails(q)
	}
	g, err := s.grantee(tx, principal)
	if err != nil {
		return nil, err
	}
	q.who = s.principal(&g, simulatedSession)
	for _, src := range g.sources {
		if err := q.add(policy.KindIdentity, src); err != nil {
			return nil, err
		}
	}
	if g.boundary != nil {
		if err := q.add(policy.KindBoundary, *g.boundary); err != nil {
			return nil, err
		}
	}
	return q, s.addGuardrails(q)
}

func (s *Service) addGuardrails(q *inquiry) error {
	if s.guardrails(&q.who) == nil {
		return nil
	}
	for _, g := range s.cfg.Guardrails {
		if err := q.add(policy.KindGuardrail, source{name: g.Name, text: g.Text}); err != nil {
			return err
		}
	}
	return nil
}

// guard adds the policy of the resource: a role's trust policy, or what another
// service gave. A role's tags are known, too.
func (s *Service) guard(tx *store.Tx, q *inquiry, action, resource string, of *ResourcePolicy) error {
	if hasPrefixFold(action, "sts:AssumeRole") || assumes(action) {
		a, err := arn.Parse(resource)
		if err != nil || a.Type() != "role" {
			return nil
		}
		r, err := s.getRole(tx, a.Name())
		if missing := (*iamapi.NoSuchEntityException)(nil); errors.As(err, &missing) || err == nil && s.arn("role", r.Path, r.Name) != resource {
			return &ErrNoPrincipal{fmt.Sprintf("there is no role %s; `aws iam list-roles` names them", resource)}
		}
		if err != nil {
			return err
		}
		q.trust = true
		for _, t := range r.Tags {
			q.keys.Set("aws:ResourceTag/"+t.Key, t.Value)
			q.keys.Set("iam:ResourceTag/"+t.Key, t.Value)
		}
		of = &ResourcePolicy{Name: "trust policy of " + r.Name, Text: r.Trust, Options: []policy.Option{policy.PrincipalIDs(r.Pins)}, Hidden: of != nil && of.Hidden}
	}
	if of == nil || of.Text == "" {
		return nil
	}
	return q.add(policy.KindResource, source{name: of.Name, text: of.Text, hidden: of.Hidden}, of.Options...)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// Can answers for one principal, action and resource.
func (s *Service) Can(ctx context.Context, principal, action, resource string, of *ResourcePolicy) (a Answer, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		q, err := s.inquire(tx, principal)
		if err != nil {
			return err
		}
		if err := s.guard(tx, q, action, resource, of); err != nil {
			return err
		}
		a, err = q.ask(action, resource, accountOfARN(resource, s.cfg.Account))
		return err
	})
	return a, err
}

// WhoCan answers for every principal that may do an action on a resource: users,
// roles, the root, and whom the policy of the resource lets in from elsewhere.
func (s *Service) WhoCan(ctx context.Context, action, resource string, of *ResourcePolicy) (out []Answer, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		out = out[:0]
		users, err := s.t.users.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
		if err != nil {
			return err
		}
		roles, err := s.t.roles.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
		if err != nil {
			return err
		}
		var names []string
		for _, u := range users {
			names = append(names, s.arn("user", u.Path, u.Name))
		}
		for _, r := range roles {
			names = append(names, s.arn("role", r.Path, r.Name))
		}
		var guarded *inquiry
		for _, name := range append(names, s.arn("root", "", "")) {
			q, err := s.inquire(tx, name)
			if err != nil {
				return err
			}
			if err := s.guard(tx, q, action, resource, of); err != nil {
				return err
			}
			if err := collect(&out, q, action, resource, accountOfARN(resource, s.cfg.Account)); err != nil {
				return err
			}
			guarded = q
		}
		return s.strangers(&out, guarded, action, resource)
	})
	return out, err
}

func collect(out *[]Answer, q *inquiry, action, resource, account string) error {
	a, err := q.ask(action, resource, account)
	if err == nil && a.Answer != No {
		*out = append(*out, a)
	}
	return err
}

// strangers are the principals from elsewhere that a resource policy names:
// services, identity providers, other accounts, everyone.
func (s *Service) strangers(out *[]Answer, guarded *inquiry, action, resource string) error {
	docs := guarded.docs[policy.KindResource]
	if len(docs) == 0 {
		return nil
	}
	named, err := namedPrincipals(docs[0].text)
	if err != nil {
		return err
	}
	for _, who := range named {
		if who.Account == s.cfg.Account {
			continue
		}
		q := &inquiry{who: who, keys: guarded.keys, trust: guarded.trust, docs: map[string][]rawDoc{policy.KindResource: docs}}
		elsewhere := who.Account != ""
		if elsewhere { // what its own account lets it do is not known here
			if err := q.add(policy.KindIdentity, source{name: "its own account", text: rootPolicy}); err != nil {
				return err
			}
		}
		before := len(*out)
		if err := collect(out, q, action, resource, s.cfg.Account); err != nil {
			return err
		}
		if elsewhere && len(*out) > before {
			a := &(*out)[before]
			a.Answer, a.When = When, append(a.When, "its own account allows it")
			a.By = slices.DeleteFunc(a.By, func(g Grant) bool { return g.Kind == policy.KindIdentity })
		}
	}
	return nil
}

// namedPrincipals are the principals that the Allow statements of a policy name.
func namedPrincipals(text string) (out []policy.Principal, err error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	statements, err := statementsOf(doc["Statement"])
	seen := map[string]bool{}
	for _, st := range statements {
		if string(st["Effect"]) != `"Allow"` || st["Principal"] == nil {
			continue
		}
		var kinds map[string]json.RawMessage
		if json.Unmarshal(st["Principal"], &kinds) != nil {
			kinds = map[string]json.RawMessage{"AWS": st["Principal"]}
		}
		for _, kind := range sortedKeys(kinds) {
			for _, name := range stringsOf(kinds[kind]) {
				if key := kind + name; !seen[key] {
					seen[key] = true
					out = append(out, principalNamed(kind, name))
				}
			}
		}
	}
	return out, err
}

// stringsOf reads a string or a list of them.
func stringsOf(raw json.RawMessage) (out []string) {
	if json.Unmarshal(raw, &out) == nil {
		return out
	}
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		return []string{one}
	}
	return nil
}

func principalNamed(kind, name string) policy.Principal {
	switch {
	case kind == "Service":
		return policy.Principal{Kind: policy.PrincipalService, Service: name}
	case kind == "Federated":
		return policy.Principal{Kind: policy.PrincipalFederated, Federated: name}
	case name == "*" || kind != "AWS":
		return policy.Principal{}
	case accountNumber.MatchString(name):
		return policy.Principal{Kind: policy.PrincipalRoot, ARN: "arn:aws:iam::" + name + ":root", Account: name, ID: name}
	}
	a, err := arn.Parse(name)
	if err != nil {
		return policy.Principal{}
	}
	who := policy.Principal{Kind: policy.PrincipalUser, ARN: name, Account: a.Account}
	switch {
	case a.Resource == "root":
		who.Kind, who.ID = policy.PrincipalRoot, a.Account
	case a.Type() == "role":
		who = policy.Principal{Kind: policy.PrincipalAssumedRole, RoleARN: name, Account: a.Account, ARN: "arn:aws:sts::" + a.Account + ":assumed-role/" + a.Name() + "/" + simulatedSession}
	}
	return who
}
