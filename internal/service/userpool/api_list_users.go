package userpool

import (
	"context"
	"slices"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

var (
	filterShape  = lazyregexp.New(`^\s*("?)([A-Za-z_:]+)("?)\s*(\^?=)\s*"((?:[^"\\]|\\.)*)"\s*$`)
	filterEscape = lazyregexp.New(`\\(.)`)
)

// filter is the condition of ListUsers: name = "value" or name ^= "prefix".
type filter struct {
	name, value string
	prefix      bool
}

// parseFilter reads a filter; the empty text is none.
func parseFilter(text string) (*filter, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	m := filterShape.FindStringSubmatch(text)
	if m == nil || m[1] != m[3] {
		return nil, refuse(invalidParameter, "Error while parsing filter.")
	}
	f := &filter{name: m[2], prefix: m[4] == "^=", value: filterEscape.ReplaceAllString(m[5], "$1")}
	allowed := append(searchable(), "username", "sub", "cognito:user_status", "status")
	if !slices.Contains(allowed, f.name) {
		return nil, refuse(invalidParameter, "Invalid search attribute: "+f.name)
	}
	if f.prefix && f.value == "" {
		return nil, refuse(invalidParameter, "Error while parsing filter.")
	}
	if f.name == "cognito:user_status" { // the one value that is compared without case (ListUsers, Filter)
		f.value = strings.ToUpper(f.value)
	}
	return f, nil
}

// query is the filter as a query of the index it is served from.
func (f *filter) query(poolID string, limit int) store.Query {
	if f.prefix {
		return store.Query{Index: "search", Values: []string{poolID, f.name}, Begins: f.value, Limit: limit}
	}
	return store.Query{Index: "search", Values: []string{poolID, f.name, f.value}, Limit: limit}
}

// position is where a listing with f goes on behind u.
func (f *filter) position(u *User) []string {
	switch {
	case f == nil:
		return []string{u.Pool, u.Key}
	case !f.prefix:
		return []string{u.Pool, u.Key}
	}
	value := u.attributeOf(f.name)
	for _, row := range searchRows(u) {
		if row[1] == f.name {
			value = row[2]
		}
	}
	return []string{value, u.Pool, u.Key}
}

// ListUsers lists a pool's users, all by username or those that a filter selects.
// Each page costs the same, however many users there are.
func (s *Service) ListUsers(ctx context.Context, in *api.ListUsersRequest) (*api.ListUsersResponse, error) {
	f, err := parseFilter(deref(in.Filter))
	if err != nil {
		return nil, exception(err)
	}
	scope := []string{"users", in.UserPoolId, deref(in.Filter)}
	after, err := s.openPage(in.PaginationToken, scope)
	if err != nil {
		return nil, exception(err)
	}
	limit := limitOf(in.Limit)
	q := store.Query{Prefix: []string{in.UserPoolId}, Limit: limit + 1}
	if f != nil {
		q = f.query(in.UserPoolId, limit+1)
	}
	q.After = after
	var list []User
	err = s.view(ctx, func(tx *store.Tx) error {
		p, err := s.poolHere(ctx, tx, in.UserPoolId)
		if err != nil {
			return err
		}
		for _, name := range in.AttributesToGet {
			if _, known := p.attribute(name); !known {
				return refuse(invalidParameter, "Invalid attribute to get: "+name)
			}
		}
		list, err = s.tables.users.List(tx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.ListUsersResponse{Users: []api.UserType{}}
	list, out.PaginationToken, err = nextPage(s, list, limit, scope, f.position)
	for _, u := range list {
		out.Users = append(out.Users, describeUser(&u, in.AttributesToGet))
	}
	return out, err
}
