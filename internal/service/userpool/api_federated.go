package userpool

import (
	"context"

	api "moat/internal/wire/cognitoidpapi"
)

const noFederation = "there is no federation yet: no identity provider could have vouched for the user."

// AdminLinkProviderForUser is not built: it needs identity providers.
func (s *Service) AdminLinkProviderForUser(context.Context, *api.AdminLinkProviderForUserRequest) (*api.AdminLinkProviderForUserResponse, error) {
	return nil, notImplemented("AdminLinkProviderForUser", noFederation)
}

// AdminDisableProviderForUser is not built: it needs identity providers.
func (s *Service) AdminDisableProviderForUser(context.Context, *api.AdminDisableProviderForUserRequest) (*api.AdminDisableProviderForUserResponse, error) {
	return nil, notImplemented("AdminDisableProviderForUser", noFederation)
}
