package identitypool

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"moat/internal/pure/token"
)

// proof is a sign-in token that was verified.
type proof struct {
	Login
	provider *Provider
	token    *token.Token
}

var userPoolID = regexp.MustCompile(`^[a-z0-9-]+_[0-9A-Za-z]+$`)

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

func withoutScheme(u string) string {
	if _, rest, ok := strings.Cut(u, "://"); ok {
		u = rest
	}
	return strings.TrimSuffix(u, "/")
}

// issuersOf lists the issuers under which a provider's tokens may come.
func (s *Service) issuersOf(provider string) []string {
	out := []string{"https://" + provider}
	if _, pool, ok := strings.Cut(provider, ".amazonaws.com/"); ok && strings.HasPrefix(provider, "cognito-idp.") && userPoolID.MatchString(pool) {
		out = append(out, strings.TrimSuffix(s.cfg.BaseURL, "/")+"/"+pool)
	}
	return out
}

// maxLogins bounds the work of one unsigned call.
const maxLogins = 10

// verify checks every login that a call brings; one that does not hold refuses
// the call. The proofs come in the order of their providers' names.
func (s *Service) verify(ctx context.Context, p *Pool, logins map[string]string) ([]proof, error) {
	if len(logins) > maxLogins {
		return nil, invalidParameter("Too many logins.")
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

// verifyLogin checks one ID token: from a provider of the pool, signed by its
// issuer, for one of its clients, now.
func (s *Service) verifyLogin(ctx context.Context, p *Pool, provider, raw string) (proof, error) {
	unsupported := notAuthorized("Token is not from a supported provider of this identity pool.")
	if !slices.ContainsFunc(p.Providers, func(x Provider) bool { return x.Name == provider }) {
		return proof{}, unsupported
	}
	notID := notAuthorized("Invalid login token. Not a valid OpenId Connect identity token.")
	t, err := token.Parse(raw)
	if err != nil {
		return proof{}, notID
	}
	if !slices.Contains(s.issuersOf(provider), t.Issuer()) {
		return proof{}, notAuthorized("Invalid login token. Issuer doesn't match providerName")
	}
	keys, err := s.cfg.Issuers.Keys(ctx, t.Issuer())
	if err != nil || keys == nil {
		return proof{}, notAuthorized("Invalid login token. Couldn't verify signed token.")
	}
	if err := t.VerifyWith(keys); err != nil {
		return proof{}, notAuthorized("Invalid login token. Token signature invalid.")
	}
	now := s.cfg.Now()
	switch err := t.CheckTime(now); {
	case errors.Is(err, token.ErrExpired):
		exp, _ := t.Claims.Time("exp")
		return proof{}, notAuthorized("Invalid login token. Token expired: %d >= %d", now.Unix(), exp.Unix())
	case err != nil:
		return proof{}, notAuthorized("Invalid login token. Token is not valid yet.")
	}
	subject := t.Claims.String("sub")
	if t.Claims.String("token_use") != "id" || subject == "" {
		return proof{}, notID
	}
	audiences := t.Claims.Strings("aud")
	if len(audiences) != 1 {
		return proof{}, unsupported
	}
	i := slices.IndexFunc(p.Providers, func(x Provider) bool { return x.Name == provider && x.Client != "" && x.Client == audiences[0] })
	if i < 0 {
		return proof{}, unsupported
	}
	if p.Providers[i].ServerCheck {
		if err := s.checkActive(ctx, provider, t); err != nil {
			return proof{}, err
		}
	}
	return proof{Login{provider, subject}, &p.Providers[i], t}, nil
}

// checkActive asks the user pool whether the token still counts. Nobody to ask
// means that it does not.
func (s *Service) checkActive(ctx context.Context, provider string, t *token.Token) error {
	revoked := notAuthorized("Invalid login token. Token has been revoked.")
	if s.cfg.Pools == nil {
		return revoked
	}
	ok, err := s.cfg.Pools.TokenActive(ctx, provider[strings.LastIndexByte(provider, '/')+1:], t)
	if err != nil {
		return err
	}
	if !ok {
		return revoked
	}
	return nil
}
