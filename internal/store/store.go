// Package store keeps Moat's records in transactional typed tables.
//
// A service declares a [Table] beside its record type; each table is a real SQL
// table (key columns, one JSON document) that a person can read with sqlite3 or
// psql. Two dialects run the same code: SQLite, embedded, for one machine, and
// a PostgreSQL-wire database where one machine is outgrown.
//
// The package knows no record type, does no I/O but the database's, and never
// answers a write before it is on disk.
package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Config names what a DB depends on.
type Config struct {
	// Path is the SQLite file; ":memory:" is a private database that ends with
	// the DB. Its folder must exist.
	Path string
	// URL is a PostgreSQL address (postgres://...); it excludes Path.
	URL string
	// MasterKey seals secrets at rest: 32 bytes. For ":memory:" it may be nil,
	// and is then random.
	MasterKey []byte
	// OldKeys are earlier master keys, still able to open what they sealed.
	OldKeys [][]byte
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of nonces; nil means crypto/rand.
	Rand io.Reader
	// Log receives what happens in the background; nil discards it.
	Log *slog.Logger
}

// DB is a database. Its methods may be called from any goroutine.
type DB struct {
	now     func() time.Time
	rand    io.Reader
	log     *slog.Logger
	engine  engine
	keyring *keyring
	topics  *topics
	history history

	mu      sync.Mutex
	prints  map[string]string   // table name -> fingerprint that the database holds
	created map[string]*created // tables of this process
}

// engine is one dialect: how statements run and when a commit is durable.
type engine interface {
	dialect() dialect
	view(ctx context.Context, fn func(*Tx) error) error
	update(ctx context.Context, fn func(*Tx) error) error
	// define is update for what can be made again: until the next update is on disk a
	// loss of power may undo it.
	define(ctx context.Context, fn func(*Tx) error) error
	// changed returns the topics that other processes changed since the last call.
	changed(ctx context.Context) ([]string, error)
	// startFeed has changed report only what comes after it.
	startFeed(ctx context.Context) error
	// tidy deletes what changed no longer needs.
	tidy(ctx context.Context) error
	// rest gives back memory that only makes later work faster.
	rest(ctx context.Context) error
	// name tells this process from others on the same database; empty where there are none.
	name() string
	close() error
}

// Open opens a database and creates or upgrades what the store itself needs.
// A database written by a newer Moat, another master key or a second process on
// the same SQLite file are errors of one sentence.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	ring, err := newKeyring(cfg.MasterKey, cfg.OldKeys, cfg.Rand)
	if err != nil {
		return nil, err
	}
	db := &DB{now: cfg.Now, rand: cfg.Rand, log: cfg.Log, keyring: ring, topics: newTopics(), history: newHistory(), created: map[string]*created{}}
	if cfg.URL != "" {
		db.engine, err = openPostgres(ctx, db, cfg)
	} else {
		db.engine, err = openSQLite(ctx, db, cfg)
	}
	if err != nil {
		return nil, err
	}
	if err = db.openMeta(ctx); err == nil {
		err = db.engine.startFeed(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.engine.close())
	}
	return db, nil
}

func (cfg Config) withDefaults() (Config, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case (cfg.Path == "") == (cfg.URL == ""):
		return cfg, errors.New("store: exactly one of a file and a database address must be given")
	case cfg.URL != "" && !strings.HasPrefix(cfg.URL, "postgres://") && !strings.HasPrefix(cfg.URL, "postgresql://"):
		return cfg, errors.New("store: a database address begins with postgres://")
	case cfg.Path == memory && cfg.MasterKey == nil:
		cfg.MasterKey = make([]byte, masterKeySize)
		if _, err := io.ReadFull(cfg.Rand, cfg.MasterKey); err != nil {
			return cfg, fmt.Errorf("store: random master key: %w", err)
		}
	}
	return cfg, nil
}

// Rest gives back memory that only makes later work faster: pages of the file, connections
// that nobody uses. It is for times of silence.
func (db *DB) Rest(ctx context.Context) error { return db.engine.rest(ctx) }

// Node tells this process from others that may use the same database; it is empty where none can. A
// record that all of them write all the time is better one of each: writers of one row wait for each
// other, and begin again.
func (db *DB) Node() string { return db.engine.name() }

// Close releases the database. Transactions must have ended.
func (db *DB) Close() error { return db.engine.close() }

// View runs fn on a snapshot: it sees all that was answered before View began
// and nothing of what is committed while it runs. fn must not write, nor keep tx.
func (db *DB) View(ctx context.Context, fn func(*Tx) error) error {
	return db.engine.view(ctx, fn)
}

// Update runs fn in a serialisable transaction and returns after its commit is
// on disk. An error of fn, or of any statement in it, undoes all that fn wrote.
// fn may run again (a database may refuse a commit because of a concurrent one),
// so it has no side effects but those on tx; it must call neither View nor
// Update, for which it would wait for ever.
func (db *DB) Update(ctx context.Context, fn func(*Tx) error) error {
	return db.engine.update(ctx, fn)
}

// Run polls for changes of other processes and deletes expired records, until
// ctx ends; it returns nil then.
func (db *DB) Run(ctx context.Context) error {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	sweep := time.NewTicker(sweepInterval)
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
			changed, err := db.engine.changed(ctx)
			if err != nil && ctx.Err() == nil {
				db.log.Warn("the store could not look for changes of other nodes", "error", err)
			}
			db.topics.notify(changed)
		case <-sweep.C:
			if _, err := db.Sweep(ctx); err != nil && ctx.Err() == nil {
				db.log.Warn("the store could not delete expired records", "error", err)
			}
		}
	}
}

const (
	memory        = ":memory:"
	pollInterval  = 250 * time.Millisecond
	sweepInterval = time.Minute
)
