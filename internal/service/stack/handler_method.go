package stack

import (
	"context"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func methodHandlers(c apigatewayapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::ApiGateway::Resource": apiResource(c),
		"AWS::ApiGateway::Method":   apiMethod(c),
	}
}

func apiResource(c apigatewayapi.Service) Handler {
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateResource"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateResourceRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			out, err := c.CreateResource(ctx, in)
			if err != nil {
				return State{}, err
			}
			id := wire.Value(out.Id)
			return State{PhysicalID: id, Attributes: map[string]string{"ResourceId": id}}, nil
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteResource(ctx, &apigatewayapi.DeleteResourceRequest{RestApiId: r.text("RestApiId"), ResourceId: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetResources(ctx, &apigatewayapi.GetResourcesRequest{RestApiId: r.text("RestApiId"), Limit: wire.Int32(500)})
			if err != nil {
				return State{}, false, gone(err)
			}
			for _, x := range out.Items {
				if wire.Value(x.ParentId) == r.text("ParentId") && wire.Value(x.PathPart) == r.text("PathPart") {
					id := wire.Value(x.Id)
					return State{PhysicalID: id, Attributes: map[string]string{"ResourceId": id}}, true, nil
				}
			}
			return State{}, false, nil
		},
		Claims: func(*Request) bool { return true },
	}
}

func apiMethod(c apigatewayapi.Service) Handler {
	remove := func(ctx context.Context, r *Request) error {
		_, err := c.DeleteMethod(ctx, &apigatewayapi.DeleteMethodRequest{RestApiId: r.text("RestApiId"), ResourceId: r.text("ResourceId"), HttpMethod: r.text("HttpMethod")})
		return err
	}
	return Handler{
		Shapes: []Shape{
			{Operation: "apigateway:PutMethod", Rename: map[string]string{"Integration": skip, "MethodResponses": skip}},
			{At: "MethodResponses.*", Operation: "apigateway:PutMethodResponse"},
			{At: "Integration", Operation: "apigateway:PutIntegration", Rename: map[string]string{"IntegrationResponses": skip}},
			{At: "Integration.IntegrationResponses.*", Operation: "apigateway:PutIntegrationResponse"},
		},
		Create: func(ctx context.Context, r *Request) (State, error) { return putMethod(ctx, c, r) },
		Update: func(ctx context.Context, r *Request) (State, error) {
			// A method is replaced as a whole: it is served only from the next deployment.
			if err := gone(remove(ctx, r)); err != nil {
				return State{}, err
			}
			st, err := putMethod(ctx, c, r)
			st.PhysicalID = r.PhysicalID
			return st, err
		},
		Delete: remove,
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			_, err := c.GetMethod(ctx, &apigatewayapi.GetMethodRequest{RestApiId: r.text("RestApiId"), ResourceId: r.text("ResourceId"), HttpMethod: r.text("HttpMethod")})
			return State{PhysicalID: r.text("RestApiId") + "|" + r.text("ResourceId") + "|" + r.text("HttpMethod")}, err == nil, gone(err)
		},
		Claims: func(*Request) bool { return true },
	}
}

func putMethod(ctx context.Context, c apigatewayapi.Service, r *Request) (State, error) {
	in := &apigatewayapi.PutMethodRequest{}
	if err := decode(r.Properties, in, map[string]string{"Integration": skip, "MethodResponses": skip}); err != nil {
		return State{}, err
	}
	if in.AuthorizationType == "" {
		in.AuthorizationType = "NONE"
	}
	if _, err := c.PutMethod(ctx, in); err != nil {
		return State{}, err
	}
	st := State{PhysicalID: in.RestApiId + "|" + in.ResourceId + "|" + in.HttpMethod}
	for _, x := range r.Properties.Get("MethodResponses").Elements() {
		mr := &apigatewayapi.PutMethodResponseRequest{RestApiId: in.RestApiId, ResourceId: in.ResourceId, HttpMethod: in.HttpMethod}
		if err := decode(x, mr, nil); err != nil {
			return st, err
		}
		if _, err := c.PutMethodResponse(ctx, mr); err != nil {
			return st, err
		}
	}
	if integration := r.Properties.Get("Integration"); integration != nil {
		return st, putIntegration(ctx, c, in, integration)
	}
	return st, nil
}

func putIntegration(ctx context.Context, c apigatewayapi.Service, m *apigatewayapi.PutMethodRequest, v *template.Value) error {
	in := &apigatewayapi.PutIntegrationRequest{}
	if err := decode(v, in, map[string]string{"IntegrationResponses": skip}); err != nil {
		return err
	}
	in.RestApiId, in.ResourceId, in.HttpMethod = m.RestApiId, m.ResourceId, m.HttpMethod
	if _, err := c.PutIntegration(ctx, in); err != nil {
		return err
	}
	for _, x := range v.Get("IntegrationResponses").Elements() {
		ir := &apigatewayapi.PutIntegrationResponseRequest{RestApiId: m.RestApiId, ResourceId: m.ResourceId, HttpMethod: m.HttpMethod}
		if err := decode(x, ir, nil); err != nil {
			return err
		}
		if _, err := c.PutIntegrationResponse(ctx, ir); err != nil {
			return err
		}
	}
	return nil
}
