package function

import (
	"context"

	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// Deployment tools ask for these whether or not they use them. What is asked for cannot be
// made here (its Create or Put answers 501), so the truthful answer is that there is none.

// GetFunctionCodeSigningConfig says that a function has no code signing configuration.
func (s *Service) GetFunctionCodeSigningConfig(ctx context.Context, in *lambdaapi.GetFunctionCodeSigningConfigRequest) (*lambdaapi.GetFunctionCodeSigningConfigResponse, error) {
	ref, _, _, err := s.lookup(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	return &lambdaapi.GetFunctionCodeSigningConfigResponse{FunctionName: ref.name}, nil
}

// GetFunctionEventInvokeConfig says that a function follows the rules of asynchronous
// invocation that all follow.
func (s *Service) GetFunctionEventInvokeConfig(ctx context.Context, in *lambdaapi.GetFunctionEventInvokeConfigRequest) (*lambdaapi.FunctionEventInvokeConfig, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if ref.qualifier == "" {
		ref.qualifier = latest
	}
	return nil, notFound("The function " + ref.arn() + " doesn't have an EventInvokeConfig")
}

// ListFunctionEventInvokeConfigs lists none.
func (s *Service) ListFunctionEventInvokeConfigs(ctx context.Context, in *lambdaapi.ListFunctionEventInvokeConfigsRequest) (*lambdaapi.ListFunctionEventInvokeConfigsResponse, error) {
	if _, _, _, err := s.lookup(ctx, in.FunctionName, nil); err != nil {
		return nil, notFound("The function doesn't exist.")
	}
	return &lambdaapi.ListFunctionEventInvokeConfigsResponse{FunctionEventInvokeConfigs: []lambdaapi.FunctionEventInvokeConfig{}}, nil
}

// GetFunctionUrlConfig says that a function has no URL.
func (s *Service) GetFunctionUrlConfig(ctx context.Context, in *lambdaapi.GetFunctionUrlConfigRequest) (*lambdaapi.GetFunctionUrlConfigResponse, error) {
	if _, err := s.parseName(s.call(ctx), in.FunctionName, in.Qualifier); err != nil {
		return nil, err
	}
	return nil, notFound("The resource you requested does not exist.")
}

// ListFunctionUrlConfigs lists none.
func (s *Service) ListFunctionUrlConfigs(ctx context.Context, in *lambdaapi.ListFunctionUrlConfigsRequest) (*lambdaapi.ListFunctionUrlConfigsResponse, error) {
	if _, _, _, err := s.lookup(ctx, in.FunctionName, nil); err != nil {
		return nil, err
	}
	return &lambdaapi.ListFunctionUrlConfigsResponse{FunctionUrlConfigs: []lambdaapi.FunctionUrlConfig{}}, nil
}

// ListEventSourceMappings lists none.
func (s *Service) ListEventSourceMappings(context.Context, *lambdaapi.ListEventSourceMappingsRequest) (*lambdaapi.ListEventSourceMappingsResponse, error) {
	return &lambdaapi.ListEventSourceMappingsResponse{EventSourceMappings: []lambdaapi.EventSourceMappingConfiguration{}}, nil
}

// ListProvisionedConcurrencyConfigs lists none.
func (s *Service) ListProvisionedConcurrencyConfigs(ctx context.Context, in *lambdaapi.ListProvisionedConcurrencyConfigsRequest) (*lambdaapi.ListProvisionedConcurrencyConfigsResponse, error) {
	if _, _, _, err := s.lookup(ctx, in.FunctionName, nil); err != nil {
		return nil, err
	}
	return &lambdaapi.ListProvisionedConcurrencyConfigsResponse{ProvisionedConcurrencyConfigs: []lambdaapi.ProvisionedConcurrencyConfigListItem{}}, nil
}

// GetProvisionedConcurrencyConfig says that there is none.
func (s *Service) GetProvisionedConcurrencyConfig(ctx context.Context, in *lambdaapi.GetProvisionedConcurrencyConfigRequest) (*lambdaapi.GetProvisionedConcurrencyConfigResponse, error) {
	if _, _, _, err := s.lookup(ctx, in.FunctionName, &in.Qualifier); err != nil {
		return nil, err
	}
	return nil, &lambdaapi.ProvisionedConcurrencyConfigNotFoundException{
		Message: "No Provisioned Concurrency Config found for this function", Type: wire.String("User"),
	}
}
