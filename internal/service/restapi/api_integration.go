package restapi

import (
	"context"
	"errors"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

const (
	defaultTimeoutMillis = 29000
	minTimeoutMillis     = 50
)

// PutIntegration says what answers a method.
func (s *Service) PutIntegration(ctx context.Context, in *apigatewayapi.PutIntegrationRequest) (*apigatewayapi.Integration, error) {
	i := apigatewayapi.Integration{
		Type: in.Type, HttpMethod: in.IntegrationHttpMethod, Uri: in.Uri, Credentials: in.Credentials, ConnectionType: in.ConnectionType,
		ConnectionId: in.ConnectionId, ContentHandling: in.ContentHandling, PassthroughBehavior: in.PassthroughBehavior,
		RequestParameters: in.RequestParameters, RequestTemplates: in.RequestTemplates, TimeoutInMillis: in.TimeoutInMillis,
		CacheKeyParameters: in.CacheKeyParameters, CacheNamespace: in.CacheNamespace, TlsConfig: in.TlsConfig,
		IntegrationTarget: in.IntegrationTarget, ResponseTransferMode: in.ResponseTransferMode,
	}
	if i.Type == apigatewayapi.IntegrationTypeMOCK {
		i.HttpMethod = nil // recorded: it is not kept
	}
	integrationDefaults(&i, in.ResourceId)
	if err := checkIntegration("PutIntegration", &i); err != nil {
		return nil, err
	}
	_, err := s.editMethod(ctx, in.RestApiId, in.ResourceId, in.HttpMethod, func(_ *definition, m *apigatewayapi.Method) error {
		m.MethodIntegration = &i
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &i, nil
}

func integrationDefaults(i *apigatewayapi.Integration, resource string) {
	if i.TimeoutInMillis == nil {
		i.TimeoutInMillis = wire.Int32(defaultTimeoutMillis)
	}
	if i.PassthroughBehavior == nil {
		i.PassthroughBehavior = wire.String("WHEN_NO_MATCH")
	}
	if i.CacheNamespace == nil {
		i.CacheNamespace = &resource
	}
	if i.CacheKeyParameters == nil {
		i.CacheKeyParameters = []string{}
	}
	if i.ConnectionType == "" && (i.Type == apigatewayapi.IntegrationTypeHTTP || i.Type == apigatewayapi.IntegrationTypeHTTP_PROXY) {
		i.ConnectionType = apigatewayapi.ConnectionTypeINTERNET
	}
}

// checkIntegration refuses an integration that could never answer, and settings without effect.
func checkIntegration(operation string, i *apigatewayapi.Integration) error {
	if i.Type != apigatewayapi.IntegrationTypeMOCK {
		if wire.Value(i.HttpMethod) == "" {
			return badRequest("Enumeration value for HttpMethod must be non-empty")
		}
		uri := wire.Value(i.Uri)
		web := i.Type == apigatewayapi.IntegrationTypeHTTP || i.Type == apigatewayapi.IntegrationTypeHTTP_PROXY
		if uri == "" || web && !strings.HasPrefix(uri, "http://") && !strings.HasPrefix(uri, "https://") { // no stage variable may be the scheme (recorded)
			return badRequest("Invalid HTTP endpoint specified for URI")
		}
	}
	switch wire.Value(i.PassthroughBehavior) {
	case "WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER":
	default:
		return badRequest("Invalid passthrough behavior specified")
	}
	if t := *i.TimeoutInMillis; t < minTimeoutMillis || t > defaultTimeoutMillis {
		return badRequest("Timeout should be between %d ms and %d ms", minTimeoutMillis, defaultTimeoutMillis)
	}
	if err := checkChoices(operation, i); err != nil {
		return err
	}
	if i.ConnectionType == apigatewayapi.ConnectionTypeVPC_LINK && wire.Value(i.ConnectionId) == "" {
		return badRequest("Connection ID must be provided when the connection type is VPC_LINK")
	}
	if i.TlsConfig != nil && wire.Value(i.TlsConfig.InsecureSkipVerification) {
		return notBuilt(operation, "insecureSkipVerification is not built: the target's certificate is always verified")
	}
	return nil
}

// checkChoices holds documents and patches to the values that calls can have, and refuses what is not built.
func checkChoices(operation string, i *apigatewayapi.Integration) error {
	switch i.ConnectionType {
	case "", apigatewayapi.ConnectionTypeINTERNET, apigatewayapi.ConnectionTypeVPC_LINK:
	default:
		return badRequest("Invalid connection type '%s'. Valid options are INTERNET and VPC_LINK", i.ConnectionType)
	}
	handling := []apigatewayapi.ContentHandlingStrategy{i.ContentHandling}
	for _, r := range i.IntegrationResponses {
		handling = append(handling, r.ContentHandling)
	}
	for _, h := range handling {
		if h != "" && h != apigatewayapi.ContentHandlingStrategyCONVERT_TO_BINARY && h != apigatewayapi.ContentHandlingStrategyCONVERT_TO_TEXT {
			return badRequest("Invalid content handling '%s'. Valid options are CONVERT_TO_BINARY and CONVERT_TO_TEXT", h)
		}
	}
	if m := i.ResponseTransferMode; m != "" && m != apigatewayapi.ResponseTransferModeBUFFERED {
		return notBuilt(operation, "the response transfer mode %s is not built", m)
	}
	if wire.Value(i.IntegrationTarget) != "" {
		return notBuilt(operation, "integration targets are not built")
	}
	return nil
}

func (d *definition) integration(resource, verb string) (*apigatewayapi.Integration, error) {
	m, err := d.method(resource, verb)
	if err != nil {
		return nil, err
	}
	if m.MethodIntegration == nil {
		return nil, notFound("Invalid Integration identifier specified")
	}
	return m.MethodIntegration, nil
}

// GetIntegration returns what answers a method.
func (s *Service) GetIntegration(ctx context.Context, in *apigatewayapi.GetIntegrationRequest) (out *apigatewayapi.Integration, err error) {
	err = s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		out, err = d.integration(in.ResourceId, in.HttpMethod)
		return err
	})
	return out, noResource(err)
}

// editIntegration changes the integration of one method.
func (s *Service) editIntegration(ctx context.Context, api, resource, verb string, fn func(i *apigatewayapi.Integration) error) (out *apigatewayapi.Integration, err error) {
	_, err = s.editMethod(ctx, api, resource, verb, func(d *definition, m *apigatewayapi.Method) error {
		i, err := d.integration(resource, verb)
		if err != nil {
			return err
		}
		if err := fn(i); err != nil {
			return err
		}
		m.MethodIntegration, out = i, i
		return nil
	})
	return out, err
}

// UpdateIntegration patches what answers a method.
func (s *Service) UpdateIntegration(ctx context.Context, in *apigatewayapi.UpdateIntegrationRequest) (*apigatewayapi.Integration, error) {
	return s.editIntegration(ctx, in.RestApiId, in.ResourceId, in.HttpMethod, func(i *apigatewayapi.Integration) error {
		for _, op := range in.PatchOperations {
			if path := wire.Value(op.Path); i.Type == apigatewayapi.IntegrationTypeMOCK && (path == "/uri" || path == "/httpMethod") {
				return badRequest("Invalid patch path  '%s' specified for op '%s'. Please choose supported operations", path, op.Op)
			}
		}
		if err := integrationRules().apply(i, in.PatchOperations); err != nil {
			return err
		}
		return checkIntegration("UpdateIntegration", i)
	})
}

// DeleteIntegration removes what answers a method.
func (s *Service) DeleteIntegration(ctx context.Context, in *apigatewayapi.DeleteIntegrationRequest) (*apigatewayapi.DeleteIntegrationOutput, error) {
	_, err := s.editMethod(ctx, in.RestApiId, in.ResourceId, in.HttpMethod, func(d *definition, m *apigatewayapi.Method) error {
		if _, err := d.integration(in.ResourceId, in.HttpMethod); err != nil {
			return err
		}
		m.MethodIntegration = nil
		return nil
	})
	return &apigatewayapi.DeleteIntegrationOutput{}, err
}

// PutIntegrationResponse maps one kind of answer of the integration to the method's.
func (s *Service) PutIntegrationResponse(ctx context.Context, in *apigatewayapi.PutIntegrationResponseRequest) (*apigatewayapi.IntegrationResponse, error) {
	out := apigatewayapi.IntegrationResponse{
		StatusCode: &in.StatusCode, SelectionPattern: in.SelectionPattern, ContentHandling: in.ContentHandling,
		ResponseParameters: in.ResponseParameters, ResponseTemplates: in.ResponseTemplates,
	}
	_, err := s.editIntegration(ctx, in.RestApiId, in.ResourceId, in.HttpMethod, func(i *apigatewayapi.Integration) error {
		if i.IntegrationResponses == nil {
			i.IntegrationResponses = map[string]apigatewayapi.IntegrationResponse{}
		}
		i.IntegrationResponses[in.StatusCode] = out
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

func integrationResponse(i *apigatewayapi.Integration, status string) (apigatewayapi.IntegrationResponse, error) {
	r, ok := i.IntegrationResponses[status]
	if !ok {
		return r, notFound("Invalid Response status code specified")
	}
	return r, nil
}

// GetIntegrationResponse returns one mapping.
func (s *Service) GetIntegrationResponse(ctx context.Context, in *apigatewayapi.GetIntegrationResponseRequest) (*apigatewayapi.IntegrationResponse, error) {
	var out apigatewayapi.IntegrationResponse
	err := s.view(ctx, in.RestApiId, func(d *definition) error {
		i, err := d.integration(in.ResourceId, in.HttpMethod)
		if err != nil {
			return err
		}
		out, err = integrationResponse(i, in.StatusCode)
		return err
	})
	if err != nil {
		return nil, noResource(err)
	}
	return &out, nil
}

// UpdateIntegrationResponse patches one mapping.
func (s *Service) UpdateIntegrationResponse(ctx context.Context, in *apigatewayapi.UpdateIntegrationResponseRequest) (*apigatewayapi.IntegrationResponse, error) {
	rules := integrationResponseRules()
	var out apigatewayapi.IntegrationResponse
	_, err := s.editIntegration(ctx, in.RestApiId, in.ResourceId, in.HttpMethod, func(i *apigatewayapi.Integration) (err error) {
		if out, err = integrationResponse(i, in.StatusCode); err != nil {
			return err
		}
		if err := rules.apply(&out, in.PatchOperations); err != nil {
			return err
		}
		i.IntegrationResponses[in.StatusCode] = out
		return checkChoices("UpdateIntegrationResponse", i)
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// DeleteIntegrationResponse removes one mapping.
func (s *Service) DeleteIntegrationResponse(ctx context.Context, in *apigatewayapi.DeleteIntegrationResponseRequest) (*apigatewayapi.DeleteIntegrationResponseOutput, error) {
	_, err := s.editIntegration(ctx, in.RestApiId, in.ResourceId, in.HttpMethod, func(i *apigatewayapi.Integration) error {
		if _, err := integrationResponse(i, in.StatusCode); err != nil {
			return err
		}
		delete(i.IntegrationResponses, in.StatusCode)
		return nil
	})
	var missing *apigatewayapi.NotFoundException
	if errors.As(err, &missing) && missing.Message == "Invalid Method identifier specified" {
		err = notFound("Invalid Integration identifier specified") // recorded
	}
	return &apigatewayapi.DeleteIntegrationResponseOutput{}, err
}
