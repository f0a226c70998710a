package userpool

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"moat/internal/pure/jsonstring"
	"moat/internal/pure/token"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// issuance is what tokens are made of, and why.
type issuance struct {
	pool    *Pool
	client  *Client
	user    *User
	groups  []Group
	session *Session
	refresh bool // a refresh token, too
	why     string
	on      occasion
}

// issue signs the tokens of a session, ID and access token side by side: the two
// signatures are most of what a sign-in costs.
func (s *Service) issue(ctx context.Context, is *issuance) (*api.AuthenticationResultType, error) {
	p, c, u, x := is.pool, is.client, is.user, is.session
	keys, err := s.keys.of(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	changes, err := s.preTokenGeneration(ctx, p, u, is.groups, x.Scope, is.why, is.on)
	if err != nil {
		return nil, err
	}
	base, err := s.baseClaims(p, c, u, is.groups, x)
	if err != nil {
		return nil, err
	}
	accessClaims, err := s.accessClaims(base, c, u, x)
	if err != nil {
		return nil, err
	}
	idClaims, err := s.idClaims(base, p, c, u, is.groups)
	if err != nil {
		return nil, err
	}
	changes.id.apply(idClaims, c.ID)
	changes.access.apply(accessClaims, c.ID)
	changes.applyGroups(accessClaims, idClaims)
	var access, id string
	var accessErr, idErr error
	var side sync.WaitGroup
	side.Go(func() { id, idErr = sign(keys.signer, idClaims) })
	access, accessErr = sign(keys.signer, accessClaims)
	side.Wait()
	if accessErr != nil || idErr != nil {
		return nil, firstError(accessErr, idErr)
	}
	out := &api.AuthenticationResultType{
		AccessToken: &access, IdToken: &id, TokenType: wire.String("Bearer"),
		ExpiresIn: wire.Int32(int32(c.accessValidity() / time.Second)),
	}
	if is.refresh {
		text, err := s.refreshToken(x)
		if err != nil {
			return nil, err
		}
		out.RefreshToken = &text
	}
	return out, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func sign(k *token.SigningKey, claims map[string]any) (string, error) {
	raw, err := appendClaims(make([]byte, 0, 1024), claims)
	if err != nil {
		return "", err
	}
	return token.Sign(k, raw)
}

// appendClaims writes claims as encoding/json does, in half the time.
func appendClaims(b []byte, claims map[string]any) ([]byte, error) {
	names := make([]string, 0, len(claims))
	for name := range claims {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsonstring.AppendHTML(b, name), ':')
		switch v := claims[name].(type) {
		case string:
			b = jsonstring.AppendHTML(b, v)
		case int64:
			b = strconv.AppendInt(b, v, 10)
		case bool:
			b = strconv.AppendBool(b, v)
		default:
			raw, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			b = append(b, raw...)
		}
	}
	return append(b, '}'), nil
}

// baseClaims are those that both tokens share.
func (s *Service) baseClaims(p *Pool, c *Client, u *User, groups []Group, x *Session) (map[string]any, error) {
	event, err := s.uuid()
	if err != nil {
		return nil, err
	}
	out := map[string]any{
		"sub": u.Sub, "iss": s.issuer(p.ID), "event_id": event,
		"auth_time": x.CreatedAt.Unix(), "iat": s.time().Unix(),
	}
	if c.Settings.EnableTokenRevocation {
		out["origin_jti"] = x.ID
	}
	if len(groups) > 0 {
		names := make([]string, len(groups))
		for i, g := range groups {
			names[i] = g.Name
		}
		out["cognito:groups"] = names
	}
	return out, nil
}

func (s *Service) accessClaims(base map[string]any, c *Client, u *User, x *Session) (map[string]any, error) {
	out := clone(base)
	jti, err := s.uuid()
	if err != nil {
		return nil, err
	}
	out["jti"] = jti
	out["token_use"] = "access"
	out["client_id"] = c.ID
	out["username"] = u.Name
	out["scope"] = x.Scope
	if x.Device != "" {
		out["device_key"] = x.Device
	}
	out["exp"] = s.time().Add(c.accessValidity()).Unix()
	return out, nil
}

func (s *Service) idClaims(base map[string]any, p *Pool, c *Client, u *User, groups []Group) (map[string]any, error) {
	out := map[string]any{}
	for name, value := range u.Attributes {
		if c.mayRead(name) {
			out[name] = claimValue(p, name, value)
		}
	}
	for name, v := range base { // what we say outranks what a user may have written
		out[name] = v
	}
	if c.Settings.EnableTokenRevocation {
		jti, err := s.uuid()
		if err != nil {
			return nil, err
		}
		out["jti"] = jti
	}
	out["token_use"] = "id"
	out["aud"] = c.ID
	out["cognito:username"] = u.Name
	out["exp"] = s.time().Add(c.idValidity()).Unix()
	if roles, preferred := groupRoles(groups); len(roles) > 0 {
		out["cognito:roles"] = roles
		if preferred != "" {
			out["cognito:preferred_role"] = preferred
		}
	}
	return out, nil
}

// groupRoles lists the roles of groups that are sorted by precedence. The first
// group's is preferred, unless another of the same precedence has a different one.
func groupRoles(groups []Group) (roles []string, preferred string) {
	var best *Group
	for i, g := range groups {
		if g.RoleARN == nil || *g.RoleARN == "" {
			continue
		}
		if !contains(roles, *g.RoleARN) {
			roles = append(roles, *g.RoleARN)
		}
		switch {
		case best == nil:
			best, preferred = &groups[i], *g.RoleARN
		case samePrecedence(best, &g) && *best.RoleARN != *g.RoleARN:
			preferred = ""
		}
	}
	return roles, preferred
}

func samePrecedence(a, b *Group) bool {
	if a.Precedence == nil || b.Precedence == nil {
		return a.Precedence == b.Precedence
	}
	return *a.Precedence == *b.Precedence
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}

// claimValue gives an attribute its type in a token: the two verdicts are
// booleans, an address is an object (OpenID Connect Core section 5.1), custom
// attributes are always text.
func claimValue(p *Pool, name, value string) any {
	switch name {
	case "email_verified", "phone_number_verified":
		return value == "true"
	case "address":
		return map[string]string{"formatted": value}
	case "updated_at":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	}
	return value
}

func clone(m map[string]any) map[string]any {
	out := make(map[string]any, len(m)+8)
	for k, v := range m {
		out[k] = v
	}
	return out
}
