package identitypool

import (
	"context"
	"errors"
	"slices"
	"strings"

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
	hide := wire.Value(in.HideDisabled)
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if _, err := s.getPool(tx, in.IdentityPoolId); err != nil {
			return err
		}
		found, err := s.page(tx, in.IdentityPoolId, after, int(in.MaxResults)+1, func(i *Identity) bool { return !hide || !i.Disabled })
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

// page lists up to n identities of a pool behind one of them, those that count.
func (s *Service) page(tx *store.Tx, pool, after string, n int, counts func(*Identity) bool) ([]Identity, error) {
	var out []Identity
	for {
		q := store.Query{Index: "by_pool", Values: []string{s.cfg.Account, pool}, Limit: n}
		if after != "" {
			q.After = []string{s.cfg.Account, after}
		}
		found, err := s.t.identities.List(tx, q)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if counts(&found[i]) {
				out = append(out, found[i])
			}
		}
		if len(found) < n || len(out) >= n {
			return out[:min(len(out), n)], nil
		}
		after = found[len(found)-1].ID
	}
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
	if i.Disabled {
		return nil, forbidden(i.ID)
	}
	proofs, err := s.verify(ctx, &p, in.Logins)
	if err != nil {
		return nil, err
	}
	return nil, s.db.Update(ctx, func(tx *store.Tx) error {
		i, err := s.getIdentity(tx, in.IdentityId)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(proofs, func(pr proof) bool { return slices.Contains(i.Logins, pr.Login) }) {
			return loginsDontMatch()
		}
		return s.unlink(tx, i, func(l Login) bool {
			// The developer's own users are unlinked by the developer.
			return l.Provider != p.Developer && slices.ContainsFunc(in.LoginsToRemove, func(name string) bool { return s.canonicalProvider(name) == l.Provider })
		})
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
	if err := checkTags(ctx, in.Tags); err != nil {
		return nil, err
	}
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
		if len(p.Tags) > maxTags {
			return tooManyTags()
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
