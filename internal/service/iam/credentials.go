package iam

import (
	"context"
	"errors"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
)

// ErrNotTrusted says that a role does not exist or does not trust who asks for
// it; the two are not told apart. It has a method NotTrusted() bool, by which
// packages that do not import this one know it.
var ErrNotTrusted error = notTrusted{}

type notTrusted struct{}

func (notTrusted) Error() string    { return "iam: the role may not be assumed" }
func (notTrusted) NotTrusted() bool { return true }

// RoleOptions say who becomes a role, and how.
type RoleOptions struct {
	Duration        time.Duration // an hour when zero; never more than the role allows
	SessionPolicies []string      // documents that limit the session
	// Service is the service principal that assumes the role (sts:AssumeRole);
	// Federated the provider of a web identity (sts:AssumeRoleWithWebIdentity).
	// Exactly one of them is set.
	Service, Federated string
	// Context holds the condition keys of the request: for a web identity those
	// of its provider, which the session then carries on.
	Context policy.Context
	// Tags become the session's principal tags.
	Tags []Tag
}

// RoleCredentials makes the temporary credentials of a role for another service
// of this installation. The role's trust policy decides: [ErrNotTrusted].
//
// The caller vouches for Context: it must have verified the web identity.
func (s *Service) RoleCredentials(ctx context.Context, roleARN, session string, o RoleOptions) (Credentials, error) {
	who := policy.Principal{Kind: policy.PrincipalService, Service: o.Service}
	action := "sts:AssumeRole"
	switch {
	case (o.Service == "") == (o.Federated == ""):
		return Credentials{}, errors.New("iam: a role is assumed by a service or by a web identity")
	case o.Federated != "":
		who = policy.Principal{Kind: policy.PrincipalFederated, Federated: o.Federated}
		action = "sts:AssumeRoleWithWebIdentity"
	}
	if !sessionName.MatchString(session) {
		return Credentials{}, errors.New("iam: malformed role session name " + session)
	}
	keys := policy.Context{}
	for k, v := range o.Context {
		keys.Set(k, v...)
	}
	keys.Set("sts:RoleSessionName", session)
	s.setSourceAccount(keys, o.Service)
	actions := []string{action}
	if len(o.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	for _, a := range actions {
		d, err := s.authorizeTrust(ctx, who, a, roleARN, withRequestTags(keys, o.Tags))
		if err != nil {
			return Credentials{}, err
		}
		if !d.Allowed {
			return Credentials{}, ErrNotTrusted
		}
	}
	role, err := s.roleByARN(ctx, roleARN)
	if err != nil {
		return Credentials{}, err
	}
	if role == nil {
		return Credentials{}, ErrNotTrusted
	}
	for _, doc := range o.SessionPolicies {
		if _, err := policy.Parse("session policy", []byte(doc)); err != nil {
			return Credentials{}, err
		}
	}
	carried := policy.Context{}
	if o.Federated != "" {
		for k, v := range o.Context {
			carried.Set(k, v...)
		}
		carried.Set("aws:FederatedProvider", o.Federated)
	}
	for _, t := range o.Tags {
		carried.Set("aws:PrincipalTag/"+t.Key, t.Value)
	}
	d := o.Duration
	if d <= 0 {
		d = time.Hour
	}
	return s.roleSession(role, session, carried, o.SessionPolicies, min(d, time.Duration(role.maxSession)*time.Second))
}

// setSourceAccount says for whom a service acts: it is always this account.
func (s *Service) setSourceAccount(keys policy.Context, service string) {
	if service != "" && keys.Get("aws:SourceAccount") == nil {
		keys.Set("aws:SourceAccount", s.cfg.Account)
	}
}

func withRequestTags(keys policy.Context, tags []Tag) policy.Context {
	if len(tags) > 0 {
		names := make([]string, len(tags))
		for i, t := range tags {
			names[i] = t.Key
		}
		keys = withTags(keys, "aws:RequestTag/", tags)
		keys.Set("aws:TagKeys", names...)
	}
	return keys
}

// roleSession makes a session of a role whose trust has been established.
func (s *Service) roleSession(role *entity, name string, keys policy.Context, policies []string, d time.Duration) (Credentials, error) {
	c, err := s.newSession(session{
		Kind: policy.PrincipalAssumedRole, Name: role.name, EntityID: role.id, Session: name, Keys: keys, Policies: policies,
	}, d)
	c.ARN = "arn:aws:sts::" + s.cfg.Account + ":assumed-role/" + role.name + "/" + name
	c.ID = role.id + ":" + name
	return c, err
}

// WebIdentityCredentials is RoleCredentials for a web identity that the caller
// has verified, in types that its consumers share.
func (s *Service) WebIdentityCredentials(ctx context.Context, roleARN, sessionName, provider string, keys policy.Context, tags map[string]string, sessionPolicies []string, d time.Duration) (sigv4.Credentials, time.Time, error) {
	o := RoleOptions{Duration: d, SessionPolicies: sessionPolicies, Federated: provider, Context: keys}
	for _, k := range sortedKeys(tags) {
		o.Tags = append(o.Tags, Tag{k, tags[k]})
	}
	return shared(s.RoleCredentials(ctx, roleARN, sessionName, o))
}

// ServiceCredentials is RoleCredentials for a service principal, in types that
// its consumers share. keys may hold aws:SourceArn and aws:SourceAccount.
func (s *Service) ServiceCredentials(ctx context.Context, roleARN, sessionName, service string, keys policy.Context, d time.Duration) (sigv4.Credentials, time.Time, error) {
	return shared(s.RoleCredentials(ctx, roleARN, sessionName, RoleOptions{Duration: d, Service: service, Context: keys}))
}

func shared(c Credentials, err error) (sigv4.Credentials, time.Time, error) {
	return sigv4.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, c.Expiration, err
}
