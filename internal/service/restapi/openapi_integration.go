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
	integrationDefaults(&i, o.resource)
	if err := checkIntegration("PutRestApi", &i); err != nil {
		return err
	}
	o.m.MethodIntegration = &i
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
