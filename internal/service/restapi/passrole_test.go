package restapi

import (
	"context"
	"errors"
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// only lets one role be passed.
type only string

var errMayNotPass = errors.New("not authorized to perform: iam:PassRole")

func (o only) PassRole(_ context.Context, _ wire.Caller, role, service string) error {
	if role != string(o) || service != "apigateway.amazonaws.com" {
		return errMayNotPass
	}
	return nil
}

// An API works with a role only if whoever says so may pass it, by whichever operation.
func TestCredentials_AreARoleThatTheCallerMayPass(t *testing.T) {
	t.Parallel()
	const mine, admin = "arn:aws:iam::000000000000:role/mine", "arn:aws:iam::000000000000:role/admin"
	const uri = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f/invocations"
	s, _, ctx := newService(t)
	s.cfg.PassRoler = only(mine)
	api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	id, root := *api.Id, *api.RootResourceId
	if _, err := s.PutMethod(ctx, &apigatewayapi.PutMethodRequest{RestApiId: id, ResourceId: root, HttpMethod: "GET", AuthorizationType: "NONE"}); err != nil {
		t.Fatal(err)
	}
	document := func(role string) []byte {
		return []byte(`{"swagger":"2.0","info":{"title":"a","version":"1"},"paths":{"/":{"get":{"responses":{},"x-amazon-apigateway-integration":{"type":"aws_proxy","httpMethod":"POST","uri":"` + uri + `","credentials":"` + role + `"}}}}}`)
	}
	for name, by := range map[string]func(role string) error{
		"PutIntegration": func(role string) error {
			_, err := s.PutIntegration(ctx, &apigatewayapi.PutIntegrationRequest{RestApiId: id, ResourceId: root, HttpMethod: "GET", Type: "AWS_PROXY", IntegrationHttpMethod: wire.String("POST"), Uri: wire.String(uri), Credentials: &role})
			return err
		},
		"PutRestApi": func(role string) error {
			_, err := s.PutRestApi(ctx, &apigatewayapi.PutRestApiRequest{RestApiId: id, Mode: apigatewayapi.PutModeoverwrite, Body: document(role)})
			return err
		},
		"ImportRestApi": func(role string) error {
			_, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: document(role)})
			return err
		},
		"CreateAuthorizer": func(role string) error {
			_, err := s.CreateAuthorizer(ctx, &apigatewayapi.CreateAuthorizerRequest{RestApiId: id, Name: "by " + role[len(role)-4:], Type: "TOKEN", AuthorizerUri: wire.String(uri), AuthorizerCredentials: &role, IdentitySource: wire.String("method.request.header.Authorization")})
			return err
		},
	} {
		if err := by(admin); !errors.Is(err, errMayNotPass) {
			t.Errorf("%s with a role of somebody else: got %v", name, err)
		}
		if err := by(mine); err != nil {
			t.Errorf("%s with a role that may be passed: %v", name, err)
		}
	}
	// That the API works with a role gives nobody a right to use it for something else.
	s.cfg.PassRoler = only(admin)
	put := func(uri, role string) error {
		_, err := s.PutIntegration(ctx, &apigatewayapi.PutIntegrationRequest{RestApiId: id, ResourceId: root, HttpMethod: "GET", Type: "AWS_PROXY", IntegrationHttpMethod: wire.String("POST"), Uri: wire.String(uri), Credentials: &role})
		return err
	}
	resources, err := s.GetResources(ctx, &apigatewayapi.GetResourcesRequest{RestApiId: id})
	if err != nil {
		t.Fatal(err)
	}
	root = *resources.Items[0].Id
	if err := put(uri, admin); err != nil {
		t.Fatal(err)
	}
	s.cfg.PassRoler = only(mine)
	other := strings.Replace(uri, "function:f/", "function:g/", 1)
	if err := put(other, admin); !errors.Is(err, errMayNotPass) {
		t.Errorf("a role that is there, for another function: got %v", err)
	}
	if _, err := s.CreateAuthorizer(ctx, &apigatewayapi.CreateAuthorizerRequest{RestApiId: id, Name: "again", Type: "TOKEN", AuthorizerUri: wire.String(uri), AuthorizerCredentials: wire.String(admin), IdentitySource: wire.String("method.request.header.Authorization")}); !errors.Is(err, errMayNotPass) {
		t.Errorf("a role that is there, for an authorizer: got %v", err)
	}
	if _, err := s.PutMethod(ctx, &apigatewayapi.PutMethodRequest{RestApiId: id, ResourceId: root, HttpMethod: "POST", AuthorizationType: "NONE"}); err != nil {
		t.Errorf("a change that passes no role: %v", err)
	}
	last, err := s.CreateAuthorizer(ctx, &apigatewayapi.CreateAuthorizerRequest{RestApiId: id, Name: "last", Type: "TOKEN", AuthorizerUri: wire.String(uri), IdentitySource: wire.String("method.request.header.Authorization")})
	if err != nil {
		t.Fatal(err)
	}
	patch := []apigatewayapi.PatchOperation{{Op: "replace", Path: wire.String("/authorizerCredentials"), Value: wire.String(admin)}}
	if _, err := s.UpdateAuthorizer(ctx, &apigatewayapi.UpdateAuthorizerRequest{RestApiId: id, AuthorizerId: *last.Id, PatchOperations: patch}); !errors.Is(err, errMayNotPass) {
		t.Errorf("UpdateAuthorizer with a role of somebody else: got %v", err)
	}
}
