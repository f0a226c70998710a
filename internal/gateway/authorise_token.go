package gateway

import (
	"crypto/sha256"
	"encoding/json"
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

// identity is a verified token.
type identity struct {
	issuer, use string
	key         *token.Key
	scopes      []string
	audience    []string
	who         string
	text        map[string]string // claims as API Gateway makes strings of them
	json        []byte            // the same as a JSON object
	sum         [sha256.Size]byte // of json
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
	id, err := x.verified(raw, a)
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

// verified returns the token's claims, remembered or freshly verified. A remembered
// token counts only while its key is still published by its issuer.
func (x *Exchange) verified(raw string, a *authorizer) (*identity, error) {
	hash := x.g.tokens.sum(raw)
	if got, ok := x.g.tokens.get(&hash, x.start); ok {
		id := *got
		if !a.trusts(x.g.cfg.Pools, id.issuer) {
			return nil, refuse(Unauthorized, "the token was issued by "+id.issuer+", which is not a pool of the authorizer")
		}
		if x.published(id) {
			return id, nil
		}
		x.g.tokens.forget(&hash)
	}
	t, err := token.Parse(raw)
	if err != nil {
		return nil, refuse(Unauthorized, "the token cannot be read: "+err.Error())
	}
	issuer := t.Issuer()
	if !a.trusts(x.g.cfg.Pools, issuer) {
		return nil, refuse(Unauthorized, "the token was issued by "+issuer+", which is not a pool of the authorizer")
	}
	id, expires, err := x.verify(t, issuer)
	if err != nil {
		return nil, err
	}
	x.g.tokens.put(&hash, id, expires, x.start)
	return id, nil
}

// verify checks signature and times. The signature comes first, so that only a token
// that was once good is called expired.
func (x *Exchange) verify(t *token.Token, issuer string) (*identity, time.Time, error) {
	keys, err := x.keysOf(issuer)
	if err != nil {
		return nil, time.Time{}, refuse(Unauthorized, "the keys of "+issuer+" cannot be had: "+err.Error())
	}
	if err := t.VerifyWith(keys); err != nil {
		return nil, time.Time{}, refuse(Unauthorized, err.Error())
	}
	expires, ok := t.Claims.Time("exp")
	if err := t.CheckTime(x.start); err != nil {
		if ok && errors.Is(err, token.ErrExpired) {
			return nil, expires, &Refusal{Kind: Unauthorized, Message: "The incoming token has expired", Grounds: "the token expired at " + expires.Format(time.RFC3339)}
		}
		return nil, expires, refuse(Unauthorized, err.Error())
	}
	key, _ := keys.Key(t.KeyID)
	return newIdentity(t, issuer, key), expires, nil
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

// trusts reports whether an issuer is one of the authorizer's pools.
func (a *authorizer) trusts(pools Pools, issuer string) bool {
	if pools == nil || issuer == "" {
		return false
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
			return true
		}
	}
	return false
}

func newIdentity(t *token.Token, issuer string, key *token.Key) *identity {
	c := t.Claims
	id := &identity{issuer: issuer, key: key, use: c.String("token_use"), audience: c.Strings("aud"),
		scopes: strings.Fields(c.String("scope")), text: make(map[string]string, len(c))}
	for _, name := range []string{"cognito:username", "username", "sub", "client_id"} {
		if id.who = c.String(name); id.who != "" {
			break
		}
	}
	for name, v := range c {
		id.text[name] = claimText(c, name, v)
	}
	id.json = appendStrings(nil, id.text)
	id.sum = sha256.Sum256(id.json)
	return id
}

// claimText makes a string of a claim as API Gateway does for a user pool authorizer
// (known from published events): exp and iat as Java prints a date, other numbers and
// booleans as they stand, lists joined by commas, objects as JSON.
func claimText(c token.Claims, name string, v any) string {
	if name == "exp" || name == "iat" {
		if t, ok := c.Time(name); ok {
			return t.Format("Mon Jan 02 15:04:05 UTC 2006")
		}
	}
	list, ok := v.([]any)
	if !ok {
		return plainText(v)
	}
	parts := make([]string, len(list))
	for i, item := range list {
		parts[i] = plainText(item)
	}
	return strings.Join(parts, ",")
}

func plainText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number: // of a token that was read: valid as it stands
		return string(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// appendStrings writes a map as a JSON object in the order of its names; null for none.
func appendStrings(b []byte, in map[string]string) []byte {
	if len(in) == 0 {
		return append(b, "null"...)
	}
	names, size := make([]string, 0, len(in)), 1
	for name, v := range in {
		names = append(names, name)
		size += len(name) + len(v) + len(`"":"",`)
	}
	slices.Sort(names)
	b = slices.Grow(b, size)
	sep := byte('{')
	for _, name := range names {
		b = append(b, sep)
		b = append(appendJSON(b, name), ':')
		b = appendJSON(b, in[name])
		sep = ','
	}
	return append(b, '}')
}
