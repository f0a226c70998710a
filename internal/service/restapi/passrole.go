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

// roles are the roles that an API's integrations and authorizers work with.
func (d *definition) roles() map[string]bool {
	out := map[string]bool{}
	add := func(arn *string) {
		if a := wire.Value(arn); strings.Contains(a, ":role/") {
			out[a] = true
		}
	}
	for _, a := range d.Authorizers {
		add(a.AuthorizerCredentials)
	}
	for _, r := range d.Resources {
		for _, m := range r.ResourceMethods {
			if m.MethodIntegration != nil {
				add(m.MethodIntegration.Credentials)
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

// check wants every role of after that is not in before (IAM User Guide, "Grant a user
// permissions to pass a role to an AWS service").
func (p *passes) check(before, after map[string]bool) error {
	for role := range after {
		if !before[role] && !p.granted[role] {
			p.wanted[role] = true
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
