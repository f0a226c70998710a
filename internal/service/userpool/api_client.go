package userpool

import (
	"context"
	"slices"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// describeClient is what Create, Describe and Update answer. The oldest secret is shown.
func (s *Service) describeClient(c *Client) (*api.UserPoolClientType, error) {
	set := &c.Settings
	out := &api.UserPoolClientType{
		UserPoolId: &c.Pool, ClientId: &c.ID, ClientName: &c.Name, CreationDate: &c.CreatedAt, LastModifiedDate: &c.ModifiedAt,
		AccessTokenValidity: set.AccessTokenValidity, IdTokenValidity: set.IDTokenValidity, RefreshTokenValidity: &set.RefreshTokenValidity,
		TokenValidityUnits: set.Units, AuthSessionValidity: &set.AuthSessionValidity,
		AllowedOAuthFlows: convert[api.OAuthFlowType](set.AllowedFlows), AllowedOAuthFlowsUserPoolClient: &set.AllowedFlowsEnabled,
		AllowedOAuthScopes: set.AllowedScopes, CallbackURLs: set.CallbackURLs, LogoutURLs: set.LogoutURLs, DefaultRedirectURI: set.DefaultRedirectURI,
		SupportedIdentityProviders: set.IdentityProviders, ReadAttributes: set.ReadAttributes, WriteAttributes: set.WriteAttributes,
		ExplicitAuthFlows: convert[api.ExplicitAuthFlowsType](set.AuthFlows), EnableTokenRevocation: &set.EnableTokenRevocation,
		PreventUserExistenceErrors: api.PreventUserExistenceErrorTypes(set.PreventUserExistence), RefreshTokenRotation: set.Rotation,
		EnablePropagateAdditionalUserContextData: wire.Bool(wire.Value(set.PropagateUserContext)),
	}
	if len(c.Secrets) > 0 {
		secret, err := s.db.Unseal(sealClient, c.Secrets[0].Sealed)
		if err != nil {
			return nil, err
		}
		out.ClientSecret = wire.String(string(secret))
	}
	return out, nil
}

// newClientSecret seals a given secret, or a fresh one of 51 characters.
func (s *Service) newClientSecret(given *string) (ClientSecret, string, error) {
	var cs ClientSecret
	text := deref(given)
	var err error
	if text == "" {
		if text, err = s.text(51, lowerAlphabet); err != nil {
			return cs, "", err
		}
	}
	id, err := s.text(26, lowerAlphabet)
	if err != nil {
		return cs, "", err
	}
	sealed, err := s.db.Seal(sealClient, []byte(text))
	return ClientSecret{ID: id, Sealed: sealed, CreatedAt: s.time()}, text, err
}

// CreateUserPoolClient makes an app client.
func (s *Service) CreateUserPoolClient(ctx context.Context, in *api.CreateUserPoolClientRequest) (*api.CreateUserPoolClientResponse, error) {
	id, err := s.text(26, lowerAlphabet)
	if err != nil {
		return nil, err
	}
	if wire.Value(in.GenerateSecret) && in.ClientSecret != nil {
		return nil, exception(refuse(invalidParameter, "GenerateSecret and ClientSecret cannot both be given."))
	}
	c := Client{Pool: in.UserPoolId, ID: id, Name: in.ClientName, CreatedAt: s.time()}
	c.ModifiedAt = c.CreatedAt
	if wire.Value(in.GenerateSecret) || in.ClientSecret != nil {
		cs, _, err := s.newClientSecret(in.ClientSecret)
		if err != nil {
			return nil, err
		}
		c.Secrets = []ClientSecret{cs}
	}
	same := &api.UpdateUserPoolClientRequest{
		AccessTokenValidity: in.AccessTokenValidity, AllowedOAuthFlows: in.AllowedOAuthFlows,
		AllowedOAuthFlowsUserPoolClient: in.AllowedOAuthFlowsUserPoolClient, AllowedOAuthScopes: in.AllowedOAuthScopes,
		AnalyticsConfiguration: in.AnalyticsConfiguration, AuthSessionValidity: in.AuthSessionValidity, CallbackURLs: in.CallbackURLs,
		DefaultRedirectURI: in.DefaultRedirectURI, EnablePropagateAdditionalUserContextData: in.EnablePropagateAdditionalUserContextData,
		EnableTokenRevocation: in.EnableTokenRevocation, ExplicitAuthFlows: in.ExplicitAuthFlows, IdTokenValidity: in.IdTokenValidity,
		LogoutURLs: in.LogoutURLs, PreventUserExistenceErrors: in.PreventUserExistenceErrors, ReadAttributes: in.ReadAttributes,
		RefreshTokenRotation: in.RefreshTokenRotation, RefreshTokenValidity: in.RefreshTokenValidity,
		SupportedIdentityProviders: in.SupportedIdentityProviders, TokenValidityUnits: in.TokenValidityUnits, WriteAttributes: in.WriteAttributes,
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		p, err := s.poolHere(ctx, tx, in.UserPoolId)
		if err != nil {
			return err
		}
		if c.Settings, err = s.clientSettings(tx, "CreateUserPoolClient", same, &p, len(c.Secrets) > 0); err != nil {
			return err
		}
		if err := room(tx, s.tables.clients, store.Query{Index: "pool", Values: []string{p.ID}}, maxClients, "app clients of a user pool"); err != nil {
			return err
		}
		return s.tables.clients.Insert(tx, c)
	})
	if err != nil {
		return nil, err
	}
	out, err := s.describeClient(&c)
	return &api.CreateUserPoolClientResponse{UserPoolClient: out}, err
}

func (s *Service) clientSettings(tx *store.Tx, operation string, in *api.UpdateUserPoolClientRequest, p *Pool, confidential bool) (ClientSettings, error) {
	scopes, err := s.customScopes(tx, p.ID)
	if err != nil {
		return ClientSettings{}, err
	}
	return newClientSettings(operation, in, p, confidential, scopes)
}

// DescribeUserPoolClient answers with a client and its secret.
func (s *Service) DescribeUserPoolClient(ctx context.Context, in *api.DescribeUserPoolClientRequest) (*api.DescribeUserPoolClientResponse, error) {
	var c Client
	err := s.view(ctx, func(tx *store.Tx) (err error) {
		c, err = s.clientHere(ctx, tx, in.UserPoolId, in.ClientId)
		return err
	})
	if err != nil {
		return nil, err
	}
	out, err := s.describeClient(&c)
	return &api.DescribeUserPoolClientResponse{UserPoolClient: out}, err
}

func (s *Service) clientHere(ctx context.Context, tx *store.Tx, poolID, clientID string) (Client, error) {
	if _, err := s.poolHere(ctx, tx, poolID); err != nil {
		return Client{}, err
	}
	return s.clientOf(tx, poolID, clientID)
}

// UpdateUserPoolClient replaces a client's settings: what the request leaves out
// returns to its default, as on AWS. Id and secret stay.
func (s *Service) UpdateUserPoolClient(ctx context.Context, in *api.UpdateUserPoolClientRequest) (*api.UpdateUserPoolClientResponse, error) {
	var c Client
	err := s.update(ctx, func(tx *store.Tx) error {
		p, err := s.poolHere(ctx, tx, in.UserPoolId)
		if err != nil {
			return err
		}
		if c, err = s.clientOf(tx, p.ID, in.ClientId); err != nil {
			return err
		}
		if c.Settings, err = s.clientSettings(tx, "UpdateUserPoolClient", in, &p, len(c.Secrets) > 0); err != nil {
			return err
		}
		if in.ClientName != nil {
			c.Name = *in.ClientName
		}
		c.ModifiedAt = s.time()
		return s.tables.clients.Put(tx, c)
	})
	if err != nil {
		return nil, err
	}
	out, err := s.describeClient(&c)
	return &api.UpdateUserPoolClientResponse{UserPoolClient: out}, err
}

// DeleteUserPoolClient removes a client; tokens issued to it stop refreshing at once.
func (s *Service) DeleteUserPoolClient(ctx context.Context, in *api.DeleteUserPoolClientRequest) (*api.DeleteUserPoolClientOutput, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		c, err := s.clientHere(ctx, tx, in.UserPoolId, in.ClientId)
		if err != nil {
			return err
		}
		return s.tables.clients.Delete(tx, c.ID)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteUserPoolClientOutput{}, nil
}

// ListUserPoolClients lists a pool's clients by id.
func (s *Service) ListUserPoolClients(ctx context.Context, in *api.ListUserPoolClientsRequest) (*api.ListUserPoolClientsResponse, error) {
	scope := []string{"clients", in.UserPoolId}
	after, err := s.openPage(in.NextToken, scope)
	if err != nil {
		return nil, exception(err)
	}
	limit := limitOf(in.MaxResults)
	var list []Client
	err = s.view(ctx, func(tx *store.Tx) error {
		if _, err := s.poolHere(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		list, err = s.tables.clients.List(tx, store.Query{Index: "pool", Values: []string{in.UserPoolId}, After: after, Limit: limit + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListUserPoolClientsResponse{UserPoolClients: []api.UserPoolClientDescription{}}
	list, out.NextToken, err = nextPage(s, list, limit, scope, func(c *Client) []string { return []string{c.ID} })
	for _, c := range list {
		out.UserPoolClients = append(out.UserPoolClients, api.UserPoolClientDescription{ClientId: &c.ID, ClientName: &c.Name, UserPoolId: &c.Pool})
	}
	return out, err
}

// AddUserPoolClientSecret gives a confidential client a second secret, so that the
// first can be replaced without an interruption.
func (s *Service) AddUserPoolClientSecret(ctx context.Context, in *api.AddUserPoolClientSecretRequest) (*api.AddUserPoolClientSecretResponse, error) {
	cs, text, err := s.newClientSecret(in.ClientSecret)
	if err != nil {
		return nil, err
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		c, err := s.clientHere(ctx, tx, in.UserPoolId, in.ClientId)
		if err != nil {
			return err
		}
		if len(c.Secrets) == 0 {
			return refuse(invalidParameter, "The client was created without a secret and cannot be given one.")
		}
		if len(c.Secrets) >= 2 {
			return refuse(limitExceeded, "A client can have at most 2 secrets.")
		}
		c.Secrets = append(c.Secrets, cs)
		return s.tables.clients.Put(tx, c)
	})
	if err != nil {
		return nil, err
	}
	return &api.AddUserPoolClientSecretResponse{ClientSecretDescriptor: &api.ClientSecretDescriptorType{
		ClientSecretId: &cs.ID, ClientSecretValue: &text, ClientSecretCreateDate: &cs.CreatedAt,
	}}, nil
}

// DeleteUserPoolClientSecret removes one of two secrets.
func (s *Service) DeleteUserPoolClientSecret(ctx context.Context, in *api.DeleteUserPoolClientSecretRequest) (*api.DeleteUserPoolClientSecretResponse, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		c, err := s.clientHere(ctx, tx, in.UserPoolId, in.ClientId)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(c.Secrets, func(cs ClientSecret) bool { return cs.ID == in.ClientSecretId })
		if i < 0 {
			return refuse(notFound, "The client has no secret with this id.")
		}
		if len(c.Secrets) == 1 {
			return refuse(invalidParameter, "The last secret of a client cannot be deleted.")
		}
		c.Secrets = slices.Delete(c.Secrets, i, i+1)
		return s.tables.clients.Put(tx, c)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteUserPoolClientSecretResponse{}, nil
}

// ListUserPoolClientSecrets lists the ids of a client's secrets, not the secrets.
func (s *Service) ListUserPoolClientSecrets(ctx context.Context, in *api.ListUserPoolClientSecretsRequest) (*api.ListUserPoolClientSecretsResponse, error) {
	out := &api.ListUserPoolClientSecretsResponse{ClientSecrets: []api.ClientSecretDescriptorType{}}
	err := s.view(ctx, func(tx *store.Tx) error {
		c, err := s.clientHere(ctx, tx, in.UserPoolId, in.ClientId)
		for _, cs := range c.Secrets {
			out.ClientSecrets = append(out.ClientSecrets, api.ClientSecretDescriptorType{ClientSecretId: &cs.ID, ClientSecretCreateDate: &cs.CreatedAt})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
