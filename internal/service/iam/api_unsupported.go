package iam

import (
	"context"

	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// The operations that would change nothing here say why.
const (
	noOrganization = "an installation is one account; there are no organizations"
	noDelegation   = "access is given by policies and roles; requests for delegation are not kept"
	noOutbound     = "no tokens are issued for services outside"
)

func unsupported[T any](operation, why string) (*T, error) {
	return nil, wire.NotImplementedBecause("iam", operation, why)
}

// GetOutboundWebIdentityFederationInfo implements iamapi.Service: it is disabled.
func (s *Service) GetOutboundWebIdentityFederationInfo(context.Context, *iamapi.GetOutboundWebIdentityFederationInfoInput) (*iamapi.GetOutboundWebIdentityFederationInfoResponse, error) {
	return nil, &iamapi.FeatureDisabledException{Message: "Outbound web identity federation is disabled."}
}

// DisableOutboundWebIdentityFederation implements iamapi.Service.
func (s *Service) DisableOutboundWebIdentityFederation(context.Context, *iamapi.DisableOutboundWebIdentityFederationInput) (*iamapi.DisableOutboundWebIdentityFederationOutput, error) {
	return nil, &iamapi.FeatureDisabledException{Message: "Outbound web identity federation is disabled."}
}

// EnableOutboundWebIdentityFederation implements iamapi.Service.
func (s *Service) EnableOutboundWebIdentityFederation(context.Context, *iamapi.EnableOutboundWebIdentityFederationInput) (*iamapi.EnableOutboundWebIdentityFederationResponse, error) {
	return unsupported[iamapi.EnableOutboundWebIdentityFederationResponse]("EnableOutboundWebIdentityFederation", noOutbound)
}

// SetSecurityTokenServicePreferences implements iamapi.Service: session tokens here
// are good everywhere, which AWS calls version 2.
func (s *Service) SetSecurityTokenServicePreferences(_ context.Context, in *iamapi.SetSecurityTokenServicePreferencesRequest) (*iamapi.SetSecurityTokenServicePreferencesOutput, error) {
	if in.GlobalEndpointTokenVersion == "v2Token" {
		return nil, nil
	}
	return unsupported[iamapi.SetSecurityTokenServicePreferencesOutput]("SetSecurityTokenServicePreferences", "session tokens are always valid in every region")
}

// AcceptDelegationRequest implements iamapi.Service.
func (s *Service) AcceptDelegationRequest(context.Context, *iamapi.AcceptDelegationRequestRequest) (*iamapi.AcceptDelegationRequestOutput, error) {
	return unsupported[iamapi.AcceptDelegationRequestOutput]("AcceptDelegationRequest", noDelegation)
}

// AssociateDelegationRequest implements iamapi.Service.
func (s *Service) AssociateDelegationRequest(context.Context, *iamapi.AssociateDelegationRequestRequest) (*iamapi.AssociateDelegationRequestOutput, error) {
	return unsupported[iamapi.AssociateDelegationRequestOutput]("AssociateDelegationRequest", noDelegation)
}

// CreateDelegationRequest implements iamapi.Service.
func (s *Service) CreateDelegationRequest(context.Context, *iamapi.CreateDelegationRequestRequest) (*iamapi.CreateDelegationRequestResponse, error) {
	return unsupported[iamapi.CreateDelegationRequestResponse]("CreateDelegationRequest", noDelegation)
}

// DisableOrganizationsRootCredentialsManagement implements iamapi.Service.
func (s *Service) DisableOrganizationsRootCredentialsManagement(context.Context, *iamapi.DisableOrganizationsRootCredentialsManagementRequest) (*iamapi.DisableOrganizationsRootCredentialsManagementResponse, error) {
	return unsupported[iamapi.DisableOrganizationsRootCredentialsManagementResponse]("DisableOrganizationsRootCredentialsManagement", noOrganization)
}

// DisableOrganizationsRootSessions implements iamapi.Service.
func (s *Service) DisableOrganizationsRootSessions(context.Context, *iamapi.DisableOrganizationsRootSessionsRequest) (*iamapi.DisableOrganizationsRootSessionsResponse, error) {
	return unsupported[iamapi.DisableOrganizationsRootSessionsResponse]("DisableOrganizationsRootSessions", noOrganization)
}

// EnableOrganizationsRootCredentialsManagement implements iamapi.Service.
func (s *Service) EnableOrganizationsRootCredentialsManagement(context.Context, *iamapi.EnableOrganizationsRootCredentialsManagementRequest) (*iamapi.EnableOrganizationsRootCredentialsManagementResponse, error) {
	return unsupported[iamapi.EnableOrganizationsRootCredentialsManagementResponse]("EnableOrganizationsRootCredentialsManagement", noOrganization)
}

// EnableOrganizationsRootSessions implements iamapi.Service.
func (s *Service) EnableOrganizationsRootSessions(context.Context, *iamapi.EnableOrganizationsRootSessionsRequest) (*iamapi.EnableOrganizationsRootSessionsResponse, error) {
	return unsupported[iamapi.EnableOrganizationsRootSessionsResponse]("EnableOrganizationsRootSessions", noOrganization)
}

// GenerateOrganizationsAccessReport implements iamapi.Service.
func (s *Service) GenerateOrganizationsAccessReport(context.Context, *iamapi.GenerateOrganizationsAccessReportRequest) (*iamapi.GenerateOrganizationsAccessReportResponse, error) {
	return unsupported[iamapi.GenerateOrganizationsAccessReportResponse]("GenerateOrganizationsAccessReport", noOrganization)
}

// GetDelegationRequest implements iamapi.Service.
func (s *Service) GetDelegationRequest(context.Context, *iamapi.GetDelegationRequestRequest) (*iamapi.GetDelegationRequestResponse, error) {
	return unsupported[iamapi.GetDelegationRequestResponse]("GetDelegationRequest", noDelegation)
}

// GetHumanReadableSummary implements iamapi.Service.
func (s *Service) GetHumanReadableSummary(context.Context, *iamapi.GetHumanReadableSummaryRequest) (*iamapi.GetHumanReadableSummaryResponse, error) {
	return unsupported[iamapi.GetHumanReadableSummaryResponse]("GetHumanReadableSummary", noDelegation)
}

// GetOrganizationsAccessReport implements iamapi.Service.
func (s *Service) GetOrganizationsAccessReport(context.Context, *iamapi.GetOrganizationsAccessReportRequest) (*iamapi.GetOrganizationsAccessReportResponse, error) {
	return unsupported[iamapi.GetOrganizationsAccessReportResponse]("GetOrganizationsAccessReport", noOrganization)
}

// ListDelegationRequests implements iamapi.Service.
func (s *Service) ListDelegationRequests(context.Context, *iamapi.ListDelegationRequestsRequest) (*iamapi.ListDelegationRequestsResponse, error) {
	return unsupported[iamapi.ListDelegationRequestsResponse]("ListDelegationRequests", noDelegation)
}

// ListOrganizationsFeatures implements iamapi.Service.
func (s *Service) ListOrganizationsFeatures(context.Context, *iamapi.ListOrganizationsFeaturesRequest) (*iamapi.ListOrganizationsFeaturesResponse, error) {
	return unsupported[iamapi.ListOrganizationsFeaturesResponse]("ListOrganizationsFeatures", noOrganization)
}

// RejectDelegationRequest implements iamapi.Service.
func (s *Service) RejectDelegationRequest(context.Context, *iamapi.RejectDelegationRequestRequest) (*iamapi.RejectDelegationRequestOutput, error) {
	return unsupported[iamapi.RejectDelegationRequestOutput]("RejectDelegationRequest", noDelegation)
}

// SendDelegationToken implements iamapi.Service.
func (s *Service) SendDelegationToken(context.Context, *iamapi.SendDelegationTokenRequest) (*iamapi.SendDelegationTokenOutput, error) {
	return unsupported[iamapi.SendDelegationTokenOutput]("SendDelegationToken", noDelegation)
}

// UpdateDelegationRequest implements iamapi.Service.
func (s *Service) UpdateDelegationRequest(context.Context, *iamapi.UpdateDelegationRequestRequest) (*iamapi.UpdateDelegationRequestOutput, error) {
	return unsupported[iamapi.UpdateDelegationRequestOutput]("UpdateDelegationRequest", noDelegation)
}
