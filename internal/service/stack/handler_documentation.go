package stack

import (
	"context"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func documentationHandlers(c apigatewayapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::ApiGateway::DocumentationPart":    documentationPart(c),
		"AWS::ApiGateway::DocumentationVersion": documentationVersion(c),
	}
}

func documentationPart(c apigatewayapi.Service) Handler {
	state := func(id string) State {
		return State{PhysicalID: id, Attributes: map[string]string{"DocumentationPartId": id}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateDocumentationPart"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateDocumentationPartRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			out, err := c.CreateDocumentationPart(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(wire.Value(out.Id)), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.document(r, "Properties", "/properties")
			if len(p.ops) == 0 {
				return state(r.PhysicalID), nil
			}
			_, err := c.UpdateDocumentationPart(ctx, &apigatewayapi.UpdateDocumentationPartRequest{RestApiId: r.text("RestApiId"), DocumentationPartId: r.PhysicalID, PatchOperations: p.ops})
			return state(r.PhysicalID), err
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteDocumentationPart(ctx, &apigatewayapi.DeleteDocumentationPartRequest{RestApiId: r.text("RestApiId"), DocumentationPartId: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			want := apigatewayapi.CreateDocumentationPartRequest{}
			if err := decode(r.Properties, &want, nil); err != nil || want.Location == nil {
				return State{}, false, err
			}
			out, err := c.GetDocumentationParts(ctx, &apigatewayapi.GetDocumentationPartsRequest{RestApiId: want.RestApiId, Type: want.Location.Type, Limit: wire.Int32(500)})
			if err != nil {
				return State{}, false, gone(err)
			}
			for _, x := range out.Items {
				if id := wire.Value(x.Id); x.Location != nil && samePlace(*x.Location, *want.Location) && id != r.PhysicalID {
					return state(id), true, nil
				}
			}
			return State{}, false, nil
		},
		Claims: func(*Request) bool { return true },
	}
}

// samePlace compares what two parts are about.
func samePlace(a, b apigatewayapi.DocumentationPartLocation) bool {
	return a.Type == b.Type && wire.Value(a.Path) == wire.Value(b.Path) && wire.Value(a.Method) == wire.Value(b.Method) &&
		wire.Value(a.Name) == wire.Value(b.Name) && wire.Value(a.StatusCode) == wire.Value(b.StatusCode)
}

// documentationVersion freezes the parts as they are when it is made: a template says by DependsOn
// which have to be there.
func documentationVersion(c apigatewayapi.Service) Handler {
	state := func(r *Request) State { return State{PhysicalID: r.text("DocumentationVersion")} }
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateDocumentationVersion"}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateDocumentationVersionRequest{}
			if err := decode(r.Properties, in, nil); err != nil {
				return State{}, err
			}
			if _, err := c.CreateDocumentationVersion(ctx, in); err != nil {
				return State{}, err
			}
			return state(r), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.scalar(r, "Description", "/description")
			if len(p.ops) == 0 {
				return state(r), nil
			}
			_, err := c.UpdateDocumentationVersion(ctx, &apigatewayapi.UpdateDocumentationVersionRequest{RestApiId: r.text("RestApiId"), DocumentationVersion: r.PhysicalID, PatchOperations: p.ops})
			return state(r), err
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteDocumentationVersion(ctx, &apigatewayapi.DeleteDocumentationVersionRequest{RestApiId: r.text("RestApiId"), DocumentationVersion: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			_, err := c.GetDocumentationVersion(ctx, &apigatewayapi.GetDocumentationVersionRequest{RestApiId: r.text("RestApiId"), DocumentationVersion: r.text("DocumentationVersion")})
			return state(r), err == nil, gone(err)
		},
		Claims: func(*Request) bool { return true },
	}
}
