package iam

import (
	"context"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire/iamapi"
)

// maxGroups is IAM's quota of groups per user.
const maxGroups = 10

func (s *Service) getGroup(tx *store.Tx, name string) (Group, error) {
	g, err := s.t.groups.Get(tx, s.cfg.Account, lower(name))
	return g, or(err, noGroup(name), nil)
}

func (s *Service) updateGroup(ctx context.Context, name string, change func(*store.Tx, *Group) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		g, err := s.getGroup(tx, name)
		if err != nil {
			return err
		}
		if err := change(tx, &g); err != nil {
			return err
		}
		return s.t.groups.Put(tx, g)
	})
}

func (s *Service) groupOut(g *Group) *iamapi.Group {
	return &iamapi.Group{Arn: s.arn("group", g.Path, g.Name), CreateDate: g.Created, GroupId: g.ID, GroupName: g.Name, Path: g.Path}
}

// CreateGroup implements iamapi.Service.
func (s *Service) CreateGroup(ctx context.Context, in *iamapi.CreateGroupRequest) (*iamapi.CreateGroupResponse, error) {
	id, err := s.newID("AGPA", entityIDLength)
	if err != nil {
		return nil, err
	}
	g := Group{Account: s.cfg.Account, Name: in.GroupName, Path: path(in.Path), ID: id, Created: s.now()}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := room(s, tx, s.t.groups, "GroupsPerAccount", maxAccountGroups); err != nil {
			return err
		}
		return or(s.t.groups.Insert(tx, g), nil, exists("Group with name %s already exists.", in.GroupName))
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.CreateGroupResponse{Group: s.groupOut(&g)}, nil
}

func (s *Service) members(tx *store.Tx, group string) ([]User, error) {
	return s.t.users.List(tx, store.Query{Index: "by_group", Values: []string{s.cfg.Account, lower(group)}})
}

// GetGroup implements iamapi.Service.
func (s *Service) GetGroup(ctx context.Context, in *iamapi.GetGroupRequest) (*iamapi.GetGroupResponse, error) {
	var g Group
	var users []User
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		if g, err = s.getGroup(tx, in.GroupName); err != nil {
			return err
		}
		users, err = s.members(tx, g.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.GetGroupResponse{Group: s.groupOut(&g), Users: []iamapi.User{}}
	users, out.Marker, out.IsTruncated, err = page(s, "members/"+g.Name, users, func(u *User) string { return lower(u.Name) }, in.Marker, in.MaxItems)
	for i := range users {
		out.Users = append(out.Users, *s.userOut(&users[i], false))
	}
	return out, err
}

// UpdateGroup implements iamapi.Service. A renamed group keeps its id, its
// policies and its members.
func (s *Service) UpdateGroup(ctx context.Context, in *iamapi.UpdateGroupRequest) (*iamapi.UpdateGroupOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		g, err := s.getGroup(tx, in.GroupName)
		if err != nil {
			return err
		}
		old := lower(g.Name)
		if in.NewPath != nil {
			g.Path = path(in.NewPath)
		}
		if in.NewGroupName != nil {
			g.Name = *in.NewGroupName
		}
		if lower(g.Name) != old {
			if err := s.renameGroup(tx, old, g); err != nil {
				return err
			}
		}
		return s.t.groups.Put(tx, g)
	})
}

// renameGroup makes room under the new name and moves the memberships.
func (s *Service) renameGroup(tx *store.Tx, old string, g Group) error {
	if err := or(s.t.groups.Insert(tx, g), nil, exists("Group with name %s already exists.", g.Name)); err != nil {
		return err
	}
	users, err := s.members(tx, old)
	if err != nil {
		return err
	}
	for _, u := range users {
		u.Groups[slices.Index(u.Groups, old)] = lower(g.Name)
		if err := s.t.users.Put(tx, u); err != nil {
			return err
		}
	}
	return s.t.groups.Delete(tx, s.cfg.Account, old)
}

// DeleteGroup implements iamapi.Service.
func (s *Service) DeleteGroup(ctx context.Context, in *iamapi.DeleteGroupRequest) (*iamapi.DeleteGroupOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		g, err := s.getGroup(tx, in.GroupName)
		if err != nil {
			return err
		}
		users, err := s.members(tx, g.Name)
		switch {
		case err != nil:
			return err
		case len(users) > 0:
			return conflict("Cannot delete entity, must remove users from group first.")
		case len(g.Attached) > 0:
			return conflict("Cannot delete entity, must detach all policies first.")
		case len(g.Inline) > 0:
			return conflict("Cannot delete entity, must delete policies first.")
		}
		return s.t.groups.Delete(tx, s.cfg.Account, lower(g.Name))
	})
}

// ListGroups implements iamapi.Service.
func (s *Service) ListGroups(ctx context.Context, in *iamapi.ListGroupsRequest) (*iamapi.ListGroupsResponse, error) {
	var groups []Group
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		groups, err = s.t.groups.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
		return err
	})
	if err != nil {
		return nil, err
	}
	groups = slices.DeleteFunc(groups, func(g Group) bool { return !strings.HasPrefix(g.Path, path(in.PathPrefix)) })
	out := &iamapi.ListGroupsResponse{Groups: []iamapi.Group{}}
	groups, out.Marker, out.IsTruncated, err = page(s, "groups", groups, func(g *Group) string { return lower(g.Name) }, in.Marker, in.MaxItems)
	for i := range groups {
		out.Groups = append(out.Groups, *s.groupOut(&groups[i]))
	}
	return out, err
}

// ListGroupsForUser implements iamapi.Service.
func (s *Service) ListGroupsForUser(ctx context.Context, in *iamapi.ListGroupsForUserRequest) (*iamapi.ListGroupsForUserResponse, error) {
	var groups []Group
	err := s.db.View(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, in.UserName)
		if err != nil {
			return err
		}
		for _, name := range u.Groups {
			g, err := s.getGroup(tx, name)
			if err != nil {
				return err
			}
			groups = append(groups, g)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(groups, func(a, b Group) int { return strings.Compare(lower(a.Name), lower(b.Name)) })
	out := &iamapi.ListGroupsForUserResponse{Groups: []iamapi.Group{}}
	groups, out.Marker, out.IsTruncated, err = page(s, "groups/"+in.UserName, groups, func(g *Group) string { return lower(g.Name) }, in.Marker, in.MaxItems)
	for i := range groups {
		out.Groups = append(out.Groups, *s.groupOut(&groups[i]))
	}
	return out, err
}

// AddUserToGroup implements iamapi.Service.
func (s *Service) AddUserToGroup(ctx context.Context, in *iamapi.AddUserToGroupRequest) (*iamapi.AddUserToGroupOutput, error) {
	return nil, s.updateUser(ctx, in.UserName, func(tx *store.Tx, u *User) error {
		g, err := s.getGroup(tx, in.GroupName)
		if err != nil || slices.Contains(u.Groups, lower(g.Name)) {
			return err
		}
		if len(u.Groups) >= maxGroups {
			return limit("Cannot exceed quota for GroupsPerUser: %d", maxGroups)
		}
		u.Groups = append(u.Groups, lower(g.Name))
		return nil
	})
}

// RemoveUserFromGroup implements iamapi.Service.
func (s *Service) RemoveUserFromGroup(ctx context.Context, in *iamapi.RemoveUserFromGroupRequest) (*iamapi.RemoveUserFromGroupOutput, error) {
	return nil, s.updateUser(ctx, in.UserName, func(tx *store.Tx, u *User) error {
		g, err := s.getGroup(tx, in.GroupName)
		if err != nil {
			return err
		}
		i := slices.Index(u.Groups, lower(g.Name))
		if i < 0 {
			return noSuch("User %s not in group %s", u.Name, g.Name)
		}
		u.Groups = slices.Delete(u.Groups, i, i+1)
		return nil
	})
}
