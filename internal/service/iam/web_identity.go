package iam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"moat/internal/issuer"
	"moat/internal/pure/policy"
	"moat/internal/pure/token"
	"moat/internal/store"
	"moat/internal/wire/stsapi"
)

// identityPools is the provider whose name stands in trust policies instead of
// an ARN; its tokens come from the identity pools of this installation.
const identityPools = "cognito-identity.amazonaws.com"

// webPrincipal is a verified web identity.
type webPrincipal struct {
	principal string // as trust policies name it
	audience  string
	keys      policy.Context
	token     *token.Token
}

// VerifyWebIdentity verifies a token of an OpenID Connect provider of the
// account: its provider is registered, its signature is the issuer's, its time
// is now, its audience is one of the provider's. principal is the provider as
// trust policies name it: its ARN, or cognito-identity.amazonaws.com. The errors
// are STS's exceptions.
func (s *Service) VerifyWebIdentity(ctx context.Context, raw string) (principal string, t *token.Token, keys policy.Context, err error) {
	who, err := s.webIdentity(ctx, raw)
	return who.principal, who.token, who.keys, err
}

func (s *Service) webIdentity(ctx context.Context, raw string) (webPrincipal, error) {
	t, err := token.Parse(raw)
	if err != nil {
		return webPrincipal{}, invalidToken("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	name := providerName(t.Issuer())
	provider, err := s.webProvider(ctx, name)
	if err != nil {
		return webPrincipal{}, err
	}
	if err := s.verifyToken(ctx, t, provider); err != nil {
		return webPrincipal{}, err
	}
	who := webPrincipal{token: t, principal: identityPools}
	if who.audience, err = audience(t.Claims, provider); err != nil {
		return webPrincipal{}, err
	}
	if t.Claims.String("sub") == "" {
		return webPrincipal{}, invalidToken("Missing a required claim: sub")
	}
	if provider != nil {
		who.principal = s.providerARN(provider)
	}
	who.keys = tokenKeys(name, who.audience, t.Claims)
	return who, nil
}

// providerName is an issuer without its scheme, as ARNs and condition keys have it.
func providerName(issuer string) string {
	if _, rest, ok := strings.Cut(issuer, "://"); ok {
		return strings.TrimSuffix(rest, "/")
	}
	return issuer
}

// verifyToken checks the signature and the time.
func (s *Service) verifyToken(ctx context.Context, t *token.Token, provider *Provider) error {
	noKeys := invalidToken("Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	if s.cfg.Issuers == nil {
		return noKeys
	}
	keys, err := s.cfg.Issuers.Keys(ctx, t.Issuer())
	if errors.Is(err, issuer.ErrUnknown) && provider != nil && s.cfg.Foreign != nil {
		keys, err = s.cfg.Foreign.ForeignKeys(ctx, t.Issuer(), provider.Thumbprints)
	}
	switch {
	case errors.Is(err, issuer.ErrThumbprint):
		return invalidToken("OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint")
	case errors.Is(err, issuer.ErrUnreachable):
		return &stsapi.IDPCommunicationErrorException{Message: "Error communicating with the identity provider."}
	case err != nil || keys == nil:
		return noKeys
	}
	switch err := t.VerifyBy(keys, s.moduli.Verify); {
	case errors.Is(err, token.ErrUnknownKey):
		return noKeys
	case err != nil:
		return invalidToken("The signature of the token does not match.")
	}
	switch err := t.CheckTime(s.cfg.Now()); {
	case errors.Is(err, token.ErrExpired):
		return expiredToken(s.cfg.Now(), t)
	case err != nil:
		return invalidToken("The token is not valid yet.")
	}
	return nil
}

// expiredToken is AWS's sentence, which lacks a space.
func expiredToken(now time.Time, t *token.Token) error {
	exp, _ := t.Claims.Time("exp")
	return &stsapi.ExpiredTokenException{Message: fmt.Sprintf("Token expired: current date/time %d must be before the expiration date/time%d", now.Unix(), exp.Unix())}
}

// audience returns the audience of a token, one of its provider's. Of several
// audiences the authorised party decides, which must be among them (OpenID
// Connect Core section 2).
func audience(c token.Claims, provider *Provider) (string, error) {
	audiences := c.Strings("aud")
	aud := ""
	switch party := c.String("azp"); {
	case len(audiences) == 1:
		aud = audiences[0]
	case len(audiences) > 1 && slices.Contains(audiences, party):
		aud = party
	}
	if aud == "" {
		return "", invalidToken("Missing a required claim: aud")
	}
	if provider != nil && !slices.Contains(provider.ClientIDs, aud) {
		return "", invalidToken("Incorrect token audience")
	}
	return aud, nil
}

// tokenKeys are the condition keys of a token (IAM user guide, "Available keys
// for AWS OIDC federation"): they begin with the provider's name.
func tokenKeys(name, aud string, c token.Claims) policy.Context {
	keys := policy.Context{}
	keys.Set(name+":aud", aud)
	keys.Set(name+":sub", c.String("sub"))
	keys.Set(name+":amr", c.Strings("amr")...)
	for _, claim := range []string{"azp", "email"} {
		if v := c.String(claim); v != "" {
			keys.Set(name+":"+claim, v)
		}
	}
	if azp := c.String("azp"); name == "accounts.google.com" && azp != "" {
		keys.Set(name+":aud", azp)
		keys.Set(name+":oaud", aud)
	}
	return keys
}

// webProvider finds the provider of an issuer; nil stands for the identity pools.
func (s *Service) webProvider(ctx context.Context, name string) (*Provider, error) {
	if name == identityPools {
		return nil, nil
	}
	var p Provider
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		p, err = s.t.providers.Get(tx, s.cfg.Account, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalidToken("No OpenIDConnect provider found in your account for %s", "https://"+name)
	}
	return &p, err
}

// The claims with which a token tags its session (IAM user guide, "Pass session
// tags in AWS STS" and "Monitor and control actions taken with assumed roles").
const (
	tagsClaim       = "https://aws.amazon.com/tags"
	sourceClaim     = "https://aws.amazon.com/source_identity"
	principalTags   = "principal_tags"
	transitiveNames = "transitive_tag_keys"
)

// tokenAttributes reads tags and source identity of a token, nested or flat. What
// is there in another form is refused: a tag that is overlooked might be one that
// a Deny asks for.
func tokenAttributes(c token.Claims) (a attributes, err error) {
	bad := invalidToken("The token's claims for session tags or source identity are malformed.")
	values := map[string]any{}
	if nested, there := c[tagsClaim]; there {
		m, ok := nested.(map[string]any)
		if !ok {
			return a, bad
		}
		if tags, there := m[principalTags]; there {
			t, ok := tags.(map[string]any)
			if !ok {
				return a, bad
			}
			for k, v := range t {
				values[k] = v
			}
		}
		if names, there := m[transitiveNames]; there {
			if a.transitive = (token.Claims{"": names}).Strings(""); a.transitive == nil {
				return a, bad
			}
		}
	}
	for k, v := range c {
		if name, ok := strings.CutPrefix(k, tagsClaim+"/"+principalTags+"/"); ok {
			values[name] = v
		}
	}
	if _, there := c[tagsClaim+"/"+transitiveNames]; there {
		if a.transitive = c.Strings(tagsClaim + "/" + transitiveNames); a.transitive == nil {
			return a, bad
		}
	}
	for _, k := range sortedKeys(values) {
		v := (token.Claims{"": values[k]}).Strings("")
		if len(v) != 1 {
			return a, bad
		}
		a.tags = append(a.tags, Tag{k, v[0]})
	}
	if source, there := c[sourceClaim]; there {
		if a.source, _ = source.(string); !sourceIdentity(a.source) {
			return a, invalidToken(`Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"`)
		}
	}
	return a, a.checkForm()
}

func sourceIdentity(v string) bool {
	return sessionName.MatchString(v) && !strings.HasPrefix(lower(v), "aws:")
}
