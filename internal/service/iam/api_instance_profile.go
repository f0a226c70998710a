package iam

import (
	"context"
	"errors"
	"slices"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// InstanceProfile carries one role at most.
type InstanceProfile struct {
	Account, Name, Path, ID string
	Created                 time.Time
	Tags                    []Tag  `json:",omitempty"`
	Role                    string `json:",omitempty"` // key of a role
}

func newProfileTable() *store.Table[InstanceProfile] {
	return store.NewTable(store.Schema[InstanceProfile]{
		Name: "iam_instance_profiles", Key: []string{"account", "name"},
		KeyOf: func(p *InstanceProfile) []string { return []string{p.Account, lower(p.Name)} },
		Indexes: []store.Index[InstanceProfile]{
			{Name: "by_role", Columns: []string{"account", "role"}, Of: func(p *InstanceProfile) [][]string { return boundaryRow(p.Account, p.Role) }},
		},
	})
}

func (s *Service) getProfile(tx *store.Tx, name string) (InstanceProfile, error) {
	p, err := s.t.profiles.Get(tx, s.cfg.Account, lower(name))
	return p, or(err, noSuch("Instance Profile %s cannot be found.", name), nil)
}

func (s *Service) updateProfile(ctx context.Context, name string, change func(*store.Tx, *InstanceProfile) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.getProfile(tx, name)
		if err != nil {
			return err
		}
		if err := change(tx, &p); err != nil {
			return err
		}
		return s.t.profiles.Put(tx, p)
	})
}

func (s *Service) profilesOf(tx *store.Tx, role string) ([]InstanceProfile, error) {
	return s.t.profiles.List(tx, store.Query{Index: "by_role", Values: []string{s.cfg.Account, lower(role)}})
}

func (s *Service) profileOut(tx *store.Tx, p *InstanceProfile, full bool) (iamapi.InstanceProfile, error) {
	out := iamapi.InstanceProfile{
		Arn: s.arn("instance-profile", p.Path, p.Name), CreateDate: p.Created, InstanceProfileId: p.ID, InstanceProfileName: p.Name,
		Path: p.Path, Roles: []iamapi.Role{},
	}
	if full {
		out.Tags = tagsOut(p.Tags)
	}
	if p.Role == "" {
		return out, nil
	}
	r, err := s.getRole(tx, p.Role)
	if err == nil {
		out.Roles = append(out.Roles, *s.roleOut(&r, roleListed))
	}
	return out, err
}

// CreateInstanceProfile implements iamapi.Service.
func (s *Service) CreateInstanceProfile(ctx context.Context, in *iamapi.CreateInstanceProfileRequest) (*iamapi.CreateInstanceProfileResponse, error) {
	id, err := s.newID("AIPA", entityIDLength)
	if err != nil {
		return nil, err
	}
	tags, err := setTags(ctx, nil, in.Tags)
	if err != nil {
		return nil, err
	}
	p := InstanceProfile{Account: s.cfg.Account, Name: in.InstanceProfileName, Path: path(in.Path), ID: id, Created: s.now(), Tags: tags}
	out := &iamapi.CreateInstanceProfileResponse{}
	return out, s.db.Update(ctx, func(tx *store.Tx) error {
		if err := room(s, tx, s.t.profiles, "InstanceProfilesPerAccount", maxProfiles); err != nil {
			return err
		}
		if err := s.t.profiles.Insert(tx, p); err != nil {
			return or(err, nil, exists("Instance Profile %s already exists.", p.Name))
		}
		shown, err := s.profileOut(tx, &p, true)
		out.InstanceProfile = &shown
		return err
	})
}

// GetInstanceProfile implements iamapi.Service.
func (s *Service) GetInstanceProfile(ctx context.Context, in *iamapi.GetInstanceProfileRequest) (*iamapi.GetInstanceProfileResponse, error) {
	out := &iamapi.GetInstanceProfileResponse{}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		p, err := s.getProfile(tx, in.InstanceProfileName)
		if err != nil {
			return err
		}
		shown, err := s.profileOut(tx, &p, true)
		out.InstanceProfile = &shown
		return err
	})
}

// DeleteInstanceProfile implements iamapi.Service.
func (s *Service) DeleteInstanceProfile(ctx context.Context, in *iamapi.DeleteInstanceProfileRequest) (*iamapi.DeleteInstanceProfileOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.getProfile(tx, in.InstanceProfileName)
		switch {
		case err != nil:
			return err
		case p.Role != "":
			return conflict("Cannot delete entity, must remove roles from instance profile first.")
		}
		return s.t.profiles.Delete(tx, s.cfg.Account, lower(p.Name))
	})
}

// AddRoleToInstanceProfile implements iamapi.Service. The role is passed to
// instances, so the caller needs iam:PassRole as well.
func (s *Service) AddRoleToInstanceProfile(ctx context.Context, in *iamapi.AddRoleToInstanceProfileRequest) (*iamapi.AddRoleToInstanceProfileOutput, error) {
	var roleARN string
	err := s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := s.getProfile(tx, in.InstanceProfileName); err != nil {
			return err
		}
		r, err := s.getRole(tx, in.RoleName)
		roleARN = s.arn("role", r.Path, r.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.PassRole(ctx, wire.CallFrom(ctx).Caller, roleARN, "ec2.amazonaws.com"); err != nil {
		var denied wire.Exception
		if errors.As(err, &denied) {
			return nil, wire.NewError(403, "AccessDenied", denied.ErrorMessage())
		}
		return nil, err
	}
	return nil, s.updateProfile(ctx, in.InstanceProfileName, func(tx *store.Tx, p *InstanceProfile) error {
		r, err := s.getRole(tx, in.RoleName)
		if err == nil {
			err = r.unprotected()
		}
		if err != nil {
			return err
		}
		if p.Role != "" {
			return limit("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
		}
		p.Role = lower(r.Name)
		return nil
	})
}

// RemoveRoleFromInstanceProfile implements iamapi.Service.
func (s *Service) RemoveRoleFromInstanceProfile(ctx context.Context, in *iamapi.RemoveRoleFromInstanceProfileRequest) (*iamapi.RemoveRoleFromInstanceProfileOutput, error) {
	return nil, s.updateProfile(ctx, in.InstanceProfileName, func(tx *store.Tx, p *InstanceProfile) error {
		r, err := s.getRole(tx, in.RoleName)
		if err != nil {
			return err
		}
		if p.Role != lower(r.Name) {
			return noRole(in.RoleName)
		}
		p.Role = ""
		return nil
	})
}

// ListInstanceProfiles implements iamapi.Service.
func (s *Service) ListInstanceProfiles(ctx context.Context, in *iamapi.ListInstanceProfilesRequest) (*iamapi.ListInstanceProfilesResponse, error) {
	out := &iamapi.ListInstanceProfilesResponse{}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		list, err := s.t.profiles.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(p InstanceProfile) bool { return !hasPath(p.Path, in.PathPrefix) })
		list, out.Marker, out.IsTruncated, err = page(s, "instance profiles", list, func(p *InstanceProfile) string { return lower(p.Name) }, in.Marker, in.MaxItems)
		if err != nil {
			return err
		}
		out.InstanceProfiles, err = s.profilesOut(tx, list)
		return err
	})
}

func (s *Service) profilesOut(tx *store.Tx, list []InstanceProfile) ([]iamapi.InstanceProfile, error) {
	out := make([]iamapi.InstanceProfile, len(list))
	var err error
	for i := range list {
		if out[i], err = s.profileOut(tx, &list[i], false); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ListInstanceProfilesForRole implements iamapi.Service.
func (s *Service) ListInstanceProfilesForRole(ctx context.Context, in *iamapi.ListInstanceProfilesForRoleRequest) (*iamapi.ListInstanceProfilesForRoleResponse, error) {
	out := &iamapi.ListInstanceProfilesForRoleResponse{}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		r, err := s.getRole(tx, in.RoleName)
		if err != nil {
			return err
		}
		list, err := s.profilesOf(tx, r.Name)
		if err != nil {
			return err
		}
		list, out.Marker, out.IsTruncated, err = page(s, "instance profiles/"+r.Name, list, func(p *InstanceProfile) string { return lower(p.Name) }, in.Marker, in.MaxItems)
		if err != nil {
			return err
		}
		out.InstanceProfiles, err = s.profilesOut(tx, list)
		return err
	})
}

// TagInstanceProfile implements iamapi.Service.
func (s *Service) TagInstanceProfile(ctx context.Context, in *iamapi.TagInstanceProfileRequest) (*iamapi.TagInstanceProfileOutput, error) {
	return nil, s.updateProfile(ctx, in.InstanceProfileName, func(_ *store.Tx, p *InstanceProfile) (err error) {
		p.Tags, err = setTags(ctx, p.Tags, in.Tags)
		return err
	})
}

// UntagInstanceProfile implements iamapi.Service.
func (s *Service) UntagInstanceProfile(ctx context.Context, in *iamapi.UntagInstanceProfileRequest) (*iamapi.UntagInstanceProfileOutput, error) {
	return nil, s.updateProfile(ctx, in.InstanceProfileName, func(_ *store.Tx, p *InstanceProfile) (err error) {
		p.Tags, err = removeTags(ctx, p.Tags, in.TagKeys)
		return err
	})
}

// ListInstanceProfileTags implements iamapi.Service.
func (s *Service) ListInstanceProfileTags(ctx context.Context, in *iamapi.ListInstanceProfileTagsRequest) (*iamapi.ListInstanceProfileTagsResponse, error) {
	var p InstanceProfile
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.getProfile(tx, in.InstanceProfileName)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListInstanceProfileTagsResponse{}
	out.Tags, out.Marker, out.IsTruncated, err = s.tagPage("instance-profile/"+p.Name, p.Tags, in.Marker, in.MaxItems)
	return out, err
}
