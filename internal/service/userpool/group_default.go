package userpool

import (
	"errors"

	"moat/internal/store"
)

// tagDefaultGroup is the tag by which a pool names the group that new users join by
// themselves. Cognito has no such thing; it is Moat's own.
const tagDefaultGroup = "moat:default-group"

// joinDefaultGroup makes a new user a member of the pool's default group. A group that is
// not there (yet) is joined by nobody: registering must not fail for it.
func (s *Service) joinDefaultGroup(tx *store.Tx, p *Pool, u *User) error {
	name := p.Tags[tagDefaultGroup]
	if name == "" {
		return nil
	}
	g, err := s.tables.groups.Get(tx, p.ID, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.tables.members.Put(tx, Member{Pool: p.ID, Group: g.Name, User: u.Key})
}
