package identitypool

import (
	"context"
	"encoding/base64"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// fill sets what a description of a pool may say, and refuses what does not
// exist here.
func (s *Service) fill(p *Pool, in *api.IdentityPool, op string) error {
	switch {
	case len(in.OpenIdConnectProviderARNs) > 0, len(in.SamlProviderARNs) > 0, len(in.SupportedLoginProviders) > 0:
		return wire.NotImplementedBecause("cognito-identity", op, "identity pools accept sign-ins of user pools only; OpenID Connect, SAML and social providers are not supported")
	case wire.Value(in.DeveloperProviderName) != "":
		return wire.NotImplementedBecause("cognito-identity", op, "developer authenticated identities are not supported")
	}
	p.Name, p.Guests, p.Classic = in.IdentityPoolName, in.AllowUnauthenticatedIdentities, wire.Value(in.AllowClassicFlow)
	p.Providers = nil
	for _, c := range in.CognitoIdentityProviders {
		// A provider without an audience would accept the tokens of every client.
		if wire.Value(c.ProviderName) == "" || wire.Value(c.ClientId) == "" {
			return invalidParameter("Cognito identity providers need a ProviderName and a ClientId.")
		}
		p.Providers = append(p.Providers, Provider{Name: s.canonicalProvider(*c.ProviderName), Client: *c.ClientId, ServerCheck: wire.Value(c.ServerSideTokenCheck)})
	}
	if in.IdentityPoolTags != nil {
		p.Tags = in.IdentityPoolTags
	}
	return nil
}

func poolOut(p *Pool) *api.IdentityPool {
	out := &api.IdentityPool{
		IdentityPoolId: p.ID, IdentityPoolName: p.Name, AllowUnauthenticatedIdentities: p.Guests, IdentityPoolTags: p.Tags,
	}
	if p.Classic {
		out.AllowClassicFlow = wire.Bool(true)
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

// CreateIdentityPool implements cognitoidentityapi.Service.
func (s *Service) CreateIdentityPool(ctx context.Context, in *api.CreateIdentityPoolInput) (*api.IdentityPool, error) {
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
	err = s.db.Update(ctx, func(tx *store.Tx) error { return s.t.pools.Insert(tx, p) })
	return poolOut(&p), err
}

// DescribeIdentityPool implements cognitoidentityapi.Service.
func (s *Service) DescribeIdentityPool(ctx context.Context, in *api.DescribeIdentityPoolInput) (*api.IdentityPool, error) {
	p, err := s.pool(ctx, in.IdentityPoolId)
	return poolOut(&p), err
}

// UpdateIdentityPool implements cognitoidentityapi.Service. What the input leaves
// out is taken away, except tags.
func (s *Service) UpdateIdentityPool(ctx context.Context, in *api.IdentityPool) (*api.IdentityPool, error) {
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

// SetIdentityPoolRoles implements cognitoidentityapi.Service. The caller must be
// allowed to pass every role.
func (s *Service) SetIdentityPoolRoles(ctx context.Context, in *api.SetIdentityPoolRolesInput) (*api.SetIdentityPoolRolesOutput, error) {
	mappings := map[string]Mapping{}
	passed := map[string]bool{}
	for kind, role := range in.Roles {
		if kind != "authenticated" && kind != "unauthenticated" {
			return nil, invalidParameter("Invalid role type: %s", kind)
		}
		passed[role] = true
	}
	for name, m := range in.RoleMappings {
		out, err := mapping(&m)
		if err != nil {
			return nil, err
		}
		for _, r := range out.Rules {
			passed[r.Role] = true
		}
		i := strings.LastIndexByte(name, ':') // provider:client
		if i < 0 {
			return nil, invalidParameter("Invalid role mapping: %s", name)
		}
		mappings[s.canonicalProvider(name[:i])+name[i:]] = out
	}
	for role := range passed {
		if err := s.cfg.Roles.PassRole(ctx, wire.CallFrom(ctx).Caller, role, provider); err != nil {
			return nil, err
		}
	}
	_, err := s.updatePool(ctx, in.IdentityPoolId, func(p *Pool) error {
		p.Roles, p.Mappings = in.Roles, mappings
		return nil
	})
	return nil, err
}

// maxRules is the quota of rules per mapping.
const maxRules = 25

func mapping(m *api.RoleMapping) (Mapping, error) {
	out := Mapping{Type: string(m.Type), Ambiguous: string(m.AmbiguousRoleResolution)}
	if out.Ambiguous == "" {
		return out, invalidParameter("AmbiguousRoleResolution must be specified for role mapping type %s.", out.Type)
	}
	if out.Type == "Token" {
		return out, nil
	}
	if m.RulesConfiguration == nil || len(m.RulesConfiguration.Rules) == 0 || len(m.RulesConfiguration.Rules) > maxRules {
		return out, invalidParameter("RulesConfiguration must have between 1 and %d rules.", maxRules)
	}
	for _, r := range m.RulesConfiguration.Rules {
		out.Rules = append(out.Rules, Rule{Claim: r.Claim, Match: string(r.MatchType), Value: r.Value, Role: r.RoleARN})
	}
	return out, nil
}

// GetIdentityPoolRoles implements cognitoidentityapi.Service.
func (s *Service) GetIdentityPoolRoles(ctx context.Context, in *api.GetIdentityPoolRolesInput) (*api.GetIdentityPoolRolesResponse, error) {
	p, err := s.pool(ctx, in.IdentityPoolId)
	if err != nil {
		return nil, err
	}
	out := &api.GetIdentityPoolRolesResponse{IdentityPoolId: &p.ID, Roles: p.Roles}
	for name, m := range p.Mappings {
		r := api.RoleMapping{Type: api.RoleMappingType(m.Type), AmbiguousRoleResolution: api.AmbiguousRoleResolutionType(m.Ambiguous)}
		if m.Type == "Rules" {
			r.RulesConfiguration = &api.RulesConfigurationType{}
			for _, x := range m.Rules {
				r.RulesConfiguration.Rules = append(r.RulesConfiguration.Rules, api.MappingRule{Claim: x.Claim, MatchType: api.MappingRuleMatchType(x.Match), Value: x.Value, RoleARN: x.Role})
			}
		}
		if out.RoleMappings == nil {
			out.RoleMappings = map[string]api.RoleMapping{}
		}
		out.RoleMappings[name] = r
	}
	return out, nil
}

// SetPrincipalTagAttributeMap implements cognitoidentityapi.Service.
func (s *Service) SetPrincipalTagAttributeMap(ctx context.Context, in *api.SetPrincipalTagAttributeMapInput) (*api.SetPrincipalTagAttributeMapResponse, error) {
	name := s.canonicalProvider(in.IdentityProviderName)
	m := TagMap{Defaults: wire.Value(in.UseDefaults), Tags: in.PrincipalTags}
	p, err := s.updatePool(ctx, in.IdentityPoolId, func(p *Pool) error {
		if p.TagMaps == nil {
			p.TagMaps = map[string]TagMap{}
		}
		p.TagMaps[name] = m
		return nil
	})
	return &api.SetPrincipalTagAttributeMapResponse{IdentityPoolId: &p.ID, IdentityProviderName: &in.IdentityProviderName, PrincipalTags: m.Tags, UseDefaults: &m.Defaults}, err
}

// GetPrincipalTagAttributeMap implements cognitoidentityapi.Service.
func (s *Service) GetPrincipalTagAttributeMap(ctx context.Context, in *api.GetPrincipalTagAttributeMapInput) (*api.GetPrincipalTagAttributeMapResponse, error) {
	p, err := s.pool(ctx, in.IdentityPoolId)
	m := p.TagMaps[s.canonicalProvider(in.IdentityProviderName)]
	return &api.GetPrincipalTagAttributeMapResponse{IdentityPoolId: &p.ID, IdentityProviderName: &in.IdentityProviderName, PrincipalTags: m.Tags, UseDefaults: &m.Defaults}, err
}
