package identitypool

import (
	"context"
	"errors"
	"slices"
	"strings"

	"moat/internal/pure/token"
	api "moat/internal/wire/cognitoidentityapi"
)

// proof is a login that was verified.
type proof struct {
	Login
	mappings []string     // the keys under which a pool may map its roles
	amr      []string     // how trust policies see it
	claims   token.Claims // what rules and principal tags are made of
}

// maxLogins is AWS's limit of logins that one identity may have (API reference,
// MergeDeveloperIdentities); maxPerCall bounds the work of one unsigned call.
const (
	maxLogins  = 20
	maxPerCall = 10
)

const notID = "Invalid login token. Not a valid OpenId Connect identity token."

func unsupportedProvider() error {
	return notAuthorized("Token is not from a supported provider of this identity pool.")
}

// verify checks every login that a call brings; one that does not hold refuses
// the call. The proofs come in the order of their providers' names.
func (s *Service) verify(ctx context.Context, p *Pool, logins map[string]string) ([]proof, error) {
	if len(logins) > maxPerCall {
		return nil, invalidParameter("Too many logins.")
	}
	if len(logins) > 0 && !p.providersConfigured() {
		return nil, notAuthorized("Identity pool - %s does not have identity providers configured.", p.ID)
	}
	names := make([]string, 0, len(logins))
	for name := range logins {
		names = append(names, name)
	}
	slices.Sort(names)
	proofs := make([]proof, 0, len(names))
	for _, name := range names {
		pr, err := s.verifyLogin(ctx, p, s.canonicalProvider(name), logins[name])
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(proofs, func(x proof) bool { return x.Provider == pr.Provider }); i >= 0 {
			if proofs[i].Subject != pr.Subject {
				return nil, loginsDontMatch()
			}
			continue // the same login under both of its names
		}
		proofs = append(proofs, pr)
	}
	return proofs, nil
}

// verifyLogin checks one login, by the way of its provider.
func (s *Service) verifyLogin(ctx context.Context, p *Pool, name, raw string) (proof, error) {
	if t, err := token.Parse(raw); name == provider || err == nil && t.Issuer() == Issuer {
		return proof{}, notAuthorized("Invalid login token. Can't pass in a Cognito token.")
	}
	switch {
	case slices.ContainsFunc(p.Providers, func(x Provider) bool { return x.Name == name }):
		return s.verifyUserPool(ctx, p, name, raw)
	case social()[name] != nil && p.Social[name] != "":
		return s.verifySocial(ctx, p, name, raw)
	case slices.Contains(p.SAML, name):
		return s.verifySAML(ctx, name, raw)
	case p.Developer != "" && name == p.Developer:
		return proof{}, invalidParameter("Please provide a valid public provider.")
	}
	for _, arn := range p.OIDC {
		if s.canonicalProvider(oidcName(arn)) == name {
			return s.verifyOIDC(ctx, arn, name, raw)
		}
	}
	return proof{}, unsupportedProvider()
}

// keySource finds the keys of an issuer.
type keySource func(ctx context.Context, issuer string) (token.KeySet, error)

// idToken verifies an ID token: from an issuer of the provider, signed with a key
// of that issuer, valid now, of somebody. Whom it is for is the caller's question.
func (s *Service) idToken(ctx context.Context, provider, raw string, from keySource) (*token.Token, error) {
	t, err := token.Parse(raw)
	if err != nil {
		return nil, notAuthorized(notID)
	}
	if !slices.Contains(s.issuersOf(provider), t.Issuer()) {
		return nil, notAuthorized("Invalid login token. Issuer doesn't match providerName")
	}
	issuer := t.Issuer()
	if !strings.Contains(issuer, "://") { // Google's has two spellings and one set of keys
		issuer = "https://" + issuer
	}
	keys, err := from(ctx, issuer)
	var down *api.ExternalServiceException
	switch {
	case errors.As(err, &down):
		return nil, err
	case err != nil || keys == nil:
		return nil, notAuthorized("Invalid login token. Couldn't verify signed token.")
	}
	if err := t.VerifyBy(keys, s.moduli.Verify); err != nil {
		return nil, notAuthorized("Invalid login token. Token signature invalid.")
	}
	now := s.cfg.Now()
	switch err := t.CheckTime(now); {
	case errors.Is(err, token.ErrExpired):
		exp, _ := t.Claims.Time("exp")
		return nil, notAuthorized("Invalid login token. Token expired: %d >= %d", now.Unix(), exp.Unix())
	case err != nil:
		return nil, notAuthorized("Invalid login token. Token is not valid yet.")
	}
	if t.Claims.String("sub") == "" {
		return nil, notAuthorized(notID)
	}
	return t, nil
}

// verifyUserPool checks the ID token of a user pool, for one of its app clients.
func (s *Service) verifyUserPool(ctx context.Context, p *Pool, name, raw string) (proof, error) {
	t, err := s.idToken(ctx, name, raw, s.cfg.Issuers.Keys)
	if err != nil {
		return proof{}, err
	}
	if t.Claims.String("token_use") != "id" {
		return proof{}, notAuthorized(notID)
	}
	audiences := t.Claims.Strings("aud")
	if len(audiences) != 1 {
		return proof{}, unsupportedProvider()
	}
	i := slices.IndexFunc(p.Providers, func(x Provider) bool { return x.Name == name && x.Client != "" && x.Client == audiences[0] })
	if i < 0 {
		return proof{}, unsupportedProvider()
	}
	if p.Providers[i].ServerCheck {
		if err := s.checkActive(ctx, name, t); err != nil {
			return proof{}, err
		}
	}
	subject := t.Claims.String("sub")
	return proof{
		Login: Login{name, subject}, mappings: []string{name + ":" + p.Providers[i].Client}, claims: t.Claims,
		amr: []string{name, name + ":CognitoSignIn:" + subject},
	}, nil
}

// checkActive asks the user pool whether the token still counts. Nobody to ask
// means that it does not.
func (s *Service) checkActive(ctx context.Context, name string, t *token.Token) error {
	revoked := notAuthorized("Invalid login token. Token has been revoked.")
	if s.cfg.Pools == nil {
		return revoked
	}
	ok, err := s.cfg.Pools.TokenActive(ctx, userPoolOf(name), t)
	if err != nil {
		return err
	}
	if !ok {
		return revoked
	}
	return nil
}
