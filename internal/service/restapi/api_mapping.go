package restapi

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// CreateBasePathMapping leads a base path of a custom domain name to a stage of an API, or without
// a stage to the API, whose stage the next segment of a path names.
func (s *Service) CreateBasePathMapping(ctx context.Context, in *apigatewayapi.CreateBasePathMappingRequest) (*apigatewayapi.BasePathMapping, error) {
	p := s.place(ctx)
	base := cmp.Or(wire.Value(in.BasePath), noBasePath)
	m := mapping{Account: p.account, Region: p.region, BasePath: base,
		Mapping: apigatewayapi.BasePathMapping{BasePath: &base, RestApiId: &in.RestApiId, Stage: in.Stage}}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		d, err := s.domain(tx, p, in.DomainName, in.DomainNameId)
		if err != nil {
			return err
		}
		m.Domain = d.key()
		if err := s.checkMapping(tx, p, &m); err != nil {
			return err
		}
		err = s.tables.mappings.Insert(tx, m)
		if errors.Is(err, store.ErrExists) {
			return conflict("Base path already exists for this domain name")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &m.Mapping, s.PublishAll(ctx)
}

// checkMapping holds a mapping to what it leads to.
func (s *Service) checkMapping(tx *store.Tx, p place, m *mapping) error {
	switch base := m.BasePath; {
	case strings.Contains(base, "/"):
		return badRequest("API Gateway V1 doesn't support the slash character (/) in base path mappings. To create a multi-level base path mapping, use API Gateway V2.")
	case base != noBasePath && (!pathPart.MatchString(base) || isParameter(base) || len(base) > 300):
		return badRequest("Invalid base path: %s", base)
	}
	api, name := wire.Value(m.Mapping.RestApiId), wire.Value(m.Mapping.Stage)
	d, err := s.tables.definitions.Get(tx, p.key(api)...)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return badRequest("Invalid REST API identifier specified")
	case err != nil:
		return err
	case isPrivate(d.API.EndpointConfiguration) && !strings.Contains(m.Domain, "+"):
		return badRequest("Private APIs can only be mapped to private custom domain names")
	case !isPrivate(d.API.EndpointConfiguration) && strings.Contains(m.Domain, "+"):
		return badRequest("Only private APIs can be mapped to private custom domain names")
	case name == "":
		return nil
	}
	_, err = s.stage(tx, p, api, name)
	var missing *apigatewayapi.NotFoundException
	if errors.As(err, &missing) {
		return badRequest("Invalid stage identifier specified")
	}
	return err
}

func (s *Service) mapping(tx *store.Tx, p place, name string, id *string, base string) (mapping, error) {
	d, err := s.domain(tx, p, name, id)
	if err != nil {
		return mapping{}, err
	}
	m, err := s.tables.mappings.Get(tx, p.key(d.key(), cmp.Or(base, noBasePath))...)
	if errors.Is(err, store.ErrNotFound) {
		return m, notFound("Invalid base path mapping identifier specified")
	}
	return m, err
}

// GetBasePathMapping returns a mapping.
func (s *Service) GetBasePathMapping(ctx context.Context, in *apigatewayapi.GetBasePathMappingRequest) (*apigatewayapi.BasePathMapping, error) {
	var m mapping
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		m, err = s.mapping(tx, s.place(ctx), in.DomainName, in.DomainNameId, in.BasePath)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &m.Mapping, nil
}

// GetBasePathMappings lists the mappings of a custom domain name.
func (s *Service) GetBasePathMappings(ctx context.Context, in *apigatewayapi.GetBasePathMappingsRequest) (*apigatewayapi.BasePathMappings, error) {
	out, p := &apigatewayapi.BasePathMappings{}, s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		d, err := s.domain(tx, p, in.DomainName, in.DomainNameId)
		if err != nil {
			return err
		}
		all, err := s.tables.mappings.List(tx, store.Query{Prefix: p.key(d.key())})
		if err != nil {
			return err
		}
		items := make([]apigatewayapi.BasePathMapping, len(all))
		for i, m := range all {
			items[i] = m.Mapping
		}
		out.Items, out.Position, err = cut(s.listing(ctx, d.key()), items, func(m apigatewayapi.BasePathMapping) string { return *m.BasePath }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// UpdateBasePathMapping patches a mapping: its base path, its API, its stage.
func (s *Service) UpdateBasePathMapping(ctx context.Context, in *apigatewayapi.UpdateBasePathMappingRequest) (*apigatewayapi.BasePathMapping, error) {
	p := s.place(ctx)
	var m mapping
	err := s.db.Update(ctx, func(tx *store.Tx) (err error) {
		if m, err = s.mapping(tx, p, in.DomainName, in.DomainNameId, in.BasePath); err != nil {
			return err
		}
		old := m.BasePath
		ops := make([]apigatewayapi.PatchOperation, len(in.PatchOperations))
		for i, op := range in.PatchOperations {
			for documented, member := range map[string]string{"/restapiId": "/restApiId", "/basepath": "/basePath"} {
				if wire.Value(op.Path) == documented {
					op.Path = &member
				}
			}
			ops[i] = op
		}
		if err := mappingRules().apply(&m.Mapping, ops); err != nil {
			return err
		}
		m.BasePath = cmp.Or(wire.Value(m.Mapping.BasePath), noBasePath)
		m.Mapping.BasePath = wire.String(m.BasePath)
		if err := s.checkMapping(tx, p, &m); err != nil {
			return err
		}
		if m.BasePath == old {
			return s.tables.mappings.Put(tx, m)
		}
		if err := s.tables.mappings.Delete(tx, p.key(m.Domain, old)...); err != nil {
			return err
		}
		err = s.tables.mappings.Insert(tx, m)
		if errors.Is(err, store.ErrExists) {
			return conflict("Base path already exists for this domain name")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &m.Mapping, s.PublishAll(ctx)
}

// DeleteBasePathMapping deletes a mapping; what it led to is refused at once.
func (s *Service) DeleteBasePathMapping(ctx context.Context, in *apigatewayapi.DeleteBasePathMappingRequest) (*apigatewayapi.DeleteBasePathMappingOutput, error) {
	p := s.place(ctx)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		m, err := s.mapping(tx, p, in.DomainName, in.DomainNameId, in.BasePath)
		if err != nil {
			return err
		}
		return s.tables.mappings.Delete(tx, p.key(m.Domain, m.BasePath)...)
	})
	if err != nil {
		return nil, err
	}
	return &apigatewayapi.DeleteBasePathMappingOutput{}, s.PublishAll(ctx)
}

// gatewayDomains are all custom domain names in the gateway's terms, the private ones by the VPC endpoints that
// lead to them. One that cannot be read is left out: refused, not served without its proofs.
func (s *Service) gatewayDomains(tx *store.Tx) (public map[string]*gateway.Domain, private map[string]map[string]*gateway.Domain, err error) {
	public, private = map[string]*gateway.Domain{}, map[string]map[string]*gateway.Domain{}
	domains, err := s.tables.domains.List(tx, store.Query{})
	if err != nil || len(domains) == 0 {
		return public, private, err
	}
	all, err := s.tables.mappings.List(tx, store.Query{})
	if err != nil {
		return nil, nil, err
	}
	of, byARN := map[string][]mapping{}, map[string]*gateway.Domain{}
	for _, m := range all {
		of[m.Account+"/"+m.Region+"/"+m.Domain] = append(of[m.Account+"/"+m.Region+"/"+m.Domain], m)
	}
	for _, d := range domains {
		g, err := s.gatewayDomain(d, of[d.Account+"/"+d.Region+"/"+d.key()])
		if err != nil {
			s.cfg.Log.Error("restapi: a custom domain name cannot be served", "domain", d.Name, "error", err)
			g = &gateway.Domain{Name: d.Name, Strict: true}
		}
		if d.ID == "" {
			public[d.Name] = g
		} else if err == nil {
			byARN[d.arn()] = g
		}
	}
	associations, err := s.tables.associations.List(tx, store.Query{})
	for _, a := range associations {
		g := byARN[wire.Value(a.Association.DomainNameArn)]
		if g == nil || a.Rejected {
			continue
		}
		if private[a.Source] == nil {
			private[a.Source] = map[string]*gateway.Domain{}
		}
		private[a.Source][g.Name] = g
	}
	return public, private, err
}
