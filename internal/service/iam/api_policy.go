package iam

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// The quotas of managed policies.
const (
	maxPolicySize = 6144
	maxVersions   = 5
)

func checkManaged(doc string) error {
	if n := policySize(doc); n > maxPolicySize {
		return limit("Cannot exceed quota for PolicySize: %d", maxPolicySize)
	}
	return checkPolicy(doc, policy.IdentityPolicy)
}

func noPolicy(arn string) error { return noSuch("Policy %s was not found.", arn) }

// updatePolicy changes a managed policy of the account; AWS's own cannot change.
func (s *Service) updatePolicy(ctx context.Context, arn string, change func(*store.Tx, *Policy) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.ownPolicy(tx, arn)
		if err != nil {
			return err
		}
		if err := change(tx, &p); err != nil {
			return err
		}
		return s.t.policies.Put(tx, p)
	})
}

func (s *Service) ownPolicy(tx *store.Tx, arn string) (Policy, error) {
	if strings.HasPrefix(arn, managedPrefix) {
		return Policy{}, wire.NewError(403, "AccessDenied", "User is not authorized to change AWS managed policies: "+arn)
	}
	p, err := s.getPolicy(tx, arn)
	return p, or(err, noPolicy(arn), nil)
}

// usage counts who has a policy attached, and who has it as a boundary.
func (s *Service) usage(tx *store.Tx, arn string) (attached, boundary int, err error) {
	q := store.Query{Index: "by_policy", Values: []string{s.cfg.Account, arn}}
	for _, count := range []func(*store.Tx, store.Query) (int, error){s.t.users.Count, s.t.groups.Count, s.t.roles.Count} {
		n, err := count(tx, q)
		if err != nil {
			return 0, 0, err
		}
		attached += n
	}
	q.Index = "by_boundary"
	for _, count := range []func(*store.Tx, store.Query) (int, error){s.t.users.Count, s.t.roles.Count} {
		n, err := count(tx, q)
		if err != nil {
			return 0, 0, err
		}
		boundary += n
	}
	return attached, boundary, nil
}

func (s *Service) policyOut(tx *store.Tx, p *Policy, full bool) (*iamapi.Policy, error) {
	arn := s.policyARN(p)
	attached, boundary, err := s.usage(tx, arn)
	out := &iamapi.Policy{
		Arn: &arn, PolicyName: wire.String(p.Name), PolicyId: wire.String(p.ID), Path: wire.String(p.Path), DefaultVersionId: wire.String(p.Default),
		AttachmentCount: wire.Int32(int32(attached)), PermissionsBoundaryUsageCount: wire.Int32(int32(boundary)), IsAttachable: wire.Bool(true),
		CreateDate: wire.Time(p.Created), UpdateDate: wire.Time(p.Updated),
	}
	if full {
		out.Tags = tagsOut(p.Tags)
		if p.Description != "" {
			out.Description = wire.String(p.Description)
		}
	}
	return out, err
}

// CreatePolicy implements iamapi.Service.
func (s *Service) CreatePolicy(ctx context.Context, in *iamapi.CreatePolicyRequest) (*iamapi.CreatePolicyResponse, error) {
	if err := checkManaged(in.PolicyDocument); err != nil {
		return nil, err
	}
	id, err := s.newID("ANPA", entityIDLength)
	if err != nil {
		return nil, err
	}
	tags, err := setTags(ctx, nil, in.Tags)
	if err != nil {
		return nil, err
	}
	now := s.now()
	p := Policy{
		Account: s.cfg.Account, Name: in.PolicyName, Path: path(in.Path), ID: id, Description: wire.Value(in.Description), Created: now, Updated: now,
		Tags: tags, Versions: []Version{{ID: "v1", Document: in.PolicyDocument, Created: now}}, Default: "v1", Last: 1,
	}
	out := &iamapi.CreatePolicyResponse{}
	err = s.db.Update(ctx, func(tx *store.Tx) (err error) {
		if err := room(s, tx, s.t.policies, "PoliciesPerAccount", maxPolicies); err != nil {
			return err
		}
		if err := s.t.policies.Insert(tx, p); err != nil {
			return or(err, nil, exists("A policy called %s already exists. Duplicate names are not allowed.", p.Name))
		}
		out.Policy, err = s.policyOut(tx, &p, true)
		return err
	})
	return out, err
}

// GetPolicy implements iamapi.Service.
func (s *Service) GetPolicy(ctx context.Context, in *iamapi.GetPolicyRequest) (*iamapi.GetPolicyResponse, error) {
	out := &iamapi.GetPolicyResponse{}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		p, err := s.getPolicy(tx, in.PolicyArn)
		if err != nil {
			return or(err, noPolicy(in.PolicyArn), nil)
		}
		out.Policy, err = s.policyOut(tx, &p, true)
		return err
	})
	return out, err
}

// DeletePolicy implements iamapi.Service.
func (s *Service) DeletePolicy(ctx context.Context, in *iamapi.DeletePolicyRequest) (*iamapi.DeletePolicyOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.ownPolicy(tx, in.PolicyArn)
		if err != nil {
			return err
		}
		attached, boundary, err := s.usage(tx, in.PolicyArn)
		switch {
		case err != nil:
			return err
		case attached+boundary > 0:
			return conflict("Cannot delete a policy attached to entities.")
		case len(p.Versions) > 1:
			return conflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		return s.t.policies.Delete(tx, s.cfg.Account, lower(p.Name))
	})
}

// ListPolicies implements iamapi.Service.
func (s *Service) ListPolicies(ctx context.Context, in *iamapi.ListPoliciesRequest) (*iamapi.ListPoliciesResponse, error) {
	list := []iamapi.Policy{}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		var all []Policy
		if in.Scope != "AWS" {
			own, err := s.t.policies.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
			if err != nil {
				return err
			}
			all = own
		}
		if in.Scope != "Local" {
			for _, arn := range sortedKeys(s.awsManaged) {
				all = append(all, s.awsManaged[arn])
			}
		}
		for i := range all {
			if !hasPath(all[i].Path, in.PathPrefix) {
				continue
			}
			p, err := s.policyOut(tx, &all[i], false)
			if err != nil {
				return err
			}
			used := *p.AttachmentCount
			if in.PolicyUsageFilter == "PermissionsBoundary" {
				used = *p.PermissionsBoundaryUsageCount
			}
			if used > 0 || !wire.Value(in.OnlyAttached) && in.PolicyUsageFilter != "PermissionsBoundary" {
				list = append(list, *p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b iamapi.Policy) int { return strings.Compare(*a.Arn, *b.Arn) })
	out := &iamapi.ListPoliciesResponse{}
	out.Policies, out.Marker, out.IsTruncated, err = page(s, "policies/"+string(in.Scope), list, func(p *iamapi.Policy) string { return *p.Arn }, in.Marker, in.MaxItems)
	return out, err
}

// CreatePolicyVersion implements iamapi.Service.
func (s *Service) CreatePolicyVersion(ctx context.Context, in *iamapi.CreatePolicyVersionRequest) (*iamapi.CreatePolicyVersionResponse, error) {
	if err := checkManaged(in.PolicyDocument); err != nil {
		return nil, err
	}
	now := s.now()
	var out *iamapi.PolicyVersion
	err := s.updatePolicy(ctx, in.PolicyArn, func(_ *store.Tx, p *Policy) error {
		if len(p.Versions) >= maxVersions {
			return limit("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		p.Last++
		v := Version{ID: "v" + strconv.Itoa(p.Last), Document: in.PolicyDocument, Created: now}
		p.Versions = append(p.Versions, v)
		if wire.Value(in.SetAsDefault) {
			p.Default = v.ID
		}
		p.Updated = now
		out = versionOut(p, &v, false)
		return nil
	})
	return &iamapi.CreatePolicyVersionResponse{PolicyVersion: out}, err
}

func versionOut(p *Policy, v *Version, document bool) *iamapi.PolicyVersion {
	out := &iamapi.PolicyVersion{VersionId: wire.String(v.ID), IsDefaultVersion: wire.Bool(v.ID == p.Default), CreateDate: wire.Time(v.Created)}
	if document {
		out.Document = wire.String(escape(v.Document))
	}
	return out
}

func noVersion(arn, version string) error {
	return noSuch("Policy %s version %s does not exist or is not attachable.", arn, version)
}

// GetPolicyVersion implements iamapi.Service.
func (s *Service) GetPolicyVersion(ctx context.Context, in *iamapi.GetPolicyVersionRequest) (*iamapi.GetPolicyVersionResponse, error) {
	var out *iamapi.PolicyVersion
	err := s.db.View(ctx, func(tx *store.Tx) error {
		p, err := s.getPolicy(tx, in.PolicyArn)
		if err != nil {
			return or(err, noPolicy(in.PolicyArn), nil)
		}
		v := p.version(in.VersionId)
		if v == nil {
			return noVersion(in.PolicyArn, in.VersionId)
		}
		out = versionOut(&p, v, true)
		return nil
	})
	return &iamapi.GetPolicyVersionResponse{PolicyVersion: out}, err
}

// ListPolicyVersions implements iamapi.Service: the newest first.
func (s *Service) ListPolicyVersions(ctx context.Context, in *iamapi.ListPolicyVersionsRequest) (*iamapi.ListPolicyVersionsResponse, error) {
	var p Policy
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.getPolicy(tx, in.PolicyArn)
		return or(err, noPolicy(in.PolicyArn), nil)
	})
	if err != nil {
		return nil, err
	}
	list := slices.Clone(p.Versions)
	slices.Reverse(list)
	out := &iamapi.ListPolicyVersionsResponse{Versions: []iamapi.PolicyVersion{}}
	list, out.Marker, out.IsTruncated, err = page(s, "versions/"+in.PolicyArn, list, func(v *Version) string {
		n, _ := strconv.Atoi(v.ID[1:])
		return fmt.Sprintf("%010d", math.MaxInt32-n) // pages go up, versions down
	}, in.Marker, in.MaxItems)
	for i := range list {
		out.Versions = append(out.Versions, *versionOut(&p, &list[i], false))
	}
	return out, err
}

// SetDefaultPolicyVersion implements iamapi.Service.
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, in *iamapi.SetDefaultPolicyVersionRequest) (*iamapi.SetDefaultPolicyVersionOutput, error) {
	now := s.now()
	return nil, s.updatePolicy(ctx, in.PolicyArn, func(_ *store.Tx, p *Policy) error {
		if p.version(in.VersionId) == nil {
			return noVersion(in.PolicyArn, in.VersionId)
		}
		p.Default, p.Updated = in.VersionId, now
		return nil
	})
}

// DeletePolicyVersion implements iamapi.Service.
func (s *Service) DeletePolicyVersion(ctx context.Context, in *iamapi.DeletePolicyVersionRequest) (*iamapi.DeletePolicyVersionOutput, error) {
	return nil, s.updatePolicy(ctx, in.PolicyArn, func(_ *store.Tx, p *Policy) error {
		if in.VersionId == p.Default {
			return conflict("Cannot delete the default version of a policy.")
		}
		if p.version(in.VersionId) == nil {
			return noVersion(in.PolicyArn, in.VersionId)
		}
		p.Versions = slices.DeleteFunc(p.Versions, func(v Version) bool { return v.ID == in.VersionId })
		return nil
	})
}

// ListEntitiesForPolicy implements iamapi.Service. A page goes on over the lists.
func (s *Service) ListEntitiesForPolicy(ctx context.Context, in *iamapi.ListEntitiesForPolicyRequest) (*iamapi.ListEntitiesForPolicyResponse, error) {
	out := &iamapi.ListEntitiesForPolicyResponse{PolicyUsers: []iamapi.PolicyUser{}, PolicyGroups: []iamapi.PolicyGroup{}, PolicyRoles: []iamapi.PolicyRole{}}
	var all []holderOfPolicy
	err := s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := s.getPolicy(tx, in.PolicyArn); err != nil {
			return or(err, noPolicy(in.PolicyArn), nil)
		}
		var err error
		all, err = s.holdersOf(tx, in.PolicyArn, in.PolicyUsageFilter == "PermissionsBoundary")
		return err
	})
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(h holderOfPolicy) bool {
		return in.EntityFilter != "" && in.EntityFilter != h.kind || !hasPath(h.path, in.PathPrefix)
	})
	key := func(h *holderOfPolicy) string { return string(h.kind) + "/" + lower(h.name) }
	slices.SortFunc(all, func(a, b holderOfPolicy) int { return strings.Compare(key(&a), key(&b)) })
	all, out.Marker, out.IsTruncated, err = page(s, "entities/"+string(in.EntityFilter)+"/"+in.PolicyArn, all, key, in.Marker, in.MaxItems)
	for i := range all {
		switch h := &all[i]; h.kind {
		case "User":
			out.PolicyUsers = append(out.PolicyUsers, iamapi.PolicyUser{UserId: &h.id, UserName: &h.name})
		case "Role":
			out.PolicyRoles = append(out.PolicyRoles, iamapi.PolicyRole{RoleId: &h.id, RoleName: &h.name})
		case "Group":
			out.PolicyGroups = append(out.PolicyGroups, iamapi.PolicyGroup{GroupId: &h.id, GroupName: &h.name})
		}
	}
	return out, err
}

// holderOfPolicy is a user, group or role that has a managed policy.
type holderOfPolicy struct {
	kind           iamapi.EntityType
	name, id, path string
}

// holdersOf lists who has a policy attached, or as a boundary.
func (s *Service) holdersOf(tx *store.Tx, arn string, boundary bool) (all []holderOfPolicy, err error) {
	q := store.Query{Index: "by_policy", Values: []string{s.cfg.Account, arn}}
	if boundary {
		q.Index = "by_boundary"
	}
	users, err := s.t.users.List(tx, q)
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		all = append(all, holderOfPolicy{"User", u.Name, u.ID, u.Path})
	}
	roles, err := s.t.roles.List(tx, q)
	if err != nil {
		return nil, err
	}
	for _, r := range roles {
		all = append(all, holderOfPolicy{"Role", r.Name, r.ID, r.Path})
	}
	if boundary { // groups have none
		return all, nil
	}
	groups, err := s.t.groups.List(tx, q)
	for _, g := range groups {
		all = append(all, holderOfPolicy{"Group", g.Name, g.ID, g.Path})
	}
	return all, err
}

// TagPolicy implements iamapi.Service.
func (s *Service) TagPolicy(ctx context.Context, in *iamapi.TagPolicyRequest) (*iamapi.TagPolicyOutput, error) {
	return nil, s.updatePolicy(ctx, in.PolicyArn, func(_ *store.Tx, p *Policy) (err error) {
		p.Tags, err = setTags(ctx, p.Tags, in.Tags)
		return err
	})
}

// UntagPolicy implements iamapi.Service.
func (s *Service) UntagPolicy(ctx context.Context, in *iamapi.UntagPolicyRequest) (*iamapi.UntagPolicyOutput, error) {
	return nil, s.updatePolicy(ctx, in.PolicyArn, func(_ *store.Tx, p *Policy) (err error) {
		p.Tags, err = removeTags(ctx, p.Tags, in.TagKeys)
		return err
	})
}

// ListPolicyTags implements iamapi.Service.
func (s *Service) ListPolicyTags(ctx context.Context, in *iamapi.ListPolicyTagsRequest) (*iamapi.ListPolicyTagsResponse, error) {
	var p Policy
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.getPolicy(tx, in.PolicyArn)
		return or(err, noPolicy(in.PolicyArn), nil)
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListPolicyTagsResponse{}
	out.Tags, out.Marker, out.IsTruncated, err = s.tagPage(in.PolicyArn, p.Tags, in.Marker, in.MaxItems)
	return out, err
}
