package iam

import (
	"strconv"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// stsResources names what an STS operation acts on, and the keys that policies
// may ask for (Service Authorization Reference, AWS Security Token Service).
func (s *Service) stsResources(c *wire.Call, _ string, in any) []wire.Need {
	switch r := in.(type) {
	case *stsapi.AssumeRoleRequest:
		given := attributes{tags: tagsIn(r.Tags), transitive: r.TransitiveTagKeys, source: wire.Value(r.SourceIdentity)}
		carried, _, err := given.carried(c.Caller.Context)
		if err != nil { // the operation itself says what is wrong
			carried = nil
		}
		return wire.Needs(assumeKeys(r, carried), r.RoleArn)
	case *stsapi.GetFederationTokenRequest:
		given, keys := attributes{tags: tagsIn(r.Tags)}, policy.Context{}
		given.setKeys(keys)
		return wire.Needs(keys, s.federatedARN(r.Name))
	case *stsapi.AssumeRootRequest:
		keys := policy.Context{}
		if r.TaskPolicyArn != nil {
			keys.Set("sts:TaskPolicyArn", wire.Value(r.TaskPolicyArn.Arn))
		}
		return wire.Needs(keys, "arn:aws:iam::"+r.TargetPrincipal+":root")
	case *stsapi.GetWebIdentityTokenRequest:
		given, keys := attributes{tags: tagsIn(r.Tags)}, policy.Context{}
		given.setKeys(keys)
		keys.Set("sts:IdentityTokenAudience", r.Audience...)
		keys.Set("sts:SigningAlgorithm", r.SigningAlgorithm)
		if r.DurationSeconds != nil {
			keys.Set("sts:DurationSeconds", strconv.Itoa(int(*r.DurationSeconds)))
		}
		return wire.Needs(keys, "*")
	}
	return nil
}

// assumeKeys are the keys that AssumeRole brings. A source identity that the
// caller's session passes on counts as asked for.
func assumeKeys(r *stsapi.AssumeRoleRequest, carried policy.Context) policy.Context {
	keys := policy.Context{}
	given := attributes{tags: tagsIn(r.Tags), transitive: r.TransitiveTagKeys, source: wire.Value(r.SourceIdentity)}
	if source := carried.Get("aws:SourceIdentity"); len(source) > 0 {
		given.source = source[0]
	}
	given.setKeys(keys)
	keys.Set("sts:RoleSessionName", r.RoleSessionName)
	if r.ExternalId != nil {
		keys.Set("sts:ExternalId", *r.ExternalId)
	}
	if r.SerialNumber != nil && r.TokenCode != nil { // verified before anything is given out: AssumeRole
		keys.Set(mfaKey, "true")
	}
	return keys
}
