package identitypool

import (
	"context"
	"encoding/base64"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

func poolOut(p *Pool) *api.IdentityPool {
	out := &api.IdentityPool{
		IdentityPoolId: p.ID, IdentityPoolName: p.Name, AllowUnauthenticatedIdentities: p.Guests, IdentityPoolTags: p.Tags,
	}
	out.SupportedLoginProviders, out.OpenIdConnectProviderARNs, out.SamlProviderARNs = p.Social, p.OIDC, p.SAML
	if p.Classic {
		out.AllowClassicFlow = wire.Bool(true)
	}
	if p.Developer != "" {
		out.DeveloperProviderName = wire.String(p.Developer)
	}
	for _, c := range p.Providers {
		out.CognitoIdentityProviders = append(out.CognitoIdentityProviders, api.CognitoIdentityProvider{
			ProviderName: wire.String(c.Name), ClientId: wire.String(c.Client), ServerSideTokenCheck: wire.Bool(c.ServerCheck),
		})
	}
	return out
}

func (s *Service) updatePool(ctx context.Context, id string, change func(*Pool) error) (p Pool, err error) {
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if p, err = s.getPool(tx, id); err != nil {
			return err
		}
		if err := change(&p); err != nil {
			return err
		}
		return s.t.pools.Put(tx, p)
	})
	return p, err
}

// maxPools is the quota of identity pools per account.
const maxPools = 1000

// CreateIdentityPool implements cognitoidentityapi.Service.
func (s *Service) CreateIdentityPool(ctx context.Context, in *api.CreateIdentityPoolInput) (*api.IdentityPool, error) {
	if err := checkTags(ctx, in.IdentityPoolTags); err != nil {
		return nil, err
	}
	id, err := s.newID(wire.CallFrom(ctx).Region)
	if err != nil {
		return nil, err
	}
	p := Pool{Account: s.cfg.Account, ID: id, Created: s.now()}
	err = s.fill(&p, &api.IdentityPool{
		IdentityPoolName: in.IdentityPoolName, AllowUnauthenticatedIdentities: in.AllowUnauthenticatedIdentities, AllowClassicFlow: in.AllowClassicFlow,
		CognitoIdentityProviders: in.CognitoIdentityProviders, DeveloperProviderName: in.DeveloperProviderName, IdentityPoolTags: in.IdentityPoolTags,
		OpenIdConnectProviderARNs: in.OpenIdConnectProviderARNs, SamlProviderARNs: in.SamlProviderARNs, SupportedLoginProviders: in.SupportedLoginProviders,
	}, "CreateIdentityPool")
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		there, err := s.t.pools.List(tx, store.Query{Prefix: []string{s.cfg.Account}, Limit: maxPools})
		if err != nil {
			return err
		}
		if len(there) >= maxPools {
			return &api.LimitExceededException{Message: "Cannot exceed quota of identity pools: 1000"}
		}
		return s.t.pools.Insert(tx, p)
	})
	return poolOut(&p), err
}

// DescribeIdentityPool implements cognitoidentityapi.Service.
func (s *Service) DescribeIdentityPool(ctx context.Context, in *api.DescribeIdentityPoolInput) (*api.IdentityPool, error) {
	p, err := s.pool(ctx, in.IdentityPoolId)
	return poolOut(&p), err
}

// UpdateIdentityPool implements cognitoidentityapi.Service. What the input leaves
// out is taken away, except tags and the developer provider's name.
func (s *Service) UpdateIdentityPool(ctx context.Context, in *api.IdentityPool) (*api.IdentityPool, error) {
	if err := checkTags(ctx, in.IdentityPoolTags); err != nil {
		return nil, err
	}
	p, err := s.updatePool(ctx, in.IdentityPoolId, func(p *Pool) error { return s.fill(p, in, "UpdateIdentityPool") })
	return poolOut(&p), err
}

// DeleteIdentityPool implements cognitoidentityapi.Service. Its identities go with
// it; credentials they hold live on until they expire.
func (s *Service) DeleteIdentityPool(ctx context.Context, in *api.DeleteIdentityPoolInput) (*api.DeleteIdentityPoolOutput, error) {
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		if err := s.t.pools.Delete(tx, s.cfg.Account, in.IdentityPoolId); err != nil {
			return missing(err, noPool(in.IdentityPoolId))
		}
		list, err := s.t.identities.List(tx, store.Query{Index: "by_pool", Values: []string{s.cfg.Account, in.IdentityPoolId}})
		for _, i := range list {
			if err := s.t.identities.Delete(tx, s.cfg.Account, i.ID); err != nil {
				return err
			}
		}
		return err
	})
}

// ListIdentityPools implements cognitoidentityapi.Service.
func (s *Service) ListIdentityPools(ctx context.Context, in *api.ListIdentityPoolsInput) (*api.ListIdentityPoolsResponse, error) {
	out := &api.ListIdentityPoolsResponse{IdentityPools: []api.IdentityPoolShortDescription{}}
	region := wire.CallFrom(ctx).Region
	after, err := s.openToken("pools/"+region, in.NextToken)
	if err != nil {
		return nil, err
	}
	q := store.Query{Prefix: []string{s.cfg.Account}, Begins: region + ":", Limit: int(in.MaxResults) + 1}
	if after != "" {
		q.After = []string{s.cfg.Account, after}
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		list, err := s.t.pools.List(tx, q)
		if err != nil {
			return err
		}
		if len(list) > int(in.MaxResults) {
			list = list[:in.MaxResults]
			out.NextToken, err = s.sealToken("pools/"+region, list[len(list)-1].ID)
		}
		for _, p := range list {
			out.IdentityPools = append(out.IdentityPools, api.IdentityPoolShortDescription{IdentityPoolId: wire.String(p.ID), IdentityPoolName: wire.String(p.Name)})
		}
		return err
	})
	return out, err
}

// sealToken makes a pagination token that nobody can alter or use elsewhere.
func (s *Service) sealToken(list, last string) (*string, error) {
	b, err := s.db.Seal("identitypool/page/"+list, []byte(last))
	return wire.String(base64.RawURLEncoding.EncodeToString(b)), err
}

func (s *Service) openToken(list string, t *string) (string, error) {
	if t == nil {
		return "", nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(*t)
	if err == nil {
		b, err = s.db.Unseal("identitypool/page/"+list, b)
	}
	if err != nil {
		return "", invalidParameter("Invalid NextToken.")
	}
	return string(b), nil
}
