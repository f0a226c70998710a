package restapi

import (
	"context"
	"errors"
	"strings"
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func TestCreateRestApi_Clone(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	source, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: readDocument(t, "circular.json"), Parameters: map[string]string{"endpointConfigurationTypes": "REGIONAL"}})
	if err != nil {
		t.Fatal(err)
	}
	api, err := s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "clone", CloneFrom: source.Id})
	if err != nil {
		t.Fatal(err)
	}
	if *api.Id == *source.Id || *api.Name != "clone" || api.EndpointConfiguration.Types[0] != "REGIONAL" {
		t.Errorf("got %+v", api)
	}
	of := func(id string) (out definition) {
		if err := s.view(ctx, id, func(d *definition) error { out = *d; return nil }); err != nil {
			t.Fatal(err)
		}
		out.API.Name = nil
		return out
	}
	one, two := of(*source.Id), of(*api.Id)
	for _, d := range differences("", canonical(t, &one, nil), canonical(t, &two, nil)) {
		t.Error(d)
	}
	if schema := *two.Models["Home"].Schema; !strings.Contains(schema, modelBase+two.ID) || strings.Contains(schema, one.ID) {
		t.Errorf("got %s", schema)
	}
	// What becomes of the clone is nothing to its source.
	if _, err := s.DeleteModel(ctx, &apigatewayapi.DeleteModelRequest{RestApiId: *api.Id, ModelName: "Home"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GetModel(ctx, &apigatewayapi.GetModelRequest{RestApiId: *source.Id, ModelName: "Home"}); err != nil {
		t.Error(err)
	}
	_, err = s.CreateRestApi(ctx, &apigatewayapi.CreateRestApiRequest{Name: "clone", CloneFrom: wire.String("ghost")})
	refused(t, err, "NotFoundException", "Invalid API identifier specified 000000000000:ghost")
}

// A clone asks for the roles that it will work with, and to read its source.
func TestCreateRestApi_CloneIsAuthorised(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	source, err := s.ImportRestApi(ctx, &apigatewayapi.ImportRestApiRequest{Body: readDocument(t, "integration_properties.json")})
	if err != nil {
		t.Fatal(err)
	}
	s.cfg.PassRoler = noRoles{}
	in := &apigatewayapi.CreateRestApiRequest{Name: "clone", CloneFrom: source.Id}
	if _, err := s.CreateRestApi(ctx, in); !errors.Is(err, errNoRoles) {
		t.Errorf("got %v, want the role to be asked for", err)
	}
	api := s.APIs()[0]
	call := *wire.CallFrom(ctx)
	call.Resource = "arn:aws:apigateway:us-east-1::/restapis"
	asked := map[string]bool{}
	for _, n := range api.Resources(&call, "CreateRestApi", in) {
		asked[n.Action+" "+n.Resource] = true
	}
	for _, want := range []string{"apigateway:GET " + call.Resource + "/" + *source.Id, "apigateway:GET " + call.Resource + "/" + *source.Id + "/resources"} {
		if !asked[want] {
			t.Errorf("%s is not asked for: %v", want, asked)
		}
	}
}

func TestStage_NamesADocumentationVersionThatIs(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api := imported(t, s, ctx)
	id := deploy(t, s, ctx, api, "v1")
	_, err := s.CreateStage(ctx, &apigatewayapi.CreateStageRequest{RestApiId: api, StageName: "v2", DeploymentId: id, DocumentationVersion: wire.String("1")})
	refused(t, err, "NotFoundException", "Invalid Documentation version specified")
	patch := &apigatewayapi.UpdateStageRequest{RestApiId: api, StageName: "v1", PatchOperations: []apigatewayapi.PatchOperation{{Op: replace, Path: wire.String("/documentationVersion"), Value: wire.String("1")}}}
	_, err = s.UpdateStage(ctx, patch)
	refused(t, err, "NotFoundException", "Invalid Documentation version specified")
	if _, err := s.CreateDocumentationVersion(ctx, &apigatewayapi.CreateDocumentationVersionRequest{RestApiId: api, DocumentationVersion: "1"}); err != nil {
		t.Fatal(err)
	}
	if st, err := s.UpdateStage(ctx, patch); err != nil || *st.DocumentationVersion != "1" {
		t.Errorf("got %+v, %v", st, err)
	}
}

var errNoRoles = errors.New("no role may be passed")

type noRoles struct{}

func (noRoles) PassRole(context.Context, wire.Caller, string, string) error { return errNoRoles }
