package identitypool

import (
	"context"
	"slices"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// Providers knows the OpenID Connect and SAML providers of the account.
type Providers interface {
	// OIDCProvider returns an OpenID Connect provider, by its ARN; nil when the
	// account has none.
	OIDCProvider(ctx context.Context, arn string) (*OIDCProvider, error)
	// VerifySAML verifies an assertion, as it was posted, of a SAML provider of the
	// account. An error that is a wire.Exception says what is wrong with the
	// assertion, every other one that it could not be verified.
	VerifySAML(ctx context.Context, arn, assertion string) (Assertion, error)
}

// OIDCProvider is an OpenID Connect provider of the account.
type OIDCProvider struct {
	Clients     []string // client ids whose tokens it accepts
	Thumbprints []string // of its issuer's certificate
}

// Assertion is what a verified SAML assertion says.
type Assertion struct {
	Subject    string // NameID
	Attributes map[string][]string
}

// social are the providers that have names of their own (developer guide,
// "Identity pools third-party identity providers"), with the issuers of their
// OpenID Connect tokens.
func social() map[string][]string {
	return map[string][]string{
		"accounts.google.com": {"https://accounts.google.com", "accounts.google.com"},
		"graph.facebook.com":  {"https://www.facebook.com", "https://limited.facebook.com"},
		"appleid.apple.com":   {"https://appleid.apple.com"},
		"www.amazon.com":      {"https://www.amazon.com"},
	}
}

var userPoolID = lazyregexp.New(`^[a-z0-9-]+_[0-9A-Za-z]+$`)

// canonicalProvider gives a user pool's provider its one name: AWS's. The name
// of its issuer here, without the scheme, means the same.
func (s *Service) canonicalProvider(name string) string {
	here := withoutScheme(s.cfg.BaseURL) + "/"
	if pool, ok := strings.CutPrefix(name, here); ok && userPoolID.MatchString(pool) {
		region, _, _ := strings.Cut(pool, "_")
		return "cognito-idp." + region + ".amazonaws.com/" + pool
	}
	return name
}

// userPoolOf is the user pool of a canonical provider name, "" for every other one.
func userPoolOf(provider string) string {
	host, pool, ok := strings.Cut(provider, ".amazonaws.com/")
	if ok && strings.HasPrefix(host, "cognito-idp.") && userPoolID.MatchString(pool) {
		return pool
	}
	return ""
}

func withoutScheme(u string) string {
	if _, rest, ok := strings.Cut(u, "://"); ok {
		u = rest
	}
	return strings.TrimSuffix(u, "/")
}

// issuersOf lists the issuers under which a provider's tokens may come.
func (s *Service) issuersOf(provider string) []string {
	if issuers, ok := social()[provider]; ok {
		return issuers
	}
	out := []string{"https://" + provider}
	if pool := userPoolOf(provider); pool != "" {
		out = append(out, strings.TrimSuffix(s.cfg.BaseURL, "/")+"/"+pool)
	}
	return out
}

const oidcPart, samlPart = ":oidc-provider/", ":saml-provider/"

// oidcName is the name of an OpenID Connect provider in a call's logins: its URL
// without the scheme, which stands in its ARN.
func oidcName(arn string) string {
	_, name, _ := strings.Cut(arn, oidcPart)
	return name
}

// ownARN reports whether an ARN names an identity provider of the account.
func (s *Service) ownARN(arn, part string) bool {
	name, ok := strings.CutPrefix(arn, "arn:aws:iam::"+s.cfg.Account+part)
	return ok && name != "" && !strings.ContainsAny(name, "*?")
}

// maxProviders is the quota of user pool clients per identity pool.
const maxProviders = 50

// fill sets what a description of a pool may say, and refuses what does not
// exist here. Everything is replaced but tags, which stay when none are given.
func (s *Service) fill(p *Pool, in *api.IdentityPool, op string) error {
	p.Name, p.Guests, p.Classic = in.IdentityPoolName, in.AllowUnauthenticatedIdentities, wire.Value(in.AllowClassicFlow)
	p.Providers, p.Social, p.OIDC, p.SAML = nil, nil, nil, nil
	if len(in.CognitoIdentityProviders) > maxProviders {
		return &api.LimitExceededException{Message: "An identity pool cannot have more than 50 user pool clients."}
	}
	for _, c := range in.CognitoIdentityProviders {
		// A provider without an audience would accept the tokens of every client.
		if wire.Value(c.ProviderName) == "" || wire.Value(c.ClientId) == "" {
			return invalidParameter("Cognito identity providers need a ProviderName and a ClientId.")
		}
		name := s.canonicalProvider(*c.ProviderName)
		if userPoolOf(name) == "" {
			return invalidParameter("Invalid Cognito Identity Provider")
		}
		p.Providers = append(p.Providers, Provider{Name: name, Client: *c.ClientId, ServerCheck: wire.Value(c.ServerSideTokenCheck)})
	}
	for name, id := range in.SupportedLoginProviders {
		if name == "api.twitter.com" || name == "www.digits.com" {
			return wire.NotImplementedBecause("cognito-identity", op, "sign-ins of "+name+" are not supported: their tokens can only be checked by asking that service")
		}
		if social()[name] == nil {
			return invalidParameter("Invalid login provider: %s", name)
		}
		if p.Social == nil {
			p.Social = map[string]string{}
		}
		p.Social[name] = id
	}
	for _, arn := range in.OpenIdConnectProviderARNs {
		if !s.ownARN(arn, oidcPart) {
			return invalidParameter("Invalid OpenID Connect provider ARN: %s", arn)
		}
	}
	for _, arn := range in.SamlProviderARNs {
		if !s.ownARN(arn, samlPart) {
			return invalidParameter("Invalid SAML provider ARN: %s", arn)
		}
	}
	p.OIDC, p.SAML = in.OpenIdConnectProviderARNs, in.SamlProviderARNs
	if err := p.setDeveloper(wire.Value(in.DeveloperProviderName)); err != nil {
		return err
	}
	if in.IdentityPoolTags != nil {
		p.Tags = in.IdentityPoolTags
	}
	return nil
}

// setDeveloper names the developer provider. "Once you have set a developer
// provider name, you cannot change it" (API reference, CreateIdentityPool): the
// logins of its users stand under that name. It must not be the name of another
// provider, or the users of one would be those of the other.
func (p *Pool) setDeveloper(name string) error {
	if p.Developer != "" && name != "" && name != p.Developer {
		return invalidParameter("The developer provider name cannot be changed.")
	}
	if name != "" {
		p.Developer = name
	}
	taken := p.Developer != "" && (social()[p.Developer] != nil || p.Developer == provider ||
		slices.ContainsFunc(p.OIDC, func(arn string) bool { return oidcName(arn) == p.Developer }))
	if taken {
		return invalidParameter("The developer provider name %s is the name of another provider.", p.Developer)
	}
	return nil
}

// checkTags holds AWS's limits on tags that a call brings. CloudFormation alone
// gives tags that begin with aws:.
func checkTags(ctx context.Context, tags map[string]string) error {
	if len(tags) > maxTags {
		return tooManyTags()
	}
	for k := range tags {
		if wire.CallFrom(ctx).Via == "" && strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalidParameter("Tag keys cannot start with aws:")
		}
	}
	return nil
}

const maxTags = 50

func tooManyTags() error {
	return invalidParameter("A resource cannot have more than %d tags.", maxTags)
}

// providersConfigured reports whether anybody can sign in to the pool.
func (p *Pool) providersConfigured() bool {
	return len(p.Providers)+len(p.Social)+len(p.OIDC)+len(p.SAML) > 0 || p.Developer != ""
}
