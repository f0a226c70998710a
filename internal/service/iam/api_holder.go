package iam

import (
	"context"
	"slices"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// The quotas of policies per user, group or role.
const (
	maxAttached    = 10
	maxUserInline  = 2048
	maxRoleInline  = 10240
	maxGroupInline = 5120
)

// putInline sets an inline policy of a user, group or role.
func (p *Policies) putInline(kind, owner, name, doc string, size int) error {
	if p.Inline == nil {
		p.Inline = map[string]string{}
	}
	p.Inline[name] = doc
	total := 0
	for _, d := range p.Inline {
		total += policySize(d)
	}
	if total > size {
		return limit("Maximum policy size of %d bytes exceeded for %s %s", size, kind, owner)
	}
	return nil
}

func (p *Policies) inline(kind, name string) (string, error) {
	doc, ok := p.Inline[name]
	if !ok {
		return "", noSuch("The %s policy with name %s cannot be found.", kind, name)
	}
	return doc, nil
}

// attach adds a managed policy; attaching it again changes nothing.
func (s *Service) attach(tx *store.Tx, p *Policies, kind, arn string) error {
	if _, err := s.getPolicy(tx, arn); err != nil {
		return or(err, noSuch("Policy %s does not exist or is not attachable.", arn), nil)
	}
	if slices.Contains(p.Attached, arn) {
		return nil
	}
	if len(p.Attached) >= maxAttached {
		return limit("Cannot exceed quota for PoliciesPer%s: %d", kind, maxAttached)
	}
	p.Attached = append(p.Attached, arn)
	return nil
}

func (p *Policies) detach(arn string) error {
	i := slices.Index(p.Attached, arn)
	if i < 0 {
		return noSuch("Policy %s was not found.", arn)
	}
	p.Attached = slices.Delete(p.Attached, i, i+1)
	return nil
}

// attached lists the managed policies under a path.
func (s *Service) attached(ctx context.Context, arns []string, prefix *string) ([]iamapi.AttachedPolicy, error) {
	out := []iamapi.AttachedPolicy{}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		for _, arn := range slices.Sorted(slices.Values(arns)) {
			p, err := s.getPolicy(tx, arn)
			if err != nil {
				return err
			}
			if hasPath(p.Path, prefix) {
				out = append(out, iamapi.AttachedPolicy{PolicyArn: wire.String(arn), PolicyName: wire.String(p.Name)})
			}
		}
		return nil
	})
	return out, err
}

// PutUserPolicy implements iamapi.Service.
func (s *Service) PutUserPolicy(ctx context.Context, in *iamapi.PutUserPolicyRequest) (*iamapi.PutUserPolicyOutput, error) {
	if err := checkPolicy(in.PolicyDocument, policy.IdentityPolicy); err != nil {
		return nil, err
	}
	return nil, s.updateUser(ctx, in.UserName, func(_ *store.Tx, e *User) error {
		return e.putInline("user", e.Name, in.PolicyName, in.PolicyDocument, maxUserInline)
	})
}

// GetUserPolicy implements iamapi.Service.
func (s *Service) GetUserPolicy(ctx context.Context, in *iamapi.GetUserPolicyRequest) (*iamapi.GetUserPolicyResponse, error) {
	var doc string
	err := s.db.View(ctx, func(tx *store.Tx) error {
		e, err := s.getUser(tx, in.UserName)
		if err == nil {
			doc, err = e.inline("user", in.PolicyName)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.GetUserPolicyResponse{UserName: in.UserName, PolicyName: in.PolicyName, PolicyDocument: escape(doc)}, nil
}

// DeleteUserPolicy implements iamapi.Service.
func (s *Service) DeleteUserPolicy(ctx context.Context, in *iamapi.DeleteUserPolicyRequest) (*iamapi.DeleteUserPolicyOutput, error) {
	return nil, s.updateUser(ctx, in.UserName, func(_ *store.Tx, e *User) error {
		_, err := e.inline("user", in.PolicyName)
		delete(e.Inline, in.PolicyName)
		return err
	})
}

// ListUserPolicies implements iamapi.Service.
func (s *Service) ListUserPolicies(ctx context.Context, in *iamapi.ListUserPoliciesRequest) (*iamapi.ListUserPoliciesResponse, error) {
	var e User
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		e, err = s.getUser(tx, in.UserName)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListUserPoliciesResponse{PolicyNames: []string{}}
	names, marker, truncated, err := page(s, "user policies/"+e.Name, sortedKeys(e.Inline), itself, in.Marker, in.MaxItems)
	out.PolicyNames, out.Marker, out.IsTruncated = append(out.PolicyNames, names...), marker, truncated
	return out, err
}

// AttachUserPolicy implements iamapi.Service.
func (s *Service) AttachUserPolicy(ctx context.Context, in *iamapi.AttachUserPolicyRequest) (*iamapi.AttachUserPolicyOutput, error) {
	return nil, s.updateUser(ctx, in.UserName, func(tx *store.Tx, e *User) error {
		return s.attach(tx, &e.Policies, "User", in.PolicyArn)
	})
}

// DetachUserPolicy implements iamapi.Service.
func (s *Service) DetachUserPolicy(ctx context.Context, in *iamapi.DetachUserPolicyRequest) (*iamapi.DetachUserPolicyOutput, error) {
	return nil, s.updateUser(ctx, in.UserName, func(_ *store.Tx, e *User) error {
		return e.detach(in.PolicyArn)
	})
}

// ListAttachedUserPolicies implements iamapi.Service.
func (s *Service) ListAttachedUserPolicies(ctx context.Context, in *iamapi.ListAttachedUserPoliciesRequest) (*iamapi.ListAttachedUserPoliciesResponse, error) {
	var e User
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		e, err = s.getUser(tx, in.UserName)
		return err
	})
	if err != nil {
		return nil, err
	}
	list, err := s.attached(ctx, e.Attached, in.PathPrefix)
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListAttachedUserPoliciesResponse{}
	out.AttachedPolicies, out.Marker, out.IsTruncated, err = page(s, "user attached/"+e.Name, list, attachedARN, in.Marker, in.MaxItems)
	return out, err
}

// PutGroupPolicy implements iamapi.Service.
func (s *Service) PutGroupPolicy(ctx context.Context, in *iamapi.PutGroupPolicyRequest) (*iamapi.PutGroupPolicyOutput, error) {
	if err := checkPolicy(in.PolicyDocument, policy.IdentityPolicy); err != nil {
		return nil, err
	}
	return nil, s.updateGroup(ctx, in.GroupName, func(_ *store.Tx, e *Group) error {
		return e.putInline("group", e.Name, in.PolicyName, in.PolicyDocument, maxGroupInline)
	})
}

// GetGroupPolicy implements iamapi.Service.
func (s *Service) GetGroupPolicy(ctx context.Context, in *iamapi.GetGroupPolicyRequest) (*iamapi.GetGroupPolicyResponse, error) {
	var doc string
	err := s.db.View(ctx, func(tx *store.Tx) error {
		e, err := s.getGroup(tx, in.GroupName)
		if err == nil {
			doc, err = e.inline("group", in.PolicyName)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.GetGroupPolicyResponse{GroupName: in.GroupName, PolicyName: in.PolicyName, PolicyDocument: escape(doc)}, nil
}

// DeleteGroupPolicy implements iamapi.Service.
func (s *Service) DeleteGroupPolicy(ctx context.Context, in *iamapi.DeleteGroupPolicyRequest) (*iamapi.DeleteGroupPolicyOutput, error) {
	return nil, s.updateGroup(ctx, in.GroupName, func(_ *store.Tx, e *Group) error {
		_, err := e.inline("group", in.PolicyName)
		delete(e.Inline, in.PolicyName)
		return err
	})
}

// ListGroupPolicies implements iamapi.Service.
func (s *Service) ListGroupPolicies(ctx context.Context, in *iamapi.ListGroupPoliciesRequest) (*iamapi.ListGroupPoliciesResponse, error) {
	var e Group
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		e, err = s.getGroup(tx, in.GroupName)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListGroupPoliciesResponse{PolicyNames: []string{}}
	names, marker, truncated, err := page(s, "group policies/"+e.Name, sortedKeys(e.Inline), itself, in.Marker, in.MaxItems)
	out.PolicyNames, out.Marker, out.IsTruncated = append(out.PolicyNames, names...), marker, truncated
	return out, err
}

// AttachGroupPolicy implements iamapi.Service.
func (s *Service) AttachGroupPolicy(ctx context.Context, in *iamapi.AttachGroupPolicyRequest) (*iamapi.AttachGroupPolicyOutput, error) {
	return nil, s.updateGroup(ctx, in.GroupName, func(tx *store.Tx, e *Group) error {
		return s.attach(tx, &e.Policies, "Group", in.PolicyArn)
	})
}

// DetachGroupPolicy implements iamapi.Service.
func (s *Service) DetachGroupPolicy(ctx context.Context, in *iamapi.DetachGroupPolicyRequest) (*iamapi.DetachGroupPolicyOutput, error) {
	return nil, s.updateGroup(ctx, in.GroupName, func(_ *store.Tx, e *Group) error {
		return e.detach(in.PolicyArn)
	})
}

// ListAttachedGroupPolicies implements iamapi.Service.
func (s *Service) ListAttachedGroupPolicies(ctx context.Context, in *iamapi.ListAttachedGroupPoliciesRequest) (*iamapi.ListAttachedGroupPoliciesResponse, error) {
	var e Group
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		e, err = s.getGroup(tx, in.GroupName)
		return err
	})
	if err != nil {
		return nil, err
	}
	list, err := s.attached(ctx, e.Attached, in.PathPrefix)
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListAttachedGroupPoliciesResponse{}
	out.AttachedPolicies, out.Marker, out.IsTruncated, err = page(s, "group attached/"+e.Name, list, attachedARN, in.Marker, in.MaxItems)
	return out, err
}

// PutRolePolicy implements iamapi.Service.
func (s *Service) PutRolePolicy(ctx context.Context, in *iamapi.PutRolePolicyRequest) (*iamapi.PutRolePolicyOutput, error) {
	if err := checkPolicy(in.PolicyDocument, policy.IdentityPolicy); err != nil {
		return nil, err
	}
	return nil, s.updateRole(ctx, in.RoleName, func(_ *store.Tx, e *Role) error {
		return e.putInline("role", e.Name, in.PolicyName, in.PolicyDocument, maxRoleInline)
	})
}

// GetRolePolicy implements iamapi.Service.
func (s *Service) GetRolePolicy(ctx context.Context, in *iamapi.GetRolePolicyRequest) (*iamapi.GetRolePolicyResponse, error) {
	var doc string
	err := s.db.View(ctx, func(tx *store.Tx) error {
		e, err := s.getRole(tx, in.RoleName)
		if err == nil {
			doc, err = e.inline("role", in.PolicyName)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.GetRolePolicyResponse{RoleName: in.RoleName, PolicyName: in.PolicyName, PolicyDocument: escape(doc)}, nil
}

// DeleteRolePolicy implements iamapi.Service.
func (s *Service) DeleteRolePolicy(ctx context.Context, in *iamapi.DeleteRolePolicyRequest) (*iamapi.DeleteRolePolicyOutput, error) {
	return nil, s.updateRole(ctx, in.RoleName, func(_ *store.Tx, e *Role) error {
		_, err := e.inline("role", in.PolicyName)
		delete(e.Inline, in.PolicyName)
		return err
	})
}

// ListRolePolicies implements iamapi.Service.
func (s *Service) ListRolePolicies(ctx context.Context, in *iamapi.ListRolePoliciesRequest) (*iamapi.ListRolePoliciesResponse, error) {
	var e Role
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		e, err = s.getRole(tx, in.RoleName)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListRolePoliciesResponse{PolicyNames: []string{}}
	names, marker, truncated, err := page(s, "role policies/"+e.Name, sortedKeys(e.Inline), itself, in.Marker, in.MaxItems)
	out.PolicyNames, out.Marker, out.IsTruncated = append(out.PolicyNames, names...), marker, truncated
	return out, err
}

// AttachRolePolicy implements iamapi.Service.
func (s *Service) AttachRolePolicy(ctx context.Context, in *iamapi.AttachRolePolicyRequest) (*iamapi.AttachRolePolicyOutput, error) {
	return nil, s.updateRole(ctx, in.RoleName, func(tx *store.Tx, e *Role) error {
		return s.attach(tx, &e.Policies, "Role", in.PolicyArn)
	})
}

// DetachRolePolicy implements iamapi.Service.
func (s *Service) DetachRolePolicy(ctx context.Context, in *iamapi.DetachRolePolicyRequest) (*iamapi.DetachRolePolicyOutput, error) {
	return nil, s.updateRole(ctx, in.RoleName, func(_ *store.Tx, e *Role) error {
		return e.detach(in.PolicyArn)
	})
}

// ListAttachedRolePolicies implements iamapi.Service.
func (s *Service) ListAttachedRolePolicies(ctx context.Context, in *iamapi.ListAttachedRolePoliciesRequest) (*iamapi.ListAttachedRolePoliciesResponse, error) {
	var e Role
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		e, err = s.getRole(tx, in.RoleName)
		return err
	})
	if err != nil {
		return nil, err
	}
	list, err := s.attached(ctx, e.Attached, in.PathPrefix)
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListAttachedRolePoliciesResponse{}
	out.AttachedPolicies, out.Marker, out.IsTruncated, err = page(s, "role attached/"+e.Name, list, attachedARN, in.Marker, in.MaxItems)
	return out, err
}

func itself(s *string) string { return *s }

func attachedARN(p *iamapi.AttachedPolicy) string { return *p.PolicyArn }
