package iam

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/token"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// sts answers the STS API. It is the Service with other methods, because both
// APIs have a type of each name.
type sts struct {
	stsapi.Unimplemented
	*Service
}

// The bounds of sessions.
const (
	chainedSession  = time.Hour
	userSession     = 12 * time.Hour
	maxUserSession  = 36 * time.Hour
	maxPackedPolicy = 2048
)

// userSessionPolicy is what sessions of GetSessionToken may not do: change IAM,
// and call STS but for two operations (IAM user guide, comparing STS
// operations; there the limit falls with MFA, which does not exist here).
const userSessionPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":["iam:*","sts:*"],"Resource":"*"},{"Effect":"Allow","Action":["sts:AssumeRole","sts:GetCallerIdentity"],"Resource":"*"}]}`

// GetCallerIdentity implements stsapi.Service.
func (s *sts) GetCallerIdentity(ctx context.Context, _ *stsapi.GetCallerIdentityRequest) (*stsapi.GetCallerIdentityResponse, error) {
	c := wire.CallFrom(ctx).Caller
	return &stsapi.GetCallerIdentityResponse{Account: wire.String(c.Account), Arn: wire.String(c.ARN), UserId: wire.String(c.ID)}, nil
}

// GetAccessKeyInfo implements stsapi.Service.
func (s *sts) GetAccessKeyInfo(ctx context.Context, in *stsapi.GetAccessKeyInfoRequest) (*stsapi.GetAccessKeyInfoResponse, error) {
	root := s.root.Load()
	if !strings.HasPrefix(in.AccessKeyId, "ASIA") && (root == nil || root.id != in.AccessKeyId) {
		k, err := s.accessKey(ctx, in.AccessKeyId)
		if err != nil {
			return nil, err
		}
		if k == nil {
			return nil, validation("Invalid Access Key: %s", in.AccessKeyId)
		}
	}
	return &stsapi.GetAccessKeyInfoResponse{Account: wire.String(s.cfg.Account)}, nil
}

// GetSessionToken implements stsapi.Service.
func (s *sts) GetSessionToken(ctx context.Context, in *stsapi.GetSessionTokenRequest) (*stsapi.GetSessionTokenResponse, error) {
	caller := wire.CallFrom(ctx).Caller
	if in.SerialNumber != nil || in.TokenCode != nil {
		return nil, wire.NotImplementedBecause("sts", "GetSessionToken", "MFA devices of users do not exist")
	}
	v := session{Kind: caller.Kind, EntityID: caller.ID, MadeByKey: caller.AccessKeyID, Policies: []string{userSessionPolicy}}
	limit := maxUserSession
	switch {
	case caller.Kind != policy.PrincipalUser && caller.Kind != policy.PrincipalRoot, caller.Context.Get("aws:TokenIssueTime") != nil:
		return nil, wire.NewError(403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	case caller.Kind == policy.PrincipalRoot:
		limit = time.Hour
	default:
		v.Name = caller.ARN[strings.LastIndexByte(caller.ARN, '/')+1:]
	}
	d := userSession
	if in.DurationSeconds != nil {
		d = time.Duration(*in.DurationSeconds) * time.Second
	}
	c, err := s.newSession(v, min(d, limit))
	if err != nil {
		return nil, err
	}
	return &stsapi.GetSessionTokenResponse{Credentials: credentialsOut(c)}, nil
}

func credentialsOut(c Credentials) *stsapi.Credentials {
	return &stsapi.Credentials{AccessKeyId: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expiration: c.Expiration.UTC()}
}

// AssumeRole implements stsapi.Service. That the caller may assume the role, by
// its trust policy too, was decided before it runs.
func (s *sts) AssumeRole(ctx context.Context, in *stsapi.AssumeRoleRequest) (*stsapi.AssumeRoleResponse, error) {
	caller := wire.CallFrom(ctx).Caller
	if in.SerialNumber != nil || in.TokenCode != nil || len(in.ProvidedContexts) > 0 {
		return nil, wire.NotImplementedBecause("sts", "AssumeRole", "MFA devices and provided contexts do not exist")
	}
	role, err := s.roleByARN(ctx, in.RoleArn)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, wire.NewError(403, "AccessDenied", refusal(caller, "sts:AssumeRole", in.RoleArn, policy.Decision{Kind: policy.KindResource}))
	}
	carried, err := s.sessionTags(ctx, in, caller)
	if err != nil {
		return nil, err
	}
	chained := caller.Kind == policy.PrincipalAssumedRole
	d, err := sessionDuration(in.DurationSeconds, role, chained)
	if err != nil {
		return nil, err
	}
	docs, err := s.givenPolicies(ctx, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	c, err := s.roleSession(role, in.RoleSessionName, carried, docs, d)
	if err != nil {
		return nil, err
	}
	return &stsapi.AssumeRoleResponse{
		AssumedRoleUser: &stsapi.AssumedRoleUser{Arn: c.ARN, AssumedRoleId: c.ID},
		Credentials:     credentialsOut(c), PackedPolicySize: packedSize(docs), SourceIdentity: in.SourceIdentity,
	}, nil
}

// packedSize is how much of the room for session policies is taken, in percent.
func packedSize(docs []string) *int32 {
	if len(docs) == 0 {
		return nil
	}
	n := 0
	for _, d := range docs {
		n += policySize(d)
	}
	return wire.Int32(int32(min(100, 1+n*100/(10*maxPackedPolicy))))
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

// sessionTags checks tags and source identity and returns the keys that the
// session carries: its own, and what the caller's session passes on.
func (s *sts) sessionTags(ctx context.Context, in *stsapi.AssumeRoleRequest, caller wire.Caller) (policy.Context, error) {
	carried := policy.Context{}
	seen := map[string]bool{}
	for _, t := range in.Tags {
		if seen[lower(t.Key)] {
			return nil, invalidParameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[lower(t.Key)] = true
		carried.Set("aws:PrincipalTag/"+t.Key, t.Value)
	}
	for _, k := range in.TransitiveTagKeys {
		if !seen[lower(k)] {
			return nil, invalidParameter("The specified transitive tag key must be included in the requested tags.")
		}
	}
	for _, key := range caller.Context.Get(transitiveKey) {
		if seen[lower(key)] {
			return nil, invalidParameter("One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		}
		carried.Set("aws:PrincipalTag/"+key, caller.Context.Get("aws:PrincipalTag/"+key)...)
	}
	carried.Set(transitiveKey, append(slices.Clone(caller.Context.Get(transitiveKey)), in.TransitiveTagKeys...)...)
	need := []string{}
	if len(in.Tags) > 0 {
		need = append(need, "sts:TagSession")
	}
	source := caller.Context.Get("aws:SourceIdentity")
	if in.SourceIdentity != nil {
		if len(source) > 0 && source[0] != *in.SourceIdentity {
			return nil, wire.NewError(403, "AccessDenied", "The source identity of a session cannot be changed.")
		}
		source = []string{*in.SourceIdentity}
		need = append(need, "sts:SetSourceIdentity")
	}
	carried.Set("aws:SourceIdentity", source...)
	for _, action := range need {
		d, err := s.authorizeTrust(ctx, caller.Principal, action, in.RoleArn, assumeKeys(in))
		if err != nil {
			return nil, err
		}
		if !d.Allowed {
			return nil, wire.NewError(403, "AccessDenied", refusal(caller, action, in.RoleArn, d))
		}
	}
	return carried, nil
}

// transitiveKey carries the names of the tags that go on to the next role.
const transitiveKey = "\x00transitive"

func invalidParameter(message string) error {
	return wire.NewError(400, "InvalidParameterValue", message)
}

// givenPolicies reads the session policies of a call: at most one inline and
// ten managed ones.
func (s *sts) givenPolicies(ctx context.Context, inline *string, managed []stsapi.PolicyDescriptorType) ([]string, error) {
	var docs []string
	if inline != nil {
		d, err := policy.Parse("session policy", []byte(*inline))
		if err == nil {
			err = d.Check(policy.IdentityPolicy)
		}
		if err != nil {
			return nil, &stsapi.MalformedPolicyDocumentException{Message: err.Error()}
		}
		if policySize(*inline) > maxPackedPolicy {
			return nil, &stsapi.PackedPolicyTooLargeException{Message: "Serialized token too large for session"}
		}
		docs = append(docs, *inline)
	}
	if len(managed) > 10 {
		return nil, validation("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to 10")
	}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		for _, m := range managed {
			p, err := s.getPolicy(tx, wire.Value(m.Arn))
			if errors.Is(err, store.ErrNotFound) {
				return validation("Invalid session policy: %s", wire.Value(m.Arn))
			}
			if err != nil {
				return err
			}
			docs = append(docs, p.version(p.Default).Document)
		}
		return nil
	})
	return docs, err
}

// identityPools is the provider whose name stands in trust policies instead of
// an ARN; its tokens come from the identity pools of this installation.
const identityPools = "cognito-identity.amazonaws.com"

var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// AssumeRoleWithWebIdentity implements stsapi.Service. The call carries no
// signature; the token is its proof.
func (s *sts) AssumeRoleWithWebIdentity(ctx context.Context, in *stsapi.AssumeRoleWithWebIdentityRequest) (*stsapi.AssumeRoleWithWebIdentityResponse, error) {
	if in.ProviderId != nil {
		return nil, wire.NotImplementedBecause("sts", "AssumeRoleWithWebIdentity", "OAuth 2.0 access tokens of named providers are not accepted")
	}
	who, t, err := s.webIdentity(ctx, in.WebIdentityToken)
	if err != nil {
		return nil, err
	}
	docs, err := s.givenPolicies(ctx, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	role, err := s.roleByARN(ctx, in.RoleArn)
	if err != nil {
		return nil, err
	}
	denied := wire.NewError(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	if role == nil {
		return nil, denied
	}
	d, err := sessionDuration(in.DurationSeconds, role, false)
	if err != nil {
		return nil, err
	}
	c, err := s.RoleCredentials(ctx, in.RoleArn, in.RoleSessionName, RoleOptions{Duration: d, SessionPolicies: docs, Federated: who.principal, Context: who.keys})
	if errors.Is(err, ErrNotTrusted) {
		return nil, denied
	}
	if err != nil {
		return nil, err
	}
	return &stsapi.AssumeRoleWithWebIdentityResponse{
		AssumedRoleUser: &stsapi.AssumedRoleUser{Arn: c.ARN, AssumedRoleId: c.ID}, Credentials: credentialsOut(c), PackedPolicySize: packedSize(docs),
		Audience: wire.String(who.audience), Provider: wire.String(who.principal), SubjectFromWebIdentityToken: wire.String(t.Claims.String("sub")),
	}, nil
}

// webPrincipal is a verified web identity.
type webPrincipal struct {
	principal string // as trust policies name it
	audience  string
	keys      policy.Context
}

func invalidToken(format string, args ...any) error {
	return &stsapi.InvalidIdentityTokenException{Message: fmt.Sprintf(format, args...)}
}

// webIdentity verifies a token: its provider is one of the account, its
// signature is the issuer's, its time is now, its audience is known.
func (s *sts) webIdentity(ctx context.Context, raw string) (webPrincipal, *token.Token, error) {
	var who webPrincipal
	t, err := token.Parse(raw)
	if err != nil {
		return who, nil, invalidToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	issuer := t.Issuer()
	name := issuer
	if _, rest, ok := strings.Cut(issuer, "://"); ok {
		name = strings.TrimSuffix(rest, "/")
	}
	provider, err := s.webProvider(ctx, name)
	if err != nil {
		return who, nil, err
	}
	noKeys := invalidToken("Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	if s.cfg.Issuers == nil {
		return who, nil, noKeys
	}
	keys, err := s.cfg.Issuers.Keys(ctx, issuer)
	if err != nil || keys == nil {
		return who, nil, noKeys
	}
	if err := t.VerifyWith(keys); err != nil {
		return who, nil, invalidToken("The signature of the token does not match.")
	}
	switch err := t.CheckTime(s.cfg.Now()); {
	case errors.Is(err, token.ErrExpired):
		return who, nil, &stsapi.ExpiredTokenException{Message: "Token expired: current date/time must be before the expiration date/time"}
	case err != nil:
		return who, nil, invalidToken("The token is not valid yet.")
	}
	audiences := t.Claims.Strings("aud")
	if len(audiences) != 1 || audiences[0] == "" {
		return who, nil, invalidToken("Missing a required claim: aud")
	}
	if t.Claims.String("sub") == "" {
		return who, nil, invalidToken("Missing a required claim: sub")
	}
	if provider != nil && !slices.Contains(provider.ClientIDs, audiences[0]) {
		return who, nil, invalidToken("Incorrect token audience")
	}
	who.audience, who.principal = audiences[0], identityPools
	if provider != nil {
		who.principal = s.providerARN(provider)
	}
	who.keys = policy.Context{}
	who.keys.Set(name+":aud", who.audience)
	who.keys.Set(name+":sub", t.Claims.String("sub"))
	who.keys.Set(name+":amr", t.Claims.Strings("amr")...)
	return who, t, nil
}

// webProvider finds the provider of an issuer; nil stands for the identity pools.
func (s *sts) webProvider(ctx context.Context, name string) (*Provider, error) {
	if name == identityPools {
		return nil, nil
	}
	var p Provider
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.t.providers.Get(tx, s.cfg.Account, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalidToken("No OpenIDConnect provider found in your account for %s", "https://"+name)
	}
	return &p, err
}
