package restapi

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// CreateModel adds a schema to an API.
func (s *Service) CreateModel(ctx context.Context, in *apigatewayapi.CreateModelRequest) (*apigatewayapi.Model, error) {
	id, err := s.id(shortID)
	if err != nil {
		return nil, err
	}
	m := apigatewayapi.Model{Id: &id, Name: &in.Name, ContentType: &in.ContentType, Description: in.Description, Schema: in.Schema}
	err = s.edit(ctx, in.RestApiId, func(d *definition) error {
		if in.Name == "" {
			return badRequest("Model name must be non-empty")
		}
		if _, there := d.Models[in.Name]; there {
			return conflict("Model name already exists for this REST API")
		}
		if err := checkSchema(in.Schema); err != nil {
			return err
		}
		if len(d.Models) >= maxModels {
			return exceeded("Models", ofAPI)
		}
		d.Models[in.Name] = m
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &m, nil
}

func checkSchema(schema *string) error {
	if schema == nil || *schema == "" {
		return badRequest("Model schema must have at least 1 property or array items defined")
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(*schema), &doc); err != nil {
		return badRequest("Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified]")
	}
	return nil
}

func (d *definition) model(name string) (apigatewayapi.Model, error) {
	m, ok := d.Models[name]
	if !ok {
		return m, notFound("Invalid model name specified: %s", name)
	}
	return m, nil
}

// GetModel returns a schema.
func (s *Service) GetModel(ctx context.Context, in *apigatewayapi.GetModelRequest) (*apigatewayapi.Model, error) {
	var out apigatewayapi.Model
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		if out, err = d.model(in.ModelName); err == nil && wire.Value(in.Flatten) {
			out.Schema, err = d.flattened(in.ModelName)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// GetModels lists the schemas of an API.
func (s *Service) GetModels(ctx context.Context, in *apigatewayapi.GetModelsRequest) (*apigatewayapi.Models, error) {
	out := &apigatewayapi.Models{}
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		out.Items, out.Position, err = cut(s.listing(ctx, in.RestApiId), byKey(d.Models), func(m apigatewayapi.Model) string { return *m.Name }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// UpdateModel patches a schema.
func (s *Service) UpdateModel(ctx context.Context, in *apigatewayapi.UpdateModelRequest) (*apigatewayapi.Model, error) {
	rules := modelRules()
	var out apigatewayapi.Model
	err := s.edit(ctx, in.RestApiId, func(d *definition) (err error) {
		if out, err = d.model(in.ModelName); err != nil {
			return err
		}
		if err := rules.apply(&out, in.PatchOperations); err != nil {
			return err
		}
		d.Models[in.ModelName] = out
		return checkSchema(out.Schema)
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// DeleteModel removes a schema that no method refers to.
func (s *Service) DeleteModel(ctx context.Context, in *apigatewayapi.DeleteModelRequest) (*apigatewayapi.DeleteModelOutput, error) {
	return &apigatewayapi.DeleteModelOutput{}, s.edit(ctx, in.RestApiId, func(d *definition) error {
		if _, err := d.model(in.ModelName); err != nil {
			return err
		}
		if verb, path, asks := d.modelAsked(in.ModelName); asks {
			return conflict("Cannot delete model '%s', is referenced in method request: %s/%s", in.ModelName, path, verb)
		}
		delete(d.Models, in.ModelName)
		return nil
	})
}

// modelAsked finds the first method whose request has a model.
func (d *definition) modelAsked(name string) (verb, path string, asks bool) {
	for _, r := range d.sorted() {
		for _, verb := range slices.Sorted(maps.Keys(r.ResourceMethods)) {
			for _, model := range r.ResourceMethods[verb].RequestModels {
				if model == name {
					return verb, wire.Value(r.Path), true
				}
			}
		}
	}
	return "", "", false
}

// CreateRequestValidator adds a validator to an API.
func (s *Service) CreateRequestValidator(ctx context.Context, in *apigatewayapi.CreateRequestValidatorRequest) (*apigatewayapi.RequestValidator, error) {
	id, err := s.id(shortID)
	if err != nil {
		return nil, err
	}
	v := apigatewayapi.RequestValidator{
		Id: &id, Name: in.Name, ValidateRequestBody: wire.Bool(wire.Value(in.ValidateRequestBody)),
		ValidateRequestParameters: wire.Bool(wire.Value(in.ValidateRequestParameters)),
	}
	err = s.edit(ctx, in.RestApiId, func(d *definition) error {
		if wire.Value(in.Name) == "" {
			return badRequest("Request Validator name cannot be blank")
		}
		if len(d.Validators) >= maxModels {
			return exceeded("Request Validators", ofAPI)
		}
		d.Validators[id] = v
		return nil
	})
	if err != nil {
		return nil, elsewhere(err, badRequest("Invalid REST API identifier specified"))
	}
	return &v, nil
}

func noValidator(err error) error {
	return elsewhere(err, notFound("Invalid Request Validator identifier specified"))
}

func (d *definition) validator(id string) (apigatewayapi.RequestValidator, error) {
	v, ok := d.Validators[id]
	if !ok {
		return v, notFound("Invalid Request Validator identifier specified")
	}
	return v, nil
}

// GetRequestValidator returns a validator.
func (s *Service) GetRequestValidator(ctx context.Context, in *apigatewayapi.GetRequestValidatorRequest) (*apigatewayapi.RequestValidator, error) {
	var out apigatewayapi.RequestValidator
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		out, err = d.validator(in.RequestValidatorId)
		return err
	})
	if err != nil {
		return nil, noValidator(err)
	}
	return &out, nil
}

// GetRequestValidators lists the validators of an API.
func (s *Service) GetRequestValidators(ctx context.Context, in *apigatewayapi.GetRequestValidatorsRequest) (*apigatewayapi.RequestValidators, error) {
	out := &apigatewayapi.RequestValidators{}
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		out.Items, out.Position, err = cut(s.listing(ctx, in.RestApiId), byKey(d.Validators), func(v apigatewayapi.RequestValidator) string { return *v.Id }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// UpdateRequestValidator patches a validator.
func (s *Service) UpdateRequestValidator(ctx context.Context, in *apigatewayapi.UpdateRequestValidatorRequest) (*apigatewayapi.RequestValidator, error) {
	rules := validatorRules()
	var out apigatewayapi.RequestValidator
	err := s.edit(ctx, in.RestApiId, func(d *definition) (err error) {
		if out, err = d.validator(in.RequestValidatorId); err != nil {
			return err
		}
		if err := rules.apply(&out, in.PatchOperations); err != nil {
			return err
		}
		if wire.Value(out.Name) == "" {
			return badRequest("Request Validator name cannot be blank")
		}
		d.Validators[in.RequestValidatorId] = out
		return nil
	})
	if err != nil {
		return nil, noValidator(err)
	}
	return &out, nil
}

// DeleteRequestValidator removes a validator that no method asks for.
func (s *Service) DeleteRequestValidator(ctx context.Context, in *apigatewayapi.DeleteRequestValidatorRequest) (*apigatewayapi.DeleteRequestValidatorOutput, error) {
	return &apigatewayapi.DeleteRequestValidatorOutput{}, noValidator(s.edit(ctx, in.RestApiId, func(d *definition) error {
		if _, err := d.validator(in.RequestValidatorId); err != nil {
			return err
		}
		for _, r := range d.sorted() {
			for _, verb := range slices.Sorted(maps.Keys(r.ResourceMethods)) { // it would go on unvalidated
				if wire.Value(r.ResourceMethods[verb].RequestValidatorId) == in.RequestValidatorId {
					return conflict("Cannot delete request validator '%s', is referenced in method: %s/%s", in.RequestValidatorId, wire.Value(r.Path), verb)
				}
			}
		}
		delete(d.Validators, in.RequestValidatorId)
		return nil
	}))
}
