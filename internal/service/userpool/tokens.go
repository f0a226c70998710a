package userpool

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

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

// issue makes the tokens of a session.
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
	changes.id.apply(&idClaims, c.ID)
	changes.access.apply(&accessClaims, c.ID)
	changes.applyGroups(&accessClaims, &idClaims)
	access, id, err := signBoth(keys.signer, accessClaims, idClaims)
	if err != nil {
		return nil, err
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

// signBoth signs an access and an ID token: side by side where a signature takes a millisecond. For one of
// some hundred microseconds another core is not worth waking.
func signBoth(k *token.SigningKey, accessClaims, idClaims claims) (access, id string, err error) {
	if !k.Slow() {
		if access, err = sign(k, accessClaims); err == nil {
			id, err = sign(k, idClaims)
		}
		return access, id, err
	}
	var idErr error
	var side sync.WaitGroup
	side.Go(func() { id, idErr = sign(k, idClaims) })
	access, err = sign(k, accessClaims)
	side.Wait()
	return access, id, errors.Join(err, idErr)
}

// baseClaims are those that both tokens share.
func (s *Service) baseClaims(p *Pool, c *Client, u *User, groups []Group, x *Session) (claims, error) {
	event, err := s.uuid()
	if err != nil {
		return nil, err
	}
	out := append(make(claims, 0, 8),
		claimed{"sub", u.Sub}, claimed{"iss", s.issuer(p.ID)}, claimed{"event_id", event},
		claimed{"auth_time", x.CreatedAt.Unix()}, claimed{"iat", s.time().Unix()},
	)
	if c.Settings.EnableTokenRevocation {
		out = append(out, claimed{"origin_jti", x.ID})
	}
	if len(groups) > 0 {
		names := make([]string, len(groups))
		for i, g := range groups {
			names[i] = g.Name
		}
		out = append(out, claimed{"cognito:groups", names})
	}
	return out, nil
}

func (s *Service) accessClaims(base claims, c *Client, u *User, x *Session) (claims, error) {
	jti, err := s.uuid()
	if err != nil {
		return nil, err
	}
	out := append(append(make(claims, 0, len(base)+8), base...),
		claimed{"jti", jti}, claimed{"token_use", "access"}, claimed{"client_id", c.ID}, claimed{"username", u.Name}, claimed{"scope", x.Scope},
		claimed{"exp", s.time().Add(c.accessValidity()).Unix()},
	)
	if x.Device != "" {
		out = append(out, claimed{"device_key", x.Device})
	}
	return out, nil
}

func (s *Service) idClaims(base claims, p *Pool, c *Client, u *User, groups []Group) (claims, error) {
	out := make(claims, 0, len(u.Attributes)+len(base)+8)
	for name, value := range u.Attributes {
		if c.mayRead(name) {
			out = append(out, claimed{name, claimValue(p, name, value)})
		}
	}
	out = append(out, base...) // what we say outranks what a user may have written
	if c.Settings.EnableTokenRevocation {
		jti, err := s.uuid()
		if err != nil {
			return nil, err
		}
		out = append(out, claimed{"jti", jti})
	}
	out = append(out,
		claimed{"token_use", "id"}, claimed{"aud", c.ID}, claimed{"cognito:username", u.Name}, claimed{"exp", s.time().Add(c.idValidity()).Unix()},
	)
	if roles, preferred := groupRoles(groups); len(roles) > 0 {
		out = append(out, claimed{"cognito:roles", roles})
		if preferred != "" {
			out = append(out, claimed{"cognito:preferred_role", preferred})
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
