// Package iam owns the principals of an account: users, groups, roles, access
// keys and policies (IAM), and the temporary sessions made of them (STS).
//
// Its Service decides for all others whether a caller may do what it asks. It
// decides by documents only, through package policy; an access key, a policy or
// a token that it does not know or cannot read refuses. It verifies web
// identities by their issuers' keys and never looks into a user pool.
package iam

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"moat/internal/pkcs1"
	"moat/internal/pure/policy"
	"moat/internal/pure/token"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

// Issuers finds the verification keys of a token's issuer.
type Issuers interface {
	Keys(ctx context.Context, issuer string) (token.KeySet, error)
}

// Foreign finds the keys of an issuer outside of this installation. Thumbprints
// are those of certificates that are trusted besides the public authorities.
type Foreign interface {
	ForeignKeys(ctx context.Context, issuer string, thumbprints []string) (token.KeySet, error)
}

// Config names what a Service needs.
type Config struct {
	DB      *store.DB
	Account string
	Issuers Issuers // nil: no web identity is accepted
	Foreign Foreign // nil: only web identities of this installation's own issuers
	// SAMLRecipients are the addresses of this installation at which assertions
	// may be presented, besides AWS's own.
	SAMLRecipients []string
	// Guardrails are service control policies: they limit every principal of
	// the account, its root too, but service-linked roles.
	Guardrails []Guardrail
	Now        func() time.Time
	Rand       io.Reader
	Log        *slog.Logger
}

// Service answers the IAM and STS APIs and is the [wire.Authority] of its
// account. It is safe for concurrent use.
type Service struct {
	iamapi.Unimplemented
	cfg   Config
	db    *store.DB
	t     tables
	cache atomic.Pointer[cache]
	root  atomic.Pointer[rootKey]
	// moduli prepares keys of issuers.
	moduli pkcs1.Keys
	rand   lockedReader
	// packers are writers that deflate sessions.
	packers  sync.Pool
	sts      *sts
	guards   []*policy.Document
	used     *recorder
	reports  *store.Table[AccessReport]
	services []awsService // see Catalogue
	hash     *slowHash
	// awsManaged holds the policies of arn:aws:iam::aws, by ARN.
	awsManaged map[string]Policy
	allows     *policy.Document // allows everything: what a root has
}

// rootKey is the key of the account's root; it lives in memory only.
type rootKey struct{ id, secret string }

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
	allows, err := policy.Parse("account root", []byte(rootPolicy))
	if err != nil {
		return nil, err
	}
	guards, err := compileGuardrails(cfg.Guardrails)
	if err != nil {
		return nil, err
	}
	managed, err := managedPolicies()
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, db: cfg.DB, t: newTables(), allows: allows, awsManaged: managed, guards: guards, used: newRecorder(), reports: newReports(), hash: newSlowHash()}
	s.rand.r = cfg.Rand
	s.sts = &sts{Service: s}
	if err := cfg.DB.Create(append(s.t.all(), s.used.uses, s.used.keys, s.reports)...); err != nil {
		return nil, err
	}
	s.forget()
	cfg.DB.Subscribe(topic, s.forget)
	return s, nil
}

// APIs returns the IAM and STS APIs.
func (s *Service) APIs() []*wire.API {
	iam, sts := iamapi.New(s), stsapi.New(s.sts)
	iam.Resources, sts.Resources = s.iamResources(iam.ByName()), s.stsResources
	return []*wire.API{iam, sts}
}

// now is the time as records keep it.
func (s *Service) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Second) }

func (s *Service) arn(kind, path, name string) string {
	return "arn:aws:iam::" + s.cfg.Account + ":" + kind + path + name
}

// lockedReader makes a source of randomness safe for concurrent use.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.ReadFull(l.r, b)
}

// newID makes an identifier of AWS's form: a prefix that tells the kind, then
// letters and digits.
func (s *Service) newID(prefix string, length int) (string, error) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	b := make([]byte, length-len(prefix))
	if _, err := s.rand.Read(b); err != nil {
		return "", err
	}
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return prefix + string(b), nil
}

// newSecret makes a secret access key: 40 characters, 240 bits.
func (s *Service) newSecret() (string, error) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	b := make([]byte, 40)
	if _, err := s.rand.Read(b); err != nil {
		return "", err
	}
	for i := range b {
		b[i] = alphabet[b[i]&63]
	}
	return string(b), nil
}

// The lengths of AWS's identifiers.
const (
	entityIDLength = 21
	keyIDLength    = 20
)

// lower is the form of a name as a key: names that differ only in letter case
// cannot exist side by side (IAM quotas, "names are unique within an account").
func lower(name string) string { return strings.ToLower(name) }
