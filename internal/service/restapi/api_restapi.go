package restapi

import (
	"context"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// CreateRestApi makes an API with its root resource and nothing else.
func (s *Service) CreateRestApi(ctx context.Context, in *apigatewayapi.CreateRestApiRequest) (*apigatewayapi.RestApi, error) {
	api := apigatewayapi.RestApi{
		Name: &in.Name, Description: in.Description, Version: in.Version, Policy: in.Policy, Tags: in.Tags, ApiKeySource: in.ApiKeySource,
		BinaryMediaTypes: in.BinaryMediaTypes, DisableExecuteApiEndpoint: in.DisableExecuteApiEndpoint,
		EndpointConfiguration: in.EndpointConfiguration, MinimumCompressionSize: in.MinimumCompressionSize, SecurityPolicy: in.SecurityPolicy, EndpointAccessMode: in.EndpointAccessMode,
	}
	var source *definition
	if in.CloneFrom != nil {
		if err := s.view(ctx, *in.CloneFrom, func(d *definition) error { source = d; return nil }); err != nil {
			return nil, err
		}
		api = inherit(api, source.API)
	}
	d, err := s.newDefinition(s.place(ctx), api)
	if err != nil {
		return nil, err
	}
	if err := checkAPI("CreateRestApi", &d.API); err != nil {
		return nil, err
	}
	if d.Models, err = s.defaultModels(); err == nil && source != nil {
		err = d.clone(source)
	}
	if err != nil {
		return nil, err
	}
	err = s.passing(ctx, func(p *passes) error {
		if err := p.check(nil, d.roles()); err != nil {
			return err
		}
		return s.insert(ctx, d)
	})
	if err != nil {
		return nil, err
	}
	return &d.API, nil
}

// insert keeps a new API.
func (s *Service) insert(ctx context.Context, d definition) error {
	if err := s.checkReach(nil, d.API.EndpointConfiguration); err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		if err := room(s, tx, s.tables.definitions, "apis", "APIs", "", d.Account, d.Region); err != nil {
			return err
		}
		return s.tables.definitions.Insert(tx, d)
	})
}

// newDefinition gives an API its ids, its defaults and its root resource.
func (s *Service) newDefinition(p place, api apigatewayapi.RestApi) (definition, error) {
	id, err := s.id(longID)
	if err != nil {
		return definition{}, err
	}
	root, err := s.id(longID)
	if err != nil {
		return definition{}, err
	}
	api.Id, api.RootResourceId, api.CreatedDate = &id, &root, wire.Ptr(s.now())
	if api.ApiKeySource == "" {
		api.ApiKeySource = apigatewayapi.ApiKeySourceTypeHEADER
	}
	if api.DisableExecuteApiEndpoint == nil {
		api.DisableExecuteApiEndpoint = wire.Bool(false)
	}
	if api.EndpointConfiguration == nil {
		api.EndpointConfiguration = &apigatewayapi.EndpointConfiguration{}
	}
	e := api.EndpointConfiguration
	if len(e.Types) == 0 {
		e.Types = []apigatewayapi.EndpointType{apigatewayapi.EndpointTypeEDGE}
	}
	if e.IpAddressType == "" {
		e.IpAddressType = apigatewayapi.IpAddressTypeipv4
		if isPrivate(e) {
			e.IpAddressType = apigatewayapi.IpAddressTypedualstack
		}
	}
	return definition{
		Account: p.account, Region: p.region, ID: id, API: api,
		Resources:   map[string]apigatewayapi.Resource{root: {Id: &root, Path: wire.String("/")}},
		Authorizers: map[string]apigatewayapi.Authorizer{}, Models: map[string]apigatewayapi.Model{},
		Validators: map[string]apigatewayapi.RequestValidator{}, Responses: map[string]apigatewayapi.GatewayResponse{},
	}, nil
}

// maxCompressionSize is the largest size from which answers can be compressed (10 MB).
const maxCompressionSize = 10 << 20

// checkAPI refuses what an API may not be, and what has no effect here.
func checkAPI(operation string, api *apigatewayapi.RestApi) error {
	if wire.Value(api.Name) == "" {
		return badRequest("Name cannot be empty")
	}
	if n := api.MinimumCompressionSize; n != nil && (*n < 0 || *n > maxCompressionSize) {
		return badRequest("Invalid minimum compression size, must be between 0 and %d", maxCompressionSize)
	}
	if err := checkServing(operation, api); err != nil {
		return err
	}
	if p := wire.Value(api.Policy); p != "" {
		if _, err := policy.Parse("resource policy", []byte(p), policy.ShortResource("execute-api:/", "arn:aws:execute-api:*:*:*/")); err != nil {
			return badRequest("Invalid policy document. Please check the policy syntax and ensure that Principals are valid.")
		}
	}
	return nil
}

// checkServing holds an API to the ways in which it can be served.
func checkServing(operation string, api *apigatewayapi.RestApi) error {
	if err := checkEndpoint(api.EndpointConfiguration); err != nil {
		return err
	}
	if k := api.ApiKeySource; k != apigatewayapi.ApiKeySourceTypeHEADER && k != apigatewayapi.ApiKeySourceTypeAUTHORIZER {
		return badRequest("Invalid API key source '%s'. Valid options are HEADER and AUTHORIZER", k)
	}
	switch p := api.SecurityPolicy; {
	case p == "" || p == apigatewayapi.SecurityPolicyTLS_1_0 || p == apigatewayapi.SecurityPolicyTLS_1_2:
	case strings.HasPrefix(string(p), "SecurityPolicy_"):
		return notBuilt(operation, "the security policy %s is not built", p)
	default:
		return badRequest("Invalid security policy '%s'", p)
	}
	switch m := api.EndpointAccessMode; m {
	case "", apigatewayapi.EndpointAccessModeBASIC:
		return nil
	case apigatewayapi.EndpointAccessModeSTRICT:
		return notBuilt(operation, "the endpoint access mode %s is not built", m)
	default:
		return badRequest("Invalid endpoint access mode '%s'. Valid options are BASIC and STRICT", m)
	}
}

// GetRestApi returns an API.
func (s *Service) GetRestApi(ctx context.Context, in *apigatewayapi.GetRestApiRequest) (out *apigatewayapi.RestApi, err error) {
	err = s.view(ctx, in.RestApiId, func(d *definition) error {
		out = &d.API
		return nil
	})
	return out, err
}

// GetRestApis lists the APIs of the account and region.
func (s *Service) GetRestApis(ctx context.Context, in *apigatewayapi.GetRestApisRequest) (*apigatewayapi.RestApis, error) {
	out := &apigatewayapi.RestApis{Items: []apigatewayapi.RestApi{}}
	p := s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		all, err := s.tables.definitions.List(tx, store.Query{Prefix: p.key()})
		out.Items, out.Position = out.Items[:0], nil
		for _, d := range all {
			out.Items = append(out.Items, d.API)
		}
		if err == nil {
			out.Items, out.Position, err = cut(s.listing(ctx), out.Items, func(a apigatewayapi.RestApi) string { return *a.Id }, in.Position, in.Limit)
		}
		return err
	})
	return out, err
}

// UpdateRestApi patches an API's own members.
func (s *Service) UpdateRestApi(ctx context.Context, in *apigatewayapi.UpdateRestApiRequest) (out *apigatewayapi.RestApi, err error) {
	err = s.edit(ctx, in.RestApiId, func(d *definition) error {
		if err := restAPIRules().apply(&d.API, byName(in.PatchOperations, d.API.EndpointConfiguration)); err != nil {
			return err
		}
		if err := checkAPI("UpdateRestApi", &d.API); err != nil {
			return err
		}
		shown := d.API
		if out = &shown; out.Tags == nil {
			out.Tags = map[string]string{} // recorded
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeleteRestApi deletes an API with its deployments and stages; they stop being served at once.
func (s *Service) DeleteRestApi(ctx context.Context, in *apigatewayapi.DeleteRestApiRequest) (*apigatewayapi.DeleteRestApiOutput, error) {
	p := s.place(ctx)
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.definition(tx, p, in.RestApiId); err != nil {
			return err
		}
		if _, err := s.tables.stages.DeleteAll(tx, p.key(in.RestApiId)...); err != nil {
			return err
		}
		if _, err := s.tables.deployments.DeleteAll(tx, p.key(in.RestApiId)...); err != nil {
			return err
		}
		if _, err := s.tables.documentation.DeleteAll(tx, p.key(in.RestApiId)...); err != nil {
			return err
		}
		return s.tables.definitions.Delete(tx, p.key(in.RestApiId)...)
	})
	if err != nil {
		return nil, err
	}
	return &apigatewayapi.DeleteRestApiOutput{}, s.PublishAll(ctx)
}
