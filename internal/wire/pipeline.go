package wire

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Config configures a [Pipeline].
type Config struct {
	Authority Authority
	APIs      []*API
	Account   string // of this installation
	Region    string // for calls that name none
	Now       func() time.Time
	Rand      io.Reader
	Log       *slog.Logger
	// Record receives one record per call, after its answer was written. It may
	// be nil; it must not block.
	Record func(Record)
	// MaxBody bounds a request's body, 8 MiB when zero. Operations that carry
	// function packages have their own bound.
	MaxBody int64
	// Strict makes an exception that the model does not list for its operation
	// a panic that nothing catches. For tests.
	Strict bool
}

// Pipeline answers AWS calls from the network (it is an [http.Handler]) and from
// inside the process (it is an [Invoker]). It is safe for concurrent use.
type Pipeline struct{ cfg Config }

// New makes a pipeline of the APIs that cfg names.
func New(cfg Config) *Pipeline { return &Pipeline{cfg: cfg} }

// ServeHTTP answers one AWS call.
func (p *Pipeline) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusNotImplemented)
}

// Invoke implements [Invoker] for the caller that ctx carries.
func (p *Pipeline) Invoke(ctx context.Context, api, operation string, in, out any) error {
	return NotImplemented(api, operation)
}
