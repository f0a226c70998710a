package identitypool

import (
	"context"
	"strings"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

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
		key := s.mappingKey(name)
		if key == "" {
			return nil, invalidParameter("Invalid role mapping: %s", name)
		}
		mappings[key] = out
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

// mappingKey is the one name under which a provider's role mapping stands, ""
// for what names no provider: a user pool with a client, a social provider, the
// ARN or the name of an OpenID Connect provider, the ARN of a SAML provider.
func (s *Service) mappingKey(name string) string {
	if social()[name] != nil || s.ownARN(name, oidcPart) || s.ownARN(name, samlPart) {
		return name
	}
	if i := strings.LastIndexByte(name, ':'); i > 0 && i < len(name)-1 {
		if pool := s.canonicalProvider(name[:i]); userPoolOf(pool) != "" {
			return pool + name[i:]
		}
	}
	if userPoolOf(s.canonicalProvider(name)) != "" || !strings.Contains(name, ".") || strings.Contains(name, "://") {
		return ""
	}
	return name
}

// maxRules is the quota of rules per mapping.
const maxRules = 25

func mapping(m *api.RoleMapping) (Mapping, error) {
	out := Mapping{Type: string(m.Type), Ambiguous: string(m.AmbiguousRoleResolution)}
	if out.Ambiguous == "" {
		return out, invalidParameter("AmbiguousRoleResolution must be specified for role mapping type %s.", out.Type)
	}
	if out.Type == "Token" {
		if m.RulesConfiguration != nil {
			return out, invalidParameter("RulesConfiguration must not be specified for role mapping type Token.")
		}
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
	if m.Defaults {
		m.Tags = defaultTags()
	}
	names := make(map[string]string, len(m.Tags))
	for tag := range m.Tags {
		names[tag] = ""
	}
	if err := checkSessionTags(names); err != nil {
		return nil, err
	}
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
