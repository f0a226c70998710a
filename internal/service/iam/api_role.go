package iam

import (
	"context"
	"errors"
	"slices"
	"strings"

	"moat/internal/pure/arn"
	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// The bounds of a role's sessions, in seconds, and of its trust policy.
const (
	defaultSession = 3600
	maxTrustSize   = 2048
)

func (s *Service) getRole(tx *store.Tx, name string) (Role, error) {
	r, err := s.t.roles.Get(tx, s.cfg.Account, lower(name))
	return r, or(err, noRole(name), nil)
}

func (s *Service) updateRole(ctx context.Context, name string, change func(*store.Tx, *Role) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		r, err := s.getRole(tx, name)
		if err != nil {
			return err
		}
		if err := change(tx, &r); err != nil {
			return err
		}
		return s.t.roles.Put(tx, r)
	})
}

// roleShape says how much of a role an answer shows.
type roleShape int

const (
	roleListed roleShape = iota
	roleCreated
	roleFull
)

func (s *Service) roleOut(r *Role, shape roleShape) *iamapi.Role {
	out := &iamapi.Role{
		Arn: s.arn("role", r.Path, r.Name), AssumeRolePolicyDocument: wire.String(escape(r.Trust)), CreateDate: r.Created,
		Path: r.Path, RoleId: r.ID, RoleName: r.Name,
	}
	if r.Description != "" {
		out.Description = &r.Description
	}
	if shape != roleCreated || r.MaxSession != defaultSession {
		out.MaxSessionDuration = &r.MaxSession
	}
	if shape != roleListed {
		out.Tags, out.PermissionsBoundary = tagsOut(r.Tags), boundaryOut(r.Boundary)
	}
	if shape == roleFull {
		out.RoleLastUsed = &iamapi.RoleLastUsed{}
	}
	return out
}

func checkTrust(doc string) error {
	if n := policySize(doc); n > maxTrustSize {
		return limit("Cannot exceed quota for ACLSizePerRole: %d", maxTrustSize)
	}
	return checkPolicy(doc, policy.TrustPolicy)
}

// setTrust sets the trust policy of a role and remembers who the users and
// roles of this account are that it names; they must exist.
func (s *Service) setTrust(tx *store.Tx, r *Role, doc string) error {
	d, err := policy.Parse("", []byte(doc))
	if err != nil {
		return err
	}
	r.Trust, r.Pins = doc, nil
	for _, name := range d.PrincipalARNs() {
		a, err := arn.Parse(name)
		if err != nil || a.Service != "iam" || a.Account != s.cfg.Account {
			continue
		}
		id, err := s.idOf(tx, a)
		if errors.Is(err, store.ErrNotFound) {
			return &iamapi.MalformedPolicyDocumentException{Message: "Invalid principal in policy: \"AWS\":\"" + name + "\""}
		}
		if err != nil {
			return err
		}
		if r.Pins == nil {
			r.Pins = map[string]string{}
		}
		r.Pins[name] = id
	}
	return nil
}

// idOf returns the unique id of a user or role, or store.ErrNotFound.
func (s *Service) idOf(tx *store.Tx, a arn.ARN) (string, error) {
	switch a.Type() {
	case "user":
		u, err := s.t.users.Get(tx, s.cfg.Account, lower(a.Name()))
		if err == nil && s.arn("user", u.Path, u.Name) != a.String() {
			err = store.ErrNotFound
		}
		return u.ID, err
	case "role":
		r, err := s.t.roles.Get(tx, s.cfg.Account, lower(a.Name()))
		if err == nil && s.arn("role", r.Path, r.Name) != a.String() {
			err = store.ErrNotFound
		}
		return r.ID, err
	}
	return "", store.ErrNotFound
}

// CreateRole implements iamapi.Service.
func (s *Service) CreateRole(ctx context.Context, in *iamapi.CreateRoleRequest) (*iamapi.CreateRoleResponse, error) {
	if err := checkTrust(in.AssumeRolePolicyDocument); err != nil {
		return nil, err
	}
	id, err := s.newID("AROA", entityIDLength)
	if err != nil {
		return nil, err
	}
	tags, err := setTags(ctx, nil, in.Tags)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(path(in.Path), linkedPath) {
		return nil, invalidInput("Role path %s is reserved for service-linked roles.", path(in.Path))
	}
	r := Role{
		Account: s.cfg.Account, Name: in.RoleName, Path: path(in.Path), ID: id, Created: s.now(), Tags: tags,
		Description: wire.Value(in.Description), Boundary: wire.Value(in.PermissionsBoundary), MaxSession: defaultSession,
	}
	if in.MaxSessionDuration != nil {
		r.MaxSession = *in.MaxSessionDuration
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if r.Boundary != "" {
			if err := s.checkBoundary(tx, r.Boundary); err != nil {
				return err
			}
		}
		if err := s.setTrust(tx, &r, in.AssumeRolePolicyDocument); err != nil {
			return err
		}
		if err := room(s, tx, s.t.roles, "RolesPerAccount", maxRoles); err != nil {
			return err
		}
		return or(s.t.roles.Insert(tx, r), nil, exists("Role with name %s already exists.", in.RoleName))
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.CreateRoleResponse{Role: s.roleOut(&r, roleCreated)}, nil
}

// GetRole implements iamapi.Service.
func (s *Service) GetRole(ctx context.Context, in *iamapi.GetRoleRequest) (*iamapi.GetRoleResponse, error) {
	out := &iamapi.GetRoleResponse{}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		r, err := s.getRole(tx, in.RoleName)
		if err != nil {
			return err
		}
		out.Role = s.roleOut(&r, roleFull)
		out.Role.RoleLastUsed, err = s.roleLastUsed(tx, r.ID)
		return err
	})
}

// UpdateRole implements iamapi.Service.
func (s *Service) UpdateRole(ctx context.Context, in *iamapi.UpdateRoleRequest) (*iamapi.UpdateRoleResponse, error) {
	return nil, s.updateRole(ctx, in.RoleName, func(_ *store.Tx, r *Role) error {
		if in.Description != nil {
			r.Description = *in.Description
		}
		if in.MaxSessionDuration != nil {
			r.MaxSession = *in.MaxSessionDuration
			return r.unprotected()
		}
		return nil
	})
}

// UpdateRoleDescription implements iamapi.Service.
func (s *Service) UpdateRoleDescription(ctx context.Context, in *iamapi.UpdateRoleDescriptionRequest) (*iamapi.UpdateRoleDescriptionResponse, error) {
	var out Role
	err := s.updateRole(ctx, in.RoleName, func(_ *store.Tx, r *Role) error {
		r.Description = in.Description
		out = *r
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.UpdateRoleDescriptionResponse{Role: s.roleOut(&out, roleFull)}, nil
}

// UpdateAssumeRolePolicy implements iamapi.Service.
func (s *Service) UpdateAssumeRolePolicy(ctx context.Context, in *iamapi.UpdateAssumeRolePolicyRequest) (*iamapi.UpdateAssumeRolePolicyOutput, error) {
	if err := checkTrust(in.PolicyDocument); err != nil {
		return nil, err
	}
	return nil, s.updateRole(ctx, in.RoleName, func(tx *store.Tx, r *Role) error {
		if err := r.unprotected(); err != nil {
			return err
		}
		return s.setTrust(tx, r, in.PolicyDocument)
	})
}

// DeleteRole implements iamapi.Service.
func (s *Service) DeleteRole(ctx context.Context, in *iamapi.DeleteRoleRequest) (*iamapi.DeleteRoleOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		r, err := s.getRole(tx, in.RoleName)
		if err == nil {
			err = r.unprotected()
		}
		if err != nil {
			return err
		}
		profiles, err := s.profilesOf(tx, r.Name)
		switch {
		case err != nil:
			return err
		case len(profiles) > 0:
			return conflict("Cannot delete entity, must remove roles from instance profile first.")
		case len(r.Attached) > 0:
			return conflict("Cannot delete entity, must detach all policies first.")
		case len(r.Inline) > 0:
			return conflict("Cannot delete entity, must delete policies first.")
		}
		return s.t.roles.Delete(tx, s.cfg.Account, lower(r.Name))
	})
}

// ListRoles implements iamapi.Service.
func (s *Service) ListRoles(ctx context.Context, in *iamapi.ListRolesRequest) (*iamapi.ListRolesResponse, error) {
	var roles []Role
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		roles, err = s.t.roles.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
		return err
	})
	if err != nil {
		return nil, err
	}
	roles = slices.DeleteFunc(roles, func(r Role) bool { return !strings.HasPrefix(r.Path, path(in.PathPrefix)) })
	out := &iamapi.ListRolesResponse{Roles: []iamapi.Role{}}
	roles, out.Marker, out.IsTruncated, err = page(s, "roles", roles, func(r *Role) string { return lower(r.Name) }, in.Marker, in.MaxItems)
	for i := range roles {
		out.Roles = append(out.Roles, *s.roleOut(&roles[i], roleListed))
	}
	return out, err
}

// PutRolePermissionsBoundary implements iamapi.Service.
func (s *Service) PutRolePermissionsBoundary(ctx context.Context, in *iamapi.PutRolePermissionsBoundaryRequest) (*iamapi.PutRolePermissionsBoundaryOutput, error) {
	return nil, s.updateRole(ctx, in.RoleName, func(tx *store.Tx, r *Role) error {
		if err := r.unprotected(); err != nil {
			return err
		}
		r.Boundary = in.PermissionsBoundary
		return s.checkBoundary(tx, r.Boundary)
	})
}

// DeleteRolePermissionsBoundary implements iamapi.Service.
func (s *Service) DeleteRolePermissionsBoundary(ctx context.Context, in *iamapi.DeleteRolePermissionsBoundaryRequest) (*iamapi.DeleteRolePermissionsBoundaryOutput, error) {
	return nil, s.updateRole(ctx, in.RoleName, func(_ *store.Tx, r *Role) error {
		r.Boundary = ""
		return r.unprotected()
	})
}

// TagRole implements iamapi.Service.
func (s *Service) TagRole(ctx context.Context, in *iamapi.TagRoleRequest) (*iamapi.TagRoleOutput, error) {
	return nil, s.updateRole(ctx, in.RoleName, func(_ *store.Tx, r *Role) (err error) {
		r.Tags, err = setTags(ctx, r.Tags, in.Tags)
		return err
	})
}

// UntagRole implements iamapi.Service.
func (s *Service) UntagRole(ctx context.Context, in *iamapi.UntagRoleRequest) (*iamapi.UntagRoleOutput, error) {
	return nil, s.updateRole(ctx, in.RoleName, func(_ *store.Tx, r *Role) (err error) {
		r.Tags, err = removeTags(ctx, r.Tags, in.TagKeys)
		return err
	})
}

// ListRoleTags implements iamapi.Service.
func (s *Service) ListRoleTags(ctx context.Context, in *iamapi.ListRoleTagsRequest) (*iamapi.ListRoleTagsResponse, error) {
	var r Role
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		r, err = s.getRole(tx, in.RoleName)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListRoleTagsResponse{}
	out.Tags, out.Marker, out.IsTruncated, err = s.tagPage("role/"+r.Name, r.Tags, in.Marker, in.MaxItems)
	return out, err
}
