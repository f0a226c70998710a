package userpool

import (
	"context"
	"errors"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

// customScopes lists the scopes that a pool's resource servers define.
func (s *Service) customScopes(tx *store.Tx, poolID string) ([]string, error) {
	list, err := s.tables.servers.LookList(tx, store.Query{Prefix: []string{poolID}})
	var out []string
	for _, r := range list {
		for _, sc := range r.Scopes {
			out = append(out, r.Identifier+"/"+sc.ScopeName)
		}
	}
	return out, err
}

func describeServer(r *ResourceServer) *api.ResourceServerType {
	return &api.ResourceServerType{Identifier: &r.Identifier, Name: &r.Name, UserPoolId: &r.Pool, Scopes: r.Scopes}
}

func noServer(identifier string) string {
	return "Resource server " + identifier + " does not exist."
}

func checkScopes(scopes []api.ResourceServerScopeType) error {
	seen := map[string]bool{}
	for _, sc := range scopes {
		if seen[sc.ScopeName] {
			return refuse(invalidParameter, "Duplicate scopes are not allowed: "+sc.ScopeName)
		}
		seen[sc.ScopeName] = true
	}
	return nil
}

// CreateResourceServer defines scopes under an identifier.
func (s *Service) CreateResourceServer(ctx context.Context, in *api.CreateResourceServerRequest) (*api.CreateResourceServerResponse, error) {
	r := ResourceServer{Pool: in.UserPoolId, Identifier: in.Identifier, Name: in.Name, Scopes: in.Scopes}
	if err := checkScopes(in.Scopes); err != nil {
		return nil, exception(err)
	}
	err := s.update(ctx, func(tx *store.Tx) error {
		if _, err := s.poolHere(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		if err := room(tx, s.tables.servers, store.Query{Prefix: []string{r.Pool}}, maxServers, "resource servers of a user pool"); err != nil {
			return err
		}
		err := s.tables.servers.Insert(tx, r)
		if errors.Is(err, store.ErrExists) {
			return refuse(invalidParameter, in.Identifier+" already exists in user pool "+in.UserPoolId+".")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.CreateResourceServerResponse{ResourceServer: describeServer(&r)}, nil
}

func (s *Service) server(ctx context.Context, tx *store.Tx, poolID, identifier string) (ResourceServer, error) {
	if _, err := s.poolHere(ctx, tx, poolID); err != nil {
		return ResourceServer{}, err
	}
	r, err := s.tables.servers.Get(tx, poolID, identifier)
	return r, missing(err, notFound, noServer(identifier))
}

// DescribeResourceServer answers with a resource server.
func (s *Service) DescribeResourceServer(ctx context.Context, in *api.DescribeResourceServerRequest) (*api.DescribeResourceServerResponse, error) {
	var r ResourceServer
	err := s.view(ctx, func(tx *store.Tx) (err error) {
		r, err = s.server(ctx, tx, in.UserPoolId, in.Identifier)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeResourceServerResponse{ResourceServer: describeServer(&r)}, nil
}

// UpdateResourceServer replaces name and scopes. Clients keep the names of scopes
// that went, but get no tokens for them.
func (s *Service) UpdateResourceServer(ctx context.Context, in *api.UpdateResourceServerRequest) (*api.UpdateResourceServerResponse, error) {
	if err := checkScopes(in.Scopes); err != nil {
		return nil, exception(err)
	}
	var r ResourceServer
	err := s.update(ctx, func(tx *store.Tx) (err error) {
		if r, err = s.server(ctx, tx, in.UserPoolId, in.Identifier); err != nil {
			return err
		}
		r.Name, r.Scopes = in.Name, in.Scopes
		return s.tables.servers.Put(tx, r)
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateResourceServerResponse{ResourceServer: describeServer(&r)}, nil
}

// DeleteResourceServer removes a resource server with its scopes.
func (s *Service) DeleteResourceServer(ctx context.Context, in *api.DeleteResourceServerRequest) (*api.DeleteResourceServerOutput, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		r, err := s.server(ctx, tx, in.UserPoolId, in.Identifier)
		if err != nil {
			return err
		}
		return s.tables.servers.Delete(tx, r.Pool, r.Identifier)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteResourceServerOutput{}, nil
}

// ListResourceServers lists a pool's resource servers by identifier.
func (s *Service) ListResourceServers(ctx context.Context, in *api.ListResourceServersRequest) (*api.ListResourceServersResponse, error) {
	scope := []string{"servers", in.UserPoolId}
	after, err := s.openPage(in.NextToken, scope)
	if err != nil {
		return nil, exception(err)
	}
	limit := min(limitOf(in.MaxResults), 50)
	var list []ResourceServer
	err = s.view(ctx, func(tx *store.Tx) error {
		if _, err := s.poolHere(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		list, err = s.tables.servers.List(tx, store.Query{Prefix: []string{in.UserPoolId}, After: after, Limit: limit + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListResourceServersResponse{ResourceServers: []api.ResourceServerType{}}
	list, out.NextToken, err = nextPage(s, list, limit, scope, func(r *ResourceServer) []string { return []string{r.Pool, r.Identifier} })
	for _, r := range list {
		out.ResourceServers = append(out.ResourceServers, *describeServer(&r))
	}
	return out, err
}
