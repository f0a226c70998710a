package function

import (
	"maps"
	"slices"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// resources names what a call acts on, as the service authorization reference of Lambda
// has it: an invocation is of the version or alias, everything else of the function.
func (s *Service) resources(c *wire.Call, _ string, in any) ([]string, policy.Context) {
	keys := policy.Context{}
	function := func(name string) []string { return s.functionResource(c, name, nil, false) }
	switch in := in.(type) {
	case *lambdaapi.InvocationRequest:
		return s.functionResource(c, in.FunctionName, in.Qualifier, true), keys
	case *lambdaapi.CreateFunctionRequest:
		tagKeys(keys, in.Tags)
		if len(in.Layers) > 0 {
			keys.Set("lambda:Layer", in.Layers...)
		}
		return function(in.FunctionName), keys
	case *lambdaapi.UpdateFunctionConfigurationRequest:
		if len(in.Layers) > 0 {
			keys.Set("lambda:Layer", in.Layers...)
		}
		return function(in.FunctionName), keys
	case *lambdaapi.AddPermissionRequest:
		keys.Set("lambda:Principal", in.Principal)
		return function(in.FunctionName), keys
	case *lambdaapi.TagResourceRequest:
		tagKeys(keys, in.Tags)
		return function(in.Resource), keys
	case *lambdaapi.UntagResourceRequest:
		keys.Set("aws:TagKeys", in.TagKeys...)
		return function(in.Resource), keys
	case *lambdaapi.ListTagsRequest:
		return function(in.Resource), keys
	case *lambdaapi.PublishLayerVersionRequest:
		return []string{layerResource(c.Account, c.Region, in.LayerName, 0)}, keys
	case *lambdaapi.GetLayerVersionRequest:
		return []string{layerResource(c.Account, c.Region, in.LayerName, in.VersionNumber)}, keys
	case *lambdaapi.DeleteLayerVersionRequest:
		return []string{layerResource(c.Account, c.Region, in.LayerName, in.VersionNumber)}, keys
	case *lambdaapi.GetLayerVersionByArnRequest:
		return []string{layerResource(c.Account, c.Region, in.Arn, 0)}, keys
	}
	if name, ok := functionOf(in); ok {
		return function(name), keys
	}
	return nil, keys
}

// functionOf finds the name of the function in the remaining inputs.
func functionOf(in any) (string, bool) {
	switch in := in.(type) {
	case *lambdaapi.GetFunctionRequest:
		return in.FunctionName, true
	case *lambdaapi.GetFunctionConfigurationRequest:
		return in.FunctionName, true
	case *lambdaapi.UpdateFunctionCodeRequest:
		return in.FunctionName, true
	case *lambdaapi.DeleteFunctionRequest:
		return in.FunctionName, true
	case *lambdaapi.PublishVersionRequest:
		return in.FunctionName, true
	case *lambdaapi.ListVersionsByFunctionRequest:
		return in.FunctionName, true
	case *lambdaapi.CreateAliasRequest:
		return in.FunctionName, true
	case *lambdaapi.UpdateAliasRequest:
		return in.FunctionName, true
	case *lambdaapi.GetAliasRequest:
		return in.FunctionName, true
	case *lambdaapi.DeleteAliasRequest:
		return in.FunctionName, true
	case *lambdaapi.ListAliasesRequest:
		return in.FunctionName, true
	case *lambdaapi.RemovePermissionRequest:
		return in.FunctionName, true
	case *lambdaapi.GetPolicyRequest:
		return in.FunctionName, true
	case *lambdaapi.PutFunctionConcurrencyRequest:
		return in.FunctionName, true
	case *lambdaapi.GetFunctionConcurrencyRequest:
		return in.FunctionName, true
	case *lambdaapi.DeleteFunctionConcurrencyRequest:
		return in.FunctionName, true
	case *lambdaapi.GetFunctionCodeSigningConfigRequest:
		return in.FunctionName, true
	case *lambdaapi.GetFunctionEventInvokeConfigRequest:
		return in.FunctionName, true
	case *lambdaapi.ListFunctionEventInvokeConfigsRequest:
		return in.FunctionName, true
	case *lambdaapi.GetFunctionUrlConfigRequest:
		return in.FunctionName, true
	case *lambdaapi.ListFunctionUrlConfigsRequest:
		return in.FunctionName, true
	case *lambdaapi.ListProvisionedConcurrencyConfigsRequest:
		return in.FunctionName, true
	case *lambdaapi.GetProvisionedConcurrencyConfigRequest:
		return in.FunctionName, true
	}
	return "", false
}

// functionResource gives the ARN of a function. A name that cannot be read, or that is of
// another account or region, keeps its own text: the call is refused for it later, and
// until then nobody is allowed by mistake.
func (s *Service) functionResource(c *wire.Call, name string, qualifier *string, qualified bool) []string {
	m := functionName.FindStringSubmatch(name)
	if m == nil {
		return []string{name}
	}
	ref := reference{account: c.Account, region: c.Region, name: m[3]}
	if m[1] != "" {
		ref.region = m[1]
	}
	if m[2] != "" {
		ref.account = m[2]
	}
	if qualified {
		ref.qualifier = m[4]
		if wire.Value(qualifier) != "" {
			ref.qualifier = *qualifier
		}
	}
	return []string{ref.arn()}
}

func tagKeys(keys policy.Context, tags map[string]string) {
	if len(tags) == 0 {
		return
	}
	keys.Set("aws:TagKeys", slices.Sorted(maps.Keys(tags))...)
	for k, v := range tags {
		keys.Set("aws:RequestTag/"+k, v)
	}
}
