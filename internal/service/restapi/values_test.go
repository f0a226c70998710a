package restapi

import (
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// Values that no deployment could use are refused where they are written.
func TestValues_refused(t *testing.T) {
	t.Parallel()
	s, _, ctx := newService(t)
	api := imported(t, s, ctx)
	deploy(t, s, ctx, api, "dev")
	patch := func(path, value string) []apigatewayapi.PatchOperation {
		return []apigatewayapi.PatchOperation{{Op: replace, Path: &path, Value: &value}}
	}
	plan, err := s.CreateUsagePlan(ctx, &apigatewayapi.CreateUsagePlanRequest{Name: "p", Throttle: &apigatewayapi.ThrottleSettings{RateLimit: wire.Float64(1), BurstLimit: wire.Int32(1)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"NaN", "Inf", "-Infinity", "1e999"} {
		_, err := s.UpdateUsagePlan(ctx, &apigatewayapi.UpdateUsagePlanRequest{UsagePlanId: *plan.Id, PatchOperations: patch("/throttle/rateLimit", value)})
		refused(t, err, "BadRequestException", "Invalid value '"+value+"' for '/throttle/rateLimit'. Must be a number")
		_, err = updateStage(s, ctx, api, "replace /*/*/throttling/rateLimit "+value)
		refused(t, err, "BadRequestException", "Invalid value '"+value+"' for '/*/*/throttling/rateLimit'. Must be a number")
	}
	if _, err := s.UpdateUsagePlan(ctx, &apigatewayapi.UpdateUsagePlanRequest{UsagePlanId: *plan.Id, PatchOperations: patch("/throttle/rateLimit", "2.5")}); err != nil {
		t.Error(err)
	}
	answer := func(status string) error {
		_, err := s.UpdateGatewayResponse(ctx, &apigatewayapi.UpdateGatewayResponseRequest{RestApiId: api, ResponseType: "DEFAULT_4XX", PatchOperations: patch("/statusCode", status)})
		return err
	}
	for _, status := range []string{"/", "99", "600", "4xx", "2000"} {
		refused(t, answer(status), "BadRequestException", "Invalid status code for gateway response DEFAULT_4XX: "+status)
	}
	if err := answer("418"); err != nil {
		t.Error(err)
	}
	root, err := s.GetResources(ctx, &apigatewayapi.GetResourcesRequest{RestApiId: api})
	if err != nil {
		t.Fatal(err)
	}
	id := *root.Items[0].Id
	if _, err := s.PutMethod(ctx, &apigatewayapi.PutMethodRequest{RestApiId: api, ResourceId: id, HttpMethod: "PATCH", AuthorizationType: "NONE"}); err != nil {
		t.Fatal(err)
	}
	put := func(kind apigatewayapi.IntegrationType, uri string) error {
		_, err := s.PutIntegration(ctx, &apigatewayapi.PutIntegrationRequest{RestApiId: api, ResourceId: id, HttpMethod: "PATCH", Type: kind, IntegrationHttpMethod: wire.String("GET"), Uri: &uri})
		return err
	}
	for _, kind := range []apigatewayapi.IntegrationType{"HTTP", "HTTP_PROXY"} {
		for _, uri := range []string{"ftp://example.com", "example.com", "${stageVariables.url}/x", "//example.com"} {
			refused(t, put(kind, uri), "BadRequestException", "Invalid HTTP endpoint specified for URI")
		}
		for _, uri := range []string{"http://${stageVariables.url}/x", "https://example.com"} {
			if err := put(kind, uri); err != nil {
				t.Errorf("%s: %v", uri, err)
			}
		}
	}
}
