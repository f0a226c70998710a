// Package function keeps functions, their versions, aliases, layers and
// permissions, and runs them: AWS Lambda's API on [sandbox.Host].
//
// It owns what a function is and who may invoke it. How a process is isolated,
// kept warm and talked to is the sandbox's; what a role may do is IAM's, which
// this package asks through [Roles] and [PassRoler]. It never runs code without
// a role that trusts lambda.amazonaws.com, and keeps environment variables sealed.
package function

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/sandbox"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// servicePrincipal is whom the role of a function must trust.
const servicePrincipal = "lambda.amazonaws.com"

// Credentials are temporary credentials of a role.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	Expires                                    time.Time
}

// Roles answers for the roles that functions run with.
type Roles interface {
	// TrustsService says whether the role exists and its trust policy lets the
	// service principal assume it for a function, by its ARN.
	TrustsService(ctx context.Context, roleARN, service, function string) (bool, error)
	// RoleCredentials issues credentials of the role to a service principal that it
	// trusts, for a function: what is done with them names it.
	RoleCredentials(ctx context.Context, roleARN, service, function, sessionName string, lifetime time.Duration) (Credentials, error)
}

// PassRoler decides on iam:PassRole: whether caller may give the role to the service.
// A refusal is an error in the words that the caller gets.
type PassRoler interface {
	PassRole(ctx context.Context, caller wire.Caller, roleARN, service string) error
}

// Authority decides what an IAM caller may do to a function that has a policy of its own,
// or none.
type Authority interface {
	AuthorizeResource(ctx context.Context, caller wire.Caller, action, resource, account string, resourcePolicy *policy.Document, keys policy.Context) (policy.Decision, error)
}

// Logs takes what functions write. Group and stream are made if they are missing.
type Logs interface {
	Append(ctx context.Context, region, group, stream string, events []LogEvent) error
}

// LogEvent is one line of a log.
type LogEvent struct {
	Time    time.Time
	Message string
}

// Config names what a Service depends on.
type Config struct {
	DB   *store.DB
	Host *sandbox.Host
	// Dir is the folder of code packages.
	Dir       string
	Roles     Roles
	PassRoler PassRoler // nil: nobody is asked
	Authority Authority // nil: an Invocation by a Caller is refused
	Logs      Logs      // nil: logs are dropped, but for the tail of an invocation's own
	Account   string
	BaseURL   string // where functions without a network of their own reach Moat
	// Concurrency is the account's limit of concurrent executions. 0: 1000.
	Concurrency int
	Now         func() time.Time
	Rand        io.Reader
	Log         *slog.Logger
}

// Service is AWS Lambda's API and the invocation of functions. It is safe for
// concurrent use.
type Service struct {
	lambdaapi.Unimplemented

	cfg    Config
	db     *store.DB
	host   *sandbox.Host
	code   codeStore
	tables tables
	logs   *logQueue
	wake   chan struct{} // the queue of events has something new

	mu      sync.Mutex
	gen     uint64             // rises with every change of a table
	targets map[string]*target // by reference; empty after every change
	specs   map[string]string  // the environments' key in use, by function and version
}

// New gives the service. It makes its tables and folders and starts nothing.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.DB == nil || cfg.Host == nil || cfg.Roles == nil:
		return nil, errors.New("function: a store, a sandbox and roles are needed")
	case cfg.Dir == "" || cfg.Account == "":
		return nil, errors.New("function: a folder and an account are needed")
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 1000
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	dir := filepath.Join(cfg.Dir, "code")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, db: cfg.DB, host: cfg.Host, code: codeStore{dir: dir}, tables: newTables(),
		logs: newLogQueue(cfg.Log), wake: make(chan struct{}, 1),
		targets: map[string]*target{}, specs: map[string]string{},
	}
	t := s.tables
	if err := cfg.DB.Create(t.functions, t.versions, t.aliases, t.permissions, t.layers, t.events); err != nil {
		return nil, err
	}
	cfg.DB.Subscribe(topic, s.forget)
	return s, nil
}

// APIs gives the AWS API that the service speaks.
func (s *Service) APIs() []*wire.API {
	a := lambdaapi.New(s.API())
	a.Resources, a.PolicyOf = s.resources(a.ByName()), s.policyOf
	return []*wire.API{a}
}

// API gives the operations of AWS's API, without authorisation.
func (s *Service) API() lambdaapi.Service { return api{s} }

// Run delivers events, passes logs on and tidies up, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.logs.run(ctx, s.cfg.Logs) })
	wg.Go(func() { s.deliverEvents(ctx) })
	wg.Go(func() { s.tidy(ctx) })
	wg.Wait()
	return nil
}

const (
	tidyInterval = time.Hour
	tidyAge      = time.Hour // a package may be there before the record that names it
)

// tidy removes packages that nothing needs any more, now and then, until ctx ends.
func (s *Service) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.sweepCode(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.Warn("unused code packages could not be removed", "error", err)
			}
		}
	}
}

// sweepCode removes the packages that no function, version or layer names.
func (s *Service) sweepCode(ctx context.Context) error {
	used := map[string]bool{}
	err := s.db.View(ctx, func(tx *store.Tx) error {
		functions, err := s.tables.functions.List(tx, store.Query{})
		if err != nil {
			return err
		}
		versions, err := s.tables.versions.List(tx, store.Query{})
		if err != nil {
			return err
		}
		layers, err := s.tables.layers.List(tx, store.Query{})
		if err != nil {
			return err
		}
		for _, f := range functions {
			versions = append(versions, f.Latest)
		}
		for _, v := range versions {
			used[v.CodeSHA256] = true
			for _, l := range v.Layers {
				used[l.CodeSHA256] = true
			}
		}
		for _, l := range layers {
			used[l.CodeSHA256] = used[l.CodeSHA256] || !l.Deleted
		}
		return nil
	})
	if err != nil {
		return err
	}
	for sum, keep := range used {
		if !keep {
			delete(used, sum)
		}
	}
	return s.code.sweep(used, time.Now(), tidyAge) // files bear the machine's time
}

// forget drops what was read from the tables.
func (s *Service) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gen++
	clear(s.targets)
}

// call gives the running call, in the account and a region at least.
func (s *Service) call(ctx context.Context) *wire.Call {
	c := wire.CallFrom(ctx)
	if c.Account != "" && c.Region != "" {
		return c
	}
	filled := *c
	if filled.Account == "" {
		filled.Account = s.cfg.Account
	}
	if filled.Region == "" {
		filled.Region = "us-east-1"
	}
	return &filled
}
