package template

import "strings"

// unbuiltReason is why a resource type that AWS documents is none here; "" where nothing more is to
// be said than that it is not implemented.
func unbuiltReason(typ string) string {
	const (
		pages   = "there are no login pages here, nor sign-in by providers outside"
		regions = "a user pool is in one region"
	)
	if why, ok := map[string]string{
		"AWS::Cognito::UserPoolIdentityProvider":                pages,
		"AWS::Cognito::UserPoolUICustomizationAttachment":       pages,
		"AWS::Cognito::ManagedLoginBranding":                    pages,
		"AWS::Cognito::Terms":                                   pages,
		"AWS::Cognito::UserPoolReplica":                         regions,
		"AWS::Cognito::UserPoolRegionalConfigurationAttachment": regions,
		"AWS::CloudFormation::Stack":                            "nested stacks are not built",
		"AWS::CloudFormation::CustomResource":                   "custom resources are not built",
		"AWS::CertificateManager::Certificate":                  "there is no certificate manager here",
		"AWS::ElasticLoadBalancingV2::LoadBalancer":             "there are no load balancers here; the operator names the targets of VPC links",
	}[typ]; ok {
		return why
	}
	for _, service := range [][2]string{
		{"AWS::ApiGatewayV2::", "HTTP APIs and web sockets are not built"}, {"AWS::S3::", "there is no S3 here"}, {"AWS::Route53::", "there is no Route 53 here"},
		{"AWS::DynamoDB::", "there is no DynamoDB here"}, {"Custom::", "custom resources are not built"},
	} {
		if strings.HasPrefix(typ, service[0]) {
			return service[1]
		}
	}
	return ""
}
