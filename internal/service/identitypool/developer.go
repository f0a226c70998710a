package identitypool

import (
	"context"
	"errors"
	"slices"
	"strings"

	"moat/internal/pure/token"
	"moat/internal/store"
)

// ownToken is what a verified token of ours says of an identity: a developer's
// back end obtained it for its user, who redeems it.
type ownToken struct {
	amr  []string
	tags map[string]string
}

// developerAMR is how a developer's user is seen in trust policies.
func developerAMR(p *Pool, user string) []string {
	return []string{p.Developer, p.Developer + ":" + p.ID + ":" + user}
}

// openOwn verifies a token that GetOpenIdTokenForDeveloperIdentity made: ours,
// for this pool, about this identity, whose developer login is still linked.
func (s *Service) openOwn(ctx context.Context, who *signedIn, raw string) error {
	t, err := token.Parse(raw)
	if err != nil || t.Issuer() != Issuer {
		return notAuthorized(notID)
	}
	key, err := s.signingKey(ctx, false)
	if err != nil {
		return err
	}
	if key == nil || t.VerifyWith(token.NewKeys(key.Key())) != nil {
		return notAuthorized("Invalid login token. Token signature invalid.")
	}
	now := s.cfg.Now()
	switch err := t.CheckTime(now); {
	case errors.Is(err, token.ErrExpired):
		exp, _ := t.Claims.Time("exp")
		return notAuthorized("Invalid login token. Token expired: %d >= %d", now.Unix(), exp.Unix())
	case err != nil:
		return notAuthorized("Invalid login token. Token is not valid yet.")
	}
	if aud := t.Claims.Strings("aud"); len(aud) != 1 || aud[0] != who.pool.ID {
		return unsupportedProvider()
	}
	subject := t.Claims.String("sub")
	err = s.db.View(ctx, func(tx *store.Tx) error {
		if who.identity, err = s.follow(tx, who.identity.ID); err != nil {
			return err
		}
		about, err := s.follow(tx, subject)
		if err != nil || about.ID != who.identity.ID {
			return loginsDontMatch()
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case who.identity.Disabled:
		return forbidden(who.identity.ID)
	}
	entries := slices.DeleteFunc(t.Claims.Strings("amr"), func(e string) bool { return !who.pool.linked(&who.identity, e) })
	user := who.pool.Developer + ":" + who.pool.ID + ":"
	if who.pool.Developer == "" || !slices.ContainsFunc(entries, func(e string) bool { return strings.HasPrefix(e, user) }) {
		return loginsDontMatch() // of the basic flow, or unlinked since
	}
	who.own = &ownToken{amr: append([]string{"authenticated"}, entries...), tags: tagsOf(t.Claims)}
	return nil
}

// linked reports whether an entry of a token's amr is of a login that the
// identity still has.
func (p *Pool) linked(i *Identity, entry string) bool {
	return slices.ContainsFunc(i.Logins, func(l Login) bool {
		if l.Provider == p.Developer {
			return slices.Contains(developerAMR(p, l.Subject), entry)
		}
		return entry == l.Provider || strings.HasPrefix(entry, l.Provider+":") || strings.HasSuffix(entry, ":OIDC:"+l.Subject)
	})
}

// tagsOf reads the session tags of a token of ours.
func tagsOf(c token.Claims) map[string]string {
	claim, _ := c[tagsClaim].(map[string]any)
	values, _ := claim["principal_tags"].(map[string]any)
	out := map[string]string{}
	for k, v := range values {
		if list, ok := v.([]any); ok && len(list) == 1 {
			out[k], _ = list[0].(string)
		}
	}
	return out
}
