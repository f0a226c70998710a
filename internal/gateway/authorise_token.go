package gateway

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"moat/internal/pure/token"
)

// authorizer is a compiled [Authorizer].
type authorizer struct {
	id, name, kind string
	pools          []pool
	header         string   // identity source of TOKEN and COGNITO_USER_POOLS
	sources        []source // identity sources of TOKEN and REQUEST
	validation     *regexp.Regexp
	ttl            time.Duration
	function       *function
	where          string
}

// pool is a user pool of an authorizer. Its issuer is found when it is first needed,
// and never changes after that.
type pool struct {
	arn    string
	issuer *atomic.Pointer[string]
}

// identity is what is remembered of a verified token: what authorising asks for.
type identity struct {
	issuer, use string
	key         *token.Key
	scopes      []string
	audience    []string
	who         string
}

func (s *Snapshot) compileAuthorizer(a Authorizer) (*authorizer, error) {
	out := &authorizer{id: a.ID, name: a.Name, kind: a.Type, ttl: a.TTL, where: "authorizer " + a.Name}
	if a.Validation != "" {
		re, err := regexp.Compile("^(?:" + a.Validation + ")$")
		if err != nil {
			return nil, &DefinitionError{"Invalid identity validation expression for " + out.where}
		}
		out.validation = re
	}
	switch a.Type {
	case "COGNITO_USER_POOLS":
		if len(a.ProviderARNs) == 0 {
			return nil, &DefinitionError{"Invalid Cognito ProviderARN for " + out.where}
		}
		for _, arn := range a.ProviderARNs {
			out.pools = append(out.pools, pool{arn, new(atomic.Pointer[string])})
		}
		return out, out.headerSource(a.IdentitySource)
	case "TOKEN", "REQUEST":
		return out, s.compileFunctionAuthorizer(out, a)
	}
	return nil, &DefinitionError{"Invalid authorizer type specified for " + out.where + ": " + a.Type}
}

// headerSource reads "method.request.header.X", by default Authorization.
func (a *authorizer) headerSource(source string) error {
	if source == "" {
		source = "method.request.header.Authorization"
	}
	name, ok := strings.CutPrefix(source, "method.request.header.")
	if !ok || !validName(name) {
		return &DefinitionError{"Invalid identity source for " + a.where + ": " + source}
	}
	a.header = name
	return nil
}

// authoriseToken asks for a token of one of the authorizer's user pools: an ID token
// where the route names no scope, else an access token with one of its scopes.
func authoriseToken(x *Exchange) error {
	a := x.route.authorizer
	raw, n := x.one(a.header)
	switch {
	case n == 0:
		return refuse(Unauthorized, "no token was sent in "+a.header)
	case n > 1:
		return refuse(Unauthorized, "more than one token was sent in "+a.header)
	}
	if len(raw) > 7 && strings.EqualFold(raw[:7], "Bearer ") {
		raw = strings.TrimLeft(raw[7:], " ")
	}
	if len(raw) > token.MaxLength {
		return refuse(Unauthorized, "the token is too long")
	}
	x.bearer, x.bearerSum = raw, x.g.tokens.sum(raw)
	id, err := x.verified(a)
	if err != nil {
		return err
	}
	if a.validation != nil && !slices.ContainsFunc(id.audience, a.validation.MatchString) {
		return refuse(Unauthorized, "the token's audience does not match the authorizer's validation expression")
	}
	if err := suits(id, x.route.scopes); err != nil {
		return err
	}
	x.claims, x.who, x.grounds = id, id.who, "a valid ID token"
	if id.use == "access" {
		x.grounds = "a valid access token with the scope"
	}
	return nil
}

// suits checks the token's use. AWS documents 401 for every token that an authorizer
// of this kind turns down, and names a missing scope among its causes.
func suits(id *identity, scopes []string) error {
	if len(scopes) == 0 {
		if id.use != "id" {
			return refuse(Unauthorized, "the route wants an ID token, the token is of use "+id.use)
		}
		return nil
	}
	if id.use != "access" {
		return refuse(Unauthorized, "the route wants an access token, the token is of use "+id.use)
	}
	for _, s := range scopes {
		if slices.Contains(id.scopes, s) {
			return nil
		}
	}
	return refuse(Unauthorized, "the token has none of the scopes "+strings.Join(scopes, " "))
}

// verified returns who the bearer is, remembered or freshly verified. A remembered
// token counts only while its key is still published by its issuer.
func (x *Exchange) verified(a *authorizer) (*identity, error) {
	if id, ok := x.g.tokens.get(&x.bearerSum, x.start); ok {
		if _, ok := a.trusts(x.g.cfg.Pools, id.issuer); !ok {
			return nil, refuse(Unauthorized, "the token was issued by "+id.issuer+", which is not a pool of the authorizer")
		}
		if x.published(id) {
			return id, nil
		}
		x.g.tokens.forget(&x.bearerSum)
	}
	s := x.g.scanners.Get().(*token.Scanner)
	defer x.g.scanners.Put(s)
	if err := s.Read(x.bearer); err != nil {
		return nil, refuse(Unauthorized, "the token cannot be read: "+err.Error())
	}
	named := s.String("iss")
	issuer, ok := a.trusts(x.g.cfg.Pools, named)
	if !ok {
		return nil, refuse(Unauthorized, "the token was issued by "+named+", which is not a pool of the authorizer")
	}
	return x.verify(s, issuer)
}

// verify checks signature and times, and remembers the token. The signature comes first,
// so that only a token that was once good is called expired.
func (x *Exchange) verify(s *token.Scanner, issuer string) (*identity, error) {
	keys, err := x.keysOf(issuer)
	if err != nil {
		return nil, refuse(Unauthorized, "the keys of "+issuer+" cannot be had: "+err.Error())
	}
	key, err := s.Verify(keys)
	if err != nil {
		return nil, refuse(Unauthorized, err.Error())
	}
	expires, ok := s.Time("exp")
	if err := s.CheckTime(x.start); err != nil {
		if ok && errors.Is(err, token.ErrExpired) {
			return nil, &Refusal{Kind: Unauthorized, Message: "The incoming token has expired", Grounds: "the token expired at " + expires.Format(time.RFC3339)}
		}
		return nil, refuse(Unauthorized, err.Error())
	}
	return x.g.tokens.put(&x.bearerSum, newIdentity(s, issuer, key), expires, x.start), nil
}

func (x *Exchange) keysOf(issuer string) (token.KeySet, error) {
	if x.g.cfg.Issuers == nil {
		return nil, errors.New("no issuers are known")
	}
	keys, err := x.g.cfg.Issuers.Keys(x.Context, issuer)
	if err == nil && keys == nil {
		err = errors.New("it has none")
	}
	return keys, err
}

// published reports whether the key that verified a token is still its issuer's.
func (x *Exchange) published(id *identity) bool {
	keys, err := x.keysOf(id.issuer)
	if err != nil {
		return false
	}
	key, ok := keys.Key(id.key.ID)
	return ok && key.Equal(id.key)
}

// trusts reports whether an issuer is one of the authorizer's pools, whose name it returns.
func (a *authorizer) trusts(pools Pools, issuer string) (string, bool) {
	if pools == nil || issuer == "" {
		return "", false
	}
	for i := range a.pools {
		known := a.pools[i].issuer.Load()
		if known == nil {
			name, ok := pools.Issuer(a.pools[i].arn)
			if !ok || name == "" {
				continue
			}
			known = &name
			a.pools[i].issuer.Store(known)
		}
		if *known == issuer {
			return *known, true
		}
	}
	return "", false
}

// newIdentity takes from a token what is remembered of it.
func newIdentity(s *token.Scanner, issuer string, key *token.Key) identity {
	id := identity{issuer: issuer, key: key, use: s.String("token_use"), audience: s.Strings("aud")}
	if scope := s.String("scope"); scope != "" {
		id.scopes = strings.Fields(scope)
	}
	for _, name := range [...]string{"cognito:username", "username", "sub", "client_id"} {
		if id.who = s.String(name); id.who != "" {
			break
		}
	}
	return id
}
