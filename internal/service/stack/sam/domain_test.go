package sam

import (
	"strings"
	"testing"
)

const domainTemplate = `Transform: AWS::Serverless-2016-10-31
Globals:
  Api:
    Domain: {DomainName: another-example.com, CertificateArn: another-api-arn}
Resources:
  MyApi:
    Type: AWS::Serverless::Api
    Properties:
      StageName: Prod
      DefinitionBody: {openapi: 3.0.1, info: {}, paths: {}}
      Domain: {DomainName: api-example.com, CertificateArn: my-api-cert-arn, EndpointConfiguration: EDGE, BasePath: [/get, fe-tch], SecurityPolicy: TLS_1_2, MutualTlsAuthentication: {TruststoreUri: uri, TruststoreVersion: v}}
  MyAnotherApi:
    Type: AWS::Serverless::Api
    Properties: {StageName: Prod, DefinitionBody: {openapi: 3.0.1, info: {}, paths: {}}}
  Third:
    Type: AWS::Serverless::Api
    Properties: {StageName: Prod, DefinitionBody: {openapi: 3.0.1, info: {}, paths: {}}}
Outputs:
  Name: {Value: !Ref MyApi.DomainName}
`

// The logical ids and properties are those of AWS's own expansion of such a template.
func TestTransform_domain(t *testing.T) {
	t.Parallel()
	root, err := expand(t, domainTemplate)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"ApiGatewayDomainName23cdccdf9c": `{"Type":"AWS::ApiGateway::DomainName","Properties":{"DomainName":"api-example.com","EndpointConfiguration":{"Types":["EDGE"]},"CertificateArn":"my-api-cert-arn",` +
			`"SecurityPolicy":"TLS_1_2","MutualTlsAuthentication":{"TruststoreUri":"uri","TruststoreVersion":"v"}}}`,
		"ApiGatewayDomainNameeab65c1531": `{"Type":"AWS::ApiGateway::DomainName","Properties":{"DomainName":"another-example.com","EndpointConfiguration":{"Types":["REGIONAL"]},"RegionalCertificateArn":"another-api-arn"}}`,
		"MyApigetBasePathMapping":        `{"Type":"AWS::ApiGateway::BasePathMapping","Properties":{"DomainName":{"Ref":"ApiGatewayDomainName23cdccdf9c"},"RestApiId":{"Ref":"MyApi"},"Stage":{"Ref":"MyApiProdStage"},"BasePath":"get"}}`,
		"MyApifetchBasePathMapping":      `{"Type":"AWS::ApiGateway::BasePathMapping","Properties":{"DomainName":{"Ref":"ApiGatewayDomainName23cdccdf9c"},"RestApiId":{"Ref":"MyApi"},"Stage":{"Ref":"MyApiProdStage"},"BasePath":"fetch"}}`,
		"MyAnotherApiBasePathMapping":    `{"Type":"AWS::ApiGateway::BasePathMapping","Properties":{"DomainName":{"Ref":"ApiGatewayDomainNameeab65c1531"},"RestApiId":{"Ref":"MyAnotherApi"},"Stage":{"Ref":"MyAnotherApiProdStage"}}}`,
		"ThirdBasePathMapping":           `{"Type":"AWS::ApiGateway::BasePathMapping","Properties":{"DomainName":{"Ref":"ApiGatewayDomainNameeab65c1531"},"RestApiId":{"Ref":"Third"},"Stage":{"Ref":"ThirdProdStage"}}}`,
	} {
		if got := root.At("Resources", path); got == nil || string(got.JSON()) != want {
			t.Errorf("%s: got %s\nwant %s", path, got.JSON(), want)
		}
	}
	if got := root.At("Outputs", "Name", "Value", "Ref").Str(); got != "ApiGatewayDomainName23cdccdf9c" {
		t.Errorf("the domain's reference is %s", got)
	}
	for _, tc := range []struct{ from, to, want string }{
		{"another-example.com, CertificateArn: another-api-arn", "another-example.com", "Custom Domains only works if both DomainName and CertificateArn are provided."},
		{"EndpointConfiguration: EDGE", "EndpointConfiguration: NEAR", "EndpointConfiguration for Custom Domains must be one of"},
		{"EndpointConfiguration: EDGE", "EndpointConfiguration: PRIVATE", "a private custom domain name is not implemented"},
		{"SecurityPolicy: TLS_1_2", "Route53: {HostedZoneId: z}", "the property Domain.Route53 is not implemented"},
		{"SecurityPolicy: TLS_1_2", "SecurityPolcy: TLS_1_2", "unknown property of Domain"},
		{"TruststoreVersion: v", "Truststore: v", "Available MutualTlsAuthentication fields are"},
		{"[/get, fe-tch]", "[!Ref X]", "a base path is a text"},
	} {
		if _, err := expand(t, strings.Replace(domainTemplate, tc.from, tc.to, 1)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %s", tc.to, err, tc.want)
		}
	}
}
