package userpool

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

func describeGroup(g *Group) *api.GroupType {
	return &api.GroupType{
		GroupName: &g.Name, UserPoolId: &g.Pool, Description: g.Description, RoleArn: g.RoleARN, Precedence: g.Precedence,
		CreationDate: &g.CreatedAt, LastModifiedDate: &g.ModifiedAt,
	}
}

func (s *Service) group(ctx context.Context, tx *store.Tx, poolID, name string) (Group, error) {
	if _, err := s.poolHere(ctx, tx, poolID); err != nil {
		return Group{}, err
	}
	g, err := s.tables.groups.Get(tx, poolID, name)
	return g, missing(err, notFound, "Group not found.")
}

// mayPass makes sure that the caller may give a role to a group: an identity pool hands out
// credentials of the role that the group's members have in their tokens.
func (s *Service) mayPass(ctx context.Context, role *string) error {
	if s.passRoler == nil || deref(role) == "" {
		return nil
	}
	return s.passRoler.PassRole(ctx, wire.CallFrom(ctx).Caller, *role, servicePrincipal)
}

// CreateGroup makes a group.
func (s *Service) CreateGroup(ctx context.Context, in *api.CreateGroupRequest) (*api.CreateGroupResponse, error) {
	if err := s.mayPass(ctx, in.RoleArn); err != nil {
		return nil, err
	}
	g := Group{
		Pool: in.UserPoolId, Name: in.GroupName, Description: in.Description, RoleARN: in.RoleArn, Precedence: in.Precedence,
		CreatedAt: s.time(), ModifiedAt: s.time(),
	}
	err := s.update(ctx, func(tx *store.Tx) error {
		if _, err := s.poolHere(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		if err := room(tx, s.tables.groups, store.Query{Prefix: []string{g.Pool}}, maxGroups, "groups of a user pool"); err != nil {
			return err
		}
		err := s.tables.groups.Insert(tx, g)
		if errors.Is(err, store.ErrExists) {
			return refuse(groupExists, "A group with the name already exists.")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateGroupResponse{Group: describeGroup(&g)}, nil
}

// GetGroup answers with a group.
func (s *Service) GetGroup(ctx context.Context, in *api.GetGroupRequest) (*api.GetGroupResponse, error) {
	var g Group
	err := s.view(ctx, func(tx *store.Tx) (err error) {
		g, err = s.group(ctx, tx, in.UserPoolId, in.GroupName)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.GetGroupResponse{Group: describeGroup(&g)}, nil
}

// UpdateGroup changes what the request names.
func (s *Service) UpdateGroup(ctx context.Context, in *api.UpdateGroupRequest) (*api.UpdateGroupResponse, error) {
	if err := s.mayPass(ctx, in.RoleArn); err != nil {
		return nil, err
	}
	var g Group
	err := s.update(ctx, func(tx *store.Tx) (err error) {
		if g, err = s.group(ctx, tx, in.UserPoolId, in.GroupName); err != nil {
			return err
		}
		if in.Description != nil {
			g.Description = in.Description
		}
		if in.RoleArn != nil {
			g.RoleARN = in.RoleArn
		}
		if in.Precedence != nil {
			g.Precedence = in.Precedence
		}
		g.ModifiedAt = s.time()
		return s.tables.groups.Put(tx, g)
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateGroupResponse{Group: describeGroup(&g)}, nil
}

// DeleteGroup removes a group; its members stay users.
func (s *Service) DeleteGroup(ctx context.Context, in *api.DeleteGroupRequest) (*api.DeleteGroupOutput, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		g, err := s.group(ctx, tx, in.UserPoolId, in.GroupName)
		if err != nil {
			return err
		}
		if _, err := s.tables.members.DeleteAll(tx, g.Pool, g.Name); err != nil {
			return err
		}
		return s.tables.groups.Delete(tx, g.Pool, g.Name)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteGroupOutput{}, nil
}

// ListGroups lists a pool's groups by name.
func (s *Service) ListGroups(ctx context.Context, in *api.ListGroupsRequest) (*api.ListGroupsResponse, error) {
	scope := []string{"groups", in.UserPoolId}
	after, err := s.openPage(in.NextToken, scope)
	if err != nil {
		return nil, exception(err)
	}
	limit := limitOf(in.Limit)
	var list []Group
	err = s.view(ctx, func(tx *store.Tx) error {
		if _, err := s.poolHere(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		list, err = s.tables.groups.List(tx, store.Query{Prefix: []string{in.UserPoolId}, After: after, Limit: limit + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListGroupsResponse{Groups: []api.GroupType{}}
	list, out.NextToken, err = nextPage(s, list, limit, scope, func(g *Group) []string { return []string{g.Pool, g.Name} })
	for _, g := range list {
		out.Groups = append(out.Groups, *describeGroup(&g))
	}
	return out, err
}

// groupsOf lists a user's groups, the one with the lowest precedence value first.
func (s *Service) groupsOf(tx *store.Tx, u *User) ([]Group, error) {
	// A pool without groups has no members either, and costs no statement when that is known.
	some, err := s.tables.groups.LookList(tx, store.Query{Prefix: []string{u.Pool}, Limit: 1})
	if err != nil || len(some) == 0 {
		return nil, err
	}
	members, err := s.tables.members.LookList(tx, store.Query{Index: "user", Values: []string{u.Pool, u.Key}})
	if err != nil {
		return nil, err
	}
	var out []Group
	for _, m := range members {
		g, err := s.tables.groups.Look(tx, m.Pool, m.Group)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b Group) int { return slices.Compare(a.rank(), b.rank()) })
	return out, nil
}

// rank is the place of a group among those of a user, as text that sorts: by precedence, those
// without one last, and by name.
func (g *Group) rank() []string {
	if g.Precedence == nil {
		return []string{"none", g.Name}
	}
	return []string{fmt.Sprintf("%010d", *g.Precedence), g.Name}
}

// AdminAddUserToGroup makes a user a member; being one already is no error.
func (s *Service) AdminAddUserToGroup(ctx context.Context, in *api.AdminAddUserToGroupRequest) (*api.AdminAddUserToGroupOutput, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		p, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err != nil {
			return err
		}
		g, err := s.group(ctx, tx, p.ID, in.GroupName)
		if err != nil {
			return err
		}
		_, err = s.tables.members.Get(tx, p.ID, g.Name, u.Key)
		if !errors.Is(err, store.ErrNotFound) {
			return err // a member already
		}
		err = room(tx, s.tables.members, store.Query{Index: "user", Values: []string{p.ID, u.Key}}, maxUserGroups, "groups to which a user belongs")
		if is(err, limitExceeded) { // which the model does not have here
			err = refuse(invalidParameter, err.Error())
		}
		if err != nil {
			return err
		}
		return s.tables.members.Put(tx, Member{Pool: p.ID, Group: g.Name, User: u.Key})
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminAddUserToGroupOutput{}, nil
}

// AdminRemoveUserFromGroup ends a membership; tokens show it at the next refresh.
func (s *Service) AdminRemoveUserFromGroup(ctx context.Context, in *api.AdminRemoveUserFromGroupRequest) (*api.AdminRemoveUserFromGroupOutput, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		p, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err != nil {
			return err
		}
		g, err := s.group(ctx, tx, p.ID, in.GroupName)
		if err != nil {
			return err
		}
		err = s.tables.members.Delete(tx, p.ID, g.Name, u.Key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminRemoveUserFromGroupOutput{}, nil
}

// AdminListGroupsForUser lists a user's groups by precedence.
func (s *Service) AdminListGroupsForUser(ctx context.Context, in *api.AdminListGroupsForUserRequest) (*api.AdminListGroupsForUserResponse, error) {
	scope := []string{"groups of user", in.UserPoolId, in.Username}
	after, err := s.openPage(in.NextToken, scope)
	if err != nil {
		return nil, exception(err)
	}
	var list []Group
	err = s.view(ctx, func(tx *store.Tx) error {
		_, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err != nil {
			return err
		}
		list, err = s.groupsOf(tx, &u)
		return err
	})
	if err != nil {
		return nil, err
	}
	if after != nil {
		list = slices.DeleteFunc(list, func(g Group) bool { return slices.Compare(g.rank(), after) <= 0 })
	}
	out := &api.AdminListGroupsForUserResponse{Groups: []api.GroupType{}}
	list, out.NextToken, err = nextPage(s, list, limitOf(in.Limit), scope, func(g *Group) []string { return g.rank() })
	for _, g := range list {
		out.Groups = append(out.Groups, *describeGroup(&g))
	}
	return out, err
}

// ListUsersInGroup lists a group's members by username.
func (s *Service) ListUsersInGroup(ctx context.Context, in *api.ListUsersInGroupRequest) (*api.ListUsersInGroupResponse, error) {
	scope := []string{"users of group", in.UserPoolId, in.GroupName}
	after, err := s.openPage(in.NextToken, scope)
	if err != nil {
		return nil, exception(err)
	}
	limit := limitOf(in.Limit)
	var list []Member
	users := map[string]User{}
	err = s.view(ctx, func(tx *store.Tx) error {
		g, err := s.group(ctx, tx, in.UserPoolId, in.GroupName)
		if err != nil {
			return err
		}
		list, err = s.tables.members.List(tx, store.Query{Prefix: []string{g.Pool, g.Name}, After: after, Limit: limit + 1})
		for _, m := range list {
			u, err := s.tables.users.Get(tx, m.Pool, m.User)
			if err != nil {
				return err
			}
			users[m.User] = u
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListUsersInGroupResponse{Users: []api.UserType{}}
	list, out.NextToken, err = nextPage(s, list, limit, scope, func(m *Member) []string { return []string{m.Pool, m.Group, m.User} })
	for _, m := range list {
		u := users[m.User]
		out.Users = append(out.Users, describeUser(&u, nil))
	}
	return out, err
}
