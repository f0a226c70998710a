package moattest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"moat/internal/server"
)

// shopStack is a template with two custom domain names, one of them for clients with certificates,
// and what an API can have beside its methods. %stage is where the shop's base path leads, %mode
// whether clients prove themselves by certificates, %more what else there is.
const shopStack = `
Resources:
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Name: shop
      Description: the template's word
      BinaryMediaTypes: [image/png]
      MinimumCompressionSize: 1000
      ApiKeySourceType: AUTHORIZER
      Policy: {Version: "2012-10-17", Statement: [{Effect: Allow, Principal: "*", Action: "execute-api:Invoke", Resource: "execute-api:/*"}]}
      EndpointConfiguration: {Types: [REGIONAL]}
      Tags: [{Key: shop, Value: "%stage"}]
      Body:
        openapi: 3.0.1
        info: {title: by its title, description: the document's word, version: "1"}
        paths:
          /things:
            get:
              responses: {"200": {description: ok}}
              x-amazon-apigateway-integration:
                type: mock
                requestTemplates: {application/json: '{"statusCode": 200}'}
                responses: {default: {statusCode: "200", responseTemplates: {application/json: "$stageVariables.color at $context.domainName for $context.identity.clientCert.subjectDN"}}}
  Part:
    Type: AWS::ApiGateway::DocumentationPart
    Properties: {RestApiId: !Ref Api, Location: {Type: RESOURCE, Path: /things}, Properties: '{"description":"a shop, %stage"}'}
  Docs:
    Type: AWS::ApiGateway::DocumentationVersion
    DependsOn: Part
    Properties: {RestApiId: !Ref Api, DocumentationVersion: "1", Description: "with %stage"}
  Certificate:
    Type: AWS::ApiGateway::ClientCertificate
    Properties: {Description: "for backends of %stage", Tags: [{Key: a, Value: b}]}
  Link:
    Type: AWS::ApiGateway::VpcLink
    Properties: {Name: "link %stage", TargetArns: ["arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/net/backends/1"]}
  Green:
    Type: AWS::ApiGateway::Deployment
    Properties:
      RestApiId: !Ref Api
      StageName: green
      StageDescription:
        Description: "%stage"
        Variables: {color: green}
        ClientCertificateId: !Ref Certificate
        DocumentationVersion: !Ref Docs
        LoggingLevel: ERROR
        CanarySetting: {PercentTraffic: 0, StageVariableOverrides: {color: yellow}}
        Tags: [{Key: stage, Value: green}]
  BlueDeployment:
    Type: AWS::ApiGateway::Deployment
    Properties: {RestApiId: !Ref Api}
  Blue:
    Type: AWS::ApiGateway::Stage
    Properties:
      RestApiId: !Ref Api
      DeploymentId: !Ref BlueDeployment
      StageName: blue
      Variables: {color: blue}
      ClientCertificateId: !Ref Certificate
      DocumentationVersion: !Ref Docs
      TracingEnabled: true
      AccessLogSetting: {DestinationArn: !GetAtt Log.Arn, Format: $context.requestId}
      MethodSettings: [{ResourcePath: /things, HttpMethod: GET, ThrottlingRateLimit: 100, ThrottlingBurstLimit: 50}]
  Log: {Type: AWS::Logs::LogGroup}
  Domain:
    Type: AWS::ApiGateway::DomainName
    Properties: {DomainName: shop.localhost, RegionalCertificateArn: "arn:aws:acm:us-east-1:000000000000:certificate/1", EndpointConfiguration: {Types: [REGIONAL]}, Tags: [{Key: a, Value: "%stage"}]}
  Mapping:
    Type: AWS::ApiGateway::BasePathMapping
    DependsOn: [Blue, Green]
    Properties: {DomainName: !Ref Domain, BasePath: shop, RestApiId: !Ref Api, Stage: "%stage"}
  Private:
    Type: AWS::ApiGateway::DomainName
    Properties: {DomainName: members.localhost, RegionalCertificateArn: "arn:aws:acm:us-east-1:000000000000:certificate/1", EndpointConfiguration: {Types: [REGIONAL]}, SecurityPolicy: TLS_1_2%mode}
  Root:
    Type: AWS::ApiGateway::BasePathMapping
    DependsOn: Blue
    Properties: {DomainName: !Ref Private, RestApiId: !Ref Api, Stage: blue}
  Copy:
    Type: AWS::ApiGateway::RestApi
    DependsOn: Blue
    Properties: {Name: copy, CloneFrom: !Ref Api}
  Pool: {Type: AWS::Cognito::UserPool, Properties: {UserPoolAddOns: {AdvancedSecurityMode: ENFORCED}, UserPoolTier: PLUS}}
  Risk:
    Type: AWS::Cognito::UserPoolRiskConfigurationAttachment
    Properties: {UserPoolId: !Ref Pool, ClientId: ALL, RiskExceptionConfiguration: {BlockedIPRangeList: ["192.0.2.0/24"]}}
  Delivery:
    Type: AWS::Cognito::LogDeliveryConfiguration
    Properties: {UserPoolId: !Ref Pool, LogConfigurations: [{EventSource: userAuthEvents, LogLevel: INFO, CloudWatchLogsConfiguration: {LogGroupArn: !Sub "arn:aws:logs:${AWS::Region}:${AWS::AccountId}:log-group:${Log}"}}]}
%more
Outputs:
  Api: {Value: !Ref Api}
  Copy: {Value: !GetAtt Copy.RestApiId}
  Domain: {Value: !Ref Domain}
  DomainArn: {Value: !GetAtt Domain.DomainNameArn}
  Regional: {Value: !GetAtt Domain.RegionalDomainName}
  Mapping: {Value: !Ref Mapping}
  Root: {Value: !Ref Root}
  Part: {Value: !GetAtt Part.DocumentationPartId}
  Docs: {Value: !Ref Docs}
  Certificate: {Value: !GetAtt Certificate.ClientCertificateId}
  Link: {Value: !GetAtt Link.VpcLinkId}
  Pool: {Value: !Ref Pool}
  Delivery: {Value: !GetAtt Delivery.Id}
  Risk: {Value: !Ref Risk}
`

// A template makes an API with all that stands beside it, served under custom domain names; an
// update leads a base path elsewhere and asks clients for certificates, a failed one leaves all as it
// was, and with the stack everything goes.
func TestFlow_domainStack(t *testing.T) {
	t.Parallel()
	m := New(t, func(c *server.Config) { c.VPCLinks = map[string][]string{"backends": {"127.0.0.1:1"}} })
	authority := vouch(t, "Members", nil)
	friend, stranger := vouch(t, "friend", &authority), vouch(t, "friend", nil)
	trust := `, MutualTlsAuthentication: {TruststoreUri: "data:application/x-pem-file;base64,` + base64.StdEncoding.EncodeToString([]byte(authority.pem())) + `"}`
	body := func(stage, mode, more string) string {
		return strings.NewReplacer("%stage", stage, "%mode", mode, "%more", more).Replace(shopStack)
	}
	deploy := func(action, body, want string) string {
		t.Helper()
		m.must(t, "cloudformation", action, "StackName", "shop", "TemplateBody", body)
		status, why := m.stackStatus(t, "shop")
		if status != want {
			t.Fatalf("%s: %s, want %s: %s", action, status, want, why)
		}
		return why
	}
	roots := x509.NewCertPool()
	_, pem := m.signed(t, rootKey(), "iam", "GET", "/_moat/ca.pem", "")
	if !roots.AppendCertsFromPEM([]byte(pem)) {
		t.Fatalf("no certificate authority: %s", pem)
	}
	served := func(what string, client *tls.Certificate, host, path string, status int, want string) {
		t.Helper()
		got, answer, err := m.tlsGet(t, roots, client, host, host, path)
		if got != status || !strings.Contains(answer, want) || (err != nil) != (status == 0) {
			t.Errorf("%s: %d %s %v, want %d %s", what, got, answer, err, status, want)
		}
	}

	deploy("CreateStack", body("green", "", ""), "CREATE_COMPLETE")
	out := m.outputs(t, "shop")
	api := out["Api"]
	for name, want := range map[string]string{
		"Domain": "shop.localhost", "DomainArn": "arn:aws:apigateway:us-east-1::/domainnames/shop.localhost", "Mapping": "shop.localhost|shop", "Root": "members.localhost|(none)",
		"Docs": "1", "Delivery": out["Pool"], "Risk": out["Pool"] + "|ALL",
	} {
		if out[name] != want {
			t.Errorf("output %s is %q, want %q", name, out[name], want)
		}
	}
	served("mapped", nil, "shop.localhost", "/shop/things", 200, "green at shop.localhost")
	served("elsewhere", nil, "shop.localhost", "/things", 403, "Forbidden")
	served("the root of another", nil, "members.localhost", "/things", 200, "blue at members.localhost")
	m.shopIs(t, out, "green")

	deploy("UpdateStack", body("blue", trust, ""), "UPDATE_COMPLETE")
	served("mapped anew", nil, "shop.localhost", "/shop/things", 200, "blue at shop.localhost")
	served("a member", friend.pair(), "members.localhost", "/things", 200, "for CN=friend")
	served("nobody", nil, "members.localhost", "/things", 0, "")
	served("a stranger", stranger.pair(), "members.localhost", "/things", 0, "")
	m.shopIs(t, out, "blue")

	const broken = "  Bad:\n    Type: AWS::ApiGateway::BasePathMapping\n    DependsOn: [Mapping, Private, Green, Part, Docs, Certificate, Link]\n    Properties: {DomainName: !Ref Domain, BasePath: bad, RestApiId: !Ref Api, Stage: nowhere}"
	if why := deploy("UpdateStack", body("green", "", broken), "UPDATE_ROLLBACK_COMPLETE"); !strings.Contains(why, "Invalid stage identifier specified") {
		t.Errorf("failed for %s", why)
	}
	served("as it was", nil, "shop.localhost", "/shop/things", 200, "blue at shop.localhost")
	served("nobody still", nil, "members.localhost", "/things", 0, "")
	m.shopIs(t, out, "blue")

	m.must(t, "cloudformation", "DeleteStack", "StackName", "shop")
	for _, path := range []string{"/restapis", "/domainnames", "/vpclinks", "/clientcertificates"} {
		if _, got := m.gatewayCall(t, "GET", path, nil); len(list(got)) != 0 {
			t.Errorf("%s after the stack: %v", path, got)
		}
	}
	if status, _ := m.gatewayCall(t, "GET", "/restapis/"+api, nil); status != 404 {
		t.Errorf("the API after the stack: %d", status)
	}
	served("after the stack", nil, "shop.localhost", "/shop/things", 404, "")
}

// shopIs compares what the stack made with its template.
func (m *Moat) shopIs(t *testing.T, out map[string]string, stage string) {
	t.Helper()
	api := "/restapis/" + out["Api"]
	for path, want := range map[string][]string{
		api:                   {`"name":"shop"`, `"description":"the template's word"`, `"minimumCompressionSize":1000`, `"apiKeySource":"AUTHORIZER"`, `"image/png"`, "execute-api:Invoke", `"shop":"` + stage + `"`},
		api + "/stages/green": {`"description":"` + stage + `"`, `"clientCertificateId":"` + out["Certificate"] + `"`, `"documentationVersion":"1"`, `"loggingLevel":"ERROR"`, `"color":"yellow"`, `"stage":"green"`},
		api + "/stages/blue":  {`"clientCertificateId":"` + out["Certificate"] + `"`, `"documentationVersion":"1"`, `"tracingEnabled":true`, `"format":"$context.requestId"`, `"throttlingBurstLimit":50`},
		api + "/documentation/parts/" + out["Part"]: {`a shop, ` + stage},
		api + "/documentation/versions/1":           {`"description":"with ` + stage + `"`},
		"/clientcertificates/" + out["Certificate"]: {`"description":"for backends of ` + stage + `"`, `"a":"b"`},
		"/vpclinks/" + out["Link"]:                  {`"name":"link ` + stage + `"`, `"AVAILABLE"`},
		"/domainnames/shop.localhost":               {`"a":"` + stage + `"`, out["Regional"]},
		"/restapis/" + out["Copy"] + "/resources":   {`"/things"`},
		"/restapis/" + out["Copy"]:                  {`"name":"copy"`, `"apiKeySource":"AUTHORIZER"`},
	} {
		status, got := m.gatewayCall(t, "GET", path, nil)
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if status != 200 || !strings.Contains(strings.ReplaceAll(string(text), `\`, ""), w) {
				t.Errorf("%s: %d %s, want %s", path, status, text, w)
			}
		}
	}
	for operation, want := range map[string]string{"DescribeRiskConfiguration": "192.0.2.0/24", "GetLogDeliveryConfiguration": "userAuthEvents"} {
		if got := m.pools(t, rootKey(), operation, `{"UserPoolId":"`+out["Pool"]+`"}`); !strings.Contains(got, want) {
			t.Errorf("%s: %s", operation, got)
		}
	}
}

// outputs are those of a stack.
func (m *Moat) outputs(t *testing.T, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, x := range strings.Split(m.must(t, "cloudformation", "DescribeStacks", "StackName", name), "<member>") {
		if key := element(x, "OutputKey"); key != "" {
			out[key] = element(x, "OutputValue")
		}
	}
	return out
}

// list is the list of an answer, by whichever name.
func list(answer map[string]any) []any {
	for _, name := range []string{"item", "items"} {
		if l, ok := answer[name].([]any); ok {
			return l
		}
	}
	return nil
}
