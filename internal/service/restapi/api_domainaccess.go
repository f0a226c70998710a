package restapi

import (
	"context"
	"errors"
	"slices"
	"strings"

	"moat/internal/pure/arn"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// association lets a VPC endpoint lead to a private custom domain name. It belongs to the account of the
// endpoint; the account of the domain may reject it, and it leads nowhere then.
type association struct {
	Account, Region, Domain, Source string // Domain is {name}+{id}
	Association                     apigatewayapi.DomainNameAccessAssociation
	Rejected                        bool `json:",omitempty"`
}

// associationRef is what the ARN of an association says.
type associationRef struct{ account, region, domain, source string }

func (k associationRef) arn() string {
	return "arn:aws:apigateway:" + k.region + ":" + k.account + ":/domainnameaccessassociations/domainname/" + k.domain + "/vpcesource/" + k.source
}

// associationKey reads the ARN of an association in a region.
func associationKey(text, region string) (associationRef, bool) {
	a, err := arn.Parse(text)
	if err != nil || a.Service != "apigateway" || a.Region != region || a.Account == "" {
		return associationRef{}, false
	}
	part := strings.Split(a.Resource, "/")
	if len(part) != 6 || part[0] != "" || part[1] != "domainnameaccessassociations" || part[2] != "domainname" || part[4] != "vpcesource" || part[3] == "" || part[5] == "" {
		return associationRef{}, false
	}
	return associationRef{a.Account, a.Region, part[3], part[5]}, true
}

// owner is the account of the association's domain.
func (a *association) owner() string {
	account, _, _ := privateKey(wire.Value(a.Association.DomainNameArn), a.Region)
	return account
}

// CreateDomainNameAccessAssociation lets a VPC endpoint lead to a private custom domain name, whose policy
// decides on each request. It counts when the call answers.
func (s *Service) CreateDomainNameAccessAssociation(ctx context.Context, in *apigatewayapi.CreateDomainNameAccessAssociationRequest) (*apigatewayapi.DomainNameAccessAssociation, error) {
	p := s.place(ctx)
	owner, key, ok := privateKey(in.DomainNameArn, p.region)
	switch {
	case !ok:
		return nil, badRequest("Invalid domain name ARN specified")
	case in.AccessAssociationSourceType != apigatewayapi.AccessAssociationSourceTypeVPCE:
		return nil, badRequest("Invalid access association source type specified")
	case !slices.Contains(s.cfg.VPCEndpoints, in.AccessAssociationSource):
		return nil, badRequest("Invalid VPC endpoint identifier specified: %s", in.AccessAssociationSource)
	}
	ref := associationRef{p.account, p.region, key, in.AccessAssociationSource}
	rec := association{Account: p.account, Region: p.region, Domain: key, Source: in.AccessAssociationSource, Association: apigatewayapi.DomainNameAccessAssociation{
		DomainNameAccessAssociationArn: wire.String(ref.arn()), DomainNameArn: &in.DomainNameArn, AccessAssociationSource: &in.AccessAssociationSource,
		AccessAssociationSourceType: in.AccessAssociationSourceType, Tags: in.Tags,
	}}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		d, err := s.tables.domains.Get(tx, owner, p.region, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return badRequest("Invalid domain name identifier specified")
		case err != nil:
			return err
		case !s.associable(ctx, &d):
			return wire.CallFrom(ctx).AccessDenied("User: " + wire.CallFrom(ctx).Caller.ARN + " is not authorized to perform: " + actionAssociate + " on resource: " + in.DomainNameArn + " because no resource-based policy allows the " + actionAssociate + " action")
		}
		if err := room(s, tx, s.tables.associations, "domain-name-access-associations", "Domain Name Access Associations", "", p.account, p.region); err != nil {
			return err
		}
		if err := s.alone(tx, &rec, &d); err != nil {
			return err
		}
		err = s.tables.associations.Insert(tx, rec)
		if errors.Is(err, store.ErrExists) {
			return conflict("The domain name access association already exists.")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &rec.Association, s.PublishAll(ctx)
}

// alone refuses a second domain of the same name at a VPC endpoint: requests could not tell them apart.
func (s *Service) alone(tx *store.Tx, rec *association, d *domain) error {
	all, err := s.tables.associations.List(tx, store.Query{})
	if err != nil {
		return err
	}
	for _, other := range all {
		name, _, _ := strings.Cut(other.Domain, "+")
		if other.Source == rec.Source && name == d.Name && wire.Value(other.Association.DomainNameArn) != d.arn() && !other.Rejected {
			return conflict("The VPC endpoint %s is associated with another private custom domain name %s already.", rec.Source, d.Name)
		}
	}
	return nil
}

// GetDomainNameAccessAssociations lists the associations of the account's VPC endpoints, and those of other
// accounts' endpoints with its domains; resourceOwner asks for one or the other.
func (s *Service) GetDomainNameAccessAssociations(ctx context.Context, in *apigatewayapi.GetDomainNameAccessAssociationsRequest) (*apigatewayapi.DomainNameAccessAssociations, error) {
	out, p := &apigatewayapi.DomainNameAccessAssociations{}, s.place(ctx)
	err := s.db.View(ctx, func(tx *store.Tx) error {
		all, err := s.tables.associations.List(tx, store.Query{})
		if err != nil {
			return err
		}
		items := []apigatewayapi.DomainNameAccessAssociation{}
		for _, a := range all {
			own := a.Account == p.account
			others := !own && a.owner() == p.account && !a.Rejected
			if a.Region == p.region && (own && in.ResourceOwner != apigatewayapi.ResourceOwnerOTHER_ACCOUNTS || others && in.ResourceOwner != apigatewayapi.ResourceOwnerSELF) {
				items = append(items, a.Association)
			}
		}
		out.Items, out.Position, err = cut(s.listing(ctx, string(in.ResourceOwner)), items, func(a apigatewayapi.DomainNameAccessAssociation) string {
			return *a.DomainNameAccessAssociationArn
		}, in.Position, in.Limit)
		return err
	})
	return out, err
}

func (s *Service) association(tx *store.Tx, k associationRef) (association, error) {
	a, err := s.tables.associations.Get(tx, k.account, k.region, k.domain, k.source)
	if errors.Is(err, store.ErrNotFound) {
		return a, notFound("Invalid domain name access association identifier specified")
	}
	return a, err
}

// DeleteDomainNameAccessAssociation deletes an association of the account; its VPC endpoint leads to the
// domain no longer when the call answers.
func (s *Service) DeleteDomainNameAccessAssociation(ctx context.Context, in *apigatewayapi.DeleteDomainNameAccessAssociationRequest) (*apigatewayapi.DeleteDomainNameAccessAssociationOutput, error) {
	p := s.place(ctx)
	k, ok := associationKey(in.DomainNameAccessAssociationArn, p.region)
	if !ok {
		return nil, badRequest("Invalid domain name access association ARN specified")
	}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		if k.account != p.account {
			return notFound("Invalid domain name access association identifier specified")
		}
		if _, err := s.association(tx, k); err != nil {
			return err
		}
		return s.tables.associations.Delete(tx, k.account, k.region, k.domain, k.source)
	})
	if err != nil {
		return nil, err
	}
	return &apigatewayapi.DeleteDomainNameAccessAssociationOutput{}, s.PublishAll(ctx)
}

// RejectDomainNameAccessAssociation ends what another account's association does for one of the account's
// domains. It stays that account's to delete; an association of the domain's own account is deleted, not
// rejected (API Gateway Developer Guide, "API provider: Stop sharing a private custom domain name using AWS RAM").
func (s *Service) RejectDomainNameAccessAssociation(ctx context.Context, in *apigatewayapi.RejectDomainNameAccessAssociationRequest) (*apigatewayapi.RejectDomainNameAccessAssociationOutput, error) {
	p := s.place(ctx)
	k, ok := associationKey(in.DomainNameAccessAssociationArn, p.region)
	owner, key, named := privateKey(in.DomainNameArn, p.region)
	switch {
	case !ok:
		return nil, badRequest("Invalid domain name access association ARN specified")
	case !named:
		return nil, badRequest("Invalid domain name ARN specified")
	}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		if owner != p.account {
			return notFound("Invalid domain name identifier specified")
		}
		if _, err := s.domainAt(tx, p, key); err != nil {
			return err
		}
		a, err := s.association(tx, k)
		switch {
		case err != nil:
			return err
		case wire.Value(a.Association.DomainNameArn) != in.DomainNameArn:
			return notFound("Invalid domain name access association identifier specified")
		case a.Account == p.account:
			return badRequest("Cannot reject a domain name access association in your own account. Delete the domain name access association instead.")
		}
		a.Rejected = true
		return s.tables.associations.Put(tx, a)
	})
	if err != nil {
		return nil, err
	}
	return &apigatewayapi.RejectDomainNameAccessAssociationOutput{}, s.PublishAll(ctx)
}
