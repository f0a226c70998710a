package restapi

import (
	"context"

	"moat/internal/wire/apigatewayapi"
)

// ImportRestApi makes an API from an OpenAPI document.
func (s *Service) ImportRestApi(ctx context.Context, in *apigatewayapi.ImportRestApiRequest) (*apigatewayapi.RestApi, error) {
	doc, err := parseOpenAPI(in.Body)
	if err != nil {
		return nil, err
	}
	doc.parameters = in.Parameters
	d, err := s.newDefinition(s.place(ctx), apigatewayapi.RestApi{})
	if err != nil {
		return nil, err
	}
	d.clear() // recorded: an imported API has the models of its document only
	warnings, err := s.importInto(&d, doc)
	if err != nil {
		return nil, err
	}
	if err := failing(warnings, in.FailOnWarnings); err != nil {
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
	out := d.API
	out.Warnings = warnings
	return &out, nil
}

// PutRestApi writes an OpenAPI document over an API, or merges it in.
func (s *Service) PutRestApi(ctx context.Context, in *apigatewayapi.PutRestApiRequest) (*apigatewayapi.RestApi, error) {
	doc, err := parseOpenAPI(in.Body)
	if err != nil {
		return nil, err
	}
	doc.parameters = in.Parameters
	var out apigatewayapi.RestApi
	err = s.edit(ctx, in.RestApiId, func(d *definition) error {
		if in.Mode == apigatewayapi.PutModeoverwrite {
			d.clear()
		}
		warnings, err := s.importInto(d, doc)
		if err != nil {
			return err
		}
		out = d.API
		if out.Warnings = warnings; out.Tags == nil {
			out.Tags = map[string]string{} // recorded
		}
		return failing(warnings, in.FailOnWarnings)
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// clear drops everything but the API itself and its root resource.
func (d *definition) clear() {
	root := d.Resources[d.root()]
	root.ResourceMethods = nil
	d.Resources = map[string]apigatewayapi.Resource{d.root(): root}
	d.Authorizers, d.Models = map[string]apigatewayapi.Authorizer{}, map[string]apigatewayapi.Model{}
	d.Validators, d.Responses = map[string]apigatewayapi.RequestValidator{}, map[string]apigatewayapi.GatewayResponse{}
	d.Documentation = nil
	d.API.BinaryMediaTypes, d.API.Policy = nil, nil
}
