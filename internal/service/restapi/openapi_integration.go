package restapi

import (
	"strings"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// integration reads x-amazon-apigateway-integration.
func (o *operation) integration() error {
	def := o.doc.resolve(o.def.Get("x-amazon-apigateway-integration"))
	if def == nil {
		return nil
	}
	timeout, err := number(def, "timeoutInMillis")
	if err != nil {
		return err
	}
	i := apigatewayapi.Integration{
		Type: apigatewayapi.IntegrationType(strings.ToUpper(def.Text("type"))), HttpMethod: optional(def, "httpMethod"), Uri: optional(def, "uri"),
		Credentials: optional(def, "credentials"), ContentHandling: apigatewayapi.ContentHandlingStrategy(def.Text("contentHandling")),
		ConnectionType: apigatewayapi.ConnectionType(strings.ToUpper(def.Text("connectionType"))), ConnectionId: optional(def, "connectionId"),
		RequestParameters: textMap(def.Object("requestParameters")), RequestTemplates: textMap(def.Object("requestTemplates")),
		CacheKeyParameters: texts(def.List("cacheKeyParameters")), CacheNamespace: optional(def, "cacheNamespace"), TimeoutInMillis: timeout,
		IntegrationTarget: optional(def, "integrationTarget"), ResponseTransferMode: apigatewayapi.ResponseTransferMode(def.Text("responseTransferMode")),
	}
	switch i.Type {
	case apigatewayapi.IntegrationTypeMOCK:
		i.HttpMethod = nil // recorded: it is not kept
	case apigatewayapi.IntegrationTypeAWS, apigatewayapi.IntegrationTypeAWS_PROXY, apigatewayapi.IntegrationTypeHTTP, apigatewayapi.IntegrationTypeHTTP_PROXY:
	default:
		return badRequest("Enumeration value for Type must be one of HTTP, AWS, MOCK, HTTP_PROXY, AWS_PROXY")
	}
	if m := wire.Value(i.HttpMethod); m != "" {
		i.HttpMethod = wire.String(strings.ToUpper(m))
	}
	if b := def.Text("passthroughBehavior"); b != "" {
		i.PassthroughBehavior = wire.String(strings.ToUpper(b))
	}
	if t := def.Object("tlsConfig"); t != nil {
		i.TlsConfig = &apigatewayapi.TlsConfig{InsecureSkipVerification: wire.Bool(isTrue(t.Get("insecureSkipVerification")))}
	}
	responses := def.Object("responses")
	for _, pattern := range responses.Keys() {
		if err := integrationAnswer(&i, pattern, responses.Object(pattern)); err != nil {
			return err
		}
	}
	if err := checkChoices(&i); err != nil {
		return err
	}
	integrationDefaults(&i, o.resource)
	if err := checkIntegration("PutRestApi", &i); err != nil {
		return err
	}
	o.m.MethodIntegration = &i
	return nil
}

// checkChoices holds a document to the values that calls can have, and refuses what is not built.
func checkChoices(i *apigatewayapi.Integration) error {
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
		return notBuilt("PutRestApi", "the response transfer mode %s is not built", m)
	}
	if wire.Value(i.IntegrationTarget) != "" {
		return notBuilt("PutRestApi", "integration targets are not built")
	}
	return nil
}

// integrationAnswer reads how one kind of answer is mapped: its key is the selection pattern.
func integrationAnswer(i *apigatewayapi.Integration, pattern string, def *document.Object) error {
	status := def.Text("statusCode")
	if status == "" {
		status = "200"
	}
	if !statusCode.MatchString(status) {
		return badRequest("Invalid status code '%s' of response '%s'", status, pattern)
	}
	r := apigatewayapi.IntegrationResponse{
		StatusCode: &status, ResponseParameters: textMap(def.Object("responseParameters")), ResponseTemplates: textMap(def.Object("responseTemplates")),
		ContentHandling: apigatewayapi.ContentHandlingStrategy(def.Text("contentHandling")),
	}
	if pattern != "default" {
		r.SelectionPattern = &pattern
	}
	if i.IntegrationResponses == nil {
		i.IntegrationResponses = map[string]apigatewayapi.IntegrationResponse{}
	}
	i.IntegrationResponses[status] = r
	return nil
}
