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

// maxMerges bounds how many merges are followed.
const maxMerges = 20

// follow returns the identity that an id stands for now: its own, or the one that
// it was merged into.
func (s *Service) follow(tx *store.Tx, id string) (Identity, error) {
	i, err := s.getIdentity(tx, id)
	for n := 0; err == nil && i.MergedInto != "" && n < maxMerges; n++ {
		i, err = s.getIdentity(tx, i.MergedInto)
	}
	return i, err
}

// owners returns the identities to which logins belong, each once.
func (s *Service) owners(tx *store.Tx, pool string, logins []Login) ([]Identity, error) {
	var out []Identity
	for _, l := range logins {
		found, err := s.t.identities.List(tx, store.Query{Index: "by_login", Values: []string{s.cfg.Account, pool, l.Provider, l.Subject}})
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

func loginsOf(proofs []proof) []Login {
	out := make([]Login, len(proofs))
	for i, pr := range proofs {
		out[i] = pr.Login
	}
	return out
}

// link gives an identity the logins that it does not have yet. It has one user of
// each provider: a second one would become the first. The developer's own users
// may be several.
func (s *Service) link(tx *store.Tx, p *Pool, i *Identity, logins []Login) error {
	changed := false
	for _, l := range logins {
		if slices.Contains(i.Logins, l) {
			continue
		}
		if l.Provider != p.Developer && slices.ContainsFunc(i.Logins, func(x Login) bool { return x.Provider == l.Provider }) {
			return loginsDontMatch()
		}
		i.Logins = append(i.Logins, l)
		changed = true
	}
	if !changed {
		return nil
	}
	if len(i.Logins) > maxLogins {
		return tooManyLogins()
	}
	i.Modified = s.now()
	return s.t.identities.Put(tx, *i)
}

// close disables an identity, which has no login any more.
func (s *Service) close(tx *store.Tx, i Identity, into string) error {
	i.Logins, i.Disabled, i.MergedInto, i.Modified = nil, true, into, s.now()
	return s.t.identities.Put(tx, i)
}

// unlink takes logins away. Without any the identity cannot be reached any more
// (API reference, UnlinkIdentity): it does not become a guest's.
func (s *Service) unlink(tx *store.Tx, i Identity, gone func(Login) bool) error {
	kept := slices.DeleteFunc(slices.Clone(i.Logins), gone)
	switch {
	case len(kept) == len(i.Logins):
		return nil
	case len(kept) == 0:
		return s.close(tx, i, "")
	}
	i.Logins, i.Modified = kept, s.now()
	return s.t.identities.Put(tx, i)
}

func conflict() error {
	return &api.ResourceConflictException{Message: "Login linked to a different identity."}
}

func tooManyLogins() error {
	return invalidParameter("An identity cannot have more than %d linked logins.", maxLogins)
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
	if len(proofs) == 0 {
		if err := s.admitGuest(ctx, p.ID); err != nil {
			return nil, err
		}
	}
	fresh, err := s.newID(regionOf(p.ID))
	if err != nil {
		return nil, err
	}
	id, err := s.identityOfLogins(ctx, &p, loginsOf(proofs), fresh)
	return &api.GetIdResponse{IdentityId: &id}, err
}

// identityOfLogins returns the id of the identity that has any of the logins, and
// gives it the others; when there is none it makes one with the id fresh.
func (s *Service) identityOfLogins(ctx context.Context, p *Pool, logins []Login, fresh string) (id string, err error) {
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		owners, err := s.owners(tx, p.ID, logins)
		switch {
		case err != nil:
			return err
		case len(owners) > 1:
			return conflict()
		case len(owners) == 1:
			id = owners[0].ID
			return s.link(tx, p, &owners[0], logins)
		}
		if _, err := s.getPool(tx, p.ID); err != nil { // it may be gone by now
			return err
		}
		now := s.now()
		id = fresh
		return s.t.identities.Insert(tx, Identity{Account: s.cfg.Account, ID: id, Pool: p.ID, Logins: logins, Created: now, Modified: now})
	})
	return id, err
}

// signedIn is who a call of the flows is about.
type signedIn struct {
	identity Identity
	pool     Pool
	proofs   []proof
	own      *ownToken // how a developer's user signed in
}

// guest reports whether nobody signed in.
func (w *signedIn) guest() bool { return len(w.proofs) == 0 && w.own == nil }

// authenticate decides who a call is about: a guest without logins, or an
// identity that one of the verified logins belongs to. New logins are linked. A
// guest who signs in as somebody who has an identity already becomes that one, so
// that the identity may be another than the one that was asked for (API
// reference, GetOpenIdToken).
func (s *Service) authenticate(ctx context.Context, id string, logins map[string]string, ownAllowed bool) (*signedIn, error) {
	i, p, err := s.identity(ctx, id)
	if err != nil {
		return nil, err
	}
	who := &signedIn{identity: i, pool: p}
	if len(logins) == 0 {
		switch {
		case len(i.Logins) > 0 || i.Disabled:
			return nil, forbidden(id)
		case !p.Guests:
			return nil, noGuests()
		}
		return who, nil
	}
	if raw, ok := logins[provider]; ok && ownAllowed {
		if len(logins) > 1 {
			return nil, invalidParameter("A token of %s cannot come with other logins.", provider)
		}
		return who, s.openOwn(ctx, who, raw)
	}
	if who.proofs, err = s.verify(ctx, &p, logins); err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		i, err := s.follow(tx, id)
		if err != nil {
			return err
		}
		who.identity, err = s.signIn(tx, &p, i, loginsOf(who.proofs))
		return err
	})
	if errors.Is(err, store.ErrExists) {
		err = conflict()
	}
	return who, err
}

// signIn gives an identity to who proved these logins: i when it is theirs or a
// guest's, the one that the logins have already when i is a guest's.
func (s *Service) signIn(tx *store.Tx, p *Pool, i Identity, logins []Login) (Identity, error) {
	owners, err := s.owners(tx, p.ID, logins)
	switch {
	case err != nil:
		return i, err
	case i.Disabled:
		return i, forbidden(i.ID)
	case !i.guest() && !slices.ContainsFunc(logins, func(l Login) bool { return slices.Contains(i.Logins, l) }):
		return i, loginsDontMatch()
	}
	others := slices.DeleteFunc(owners, func(o Identity) bool { return o.ID == i.ID })
	switch {
	case len(others) == 0:
		return i, s.link(tx, p, &i, logins)
	case len(others) > 1 || !i.guest():
		return i, conflict()
	}
	if err := s.link(tx, p, &others[0], logins); err != nil {
		return i, err
	}
	return others[0], s.close(tx, i, others[0].ID)
}
