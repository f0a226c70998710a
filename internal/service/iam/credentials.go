package iam

import (
	"context"
	"errors"
	"strconv"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/wire"
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
	Duration time.Duration // an hour when zero; never more than the role allows
	// SessionPolicies are documents, ManagedPolicies ARNs, that limit the session.
	SessionPolicies, ManagedPolicies []string
	// Service is the service principal that assumes the role (sts:AssumeRole);
	// Federated the provider of a web identity (sts:AssumeRoleWithWebIdentity) or,
	// with SAML, of an assertion (sts:AssumeRoleWithSAML). Exactly one of Service
	// and Federated is set.
	Service, Federated string
	SAML               bool
	// Context holds the condition keys of the service or of the identity. The
	// session of an identity carries them on, or Session where that is not nil; the
	// session of a service carries Session alone.
	Context, Session policy.Context
	// Request holds the condition keys of the call, which no session carries.
	Request policy.Context
	// Tags become the session's principal tags; those that Transitive names go on
	// to the next role, as does SourceIdentity.
	Tags           []Tag
	Transitive     []string
	SourceIdentity string
}

func (o *RoleOptions) principal() (who policy.Principal, action string, err error) {
	switch {
	case (o.Service == "") == (o.Federated == ""):
		return who, "", errors.New("iam: a role is assumed by a service or by an identity")
	case o.Service != "":
		return policy.Principal{Kind: policy.PrincipalService, Service: o.Service}, "sts:AssumeRole", nil
	case o.SAML:
		action = "sts:AssumeRoleWithSAML"
	default:
		action = "sts:AssumeRoleWithWebIdentity"
	}
	return policy.Principal{Kind: policy.PrincipalFederated, Federated: o.Federated}, action, nil
}

// RoleCredentials makes the temporary credentials of a role for another service
// of this installation. The role's trust policy decides: [ErrNotTrusted].
//
// The caller vouches for Context: it must have verified the identity.
func (s *Service) RoleCredentials(ctx context.Context, roleARN, session string, o RoleOptions) (Credentials, error) {
	who, action, err := o.principal()
	if err != nil {
		return Credentials{}, err
	}
	if !sessionName.MatchString(session) {
		return Credentials{}, errors.New("iam: malformed role session name " + session)
	}
	given := attributes{tags: o.Tags, transitive: o.Transitive, source: o.SourceIdentity}
	carried, needed, err := given.carried(nil)
	if err != nil {
		return Credentials{}, err
	}
	role, err := s.trusted(ctx, who, append([]string{action}, needed...), roleARN, s.trustKeys(session, &o, &given))
	if err != nil {
		return Credentials{}, err
	}
	for _, doc := range o.SessionPolicies {
		if _, err := policy.Parse("session policy", []byte(doc)); err != nil {
			return Credentials{}, err
		}
	}
	keys := o.Session
	if o.Federated != "" && keys == nil {
		keys = o.Context
	}
	for k, v := range keys {
		carried.Set(k, v...)
	}
	if o.Federated != "" {
		carried.Set("aws:FederatedProvider", o.Federated)
	}
	d := o.Duration
	if d <= 0 {
		d = time.Hour
	}
	return s.roleSession(role, session, carried, limits{o.SessionPolicies, o.ManagedPolicies}, min(d, time.Duration(role.maxSession)*time.Second))
}

// trustKeys are the condition keys with which a trust policy is asked.
func (s *Service) trustKeys(session string, o *RoleOptions, given *attributes) policy.Context {
	keys := policy.Context{}
	keys.Set("aws:CurrentTime", s.cfg.Now().UTC().Format(time.RFC3339))
	keys.Set("aws:ResourceAccount", s.cfg.Account)
	keys.Set("aws:EpochTime", strconv.FormatInt(s.cfg.Now().Unix(), 10))
	for _, from := range []policy.Context{o.Request, o.Context} {
		for k, v := range from {
			keys.Set(k, v...)
		}
	}
	given.setKeys(keys)
	keys.Set("sts:RoleSessionName", session)
	s.setSourceAccount(keys, o.Service)
	return keys
}

// trusted returns the role when its trust policy lets who do all the actions;
// else [ErrNotTrusted].
func (s *Service) trusted(ctx context.Context, who policy.Principal, actions []string, roleARN string, keys policy.Context) (*entity, error) {
	for _, a := range actions {
		d, err := s.authorizeTrust(ctx, who, a, roleARN, keys)
		if err != nil {
			return nil, err
		}
		if !d.Allowed {
			if who.Kind == policy.PrincipalFederated {
				// The answer does not tell why; the trail does.
				wire.NoteCheck(ctx, wire.Check{Action: a, Resource: roleARN, Decision: d})
			}
			return nil, ErrNotTrusted
		}
	}
	role, err := s.roleByARN(ctx, roleARN)
	if err == nil && role == nil {
		err = ErrNotTrusted
	}
	return role, err
}

// setSourceAccount says for whom a service acts: it is always this account.
func (s *Service) setSourceAccount(keys policy.Context, service string) {
	if service != "" && keys.Get("aws:SourceAccount") == nil {
		keys.Set("aws:SourceAccount", s.cfg.Account)
	}
}

// roleSession makes a session of a role whose trust has been established.
func (s *Service) roleSession(role *entity, name string, keys policy.Context, l limits, d time.Duration) (Credentials, error) {
	c, err := s.newSession(session{
		Kind: policy.PrincipalAssumedRole, Name: role.name, EntityID: role.id, Session: name, Keys: keys, Policies: l.inline, Managed: l.managed,
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
