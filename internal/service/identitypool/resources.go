package identitypool

import (
	"context"
	"maps"
	"slices"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// resources names the pool that a call acts on. Operations that the reference lists without
// a resource are decided on "*", some of them with the pool of an identity as a condition
// key (Service Authorization Reference).
func (s *Service) resources(_ *wire.Call, _ string, in any) []wire.Need {
	keys := policy.Context{}
	switch in := in.(type) {
	case *api.CreateIdentityPoolInput:
		wire.RequestTags(keys, in.IdentityPoolTags)
	case *api.DescribeIdentityInput:
		return s.eachPool([]string{in.IdentityId})
	case *api.DeleteIdentitiesInput:
		return s.eachPool(in.IdentityIdsToDelete)
	case *api.TagResourceInput:
		wire.RequestTags(keys, in.Tags)
		return s.onARN(keys, in.ResourceArn)
	case *api.UntagResourceInput:
		wire.TagKeys(keys, in.TagKeys...)
		return s.onARN(keys, in.ResourceArn)
	case *api.ListTagsForResourceInput:
		return s.onARN(keys, in.ResourceArn)
	case *api.IdentityPool:
		return s.onPool(keys, in.IdentityPoolId)
	case *api.DescribeIdentityPoolInput:
		return s.onPool(keys, in.IdentityPoolId)
	case *api.DeleteIdentityPoolInput:
		return s.onPool(keys, in.IdentityPoolId)
	case *api.GetIdentityPoolRolesInput:
		return s.onPool(keys, in.IdentityPoolId)
	case *api.ListIdentitiesInput:
		return s.onPool(keys, in.IdentityPoolId)
	case *api.GetPrincipalTagAttributeMapInput:
		return s.onPool(keys, in.IdentityPoolId)
	case *api.GetOpenIdTokenForDeveloperIdentityInput:
		return s.onPool(keys, in.IdentityPoolId)
	case *api.LookupDeveloperIdentityInput:
		return s.onPool(keys, in.IdentityPoolId)
	case *api.MergeDeveloperIdentitiesInput:
		return s.onPool(keys, in.IdentityPoolId)
	case *api.UnlinkDeveloperIdentityInput:
		return s.onPool(keys, in.IdentityPoolId)
	}
	return wire.Needs(keys, "*")
}

// onPool is the need to act on a pool; what does not exist has no tags.
func (s *Service) onPool(keys policy.Context, id string) []wire.Need {
	if p, err := s.pool(context.Background(), id); err == nil {
		wire.ResourceTags(keys, p.Tags)
	}
	return wire.Needs(keys, s.poolARN(id))
}

// onARN is onPool for a call that names an ARN, whosever it is.
func (s *Service) onARN(keys policy.Context, arn string) []wire.Need {
	if id := arn[strings.LastIndexByte(arn, '/')+1:]; s.poolARN(id) == arn {
		return s.onPool(keys, id)
	}
	return wire.Needs(keys, arn)
}

// eachPool is the need to act on identities: one for each pool that they are in, so that
// the right to one pool does not carry over to another one's. An identity that does not
// exist is of none.
func (s *Service) eachPool(ids []string) []wire.Need {
	pools := map[string]bool{}
	for _, id := range ids {
		if i, _, err := s.identity(context.Background(), id); err == nil {
			pools[s.poolARN(i.Pool)] = true
		}
	}
	if len(pools) == 0 {
		return wire.Needs(policy.Context{}, "*")
	}
	var needs []wire.Need
	for _, arn := range slices.Sorted(maps.Keys(pools)) {
		needs = append(needs, wire.Need{Resource: "*", Keys: policy.Context{"cognito-identity:identitypoolarn": {arn}}})
	}
	return needs
}
