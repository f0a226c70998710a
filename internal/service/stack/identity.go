package stack

import (
	"context"
	"errors"
	"net/http"

	"moat/internal/wire"
)

// principal is CloudFormation as others know it.
const principal = "cloudformation.amazonaws.com"

// identity is in whose name an operation acts: that of who began it, or a session of
// the service role of the stack.
//
// An operation outlives the call that began it, and so it keeps the identity and not
// the credentials: an expired session does not stop it half way. All else counts as
// it is when a handler calls: policies, the session policies that the caller brought,
// and whether the user or role is still there.
type identity struct {
	caller wire.Caller
	role   string // ARN; empty: the caller's own name
}

// identity decides in whose name an operation on a stack acts. A role that is given
// must be the caller's to pass; the one that a stack remembers was passed before, and
// who may work on the stack need not be able to pass it (CloudFormation API reference,
// "RoleARN").
func (s *Service) identity(ctx context.Context, operation string, given *string, r *stackRecord) (identity, error) {
	caller := wire.CallFrom(ctx).Caller
	role := wire.Value(given)
	switch {
	case role == "" && r.RoleARN == "":
		return identity{caller: caller}, nil
	case s.cfg.Roles == nil:
		return identity{}, wire.NotImplementedBecause("cloudformation", operation, "RoleARN: nobody here knows roles")
	case role == "":
		role = r.RoleARN
	default:
		if err := s.cfg.Roles.PassRole(ctx, caller, role, principal); err != nil {
			return identity{}, passError(err)
		}
	}
	who, ok, err := s.cfg.Roles.AssumeServiceRole(ctx, role, principal, "AWSCloudFormation", r.id())
	if err != nil {
		return identity{}, err
	}
	if !ok {
		return identity{}, validationError("Role %s is invalid or cannot be assumed", role)
	}
	return identity{who, role}, nil
}

// passError gives a refusal to pass a role the code of the query protocol.
func passError(err error) error {
	var x wire.Exception
	if errors.As(err, &x) && x.ErrorCode() == "AccessDeniedException" {
		return wire.NewError(http.StatusForbidden, "AccessDenied", x.ErrorMessage())
	}
	return err
}

// calling returns a context in which services are called in this name. What is done
// by a service role is not done on anybody's behalf: aws:CalledVia and
// aws:ViaAWSService are for calls with the caller's own rights (IAM user guide,
// "AWS global condition context keys").
func (w identity) calling(ctx context.Context, c wire.Call) context.Context {
	c.Caller, c.Via, c.ByServiceRole = w.caller, principal, w.role != ""
	c.UserAgent, c.SourceIP, c.Secure = principal, "", true // within the process: nothing travels in the clear
	return wire.WithCall(ctx, &c)
}

// as is the context of the running call with the identity of the operation that it begins.
func (w identity) as(ctx context.Context) context.Context {
	return w.calling(ctx, *wire.CallFrom(ctx))
}
