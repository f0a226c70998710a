package iam

import (
	"context"
	"errors"

	"moat/internal/store"
)

// EnsureRoot makes an access key the root of the account. The key is kept in
// memory only: a folder that one process served with a well-known root key does
// not carry it into the next.
func (s *Service) EnsureRoot(_ context.Context, accessKeyID, secret string) error {
	if accessKeyID == "" || secret == "" {
		return errors.New("iam: a root key needs an id and a secret")
	}
	s.root.Store(&rootKey{accessKeyID, secret})
	s.forget()
	return nil
}

type withoutRoot struct{}

// WithoutRoot marks what comes from somebody for whom the root key does not count: its
// secret is known to all, so only where a call comes from can tell who makes it.
func WithoutRoot(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutRoot{}, true)
}

// administrator is the user that CreateAdministrator makes.
const administrator = "administrator"

// CreateAdministrator makes the first user of an installation, allowed to do
// everything, and an access key of it. Once any user exists it does nothing and
// created is false. The secret cannot be had a second time.
func (s *Service) CreateAdministrator(ctx context.Context) (accessKeyID, secret string, created bool, err error) {
	id, err := s.newID("AIDA", entityIDLength)
	if err != nil {
		return "", "", false, err
	}
	key, secret, err := s.newKey(administrator)
	if err != nil {
		return "", "", false, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		created = false
		n, err := s.t.users.Count(tx, store.Query{Prefix: []string{s.cfg.Account}})
		if err != nil || n > 0 {
			return err
		}
		created = true
		u := User{Account: s.cfg.Account, Name: administrator, Path: "/", ID: id, Created: key.Created,
			Policies: Policies{Attached: []string{managedPrefix + "AdministratorAccess"}}}
		if err := s.t.users.Insert(tx, u); err != nil {
			return err
		}
		return s.t.keys.Insert(tx, key)
	})
	if err != nil || !created {
		return "", "", false, err
	}
	return key.ID, secret, true, nil
}

// newKey makes an access key, its secret sealed, and returns the secret beside it.
func (s *Service) newKey(user string) (AccessKey, string, error) {
	id, err := s.newID("AKIA", keyIDLength)
	if err != nil {
		return AccessKey{}, "", err
	}
	secret, err := s.newSecret()
	if err != nil {
		return AccessKey{}, "", err
	}
	sealed, err := s.db.Seal(keyPurpose(id), []byte(secret))
	if err != nil {
		return AccessKey{}, "", err
	}
	return AccessKey{ID: id, Account: s.cfg.Account, User: user, Secret: sealed, Active: true, Created: s.now()}, secret, nil
}
