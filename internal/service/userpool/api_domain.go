package userpool

import (
	"context"
	"errors"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

var domainShape = lazyregexp.New(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// CreateUserPoolDomain gives a pool a prefix under which its OAuth endpoints
// answer. A prefix belongs to one pool; a pool has one.
func (s *Service) CreateUserPoolDomain(ctx context.Context, in *api.CreateUserPoolDomainRequest) (*api.CreateUserPoolDomainResponse, error) {
	if in.CustomDomainConfig != nil {
		return nil, notImplemented("CreateUserPoolDomain", "custom domains are not available yet.")
	}
	if !domainShape.MatchString(in.Domain) || strings.Contains(in.Domain, "aws") || strings.Contains(in.Domain, "amazon") || strings.Contains(in.Domain, "cognito") {
		return nil, exception(refuse(invalidParameter, "Domain cannot contain reserved word or invalid characters: "+in.Domain))
	}
	err := s.update(ctx, func(tx *store.Tx) error {
		p, err := s.poolHere(ctx, tx, in.UserPoolId)
		if err != nil {
			return err
		}
		if p.Domain != "" {
			return refuse(invalidParameter, "User pool already has a domain configured.")
		}
		err = s.tables.domains.Insert(tx, Domain{Name: in.Domain, Pool: p.ID, ManagedLoginVersion: in.ManagedLoginVersion})
		if errors.Is(err, store.ErrExists) {
			return refuse(invalidParameter, "Domain already associated with another user pool.")
		}
		if err != nil {
			return err
		}
		p.Domain = in.Domain
		return s.tables.pools.Put(tx, p)
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateUserPoolDomainResponse{ManagedLoginVersion: in.ManagedLoginVersion}, nil
}

// DescribeUserPoolDomain answers with a domain, or with an empty description for
// one that nobody has, as AWS does.
func (s *Service) DescribeUserPoolDomain(ctx context.Context, in *api.DescribeUserPoolDomainRequest) (*api.DescribeUserPoolDomainResponse, error) {
	out := &api.DescribeUserPoolDomainResponse{DomainDescription: &api.DomainDescriptionType{}}
	err := s.view(ctx, func(tx *store.Tx) error {
		d, err := s.tables.domains.Get(tx, in.Domain)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := s.poolHere(ctx, tx, d.Pool); err != nil {
			return nil // of another region
		}
		out.DomainDescription = &api.DomainDescriptionType{
			Domain: &d.Name, UserPoolId: &d.Pool, AWSAccountId: &s.account, Status: api.DomainStatusTypeACTIVE,
			CustomDomainConfig: nil, ManagedLoginVersion: d.ManagedLoginVersion, Version: wire.String("1"),
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// UpdateUserPoolDomain changes the version of the login pages.
func (s *Service) UpdateUserPoolDomain(ctx context.Context, in *api.UpdateUserPoolDomainRequest) (*api.UpdateUserPoolDomainResponse, error) {
	if in.CustomDomainConfig != nil {
		return nil, notImplemented("UpdateUserPoolDomain", "custom domains are not available yet.")
	}
	err := s.update(ctx, func(tx *store.Tx) error {
		d, _, err := s.domainOf(ctx, tx, in.UserPoolId, in.Domain)
		if err != nil {
			return err
		}
		d.ManagedLoginVersion = in.ManagedLoginVersion
		return s.tables.domains.Put(tx, d)
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateUserPoolDomainResponse{ManagedLoginVersion: in.ManagedLoginVersion}, nil
}

func (s *Service) domainOf(ctx context.Context, tx *store.Tx, poolID, name string) (Domain, Pool, error) {
	p, err := s.poolHere(ctx, tx, poolID)
	if err != nil {
		return Domain{}, p, err
	}
	d, err := s.tables.domains.Get(tx, name)
	if errors.Is(err, store.ErrNotFound) || (err == nil && d.Pool != p.ID) {
		err = refuse(invalidParameter, "No such domain or user pool exists.")
	}
	return d, p, err
}

// DeleteUserPoolDomain takes a pool's prefix away.
func (s *Service) DeleteUserPoolDomain(ctx context.Context, in *api.DeleteUserPoolDomainRequest) (*api.DeleteUserPoolDomainResponse, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		d, p, err := s.domainOf(ctx, tx, in.UserPoolId, in.Domain)
		if err != nil {
			return err
		}
		if err := s.tables.domains.Delete(tx, d.Name); err != nil {
			return err
		}
		p.Domain = ""
		return s.tables.pools.Put(tx, p)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteUserPoolDomainResponse{}, nil
}

// PoolByDomain finds the pool that answers under a prefix.
func (s *Service) PoolByDomain(ctx context.Context, domain string) (poolID string, ok bool) {
	err := s.db.View(ctx, func(tx *store.Tx) error {
		d, err := s.tables.domains.Get(tx, domain)
		poolID = d.Pool
		return err
	})
	return poolID, err == nil
}
