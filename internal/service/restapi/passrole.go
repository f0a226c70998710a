package restapi

import (
	"context"
	"strings"

	"moat/internal/wire"
)

// gatewayPrincipal is who gets the roles of integrations and authorizers.
const gatewayPrincipal = "apigateway.amazonaws.com"

// PassRoler decides on iam:PassRole: whether caller may give the role to the service.
// A refusal is an error in the words that the caller gets.
type PassRoler interface {
	PassRole(ctx context.Context, caller wire.Caller, roleARN, service string) error
}

// Trusts knows whether a role exists that a service may assume for source, an ARN.
type Trusts interface {
	RoleTrusts(ctx context.Context, roleARN, service, source string) (bool, error)
}

// use is one place of an API that works with a role: an integration or an authorizer, and
// what it calls with it.
type use struct{ place, uri, role string }

// roles are the roles that an API's integrations and authorizers work with, and for what.
func (d *definition) roles() map[use]bool {
	out := map[use]bool{}
	add := func(place string, uri, arn *string) {
		if a := wire.Value(arn); strings.Contains(a, ":role/") {
			out[use{place, wire.Value(uri), a}] = true
		}
	}
	for id, a := range d.Authorizers {
		add("authorizer/"+id, a.AuthorizerUri, a.AuthorizerCredentials)
	}
	for id, r := range d.Resources {
		for verb, m := range r.ResourceMethods {
			if i := m.MethodIntegration; i != nil {
				add(id+"/"+verb, i.Uri, i.Credentials)
			}
		}
	}
	return out
}

// passes remembers which roles the caller of one operation may pass. What it has not
// asked about yet it puts down as wanted, since a transaction must not ask.
type passes struct{ granted, wanted map[string]bool }

// errPass says that roles are wanted.
type errPass struct{}

func (errPass) Error() string { return "restapi: roles are to be passed" }

// check wants the role of every use that was not there before (IAM User Guide, "Grant a
// user permissions to pass a role to an AWS service"). That an API works with a role
// already, elsewhere or to call something else, gives nobody a right to it.
func (p *passes) check(before, after map[use]bool) error {
	for u := range after {
		if !before[u] && !p.granted[u.role] {
			p.wanted[u.role] = true
		}
	}
	if len(p.wanted) > 0 {
		return errPass{}
	}
	return nil
}

// passing runs fn until it wants no role that the caller has not been asked about.
func (s *Service) passing(ctx context.Context, fn func(p *passes) error) error {
	p := &passes{granted: map[string]bool{}}
	for {
		p.wanted = map[string]bool{}
		err := fn(p)
		if _, asks := err.(errPass); !asks {
			return err
		}
		for role := range p.wanted {
			if s.cfg.PassRoler != nil {
				if err := s.cfg.PassRoler.PassRole(ctx, wire.CallFrom(ctx).Caller, role, gatewayPrincipal); err != nil {
					return err
				}
			}
			p.granted[role] = true
		}
	}
}
