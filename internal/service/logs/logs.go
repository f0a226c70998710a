// Package logs keeps log groups, their streams and their events, behind the API
// of Amazon CloudWatch Logs.
//
// Events are kept in chunks, some hundreds in a row of the store: see [Chunk].
//
// Events older than a group's retention are invisible at once and deleted by
// [Service.Run]. There are no queries, subscriptions, metric filters or keys of
// one's own; patterns of space-delimited fields and regular expressions are
// refused with 501.
package logs

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/logsapi"
)

// Config names what a Service depends on.
type Config struct {
	DB      *store.DB
	Now     func() time.Time
	Rand    io.Reader
	Log     *slog.Logger
	Account string
	BaseURL string
	Domain  string
}

// Service implements the operations of logsapi. It is safe for concurrent use.
type Service struct {
	api.Unimplemented
	db      *store.DB
	now     func() time.Time
	log     *slog.Logger
	account string
	lists   sync.Pool // of *[]event, for Append
	tables
}

var _ api.Service = (*Service)(nil)

// New creates the tables. It starts nothing: see [Service.Run].
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Account == "" {
		return nil, errors.New("logs: a database and an account are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{db: cfg.DB, now: cfg.Now, log: cfg.Log, account: cfg.Account, tables: newTables()}
	if err := s.db.Create(s.groups, s.streams, s.chunks, s.events); err != nil {
		return nil, err
	}
	return s, nil
}

// APIs returns the one API of this service.
func (s *Service) APIs() []*wire.API {
	a := api.New(s)
	a.Resources = s.resources
	return []*wire.API{a}
}

const sweepInterval = 15 * time.Minute

// Run deletes events that have outlived their group's retention and counts the
// stored bytes, until ctx ends; it returns nil then. First it moves the events of
// an older Moat, if there are any, into chunks.
func (s *Service) Run(ctx context.Context) error {
	if err := s.gatherRecords(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("log events of an older version stay as they are for now", "error", err)
	}
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("expired log events were not deleted", "error", err)
			}
		}
	}
}
