package restapi

import (
	"context"
	"maps"
	"slices"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

const (
	defaultAuthorizerTTL = 300
	maxAuthorizerTTL     = 3600
)

// CreateAuthorizer adds an authorizer to an API.
func (s *Service) CreateAuthorizer(ctx context.Context, in *apigatewayapi.CreateAuthorizerRequest) (*apigatewayapi.Authorizer, error) {
	id, err := s.id(shortID)
	if err != nil {
		return nil, err
	}
	a := apigatewayapi.Authorizer{
		Id: &id, Name: &in.Name, Type: in.Type, AuthType: in.AuthType, ProviderARNs: in.ProviderARNs, AuthorizerUri: in.AuthorizerUri,
		AuthorizerCredentials: in.AuthorizerCredentials, AuthorizerResultTtlInSeconds: in.AuthorizerResultTtlInSeconds,
		IdentitySource: in.IdentitySource, IdentityValidationExpression: in.IdentityValidationExpression,
	}
	authorizerDefaults(&a)
	err = s.edit(ctx, in.RestApiId, func(d *definition) error {
		if err := d.checkAuthorizer(&a); err != nil {
			return err
		}
		if len(d.Authorizers) >= s.quota("authorizers") {
			return exceeded("Authorizers", ofAPI)
		}
		d.Authorizers[id] = a
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &a, nil
}

func authorizerDefaults(a *apigatewayapi.Authorizer) {
	if a.AuthType == nil {
		kind := "custom"
		if a.Type == apigatewayapi.AuthorizerTypeCOGNITO_USER_POOLS {
			kind = "cognito_user_pools"
		}
		a.AuthType = &kind
	}
}

// authorizerTTL is how long an authorizer's answer counts, in seconds. The default is not shown (recorded).
func authorizerTTL(a apigatewayapi.Authorizer) int32 {
	if a.Type != apigatewayapi.AuthorizerTypeCOGNITO_USER_POOLS && a.AuthorizerResultTtlInSeconds == nil {
		return defaultAuthorizerTTL
	}
	return wire.Value(a.AuthorizerResultTtlInSeconds)
}

func (d *definition) checkAuthorizer(a *apigatewayapi.Authorizer) error {
	for _, other := range d.Authorizers {
		if *other.Id != *a.Id && wire.Value(other.Name) == wire.Value(a.Name) {
			return badRequest("Authorizer name must be unique. Authorizer %s already exists in this RestApi.", *a.Name)
		}
	}
	if ttl := wire.Value(a.AuthorizerResultTtlInSeconds); ttl < 0 || ttl > maxAuthorizerTTL {
		return badRequest("Authorizer result TTL must be between 0 and %d seconds", maxAuthorizerTTL)
	}
	switch a.Type {
	case apigatewayapi.AuthorizerTypeCOGNITO_USER_POOLS:
		if len(a.ProviderARNs) == 0 {
			return badRequest("At least one Cognito user pool provider ARN must be specified")
		}
		if wire.Value(a.IdentitySource) == "" {
			return badRequest("Identity source is required")
		}
	case apigatewayapi.AuthorizerTypeTOKEN, apigatewayapi.AuthorizerTypeREQUEST:
		if wire.Value(a.AuthorizerUri) == "" {
			return badRequest("Authorizer URI is required")
		}
	default:
		return badRequest("Invalid authorizer type specified")
	}
	return nil
}

func (d *definition) authorizer(id string) (apigatewayapi.Authorizer, error) {
	a, ok := d.Authorizers[id]
	if !ok {
		return a, notFound("Invalid Authorizer identifier specified")
	}
	return a, nil
}

// GetAuthorizer returns an authorizer.
func (s *Service) GetAuthorizer(ctx context.Context, in *apigatewayapi.GetAuthorizerRequest) (*apigatewayapi.Authorizer, error) {
	var out apigatewayapi.Authorizer
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		out, err = d.authorizer(in.AuthorizerId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// GetAuthorizers lists the authorizers of an API.
func (s *Service) GetAuthorizers(ctx context.Context, in *apigatewayapi.GetAuthorizersRequest) (*apigatewayapi.Authorizers, error) {
	out := &apigatewayapi.Authorizers{}
	err := s.view(ctx, in.RestApiId, func(d *definition) (err error) {
		out.Items, out.Position, err = cut(s.listing(ctx, in.RestApiId), byKey(d.Authorizers), func(a apigatewayapi.Authorizer) string { return *a.Id }, in.Position, in.Limit)
		return err
	})
	return out, err
}

// byKey returns a map's values in the order of their keys.
func byKey[T any](m map[string]T) []T {
	out := make([]T, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

// UpdateAuthorizer patches an authorizer.
func (s *Service) UpdateAuthorizer(ctx context.Context, in *apigatewayapi.UpdateAuthorizerRequest) (*apigatewayapi.Authorizer, error) {
	var out apigatewayapi.Authorizer
	err := s.edit(ctx, in.RestApiId, func(d *definition) (err error) {
		if out, err = d.authorizer(in.AuthorizerId); err != nil {
			return err
		}
		for _, op := range in.PatchOperations {
			if err := patchAuthorizer(&out, op); err != nil {
				return err
			}
		}
		d.Authorizers[in.AuthorizerId] = out
		return d.checkAuthorizer(&out)
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// patchAuthorizer changes an authorizer. Its identity source is a list with commas, to which a patch adds and from
// which it removes one.
func patchAuthorizer(a *apigatewayapi.Authorizer, op apigatewayapi.PatchOperation) error {
	if wire.Value(op.Path) == "/identitySource" && (op.Op == add || op.Op == remove && wire.Value(op.Value) != "") {
		list := struct {
			Sources []string `aws:"identitySource"`
		}{}
		for part := range strings.SplitSeq(wire.Value(a.IdentitySource), ",") {
			if part = strings.TrimSpace(part); part != "" {
				list.Sources = append(list.Sources, part)
			}
		}
		if err := authorizerRules().apply(&list, []apigatewayapi.PatchOperation{op}); err != nil {
			return err
		}
		a.IdentitySource = wire.String(strings.Join(list.Sources, ","))
		return nil
	}
	return authorizerRules().apply(a, []apigatewayapi.PatchOperation{op})
}

// DeleteAuthorizer removes an authorizer that no method uses.
func (s *Service) DeleteAuthorizer(ctx context.Context, in *apigatewayapi.DeleteAuthorizerRequest) (*apigatewayapi.DeleteAuthorizerOutput, error) {
	return &apigatewayapi.DeleteAuthorizerOutput{}, s.edit(ctx, in.RestApiId, func(d *definition) error {
		if _, err := d.authorizer(in.AuthorizerId); err != nil {
			return err
		}
		for _, r := range d.sorted() {
			for _, verb := range slices.Sorted(maps.Keys(r.ResourceMethods)) {
				if m := r.ResourceMethods[verb]; wire.Value(m.AuthorizerId) == in.AuthorizerId {
					return conflict("Cannot delete authorizer '%s', is referenced in method: %s/%s", in.AuthorizerId, wire.Value(r.Path), verb)
				}
			}
		}
		delete(d.Authorizers, in.AuthorizerId)
		return nil
	})
}
