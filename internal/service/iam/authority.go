package iam

import (
	"context"
	"errors"
	"strings"
	"time"

	"moat/internal/pure/arn"
	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
)

var _ wire.Authority = (*Service)(nil)

// keyPurpose is authenticated with each secret access key at rest, together
// with the id of the key: a secret cannot be moved to another key.
func keyPurpose(id string) string { return "iam/access-key/" + id }

// Credential implements [wire.Authority].
//
// The principal's Context is shared between calls: it must not be changed.
func (s *Service) Credential(ctx context.Context, accessKeyID, sessionToken string) (wire.Credential, error) {
	if sessionToken != "" {
		return s.sessionCredential(ctx, accessKeyID, sessionToken)
	}
	if root := s.root.Load(); root != nil && accessKeyID == root.id {
		if ctx.Value(withoutRoot{}) != nil {
			s.cfg.Log.Warn("the root key was refused to a page in a browser, a foreign host name or a function")
			return wire.Credential{}, wire.ErrUnknownKey
		}
		return wire.Credential{Secret: root.secret, Caller: s.rootCaller(accessKeyID)}, nil
	}
	if strings.HasPrefix(accessKeyID, "ASIA") {
		return wire.Credential{}, wire.ErrBadToken
	}
	k, err := s.accessKey(ctx, accessKeyID)
	if err != nil {
		return wire.Credential{}, err
	}
	if k == nil || !k.active || k.secret == "" {
		return wire.Credential{}, wire.ErrUnknownKey
	}
	u, err := s.user(ctx, k.user)
	if err != nil {
		return wire.Credential{}, err
	}
	if u == nil {
		return wire.Credential{}, wire.ErrUnknownKey
	}
	return wire.Credential{Secret: k.secret, Caller: wire.Caller{AccessKeyID: accessKeyID, Principal: policy.Principal{
		Kind: policy.PrincipalUser, ARN: u.arn, Account: s.cfg.Account, ID: u.id, Context: u.keys,
	}}}, nil
}

func (s *Service) rootCaller(keyID string) wire.Caller {
	return wire.Caller{AccessKeyID: keyID, Principal: policy.Principal{
		Kind: policy.PrincipalRoot, ARN: s.arn("root", "", ""), Account: s.cfg.Account, ID: s.cfg.Account,
	}}
}

// accessKey returns a long-lived key, nil when there is none.
func (s *Service) accessKey(ctx context.Context, id string) (*knownKey, error) {
	c := s.cache.Load()
	return remember(&c.mu, c.keys, 0, id, func() (k *knownKey, err error) {
		err = s.db.View(ctx, func(tx *store.Tx) error {
			r, err := s.t.keys.Get(tx, id)
			if err != nil {
				return err
			}
			secret, err := s.db.Unseal(keyPurpose(id), r.Secret)
			if err != nil {
				return err
			}
			k = &knownKey{secret: string(secret), user: r.User, active: r.Active && r.Account == s.cfg.Account}
			return nil
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		return k, err
	})
}

// sessionCredential checks a session token: ours, unaltered, of this key, not
// expired, and its user or role still there.
func (s *Service) sessionCredential(ctx context.Context, accessKeyID, token string) (wire.Credential, error) {
	c := s.cache.Load()
	k, err := remember(&c.mu, c.sessions, maxSessions, token, func() (*knownSession, error) {
		v, err := s.unseal(token)
		if err != nil {
			return nil, wire.ErrBadToken
		}
		e, err := s.sessionEntity(ctx, &v)
		if err != nil {
			return nil, err
		}
		caller, err := s.caller(&v, e)
		if err != nil {
			return nil, err
		}
		return &knownSession{v, caller}, nil
	})
	switch {
	case err != nil:
		return wire.Credential{}, err
	case k.session.KeyID != accessKeyID || k.session.Secret == "":
		return wire.Credential{}, wire.ErrBadToken
	case !s.cfg.Now().Before(time.Unix(k.session.Expires, 0)):
		return wire.Credential{}, wire.ErrExpiredToken
	}
	caller := k.caller
	if k.session.MFA != 0 {
		caller.Principal = withMFAAge(caller.Principal, s.cfg.Now().Unix()-k.session.MFA)
	}
	return wire.Credential{Secret: k.session.Secret, Caller: caller, NotFor: k.session.notFor()}, nil
}

// sessionEntity finds the user or role behind a session. A user's session ends
// with the access key that asked for it.
func (s *Service) sessionEntity(ctx context.Context, v *session) (*entity, error) {
	if v.MadeByKey != "" {
		root := s.root.Load()
		if v.Kind == policy.PrincipalRoot || v.Root {
			if root == nil || root.id != v.MadeByKey {
				return nil, wire.ErrUnknownKey
			}
			return nil, nil
		}
		k, err := s.accessKey(ctx, v.MadeByKey)
		if err != nil {
			return nil, err
		}
		if k == nil || !k.active {
			return nil, wire.ErrUnknownKey
		}
	}
	if v.Kind == policy.PrincipalAssumedRole {
		return s.role(ctx, v.Name)
	}
	return s.user(ctx, v.Name)
}

// Authorize implements [wire.Authority].
//
// For sts:AssumeRole the trust policy of the role has its say, too: the decision
// is then the whole answer to "may this caller become that role". For iam:PassRole
// the tags of the role are added to the keys.
func (s *Service) Authorize(ctx context.Context, caller wire.Caller, action, resource, account string, keys policy.Context) (policy.Decision, error) {
	if strings.EqualFold(action, "sts:AssumeRole") || strings.EqualFold(action, "sts:TagSession") || strings.EqualFold(action, "sts:SetSourceIdentity") {
		return s.authorizeTrust(ctx, caller.Principal, action, resource, keys)
	}
	if strings.EqualFold(action, "iam:PassRole") {
		role, err := s.roleByARN(ctx, resource)
		if err != nil {
			return policy.Decision{}, err
		}
		if role != nil {
			keys = withTags(keys, "aws:ResourceTag/", role.tags)
			keys = withTags(keys, "iam:ResourceTag/", role.tags)
		}
	}
	return s.AuthorizeResource(ctx, caller, action, resource, account, nil, keys)
}

// AuthorizeResource is Authorize for a resource that has a policy of its own,
// which may be nil. Identity and resource policy are combined as AWS does.
func (s *Service) AuthorizeResource(ctx context.Context, caller wire.Caller, action, resource, account string, resourcePolicy *policy.Document, keys policy.Context) (policy.Decision, error) {
	p, err := s.policiesOf(ctx, &caller.Principal)
	if err != nil {
		return policy.Decision{}, err
	}
	p.Resource = resourcePolicy
	if account == "aws" { // AWS's own policies are everybody's to read and attach
		account = s.cfg.Account
	}
	req := &policy.Request{Principal: caller.Principal, Action: action, Resource: resource, Account: account, Context: keys}
	d := policy.Evaluate(req, &p)
	if !d.Allowed { // asked later, the policies may be others
		d.Considered = policy.Explain(req, &p).Verdicts
	}
	return d, nil
}

// authorizeTrust decides about becoming a role of this account.
func (s *Service) authorizeTrust(ctx context.Context, who policy.Principal, action, roleARN string, keys policy.Context) (policy.Decision, error) {
	if keys.Get(mfaKey) != nil {
		who = withMFAAge(who, 0)
	}
	p, err := s.policiesOf(ctx, &who)
	if err != nil {
		return policy.Decision{}, err
	}
	role, err := s.roleByARN(ctx, roleARN)
	if err != nil {
		return policy.Decision{}, err
	}
	if role != nil {
		p.Resource = role.trust
		keys = withTags(keys, "aws:ResourceTag/", role.tags)
		keys = withTags(keys, "iam:ResourceTag/", role.tags)
	}
	req := &policy.Request{Principal: who, Action: action, Resource: roleARN, Account: s.cfg.Account, Context: keys}
	d := policy.EvaluateTrust(req, &p)
	if !d.Allowed {
		d.Considered = policy.ExplainTrust(req, &p).Verdicts
	}
	return d, nil
}

// withTags returns keys with those of the tags; the original is not changed.
func withTags(keys policy.Context, prefix string, tags []Tag) policy.Context {
	if len(tags) == 0 {
		return keys
	}
	out := make(policy.Context, len(keys)+len(tags))
	for k, v := range keys {
		out[k] = v
	}
	for _, t := range tags {
		out.Set(prefix+t.Key, t.Value)
	}
	return out
}

// roleByARN returns the role of an ARN, nil when there is none: the ARN must be
// the role's own, with its path.
func (s *Service) roleByARN(ctx context.Context, roleARN string) (*entity, error) {
	a, err := arn.Parse(roleARN)
	if err != nil || a.Service != "iam" || a.Account != s.cfg.Account || a.Type() != "role" {
		return nil, nil
	}
	role, err := s.role(ctx, a.Name())
	if err != nil || role == nil || role.arn != roleARN {
		return nil, err
	}
	return role, nil
}

// policiesOf gathers the policies of a principal. Who is not found has none, and
// so may nothing.
func (s *Service) policiesOf(ctx context.Context, who *policy.Principal) (p policy.Policies, err error) {
	p.Guardrails = s.guardrails(who)
	if who.Account != s.cfg.Account {
		return p, nil
	}
	if p.Session, err = s.sessionPolicies(ctx, limits{who.Context[policiesKey], who.Context[managedKey]}); err != nil {
		return p, err
	}
	var e *entity
	switch who.Kind {
	case policy.PrincipalRoot:
		p.Identity = []*policy.Document{s.allows}
		return p, nil
	case policy.PrincipalUser:
		e, err = s.user(ctx, who.ARN[strings.LastIndexByte(who.ARN, '/')+1:])
	case policy.PrincipalAssumedRole:
		e, err = s.role(ctx, who.RoleARN[strings.LastIndexByte(who.RoleARN, '/')+1:])
	case policy.PrincipalFederatedUser:
		return s.federatedPolicies(ctx, who, p)
	}
	if err != nil || e == nil {
		return p, err
	}
	if id, _, _ := strings.Cut(who.ID, ":"); id != e.id {
		return p, nil // another one of the same name
	}
	p.Identity, p.Boundary = e.identity, e.boundary
	return p, nil
}

// federatedPolicies are those of a federated user: of the user that it was made
// of. Package policy lets through only what session policies allow.
func (s *Service) federatedPolicies(ctx context.Context, who *policy.Principal, p policy.Policies) (policy.Policies, error) {
	if who.UserARN == s.arn("root", "", "") {
		p.Identity = []*policy.Document{s.allows}
		return p, nil
	}
	e, err := s.user(ctx, who.UserARN[strings.LastIndexByte(who.UserARN, '/')+1:])
	if err != nil || e == nil || e.id != who.UserID {
		return p, err
	}
	p.Identity, p.Boundary = e.identity, e.boundary
	return p, nil
}

// PassRole returns nil when the caller may give a role to a service, and else
// the exception to answer with. The call that ctx carries gives the condition keys
// of the request, and the resource that the role is for. The role's trust is not
// looked at: see [Service.RoleTrusts].
func (s *Service) PassRole(ctx context.Context, caller wire.Caller, roleARN, service string) error {
	c := wire.CallFrom(ctx)
	keys := policy.Context{}
	if c.Operation != "" {
		keys = wire.RequestKeys(c)
	}
	account := s.cfg.Account
	if a, err := arn.Parse(roleARN); err == nil && a.Account != "" {
		account = a.Account
	}
	keys.Set("aws:ResourceAccount", account)
	for k, v := range wire.PassRole(roleARN, service, c.Resource).Keys {
		keys.Set(k, v...)
	}
	d, err := s.Authorize(ctx, caller, "iam:PassRole", roleARN, account, keys)
	if err != nil {
		return err
	}
	wire.NoteCheck(ctx, wire.Check{Action: "iam:PassRole", Resource: roleARN, PassedTo: service, Decision: d})
	if d.Allowed {
		return nil
	}
	wire.NoteRefusal(ctx, wire.Refused{Caller: caller, Action: "iam:PassRole", Resource: roleARN, Decision: d, Keys: keys})
	return c.AccessDenied(wire.Denial(caller, "iam:PassRole", roleARN, d))
}

// RoleTrusts reports whether a role exists whose trust policy lets a service
// assume it for source, the ARN of what the service acts for.
func (s *Service) RoleTrusts(ctx context.Context, roleARN, service, source string) (bool, error) {
	keys := policy.Context{}
	if source != "" {
		keys.Set("aws:SourceArn", source)
	}
	s.setSourceAccount(keys, service)
	d, err := s.authorizeTrust(ctx, policy.Principal{Kind: policy.PrincipalService, Service: service}, "sts:AssumeRole", roleARN, keys)
	return d.Allowed, err
}
