package iam

import (
	"context"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// chainedSession bounds the sessions of roles that were assumed by a role.
const chainedSession = time.Hour

// AssumeRole implements stsapi.Service. That the caller may assume the role, by
// its trust policy too, was decided before it runs: with the multi-factor code
// taken as right, which is why the code is verified first of all here.
func (s *sts) AssumeRole(ctx context.Context, in *stsapi.AssumeRoleRequest) (*stsapi.AssumeRoleResponse, error) {
	call := wire.CallFrom(ctx)
	caller := call.Caller
	if len(in.ProvidedContexts) > 0 {
		return nil, wire.NotImplementedBecause("sts", "AssumeRole", "there are no providers of trusted context assertions (IAM Identity Center)")
	}
	if _, err := s.checkMFA(ctx, caller, in.SerialNumber, in.TokenCode); err != nil {
		return nil, err
	}
	role, err := s.roleByARN(ctx, in.RoleArn)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, settle(ctx, wire.Refused{Caller: caller, Action: "sts:AssumeRole", Resource: in.RoleArn, Decision: policy.Decision{Kind: policy.KindResource}})
	}
	given := attributes{tags: tagsIn(in.Tags), transitive: in.TransitiveTagKeys, source: wire.Value(in.SourceIdentity)}
	carried, needed, err := given.carried(caller.Context)
	if err != nil {
		return nil, err
	}
	for _, action := range needed {
		keys := wire.RequestKeys(call)
		keys.Set("aws:ResourceAccount", s.cfg.Account)
		for k, v := range assumeKeys(in, carried) {
			keys[k] = v
		}
		d, err := s.authorizeTrust(ctx, caller.Principal, action, in.RoleArn, keys)
		if err != nil {
			return nil, err
		}
		if err := settle(ctx, wire.Refused{Caller: caller, Action: action, Resource: in.RoleArn, Decision: d, Keys: keys}); err != nil {
			return nil, err
		}
	}
	d, err := sessionDuration(in.DurationSeconds, role, caller.Kind == policy.PrincipalAssumedRole)
	if err != nil {
		return nil, err
	}
	limits, size, err := s.givenPolicies(ctx, in.Policy, in.PolicyArns, given.tags)
	if err != nil {
		return nil, err
	}
	c, err := s.roleSession(role, in.RoleSessionName, carried, limits, d)
	if err != nil {
		return nil, err
	}
	out := &stsapi.AssumeRoleResponse{
		AssumedRoleUser: &stsapi.AssumedRoleUser{Arn: c.ARN, AssumedRoleId: c.ID}, Credentials: credentialsOut(c), PackedPolicySize: size,
	}
	if source := carried.Get("aws:SourceIdentity"); len(source) > 0 {
		out.SourceIdentity = &source[0]
	}
	return out, nil
}

// settle notes a decision that STS makes itself, in the trail, and where it is
// against the caller in the answer, too. It returns the refusal, if it is one.
func settle(ctx context.Context, r wire.Refused) error {
	wire.NoteCheck(ctx, wire.Check{Action: r.Action, Resource: r.Resource, Decision: r.Decision})
	if r.Decision.Allowed {
		return nil
	}
	wire.NoteRefusal(ctx, r)
	return accessDenied(wire.Denial(r.Caller, r.Action, r.Resource, r.Decision))
}

// sessionDuration applies the limits of a role and of chaining.
func sessionDuration(seconds *int32, role *entity, chained bool) (time.Duration, error) {
	d := time.Hour
	if seconds != nil {
		d = time.Duration(*seconds) * time.Second
	}
	switch {
	case chained && d > chainedSession:
		return 0, validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	case d > time.Duration(role.maxSession)*time.Second:
		return 0, validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return d, nil
}

func tagsIn(tags []stsapi.Tag) []Tag {
	out := make([]Tag, len(tags))
	for i, t := range tags {
		out[i] = Tag{t.Key, t.Value}
	}
	return out
}
