package stack

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// privateDomainName makes a private custom domain name. Its physical id is its ARN.
func privateDomainName(c apigatewayapi.Service) Handler {
	rename := map[string]string{"Tags": skip, "Policy": skip}
	state := func(d *apigatewayapi.DomainName) State {
		return State{PhysicalID: wire.Value(d.DomainNameArn), Attributes: map[string]string{"DomainNameArn": wire.Value(d.DomainNameArn), "DomainNameId": wire.Value(d.DomainNameId)}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateDomainName", Rename: rename}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateDomainNameRequest{}
			if err := decode(r.Properties, in, rename); err != nil {
				return State{}, err
			}
			if in.EndpointConfiguration == nil { // the type of the resource says it
				in.EndpointConfiguration = &apigatewayapi.EndpointConfiguration{}
			}
			if len(in.EndpointConfiguration.Types) == 0 {
				in.EndpointConfiguration.Types = []apigatewayapi.EndpointType{apigatewayapi.EndpointTypePRIVATE}
			}
			if p := r.Properties.Get("Policy"); !p.Empty() {
				in.Policy = wire.String(jsonText(p))
			}
			in.Tags = r.marked("Tags")
			out, err := c.CreateDomainName(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(out), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			name, id, err := domainNamed(r.PhysicalID)
			if err != nil {
				return State{}, err
			}
			p := patch{}
			p.optional(r, "CertificateArn", "/certificateArn")
			p.or(r, "RoutingMode", "/routingMode", "BASE_PATH_MAPPING_ONLY")
			p.or(r, "EndpointAccessMode", "/endpointAccessMode", "BASIC")
			p.document(r, "Policy", "/policy")
			if len(p.ops) > 0 {
				if _, err := c.UpdateDomainName(ctx, &apigatewayapi.UpdateDomainNameRequest{DomainName: name, DomainNameId: &id, PatchOperations: p.ops}); err != nil {
					return State{}, err
				}
			}
			if err := retagNamed(ctx, c, r, r.PhysicalID); err != nil {
				return State{}, err
			}
			out, err := c.GetDomainName(ctx, &apigatewayapi.GetDomainNameRequest{DomainName: name, DomainNameId: &id})
			if err != nil {
				return State{}, err
			}
			return state(out), nil
		},
		Delete: func(ctx context.Context, r *Request) error {
			name, id, err := domainNamed(r.PhysicalID)
			if err != nil {
				return err
			}
			_, err = c.DeleteDomainName(ctx, &apigatewayapi.DeleteDomainNameRequest{DomainName: name, DomainNameId: &id})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetDomainNames(ctx, &apigatewayapi.GetDomainNamesRequest{Limit: wire.Int32(500)})
			if err != nil {
				return State{}, false, err
			}
			for i, d := range out.Items {
				if wire.Value(d.DomainNameId) != "" && strings.EqualFold(wire.Value(d.DomainName), r.text("DomainName")) && r.mine(d.Tags) {
					return state(&out.Items[i]), true, nil
				}
			}
			return State{}, false, nil
		},
	}
}

// domainNamed reads name and id of a private custom domain name's ARN.
func domainNamed(arn string) (name, id string, err error) {
	_, key, ok := strings.Cut(arn, ":/domainnames/")
	name, id, both := strings.Cut(key, "+")
	if !ok || !both || name == "" || id == "" {
		return "", "", fmt.Errorf("%s is not the ARN of a private custom domain name", arn)
	}
	return name, id, nil
}

// privateMapping leads a base path of a private custom domain name to an API. Its physical id is its ARN.
func privateMapping(c apigatewayapi.Service) Handler {
	rename := map[string]string{"DomainNameArn": skip}
	base := func(r *Request) string { return cmp.Or(r.text("BasePath"), "(none)") }
	state := func(r *Request) State {
		arn := r.text("DomainNameArn") + "/basepathmappings/" + base(r)
		return State{PhysicalID: arn, Attributes: map[string]string{"BasePathMappingArn": arn}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateBasePathMapping", Rename: rename}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateBasePathMappingRequest{}
			if err := decode(r.Properties, in, rename); err != nil {
				return State{}, err
			}
			name, id, err := domainNamed(r.text("DomainNameArn"))
			if err != nil {
				return State{}, err
			}
			in.DomainName, in.DomainNameId = name, &id
			if _, err := c.CreateBasePathMapping(ctx, in); err != nil {
				return State{}, err
			}
			return state(r), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.scalar(r, "RestApiId", "/restapiId")
			p.scalar(r, "Stage", "/stage")
			name, id, err := domainNamed(r.text("DomainNameArn"))
			if err != nil || len(p.ops) == 0 {
				return state(r), err
			}
			_, err = c.UpdateBasePathMapping(ctx, &apigatewayapi.UpdateBasePathMappingRequest{DomainName: name, DomainNameId: &id, BasePath: base(r), PatchOperations: p.ops})
			return state(r), err
		},
		Delete: func(ctx context.Context, r *Request) error {
			name, id, err := domainNamed(r.text("DomainNameArn"))
			if err != nil {
				return err
			}
			_, err = c.DeleteBasePathMapping(ctx, &apigatewayapi.DeleteBasePathMappingRequest{DomainName: name, DomainNameId: &id, BasePath: base(r)})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			name, id, err := domainNamed(r.text("DomainNameArn"))
			if err != nil {
				return State{}, false, err
			}
			_, err = c.GetBasePathMapping(ctx, &apigatewayapi.GetBasePathMappingRequest{DomainName: name, DomainNameId: &id, BasePath: base(r)})
			return state(r), err == nil, gone(err)
		},
		Claims: func(*Request) bool { return true },
	}
}

// accessAssociation lets a VPC endpoint lead to a private custom domain name. Its physical id is its ARN.
func accessAssociation(c apigatewayapi.Service) Handler {
	rename := map[string]string{"Tags": skip}
	state := func(a *apigatewayapi.DomainNameAccessAssociation) State {
		arn := wire.Value(a.DomainNameAccessAssociationArn)
		return State{PhysicalID: arn, Attributes: map[string]string{"DomainNameAccessAssociationArn": arn}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateDomainNameAccessAssociation", Rename: rename}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateDomainNameAccessAssociationRequest{}
			if err := decode(r.Properties, in, rename); err != nil {
				return State{}, err
			}
			in.Tags = r.marked("Tags")
			out, err := c.CreateDomainNameAccessAssociation(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(out), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			arn := r.PhysicalID
			return state(&apigatewayapi.DomainNameAccessAssociation{DomainNameAccessAssociationArn: &arn}), retagNamed(ctx, c, r, arn)
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteDomainNameAccessAssociation(ctx, &apigatewayapi.DeleteDomainNameAccessAssociationRequest{DomainNameAccessAssociationArn: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetDomainNameAccessAssociations(ctx, &apigatewayapi.GetDomainNameAccessAssociationsRequest{Limit: wire.Int32(500), ResourceOwner: apigatewayapi.ResourceOwnerSELF})
			if err != nil {
				return State{}, false, err
			}
			for i, a := range out.Items {
				if wire.Value(a.DomainNameArn) == r.text("DomainNameArn") && wire.Value(a.AccessAssociationSource) == r.text("AccessAssociationSource") {
					return state(&out.Items[i]), r.mine(a.Tags), nil
				}
			}
			return State{}, false, nil
		},
	}
}
