// Package userpool is the user directory: user pools, app clients, users, groups,
// sign-in and the OAuth endpoints, behind the API of Amazon Cognito user pools.
//
// It owns every password, code and token of a user. Passwords are kept as SRP
// verifiers, never as text; what a client brings back (challenges, refresh tokens,
// page tokens) is authenticated before a single byte of it is believed. It sends no
// mail itself and does no I/O within a transaction. What it does not have (passkeys,
// federation, login pages) it refuses with status 501.
package userpool

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"moat/internal/pkcs1"
	"moat/internal/pure/srp"
	"moat/internal/service/userpool/breached"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// Config names what a Service depends on.
type Config struct {
	DB      *store.DB
	Now     func() time.Time
	Rand    io.Reader
	Log     *slog.Logger
	Account string
	// BaseURL is where clients reach this server ("http://localhost:4566"). The
	// issuer of a pool is BaseURL + "/" + pool id.
	BaseURL string
	// Domain is host and port of BaseURL.
	Domain string
	// Messenger sends codes and invitations. nil: nothing is sent, and a log line says so.
	Messenger Messenger
	// Prompt delivers a message before the call that causes it is answered: for the outbox
	// of `moat dev`, and for tests. Otherwise [Service.Run] delivers.
	Prompt bool
	// Record receives one record per request to the OAuth endpoints; nil drops them.
	Record func(wire.Record)
	// Invoker runs triggers. nil: a trigger fails, and with it what it guards.
	Invoker Invoker
	// AppendLog keeps lines in a log group of a region; nil drops them.
	AppendLog func(ctx context.Context, region, group, stream string, times []time.Time, texts []string) error
	// SenderKeys reads the public keys of custom senders. nil: no pool can have one.
	SenderKeys SenderKeys
	// PassRoler decides whether a caller may give a role to a group. nil: nobody is asked.
	PassRoler PassRoler
	// Breached lists passwords that attackers have. nil: the list that comes with the program.
	Breached breached.List
}

// PassRoler decides on iam:PassRole: whether caller may give the role to the service.
// A refusal is an error in the words that the caller gets.
type PassRoler interface {
	PassRole(ctx context.Context, caller wire.Caller, roleARN, service string) error
}

// Service implements the user pool operations. It is safe for concurrent use.
type Service struct {
	api.Unimplemented

	db         *store.DB
	now        func() time.Time
	rand       io.Reader
	log        *slog.Logger
	account    string
	baseURL    string
	domain     string
	messenger  Messenger
	prompt     bool
	postman    *postman
	invoker    Invoker
	record     func(wire.Record)
	passRoler  PassRoler
	senderKeys SenderKeys
	breached   breached.List
	appendLog  func(ctx context.Context, region, group, stream string, times []time.Time, texts []string) error

	tables    tables
	keys      *keyring
	secrets   *secrets
	machine   machine
	slow      *slowHashes
	srp       *srp.Server
	moduli    pkcs1.Keys
	decoy     []byte // see findEvenly
	estimates estimates
	started   chan struct{} // says that an import may have work
}

// New creates the tables and the service's own secret. It starts nothing: see [Service.Run].
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Account == "" || cfg.BaseURL == "" {
		return nil, errors.New("userpool: a database, an account and a base URL are needed")
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
	if cfg.Record == nil {
		cfg.Record = func(wire.Record) {}
	}
	if cfg.Breached == nil {
		cfg.Breached = breached.NewCommon()
	}
	s := &Service{
		db: cfg.DB, now: cfg.Now, rand: cfg.Rand, log: cfg.Log,
		account: cfg.Account, baseURL: strings.TrimRight(cfg.BaseURL, "/"), domain: cfg.Domain,
		messenger: cfg.Messenger, prompt: cfg.Prompt, invoker: cfg.Invoker, record: cfg.Record, passRoler: cfg.PassRoler, senderKeys: cfg.SenderKeys, breached: cfg.Breached,
		tables:    newTables(),
		appendLog: cfg.AppendLog, started: make(chan struct{}, 1),
	}
	if err := s.db.Create(s.tables.all()...); err != nil {
		return nil, err
	}
	secrets, err := s.openSecrets(context.Background())
	if err != nil {
		return nil, err
	}
	s.secrets = secrets
	if s.decoy, err = newDecoy(); err != nil {
		return nil, err
	}
	s.srp = srp.NewServer()
	s.keys = newKeyring(s)
	s.machine = s.newMachine()
	s.postman = newPostman(s)
	s.slow = newSlowHashes()
	s.db.Subscribe(topicPools, s.keys.forget)
	return s, nil
}

// APIs returns the API this service offers.
func (s *Service) APIs() []*wire.API {
	a := api.New(s)
	a.Resources = s.resources
	return []*wire.API{a}
}

// Run keeps signing keys in reserve, gives young pools their second one, delivers
// messages, carries out import jobs and writes events to log groups, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.keys.run(ctx) })
	group.Go(func() error { return s.postman.run(ctx) })
	group.Go(func() error { return s.runImports(ctx) })
	group.Go(func() error { return s.runLines(ctx) })
	return group.Wait()
}

// time is now in UTC without a monotonic part, in milliseconds, as records keep it.
func (s *Service) time() time.Time { return s.now().UTC().Truncate(time.Millisecond) }

// update runs fn in a transaction and maps its error to an exception.
func (s *Service) update(ctx context.Context, fn func(tx *store.Tx) error) error {
	return exception(s.db.Update(ctx, fn))
}

// view is update for reading.
func (s *Service) view(ctx context.Context, fn func(tx *store.Tx) error) error {
	return exception(s.db.View(ctx, fn))
}
