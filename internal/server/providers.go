package server

import (
	"context"
	"errors"

	"moat/internal/service/iam"
	"moat/internal/service/identitypool"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// accountProviders tells identity pools of the account's identity providers.
type accountProviders struct{ iam *iam.Service }

func (a accountProviders) OIDCProvider(ctx context.Context, arn string) (*identitypool.OIDCProvider, error) {
	p, err := a.iam.GetOpenIDConnectProvider(ctx, &iamapi.GetOpenIDConnectProviderRequest{OpenIDConnectProviderArn: arn})
	var missing *iamapi.NoSuchEntityException
	if errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &identitypool.OIDCProvider{Clients: p.ClientIDList, Thumbprints: p.ThumbprintList}, nil
}

func (a accountProviders) VerifySAML(context.Context, string, string) (identitypool.Assertion, error) {
	return identitypool.Assertion{}, wire.NotImplementedBecause("cognito-identity", "GetCredentialsForIdentity", "SAML assertions are not verified yet")
}
