package wire

import (
	"context"
	"errors"

	"moat/internal/pure/policy"
)

// ResourceAuthority is an [Authority] that weighs a resource's own policy together
// with the caller's.
type ResourceAuthority interface {
	AuthorizeResource(ctx context.Context, caller Caller, action, resource, account string, resourcePolicy *policy.Document, keys policy.Context) (policy.Decision, error)
}

// decide asks the authority about one action, with the policy that the resource has
// of its own. A policy that cannot be read is an error: it may hold a Deny.
func (x *exchange) decide(action, resource, account string, keys policy.Context) (policy.Decision, error) {
	if x.end.api.PolicyOf == nil {
		return x.p.cfg.Authority.Authorize(x.ctx, x.call.Caller, action, resource, account, keys)
	}
	own, err := x.end.api.PolicyOf(x.ctx, x.call, resource)
	switch {
	case err != nil:
		return policy.Decision{}, err
	case own == nil:
		return x.p.cfg.Authority.Authorize(x.ctx, x.call.Caller, action, resource, account, keys)
	}
	both, ok := x.p.cfg.Authority.(ResourceAuthority)
	if !ok {
		return policy.Decision{}, errors.New("the authority does not weigh policies of resources")
	}
	return both.AuthorizeResource(x.ctx, x.call.Caller, action, resource, account, own, keys)
}
