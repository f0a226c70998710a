package restapi

import (
	"context"
	"slices"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// verbs are the methods that a resource may have.
var verbs = []string{"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "ANY"}

// PutMethod adds a method to a resource.
func (s *Service) PutMethod(ctx context.Context, in *apigatewayapi.PutMethodRequest) (*apigatewayapi.Method, error) {
	m := apigatewayapi.Method{
		HttpMethod: &in.HttpMethod, AuthorizationType: &in.AuthorizationType, AuthorizerId: in.AuthorizerId, AuthorizationScopes: in.AuthorizationScopes,
		ApiKeyRequired: wire.Bool(wire.Value(in.ApiKeyRequired)), OperationName: in.OperationName,
		RequestParameters: in.RequestParameters, RequestModels: in.RequestModels, RequestValidatorId: in.RequestValidatorId,
	}
	err := s.edit(ctx, in.RestApiId, func(d *definition) error {
		r, err := d.resource(in.ResourceId)
		if err != nil {
			return err
		}
		if _, there := r.ResourceMethods[in.HttpMethod]; there {
			return conflict("Method already exists for this resource")
		}
		if err := d.checkMethod(&m); err != nil {
			return err
		}
		d.setMethod(in.ResourceId, in.HttpMethod, m)
		return nil
	})
	if err != nil {
		return nil, noResource(err)
	}
	return &m, nil
}

// checkMethod holds a method to what it refers to.
func (d *definition) checkMethod(m *apigatewayapi.Method) error {
	if !slices.Contains(verbs, wire.Value(m.HttpMethod)) {
		return badRequest("Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,HEAD,OPTIONS,ANY")
	}
	switch wire.Value(m.AuthorizationType) {
	case "NONE", "AWS_IAM":
	case "CUSTOM", "COGNITO_USER_POOLS":
		if _, ok := d.Authorizers[wire.Value(m.AuthorizerId)]; !ok {
			return badRequest("Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer.")
		}
	default:
		return badRequest("Authorization type specified is invalid. Valid options are NONE, AWS_IAM, CUSTOM, and COGNITO_USER_POOLS")
	}
	if id := wire.Value(m.RequestValidatorId); id != "" {
		if _, ok := d.Validators[id]; !ok {
			return badRequest("Invalid Request Validator identifier specified")
		}
	}
	return d.checkModels(m.RequestModels)
}

// checkModels holds the models of a body, by content type, to those that there are.
func (d *definition) checkModels(models map[string]string) error {
	for _, name := range models {
		if _, ok := d.Models[name]; !ok && name != "Empty" && name != "Error" {
			return badRequest("Invalid model identifier specified: %s", name)
		}
	}
	return nil
}

// GetMethod returns a method with its integration.
func (s *Service) GetMethod(ctx context.Context, in *apigatewayapi.GetMethodRequest) (*apigatewayapi.Method, error) {
	var out apigatewayapi.Method
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		out, err = d.method(in.ResourceId, in.HttpMethod)
		return err
	})
	if err != nil {
		return nil, noResource(err)
	}
	return &out, nil
}

// editMethod changes one method.
func (s *Service) editMethod(ctx context.Context, api, resource, verb string, fn func(d *definition, m *apigatewayapi.Method) error) (*apigatewayapi.Method, error) {
	var out apigatewayapi.Method
	err := s.edit(ctx, api, func(d *definition) error {
		m, err := d.method(resource, verb)
		if err != nil {
			return err
		}
		if err := fn(d, &m); err != nil {
			return err
		}
		d.setMethod(resource, verb, m)
		out = m
		return nil
	})
	if err != nil {
		return nil, noResource(err)
	}
	return &out, nil
}

// UpdateMethod patches a method.
func (s *Service) UpdateMethod(ctx context.Context, in *apigatewayapi.UpdateMethodRequest) (*apigatewayapi.Method, error) {
	return s.editMethod(ctx, in.RestApiId, in.ResourceId, in.HttpMethod, func(d *definition, m *apigatewayapi.Method) error {
		ops := slices.Clone(in.PatchOperations)
		for i, op := range ops {
			if wire.Value(op.Path) == "/apiKeyRequired" && !strings.EqualFold(wire.Value(op.Value), "true") {
				ops[i].Value = wire.String("false") // whatever is not true is false (recorded)
			}
		}
		if err := methodRules().applyTersely(m, ops, "Invalid patch operation specified. Must be one of: [replace]"); err != nil {
			return err
		}
		if len(m.RequestModels) == 0 {
			m.RequestModels = nil
		}
		if len(m.RequestParameters) == 0 {
			m.RequestParameters = nil
		}
		return d.checkMethod(m)
	})
}

// DeleteMethod removes a method with its integration.
func (s *Service) DeleteMethod(ctx context.Context, in *apigatewayapi.DeleteMethodRequest) (*apigatewayapi.DeleteMethodOutput, error) {
	return &apigatewayapi.DeleteMethodOutput{}, s.edit(ctx, in.RestApiId, func(d *definition) error {
		if _, err := d.method(in.ResourceId, in.HttpMethod); err != nil {
			return err
		}
		delete(d.Resources[in.ResourceId].ResourceMethods, in.HttpMethod)
		return nil
	})
}

// PutMethodResponse declares an answer of a method.
func (s *Service) PutMethodResponse(ctx context.Context, in *apigatewayapi.PutMethodResponseRequest) (*apigatewayapi.MethodResponse, error) {
	out := apigatewayapi.MethodResponse{StatusCode: &in.StatusCode, ResponseModels: in.ResponseModels, ResponseParameters: in.ResponseParameters}
	_, err := s.editMethod(ctx, in.RestApiId, in.ResourceId, in.HttpMethod, func(d *definition, m *apigatewayapi.Method) error {
		if _, there := m.MethodResponses[in.StatusCode]; there {
			return conflict("Response already exists for this resource")
		}
		if err := d.checkModels(in.ResponseModels); err != nil {
			return err
		}
		if m.MethodResponses == nil {
			m.MethodResponses = map[string]apigatewayapi.MethodResponse{}
		}
		m.MethodResponses[in.StatusCode] = out
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func (d *definition) methodResponse(resource, verb, status string) (apigatewayapi.MethodResponse, error) {
	m, err := d.method(resource, verb)
	if err != nil {
		return apigatewayapi.MethodResponse{}, err
	}
	r, ok := m.MethodResponses[status]
	if !ok {
		return r, notFound("Invalid Response status code specified")
	}
	return r, nil
}

// GetMethodResponse returns a declared answer.
func (s *Service) GetMethodResponse(ctx context.Context, in *apigatewayapi.GetMethodResponseRequest) (*apigatewayapi.MethodResponse, error) {
	var out apigatewayapi.MethodResponse
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		out, err = d.methodResponse(in.ResourceId, in.HttpMethod, in.StatusCode)
		return err
	})
	if err != nil {
		return nil, noResource(err)
	}
	return &out, nil
}

// UpdateMethodResponse patches a declared answer.
func (s *Service) UpdateMethodResponse(ctx context.Context, in *apigatewayapi.UpdateMethodResponseRequest) (*apigatewayapi.MethodResponse, error) {
	rules := methodResponseRules()
	var out apigatewayapi.MethodResponse
	_, err := s.editMethod(ctx, in.RestApiId, in.ResourceId, in.HttpMethod, func(d *definition, m *apigatewayapi.Method) (err error) {
		if out, err = d.methodResponse(in.ResourceId, in.HttpMethod, in.StatusCode); err != nil {
			return err
		}
		if err := rules.apply(&out, in.PatchOperations); err != nil {
			return err
		}
		m.MethodResponses[in.StatusCode] = out
		return d.checkModels(out.ResponseModels)
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// DeleteMethodResponse removes a declared answer.
func (s *Service) DeleteMethodResponse(ctx context.Context, in *apigatewayapi.DeleteMethodResponseRequest) (*apigatewayapi.DeleteMethodResponseOutput, error) {
	_, err := s.editMethod(ctx, in.RestApiId, in.ResourceId, in.HttpMethod, func(d *definition, m *apigatewayapi.Method) error {
		if _, err := d.methodResponse(in.ResourceId, in.HttpMethod, in.StatusCode); err != nil {
			return err
		}
		delete(m.MethodResponses, in.StatusCode)
		return nil
	})
	return &apigatewayapi.DeleteMethodResponseOutput{}, err
}
