package server

import (
	"context"
	"errors"

	"moat/internal/service/iam"
	"moat/internal/service/identitypool"
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

func (a accountProviders) VerifySAML(ctx context.Context, arn, assertion string) (identitypool.Assertion, error) {
	said, err := a.iam.VerifySAML(ctx, arn, assertion)
	if err != nil {
		return identitypool.Assertion{}, err
	}
	return identitypool.Assertion{Subject: said.Subject, Attributes: said.Attributes}, nil
}
