package iam

import (
	"context"
	"errors"
	"fmt"

	"moat/internal/pure/arn"
	"moat/internal/pure/lazyregexp"
	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// sessionName is the form of role session names and of source identities.
var sessionName = lazyregexp.New(`^[\w+=,.@-]{2,64}$`)

// AssumeRoleWithWebIdentity implements stsapi.Service. The call carries no
// signature; the token is its proof.
func (s *sts) AssumeRoleWithWebIdentity(ctx context.Context, in *stsapi.AssumeRoleWithWebIdentityRequest) (*stsapi.AssumeRoleWithWebIdentityResponse, error) {
	if in.ProviderId != nil {
		return nil, wire.NotImplementedBecause("sts", "AssumeRoleWithWebIdentity", "OAuth 2.0 access tokens of named providers are not accepted")
	}
	who, err := s.webIdentity(ctx, in.WebIdentityToken)
	if err != nil {
		return nil, err
	}
	given, err := tokenAttributes(who.token.Claims)
	if err != nil {
		return nil, err
	}
	l, size, err := s.givenPolicies(ctx, in.Policy, in.PolicyArns, given.tags)
	if err != nil {
		return nil, err
	}
	c, err := s.federate(ctx, "sts:AssumeRoleWithWebIdentity", in.RoleArn, in.RoleSessionName, in.DurationSeconds, RoleOptions{
		Federated: who.principal, Context: who.keys, SessionPolicies: l.inline, ManagedPolicies: l.managed,
		Tags: given.tags, Transitive: given.transitive, SourceIdentity: given.source,
	})
	if err != nil {
		return nil, err
	}
	return &stsapi.AssumeRoleWithWebIdentityResponse{
		AssumedRoleUser: &stsapi.AssumedRoleUser{Arn: c.ARN, AssumedRoleId: c.ID}, Credentials: credentialsOut(c), PackedPolicySize: size,
		Audience: wire.String(who.audience), Provider: wire.String(who.principal), SubjectFromWebIdentityToken: wire.String(who.token.Claims.String("sub")),
		SourceIdentity: optional(given.source),
	}, nil
}

// federate gives a verified identity a role. A role that does not exist and one
// that does not trust it are not told apart.
func (s *sts) federate(ctx context.Context, action, roleARN, name string, seconds *int32, o RoleOptions) (Credentials, error) {
	if a, err := arn.Parse(roleARN); err != nil || a.Service != "iam" || a.Type() != "role" {
		return Credentials{}, validation("Request ARN is invalid")
	}
	denied := accessDenied("Not authorized to perform " + action)
	role, err := s.roleByARN(ctx, roleARN)
	if err != nil {
		return Credentials{}, err
	}
	if role == nil {
		return Credentials{}, denied
	}
	limit := o.Duration // of the identity's own session
	if o.Duration, err = sessionDuration(seconds, role, false); err != nil {
		return Credentials{}, err
	}
	if limit > 0 {
		o.Duration = min(o.Duration, limit)
	}
	o.Request = wire.RequestKeys(wire.CallFrom(ctx))
	c, err := s.RoleCredentials(ctx, roleARN, name, o)
	if errors.Is(err, ErrNotTrusted) {
		return c, denied
	}
	return c, err
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func invalidToken(format string, args ...any) error {
	return &stsapi.InvalidIdentityTokenException{Message: fmt.Sprintf(format, args...)}
}
