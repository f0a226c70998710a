package restapi

import (
	"context"
	"maps"
	"slices"
	"strings"

	"moat/internal/service/restapi/sdk"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// sdkTypes are the types that API Gateway lists. Clients are written in JavaScript only.
func sdkTypes() []apigatewayapi.SdkType {
	property := func(name, friendly, description string, required bool) apigatewayapi.SdkConfigurationProperty {
		return apigatewayapi.SdkConfigurationProperty{Name: &name, FriendlyName: &friendly, Description: &description, Required: &required}
	}
	group := property("groupId", "Group ID", "The group of the package", true)
	artifact := property("artifactId", "Artifact ID", "The name of the package", true)
	version := property("artifactVersion", "Artifact version", "The version of the package", true)
	prefix := property("classPrefix", "Prefix", "What the names of classes begin with", true)
	one := func(id, friendly, description string, properties ...apigatewayapi.SdkConfigurationProperty) apigatewayapi.SdkType {
		return apigatewayapi.SdkType{Id: &id, FriendlyName: &friendly, Description: &description, ConfigurationProperties: properties}
	}
	return []apigatewayapi.SdkType{
		one("android", "Android", "A client for Android; it is not built here", group, property("invokerPackage", "Invoker package", "The package of the client", true), artifact, version),
		one("java", "Java", "A client in Java; it is not built here",
			property("serviceName", "Service name", "The name of the client's classes", true), property("javaPackageName", "Java package name", "The package of the client", true)),
		one("javascript", "JavaScript", "A client in JavaScript for browsers and Node.js, with types for TypeScript"),
		one("objectivec", "iOS (Objective-C)", "A client in Objective-C; it is not built here", prefix),
		one("ruby", "Ruby", "A client in Ruby; it is not built here", property("service.name", "Service name", "The name of the client's module", true)),
		one("swift", "iOS (Swift)", "A client in Swift; it is not built here", prefix),
	}
}

// GetSdkTypes lists the languages of clients that API Gateway knows.
func (s *Service) GetSdkTypes(ctx context.Context, in *apigatewayapi.GetSdkTypesRequest) (*apigatewayapi.SdkTypes, error) {
	out := &apigatewayapi.SdkTypes{}
	var err error
	out.Items, out.Position, err = cut(s.listing(ctx), sdkTypes(), func(t apigatewayapi.SdkType) string { return *t.Id }, in.Position, in.Limit)
	return out, err
}

// GetSdkType returns one of them.
func (s *Service) GetSdkType(_ context.Context, in *apigatewayapi.GetSdkTypeRequest) (*apigatewayapi.SdkType, error) {
	for _, t := range sdkTypes() {
		if *t.Id == in.Id {
			return &t, nil
		}
	}
	return nil, notFound("Invalid SDK type specified")
}

// GetSdk writes a client of what a stage serves.
func (s *Service) GetSdk(ctx context.Context, in *apigatewayapi.GetSdkRequest) (*apigatewayapi.SdkResponse, error) {
	if in.SdkType != "javascript" {
		if _, err := s.GetSdkType(ctx, &apigatewayapi.GetSdkTypeRequest{Id: in.SdkType}); err != nil {
			return nil, badRequest("Invalid SDK type '%s'", in.SdkType)
		}
		return nil, notBuilt("GetSdk", "clients are written in JavaScript only, not for %s; an OpenAPI generator makes others of an export", in.SdkType)
	}
	at, err := s.staged(ctx, in.RestApiId, in.StageName)
	if err != nil {
		return nil, err
	}
	d := &at.definition
	scheme, host := s.address(d)
	api := sdk.API{
		Name: wire.Value(d.API.Name), Version: wire.Value(d.API.Version), Region: d.Region, Endpoint: scheme + "://" + host + "/" + at.stage.Name,
	}
	for _, r := range d.sorted() {
		for _, verb := range verbs {
			if m, ok := r.ResourceMethods[verb]; ok {
				api.Methods = append(api.Methods, sdkMethod(wire.Value(r.Path), verb, m))
			}
		}
	}
	body, err := sdk.JavaScript(api, s.now())
	if err != nil {
		return nil, err
	}
	return &apigatewayapi.SdkResponse{
		Body: body, ContentType: wire.String("application/octet-stream"), ContentDisposition: wire.String(s.attachment(in.SdkType, "zip")),
	}, nil
}

// sdkMethod is a method in the terms of the client. The variables of a path are always needed.
func sdkMethod(path, verb string, m apigatewayapi.Method) sdk.Method {
	out := sdk.Method{Path: path, Verb: verb, Signed: wire.Value(m.AuthorizationType) == "AWS_IAM"}
	for _, v := range pathVariable.FindAllStringSubmatch(path, -1) {
		out.PathParams, out.Required = append(out.PathParams, v[1]), append(out.Required, v[1])
	}
	for _, full := range slices.Sorted(maps.Keys(m.RequestParameters)) {
		name := ""
		if n, ok := strings.CutPrefix(full, "method.request.querystring."); ok {
			out.Query, name = append(out.Query, n), n
		} else if n, ok := strings.CutPrefix(full, "method.request.header."); ok {
			out.Headers, name = append(out.Headers, n), n
		}
		if name != "" && m.RequestParameters[full] && !slices.Contains(out.Required, name) {
			out.Required = append(out.Required, name)
		}
	}
	return out
}
