package iam

import (
	"context"
	"errors"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// maxKeys is IAM's quota of access keys per user.
const maxKeys = 2

func (s *Service) keysOf(tx *store.Tx, user string) ([]AccessKey, error) {
	return s.t.keys.List(tx, store.Query{Index: "by_user", Values: []string{s.cfg.Account, lower(user)}})
}

// keyOf returns a key that belongs to the user.
func (s *Service) keyOf(tx *store.Tx, id, user string) (AccessKey, error) {
	missing := noSuch("The Access Key with id %s cannot be found.", id)
	k, err := s.t.keys.Get(tx, id)
	if err != nil {
		return k, or(err, missing, nil)
	}
	if k.Account != s.cfg.Account || lower(k.User) != lower(user) {
		return k, missing
	}
	return k, nil
}

// CreateAccessKey implements iamapi.Service.
func (s *Service) CreateAccessKey(ctx context.Context, in *iamapi.CreateAccessKeyRequest) (*iamapi.CreateAccessKeyResponse, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	k, secret, err := s.newKey(name)
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		u, err := s.getUser(tx, name)
		if err != nil {
			return err
		}
		have, err := s.keysOf(tx, u.Name)
		if err != nil {
			return err
		}
		if len(have) >= maxKeys {
			return limit("Cannot exceed quota for AccessKeysPerUser: %d", maxKeys)
		}
		k.User = u.Name
		return s.t.keys.Insert(tx, k)
	})
	if err != nil {
		return nil, err
	}
	return &iamapi.CreateAccessKeyResponse{AccessKey: &iamapi.AccessKey{
		AccessKeyId: k.ID, SecretAccessKey: secret, UserName: k.User, Status: "Active", CreateDate: &k.Created,
	}}, nil
}

// UpdateAccessKey implements iamapi.Service.
func (s *Service) UpdateAccessKey(ctx context.Context, in *iamapi.UpdateAccessKeyRequest) (*iamapi.UpdateAccessKeyOutput, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		k, err := s.keyOf(tx, in.AccessKeyId, name)
		if err != nil {
			return err
		}
		k.Active = in.Status == "Active"
		return s.t.keys.Put(tx, k)
	})
}

// DeleteAccessKey implements iamapi.Service.
func (s *Service) DeleteAccessKey(ctx context.Context, in *iamapi.DeleteAccessKeyRequest) (*iamapi.DeleteAccessKeyOutput, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		k, err := s.keyOf(tx, in.AccessKeyId, name)
		if err != nil {
			return err
		}
		if err := s.used.keys.Delete(tx, k.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return s.t.keys.Delete(tx, k.ID)
	})
}

// ListAccessKeys implements iamapi.Service.
func (s *Service) ListAccessKeys(ctx context.Context, in *iamapi.ListAccessKeysRequest) (*iamapi.ListAccessKeysResponse, error) {
	name, err := userName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	var keys []AccessKey
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := s.getUser(tx, name); err != nil {
			return err
		}
		keys, err = s.keysOf(tx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListAccessKeysResponse{AccessKeyMetadata: []iamapi.AccessKeyMetadata{}}
	keys, out.Marker, out.IsTruncated, err = page(s, "keys/"+name, keys, func(k *AccessKey) string { return k.ID }, in.Marker, in.MaxItems)
	for _, k := range keys {
		status := iamapi.StatusType("Inactive")
		if k.Active {
			status = "Active"
		}
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, iamapi.AccessKeyMetadata{AccessKeyId: wire.String(k.ID), CreateDate: wire.Time(k.Created), Status: status, UserName: wire.String(k.User)})
	}
	return out, err
}
