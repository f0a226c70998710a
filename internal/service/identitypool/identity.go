package identitypool

import (
	"context"
	"errors"
	"slices"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidentityapi"
)

func (s *Service) getPool(tx *store.Tx, id string) (Pool, error) {
	p, err := s.t.pools.Get(tx, s.cfg.Account, id)
	return p, missing(err, noPool(id))
}

func (s *Service) getIdentity(tx *store.Tx, id string) (Identity, error) {
	i, err := s.t.identities.Get(tx, s.cfg.Account, id)
	return i, missing(err, noIdentity(id))
}

func (s *Service) pool(ctx context.Context, id string) (p Pool, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		p, err = s.getPool(tx, id)
		return err
	})
	return p, err
}

// identity returns an identity and its pool.
func (s *Service) identity(ctx context.Context, id string) (i Identity, p Pool, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if i, err = s.getIdentity(tx, id); err != nil {
			return err
		}
		p, err = s.getPool(tx, i.Pool)
		return missing(err, noIdentity(id))
	})
	return i, p, err
}

// owners returns the identities to which logins belong, each once.
func (s *Service) owners(tx *store.Tx, pool string, proofs []proof) ([]Identity, error) {
	var out []Identity
	for _, pr := range proofs {
		found, err := s.t.identities.List(tx, store.Query{Index: "by_login", Values: []string{s.cfg.Account, pool, pr.Provider, pr.Subject}})
		if err != nil {
			return nil, err
		}
		for _, i := range found {
			if !slices.ContainsFunc(out, func(x Identity) bool { return x.ID == i.ID }) {
				out = append(out, i)
			}
		}
	}
	return out, nil
}

// link gives an identity the logins it does not have yet.
func (s *Service) link(tx *store.Tx, i *Identity, proofs []proof) error {
	changed := false
	for _, pr := range proofs {
		if !slices.Contains(i.Logins, pr.Login) {
			i.Logins = append(i.Logins, pr.Login)
			changed = true
		}
	}
	if !changed {
		return nil
	}
	i.Modified = s.now()
	return s.t.identities.Put(tx, *i)
}

// GetId implements cognitoidentityapi.Service. The same login always gets the
// same identity; each call of a guest makes a new one.
func (s *Service) GetId(ctx context.Context, in *api.GetIdInput) (*api.GetIdResponse, error) {
	p, err := s.pool(ctx, in.IdentityPoolId)
	if err != nil {
		return nil, err
	}
	if len(in.Logins) == 0 && !p.Guests {
		return nil, noGuests()
	}
	proofs, err := s.verify(ctx, &p, in.Logins)
	if err != nil {
		return nil, err
	}
	id, err := s.newID(regionOf(p.ID))
	if err != nil {
		return nil, err
	}
	out := ""
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		owners, err := s.owners(tx, p.ID, proofs)
		switch {
		case err != nil:
			return err
		case len(owners) > 1:
			return conflict()
		case len(owners) == 1:
			out = owners[0].ID
			return s.link(tx, &owners[0], proofs)
		}
		if _, err := s.getPool(tx, p.ID); err != nil { // it may be gone by now
			return err
		}
		now := s.now()
		i := Identity{Account: s.cfg.Account, ID: id, Pool: p.ID, Created: now, Modified: now}
		for _, pr := range proofs {
			i.Logins = append(i.Logins, pr.Login)
		}
		out = id
		return s.t.identities.Insert(tx, i)
	})
	return &api.GetIdResponse{IdentityId: &out}, err
}

func conflict() error {
	return &api.ResourceConflictException{Message: "Login linked to a different identity."}
}

// authenticate decides who a call is about: a guest without logins, or an
// identity that one of the verified logins belongs to. New logins are linked.
func (s *Service) authenticate(ctx context.Context, id string, logins map[string]string) (Identity, Pool, []proof, error) {
	i, p, err := s.identity(ctx, id)
	if err != nil {
		return i, p, nil, err
	}
	if len(logins) == 0 {
		switch {
		case len(i.Logins) > 0:
			return i, p, nil, forbidden(id)
		case !p.Guests:
			return i, p, nil, noGuests()
		}
		return i, p, nil, nil
	}
	proofs, err := s.verify(ctx, &p, logins)
	if err != nil {
		return i, p, nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if i, err = s.getIdentity(tx, id); err != nil {
			return err
		}
		if len(i.Logins) > 0 && !slices.ContainsFunc(proofs, func(pr proof) bool { return slices.Contains(i.Logins, pr.Login) }) {
			return loginsDontMatch()
		}
		owners, err := s.owners(tx, p.ID, proofs)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(owners, func(o Identity) bool { return o.ID != id }) {
			return conflict()
		}
		// One user of each provider: a second one would become the first.
		for _, pr := range proofs {
			if slices.ContainsFunc(i.Logins, func(l Login) bool { return l.Provider == pr.Provider && l.Subject != pr.Subject }) {
				return loginsDontMatch()
			}
		}
		return s.link(tx, &i, proofs)
	})
	if errors.Is(err, store.ErrExists) {
		err = conflict()
	}
	return i, p, proofs, err
}
