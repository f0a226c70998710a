package iam

import (
	"context"
	"strings"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// The bounds of sessions that users make of their own keys.
const (
	userSession     = 12 * time.Hour
	rootUserSession = time.Hour
)

// What sessions of users may not do, whatever the user may (IAM user guide,
// "Compare AWS STS credentials"): of STS they have two operations, IAM only
// where a second factor was shown. To IAM the others are no credentials at all:
// see [Service.sessionCredential]; the policy holds for what others call for them.
const (
	userSessionPolicy    = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":["iam:*","sts:*"],"Resource":"*"},{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity","sts:GetCallerIdentity"],"Resource":"*"}]}`
	userMFASessionPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"sts:*","Resource":"*"},{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity","sts:GetCallerIdentity"],"Resource":"*"}]}`
	federatedPolicy      = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":["iam:*","sts:*"],"Resource":"*"}}`
)

// GetSessionToken implements stsapi.Service.
func (s *sts) GetSessionToken(ctx context.Context, in *stsapi.GetSessionTokenRequest) (*stsapi.GetSessionTokenResponse, error) {
	v, err := ofUser(wire.CallFrom(ctx).Caller, "GetSessionToken")
	if err != nil {
		return nil, err
	}
	v.Policies = []string{userSessionPolicy}
	shown, err := s.checkMFA(ctx, wire.CallFrom(ctx).Caller, in.SerialNumber, in.TokenCode)
	if err != nil {
		return nil, err
	}
	if shown {
		v.MFA, v.Policies = s.cfg.Now().Unix(), []string{userMFASessionPolicy}
	}
	c, err := s.newSession(v, userDuration(in.DurationSeconds, v.Kind))
	if err != nil {
		return nil, err
	}
	return &stsapi.GetSessionTokenResponse{Credentials: credentialsOut(c)}, nil
}

// GetFederationToken implements stsapi.Service. The session may do what both the
// user's policies and its session policies allow; without session policies only
// what resources' own policies give it by name.
func (s *sts) GetFederationToken(ctx context.Context, in *stsapi.GetFederationTokenRequest) (*stsapi.GetFederationTokenResponse, error) {
	call := wire.CallFrom(ctx)
	v, err := ofUser(call.Caller, "GetFederationToken")
	if err != nil {
		return nil, err
	}
	given := attributes{tags: tagsIn(in.Tags)}
	carried, _, err := given.carried(nil)
	if err != nil {
		return nil, err
	}
	resource := s.federatedARN(in.Name)
	if len(in.Tags) > 0 {
		keys := wire.RequestKeys(call)
		keys.Set("aws:ResourceAccount", s.cfg.Account)
		given.setKeys(keys)
		d, err := s.AuthorizeResource(ctx, call.Caller, "sts:TagSession", resource, s.cfg.Account, nil, keys)
		if err != nil {
			return nil, err
		}
		if err := settle(ctx, wire.Refused{Caller: call.Caller, Action: "sts:TagSession", Resource: resource, Decision: d, Keys: keys}); err != nil {
			return nil, err
		}
	}
	l, size, err := s.givenPolicies(ctx, in.Policy, in.PolicyArns, given.tags)
	if err != nil {
		return nil, err
	}
	duration := userDuration(in.DurationSeconds, v.Kind)
	v.Root = v.Kind == policy.PrincipalRoot
	v.Kind, v.Session, v.Keys, v.Policies, v.Managed = policy.PrincipalFederatedUser, in.Name, carried, append(l.inline, federatedPolicy), l.managed
	c, err := s.newSession(v, duration)
	if err != nil {
		return nil, err
	}
	return &stsapi.GetFederationTokenResponse{
		Credentials: credentialsOut(c), PackedPolicySize: size,
		FederatedUser: &stsapi.FederatedUser{Arn: resource, FederatedUserId: s.cfg.Account + ":" + in.Name},
	}, nil
}

func (s *Service) federatedARN(name string) string {
	return "arn:aws:sts::" + s.cfg.Account + ":federated-user/" + name
}

// ofUser begins a session of a long-lived key; sessions do not make these.
func ofUser(caller wire.Caller, operation string) (session, error) {
	v := session{Kind: caller.Kind, EntityID: caller.ID, MadeByKey: caller.AccessKeyID}
	switch {
	case caller.Context.Get("aws:TokenIssueTime") != nil, caller.Kind != policy.PrincipalUser && caller.Kind != policy.PrincipalRoot:
		return v, accessDenied("Cannot call " + operation + " with session credentials")
	case caller.Kind == policy.PrincipalUser:
		v.Name = caller.ARN[strings.LastIndexByte(caller.ARN, '/')+1:]
	}
	return v, nil
}

// userDuration is how long a session of a user or of the root lasts: of a root
// an hour, whatever it asks for.
func userDuration(seconds *int32, kind policy.Kind) time.Duration {
	d := userSession
	if seconds != nil {
		d = time.Duration(*seconds) * time.Second
	}
	if kind == policy.PrincipalRoot {
		return min(d, rootUserSession)
	}
	return d
}
