// Package identitypool owns identity pools: it gives users of user pools, and
// guests, an identity and the temporary credentials of a role.
//
// It verifies sign-in tokens by their issuers' keys and never looks into a user
// pool, except to ask whether a token still counts where a pool demands that.
// What credentials may do is decided by roles and their trust policies.
package identitypool

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"moat/internal/pkcs1"
	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
	"moat/internal/pure/uuid"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/cognitoidentityapi"
)

// Issuers finds the verification keys of a token's issuer.
type Issuers interface {
	Keys(ctx context.Context, issuer string) (token.KeySet, error)
}

// Foreign finds the keys of issuers outside of this installation.
type Foreign interface {
	// ForeignKeys fetches the keys of an issuer that a pool was configured with.
	ForeignKeys(ctx context.Context, issuer string, thumbprints []string) (token.KeySet, error)
}

// Roles makes temporary credentials of roles.
type Roles interface {
	// WebIdentityCredentials returns the credentials of a role for a verified web
	// identity. The role's trust policy decides; an error that has a method
	// NotTrusted() bool says that it does not trust this identity.
	WebIdentityCredentials(ctx context.Context, roleARN, sessionName, provider string, keys policy.Context, tags map[string]string, sessionPolicies []string, d time.Duration) (sigv4.Credentials, time.Time, error)
	// PassRole returns nil when the caller may give the role to a service.
	PassRole(ctx context.Context, caller wire.Caller, roleARN, service string) error
}

// Pools knows whether a token still counts.
type Pools interface {
	// TokenActive reports whether the user of a verified ID token still exists,
	// is enabled and has not been signed out since.
	TokenActive(ctx context.Context, poolID string, t *token.Token) (bool, error)
}

// Config names what a Service needs.
type Config struct {
	DB        *store.DB
	Issuers   Issuers
	Roles     Roles
	Pools     Pools     // nil: pools that demand a server-side check accept no token
	Foreign   Foreign   // nil: no keys are fetched
	Providers Providers // nil: OpenID Connect and SAML providers sign nobody in
	Account   string
	BaseURL   string // of this installation: its user pools are issuers below it
	Now       func() time.Time
	Rand      io.Reader
	Log       *slog.Logger
}

// Service answers the Cognito identity API. It is safe for concurrent use.
type Service struct {
	cognitoidentityapi.Unimplemented
	cfg Config
	db  *store.DB
	t   tables

	mu     sync.Mutex // guards cfg.Rand
	making sync.Mutex // held while the signing key is loaded or made
	key    atomic.Pointer[token.SigningKey]
	guests rates
	moduli pkcs1.Keys
}

// New makes the Service and its tables.
func New(cfg Config) (*Service, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{cfg: cfg, db: cfg.DB, t: newTables(), guests: rates{full: map[string]time.Time{}}}
	if err := cfg.DB.Create(s.t.pools, s.t.identities, s.t.keys); err != nil {
		return nil, err
	}
	cfg.DB.Subscribe(keyTopic, func() { s.key.Store(nil) })
	return s, nil
}

// APIs returns the Cognito identity API.
func (s *Service) APIs() []*wire.API {
	api := cognitoidentityapi.New(s)
	api.Resources = s.resources
	return []*wire.API{api}
}

func (s *Service) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Millisecond) }

// newID makes an identifier of AWS's form: region:uuid.
func (s *Service) newID(region string) (string, error) {
	var b [16]byte
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.ReadFull(s.cfg.Rand, b[:]); err != nil {
		return "", err
	}
	return region + ":" + uuid.V4(b), nil
}

func (s *Service) poolARN(id string) string {
	return "arn:aws:cognito-identity:" + regionOf(id) + ":" + s.cfg.Account + ":identitypool/" + id
}
