package restapi

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"moat/internal/service/restapi/document"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// drawn draws definitions that calls could have made.
type drawn struct {
	*rand.Rand
	s *Service
	d definition
	n int
}

func (r *drawn) yes() bool { return r.IntN(2) == 0 }

func pick[T any](r *drawn, of ...T) T { return of[r.IntN(len(of))] }

// maybe is one of the texts, or none.
func (r *drawn) maybe(of ...string) *string {
	if r.yes() {
		return nil
	}
	return wire.Ptr(pick(r, of...))
}

func (r *drawn) id() string {
	r.n++
	return fmt.Sprintf("id%04d", r.n)
}

func (r *drawn) texts(kv ...string) map[string]string {
	var out map[string]string
	for i := 0; i+1 < len(kv); i += 2 {
		if r.yes() {
			if out == nil {
				out = map[string]string{}
			}
			out[kv[i]] = kv[i+1]
		}
	}
	return out
}

// strangeTexts are what YAML, JSON and Velocity read in ways of their own.
var strangeTexts = []string{"plain", "yes", "null", "1.0", "~", "", "a: b", "- a", "# no comment", "'", "\"", "a\nb\n", "  lead", "trail  ", "\ttab", "é ü 漢 🎈", "{\"a\": \"$input.path('$')\"}", "#set($x = 1)\n$x\n", "&a", "*a", "!t", "%d", "@at", "`b`", "a #b", "0x1f", "2026-01-01", "on", "[", "{", "|", ">", "?", "a\\nb", "\u2028", "\u0085"}

func (r *drawn) text() string { return pick(r, strangeTexts...) }

func (r *drawn) api() {
	a := &r.d.API
	a.Name, a.Description, a.Version = wire.Ptr(pick(r, "shop", "yes", "1", "a: b")), wire.Ptr(r.text()), wire.Ptr(pick(r, "1", "1.0", "2026-01-01"))
	if *a.Description == "" {
		a.Description = nil
	}
	if r.yes() {
		a.BinaryMediaTypes = []string{"image/png", "*/*"}
	}
	if r.yes() {
		a.MinimumCompressionSize = wire.Int32(pick[int32](r, 0, 10, 10485760))
	}
	a.ApiKeySource = pick(r, apigatewayapi.ApiKeySourceTypeHEADER, apigatewayapi.ApiKeySourceTypeAUTHORIZER)
	if r.yes() {
		a.Policy = wire.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"execute-api:Invoke","Resource":"execute-api:/*"}]}`)
	}
	for _, kind := range []string{"DEFAULT_4XX", "ACCESS_DENIED", "THROTTLED"} {
		if r.yes() {
			g := apigatewayapi.GatewayResponse{ResponseType: apigatewayapi.GatewayResponseType(kind), DefaultResponse: wire.Bool(false), StatusCode: r.maybe("444", "403"),
				ResponseParameters: r.texts("gatewayresponse.header.a", "'b'", "gatewayresponse.header.c", "context.requestId"), ResponseTemplates: r.texts("application/json", r.text(), "text/plain", "x")}
			gatewayResponseDefaults(&g)
			r.d.Responses[kind] = g
		}
	}
}

func (r *drawn) parts() (models, authorizers, validators []string) {
	for i, schema := range []string{`{"type":"object","properties":{"name":{"type":"string"}}}`, `{"type":"array","items":{"$ref":"` + modelBase + r.d.ID + `/models/M0"}}`, `{"type":"object","required":["a"],"properties":{"a":{"type":"integer","minimum":1}}}`} {
		if name := fmt.Sprint("M", i); i == 0 || r.yes() {
			r.d.Models[name] = apigatewayapi.Model{Id: wire.String(r.id()), Name: wire.String(name), ContentType: wire.String("application/json"), Schema: wire.String(schema)}
			models = append(models, name)
		}
	}
	for i := range r.IntN(4) {
		id, kind := r.id(), pick(r, apigatewayapi.AuthorizerTypeTOKEN, apigatewayapi.AuthorizerTypeREQUEST, apigatewayapi.AuthorizerTypeCOGNITO_USER_POOLS)
		a := apigatewayapi.Authorizer{Id: &id, Name: wire.String(fmt.Sprint("auth", i)), Type: kind, IdentitySource: wire.String("method.request.header.Auth")}
		if kind == apigatewayapi.AuthorizerTypeCOGNITO_USER_POOLS {
			a.ProviderARNs = []string{"arn:aws:cognito-idp:us-east-1:000000000000:userpool/us-east-1_a"}
		} else {
			a.AuthorizerUri, a.AuthorizerCredentials = wire.String("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"), r.maybe("arn:aws:iam::000000000000:role/r")
		}
		if r.yes() {
			a.AuthorizerResultTtlInSeconds = wire.Int32(pick[int32](r, 0, 60))
		}
		if kind == apigatewayapi.AuthorizerTypeTOKEN {
			a.IdentityValidationExpression = r.maybe("^x.*$")
		}
		authorizerDefaults(&a)
		r.d.Authorizers[id] = a
		authorizers = append(authorizers, id)
	}
	for i := range r.IntN(3) {
		id := r.id()
		r.d.Validators[id] = apigatewayapi.RequestValidator{Id: &id, Name: wire.String(fmt.Sprint("v", i)), ValidateRequestBody: wire.Bool(r.yes()), ValidateRequestParameters: wire.Bool(r.yes())}
		validators = append(validators, id)
	}
	return models, authorizers, validators
}

func (r *drawn) method(t *testing.T, path, resource, verb string, models, authorizers, validators []string) apigatewayapi.Method {
	m := apigatewayapi.Method{HttpMethod: &verb, AuthorizationType: wire.Ptr(pick(r, "NONE", "AWS_IAM")), ApiKeyRequired: wire.Bool(r.yes()), OperationName: r.maybe("get" + r.id())}
	if len(authorizers) > 0 && r.yes() {
		id := pick(r, authorizers...)
		if m.AuthorizerId, m.AuthorizationType = &id, wire.String("CUSTOM"); r.d.Authorizers[id].Type == apigatewayapi.AuthorizerTypeCOGNITO_USER_POOLS {
			if m.AuthorizationType = wire.String("COGNITO_USER_POOLS"); r.yes() {
				m.AuthorizationScopes = []string{"a/read", "b"}
			}
		}
	}
	if len(validators) > 0 && r.yes() {
		m.RequestValidatorId = wire.Ptr(pick(r, validators...))
	}
	params := map[string]bool{}
	for _, p := range []string{"method.request.querystring.q", "method.request.header.X-A"} {
		if r.yes() {
			params[p] = r.yes()
		}
	}
	for _, v := range pathVariable.FindAllStringSubmatch(path, -1) {
		params["method.request.path."+strings.TrimSuffix(v[1], "+")] = true
	}
	if len(params) > 0 {
		m.RequestParameters = params
	}
	if r.yes() && verb != "GET" && verb != "HEAD" {
		m.RequestModels = map[string]string{"application/json": pick(r, models...)}
	}
	for _, status := range []string{"200", "404"} {
		if r.yes() {
			continue
		}
		a := apigatewayapi.MethodResponse{StatusCode: &status}
		if r.yes() {
			a.ResponseModels = map[string]string{"application/json": pick(r, models...)}
		}
		if r.yes() {
			a.ResponseParameters = map[string]bool{"method.response.header.X-B": false}
		}
		if m.MethodResponses == nil {
			m.MethodResponses = map[string]apigatewayapi.MethodResponse{}
		}
		m.MethodResponses[status] = a
	}
	m.MethodIntegration = r.integration(t, resource)
	return m
}

func (r *drawn) integration(t *testing.T, resource string) *apigatewayapi.Integration {
	i := apigatewayapi.Integration{
		Type:        pick(r, apigatewayapi.IntegrationTypeMOCK, apigatewayapi.IntegrationTypeHTTP, apigatewayapi.IntegrationTypeHTTP_PROXY, apigatewayapi.IntegrationTypeAWS, apigatewayapi.IntegrationTypeAWS_PROXY),
		Credentials: r.maybe("arn:aws:iam::000000000000:role/r"), PassthroughBehavior: r.maybe("NEVER", "WHEN_NO_TEMPLATES"), CacheNamespace: r.maybe("shared"),
		RequestParameters: r.texts("integration.request.querystring.q", "'x'", "integration.request.header.X-C", "context.requestId"), RequestTemplates: r.texts("application/json", r.text(), "text/xml", r.text()),
	}
	if r.yes() {
		i.TimeoutInMillis = wire.Int32(pick[int32](r, 50, 1000, 29000))
	}
	if r.yes() {
		i.ContentHandling = pick(r, apigatewayapi.ContentHandlingStrategyCONVERT_TO_BINARY, apigatewayapi.ContentHandlingStrategyCONVERT_TO_TEXT)
	}
	if r.yes() {
		i.CacheKeyParameters = []string{"method.request.querystring.q"}
	}
	switch i.Type {
	case apigatewayapi.IntegrationTypeHTTP, apigatewayapi.IntegrationTypeHTTP_PROXY:
		i.HttpMethod, i.Uri = wire.Ptr(pick(r, "GET", "ANY", "POST")), wire.Ptr(pick(r, "http://example.com/a?b=c#d", "https://example.com/${stageVariables.x}"))
		if r.yes() {
			i.ConnectionType, i.ConnectionId = apigatewayapi.ConnectionTypeVPC_LINK, wire.String("${stageVariables.link}")
		}
		if r.yes() {
			i.TlsConfig = &apigatewayapi.TlsConfig{InsecureSkipVerification: wire.Bool(false)}
		}
	case apigatewayapi.IntegrationTypeAWS, apigatewayapi.IntegrationTypeAWS_PROXY:
		i.HttpMethod, i.Uri = wire.String("POST"), wire.String("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations")
	}
	for _, status := range []string{"200", "500"} {
		if r.yes() {
			continue
		}
		a := apigatewayapi.IntegrationResponse{StatusCode: &status, ResponseParameters: r.texts("method.response.header.X-B", "'c'"), ResponseTemplates: r.texts("application/json", r.text())}
		if status != "200" || r.yes() {
			a.SelectionPattern = wire.String(pick(r, "4\\d{2}", ".*x.*", "a: b") + status)
		}
		if i.IntegrationResponses == nil {
			i.IntegrationResponses = map[string]apigatewayapi.IntegrationResponse{}
		}
		i.IntegrationResponses[status] = a
	}
	integrationDefaults(&i, resource)
	if err := checkIntegration("test", &i); err != nil {
		t.Fatal(err)
	}
	return &i
}

func draw(t *testing.T, s *Service, seed uint64) *definition {
	d, err := s.newDefinition(place{"000000000000", "us-east-1"}, apigatewayapi.RestApi{})
	if err != nil {
		t.Fatal(err)
	}
	r := &drawn{Rand: rand.New(rand.NewPCG(seed, 1)), s: s, d: d}
	r.api()
	models, authorizers, validators := r.parts()
	ids := []string{r.d.root()}
	for range r.IntN(8) {
		id := r.id()
		if _, err := r.d.addResource(id, pick(r, ids...), pick(r, "pets", "a.b", "{id}", "{rest+}", "$x", "caf~e", "v1:run")); err == nil {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		for _, verb := range verbs {
			if r.IntN(4) == 0 {
				r.d.setMethod(id, verb, r.method(t, *r.d.Resources[id].Path, id, verb, models, authorizers, validators))
			}
		}
	}
	return &r.d
}

// TestExport_RandomRoundTrip: whatever calls can define comes back from its export, in both versions and both forms.
func TestExport_RandomRoundTrip(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	for seed := range uint64(150) {
		first := draw(t, s, seed)
		ids := map[string]bool{}
		for id := range first.Resources {
			ids[id] = true
		}
		want := canonical(t, first, ids)
		for name, swagger := range map[string]bool{"oas30": false, "swagger": true} {
			out := wholeExport(first, swagger)
			for form, text := range map[string][]byte{"json": document.Pretty(out), "yaml": document.YAML(out)} {
				again, warnings, err := importedFrom(t, s, text, nil)
				if err != nil || len(warnings) > 0 {
					t.Fatalf("seed %d, %s %s: %v %v\n%s", seed, name, form, err, warnings, text)
				}
				if diffs := differences(fmt.Sprintf("seed %d, %s %s", seed, name, form), want, canonical(t, again, ids)); len(diffs) > 0 {
					t.Fatalf("%s\n%s", strings.Join(diffs, "\n"), text)
				}
			}
		}
	}
}
