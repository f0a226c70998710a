package iam

import (
	"context"
	"slices"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// maxAttached is IAM's quota of managed policies per user, group or role.
const maxAttached = 10

// holders is one kind of what has policies: users, groups or roles. The API says
// the same operations for each of them.
type holders[T any] struct {
	s      *Service
	kind   string // User, Group or Role, as quotas are named
	size   int    // quota of inline policies
	get    func(*store.Tx, string) (T, error)
	update func(context.Context, string, func(*store.Tx, *T) error) error
	of     func(*T) (name string, p *Policies)
}

// putInline sets an inline policy; all of a holder together have one quota.
func (h holders[T]) putInline(ctx context.Context, owner, name, doc string) error {
	if err := checkPolicy(doc, policy.IdentityPolicy); err != nil {
		return err
	}
	return h.update(ctx, owner, func(_ *store.Tx, e *T) error {
		owner, p := h.of(e)
		if p.Inline == nil {
			p.Inline = map[string]string{}
		}
		p.Inline[name] = doc
		total := 0
		for _, d := range p.Inline {
			total += policySize(d)
		}
		if total > h.size {
			return limit("Maximum policy size of %d bytes exceeded for %s %s", h.size, lower(h.kind), owner)
		}
		return nil
	})
}

// read returns a copy of what a holder has.
func (h holders[T]) read(ctx context.Context, owner string) (name string, p Policies, err error) {
	err = h.s.db.View(ctx, func(tx *store.Tx) error {
		e, err := h.get(tx, owner)
		if err != nil {
			return err
		}
		n, has := h.of(&e)
		name, p = n, *has
		return nil
	})
	return name, p, err
}

func (h holders[T]) noInline(name string) error {
	return noSuch("The %s policy with name %s cannot be found.", lower(h.kind), name)
}

func (h holders[T]) getInline(ctx context.Context, owner, name string) (ownerName, doc string, err error) {
	ownerName, p, err := h.read(ctx, owner)
	if err != nil {
		return "", "", err
	}
	doc, ok := p.Inline[name]
	if !ok {
		return "", "", h.noInline(name)
	}
	return ownerName, doc, nil
}

func (h holders[T]) deleteInline(ctx context.Context, owner, name string) error {
	return h.update(ctx, owner, func(_ *store.Tx, e *T) error {
		_, p := h.of(e)
		if _, ok := p.Inline[name]; !ok {
			return h.noInline(name)
		}
		delete(p.Inline, name)
		return nil
	})
}

func (h holders[T]) listInline(ctx context.Context, owner string, marker *string, items *int32) ([]string, *string, *bool, error) {
	name, p, err := h.read(ctx, owner)
	if err != nil {
		return nil, nil, nil, err
	}
	names, next, truncated, err := page(h.s, lower(h.kind)+" policies/"+name, sortedKeys(p.Inline), itself, marker, items)
	return append([]string{}, names...), next, truncated, err
}

// attach adds a managed policy; attaching it again changes nothing.
func (h holders[T]) attach(ctx context.Context, owner, arn string) error {
	return h.update(ctx, owner, func(tx *store.Tx, e *T) error {
		if _, err := h.s.getPolicy(tx, arn); err != nil {
			return or(err, noSuch("Policy %s does not exist or is not attachable.", arn), nil)
		}
		_, p := h.of(e)
		if slices.Contains(p.Attached, arn) {
			return nil
		}
		if len(p.Attached) >= maxAttached {
			return limit("Cannot exceed quota for PoliciesPer%s: %d", h.kind, maxAttached)
		}
		p.Attached = append(p.Attached, arn)
		return nil
	})
}

func (h holders[T]) detach(ctx context.Context, owner, arn string) error {
	return h.update(ctx, owner, func(_ *store.Tx, e *T) error {
		_, p := h.of(e)
		i := slices.Index(p.Attached, arn)
		if i < 0 {
			return noSuch("Policy %s was not found.", arn)
		}
		p.Attached = slices.Delete(p.Attached, i, i+1)
		return nil
	})
}

// listAttached lists the managed policies under a path.
func (h holders[T]) listAttached(ctx context.Context, owner string, prefix, marker *string, items *int32) ([]iamapi.AttachedPolicy, *string, *bool, error) {
	var name string
	list := []iamapi.AttachedPolicy{}
	err := h.s.db.View(ctx, func(tx *store.Tx) error {
		e, err := h.get(tx, owner)
		if err != nil {
			return err
		}
		var p *Policies
		name, p = h.of(&e)
		list, err = h.s.attachedOut(tx, p.Attached, prefix)
		return err
	})
	if err != nil {
		return nil, nil, nil, err
	}
	return page(h.s, lower(h.kind)+" attached/"+name, list, func(p *iamapi.AttachedPolicy) string { return *p.PolicyArn }, marker, items)
}

// attachedOut names managed policies, in the order of their ARNs.
func (s *Service) attachedOut(tx *store.Tx, arns []string, prefix *string) ([]iamapi.AttachedPolicy, error) {
	out := []iamapi.AttachedPolicy{}
	for _, arn := range slices.Sorted(slices.Values(arns)) {
		p, err := s.getPolicy(tx, arn)
		if err != nil {
			return nil, err
		}
		if hasPath(p.Path, prefix) {
			out = append(out, iamapi.AttachedPolicy{PolicyArn: wire.String(arn), PolicyName: wire.String(p.Name)})
		}
	}
	return out, nil
}

func itself(s *string) string { return *s }
