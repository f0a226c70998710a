// Package issuer finds the keys with which the tokens of an issuer are verified.
//
// Issuers that live in this process answer from memory through a resolver;
// foreign ones are registered by name and answer through a [KeySource], or are
// named by a caller that has looked up the provider that somebody registered. No
// token makes this package fetch anything by itself.
package issuer

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"moat/internal/pure/token"
)

var (
	// ErrUnknown says that no source answers for an issuer.
	ErrUnknown = errors.New("issuer: unknown issuer")
	// ErrUnreachable says that a foreign issuer could not be talked to.
	ErrUnreachable = errors.New("issuer: the issuer cannot be reached")
	// ErrThumbprint says that a foreign issuer's certificate is neither vouched
	// for by an authority that this machine trusts nor has a known thumbprint.
	ErrThumbprint = errors.New("issuer: the certificate of the issuer is not trusted")
)

// KeySource returns the present keys of one issuer. It is safe for concurrent use.
type KeySource interface {
	Keys(ctx context.Context, issuer string) (token.KeySet, error)
}

// Resolver answers for a family of issuers held in this process, such as all user
// pools. It must be quick, and return false for names that are not its own.
type Resolver func(issuer string) (token.KeySet, bool)

// Config names what a Registry needs.
type Config struct {
	Client *http.Client // fetches foreign keys; its dialer decides which addresses may be reached. nil: nothing is fetched
	Now    func() time.Time
}

// Registry maps issuers to their keys. It is safe for concurrent use.
type Registry struct {
	cfg       Config
	mu        sync.RWMutex
	sources   map[string]KeySource
	foreign   map[string]*remote // by thumbprints
	resolvers []Resolver
}

// New returns an empty registry.
func New(cfg Config) *Registry {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Registry{cfg: cfg, sources: map[string]KeySource{}, foreign: map[string]*remote{}}
}

// Register makes src answer for exactly this issuer, replacing an earlier source.
func (r *Registry) Register(issuer string, src KeySource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources[issuer] = src
}

// Unregister forgets an issuer; its tokens are refused from now on.
func (r *Registry) Unregister(issuer string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sources, issuer)
}

// RegisterResolver adds a family of issuers. Resolvers are asked before sources,
// in the order of their registration, so that no registered name can shadow an own pool.
func (r *Registry) RegisterResolver(f Resolver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resolvers = append(r.resolvers, f)
}

// Keys returns the keys of an issuer, or [ErrUnknown], or the error of its source.
func (r *Registry) Keys(ctx context.Context, issuer string) (token.KeySet, error) {
	r.mu.RLock()
	resolvers, src := r.resolvers, r.sources[issuer]
	r.mu.RUnlock()
	for _, f := range resolvers {
		if keys, ok := f(issuer); ok {
			return keys, nil
		}
	}
	if src == nil {
		return nil, ErrUnknown
	}
	return src.Keys(ctx, issuer)
}
