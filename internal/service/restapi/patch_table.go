package restapi

// What patches may touch (API Gateway API Reference, "Patch Operations"). Values that are lists or maps may be
// addressed as a whole, with an element as the operation's value, or by their elements' names.

func accountRules() patchRules {
	return patchRules{at("/cloudwatchRoleArn", replace), at("/features", add, remove), also("/throttleSettings/rateLimit", replace), also("/throttleSettings/burstLimit", replace)}
}

func keyRules() patchRules {
	return patchRules{at("/customerId", replace), at("/description", replace), at("/enabled", replace), at("/labels", add, remove), at("/name", replace), at("/stages", add, remove)}
}

func authorizerRules() patchRules {
	return patchRules{
		at("/authorizerUri", replace), at("/authorizerCredentials", replace), at("/authorizerResultTtlInSeconds", replace), at("/authType", replace),
		at("/identitySource", add, replace, remove), at("/identityValidationExpression", replace), at("/name", replace), at("/providerARNs", add, remove), at("/type", replace),
		also("/providerARNs/*", add, remove),
	}
}

func mappingRules() patchRules {
	return patchRules{at("/basePath", replace), at("/restapiId", replace), at("/stage", replace), also("/basepath", replace), also("/restApiId", replace)}
}

// descriptionRules are those of what has nothing but a description to change.
func descriptionRules() patchRules { return patchRules{at("/description", replace)} }

func partRules() patchRules { return patchRules{at("/properties", replace)} }

func domainRules() patchRules {
	return patchRules{
		at("/certificateName", add, replace, remove), at("/certificateArn", add, replace, remove), at("/endpointConfiguration/types", add, remove), at("/endpointConfiguration/ipAddressType", replace),
		at("/endpointAccessMode", replace), at("/managementPolicy", replace), at("/mutualTlsAuthentication/truststoreUri", add, replace, remove), at("/mutualTlsAuthentication/truststoreVersion", add, replace, remove),
		at("/policy", replace), at("/regionalCertificateName", add, replace, remove), at("/regionalCertificateArn", add, replace, remove), at("/routingMode", replace), at("/securityPolicy", replace),
		at("/ownershipVerificationCertificateArn", add, replace, remove),
		also("/endpointConfiguration/types/*", add, replace, remove), also("/mutualTlsAuthentication", remove),
		also("/certificateBody", replace), also("/certificatePrivateKey", replace), also("/certificateChain", replace),
	}
}

func gatewayResponseRules() patchRules {
	return patchRules{at("/statusCode", replace), at("/responseParameters/*", add, replace, remove), at("/responseTemplates/*", add, replace, remove)}
}

func integrationRules() patchRules {
	return patchRules{
		at("/cacheKeyParameters/*", add, replace, remove), at("/cacheNamespace", replace), at("/connectionId", replace), at("/connectionType", replace), at("/contentHandling", replace),
		at("/httpMethod", replace), at("/integrationTarget", replace), at("/passthroughBehavior", replace), at("/requestParameters/*", add, replace, remove), at("/requestTemplates/*", add, replace, remove),
		at("/responseTransferMode", replace), at("/timeoutInMillis", replace), at("/tlsConfig/insecureSkipVerification", replace), at("/uri", replace),
		also("/cacheKeyParameters", add, replace, remove), also("/credentials", replace),
	}
}

func integrationResponseRules() patchRules {
	return patchRules{
		at("/contentHandling", replace), at("/responseParameters/*", add, replace, remove), at("/responseTemplates/*", add, replace, remove), at("/selectionPattern", replace),
	}
}

func methodRules() patchRules {
	return patchRules{
		at("/authorizationScopes", add, remove), at("/authorizationType", replace), at("/authorizerId", replace), at("/apiKeyRequired", replace), at("/operationName", replace),
		at("/requestParameters/*", add, replace, remove), at("/requestModels/*", add, replace, remove), at("/requestValidatorId", replace),
	}
}

func methodResponseRules() patchRules {
	return patchRules{at("/responseModels/*", add, replace, remove), at("/responseParameters/*", add, replace, remove)}
}

func modelRules() patchRules { return patchRules{at("/description", replace), at("/schema", replace)} }

func validatorRules() patchRules {
	return patchRules{at("/name", replace), at("/validateRequestParameters", replace), at("/validateRequestBody", replace)}
}

func resourceRules() patchRules {
	return patchRules{at("/parentId", replace), at("/pathPart", replace)}
}

func restAPIRules() patchRules {
	return patchRules{
		at("/apiKeySource", replace), at("/binaryMediaTypes/*", add, replace, remove), at("/description", add, replace, remove), at("/disableExecuteApiEndpoint", replace),
		at("/endpointConfiguration/types/*", replace), at("/endpointConfiguration/vpcEndpointIds", add, remove), at("/endpointConfiguration/ipAddressType", replace), at("/endpointAccessMode", replace),
		at("/minimumCompressionSize", replace), at("/name", replace), at("/policy", replace), at("/securityPolicy", replace),
		also("/binaryMediaTypes", add, replace, remove), also("/version", replace),
	}
}

// stageRules are the patches of a stage's own members; method settings have paths of their own, and so has what
// is copied.
func stageRules() patchRules {
	return patchRules{
		at("/accessLogSettings", remove), at("/accessLogSettings/destinationArn", add, replace, remove), at("/accessLogSettings/format", add, replace, remove),
		at("/cacheClusterEnabled", replace), at("/cacheClusterSize", replace),
		at("/canarySettings", remove), at("/canarySettings/deploymentId", replace), at("/canarySettings/percentTraffic", replace), at("/canarySettings/stageVariableOverrides", replace),
		at("/canarySettings/stageVariableOverrides/*", add, replace, remove), at("/canarySettings/useStageCache", replace),
		at("/clientCertificateId", replace), at("/deploymentId", replace), at("/description", replace), at("/documentationVersion", replace),
		at("/variables", replace, remove), at("/variables/*", add, replace, remove), at("/tracingEnabled", replace),
	}
}

func usageRules() patchRules { return patchRules{at("/remaining", replace)} }

// planRules are the patches of a plan; what a plan says of one stage has rules of its own.
func planRules() patchRules {
	return patchRules{
		at("/apiStages", add, remove), at("/description", replace), at("/name", replace), at("/productCode", add, replace, remove),
		at("/quota", remove), at("/quota/limit", add, replace), at("/quota/offset", add, replace), at("/quota/period", add, replace),
		at("/throttle", remove), at("/throttle/burstLimit", add, replace), at("/throttle/rateLimit", add, replace),
	}
}

// planStageRules are the patches below /apiStages/{api}:{stage}, with one segment for the method.
func planStageRules() patchRules {
	return patchRules{at("/throttle", add, replace, remove), at("/throttle/*", remove), at("/throttle/*/rateLimit", add, replace), at("/throttle/*/burstLimit", add, replace)}
}

func linkRules() patchRules { return patchRules{at("/name", replace), at("/description", replace)} }
