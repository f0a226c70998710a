// Package parameter is the parameter store: named values with versions, labels
// and tags, behind the parameter operations of AWS Systems Manager.
//
// Values of type SecureString are sealed at rest; who asks for them without
// decryption gets the sealed bytes, which only this server opens. There are no
// keys to choose from: a KeyId other than the default one is refused, as are
// parameter policies and data types that AWS would check elsewhere.
package parameter

import (
	"errors"
	"io"
	"log/slog"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
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

// Service implements the operations of ssmapi. It is safe for concurrent use.
type Service struct {
	api.Unimplemented
	db      *store.DB
	now     func() time.Time
	account string
	tables
}

var _ api.Service = (*Service)(nil)

// New creates the tables. It starts nothing.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Account == "" {
		return nil, errors.New("parameter: a database and an account are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Service{db: cfg.DB, now: cfg.Now, account: cfg.Account, tables: newTables()}
	if err := s.db.Create(s.parameters, s.versions); err != nil {
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
