package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"moat/internal/pure/uuid"
	"moat/internal/service/stack/template"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

// Service is the CloudFormation service. Its methods may be called concurrently.
type Service struct {
	cloudformationapi.Unimplemented
	cfg       Config
	api       *wire.API
	schema    *template.Schema
	handlers  map[string]Handler
	contracts map[string]*wire.Operation // what the shapes of handlers are held to
	tables    tables
	owner     string // of operations: this process

	queue   chan *operation // to Run
	serving atomic.Bool     // Run takes from the queue

	mu       sync.Mutex
	random   sync.Mutex
	packaged map[string][]byte        // without PackageDir
	running  map[string]chan struct{} // by stack: closed when this process's operation on it is over
}

func newService(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Now == nil || cfg.Rand == nil {
		return nil, errors.New("stack: DB, Now and Rand are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	schema, err := template.NewSchema()
	if err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, schema: schema, tables: newTables(), queue: make(chan *operation, 256),
		packaged: map[string][]byte{}, running: map[string]chan struct{}{},
	}
	s.handlers = allHandlers(cfg.Services)
	for typ, h := range cfg.Handlers {
		s.handlers[typ] = h
	}
	s.owner = s.uuid()
	s.contracts = contracts(s.handlers)
	s.api = cloudformationapi.New(s)
	s.api.Resources = s.resources(s.api.ByName())
	return s, cfg.DB.Create(s.tables.all()...)
}

// uuid returns a random UUID of version 4.
func (s *Service) uuid() string {
	var b [16]byte
	s.random.Lock()
	_, err := io.ReadFull(s.cfg.Rand, b[:])
	s.random.Unlock()
	if err != nil {
		panic("stack: no randomness: " + err.Error())
	}
	return uuid.V4(b)
}

// where returns the account and region of the running call.
func (s *Service) where(ctx context.Context) (account, region string) {
	c := wire.CallFrom(ctx)
	account, region = c.Account, c.Region
	if account == "" {
		account = s.cfg.Account
	}
	if region == "" {
		region = "us-east-1"
	}
	return account, region
}

// find returns a stack by its name (deleted ones excluded) or its id.
func (s *Service) find(tx *store.Tx, account, region, nameOrID string) (stackRecord, error) {
	if strings.HasPrefix(nameOrID, "arn:") {
		parts := strings.Split(nameOrID, "/")
		r, err := s.tables.stacks.Get(tx, account, region, parts[len(parts)-1])
		if err == nil && r.id() != nameOrID {
			return r, store.ErrNotFound
		}
		return r, err
	}
	found, err := s.tables.stacks.List(tx, store.Query{Index: "live", Values: []string{account, region, nameOrID}, Limit: 1})
	if err != nil || len(found) > 0 {
		return first(found), err
	}
	return stackRecord{}, store.ErrNotFound
}

func first[T any](list []T) T {
	var zero T
	if len(list) == 0 {
		return zero
	}
	return list[0]
}

// settled are the states in which an update may begin.
func settled(status string) bool {
	switch status {
	case "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED", "CREATE_FAILED", "IMPORT_COMPLETE":
		return true
	}
	return false
}

func infoOf(r *stackRecord) StackInfo {
	return StackInfo{ID: r.id(), Name: r.Name, Account: r.Account, Region: r.Region}
}

// beginning is what begins a create or an update.
type beginning struct {
	kind            string
	plan            *plan
	stack           stackRecord // as it shall be while the operation runs
	before          *stackRecord
	who             identity
	token           string
	keepOnFailure   bool
	deleteOnFailure bool
	local           bool
	status          string
	emit            func(Event)
	also            func(tx *store.Tx) error
}

// begin commits the start of a create or an update and returns the operation to run.
func (s *Service) begin(ctx context.Context, b beginning) (*operation, error) {
	now := s.cfg.Now()
	sealed, err := s.seal(stackPurpose, stackSecret{Parameters: b.plan.parameters})
	if err != nil {
		return nil, err
	}
	text, err := s.seal(templatePurpose, templateText{Body: b.plan.source.body, Processed: b.plan.processed})
	if err != nil {
		return nil, err
	}
	gen := b.stack.Generation + 1
	if b.kind == "create" {
		b.stack.Secret = sealed
		b.stack.Generation = gen
	} else {
		var secret stackSecret // outputs stay as they are until the update succeeded
		if secret, err = s.stackSecret(&b.stack); err != nil {
			return nil, err
		}
		secret.Parameters = b.plan.parameters
		if b.stack.Secret, err = s.seal(stackPurpose, secret); err != nil {
			return nil, err
		}
	}
	rec := operationRecord{
		Account: b.stack.Account, Region: b.stack.Region, UUID: b.stack.UUID, ID: s.uuid(), Kind: b.kind, Phase: "forward", Generation: gen,
		Caller: b.who.caller, RoleARN: b.who.role, Token: b.token, KeepOnFailure: b.keepOnFailure, DeleteOnFailure: b.deleteOnFailure, Local: b.local,
		Before: b.before, Owner: s.owner, Started: now, Beat: now,
	}
	o := &operation{s: s, rec: rec, stack: b.stack, info: infoOf(&b.stack), plan: b.plan, resources: map[string]*resourceRecord{}, imported: map[string]bool{}, done: make(chan struct{})}
	o.journal = s.newJournal(b.stack.key(), b.emit)
	if !s.claim(b.stack.UUID) {
		return nil, busy(&b.stack)
	}
	err = o.become(ctx, b.status, "User Initiated", func(tx *store.Tx) error {
		if err := s.mayBegin(tx, &o.rec, &b); err != nil {
			return err
		}
		if b.also != nil {
			if err := b.also(tx); err != nil {
				return err
			}
		}
		if err := s.tables.operations.Put(tx, o.rec); err != nil {
			return err
		}
		return s.tables.templates.Put(tx, templateRecord{
			Account: rec.Account, Region: rec.Region, UUID: rec.UUID, Generation: generation(gen), Sealed: text,
		})
	})
	if err == nil {
		err = o.load(ctx)
	}
	if err != nil {
		s.release(b.stack.UUID)
		return nil, err
	}
	return o, nil
}

// mayBegin checks inside the transaction that no other operation is under way.
func (s *Service) mayBegin(tx *store.Tx, rec *operationRecord, b *beginning) error {
	if b.kind == "create" {
		cur, err := s.find(tx, rec.Account, rec.Region, b.stack.Name)
		if err == nil && cur.UUID != rec.UUID {
			return &cloudformationapi.AlreadyExistsException{Message: "Stack [" + b.stack.Name + "] already exists"}
		}
		if err != nil && err != store.ErrNotFound {
			return err
		}
		return nil
	}
	cur, err := s.tables.stacks.Get(tx, rec.Account, rec.Region, rec.UUID)
	if err != nil {
		return err
	}
	if !settled(cur.Status) || cur.Generation != b.stack.Generation {
		return busy(&cur)
	}
	if old, err := s.tables.operations.Get(tx, rec.Account, rec.Region, rec.UUID); err == nil && old.Before != nil {
		rec.Before = old.Before // an update that failed and was kept: roll back to before it
	}
	return nil
}

func busy(r *stackRecord) error {
	return validationError("Stack:%s is in %s state and can not be updated.", r.id(), r.Status)
}

// claim marks a stack as worked on by this process.
func (s *Service) claim(uuid string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[uuid] != nil {
		return false
	}
	s.running[uuid] = make(chan struct{})
	return true
}

func (s *Service) release(uuid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if over := s.running[uuid]; over != nil {
		close(over)
	}
	delete(s.running, uuid)
}

// load reads the resources of the stack.
func (o *operation) load(ctx context.Context) error {
	return o.s.cfg.DB.View(ctx, func(tx *store.Tx) error {
		list, err := o.s.tables.resources.List(tx, store.Query{Prefix: o.stack.key()})
		if err != nil {
			return err
		}
		o.resources = make(map[string]*resourceRecord, len(list))
		for i := range list {
			o.resources[list[i].LogicalID] = &list[i]
		}
		return nil
	})
}

// carry runs an operation, then lets the stack go.
func (s *Service) carry(ctx context.Context, o *operation) error {
	defer close(o.done)
	defer s.release(o.stack.UUID)
	err := o.run(ctx)
	if err != nil {
		s.cfg.Log.Error("stack operation stopped", "stack", o.info.Name, "operation", o.rec.Kind, "error", err)
	}
	return err
}

// newStack returns the record of a stack that is about to be created.
func (s *Service) newStack(ctx context.Context, name string) stackRecord {
	account, region := s.where(ctx)
	return stackRecord{Account: account, Region: region, UUID: s.uuid(), Name: name, Created: s.cfg.Now()}
}

var errNoWork = fmt.Errorf("stack: operation is not this node's")

// beatEvery is how often a running operation of a shared database shows its life, and
// staleAfter when another node takes it over.
const (
	beatEvery  = 3 * time.Second
	staleAfter = 15 * time.Second
)
