package restapi

import (
	"context"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// defaultTemplate is the body of every gateway response that has none of its own.
const defaultTemplate = `{"message":$context.error.messageString}`

// defaultStatus are the gateway responses that API Gateway knows, with their status.
// DEFAULT_4XX and DEFAULT_5XX have none: they change those that have no definition of their own.
func defaultStatus() map[string]string {
	return map[string]string{
		"ACCESS_DENIED": "403", "API_CONFIGURATION_ERROR": "500", "AUTHORIZER_CONFIGURATION_ERROR": "500", "AUTHORIZER_FAILURE": "500",
		"BAD_REQUEST_BODY": "400", "BAD_REQUEST_PARAMETERS": "400", "DEFAULT_4XX": "", "DEFAULT_5XX": "", "EXPIRED_TOKEN": "403",
		"INTEGRATION_FAILURE": "504", "INTEGRATION_TIMEOUT": "504", "INVALID_API_KEY": "403", "INVALID_SIGNATURE": "403",
		"MISSING_AUTHENTICATION_TOKEN": "403", "QUOTA_EXCEEDED": "429", "REQUEST_TOO_LARGE": "413", "RESOURCE_NOT_FOUND": "404",
		"THROTTLED": "429", "UNAUTHORIZED": "401", "UNSUPPORTED_MEDIA_TYPE": "415", "WAF_FILTERED": "403",
	}
}

// gatewayResponse is a response as it stands: the API's own, what the class default makes of it, or AWS's.
func (d *definition) gatewayResponse(kind string) (apigatewayapi.GatewayResponse, error) {
	status, known := defaultStatus()[kind]
	if !known {
		return apigatewayapi.GatewayResponse{}, notFound("Gateway response type not defined on api")
	}
	if r, own := d.Responses[kind]; own {
		return r, nil
	}
	r := apigatewayapi.GatewayResponse{
		ResponseType: apigatewayapi.GatewayResponseType(kind), DefaultResponse: wire.Bool(true), ResponseParameters: map[string]string{},
		ResponseTemplates: map[string]string{"application/json": defaultTemplate},
	}
	if status != "" {
		r.StatusCode = &status
		if class, own := d.Responses["DEFAULT_"+status[:1]+"XX"]; own {
			r.ResponseParameters, r.ResponseTemplates = class.ResponseParameters, class.ResponseTemplates
			if class.StatusCode != nil {
				r.StatusCode = class.StatusCode
			}
		}
	}
	return r, nil
}

// PutGatewayResponse changes what callers get for one kind of refusal.
func (s *Service) PutGatewayResponse(ctx context.Context, in *apigatewayapi.PutGatewayResponseRequest) (*apigatewayapi.GatewayResponse, error) {
	r := apigatewayapi.GatewayResponse{
		ResponseType: in.ResponseType, DefaultResponse: wire.Bool(false), StatusCode: in.StatusCode,
		ResponseParameters: in.ResponseParameters, ResponseTemplates: in.ResponseTemplates,
	}
	gatewayResponseDefaults(&r)
	err := s.edit(ctx, in.RestApiId, func(d *definition) error {
		d.Responses[string(in.ResponseType)] = r
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &r, nil
}

func gatewayResponseDefaults(r *apigatewayapi.GatewayResponse) {
	if r.StatusCode == nil {
		if status := defaultStatus()[string(r.ResponseType)]; status != "" {
			r.StatusCode = &status
		}
	}
	if r.ResponseParameters == nil {
		r.ResponseParameters = map[string]string{}
	}
	if r.ResponseTemplates == nil {
		r.ResponseTemplates = map[string]string{"application/json": defaultTemplate}
	}
}

// GetGatewayResponse returns what callers get for one kind of refusal.
func (s *Service) GetGatewayResponse(ctx context.Context, in *apigatewayapi.GetGatewayResponseRequest) (*apigatewayapi.GatewayResponse, error) {
	var out apigatewayapi.GatewayResponse
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		out, err = d.gatewayResponse(string(in.ResponseType))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// GetGatewayResponses lists what callers get for every kind of refusal.
func (s *Service) GetGatewayResponses(ctx context.Context, in *apigatewayapi.GetGatewayResponsesRequest) (*apigatewayapi.GatewayResponses, error) {
	out := &apigatewayapi.GatewayResponses{}
	err := s.view(ctx, in.RestApiId, func(d *definition) error {
		all := map[string]apigatewayapi.GatewayResponse{}
		for kind := range defaultStatus() {
			r, err := d.gatewayResponse(kind)
			if err != nil {
				return err
			}
			all[kind] = r
		}
		out.Items = byKey(all)
		return nil
	})
	return out, err
}

// UpdateGatewayResponse patches what callers get for one kind of refusal.
func (s *Service) UpdateGatewayResponse(ctx context.Context, in *apigatewayapi.UpdateGatewayResponseRequest) (*apigatewayapi.GatewayResponse, error) {
	rules := gatewayResponseRules()
	var out apigatewayapi.GatewayResponse
	err := s.edit(ctx, in.RestApiId, func(d *definition) (err error) {
		if out, err = d.gatewayResponse(string(in.ResponseType)); err != nil {
			return err
		}
		for _, op := range in.PatchOperations {
			if err := replaceable(&out, op); err != nil {
				return err
			}
			if err := rules.applyTersely(&out, []apigatewayapi.PatchOperation{op}, ""); err != nil {
				return err
			}
		}
		if status := wire.Value(out.StatusCode); status != "" && !statusCode.MatchString(status) {
			return badRequest("Invalid status code for gateway response %s: %s", in.ResponseType, status)
		}
		out.DefaultResponse = wire.Bool(false)
		d.Responses[string(in.ResponseType)] = out
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// replaceable refuses to put nothing into a parameter or template, or to replace one that is not there.
func replaceable(g *apigatewayapi.GatewayResponse, op apigatewayapi.PatchOperation) error {
	part := pointer(wire.Value(op.Path))
	there, known := map[string]map[string]string{"responseParameters": g.ResponseParameters, "responseTemplates": g.ResponseTemplates}[part[0]]
	if !known || len(part) != 2 || op.Op != add && op.Op != replace {
		return nil
	}
	if wire.Value(op.Value) == "" {
		return badRequest("Invalid null or empty value in %s", part[0])
	}
	if _, ok := there[part[1]]; !ok && op.Op == replace {
		return notFound("Invalid parameter name specified")
	}
	return nil
}

// DeleteGatewayResponse goes back to the default.
func (s *Service) DeleteGatewayResponse(ctx context.Context, in *apigatewayapi.DeleteGatewayResponseRequest) (*apigatewayapi.DeleteGatewayResponseOutput, error) {
	return &apigatewayapi.DeleteGatewayResponseOutput{}, s.edit(ctx, in.RestApiId, func(d *definition) error {
		if _, own := d.Responses[string(in.ResponseType)]; !own {
			return notFound("Gateway response type not defined on api")
		}
		delete(d.Responses, string(in.ResponseType))
		return nil
	})
}
