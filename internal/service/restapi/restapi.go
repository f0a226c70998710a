// Package restapi is the control plane of REST APIs, with API Gateway's interface:
// definitions, deployments, stages, API keys and usage plans. It owns their tables,
// compiles what is deployed into the gateway's snapshots, and hands out quota.
//
// What an API's definition says is served only once it is deployed: CreateDeployment
// freezes a copy, and a stage serves the copy it points at. The package serves no
// request itself, and refuses to deploy what the gateway cannot serve.
package restapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"sync"
	"time"

	"moat/internal/gateway"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
)

// Publisher takes what is deployed: compiled stages, plans and keys. It is safe for concurrent use.
type Publisher interface {
	Publish(s *gateway.Snapshot)
	Withdraw(apiID, stage string)
	// LoadPlans replaces all plans and keys, ChangePlans only those that it names.
	LoadPlans(plans map[string]gateway.Plan, keys func(yield func(gateway.KeyHash, gateway.Key)) error) error
	ChangePlans(change gateway.PlanChange)
	PublishDomains(domains map[string]*gateway.Domain)
	// PublishPrivateDomains replaces the private domains, by VPC endpoint and name.
	PublishPrivateDomains(byEndpoint map[string]map[string]*gateway.Domain)
	// HashDigest is the form in which an API key is published, by the SHA-256 of its value.
	HashDigest(digest [sha256.Size]byte) gateway.KeyHash
	// TakeUsage and TakeUnspent tell what was spent of quotas, and give leased blocks back.
	TakeUsage() []gateway.Usage
	TakeUnspent(all bool) []gateway.Unspent
}

// Tester tries methods and authorizers that are not deployed. It is safe for concurrent use.
type Tester interface {
	TestMethod(ctx context.Context, s *gateway.Snapshot, r gateway.TestRequest) gateway.TestResult
	TestAuthorizer(ctx context.Context, s *gateway.Snapshot, r gateway.TestRequest) gateway.AuthorizerResult
}

// Config names what the service depends on.
type Config struct {
	DB        *store.DB
	Now       func() time.Time
	Rand      io.Reader
	Log       *slog.Logger
	Account   string
	BaseURL   string // public address of this Moat
	Domain    string // name below which APIs are served
	Publisher Publisher
	Tester    Tester // nil: tests answer 501
	// Vouches reports whether Moat has a certificate of its own for a name; nil: for none. Reserved
	// reports whether a name is none to give away, since Moat itself answers to it.
	Vouches, Reserved func(name string) bool
	// Targets are the targets (host:port) of VPC links, by the name of the load balancer that stands
	// for them in templates.
	Targets map[string][]string
	// VPCEndpoints are the ids of the VPC endpoints that the operator has opened.
	VPCEndpoints []string
	// Trusts tells whether a role may be assumed for the account's logs. nil: nobody is asked.
	Trusts Trusts
	// Quotas are the operator's, by the names of [Quotas]; what is not among them is as AWS has it at first.
	Quotas map[string]int
	// PassRoler decides whether a caller may give a role to integrations and authorizers. nil: nobody is asked.
	PassRoler PassRoler
}

// Service implements API Gateway's interface for REST APIs. It is safe for concurrent use.
type Service struct {
	apigatewayapi.Unimplemented
	cfg    Config
	db     *store.DB
	tables tables

	counting sync.Mutex // of the two below: what is to be written of quotas
	untold   []gateway.Usage
	unspent  []gateway.Unspent

	plans planPublisher

	publishing sync.Mutex
	published  map[stageKey]string // version of what each stage serves
	positions  []byte              // key that seals the positions of lists
}

type stageKey struct{ api, stage string }

// New opens the service's tables. Call [Service.PublishAll] before the first request is served.
func New(cfg Config) (*Service, error) {
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	positions, _, err := cfg.DB.MACKey("restapi/position")
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, db: cfg.DB, tables: newTables(), published: map[stageKey]string{}, positions: positions}
	s.plans.stale.Store(true)
	s.db.Subscribe(planTopic, func() { s.plans.stale.Store(true) })
	if err := s.tables.create(cfg.DB); err != nil {
		return nil, err
	}
	return s, s.moveKeys(context.Background())
}

// APIs returns the API that the service answers.
func (s *Service) APIs() []*wire.API {
	api := apigatewayapi.New(s)
	api.Resources, api.PlainFirst = s.resources(api.ByName()), true // it reads documents
	api.Resource = privateResource
	return []*wire.API{api}
}

// Run publishes what other nodes deploy, and counts what plans have used, until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	var counting sync.WaitGroup
	counting.Go(func() { s.keepUsage(ctx) })
	defer counting.Wait()
	changed, plans := make(chan struct{}, 1), make(chan struct{}, 1)
	wake := func(c chan struct{}) func() {
		return func() {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
	s.db.Subscribe(topic, wake(changed))
	s.db.Subscribe(planTopic, wake(plans))
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			err = s.PublishAll(ctx)
		case <-plans:
			err = s.publishPlans(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.cfg.Log.Error("restapi: what is deployed could not be published", "error", err)
		}
	}
}
