package restapi

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// TestInvokeMethod runs a method as it is being edited, without key, plan or authorisation, and
// tells how it went. A role or function that it works with counts as if it were deployed.
func (s *Service) TestInvokeMethod(ctx context.Context, in *apigatewayapi.TestInvokeMethodRequest) (*apigatewayapi.TestInvokeMethodResponse, error) {
	if s.cfg.Tester == nil {
		return nil, notBuilt("TestInvokeMethod", "there is nobody who runs tests")
	}
	req, err := testRequest(ctx, wire.Value(in.PathWithQueryString), in.Headers, in.MultiValueHeaders, in.Body)
	if err != nil {
		return nil, err
	}
	var def gateway.Definition
	err = s.db.View(ctx, func(tx *store.Tx) error {
		d, err := s.tables.definitions.Get(tx, s.place(ctx).key(in.RestApiId)...)
		if errors.Is(err, store.ErrNotFound) {
			return notFound("Invalid Resource identifier specified")
		}
		if err != nil {
			return err
		}
		def, err = s.testDefinition(tx, &d, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	snapshot, err := gateway.Compile(def)
	if err != nil {
		return nil, deployError(err)
	}
	res := s.cfg.Tester.TestMethod(ctx, snapshot, req)
	out := &apigatewayapi.TestInvokeMethodResponse{
		Status: wire.Int32(int32(res.Status)), Body: wire.String(strings.ToValidUTF8(string(res.Body), "\uFFFD")), Log: &res.Log, Latency: wire.Ptr(res.Latency.Milliseconds()),
		Headers: map[string]string{}, MultiValueHeaders: map[string][]string{},
	}
	for _, f := range res.Fields {
		out.Headers[f.Name] = f.Value
		out.MultiValueHeaders[f.Name] = append(out.MultiValueHeaders[f.Name], f.Value)
	}
	return out, nil
}

// testDefinition is an API with nothing in it but the method that is tested.
func (s *Service) testDefinition(tx *store.Tx, d *definition, in *apigatewayapi.TestInvokeMethodRequest) (gateway.Definition, error) {
	r, err := d.resource(in.ResourceId)
	if err != nil {
		return gateway.Definition{}, err
	}
	m, ok := r.ResourceMethods[in.HttpMethod]
	if any, catches := r.ResourceMethods["ANY"]; !ok && catches && slices.Contains(verbs, in.HttpMethod) {
		m, ok = any, true
	}
	if !ok {
		return gateway.Definition{}, notFound("Invalid Method identifier specified")
	}
	verb := in.HttpMethod
	if verb == "ANY" {
		verb = "GET"
	}
	m.AuthorizationType, m.AuthorizerId, m.AuthorizationScopes, m.ApiKeyRequired = wire.String("NONE"), nil, nil, nil
	r.ResourceMethods = map[string]apigatewayapi.Method{verb: m}
	one := *d
	one.Resources, one.Authorizers = map[string]apigatewayapi.Resource{in.ResourceId: r}, nil
	one.API.Policy = nil
	return s.connected(tx, &one, s.testStage(d, gateway.TestStage, in.StageVariables, in.ClientCertificateId))
}

func (s *Service) testStage(d *definition, name string, variables map[string]string, certificate *string) stage {
	now := s.now()
	return stage{Account: d.Account, Region: d.Region, API: d.ID, Name: name, Stage: apigatewayapi.Stage{
		StageName: &name, Variables: variables, ClientCertificateId: certificate, CreatedDate: &now, LastUpdatedDate: &now,
	}}
}

// testRequest is the request of a test, in the gateway's terms.
func testRequest(ctx context.Context, path string, single map[string]string, multi map[string][]string, body *string) (gateway.TestRequest, error) {
	req := gateway.TestRequest{Path: path, Body: []byte(wire.Value(body)), Caller: wire.CallFrom(ctx).Caller}
	if path != "" && !strings.HasPrefix(path, "/") {
		return req, badRequest("Invalid path: it begins with a slash")
	}
	add := func(name, value string) error {
		if !gateway.ValidField(name, value) {
			return badRequest("Invalid header: %s", name)
		}
		req.Fields = append(req.Fields, gateway.Field{Name: name, Value: value})
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(multi)) {
		for _, v := range multi[name] {
			if err := add(name, v); err != nil {
				return req, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(single)) {
		if slices.Contains(multi[name], single[name]) {
			continue
		}
		if err := add(name, single[name]); err != nil {
			return req, err
		}
	}
	return req, nil
}

// TestInvokeAuthorizer asks an authorizer about a request, and tells what it decided.
func (s *Service) TestInvokeAuthorizer(ctx context.Context, in *apigatewayapi.TestInvokeAuthorizerRequest) (*apigatewayapi.TestInvokeAuthorizerResponse, error) {
	if s.cfg.Tester == nil {
		return nil, notBuilt("TestInvokeAuthorizer", "there is nobody who runs tests")
	}
	req, err := testRequest(ctx, wire.Value(in.PathWithQueryString), in.Headers, in.MultiValueHeaders, in.Body)
	if err != nil {
		return nil, err
	}
	req.Context = map[string]string{}
	for name, value := range in.AdditionalContext {
		req.Context[strings.TrimPrefix(strings.TrimPrefix(name, "$"), "context.")] = value
	}
	var def gateway.Definition
	err = s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		a, ok := d.Authorizers[in.AuthorizerId]
		if !ok {
			return notFound("Invalid Authorizer identifier specified")
		}
		a.AuthorizerResultTtlInSeconds = wire.Int32(0)
		def, err = compileDefinition(s.onlyAuthorizer(d, a), s.testStage(d, gateway.TestAuthorizerStage, in.StageVariables, nil))
		return err
	})
	if err != nil {
		return nil, err
	}
	snapshot, err := gateway.Compile(def)
	if err != nil {
		return nil, deployError(err)
	}
	res := s.cfg.Tester.TestAuthorizer(ctx, snapshot, req)
	out := &apigatewayapi.TestInvokeAuthorizerResponse{ClientStatus: wire.Int32(int32(res.Status)), Log: &res.Log, Latency: wire.Ptr(res.Latency.Milliseconds()), Claims: res.Claims, Authorization: res.Authorization}
	if res.Principal != "" {
		out.PrincipalId = &res.Principal
	}
	if res.Policy != "" && json.Valid([]byte(res.Policy)) {
		out.Policy = &res.Policy
	}
	return out, nil
}

// onlyAuthorizer is an API of one route that an authorizer guards.
func (s *Service) onlyAuthorizer(d *definition, a apigatewayapi.Authorizer) *definition {
	kind := "CUSTOM"
	if a.Type == apigatewayapi.AuthorizerTypeCOGNITO_USER_POOLS {
		kind = "COGNITO_USER_POOLS"
	}
	one := *d
	root := d.Resources[d.root()]
	root.ResourceMethods = map[string]apigatewayapi.Method{"GET": {
		HttpMethod: wire.String("GET"), AuthorizationType: &kind, AuthorizerId: a.Id,
		MethodIntegration: &apigatewayapi.Integration{Type: apigatewayapi.IntegrationTypeMOCK, RequestTemplates: map[string]string{"application/json": `{"statusCode": 200}`}, TimeoutInMillis: wire.Int32(defaultTimeoutMillis)},
	}}
	one.Resources, one.Authorizers = map[string]apigatewayapi.Resource{d.root(): root}, map[string]apigatewayapi.Authorizer{*a.Id: a}
	one.API.Policy = nil
	return &one
}
