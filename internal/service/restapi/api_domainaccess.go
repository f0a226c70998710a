package restapi

import (
	"context"

	"moat/internal/wire/apigatewayapi"
)

// privateDomains is why domain name access associations are refused: they let VPC endpoints reach
// private custom domain names, and there are neither.
const privateDomains = "private custom domain names are reached by VPC endpoints, which Moat does not have"

// CreateDomainNameAccessAssociation is refused.
func (s *Service) CreateDomainNameAccessAssociation(context.Context, *apigatewayapi.CreateDomainNameAccessAssociationRequest) (*apigatewayapi.DomainNameAccessAssociation, error) {
	return nil, notBuilt("CreateDomainNameAccessAssociation", privateDomains)
}

// GetDomainNameAccessAssociations is refused.
func (s *Service) GetDomainNameAccessAssociations(context.Context, *apigatewayapi.GetDomainNameAccessAssociationsRequest) (*apigatewayapi.DomainNameAccessAssociations, error) {
	return nil, notBuilt("GetDomainNameAccessAssociations", privateDomains)
}

// DeleteDomainNameAccessAssociation is refused.
func (s *Service) DeleteDomainNameAccessAssociation(context.Context, *apigatewayapi.DeleteDomainNameAccessAssociationRequest) (*apigatewayapi.DeleteDomainNameAccessAssociationOutput, error) {
	return nil, notBuilt("DeleteDomainNameAccessAssociation", privateDomains)
}

// RejectDomainNameAccessAssociation is refused.
func (s *Service) RejectDomainNameAccessAssociation(context.Context, *apigatewayapi.RejectDomainNameAccessAssociationRequest) (*apigatewayapi.RejectDomainNameAccessAssociationOutput, error) {
	return nil, notBuilt("RejectDomainNameAccessAssociation", privateDomains)
}
