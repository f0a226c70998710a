// Package moattest runs a whole Moat in memory for a test: a real listener on a free
// loopback port, a clock that the test moves, and the outbox of `moat dev`.
package moattest

import (
	"context"
	"sync"
	"testing"
	"time"

	"moat/internal/server"
	"moat/internal/wire"
)

// Start is the time at which a test's clock begins.
func Start() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }

// Moat is a running Moat. It ends with its test.
type Moat struct {
	*server.Server
	Clock *Clock

	mu      sync.Mutex
	records []wire.Record
}

// Clock is a clock that stands still until it is moved. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// loopback is the address of a path on this very node, whatever its public address.
func (m *Moat) loopback(path string) string { return "http://" + m.Addr() + path }

// New runs a Moat as `moat dev` does: test/test is root. change may alter its configuration.
func New(t testing.TB, change ...func(*server.Config)) *Moat {
	t.Helper()
	m := &Moat{Clock: &Clock{now: Start()}}
	cfg := server.Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), InMemory: true, MasterKey: make([]byte, 32), Region: "us-east-1", Account: "000000000000",
		Dev: true, Isolation: "prefer", FunctionNetwork: "none", Now: m.Clock.Now, Record: m.record,
	}
	for _, c := range change {
		c(&cfg)
	}
	s, err := server.New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Server = s
	t.Cleanup(s.Close)
	return m
}

func (m *Moat) record(r wire.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records = append(m.records, r)
}

// Records are the records of all requests so far.
func (m *Moat) Records() []wire.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]wire.Record(nil), m.records...)
}
