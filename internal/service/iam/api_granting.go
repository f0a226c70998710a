package iam

import (
	"context"
	"slices"
	"strings"

	"moat/internal/store"
	"moat/internal/wire/iamapi"
)

// ListPoliciesGrantingServiceAccess implements iamapi.Service.
func (s *Service) ListPoliciesGrantingServiceAccess(ctx context.Context, in *iamapi.ListPoliciesGrantingServiceAccessRequest) (*iamapi.ListPoliciesGrantingServiceAccessResponse, error) {
	var g grantee
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		g, err = s.grantee(tx, in.Arn)
		return err
	})
	if err != nil {
		return nil, err
	}
	docs, err := compileAll(g.sources)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(slices.Values(in.ServiceNamespaces))
	names, marker, truncated, err := page(s, "policies granting/"+g.arn, slices.Compact(names), itself, in.Marker, nil)
	if err != nil {
		return nil, invalidInput("Invalid Marker.")
	}
	out := &iamapi.ListPoliciesGrantingServiceAccessResponse{PoliciesGrantingServiceAccess: []iamapi.ListPoliciesGrantingServiceAccessEntry{}, Marker: marker, IsTruncated: truncated}
	for _, name := range names {
		entry := iamapi.ListPoliciesGrantingServiceAccessEntry{ServiceNamespace: &name, Policies: []iamapi.PolicyGrantingServiceAccess{}}
		for i, d := range docs {
			if d.GrantsService(name) {
				entry.Policies = append(entry.Policies, g.sources[i].granting())
			}
		}
		out.PoliciesGrantingServiceAccess = append(out.PoliciesGrantingServiceAccess, entry)
	}
	return out, nil
}

// granting names a policy: an inline one by whose it is, a managed one by its ARN.
func (src *source) granting() iamapi.PolicyGrantingServiceAccess {
	if src.arn != "" {
		return iamapi.PolicyGrantingServiceAccess{PolicyName: src.name, PolicyType: "MANAGED", PolicyArn: &src.arn}
	}
	return iamapi.PolicyGrantingServiceAccess{PolicyName: src.name, PolicyType: "INLINE", EntityName: &src.owner, EntityType: iamapi.PolicyOwnerEntityType(strings.ToUpper(src.kind))}
}
