package identitypool

import (
	"context"
	"errors"
	"slices"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// developerLife is how long a developer identity's token lives when nothing is
// said (API reference, GetOpenIdTokenForDeveloperIdentity).
const developerLife = 15 * time.Minute

func wrongDeveloper() error {
	return invalidParameter("This identity pool does not support the specified developer provider.")
}

// GetOpenIdTokenForDeveloperIdentity implements cognitoidentityapi.Service: the
// developer's back end vouches for its user, who gets an identity, or whose login
// is linked to the identity given.
func (s *Service) GetOpenIdTokenForDeveloperIdentity(ctx context.Context, in *api.GetOpenIdTokenForDeveloperIdentityInput) (*api.GetOpenIdTokenForDeveloperIdentityResponse, error) {
	p, err := s.pool(ctx, in.IdentityPoolId)
	if err != nil {
		return nil, err
	}
	user, public, err := s.developerLogins(ctx, &p, in.Logins)
	if err != nil {
		return nil, err
	}
	tags, err := principalTags(&p, public)
	if err != nil {
		return nil, err
	}
	for k, v := range in.PrincipalTags {
		tags[k] = v
	}
	if err := checkSessionTags(tags); err != nil {
		return nil, err
	}
	var id string
	if in.IdentityId != nil {
		id, err = s.linkDeveloper(ctx, &p, *in.IdentityId, user, loginsOf(public))
	} else if id, err = s.newID(regionOf(p.ID)); err == nil {
		id, err = s.identityOfLogins(ctx, &p, append([]Login{user}, loginsOf(public)...), id)
	}
	if err != nil {
		return nil, err
	}
	life := developerLife
	if in.TokenDuration != nil {
		life = time.Duration(*in.TokenDuration) * time.Second
	}
	how := append([]string{"authenticated"}, developerAMR(&p, user.Subject)...)
	for _, pr := range public {
		how = append(how, pr.amr...)
	}
	signed, err := s.issue(ctx, p.ID, id, how, tags, life)
	return &api.GetOpenIdTokenForDeveloperIdentityResponse{IdentityId: &id, Token: &signed}, err
}

// developerLogins splits logins into the developer's user and what public
// providers prove.
func (s *Service) developerLogins(ctx context.Context, p *Pool, logins map[string]string) (Login, []proof, error) {
	name, there := logins[p.Developer]
	if p.Developer == "" || !there {
		return Login{}, nil, wrongDeveloper()
	}
	if len(name) > 1024 {
		return Login{}, nil, invalidParameter("A developer user identifier cannot be longer than 1024.")
	}
	others := map[string]string{}
	for k, v := range logins {
		if k != p.Developer {
			others[k] = v
		}
	}
	public, err := s.verify(ctx, p, others)
	return Login{p.Developer, name}, public, err
}

// linkDeveloper gives an identity a developer's user: a guest's, or one that has
// one of the logins already.
func (s *Service) linkDeveloper(ctx context.Context, p *Pool, id string, user Login, public []Login) (string, error) {
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		i, err := s.follow(tx, id)
		if err != nil {
			return err
		}
		if i.Pool != p.ID {
			return noIdentity(id)
		}
		owners, err := s.owners(tx, p.ID, []Login{user})
		if err != nil {
			return err
		}
		if len(owners) > 0 && owners[0].ID != i.ID {
			return &api.DeveloperUserAlreadyRegisteredException{Message: "The provided developer user identifier is already registered with Cognito under a different identity ID."}
		}
		logins := append([]Login{user}, public...)
		if owners, err = s.owners(tx, p.ID, public); err != nil {
			return err
		}
		switch {
		case i.Disabled:
			return forbidden(i.ID)
		case !i.guest() && !slices.ContainsFunc(logins, func(l Login) bool { return slices.Contains(i.Logins, l) }):
			return loginsDontMatch()
		case slices.ContainsFunc(owners, func(o Identity) bool { return o.ID != i.ID }):
			return conflict()
		}
		id = i.ID
		return s.link(tx, p, &i, logins)
	})
	if errors.Is(err, store.ErrExists) {
		err = conflict()
	}
	return id, err
}

// developerOwner is the identity of a developer's user.
func (s *Service) developerOwner(tx *store.Tx, p *Pool, user string) (Identity, error) {
	owners, err := s.owners(tx, p.ID, []Login{{p.Developer, user}})
	if err == nil && len(owners) == 0 {
		err = &api.ResourceNotFoundException{Message: "Developer user identifier not found."}
	}
	if err != nil {
		return Identity{}, err
	}
	return owners[0], nil
}

func (p *Pool) usersOf(i *Identity) []string {
	var out []string
	for _, l := range i.Logins {
		if l.Provider == p.Developer {
			out = append(out, l.Subject)
		}
	}
	slices.Sort(out)
	return out
}

// LookupDeveloperIdentity implements cognitoidentityapi.Service. Of identity and
// user the one that is missing is found; both are compared.
func (s *Service) LookupDeveloperIdentity(ctx context.Context, in *api.LookupDeveloperIdentityInput) (*api.LookupDeveloperIdentityResponse, error) {
	if in.IdentityId == nil && in.DeveloperUserIdentifier == nil {
		return nil, invalidParameter("Either IdentityId or DeveloperUserIdentifier must be provided.")
	}
	p, err := s.pool(ctx, in.IdentityPoolId)
	if err != nil {
		return nil, err
	}
	if p.Developer == "" {
		return nil, wrongDeveloper()
	}
	list := "developers/" + p.ID + "/" + wire.Value(in.IdentityId)
	after, err := s.openToken(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	var i Identity
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if in.DeveloperUserIdentifier != nil {
			i, err = s.developerOwner(tx, &p, *in.DeveloperUserIdentifier)
			if err == nil && in.IdentityId != nil && *in.IdentityId != i.ID {
				err = conflict()
			}
			return err
		}
		if i, err = s.getIdentity(tx, *in.IdentityId); err == nil && i.Pool != p.ID {
			err = noIdentity(*in.IdentityId)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.LookupDeveloperIdentityResponse{IdentityId: &i.ID, DeveloperUserIdentifierList: []string{}}
	if in.DeveloperUserIdentifier != nil {
		out.DeveloperUserIdentifierList = []string{*in.DeveloperUserIdentifier}
		return out, nil
	}
	users := slices.DeleteFunc(p.usersOf(&i), func(u string) bool { return u <= after })
	if n := int(wire.Value(in.MaxResults)); n > 0 && len(users) > n {
		users = users[:n]
		out.NextToken, err = s.sealToken(list, users[n-1])
	}
	out.DeveloperUserIdentifierList = append(out.DeveloperUserIdentifierList, users...)
	return out, err
}

// MergeDeveloperIdentities implements cognitoidentityapi.Service: the logins of
// the source go to the destination's identity, the source's stands for it from
// then on.
func (s *Service) MergeDeveloperIdentities(ctx context.Context, in *api.MergeDeveloperIdentitiesInput) (*api.MergeDeveloperIdentitiesResponse, error) {
	var id string
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.getPool(tx, in.IdentityPoolId)
		if err != nil {
			return err
		}
		if p.Developer == "" || in.DeveloperProviderName != p.Developer {
			return wrongDeveloper()
		}
		from, err := s.developerOwner(tx, &p, in.SourceUserIdentifier)
		if err != nil {
			return err
		}
		to, err := s.developerOwner(tx, &p, in.DestinationUserIdentifier)
		if err != nil {
			return err
		}
		if id = to.ID; from.ID == to.ID {
			return nil
		}
		if both := slices.ContainsFunc(from.Logins, func(l Login) bool {
			return l.Provider != p.Developer && slices.ContainsFunc(to.Logins, func(x Login) bool { return x.Provider == l.Provider })
		}); both {
			return &api.ResourceConflictException{Message: "The identities have different logins of the same provider."}
		}
		moved := from.Logins // a login has one identity at a time: taken away first
		if err := s.close(tx, from, to.ID); err != nil {
			return err
		}
		return s.link(tx, &p, &to, moved)
	})
	return &api.MergeDeveloperIdentitiesResponse{IdentityId: &id}, err
}

// UnlinkDeveloperIdentity implements cognitoidentityapi.Service. The user gets a
// new identity the next time.
func (s *Service) UnlinkDeveloperIdentity(ctx context.Context, in *api.UnlinkDeveloperIdentityInput) (*api.UnlinkDeveloperIdentityOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.getPool(tx, in.IdentityPoolId)
		if err != nil {
			return err
		}
		if p.Developer == "" || in.DeveloperProviderName != p.Developer {
			return wrongDeveloper()
		}
		i, err := s.getIdentity(tx, in.IdentityId)
		if err != nil {
			return err
		}
		if i.Pool != p.ID {
			return noIdentity(in.IdentityId)
		}
		login := Login{p.Developer, in.DeveloperUserIdentifier}
		if !slices.Contains(i.Logins, login) {
			return &api.ResourceConflictException{Message: "The developer user identifier is not linked to this identity."}
		}
		return s.unlink(tx, i, func(l Login) bool { return l == login })
	})
}
