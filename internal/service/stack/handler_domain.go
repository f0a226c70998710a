package stack

import (
	"cmp"
	"context"
	"slices"

	"moat/internal/service/stack/template"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

func domainHandlers(c apigatewayapi.Service) map[string]Handler {
	return map[string]Handler{
		"AWS::ApiGateway::DomainName":      domainName(c),
		"AWS::ApiGateway::BasePathMapping": basePathMapping(c),

		"AWS::ApiGateway::DomainNameV2":                privateDomainName(c),
		"AWS::ApiGateway::BasePathMappingV2":           privateMapping(c),
		"AWS::ApiGateway::DomainNameAccessAssociation": accessAssociation(c),
	}
}

// domainName makes a custom domain name. A template has no way to bring a certificate of its
// own: the name is one that Moat has a certificate for.
func domainName(c apigatewayapi.Service) Handler {
	state := func(r *Request, d *apigatewayapi.DomainName) State {
		name := wire.Value(d.DomainName)
		return State{PhysicalID: name, Attributes: map[string]string{
			"DistributionDomainName": wire.Value(d.DistributionDomainName), "RegionalDomainName": wire.Value(d.RegionalDomainName),
			"DistributionHostedZoneId": wire.Value(d.DistributionHostedZoneId), "RegionalHostedZoneId": wire.Value(d.RegionalHostedZoneId),
			"DomainNameArn": "arn:aws:apigateway:" + r.Stack.Region + "::/domainnames/" + name,
		}}
	}
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateDomainName", Rename: map[string]string{"Tags": skip}}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateDomainNameRequest{}
			if err := decode(r.Properties, in, map[string]string{"Tags": skip}); err != nil {
				return State{}, err
			}
			in.Tags = r.marked("Tags")
			out, err := c.CreateDomainName(ctx, in)
			if err != nil {
				return State{}, err
			}
			return state(r, out), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.domain(r)
			if len(p.ops) > 0 {
				if _, err := c.UpdateDomainName(ctx, &apigatewayapi.UpdateDomainNameRequest{DomainName: r.PhysicalID, PatchOperations: p.ops}); err != nil {
					return State{}, err
				}
			}
			if err := retag(ctx, c, r, "/domainnames/"+r.PhysicalID); err != nil {
				return State{}, err
			}
			out, err := c.GetDomainName(ctx, &apigatewayapi.GetDomainNameRequest{DomainName: r.PhysicalID})
			if err != nil {
				return State{}, err
			}
			return state(r, out), nil
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteDomainName(ctx, &apigatewayapi.DeleteDomainNameRequest{DomainName: r.PhysicalID})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			out, err := c.GetDomainName(ctx, &apigatewayapi.GetDomainNameRequest{DomainName: r.text("DomainName")})
			if err != nil {
				return State{}, false, gone(err)
			}
			return state(r, out), r.mine(out.Tags), nil
		},
	}
}

// domain patches what changed of a custom domain name.
func (p *patch) domain(r *Request) {
	p.optional(r, "CertificateArn", "/certificateArn")
	p.optional(r, "RegionalCertificateArn", "/regionalCertificateArn")
	p.optional(r, "OwnershipVerificationCertificateArn", "/ownershipVerificationCertificateArn")
	p.or(r, "SecurityPolicy", "/securityPolicy", "TLS_1_2")
	p.or(r, "RoutingMode", "/routingMode", "BASE_PATH_MAPPING_ONLY")
	p.or(r, "EndpointAccessMode", "/endpointAccessMode", "BASIC")
	p.endpoint(r)
	if !r.changed("MutualTlsAuthentication") {
		return
	}
	if r.Properties.Get("MutualTlsAuthentication").Empty() {
		p.add("remove", "/mutualTlsAuthentication", "")
		return
	}
	for _, m := range [][2]string{{"TruststoreUri", "/mutualTlsAuthentication/truststoreUri"}, {"TruststoreVersion", "/mutualTlsAuthentication/truststoreVersion"}} {
		was, _ := r.Previous.At("MutualTlsAuthentication", m[0]).Scalar()
		switch is, _ := r.Properties.At("MutualTlsAuthentication", m[0]).Scalar(); {
		case is == was:
		case is == "":
			p.add("remove", m[1], "")
		default:
			p.add("replace", m[1], is)
		}
	}
}

// endpoint patches the type of an endpoint, its kind of addresses and the VPC endpoints at which it has
// names. Without them an endpoint is at the edge, and has addresses of version 4; a private one has both kinds.
func (p *patch) endpoint(r *Request) {
	one := func(v *template.Value) string {
		types := textsOf(v.At("EndpointConfiguration", "Types"))
		if len(types) == 0 {
			return "EDGE"
		}
		return types[0]
	}
	if was, is := one(r.Previous), one(r.Properties); was != is {
		p.add("replace", "/endpointConfiguration/types/"+was, is)
	}
	addresses := func(v *template.Value) string {
		kind, _ := v.At("EndpointConfiguration", "IpAddressType").Scalar()
		if one(v) == "PRIVATE" {
			return cmp.Or(kind, "dualstack")
		}
		return cmp.Or(kind, "ipv4")
	}
	if was, is := addresses(r.Previous), addresses(r.Properties); was != is {
		p.add("replace", "/endpointConfiguration/ipAddressType", is)
	}
	ids := func(v *template.Value) []string { return textsOf(v.At("EndpointConfiguration", "VpcEndpointIds")) }
	was, is := ids(r.Previous), ids(r.Properties)
	p.elements("remove", was, is)
	p.elements("add", is, was)
}

// elements patches the VPC endpoints that are in one list and not in the other.
func (p *patch) elements(op string, in, notIn []string) {
	for _, id := range in {
		if !slices.Contains(notIn, id) {
			p.add(op, "/endpointConfiguration/vpcEndpointIds", id)
			p.ops[len(p.ops)-1].Value = &id
		}
	}
}

func basePathMapping(c apigatewayapi.Service) Handler {
	base := func(r *Request) string { return cmp.Or(r.text("BasePath"), "(none)") }
	state := func(r *Request) State { return State{PhysicalID: r.text("DomainName") + "|" + base(r)} }
	return Handler{
		Shapes: []Shape{{Operation: "apigateway:CreateBasePathMapping", Rename: map[string]string{"Id": skip}}},
		Create: func(ctx context.Context, r *Request) (State, error) {
			in := &apigatewayapi.CreateBasePathMappingRequest{}
			if err := decode(r.Properties, in, map[string]string{"Id": skip}); err != nil {
				return State{}, err
			}
			if _, err := c.CreateBasePathMapping(ctx, in); err != nil {
				return State{}, err
			}
			return state(r), nil
		},
		Update: func(ctx context.Context, r *Request) (State, error) {
			p := patch{}
			p.scalar(r, "RestApiId", "/restapiId")
			p.scalar(r, "Stage", "/stage")
			if len(p.ops) == 0 {
				return state(r), nil
			}
			_, err := c.UpdateBasePathMapping(ctx, &apigatewayapi.UpdateBasePathMappingRequest{DomainName: r.text("DomainName"), BasePath: base(r), PatchOperations: p.ops})
			return state(r), err
		},
		Delete: func(ctx context.Context, r *Request) error {
			_, err := c.DeleteBasePathMapping(ctx, &apigatewayapi.DeleteBasePathMappingRequest{DomainName: r.text("DomainName"), BasePath: base(r)})
			return err
		},
		Find: func(ctx context.Context, r *Request) (State, bool, error) {
			_, err := c.GetBasePathMapping(ctx, &apigatewayapi.GetBasePathMappingRequest{DomainName: r.text("DomainName"), BasePath: base(r)})
			return state(r), err == nil, gone(err)
		},
		Claims: func(*Request) bool { return true },
	}
}
