package iam

import (
	"context"
	"slices"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

func noUser(name string) error  { return noSuch("The user with name %s cannot be found.", name) }
func noRole(name string) error  { return noSuch("The role with name %s cannot be found.", name) }
func noGroup(name string) error { return noSuch("The group with name %s cannot be found.", name) }

func (s *Service) getUser(tx *store.Tx, name string) (User, error) {
	u, err := s.t.users.Get(tx, s.cfg.Account, lower(name))
	return u, or(err, noUser(name), nil)
}

// userByID finds a user that may have been renamed, or returns store.ErrNotFound.
func (s *Service) userByID(tx *store.Tx, id string) (User, error) {
	list, err := s.t.users.List(tx, store.Query{Index: "by_id", Values: []string{s.cfg.Account, id}})
	if err == nil && len(list) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return User{}, err
	}
	return list[0], nil
}

func (s *Service) updateUser(ctx context.Context, name string, change func(*store.Tx, *User) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, name)
		if err != nil {
			return err
		}
		if err := change(tx, &u); err != nil {
			return err
		}
		return s.t.users.Put(tx, u)
	})
}

// userName is the user that a call means: the one it names, or the caller.
func userName(ctx context.Context, name *string) (string, error) {
	if name != nil {
		return *name, nil
	}
	caller := wire.CallFrom(ctx).Caller
	if caller.Kind != policy.PrincipalUser {
		return "", validation("Must specify userName when calling with non-User credentials")
	}
	return caller.ARN[strings.LastIndexByte(caller.ARN, '/')+1:], nil
}

func (s *Service) userOut(u *User, full bool) *iamapi.User {
	out := &iamapi.User{Arn: s.arn("user", u.Path, u.Name), CreateDate: u.Created, Path: u.Path, UserId: u.ID, UserName: u.Name}
	if full {
		out.Tags, out.PermissionsBoundary = tagsOut(u.Tags), boundaryOut(u.Boundary)
	}
	return out
}

func boundaryOut(arn string) *iamapi.AttachedPermissionsBoundary {
	if arn == "" {
		return nil
	}
	return &iamapi.AttachedPermissionsBoundary{PermissionsBoundaryArn: &arn, PermissionsBoundaryType: "Policy"}
}

// checkBoundary refuses a boundary that is no managed policy.
func (s *Service) checkBoundary(tx *store.Tx, arn string) error {
	_, err := s.getPolicy(tx, arn)
	return or(err, noSuch("Scope ARN: %s does not exist or is not attachable.", arn), nil)
}

// CreateUser implements iamapi.Service.
func (s *Service) CreateUser(ctx context.Context, in *iamapi.CreateUserRequest) (*iamapi.CreateUserResponse, error) {
	id, err := s.newID("AIDA", entityIDLength)
	if err != nil {
		return nil, err
	}
	tags, err := setTags(ctx, nil, in.Tags)
	if err != nil {
		return nil, err
	}
	u := User{Account: s.cfg.Account, Name: in.UserName, Path: path(in.Path), ID: id, Created: s.now(), Tags: tags, Boundary: wire.Value(in.PermissionsBoundary)}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if u.Boundary != "" {
			if err := s.checkBoundary(tx, u.Boundary); err != nil {
				return err
			}
		}
		if err := room(s, tx, s.t.users, "UsersPerAccount", maxUsers); err != nil {
			return err
		}
		return or(s.t.users.Insert(tx, u), nil, exists("User with name %s already exists.", in.UserName))
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.CreateUserResponse{User: s.userOut(&u, true)}, nil
}

// GetUser implements iamapi.Service. Without a name it describes the caller.
func (s *Service) GetUser(ctx context.Context, in *iamapi.GetUserRequest) (*iamapi.GetUserResponse, error) {
	if in.UserName == nil && wire.CallFrom(ctx).Caller.Kind == policy.PrincipalRoot {
		return &iamapi.GetUserResponse{User: &iamapi.User{Arn: s.arn("root", "", ""), UserId: s.cfg.Account, Path: "/", UserName: "root"}}, nil
	}
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var u User
	err = s.db.View(ctx, func(tx *store.Tx) error {
		u, err = s.getUser(tx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.GetUserResponse{User: s.userOut(&u, true)}, nil
}

// UpdateUser implements iamapi.Service. A renamed user keeps its id and keys.
func (s *Service) UpdateUser(ctx context.Context, in *iamapi.UpdateUserRequest) (*iamapi.UpdateUserOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, in.UserName)
		if err != nil {
			return err
		}
		old := lower(u.Name)
		if in.NewPath != nil {
			u.Path = path(in.NewPath)
		}
		if in.NewUserName != nil && *in.NewUserName != u.Name {
			u.Name = *in.NewUserName
			if lower(u.Name) != old {
				if err := s.renameUser(tx, old, &u); err != nil {
					return err
				}
			}
		}
		return s.t.users.Put(tx, u)
	})
}

func (s *Service) renameUser(tx *store.Tx, old string, u *User) error {
	if err := s.t.users.Delete(tx, s.cfg.Account, old); err != nil {
		return err
	}
	if err := or(s.t.users.Insert(tx, *u), nil, exists("User with name %s already exists.", u.Name)); err != nil {
		return err
	}
	keys, err := s.keysOf(tx, old)
	if err != nil {
		return err
	}
	for _, k := range keys {
		k.User = u.Name
		if err := s.t.keys.Put(tx, k); err != nil {
			return err
		}
	}
	return nil
}

// DeleteUser implements iamapi.Service.
func (s *Service) DeleteUser(ctx context.Context, in *iamapi.DeleteUserRequest) (*iamapi.DeleteUserOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, in.UserName)
		if err != nil {
			return err
		}
		if err := s.stillHas(tx, &u); err != nil {
			return err
		}
		return s.t.users.Delete(tx, s.cfg.Account, lower(u.Name))
	})
}

// stillHas refuses to delete a user that has something left.
func (s *Service) stillHas(tx *store.Tx, u *User) error {
	byID := store.Query{Index: "by_user", Values: []string{s.cfg.Account, u.ID}}
	byName := store.Query{Index: "by_user", Values: []string{s.cfg.Account, lower(u.Name)}}
	for _, x := range []struct {
		count func(*store.Tx, store.Query) (int, error)
		q     store.Query
		must  string
	}{
		{s.t.logins.Count, store.Query{Prefix: []string{s.cfg.Account, u.ID}}, "delete login profile"},
		{s.t.keys.Count, byName, "delete access keys"},
		{s.t.devices.Count, byID, "delete MFA device"},
		{s.t.signing.Count, byID, "delete signing certificates"},
		{s.t.sshKeys.Count, byID, "delete SSH public keys"},
		{s.t.serviceCreds.Count, byID, "delete service specific credentials"},
	} {
		n, err := x.count(tx, x.q)
		if err != nil {
			return err
		}
		if n > 0 {
			return conflict("Cannot delete entity, must %s first.", x.must)
		}
	}
	switch {
	case len(u.Attached) > 0:
		return conflict("Cannot delete entity, must detach all policies first.")
	case len(u.Inline) > 0:
		return conflict("Cannot delete entity, must delete policies first.")
	case len(u.Groups) > 0:
		return conflict("Cannot delete entity, must remove users from group first.")
	}
	return nil
}

// ListUsers implements iamapi.Service.
func (s *Service) ListUsers(ctx context.Context, in *iamapi.ListUsersRequest) (*iamapi.ListUsersResponse, error) {
	var users []User
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		users, err = s.t.users.List(tx, store.Query{Prefix: []string{s.cfg.Account}})
		return err
	})
	if err != nil {
		return nil, err
	}
	users = slices.DeleteFunc(users, func(u User) bool { return !strings.HasPrefix(u.Path, path(in.PathPrefix)) })
	out := &iamapi.ListUsersResponse{Users: []iamapi.User{}}
	users, out.Marker, out.IsTruncated, err = page(s, "users", users, func(u *User) string { return lower(u.Name) }, in.Marker, in.MaxItems)
	for i := range users {
		out.Users = append(out.Users, *s.userOut(&users[i], false))
	}
	return out, err
}

// PutUserPermissionsBoundary implements iamapi.Service.
func (s *Service) PutUserPermissionsBoundary(ctx context.Context, in *iamapi.PutUserPermissionsBoundaryRequest) (*iamapi.PutUserPermissionsBoundaryOutput, error) {
	return nil, s.updateUser(ctx, in.UserName, func(tx *store.Tx, u *User) error {
		u.Boundary = in.PermissionsBoundary
		return s.checkBoundary(tx, u.Boundary)
	})
}

// DeleteUserPermissionsBoundary implements iamapi.Service.
func (s *Service) DeleteUserPermissionsBoundary(ctx context.Context, in *iamapi.DeleteUserPermissionsBoundaryRequest) (*iamapi.DeleteUserPermissionsBoundaryOutput, error) {
	return nil, s.updateUser(ctx, in.UserName, func(_ *store.Tx, u *User) error {
		u.Boundary = ""
		return nil
	})
}

// TagUser implements iamapi.Service.
func (s *Service) TagUser(ctx context.Context, in *iamapi.TagUserRequest) (*iamapi.TagUserOutput, error) {
	return nil, s.updateUser(ctx, in.UserName, func(_ *store.Tx, u *User) (err error) {
		u.Tags, err = setTags(ctx, u.Tags, in.Tags)
		return err
	})
}

// UntagUser implements iamapi.Service.
func (s *Service) UntagUser(ctx context.Context, in *iamapi.UntagUserRequest) (*iamapi.UntagUserOutput, error) {
	return nil, s.updateUser(ctx, in.UserName, func(_ *store.Tx, u *User) (err error) {
		u.Tags, err = removeTags(ctx, u.Tags, in.TagKeys)
		return err
	})
}

// ListUserTags implements iamapi.Service.
func (s *Service) ListUserTags(ctx context.Context, in *iamapi.ListUserTagsRequest) (*iamapi.ListUserTagsResponse, error) {
	var u User
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		u, err = s.getUser(tx, in.UserName)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListUserTagsResponse{}
	out.Tags, out.Marker, out.IsTruncated, err = s.tagPage("user/"+u.Name, u.Tags, in.Marker, in.MaxItems)
	return out, err
}
