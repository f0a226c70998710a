package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"moat/internal/outbound"
	"moat/internal/pure/token"
)

const (
	freshFor    = 5 * time.Minute  // keys are taken from memory this long
	staleFor    = 24 * time.Hour   // and this long when the issuer cannot be reached
	retryAfter  = 30 * time.Second // between fetches that a failure or an unknown key id causes
	fetchLimit  = 10 * time.Second
	maxDocument = 256 << 10
)

// Remote returns a source that fetches an issuer's keys by OpenID Connect
// Discovery (section 4) over HTTPS and remembers them. One source may serve any
// number of registered issuers. It is safe for concurrent use: of callers that need
// the same fetch, one makes it and the others wait.
func (r *Registry) Remote() KeySource {
	return r.newRemote(nil)
}

func (r *Registry) newRemote(thumbprints []string) *remote {
	s := &remote{now: r.cfg.Now, issuers: map[string]*published{}}
	if r.cfg.Client != nil {
		s.client = trusting(r.cfg.Client, thumbprints, r.cfg.Now)
	}
	return s
}

// maxForeign bounds the sets of thumbprints, and the issuers of each, whose keys
// are remembered.
const maxForeign = 1000

// ForeignKeys returns the keys of an issuer outside of this installation, fetched
// as by [Registry.Remote]. The caller vouches that somebody who may has
// registered the issuer. A certificate that no authority of this machine vouches
// for is accepted when the SHA-1 thumbprint of the last certificate of its chain,
// in hexadecimal, is among thumbprints (IAM user guide, "Obtain the thumbprint
// for an OpenID Connect identity provider").
func (r *Registry) ForeignKeys(ctx context.Context, issuer string, thumbprints []string) (token.KeySet, error) {
	id := strings.ToLower(strings.Join(thumbprints, ","))
	r.mu.Lock()
	src := r.foreign[id]
	if src == nil {
		if len(r.foreign) >= maxForeign {
			clear(r.foreign)
		}
		src = r.newRemote(thumbprints)
		r.foreign[id] = src
	}
	r.mu.Unlock()
	return src.Keys(ctx, issuer)
}

type remote struct {
	client  *http.Client
	now     func() time.Time
	mu      sync.Mutex
	issuers map[string]*published
}

// published is what one foreign issuer has published.
type published struct {
	src  *remote
	name string

	mu      sync.Mutex
	keys    token.Keys
	fetched time.Time // when keys were fetched
	tried   time.Time // when a fetch was last tried
	err     error     // of the last try
}

// Keys implements [KeySource].
func (s *remote) Keys(ctx context.Context, issuer string) (token.KeySet, error) {
	if s.client == nil {
		return nil, errors.New("issuer: fetching keys is not allowed here")
	}
	s.mu.Lock()
	p := s.issuers[issuer]
	if p == nil {
		if len(s.issuers) >= maxForeign {
			clear(s.issuers)
		}
		p = &published{src: s, name: issuer}
		s.issuers[issuer] = p
	}
	s.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.now().Sub(p.fetched) >= freshFor {
		p.refresh(ctx)
	}
	if p.keys == nil || s.now().Sub(p.fetched) >= staleFor {
		return nil, fmt.Errorf("issuer: the keys of %s are not to be had: %w", issuer, p.err)
	}
	return p, nil
}

// Key implements [token.KeySet]. An id that is not known may be of a key that was
// published since: it causes a fetch, but not more than one every half minute,
// since anybody can invent key ids.
func (p *published) Key(kid string) (*token.Key, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k, ok := p.keys.Key(kid); ok {
		return k, true
	}
	p.refresh(context.Background())
	return p.keys.Key(kid)
}

// refresh fetches the keys, with p.mu held. Keys that were fetched before stay
// when that fails.
func (p *published) refresh(ctx context.Context) {
	now := p.src.now()
	if !p.tried.IsZero() && now.Sub(p.tried) < retryAfter {
		return
	}
	p.tried = now
	keys, err := p.src.fetch(ctx, p.name)
	p.err = err
	if err == nil {
		p.keys, p.fetched = keys, now
	}
}

func (s *remote) fetch(ctx context.Context, issuer string) (token.Keys, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	raw, err := s.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, errors.New("its configuration is not JSON")
	}
	if doc.Issuer != issuer {
		return nil, errors.New("its configuration names another issuer")
	}
	if raw, err = s.get(ctx, doc.JWKSURI); err != nil {
		return nil, err
	}
	return token.ParseJWKS(raw)
}

func (s *remote) get(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("its address is not https")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	switch {
	case errors.Is(err, ErrThumbprint), errors.Is(err, outbound.ErrForbidden), errors.Is(err, errRedirect):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %d", resp.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err == nil && len(raw) > maxDocument {
		err = errors.New("its document is too long")
	}
	return raw, err
}
