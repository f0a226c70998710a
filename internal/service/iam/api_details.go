package iam

import (
	"context"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// detail is one entry of GetAccountAuthorizationDetails; only those of the page
// that is asked for are written out.
type detail struct {
	key   string
	write func(*store.Tx, *iamapi.GetAccountAuthorizationDetailsResponse) error
}

// GetAccountAuthorizationDetails implements iamapi.Service. A page goes on over
// the lists: users, groups, roles, policies. Of AWS's own policies those are shown
// that are in use.
func (s *Service) GetAccountAuthorizationDetails(ctx context.Context, in *iamapi.GetAccountAuthorizationDetailsRequest) (*iamapi.GetAccountAuthorizationDetailsResponse, error) {
	out := &iamapi.GetAccountAuthorizationDetailsResponse{}
	wanted := slices.Clone(in.Filter)
	slices.Sort(wanted)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		*out = iamapi.GetAccountAuthorizationDetailsResponse{
			UserDetailList: []iamapi.UserDetail{}, GroupDetailList: []iamapi.GroupDetail{}, RoleDetailList: []iamapi.RoleDetail{}, Policies: []iamapi.ManagedPolicyDetail{},
		}
		all, err := s.details(tx, func(t iamapi.EntityType) bool { return len(wanted) == 0 || slices.Contains(wanted, t) })
		if err != nil {
			return err
		}
		slices.SortFunc(all, func(a, b detail) int { return strings.Compare(a.key, b.key) })
		list := "details"
		for _, t := range slices.Compact(wanted) {
			list += "/" + string(t)
		}
		all, out.Marker, out.IsTruncated, err = page(s, list, all, func(d *detail) string { return d.key }, in.Marker, in.MaxItems)
		for i := 0; i < len(all) && err == nil; i++ {
			err = all[i].write(tx, out)
		}
		return err
	})
	return out, err
}

func (s *Service) details(tx *store.Tx, want func(iamapi.EntityType) bool) (all []detail, err error) {
	q := store.Query{Prefix: []string{s.cfg.Account}}
	if want("User") {
		users, err := s.t.users.List(tx, q)
		if err != nil {
			return nil, err
		}
		for i := range users {
			all = append(all, detail{"1/" + lower(users[i].Name), func(tx *store.Tx, out *iamapi.GetAccountAuthorizationDetailsResponse) error {
				return s.userDetail(tx, &users[i], out)
			}})
		}
	}
	if want("Group") {
		groups, err := s.t.groups.List(tx, q)
		if err != nil {
			return nil, err
		}
		for i := range groups {
			all = append(all, detail{"2/" + lower(groups[i].Name), func(tx *store.Tx, out *iamapi.GetAccountAuthorizationDetailsResponse) error {
				return s.groupDetail(tx, &groups[i], out)
			}})
		}
	}
	if want("Role") {
		roles, err := s.t.roles.List(tx, q)
		if err != nil {
			return nil, err
		}
		for i := range roles {
			all = append(all, detail{"3/" + lower(roles[i].Name), func(tx *store.Tx, out *iamapi.GetAccountAuthorizationDetailsResponse) error {
				return s.roleDetail(tx, &roles[i], out)
			}})
		}
	}
	policies, err := s.policiesFor(tx, want)
	for i := range policies {
		all = append(all, detail{"4/" + s.policyARN(&policies[i]), func(tx *store.Tx, out *iamapi.GetAccountAuthorizationDetailsResponse) error {
			return s.policyDetail(tx, &policies[i], out)
		}})
	}
	return all, err
}

// policiesFor lists the account's policies, and AWS's that are in use.
func (s *Service) policiesFor(tx *store.Tx, want func(iamapi.EntityType) bool) (list []Policy, err error) {
	if want("LocalManagedPolicy") {
		if list, err = s.t.policies.List(tx, store.Query{Prefix: []string{s.cfg.Account}}); err != nil {
			return nil, err
		}
	}
	if !want("AWSManagedPolicy") {
		return list, nil
	}
	for _, arn := range sortedKeys(s.awsManaged) {
		attached, boundary, err := s.usage(tx, arn)
		if err != nil {
			return nil, err
		}
		if attached+boundary > 0 {
			list = append(list, s.awsManaged[arn])
		}
	}
	return list, nil
}

func inlineOut(p Policies) []iamapi.PolicyDetail {
	out := []iamapi.PolicyDetail{}
	for _, name := range sortedKeys(p.Inline) {
		out = append(out, iamapi.PolicyDetail{PolicyName: wire.String(name), PolicyDocument: wire.String(escape(p.Inline[name]))})
	}
	return out
}

func (s *Service) userDetail(tx *store.Tx, u *User, out *iamapi.GetAccountAuthorizationDetailsResponse) error {
	attached, err := s.attachedOut(tx, u.Attached, nil)
	if err != nil {
		return err
	}
	groups := []string{}
	for _, key := range u.Groups {
		g, err := s.getGroup(tx, key)
		if err != nil {
			return err
		}
		groups = append(groups, g.Name)
	}
	slices.Sort(groups)
	out.UserDetailList = append(out.UserDetailList, iamapi.UserDetail{
		Arn: wire.String(s.arn("user", u.Path, u.Name)), UserName: &u.Name, UserId: &u.ID, Path: &u.Path, CreateDate: &u.Created, GroupList: groups,
		AttachedManagedPolicies: attached, UserPolicyList: inlineOut(u.Policies), PermissionsBoundary: boundaryOut(u.Boundary), Tags: tagsOut(u.Tags),
	})
	return nil
}

func (s *Service) groupDetail(tx *store.Tx, g *Group, out *iamapi.GetAccountAuthorizationDetailsResponse) error {
	attached, err := s.attachedOut(tx, g.Attached, nil)
	out.GroupDetailList = append(out.GroupDetailList, iamapi.GroupDetail{
		Arn: wire.String(s.arn("group", g.Path, g.Name)), GroupName: &g.Name, GroupId: &g.ID, Path: &g.Path, CreateDate: &g.Created,
		AttachedManagedPolicies: attached, GroupPolicyList: inlineOut(g.Policies),
	})
	return err
}

func (s *Service) roleDetail(tx *store.Tx, r *Role, out *iamapi.GetAccountAuthorizationDetailsResponse) error {
	attached, err := s.attachedOut(tx, r.Attached, nil)
	if err != nil {
		return err
	}
	profiles, err := s.profilesOf(tx, r.Name)
	if err != nil {
		return err
	}
	shown, err := s.profilesOut(tx, profiles)
	if err != nil {
		return err
	}
	last, err := s.roleLastUsed(tx, r.ID)
	out.RoleDetailList = append(out.RoleDetailList, iamapi.RoleDetail{
		Arn: wire.String(s.arn("role", r.Path, r.Name)), RoleName: &r.Name, RoleId: &r.ID, Path: &r.Path, CreateDate: &r.Created,
		AssumeRolePolicyDocument: wire.String(escape(r.Trust)), InstanceProfileList: shown, RoleLastUsed: last,
		AttachedManagedPolicies: attached, RolePolicyList: inlineOut(r.Policies), PermissionsBoundary: boundaryOut(r.Boundary), Tags: tagsOut(r.Tags),
	})
	return err
}

func (s *Service) policyDetail(tx *store.Tx, p *Policy, out *iamapi.GetAccountAuthorizationDetailsResponse) error {
	shown, err := s.policyOut(tx, p, true)
	if err != nil {
		return err
	}
	d := iamapi.ManagedPolicyDetail{
		Arn: shown.Arn, PolicyName: shown.PolicyName, PolicyId: shown.PolicyId, Path: shown.Path, DefaultVersionId: shown.DefaultVersionId, Description: shown.Description,
		AttachmentCount: shown.AttachmentCount, PermissionsBoundaryUsageCount: shown.PermissionsBoundaryUsageCount, IsAttachable: shown.IsAttachable,
		CreateDate: shown.CreateDate, UpdateDate: shown.UpdateDate, PolicyVersionList: []iamapi.PolicyVersion{},
	}
	for i := range slices.Backward(p.Versions) {
		d.PolicyVersionList = append(d.PolicyVersionList, *versionOut(p, &p.Versions[i], true))
	}
	out.Policies = append(out.Policies, d)
	return nil
}
