package iam

import (
	"context"

	"moat/internal/store"
	"moat/internal/wire/iamapi"
)

// The quotas of inline policies per user, group or role, in bytes altogether.
const (
	maxUserInline  = 2048
	maxRoleInline  = 10240
	maxGroupInline = 5120
)

func (s *Service) userPolicies() holders[User] {
	return holders[User]{s, "User", maxUserInline, s.getUser, s.updateUser, func(u *User) (string, *Policies) { return u.Name, &u.Policies }}
}

func (s *Service) groupPolicies() holders[Group] {
	return holders[Group]{s, "Group", maxGroupInline, s.getGroup, s.updateGroup, func(g *Group) (string, *Policies) { return g.Name, &g.Policies }}
}

// rolePolicies are those of roles; a service-linked role's cannot be changed.
func (s *Service) rolePolicies() holders[Role] {
	update := func(ctx context.Context, name string, change func(*store.Tx, *Role) error) error {
		return s.updateRole(ctx, name, func(tx *store.Tx, r *Role) error {
			if err := r.unprotected(); err != nil {
				return err
			}
			return change(tx, r)
		})
	}
	return holders[Role]{s, "Role", maxRoleInline, s.getRole, update, func(r *Role) (string, *Policies) { return r.Name, &r.Policies }}
}

// PutUserPolicy implements iamapi.Service.
func (s *Service) PutUserPolicy(ctx context.Context, in *iamapi.PutUserPolicyRequest) (*iamapi.PutUserPolicyOutput, error) {
	return nil, s.userPolicies().putInline(ctx, in.UserName, in.PolicyName, in.PolicyDocument)
}

// GetUserPolicy implements iamapi.Service.
func (s *Service) GetUserPolicy(ctx context.Context, in *iamapi.GetUserPolicyRequest) (*iamapi.GetUserPolicyResponse, error) {
	owner, doc, err := s.userPolicies().getInline(ctx, in.UserName, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &iamapi.GetUserPolicyResponse{UserName: owner, PolicyName: in.PolicyName, PolicyDocument: escape(doc)}, nil
}

// DeleteUserPolicy implements iamapi.Service.
func (s *Service) DeleteUserPolicy(ctx context.Context, in *iamapi.DeleteUserPolicyRequest) (*iamapi.DeleteUserPolicyOutput, error) {
	return nil, s.userPolicies().deleteInline(ctx, in.UserName, in.PolicyName)
}

// ListUserPolicies implements iamapi.Service.
func (s *Service) ListUserPolicies(ctx context.Context, in *iamapi.ListUserPoliciesRequest) (*iamapi.ListUserPoliciesResponse, error) {
	out := &iamapi.ListUserPoliciesResponse{}
	var err error
	out.PolicyNames, out.Marker, out.IsTruncated, err = s.userPolicies().listInline(ctx, in.UserName, in.Marker, in.MaxItems)
	return out, err
}

// AttachUserPolicy implements iamapi.Service.
func (s *Service) AttachUserPolicy(ctx context.Context, in *iamapi.AttachUserPolicyRequest) (*iamapi.AttachUserPolicyOutput, error) {
	return nil, s.userPolicies().attach(ctx, in.UserName, in.PolicyArn)
}

// DetachUserPolicy implements iamapi.Service.
func (s *Service) DetachUserPolicy(ctx context.Context, in *iamapi.DetachUserPolicyRequest) (*iamapi.DetachUserPolicyOutput, error) {
	return nil, s.userPolicies().detach(ctx, in.UserName, in.PolicyArn)
}

// ListAttachedUserPolicies implements iamapi.Service.
func (s *Service) ListAttachedUserPolicies(ctx context.Context, in *iamapi.ListAttachedUserPoliciesRequest) (*iamapi.ListAttachedUserPoliciesResponse, error) {
	out := &iamapi.ListAttachedUserPoliciesResponse{}
	var err error
	out.AttachedPolicies, out.Marker, out.IsTruncated, err = s.userPolicies().listAttached(ctx, in.UserName, in.PathPrefix, in.Marker, in.MaxItems)
	return out, err
}

// PutGroupPolicy implements iamapi.Service.
func (s *Service) PutGroupPolicy(ctx context.Context, in *iamapi.PutGroupPolicyRequest) (*iamapi.PutGroupPolicyOutput, error) {
	return nil, s.groupPolicies().putInline(ctx, in.GroupName, in.PolicyName, in.PolicyDocument)
}

// GetGroupPolicy implements iamapi.Service.
func (s *Service) GetGroupPolicy(ctx context.Context, in *iamapi.GetGroupPolicyRequest) (*iamapi.GetGroupPolicyResponse, error) {
	owner, doc, err := s.groupPolicies().getInline(ctx, in.GroupName, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &iamapi.GetGroupPolicyResponse{GroupName: owner, PolicyName: in.PolicyName, PolicyDocument: escape(doc)}, nil
}

// DeleteGroupPolicy implements iamapi.Service.
func (s *Service) DeleteGroupPolicy(ctx context.Context, in *iamapi.DeleteGroupPolicyRequest) (*iamapi.DeleteGroupPolicyOutput, error) {
	return nil, s.groupPolicies().deleteInline(ctx, in.GroupName, in.PolicyName)
}

// ListGroupPolicies implements iamapi.Service.
func (s *Service) ListGroupPolicies(ctx context.Context, in *iamapi.ListGroupPoliciesRequest) (*iamapi.ListGroupPoliciesResponse, error) {
	out := &iamapi.ListGroupPoliciesResponse{}
	var err error
	out.PolicyNames, out.Marker, out.IsTruncated, err = s.groupPolicies().listInline(ctx, in.GroupName, in.Marker, in.MaxItems)
	return out, err
}

// AttachGroupPolicy implements iamapi.Service.
func (s *Service) AttachGroupPolicy(ctx context.Context, in *iamapi.AttachGroupPolicyRequest) (*iamapi.AttachGroupPolicyOutput, error) {
	return nil, s.groupPolicies().attach(ctx, in.GroupName, in.PolicyArn)
}

// DetachGroupPolicy implements iamapi.Service.
func (s *Service) DetachGroupPolicy(ctx context.Context, in *iamapi.DetachGroupPolicyRequest) (*iamapi.DetachGroupPolicyOutput, error) {
	return nil, s.groupPolicies().detach(ctx, in.GroupName, in.PolicyArn)
}

// ListAttachedGroupPolicies implements iamapi.Service.
func (s *Service) ListAttachedGroupPolicies(ctx context.Context, in *iamapi.ListAttachedGroupPoliciesRequest) (*iamapi.ListAttachedGroupPoliciesResponse, error) {
	out := &iamapi.ListAttachedGroupPoliciesResponse{}
	var err error
	out.AttachedPolicies, out.Marker, out.IsTruncated, err = s.groupPolicies().listAttached(ctx, in.GroupName, in.PathPrefix, in.Marker, in.MaxItems)
	return out, err
}

// PutRolePolicy implements iamapi.Service.
func (s *Service) PutRolePolicy(ctx context.Context, in *iamapi.PutRolePolicyRequest) (*iamapi.PutRolePolicyOutput, error) {
	return nil, s.rolePolicies().putInline(ctx, in.RoleName, in.PolicyName, in.PolicyDocument)
}

// GetRolePolicy implements iamapi.Service.
func (s *Service) GetRolePolicy(ctx context.Context, in *iamapi.GetRolePolicyRequest) (*iamapi.GetRolePolicyResponse, error) {
	owner, doc, err := s.rolePolicies().getInline(ctx, in.RoleName, in.PolicyName)
	if err != nil {
		return nil, err
	}
	return &iamapi.GetRolePolicyResponse{RoleName: owner, PolicyName: in.PolicyName, PolicyDocument: escape(doc)}, nil
}

// DeleteRolePolicy implements iamapi.Service.
func (s *Service) DeleteRolePolicy(ctx context.Context, in *iamapi.DeleteRolePolicyRequest) (*iamapi.DeleteRolePolicyOutput, error) {
	return nil, s.rolePolicies().deleteInline(ctx, in.RoleName, in.PolicyName)
}

// ListRolePolicies implements iamapi.Service.
func (s *Service) ListRolePolicies(ctx context.Context, in *iamapi.ListRolePoliciesRequest) (*iamapi.ListRolePoliciesResponse, error) {
	out := &iamapi.ListRolePoliciesResponse{}
	var err error
	out.PolicyNames, out.Marker, out.IsTruncated, err = s.rolePolicies().listInline(ctx, in.RoleName, in.Marker, in.MaxItems)
	return out, err
}

// AttachRolePolicy implements iamapi.Service.
func (s *Service) AttachRolePolicy(ctx context.Context, in *iamapi.AttachRolePolicyRequest) (*iamapi.AttachRolePolicyOutput, error) {
	return nil, s.rolePolicies().attach(ctx, in.RoleName, in.PolicyArn)
}

// DetachRolePolicy implements iamapi.Service.
func (s *Service) DetachRolePolicy(ctx context.Context, in *iamapi.DetachRolePolicyRequest) (*iamapi.DetachRolePolicyOutput, error) {
	return nil, s.rolePolicies().detach(ctx, in.RoleName, in.PolicyArn)
}

// ListAttachedRolePolicies implements iamapi.Service.
func (s *Service) ListAttachedRolePolicies(ctx context.Context, in *iamapi.ListAttachedRolePoliciesRequest) (*iamapi.ListAttachedRolePoliciesResponse, error) {
	out := &iamapi.ListAttachedRolePoliciesResponse{}
	var err error
	out.AttachedPolicies, out.Marker, out.IsTruncated, err = s.rolePolicies().listAttached(ctx, in.RoleName, in.PathPrefix, in.Marker, in.MaxItems)
	return out, err
}
