package iam

import (
	"context"
	"slices"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// AssumeRoleWithSAML implements stsapi.Service. The call carries no signature;
// the assertion is its proof. It may be presented again for five minutes.
func (s *sts) AssumeRoleWithSAML(ctx context.Context, in *stsapi.AssumeRoleWithSAMLRequest) (*stsapi.AssumeRoleWithSAMLResponse, error) {
	a, err := s.VerifySAML(ctx, in.PrincipalArn, in.SAMLAssertion)
	if err != nil {
		return nil, err
	}
	v, err := readSAML(a)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(v.roles, [2]string{in.RoleArn, in.PrincipalArn}) {
		return nil, accessDenied("Not authorized to perform sts:AssumeRoleWithSAML")
	}
	l, size, err := s.givenPolicies(ctx, in.Policy, in.PolicyArns, v.tags)
	if err != nil {
		return nil, err
	}
	// The shortest of what is asked for, what the assertion says and its end.
	limit := v.duration
	if end := a.SessionEnds.Sub(s.cfg.Now()); !a.SessionEnds.IsZero() && (limit == 0 || end < limit) {
		limit = end
	}
	trust, carried := s.samlKeys(a, in.PrincipalArn)
	c, err := s.federate(ctx, "sts:AssumeRoleWithSAML", in.RoleArn, v.name, samlSeconds(in.DurationSeconds, v), RoleOptions{
		Federated: in.PrincipalArn, SAML: true, Context: trust, Session: carried, Duration: limit,
		SessionPolicies: l.inline, ManagedPolicies: l.managed, Tags: v.tags, Transitive: v.transitive, SourceIdentity: v.source,
	})
	if err != nil {
		return nil, err
	}
	return &stsapi.AssumeRoleWithSAMLResponse{
		AssumedRoleUser: &stsapi.AssumedRoleUser{Arn: c.ARN, AssumedRoleId: c.ID}, Credentials: credentialsOut(c), PackedPolicySize: size,
		Audience: wire.String(a.Recipient), Issuer: wire.String(a.Issuer), NameQualifier: wire.String(s.nameQualifier(a.Issuer, in.PrincipalArn)),
		Subject: wire.String(a.Subject), SubjectType: wire.String(strings.TrimPrefix(a.Format, nameIDFormat)), SourceIdentity: optional(v.source),
	}, nil
}

// samlSeconds is the duration that is asked for: by the call, else by the assertion.
func samlSeconds(asked *int32, v samlSession) *int32 {
	if asked == nil && v.duration > 0 {
		return wire.Int32(int32(v.duration.Seconds()))
	}
	return asked
}
