package identitypool

import (
	"context"
	"errors"
	"slices"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

func identityOut(i *Identity) api.IdentityDescription {
	out := api.IdentityDescription{IdentityId: wire.String(i.ID), CreationDate: wire.Time(i.Created), LastModifiedDate: wire.Time(i.Modified)}
	for _, l := range i.Logins {
		out.Logins = append(out.Logins, l.Provider)
	}
	return out
}

// DescribeIdentity implements cognitoidentityapi.Service.
func (s *Service) DescribeIdentity(ctx context.Context, in *api.DescribeIdentityInput) (*api.IdentityDescription, error) {
	i, _, err := s.identity(ctx, in.IdentityId)
	out := identityOut(&i)
	return &out, err
}

// ListIdentities implements cognitoidentityapi.Service.
func (s *Service) ListIdentities(ctx context.Context, in *api.ListIdentitiesInput) (*api.ListIdentitiesResponse, error) {
	out := &api.ListIdentitiesResponse{IdentityPoolId: &in.IdentityPoolId, Identities: []api.IdentityDescription{}}
	list := "identities/" + in.IdentityPoolId
	after, err := s.openToken(list, in.NextToken)
	if err != nil {
		return nil, err
	}
	q := store.Query{Index: "by_pool", Values: []string{s.cfg.Account, in.IdentityPoolId}, Limit: int(in.MaxResults) + 1}
	if after != "" {
		q.After = []string{s.cfg.Account, after}
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := s.getPool(tx, in.IdentityPoolId); err != nil {
			return err
		}
		found, err := s.t.identities.List(tx, q)
		if err != nil {
			return err
		}
		if len(found) > int(in.MaxResults) {
			found = found[:in.MaxResults]
			out.NextToken, err = s.sealToken(list, found[len(found)-1].ID)
		}
		for i := range found {
			out.Identities = append(out.Identities, identityOut(&found[i]))
		}
		return err
	})
	return out, err
}

// DeleteIdentities implements cognitoidentityapi.Service. What is not there is
// reported as not processed.
func (s *Service) DeleteIdentities(ctx context.Context, in *api.DeleteIdentitiesInput) (*api.DeleteIdentitiesResponse, error) {
	var out *api.DeleteIdentitiesResponse
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		out = &api.DeleteIdentitiesResponse{UnprocessedIdentityIds: []api.UnprocessedIdentityId{}}
		for _, id := range in.IdentityIdsToDelete {
			err := s.t.identities.Delete(tx, s.cfg.Account, id)
			if errors.Is(err, store.ErrNotFound) {
				out.UnprocessedIdentityIds = append(out.UnprocessedIdentityIds, api.UnprocessedIdentityId{IdentityId: wire.String(id), ErrorCode: "AccessDenied"})
				continue
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// UnlinkIdentity implements cognitoidentityapi.Service. The call is unsigned: the
// logins are its proof.
func (s *Service) UnlinkIdentity(ctx context.Context, in *api.UnlinkIdentityInput) (*api.UnlinkIdentityOutput, error) {
	if len(in.Logins) == 0 {
		return nil, loginsDontMatch()
	}
	i, p, err := s.identity(ctx, in.IdentityId)
	if err != nil {
		return nil, err
	}
	proofs, err := s.verify(ctx, &p, in.Logins)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(proofs, func(pr proof) bool { return slices.Contains(i.Logins, pr.Login) }) {
		return nil, loginsDontMatch()
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		i, err := s.getIdentity(tx, in.IdentityId)
		if err != nil {
			return err
		}
		i.Logins = slices.DeleteFunc(i.Logins, func(l Login) bool {
			return slices.ContainsFunc(in.LoginsToRemove, func(name string) bool { return s.canonicalProvider(name) == l.Provider })
		})
		i.Modified = s.now()
		return s.t.identities.Put(tx, i)
	})
}

// poolOfARN finds the pool that a tagging call means.
func (s *Service) poolOfARN(arn string) (string, error) {
	id := arn[strings.LastIndexByte(arn, '/')+1:]
	if arn != s.poolARN(id) {
		return "", &api.ResourceNotFoundException{Message: "Resource '" + arn + "' not found."}
	}
	return id, nil
}

// TagResource implements cognitoidentityapi.Service.
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceResponse, error) {
	id, err := s.poolOfARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	_, err = s.updatePool(ctx, id, func(p *Pool) error {
		if p.Tags == nil {
			p.Tags = map[string]string{}
		}
		for k, v := range in.Tags {
			p.Tags[k] = v
		}
		if len(p.Tags) > 50 {
			return invalidParameter("A resource cannot have more than 50 tags.")
		}
		return nil
	})
	return nil, err
}

// UntagResource implements cognitoidentityapi.Service.
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceResponse, error) {
	id, err := s.poolOfARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	_, err = s.updatePool(ctx, id, func(p *Pool) error {
		for _, k := range in.TagKeys {
			delete(p.Tags, k)
		}
		return nil
	})
	return nil, err
}

// ListTagsForResource implements cognitoidentityapi.Service.
func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceResponse, error) {
	id, err := s.poolOfARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	p, err := s.pool(ctx, id)
	return &api.ListTagsForResourceResponse{Tags: p.Tags}, err
}

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
