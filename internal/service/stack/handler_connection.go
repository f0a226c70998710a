package stack

import (
	"context"
	"errors"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func connectionHandlers(c apigatewayapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::ApiGateway::ClientCertificate": clientCertificate(c),
		"AWS::ApiGateway::VpcLink":           vpcLink(c),
	}
}

func clientCertificate(c apigatewayapi.Service) Handler {
	state := func(id string) State {
		return State{PhysicalID: id, Attributes: map[string]string{"ClientCertificateId": id}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:GenerateClientCertificate", Rename: map[string]string{"Tags": skip}}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.GenerateClientCertificateRequest{}
			if err := decode(r.Properties, in, map[string]string{"Tags": skip}); err != nil {
				return State{}, err
			}
			in.Tags = r.marked("Tags")
			out, err := c.GenerateClientCertificate(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(wire.Value(out.ClientCertificateId)), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.scalar(r, "Description", "/description")
			if len(p.ops) > 0 {
				_, err := c.UpdateClientCertificate(ctx, &apigatewayapi.UpdateClientCertificateRequest{ClientCertificateId: r.PhysicalID, PatchOperations: p.ops})
				if err != nil {
					return State{}, err
				}
			}
			return state(r.PhysicalID), retag(ctx, c, r, "/clientcertificates/"+r.PhysicalID)
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteClientCertificate(ctx, &apigatewayapi.DeleteClientCertificateRequest{ClientCertificateId: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetClientCertificates(ctx, &apigatewayapi.GetClientCertificatesRequest{Limit: wire.Int32(500)})
			if err != nil {
				return State{}, false, err
			}
			for _, x := range out.Items {
				if id := wire.Value(x.ClientCertificateId); r.mine(x.Tags) && id != r.PhysicalID {
					return state(id), true, nil
				}
			}
			return State{}, false, nil
		},
	}
}

// vpcLink makes a link to targets that the operator has named; without them it fails, as a link
// fails on AWS whose load balancer cannot be reached.
func vpcLink(c apigatewayapi.Service) Handler {
	state := func(id string) State {
		return State{PhysicalID: id, Attributes: map[string]string{"VpcLinkId": id}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateVpcLink", Rename: map[string]string{"Tags": skip}}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateVpcLinkRequest{}
			if err := decode(r.Properties, in, map[string]string{"Tags": skip}); err != nil {
				return State{}, err
			}
			in.Tags = r.marked("Tags")
			out, err := c.CreateVpcLink(ctx, in)
			if err != nil {
				return State{}, err
			}
			st := state(wire.Value(out.Id))
			if out.Status == apigatewayapi.VpcLinkStatusFAILED {
				return st, errors.New(wire.Value(out.StatusMessage))
			}
			return st, nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.scalar(r, "Name", "/name")
			p.scalar(r, "Description", "/description")
			if len(p.ops) > 0 {
				if _, err := c.UpdateVpcLink(ctx, &apigatewayapi.UpdateVpcLinkRequest{VpcLinkId: r.PhysicalID, PatchOperations: p.ops}); err != nil {
					return State{}, err
				}
			}
			return state(r.PhysicalID), retag(ctx, c, r, "/vpclinks/"+r.PhysicalID)
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteVpcLink(ctx, &apigatewayapi.DeleteVpcLinkRequest{VpcLinkId: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetVpcLinks(ctx, &apigatewayapi.GetVpcLinksRequest{Limit: wire.Int32(500)})
			if err != nil {
				return State{}, false, err
			}
			for _, x := range out.Items {
				if id := wire.Value(x.Id); r.mine(x.Tags) && id != r.PhysicalID {
					return state(id), true, nil
				}
			}
			return State{}, false, nil
		},
	}
}
