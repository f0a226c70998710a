package identitypool

import (
	"context"
	"errors"
	"slices"
	"strings"

	"moat/internal/issuer"
	"moat/internal/pure/token"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// meantFor reports whether a foreign ID token was issued for one of these
// clients. As the developer guide has it ("OIDC providers as an identity pool
// IdP"), azp decides where it is present; here every audience must be one of the
// clients as well: a token that a client obtained for somebody else's server is
// known to that server, which could otherwise sign in with it.
func meantFor(c token.Claims, clients []string) bool {
	audiences := c.Strings("aud")
	if len(audiences) == 0 || slices.ContainsFunc(audiences, func(a string) bool { return a == "" || !slices.Contains(clients, a) }) {
		return false
	}
	if _, there := c["azp"]; there {
		azp := c.String("azp")
		return azp != "" && slices.Contains(clients, azp)
	}
	return len(audiences) == 1
}

// foreignKeys finds the keys of issuers that may be elsewhere. Those of this
// installation come first, so that nobody else's keys are ever theirs.
func (s *Service) foreignKeys(thumbprints []string) keySource {
	return func(ctx context.Context, name string) (token.KeySet, error) {
		keys, err := s.cfg.Issuers.Keys(ctx, name)
		if !errors.Is(err, issuer.ErrUnknown) || s.cfg.Foreign == nil {
			return keys, err
		}
		keys, err = s.cfg.Foreign.ForeignKeys(ctx, name, thumbprints)
		if errors.Is(err, issuer.ErrUnreachable) {
			return nil, &api.ExternalServiceException{Message: "The identity provider " + name + " cannot be reached."}
		}
		return keys, err
	}
}

// verifySocial checks the ID token of a provider that has a name of its own, for
// the application that the pool is configured with.
func (s *Service) verifySocial(ctx context.Context, p *Pool, name, raw string) (proof, error) {
	if strings.Count(raw, ".") != 2 && (name == "graph.facebook.com" || name == "www.amazon.com") {
		return proof{}, notAuthorized("Invalid login token. Access tokens of %s are opaque and cannot be verified here; an OpenID Connect token is needed.", name)
	}
	t, err := s.idToken(ctx, name, raw, s.foreignKeys(nil))
	if err != nil {
		return proof{}, err
	}
	app, subject := p.Social[name], t.Claims.String("sub")
	clients := []string{app}
	if azp := t.Claims.String("azp"); name == "accounts.google.com" && sameProject(azp, app) {
		clients = append(clients, azp)
	}
	if !slices.Equal(t.Claims.Strings("aud"), []string{app}) || !meantFor(t.Claims, clients) {
		return proof{}, unsupportedProvider()
	}
	return proof{
		Login: Login{name, subject}, mappings: []string{name}, claims: t.Claims,
		amr: []string{name, name + ":" + app + ":" + subject},
	}, nil
}

// sameProject reports whether two client ids of Google belong to one project,
// whose number they begin with: there a phone's client obtains tokens for the
// web client (Google Identity, "Cross-client identity").
func sameProject(a, b string) bool {
	pa, _, ok := strings.Cut(a, "-")
	pb, _, _ := strings.Cut(b, "-")
	return ok && pa != "" && pa == pb
}

// verifyOIDC checks the ID token of an OpenID Connect provider of the account,
// for one of the clients that the provider lists.
func (s *Service) verifyOIDC(ctx context.Context, arn, name, raw string) (proof, error) {
	if s.cfg.Providers == nil {
		return proof{}, unsupportedProvider()
	}
	oidc, err := s.cfg.Providers.OIDCProvider(ctx, arn)
	if err != nil {
		return proof{}, err
	}
	if oidc == nil {
		return proof{}, unsupportedProvider()
	}
	t, err := s.idToken(ctx, name, raw, s.foreignKeys(oidc.Thumbprints))
	if err != nil {
		return proof{}, err
	}
	if !meantFor(t.Claims, oidc.Clients) {
		return proof{}, unsupportedProvider()
	}
	// An access token of a user pool says of itself that it is none of identity.
	if use, there := t.Claims["token_use"]; there && use != "id" {
		return proof{}, notAuthorized(notID)
	}
	subject := t.Claims.String("sub")
	return proof{
		Login: Login{name, subject}, mappings: []string{arn, name}, claims: t.Claims,
		amr: []string{name, arn + ":OIDC:" + subject},
	}, nil
}

// samlRoles is the attribute in which an assertion lists roles, each as a pair of
// role and provider (IAM, "Configuring SAML assertions").
const samlRoles = "https://aws.amazon.com/SAML/Attributes/Role"

// verifySAML checks an assertion of a SAML provider of the account. Its
// attributes count as claims, and the roles it lists as those of a token.
func (s *Service) verifySAML(ctx context.Context, arn, raw string) (proof, error) {
	if s.cfg.Providers == nil {
		return proof{}, unsupportedProvider()
	}
	a, err := s.cfg.Providers.VerifySAML(ctx, arn, raw)
	var refused wire.Exception
	if errors.As(err, &refused) {
		return proof{}, notAuthorized("Invalid login token. %s", refused.ErrorMessage())
	}
	if err != nil {
		return proof{}, err
	}
	if a.Subject == "" {
		return proof{}, notAuthorized("Invalid login token. The assertion names no subject.")
	}
	claims := token.Claims{}
	for name, values := range a.Attributes {
		claims[name] = texts(values)
	}
	claims["sub"] = a.Subject // who it is about, whatever an attribute of that name says
	var roles []any
	for _, pair := range a.Attributes[samlRoles] {
		if role := roleFor(pair, arn); role != "" {
			roles = append(roles, role)
		}
	}
	claims["cognito:roles"] = roles
	delete(claims, "cognito:preferred_role")
	return proof{
		Login: Login{arn, a.Subject}, mappings: []string{arn}, claims: claims,
		amr: []string{arn, arn + ":SAML:" + a.Subject},
	}, nil
}

// roleFor is the role of a pair that names this provider, in either order.
func roleFor(pair, arn string) string {
	a, b, _ := strings.Cut(pair, ",")
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	switch arn {
	case b:
		return a
	case a:
		return b
	}
	return ""
}

func texts(values []string) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}
