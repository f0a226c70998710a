package gateway

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"moat/internal/http1"
	"moat/internal/outbound"
	"moat/internal/pkcs1"
	"moat/internal/pure/policy"
	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
	"moat/internal/wire"
)

// Errors of an [Invoker] that have an answer of their own.
var (
	// ErrFunctionNotPermitted: the function's policy does not let this API call it.
	ErrFunctionNotPermitted = errors.New("gateway: the function's policy does not permit the call")
	// ErrFunctionNotFound: there is no such function, version or alias.
	ErrFunctionNotFound = errors.New("gateway: no such function")
	// ErrFunctionPayload: the payload is larger than functions take.
	ErrFunctionPayload = errors.New("gateway: the payload is larger than functions take")
	// ErrFunctionThrottled: the function has no free concurrency.
	ErrFunctionThrottled = errors.New("gateway: the function is throttled")
)

// Authority knows access keys and decides on execute-api:Invoke. The shapes are those
// of [wire.Authority].
type Authority interface {
	// Credential may keep the id; the token is the request's and ends with it.
	Credential(ctx context.Context, accessKeyID, sessionToken string) (wire.Credential, error)
	Authorize(ctx context.Context, caller wire.Caller, action, resource, account string, keys policy.Context) (policy.Decision, error)
}

// Issuers finds the present keys of a token issuer. A key that has left the set
// takes its remembered tokens with it.
type Issuers interface {
	Keys(ctx context.Context, issuer string) (token.KeySet, error)
}

// Pools names the issuer of a user pool's tokens; an imported pool keeps the one it had.
type Pools interface {
	Issuer(poolARN string) (issuer string, ok bool)
}

// Config names what a Gateway needs. Every dependency that is missing makes the
// steps that need it refuse.
type Config struct {
	Authority Authority
	Issuers   Issuers
	Pools     Pools
	Invoker   Invoker
	Leaser    Leaser
	Services  Services
	// KeySecret keys the hashes under which API keys are found; see [Gateway.HashKey]. A
	// random one, unknown to everybody else, is made when it is empty.
	KeySecret []byte
	// AllowPrivate lets HTTP integrations reach loopback and private addresses.
	// Link-local and metadata addresses stay refused.
	AllowPrivate bool
	// Domain is what requestContext.domainName ends in when a request came by path.
	Domain string

	Now  func() time.Time
	Rand io.Reader
	Log  *slog.Logger
	// Record is told of each exchange. The strings of a record without an error code end with
	// the call; see [wire.Record.Clone].
	Record func(wire.Record)
	// Lines takes the lines of access logs and execution logs. It must not block. nil:
	// no such log is written.
	Lines func(LogLine)
	// Transport replaces the outbound transport of HTTP integrations in tests, Roots the
	// authorities that vouch for their backends.
	Transport http.RoundTripper
	Roots     *x509.CertPool
}

// Gateway serves published snapshots. It is safe for concurrent use: serving reads
// atomic pointers, publishing swaps them.
type Gateway struct {
	cfg     Config
	stages  atomic.Pointer[map[stageKey]*Snapshot]
	apis    atomic.Pointer[map[string]int] // number of published stages
	plans   *planIndex
	domains atomic.Pointer[map[string]*Domain]
	private atomic.Pointer[map[string]map[string]*Domain] // by VPC endpoint and name
	usage   usageBook
	room    room
	mu      sync.Mutex // serialises publishing
	// accounts are the buckets of account throttles, by account and region; mu guards them.
	accounts map[string]*bucket
	meters   map[stageKey]map[meter]*counters // guarded by mu

	keys     keyHasher
	tokens   *memory[identity]
	claims   *memory[*claimSet] // by the hashes of tokens
	scanners sync.Pool          // of *token.Scanner
	moduli   pkcs1.Keys
	policies *memory[*grant]
	signing  sigv4.Keys
	outbound http.RoundTripper
	direct   *http1.Client // by which outbound goes; nil with Config.Transport
	dialer   *outbound.Dialer
	steps    [9]step
	pool     sync.Pool // of *Exchange
	random   *random

	compressors compressors
}

type stageKey struct{ api, stage string }

// New returns a Gateway that serves nothing until something is published.
func New(cfg Config) *Gateway {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Record == nil {
		cfg.Record = func(wire.Record) {}
	}
	g := &Gateway{cfg: cfg, steps: steps(), random: newRandom(rand.Reader)}
	g.pool.New = func() any { return new(Exchange) }
	g.keys = newKeyHasher(secretOr(cfg.KeySecret, cfg.Rand))
	g.tokens = newMemory[identity](secretOr(nil, cfg.Rand), memorySets)
	g.claims = newMemory[*claimSet](nil, claimSets)
	g.scanners.New = func() any { return &token.Scanner{Check: g.moduli.Verify} }
	g.policies = newMemory[*grant](secretOr(nil, cfg.Rand), memorySets)
	g.outbound = cfg.Transport
	if g.outbound == nil {
		g.dialer = outbound.NewDialer(cfg.AllowPrivate)
		g.direct = g.client(g.dialer.DialContext, nil)
		g.outbound = &http1.Transport{Client: g.direct}
	}
	g.stages.Store(&map[stageKey]*Snapshot{})
	g.apis.Store(&map[string]int{})
	g.plans = newPlanIndex()
	g.domains.Store(&map[string]*Domain{})
	g.private.Store(&map[string]map[string]*Domain{})
	return g
}

func secretOr(secret []byte, from io.Reader) []byte {
	if len(secret) > 0 {
		return secret
	}
	secret = make([]byte, 32)
	if _, err := io.ReadFull(from, secret); err != nil {
		panic("gateway: no randomness: " + err.Error())
	}
	return secret
}

// Publish makes a stage serve s from the next request on. Requests under way end
// with the snapshot they began with.
func (g *Gateway) Publish(s *Snapshot) {
	g.mu.Lock()
	defer g.mu.Unlock()
	stages := maps.Clone(*g.stages.Load())
	g.equip(s)
	if old := stages[s.key]; old != nil && old != s {
		defer old.release()
	}
	g.adopt(s, stages[s.key])
	stages[s.key] = s
	g.swap(stages)
}

// Withdraw stops serving a stage. Withdrawing what is not published does nothing.
func (g *Gateway) Withdraw(apiID, stage string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	stages := maps.Clone(*g.stages.Load())
	delete(stages, stageKey{apiID, stage})
	g.forget(apiID, stage)
	g.swap(stages)
}

func (g *Gateway) swap(stages map[stageKey]*Snapshot) {
	apis := make(map[string]int, len(stages))
	for _, s := range stages {
		apis[s.def.APIID]++
	}
	g.stages.Store(&stages)
	g.apis.Store(&apis)
}
