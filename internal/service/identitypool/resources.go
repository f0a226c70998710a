package identitypool

import (
	"context"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// resources names the pool that a call acts on (Service Authorization Reference).
func (s *Service) resources(_ *wire.Call, _ string, in any) ([]string, policy.Context) {
	keys := policy.Context{}
	pool := ""
	switch in := in.(type) {
	case *api.CreateIdentityPoolInput:
		setTags(keys, in.IdentityPoolTags)
		return []string{"*"}, keys
	case *api.IdentityPool:
		pool = in.IdentityPoolId
		setTags(keys, in.IdentityPoolTags)
	case *api.TagResourceInput:
		setTags(keys, in.Tags)
		pool = in.ResourceArn[strings.LastIndexByte(in.ResourceArn, '/')+1:]
	case *api.UntagResourceInput:
		keys.Set("aws:TagKeys", in.TagKeys...)
		pool = in.ResourceArn[strings.LastIndexByte(in.ResourceArn, '/')+1:]
	case *api.ListTagsForResourceInput:
		pool = in.ResourceArn[strings.LastIndexByte(in.ResourceArn, '/')+1:]
	case *api.DescribeIdentityInput:
		i, _, err := s.identity(context.Background(), in.IdentityId)
		if err != nil {
			return []string{"*"}, keys
		}
		pool = i.Pool
	case *api.DescribeIdentityPoolInput:
		pool = in.IdentityPoolId
	case *api.DeleteIdentityPoolInput:
		pool = in.IdentityPoolId
	case *api.SetIdentityPoolRolesInput:
		pool = in.IdentityPoolId
	case *api.GetIdentityPoolRolesInput:
		pool = in.IdentityPoolId
	case *api.ListIdentitiesInput:
		pool = in.IdentityPoolId
	case *api.SetPrincipalTagAttributeMapInput:
		pool = in.IdentityPoolId
	case *api.GetPrincipalTagAttributeMapInput:
		pool = in.IdentityPoolId
	case *api.GetOpenIdTokenForDeveloperIdentityInput:
		pool = in.IdentityPoolId
	case *api.LookupDeveloperIdentityInput:
		pool = in.IdentityPoolId
	case *api.MergeDeveloperIdentitiesInput:
		pool = in.IdentityPoolId
	case *api.UnlinkDeveloperIdentityInput:
		pool = in.IdentityPoolId
	default:
		return []string{"*"}, keys
	}
	if p, err := s.pool(context.Background(), pool); err == nil {
		for k, v := range p.Tags {
			keys.Set("aws:ResourceTag/"+k, v)
		}
	}
	return []string{s.poolARN(pool)}, keys
}

func setTags(keys policy.Context, tags map[string]string) {
	var names []string
	for k, v := range tags {
		keys.Set("aws:RequestTag/"+k, v)
		names = append(names, k)
	}
	keys.Set("aws:TagKeys", names...)
}
